//! The lines of a file, one after the other, in constant memory.

use std::io::{self, Read};

use super::chain::LINE_BYTES_MAX;
use super::text::line_length;

/// Bytes that are read at once; several lines of any length.
const BUFFER_BYTES: usize = 16 * LINE_BYTES_MAX;

/// Reads lines from `source`.
pub(super) struct Lines<R> {
    source: R,
    buffer: Vec<u8>,
    /// `buffer[start..end]` was read and is not yet answered.
    start: usize,
    end: usize,
    /// Where `buffer[start]` is in the source.
    offset: u64,
}

/// What is next in a source.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A line, without its newline.
    Line(&'a [u8]),
    /// More bytes without a newline than a line has. They stay where they are.
    TooLong,
    /// The end, and the bytes before it that no newline ends. If the source grows, asking again
    /// goes on with them.
    End(&'a [u8]),
}

impl<R: Read> Lines<R> {
    /// `source` is at `offset`.
    pub(super) fn new(source: R, offset: u64) -> Self {
        Self { source, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, offset }
    }

    /// Where the next line begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next line.
    ///
    /// # Errors
    /// Those of the source. Asking again goes on.
    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        let mut searched = 0;
        loop {
            let unread = &self.buffer[self.start + searched..self.end];
            let more = line_length(unread);
            let has_newline = more > 0 && unread[more - 1] == b'\n';
            let length = searched + more - usize::from(has_newline);
            if length > LINE_BYTES_MAX {
                return Ok(Next::TooLong);
            }
            if has_newline {
                let line = self.start..self.start + length;
                self.start = line.end + 1;
                self.offset += u64::try_from(length + 1).map_err(io::Error::other)?;
                return Ok(Next::Line(&self.buffer[line]));
            }
            searched = length;
            if self.fill()? == 0 {
                return Ok(Next::End(&self.buffer[self.start..self.end]));
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        if self.end == self.buffer.len() {
            // There is room then: less than a line is left.
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(bytes) => {
                    self.end += bytes;
                    return Ok(bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
