//! The `.tlog-proof` file (C2SP tlog-proof): an index, an inclusion proof and a checkpoint, with
//! room for what is needed to rebuild the entry.

use core::fmt;
use core::str::FromStr;

use crate::checkpoint::Checkpoint;
use crate::encoding::{base64_bytes, decode_base64, parse_decimal, push_base64};
use crate::hash::{HASH_BYTES, Hash};
use crate::note::NOTE_BYTES_MAX;
use crate::tree::PROOF_HASHES_MAX;

/// First line of every proof file.
pub const PROOF_HEADER: &str = "c2sp.org/tlog-proof@v1";
/// Largest proof file, in bytes.
pub const PROOF_BYTES_MAX: usize = 2 * NOTE_BYTES_MAX;

/// A parsed proof file. Nothing in it has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Opaque data that nothing authenticates; empty if the line is not there.
    pub extra: Vec<u8>,
    /// Index of the entry in the log.
    pub index: u64,
    /// Hashes from the leaf's sibling up to the root's child.
    pub inclusion: Vec<Hash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

/// A text that is not a proof file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedProof;

impl fmt::Display for MalformedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is not a `.tlog-proof` file")
    }
}

impl core::error::Error for MalformedProof {}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write(&self.extra, self.index, &self.inclusion, &self.checkpoint))
    }
}

/// The text of a proof file, from its parts.
pub(crate) fn write(extra: &[u8], index: u64, inclusion: &[Hash], checkpoint: &str) -> String {
    let hashes_bytes = inclusion.len() * (base64_bytes(HASH_BYTES) + 1);
    let bytes = base64_bytes(extra.len()) + hashes_bytes + checkpoint.len() + LINES_BYTES;
    let mut out = String::with_capacity(bytes);
    out.push_str(PROOF_HEADER);
    if !extra.is_empty() {
        out.push_str("\nextra ");
        push_base64(&mut out, extra);
    }
    out.push_str("\nindex ");
    out.push_str(&index.to_string());
    out.push('\n');
    for hash in inclusion {
        push_base64(&mut out, &hash.0);
        out.push('\n');
    }
    out.push('\n');
    out.push_str(checkpoint);
    out
}

impl FromStr for TlogProof {
    type Err = MalformedProof;

    /// Strict: only what `Display` prints, with a checkpoint that is one.
    fn from_str(text: &str) -> Result<Self, MalformedProof> {
        parse(text).ok_or(MalformedProof)
    }
}

fn parse(text: &str) -> Option<TlogProof> {
    if text.len() > PROOF_BYTES_MAX {
        return None;
    }
    let (head, checkpoint) = text.split_once("\n\n")?;
    Checkpoint::parse_unverified(checkpoint).ok()?;
    let mut lines = head.split('\n');
    if lines.next()? != PROOF_HEADER {
        return None;
    }
    let mut line = lines.next()?;
    let mut extra = Vec::new();
    if let Some(base64) = line.strip_prefix("extra ") {
        extra = decode_base64(base64).filter(|extra| !extra.is_empty())?;
        line = lines.next()?;
    }
    let index = parse_decimal(line.strip_prefix("index ")?)?;
    let inclusion: Vec<Hash> = lines.map(str::parse).collect::<Result<_, _>>().ok()?;
    let is_bounded = inclusion.len() <= PROOF_HASHES_MAX;
    is_bounded.then(|| TlogProof { extra, index, inclusion, checkpoint: checkpoint.to_owned() })
}

/// The header, the names of the lines, the longest index and the newlines.
const LINES_BYTES: usize = 64;
