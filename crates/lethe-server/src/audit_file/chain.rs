//! The chain: what ties each line of the trail to the line before it, over files and restarts.
//!
//! Every line has a number, `seq`, one more than that of the line before, and `prev`, the SHA-256
//! of the bytes of the line before without its newline. The first line of a file is a header. The
//! file `head` beside the trail names the last line of some moment.
//!
//! Knows the form of these things, not where they lie. All parsers take exactly what is written
//! here, byte for byte.

use core::fmt;

use lethe_crypto::hash::sha256;
use lethe_types::UnixMillis;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::text::{hash_of_hex, push_hex, push_number, take_number};

/// Version of the form of files and lines.
pub const FORMAT: &str = "lethe/1";

/// Most bytes of a line without its newline; the longest that is written has a third of it.
pub const LINE_BYTES_MAX: usize = 8_192;

/// Most bytes of the file `head`.
pub const HEAD_BYTES_MAX: usize = 512;

/// Largest `seq` and file number: every JSON reader knows whole numbers up to it exactly
/// (RFC 8259, section 6).
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

/// A line: its number, and the SHA-256 of its bytes without the newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub seq: u64,
    /// The SHA-256 of its bytes.
    pub hash: [u8; 32],
}

impl Link {
    /// What the first line of a trail follows: number 0, all bytes of the hash zero.
    pub const START: Self = Self { seq: 0, hash: [0; 32] };

    /// The line with these bytes, if it is the one after `self`.
    pub(super) fn followed_by(self, line: &[u8]) -> Self {
        Self { seq: self.seq + 1, hash: sha256(&[line]) }
    }
}

/// Appends the line of an event to `out`, newline included. `event` is an object of JSON with a
/// newline; it gets its place in the chain: `seq` before its members, `prev` behind them.
pub(super) fn push_event(out: &mut Vec<u8>, event: &[u8], last: Link) -> Link {
    let members = event.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}\n"));
    let start = out.len();
    out.extend_from_slice(SEQ);
    push_number(out, last.seq + 1);
    out.push(b',');
    out.extend_from_slice(members.expect("an event is an object on a line"));
    push_prev(out, &last.hash);
    let link = last.followed_by(&out[start..]);
    out.push(b'\n');
    link
}

fn push_prev(out: &mut Vec<u8>, hash: &[u8; 32]) {
    out.extend_from_slice(PREV);
    push_hex(out, hash);
    out.extend_from_slice(PREV_END);
}

const SEQ: &[u8] = b"{\"seq\":";
const PREV: &[u8] = b",\"prev\":\"";
const PREV_END: &[u8] = b"\"}";
const HASH_DIGITS: usize = 64;

/// What the line of an event says of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventPlace {
    pub(super) seq: u64,
    pub(super) prev: [u8; 32],
}

impl EventPlace {
    /// The place that `line` names; `None` if it is not the line of an event.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        let (seq, rest) = take_number(line.strip_prefix(SEQ)?)?;
        let (rest, digits) = rest.strip_suffix(PREV_END)?.split_last_chunk::<HASH_DIGITS>()?;
        let members = rest.strip_suffix(PREV)?;
        let prev = hash_of_hex(digits)?;
        let is_event = seq <= NUMBER_MAX && members.starts_with(b",\"");
        // What is between is text of the trail's own making; that it is JSON is all that
        // readers rely on.
        let is_json = || serde_json::from_slice::<IgnoredAny>(line).is_ok();
        (is_event && is_json()).then_some(Self { seq, prev })
    }
}

/// The moment that the line of an event names.
pub(super) fn time_of(line: &[u8]) -> Option<UnixMillis> {
    #[derive(Deserialize)]
    struct Written<'a> {
        time: &'a str,
    }
    serde_json::from_slice::<Written<'_>>(line).ok()?.time.parse().ok()
}

/// Why a file was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// `age`: the file before had its age.
    Age,
    /// `changed`: the file before was changed or replaced by somebody else.
    Changed,
    /// `crash`: the file before ends with bytes that are no lines of the trail.
    Crash,
    /// `first`: it is the first file of a trail.
    First,
    /// `missing`: the file before was no longer in its place. Somebody took it away, or a crash
    /// came between two steps of putting it aside.
    Missing,
    /// `size`: the file before had its size.
    Size,
    /// `unanchored`: at a start the head was missing or damaged, or did not fit the files.
    Unanchored,
}

impl Because {
    const ALL: [Self; 7] = [
        Self::Age,
        Self::Changed,
        Self::Crash,
        Self::First,
        Self::Missing,
        Self::Size,
        Self::Unanchored,
    ];

    /// The word in the header.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Changed => "changed",
            Self::Crash => "crash",
            Self::First => "first",
            Self::Missing => "missing",
            Self::Size => "size",
            Self::Unanchored => "unanchored",
        }
    }

    /// Whether nothing unusual led to the file.
    #[must_use]
    pub fn is_ordinary(self) -> bool {
        match self {
            Self::Age | Self::First | Self::Size => true,
            Self::Changed | Self::Crash | Self::Missing | Self::Unanchored => false,
        }
    }
}

impl fmt::Display for Because {
    /// What an auditor is told.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Age => "the file before had its age",
            Self::Changed => "the file before had been changed or replaced by somebody else",
            Self::Crash => "a crash had ended the file before within a line",
            Self::First => "it is the first one",
            Self::Missing => "the file before was no longer in its place",
            Self::Size => "the file before had its size",
            Self::Unanchored => "the head was missing or damaged, or did not fit the files",
        })
    }
}

/// Bytes at the end of a file that are no lines of the trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// How many.
    pub bytes: u64,
    /// Their SHA-256.
    pub hash: [u8; 32],
}

/// The first line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number of the file, from 1.
    pub file: u64,
    /// When it was begun.
    pub opened: UnixMillis,
    /// Why.
    pub because: Because,
    /// Files with smaller numbers were removed by the server, as it was configured; 1 if none.
    pub kept_from: u64,
    /// What the file before ends with behind its last line.
    pub torn: Option<Torn>,
    /// The last line of the file before; [`Link::START`] if there is none.
    pub prev: Link,
}

impl Header {
    /// The line, without a newline.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut out = format!(
            "{{\"audit\":\"{FORMAT}\",\"file\":{},\"opened\":\"{}\",\"because\":\"{}\"",
            self.file,
            self.opened,
            self.because.word()
        )
        .into_bytes();
        if self.kept_from > 1 {
            out.extend_from_slice(b",\"kept_from\":");
            push_number(&mut out, self.kept_from);
        }
        if let Some(torn) = &self.torn {
            out.extend_from_slice(b",\"torn_bytes\":");
            push_number(&mut out, torn.bytes);
            out.extend_from_slice(b",\"torn_sha256\":\"");
            push_hex(&mut out, &torn.hash);
            out.push(b'"');
        }
        out.extend_from_slice(b",\"seq\":");
        push_number(&mut out, self.prev.seq + 1);
        push_prev(&mut out, &self.prev.hash);
        out
    }

    /// The header that `line`, without its newline, is; `None` if it is none.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written<'a> {
            audit: &'a str,
            file: u64,
            opened: &'a str,
            because: &'a str,
            kept_from: Option<u64>,
            torn_bytes: Option<u64>,
            torn_sha256: Option<&'a str>,
            seq: u64,
            prev: &'a str,
        }
        let written: Written<'_> = serde_json::from_slice(line).ok()?;
        let torn = match (written.torn_bytes, written.torn_sha256) {
            (None, None) => None,
            (Some(bytes), Some(hash)) => Some(Torn { bytes, hash: hash_of_hex(hash.as_bytes())? }),
            (None, Some(_)) | (Some(_), None) => return None,
        };
        let because = Because::ALL.into_iter().find(|one| one.word() == written.because)?;
        let hash = hash_of_hex(written.prev.as_bytes())?;
        let header = Self {
            file: written.file,
            opened: written.opened.parse().ok()?,
            because,
            kept_from: written.kept_from.unwrap_or(1),
            torn,
            prev: Link { seq: written.seq.checked_sub(1)?, hash },
        };
        let is_bounded = (1..=NUMBER_MAX).contains(&header.file) && written.seq <= NUMBER_MAX;
        let is_first = header.file == 1;
        // The first file follows nothing, and no other one does.
        let is_linked = is_first == (header.prev == Link::START);
        let is_exact = written.audit == FORMAT && header.line() == line;
        (is_bounded && is_linked && is_exact).then_some(header)
    }

    /// The line as a link of the chain.
    #[must_use]
    pub fn link(&self) -> Link {
        self.prev.followed_by(&self.line())
    }
}

/// What the file `head` says: one line of the trail and where it ends.
///
/// A copy that is kept where the server cannot write proves later that the trail up to this line
/// was not rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of the file that the line is in.
    pub file: u64,
    /// Bytes of that file up to the end of the line, newline included.
    pub bytes: u64,
    /// The line.
    pub link: Link,
}

impl Head {
    /// The content of the file, newline included.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        let mut out = format!(
            "{{\"audit_head\":\"{FORMAT}\",\"file\":{},\"bytes\":{},\"seq\":{},\"sha256\":\"",
            self.file, self.bytes, self.link.seq
        )
        .into_bytes();
        push_hex(&mut out, &self.link.hash);
        out.extend_from_slice(b"\"}\n");
        out
    }

    /// The head that `content` is; `None` if it is none.
    #[must_use]
    pub fn parse(content: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written<'a> {
            audit_head: &'a str,
            file: u64,
            bytes: u64,
            seq: u64,
            sha256: &'a str,
        }
        let written: Written<'_> = serde_json::from_slice(content).ok()?;
        let hash = hash_of_hex(written.sha256.as_bytes())?;
        let link = Link { seq: written.seq, hash };
        let head = Self { file: written.file, bytes: written.bytes, link };
        let numbers = [head.file, head.bytes, head.link.seq];
        let is_bounded = numbers.iter().all(|number| (1..=NUMBER_MAX).contains(number));
        let is_exact = written.audit_head == FORMAT && head.content() == content;
        (is_bounded && is_exact).then_some(head)
    }
}
