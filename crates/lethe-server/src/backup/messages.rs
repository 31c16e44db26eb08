//! What the two ends of a copy that follows say to each other: one byte that says what, four that
//! say how long, big-endian, and that many bytes.

use std::io::{self, Read, Write};

use super::frames::CHANGES_BYTES_MAX;

/// A piece of the segment; nothing is answered.
pub(super) const SEGMENT: u8 = 1;
/// The segment is through.
pub(super) const SEGMENT_END: u8 = 2;
/// A frame.
pub(super) const FRAME: u8 = 3;
/// Nothing was committed; one byte says whether changes wait for this copy.
pub(super) const IDLE: u8 = 4;
/// The end, and why; nothing is answered.
pub(super) const END: u8 = 5;

/// Bytes of one piece of the segment.
pub(super) const PIECE_BYTES: usize = 256 * 1_024;
/// The longest message: a frame with its note.
const MESSAGE_BYTES_MAX: usize = CHANGES_BYTES_MAX + 65_536;
/// Bytes before what a message says.
const HEAD_BYTES: usize = 5;

/// The next message.
///
/// # Errors
/// Those of `input`, and one for a message that is longer than any.
pub(super) fn read_message(input: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; HEAD_BYTES];
    input.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::other("a message that is too long"));
    }
    let mut bytes = vec![0; length];
    input.read_exact(&mut bytes)?;
    Ok((kind, bytes))
}

/// Says something, in one call if it is small.
///
/// # Errors
/// Those of `output`.
pub(super) fn write_message(output: &mut impl Write, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut head = vec![kind];
    head.extend_from_slice(&length.to_be_bytes());
    if bytes.len() <= PIECE_BYTES {
        head.extend_from_slice(bytes);
        return output.write_all(&head);
    }
    output.write_all(&head)?;
    output.write_all(bytes)
}

#[cfg(test)]
mod tests;
