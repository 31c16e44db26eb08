//! Writing canonical JSON.

use core::fmt::{Display, Write as _};

use lethe_types::UnixMillis;

use super::{INTEGER_MAX, Json, JsonError};
use crate::encoding::push_base64;

/// The last moment that RFC 3339 can name and [`UnixMillis`] prints faithfully.
pub(crate) const TIME_MAX: UnixMillis = UnixMillis(253_402_207_200_999);

/// The canonical text of an object whose members `build` gives in order.
///
/// # Errors
/// [`JsonError::Range`] if a number or time was too large.
///
/// # Panics
/// If names are not ASCII or not ascending: a mistake of the calling code, not of its input.
pub fn write_object(build: impl FnOnce(&mut ObjectWriter<'_>)) -> Result<String, JsonError> {
    write_object_of(OBJECT_BYTES_USUAL, build)
}

/// Like [`write_object`], for an object of about `bytes`: with that many or less it allocates once.
pub(crate) fn write_object_of(
    bytes: usize,
    build: impl FnOnce(&mut ObjectWriter<'_>),
) -> Result<String, JsonError> {
    let mut sink = Sink { out: String::with_capacity(bytes), is_out_of_range: false };
    sink.object(build);
    if sink.is_out_of_range { Err(JsonError::Range) } else { Ok(sink.out) }
}

/// Writes the members of one object in the canonical order of their names.
#[derive(Debug)]
pub struct ObjectWriter<'w> {
    sink: &'w mut Sink,
    last: &'static str,
}

impl ObjectWriter<'_> {
    /// A string.
    pub fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        write_text(&mut self.sink.out, value);
    }

    /// Bytes in base64.
    pub(crate) fn base64(&mut self, name: &'static str, bytes: &[u8]) {
        self.name(name);
        self.sink.out.push('"');
        push_base64(&mut self.sink.out, bytes);
        self.sink.out.push('"');
    }

    /// A string of characters that need no escape: identifiers, times, words.
    pub(crate) fn plain(&mut self, name: &'static str, value: impl Display) {
        self.name(name);
        self.sink.plain(value);
    }

    /// An integer.
    pub fn integer(&mut self, name: &'static str, value: u64) {
        self.name(name);
        self.sink.is_out_of_range |= value > INTEGER_MAX;
        self.sink.bare(value);
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &'static str, value: bool) {
        self.name(name);
        self.sink.bare(value);
    }

    /// A time, as RFC 3339 in UTC with milliseconds.
    pub fn time(&mut self, name: &'static str, value: UnixMillis) {
        self.sink.is_out_of_range |= value > TIME_MAX;
        self.plain(name, value);
    }

    /// A time or `null`.
    pub fn time_or_null(&mut self, name: &'static str, value: Option<UnixMillis>) {
        match value {
            Some(time) => self.time(name, time),
            None => {
                self.name(name);
                self.sink.bare("null");
            }
        }
    }

    /// An object.
    pub fn object(&mut self, name: &'static str, build: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.name(name);
        self.sink.object(build);
    }

    /// An array of strings.
    pub fn texts<'a>(&mut self, name: &'static str, values: impl IntoIterator<Item = &'a str>) {
        self.array(name, values, |sink, value| write_text(&mut sink.out, value));
    }

    /// An array of strings of characters that need no escape.
    pub(crate) fn plains<T: Display>(
        &mut self,
        name: &'static str,
        values: impl IntoIterator<Item = T>,
    ) {
        self.array(name, values, |sink, value| sink.plain(value));
    }

    /// An array of objects.
    pub fn objects<T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        mut build: impl FnMut(&mut ObjectWriter<'_>, T),
    ) {
        self.array(name, items, |sink, item| sink.object(|object| build(object, item)));
    }

    /// Any value.
    pub fn value(&mut self, name: &'static str, value: &Json) {
        self.name(name);
        write_value(&mut self.sink.out, value);
    }

    /// A value whose canonical text is at hand.
    pub(crate) fn canonical(&mut self, name: &'static str, text: &str) {
        self.name(name);
        self.sink.out.push_str(text);
    }

    fn array<T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Sink, T),
    ) {
        self.name(name);
        self.sink.out.push('[');
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.sink.out.push(',');
            }
            write(self.sink, item);
        }
        self.sink.out.push(']');
    }

    fn name(&mut self, name: &'static str) {
        assert!(name.is_ascii(), "streamed member names are ASCII");
        assert!(self.last < name, "member `{name}` comes after `{}`", self.last);
        if !self.last.is_empty() {
            self.sink.out.push(',');
        }
        self.last = name;
        self.sink.out.push('"');
        self.sink.out.push_str(name);
        self.sink.out.push_str("\":");
    }
}

#[derive(Debug)]
struct Sink {
    out: String,
    is_out_of_range: bool,
}

impl Sink {
    fn object(&mut self, build: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.out.push('{');
        build(&mut ObjectWriter { sink: self, last: "" });
        self.out.push('}');
    }

    fn bare(&mut self, value: impl Display) {
        write!(self.out, "{value}").expect("writing to a string cannot fail");
    }

    fn plain(&mut self, value: impl Display) {
        self.out.push('"');
        let start = self.out.len();
        self.bare(value);
        let written = &self.out.as_bytes()[start..];
        assert!(bytes_without_escape(written) == written.len(), "identifiers need no escape");
        self.out.push('"');
    }
}

pub(super) fn write_value(out: &mut String, value: &Json) {
    match value {
        Json::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Integer(value) => {
            write!(out, "{}", value.value()).expect("writing to a string cannot fail");
        }
        Json::Null => out.push_str("null"),
        Json::Object(object) => {
            out.push('{');
            for (at, (name, value)) in object.members().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_text(out, name);
                out.push(':');
                write_value(out, value);
            }
            out.push('}');
        }
        Json::Text(text) => write_text(out, text),
    }
}

/// RFC 8785 section 3.2.2.2: the two-letter escapes where they exist, `\u00xx` in lower case for
/// the other control characters, everything else as it is.
pub(crate) fn write_text(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    loop {
        let (plain, special) = rest.split_at(bytes_without_escape(rest.as_bytes()));
        out.push_str(plain);
        if special.is_empty() {
            break;
        }
        // Every such byte is a character of its own, so the split stays between characters.
        let (escaped, after) = special.split_at(1);
        match escaped {
            "\"" => out.push_str("\\\""),
            "\\" => out.push_str("\\\\"),
            "\u{8}" => out.push_str("\\b"),
            "\t" => out.push_str("\\t"),
            "\n" => out.push_str("\\n"),
            "\u{c}" => out.push_str("\\f"),
            "\r" => out.push_str("\\r"),
            control => {
                let code = control.as_bytes()[0];
                write!(out, "\\u{code:04x}").expect("writing to a string cannot fail");
            }
        }
        rest = after;
    }
    out.push('"');
}

/// How many bytes come before the first that needs an escape. Looks at blocks first, without a way
/// out in the middle, since the processor then looks at many bytes at once.
fn bytes_without_escape(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<ESCAPE_BLOCK_BYTES>();
    let is_clean = |block: &&[u8; ESCAPE_BLOCK_BYTES]| {
        !block.iter().fold(false, |found, byte| found | needs_escape(*byte))
    };
    let clean = blocks.iter().take_while(is_clean).count() * ESCAPE_BLOCK_BYTES;
    let rest = &bytes[clean..];
    clean + rest.iter().position(|byte| needs_escape(*byte)).unwrap_or(rest.len())
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

const ESCAPE_BLOCK_BYTES: usize = 16;

/// Room for a log entry, so that writing one allocates once.
const OBJECT_BYTES_USUAL: usize = 1_024;
