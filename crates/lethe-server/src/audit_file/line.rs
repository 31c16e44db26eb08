//! One event as one line of JSON (RFC 8259), without allocation.
//!
//! Members, in this order: `time` (RFC 3339, UTC, milliseconds), `realm`, `principal`,
//! `credential`, `door`, `operation`, `key`, `subject` (a principal or vault), `outcome` (`allowed`
//! or `refused`), `reason`, `request`, `log_index`. What an event does not have is left out. The
//! writer adds the line's place in the chain.

use std::cell::RefCell;

use lethe_engine::audit::AuditEvent;
use lethe_types::UnixMillis;

use super::text::{digit, push_hex, push_number};

/// Most bytes of a request's number that are written; clients may choose it.
pub const REQUEST_BYTES_MAX: usize = 128;

/// Most bytes of a door's, an operation's or a refusal's name that are written.
const NAME_BYTES_MAX: usize = 64;

/// Calls `then` with the line of `event`, newline included.
pub(super) fn with_line<T>(event: &AuditEvent<'_>, then: impl FnOnce(&[u8]) -> T) -> T {
    LINE.with_borrow_mut(|line| {
        line.write(event);
        then(&line.bytes)
    })
}

thread_local! {
    static LINE: RefCell<Line> = const { RefCell::new(Line::new()) };
}

/// The last line of this thread, whose memory and second are used again.
struct Line {
    bytes: Vec<u8>,
    second: u64,
    /// `second` as in `2026-11-21T10:18:44.`; empty at first.
    second_text: [u8; SECOND_TEXT_BYTES],
}

const SECOND_TEXT_BYTES: usize = 20;

impl Line {
    const fn new() -> Self {
        Self { bytes: Vec::new(), second: u64::MAX, second_text: [0; SECOND_TEXT_BYTES] }
    }

    fn write(&mut self, event: &AuditEvent<'_>) {
        self.bytes.clear();
        self.time(event.time);
        self.id(b",\"realm\":\"", event.realm.as_ref().map(|id| id.as_bytes()));
        self.id(b",\"principal\":\"", event.principal.as_ref().map(|id| id.as_bytes()));
        self.id(b",\"credential\":\"", event.credential.as_ref().map(|id| id.as_bytes()));
        self.text(b",\"door\":\"", event.door, NAME_BYTES_MAX);
        self.text(b",\"operation\":\"", event.operation, NAME_BYTES_MAX);
        self.id(b",\"key\":\"", event.key.as_ref().map(|id| id.as_bytes()));
        self.id(b",\"subject\":\"", event.subject.as_ref());
        match event.refusal {
            None => self.bytes.extend_from_slice(b",\"outcome\":\"allowed\""),
            Some(reason) => {
                self.bytes.extend_from_slice(b",\"outcome\":\"refused\"");
                self.text(b",\"reason\":\"", reason, NAME_BYTES_MAX);
            }
        }
        self.text(b",\"request\":\"", event.request, REQUEST_BYTES_MAX);
        if let Some(index) = event.log_index {
            self.bytes.extend_from_slice(b",\"log_index\":");
            push_number(&mut self.bytes, index);
        }
        self.bytes.extend_from_slice(b"}\n");
    }

    fn time(&mut self, time: UnixMillis) {
        let second = time.seconds();
        if second != self.second {
            let text = UnixMillis(second.saturating_mul(1_000)).to_string();
            self.second_text.copy_from_slice(&text.as_bytes()[..SECOND_TEXT_BYTES]);
            self.second = second;
        }
        self.bytes.extend_from_slice(b"{\"time\":\"");
        self.bytes.extend_from_slice(&self.second_text);
        let milliseconds = time.0 % 1_000;
        let digits = [milliseconds / 100, milliseconds / 10 % 10, milliseconds % 10].map(digit);
        self.bytes.extend_from_slice(&digits);
        self.bytes.extend_from_slice(b"Z\"");
    }

    fn id(&mut self, name: &[u8], id: Option<&[u8; 16]>) {
        let Some(id) = id else { return };
        self.bytes.extend_from_slice(name);
        push_hex(&mut self.bytes, id);
        self.bytes.push(b'"');
    }

    /// `text`, cut at `bytes_max` between two characters, and escaped.
    fn text(&mut self, name: &[u8], text: &str, bytes_max: usize) {
        self.bytes.extend_from_slice(name);
        let text = &text[..text.floor_char_boundary(bytes_max)];
        if text.bytes().all(is_plain) {
            self.bytes.extend_from_slice(text.as_bytes());
        } else {
            self.escaped(text);
        }
        self.bytes.push(b'"');
    }

    fn escaped(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => self.bytes.extend_from_slice(&[b'\\', byte]),
                _ if is_plain(byte) => self.bytes.push(byte),
                control => {
                    self.bytes.extend_from_slice(b"\\u00");
                    push_hex(&mut self.bytes, &[control]);
                }
            }
        }
    }
}

/// Whether JSON lets this byte of UTF-8 stand for itself within a string. DEL is escaped too, for
/// the sake of terminals.
const fn is_plain(byte: u8) -> bool {
    byte >= b' ' && byte != b'"' && byte != b'\\' && byte != 0x7f
}
