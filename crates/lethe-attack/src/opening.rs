//! What some roots open of what was found: every node under them, every record key, every record.
//!
//! The closure of the argument in `docs/deletion.md`: whatever is not reached here is not reached
//! by anybody with these roots, as long as AES-256-GCM holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lethe_crypto::aead::SealKey;
use lethe_erasure::seal::{Seal, decode_sector};
use lethe_erasure::slot::{SLOT_IMAGE_BYTES, SlotImage};
use lethe_erasure::tree::NodeId;
use lethe_types::{Secret, SecretVec, TreeId};

use crate::carve::{Finds, NODE_HEADER_BYTES, RECORD_BYTES_MIN};

/// Longest material that is tried: a private RSA key of 4,096 bits has about 2,400 bytes.
const RECORD_BYTES_MAX: usize = 4_096;

/// Bytes of a record before its nonce.
const RECORD_HEADER_BYTES: usize = 32;

/// What was opened.
#[derive(Debug, Default)]
pub struct Loot {
    /// Sealed nodes that opened.
    pub nodes_opened: usize,
    /// Record keys, by leaf. More than one: the leaf was given again, or the tree changed.
    pub record_keys: BTreeMap<u64, Vec<Secret<32>>>,
    /// Records that opened, with their leaves.
    pub records: Vec<(u64, SecretVec)>,
}

impl Loot {
    /// The leaf of a record that holds these bytes; `None` if no record does.
    #[must_use]
    pub fn leaf_of(&self, material: &[u8]) -> Option<u64> {
        let holds = |record: &SecretVec| memchr::memmem::find(record.expose(), material).is_some();
        self.records.iter().find(|(_, record)| holds(record)).map(|(leaf, _)| *leaf)
    }

    /// Whether some record holds these bytes.
    #[must_use]
    pub fn holds(&self, material: &[u8]) -> bool {
        self.leaf_of(material).is_some()
    }
}

/// Every image in the bytes of a slot file: in its two sectors, and in any others.
#[must_use]
pub fn roots_in_slot(slot: &[u8], seal: &dyn Seal) -> Vec<SlotImage> {
    let mut images = Vec::new();
    for bytes in slot.chunks_exact(SLOT_IMAGE_BYTES) {
        let Ok(bytes) = bytes.try_into() else { continue };
        // The seal binds the number of the sector: whoever looks tries both.
        let found = [0, 1].map(|sector| decode_sector(bytes, sector, seal));
        images.extend(found.into_iter().filter_map(|image| image.ok().flatten()));
    }
    images
}

/// Opens everything that hangs on `roots`.
#[must_use]
pub fn open_all(finds: &Finds<'_>, tree: TreeId, roots: &[Secret<32>]) -> Loot {
    let mut loot = Loot::default();
    let mut queue = VecDeque::new();
    for root in roots {
        queue.extend(finds.tops().map(|top| (top, root.duplicate())));
    }
    let mut tried: BTreeSet<(NodeId, [u8; 32])> = BTreeSet::new();
    while let Some((id, key)) = queue.pop_front() {
        if !tried.insert((id, *key.expose())) {
            continue;
        }
        for blob in finds.nodes(id) {
            let opened = open_sealed(tree, b"KDT1", NODE_HEADER_BYTES, &key, blob);
            let Some(children) = opened else { continue };
            loot.nodes_opened += 1;
            for (index, child) in children_of(id, blob[2], &children) {
                if id.level == 1 {
                    loot.record_keys.entry(index).or_default().push(child);
                } else {
                    queue.push_back((NodeId { level: id.level - 1, index }, child));
                }
            }
        }
    }
    for (leaf, keys) in &loot.record_keys {
        for place in finds.records(*leaf) {
            let bytes = finds.bytes_from(place);
            let open = |key| open_somewhere(tree, key, bytes);
            let opened = keys.iter().find_map(open);
            loot.records.extend(opened.map(|record| (*leaf, record)));
        }
    }
    loot
}

/// The record that begins with `bytes`: its length is not in it, so each is tried.
fn open_somewhere(tree: TreeId, key: &Secret<32>, bytes: &[u8]) -> Option<SecretVec> {
    let most = bytes.len().min(RECORD_BYTES_MAX);
    (RECORD_BYTES_MIN..=most)
        .find_map(|length| open_sealed(tree, b"KREC", RECORD_HEADER_BYTES, key, &bytes[..length]))
}

/// What is sealed in `blob`, as the published formats of nodes and records say: a header, a nonce
/// of 12 bytes, ciphertext and tag; bound to the word, the tree and the header. Where a test has
/// taken that binding away, to as many zeros.
fn open_sealed(
    tree: TreeId,
    word: &[u8; 4],
    header_bytes: usize,
    key: &Secret<32>,
    blob: &[u8],
) -> Option<SecretVec> {
    let (header, rest) = blob.split_at_checked(header_bytes)?;
    let (nonce, sealed) = rest.split_first_chunk()?;
    let bound = [word.as_slice(), tree.as_bytes(), header].concat();
    let unbound = vec![0; bound.len()];
    [bound, unbound].iter().find_map(|data| {
        let mut bytes = sealed.to_vec();
        let plain = SealKey::new(key).open_in_place(*nonce, data, &mut bytes).ok()?;
        Some(SecretVec::copy_from(plain))
    })
}

/// Index and key of each child that is there.
fn children_of(
    id: NodeId,
    arity_log2: u8,
    keys: &SecretVec,
) -> impl Iterator<Item = (u64, Secret<32>)> {
    let first = id.index << arity_log2;
    let keys = (first..).zip(keys.expose().chunks_exact(32));
    keys.filter(|(_, bytes)| bytes.iter().any(|byte| *byte != 0))
        .map(|(index, bytes)| (index, Secret::init_with(|key| key.copy_from_slice(bytes))))
}
