//! What can be wrong with a trail, in words.

use core::fmt;
use std::path::PathBuf;

/// The first thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// In which file.
    pub file: PathBuf,
    /// On which line, from 1.
    pub line: u64,
    /// Which number the line has or should have, if that is known.
    pub seq: Option<u64>,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}: {}", self.file.display(), self.line, self.fault)
    }
}

/// What is wrong with a line, or instead of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The line after it was chained to another line.
    Altered,
    /// An anchor names another line.
    AnchorDiffers {
        /// Where the anchor was read.
        anchor: PathBuf,
    },
    /// The head says that the line is elsewhere.
    AnchorElsewhere {
        /// Where the anchor was read.
        anchor: PathBuf,
    },
    /// The files begin after the line that an anchor names.
    AnchorBefore {
        /// Where the anchor was read.
        anchor: PathBuf,
        /// Which line it names.
        seq: u64,
    },
    /// The trail ends before the line that an anchor names.
    CutOff {
        /// Where the anchor was read.
        anchor: PathBuf,
        /// Which line it names.
        seq: u64,
    },
    /// The header has another file number than its place.
    FileNumber {
        /// Which it should have.
        expected: u64,
        /// Which it has.
        found: u64,
    },
    /// Files before this one are not there.
    FilesMissing {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// There is no head beside the trail.
    HeadMissing,
    /// The head is damaged.
    HeadUnreadable,
    /// There is a head but no file.
    NoFiles,
    /// The file does not begin with a header.
    NotAHeader,
    /// It is not a line of a trail.
    NotALine,
    /// It was not chained to the line before: one of the two was altered, and nothing tells which.
    NotChained,
    /// It has another number than its place.
    Number {
        /// Which it should have.
        expected: u64,
        /// Which it has.
        found: u64,
    },
    /// The file ends within the line.
    Torn {
        /// Bytes behind the last whole line.
        bytes: u64,
    },
    /// The header tells of bytes at the end of the file before which are not there.
    TornElsewhere,
    /// There are two files with its number.
    Twice {
        /// The number.
        number: u64,
    },
}

impl Fault {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::AnchorBefore { .. } => "anchor_before",
            Self::AnchorDiffers { .. } => "anchor_differs",
            Self::AnchorElsewhere { .. } => "anchor_elsewhere",
            Self::CutOff { .. } => "cut_off",
            Self::FileNumber { .. } => "file_number",
            Self::FilesMissing { .. } => "files_missing",
            Self::HeadMissing => "head_missing",
            Self::HeadUnreadable => "head_unreadable",
            Self::NoFiles => "no_files",
            Self::NotAHeader => "not_a_header",
            Self::NotALine => "not_a_line",
            Self::NotChained => "not_chained",
            Self::Number { .. } => "number",
            Self::Torn { .. } => "torn",
            Self::TornElsewhere => "torn_elsewhere",
            Self::Twice { .. } => "twice",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered => f.write_str("altered: the next line was chained to another one"),
            Self::AnchorBefore { anchor, seq } => {
                let anchor = anchor.display();
                write!(f, "`{anchor}` names line {seq} of the trail, which is before this file")
            }
            Self::AnchorDiffers { anchor } => {
                write!(f, "not the line that `{}` names", anchor.display())
            }
            Self::AnchorElsewhere { anchor } => {
                write!(f, "not in the place that `{}` names", anchor.display())
            }
            Self::CutOff { anchor, seq } => {
                let anchor = anchor.display();
                write!(f, "the trail ends here, but `{anchor}` names line {seq} of it")
            }
            Self::FileNumber { expected, found } => {
                write!(f, "the header says file {found}, but this is the place of file {expected}")
            }
            Self::FilesMissing { from, to } if from == to => {
                write!(f, "file {from}, which comes before this one, is missing")
            }
            Self::FilesMissing { from, to } => {
                write!(f, "files {from} to {to}, which come before this one, are missing")
            }
            Self::HeadMissing => {
                f.write_str("the head is missing, so that nobody knows where the trail should end")
            }
            Self::HeadUnreadable => f.write_str("it is not the head of a trail"),
            Self::NoFiles => f.write_str("the head names a line, but there are no files"),
            Self::NotAHeader => f.write_str("the file does not begin with a header"),
            Self::NotALine => f.write_str("not a line of the trail"),
            Self::NotChained => {
                f.write_str("not chained to the line before: one of the two was altered")
            }
            Self::Number { expected, found } => write!(
                f,
                "the line has number {found}, but number {expected} follows: lines were removed, \
                 added or moved"
            ),
            Self::Torn { bytes } => write!(
                f,
                "the file ends within a line ({bytes} bytes), as after a crash; the next start of \
                 the server notes that in the trail"
            ),
            Self::TornElsewhere => f.write_str(
                "the header tells of bytes at the end of the file before, which does not end so",
            ),
            Self::Twice { number } => write!(f, "there are two files with number {number}"),
        }
    }
}
