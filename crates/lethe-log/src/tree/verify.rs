//! Checking of inclusion and consistency proofs (RFC 9162 sections 2.1.3.2 and 2.1.4.2, which
//! check the proofs of RFC 6962).

use core::fmt;

use crate::hash::{Hash, empty_root, node_hash};

/// Most hashes of a proof. A tree has at most 2^63 leaves; tlog-witness allows 63 lines.
pub const PROOF_HASHES_MAX: usize = 63;

/// The hashes do not show what they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofError;

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the proof does not lead to the root")
    }
}

impl core::error::Error for ProofError {}

/// Checks that `leaf` is leaf `index` of the tree of `size` entries with `root`.
///
/// # Errors
/// [`ProofError`] if it is not shown, also by a proof that is too long or too short.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size || proof.len() > PROOF_HASHES_MAX {
        return Err(ProofError);
    }
    let mut walk = Walk { node: index, last: size - 1 };
    let mut hash = *leaf;
    for sibling in proof {
        match walk.up()? {
            Sibling::Left => hash = node_hash(sibling, &hash),
            Sibling::Right => hash = node_hash(&hash, sibling),
        }
    }
    if walk.last == 0 && hash == *root { Ok(()) } else { Err(ProofError) }
}

/// Checks that the tree of `old_size` entries with `old_root` is a prefix of the tree of
/// `new_size` entries with `new_root`.
///
/// # Errors
/// [`ProofError`] if it is not shown, also by a proof that is too long or too short.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old_size > new_size || proof.len() > PROOF_HASHES_MAX {
        return Err(ProofError);
    }
    if old_size == 0 || old_size == new_size {
        let expected = if old_size == 0 { &empty_root() } else { new_root };
        let holds = proof.is_empty() && old_root == expected;
        return if holds { Ok(()) } else { Err(ProofError) };
    }
    // A complete old tree is itself a node of the new one, so its root is not repeated.
    let (first, rest) = if old_size.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(ProofError)?
    };
    let skipped = (old_size - 1).trailing_ones();
    let mut walk = Walk { node: (old_size - 1) >> skipped, last: (new_size - 1) >> skipped };
    let (mut old, mut new) = (*first, *first);
    for sibling in rest {
        match walk.up()? {
            Sibling::Left => {
                old = node_hash(sibling, &old);
                new = node_hash(sibling, &new);
            }
            Sibling::Right => new = node_hash(&new, sibling),
        }
    }
    let holds = walk.last == 0 && old == *old_root && new == *new_root;
    if holds { Ok(()) } else { Err(ProofError) }
}

/// On which side the next hash of a proof stands.
enum Sibling {
    Left,
    Right,
}

/// The way from a node up to the root: its index in its row, and the last index of that row.
struct Walk {
    node: u64,
    last: u64,
}

impl Walk {
    /// One step up; skips the rows in which the node is the last and has no sibling.
    fn up(&mut self) -> Result<Sibling, ProofError> {
        if self.last == 0 {
            return Err(ProofError);
        }
        let is_left_sibling = self.node & 1 == 1 || self.node == self.last;
        if is_left_sibling && self.node & 1 == 0 {
            let rows = self.node.trailing_zeros().min(63);
            self.node >>= rows;
            self.last >>= rows;
        }
        self.node >>= 1;
        self.last >>= 1;
        Ok(if is_left_sibling { Sibling::Left } else { Sibling::Right })
    }
}
