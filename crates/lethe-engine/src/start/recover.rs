//! What a crash left: old roots, leftover nodes, destructions that were begun.

use lethe_erasure::allocator::Allocator;
use lethe_erasure::recovery::{self, StoreClaim};
use lethe_erasure::slot::SlotImage;
use lethe_erasure::tree::{Committed, NodeAddress, StoredNodes, Tree};
use lethe_log::{ErasureNote, LogSigner, LogTree, SlotFact, Word};
use lethe_store::Batch;
use lethe_types::{BatchId, Secret, TreeId, UnixMillis};

use super::load::{Loaded, rows};
use super::{Parts, StartError};
use crate::catalogue::Catalogue;
use crate::committer::told_of;
use crate::idempotency::Idempotency;
use crate::{keys, system};

/// A complete tree whose root is the only one in the slot.
pub(super) struct Recovered {
    pub(super) tree: Tree,
    pub(super) image: SlotImage,
}

/// Everything in memory, and every destruction that was begun completed.
pub(super) struct Catalogued {
    pub(super) tree: Tree,
    pub(super) image: SlotImage,
    pub(super) log: LogTree,
    pub(super) catalogue: Catalogue,
    pub(super) idempotency: Idempotency,
    pub(super) allocator: Allocator,
    pub(super) pepper: Secret<32>,
}

/// Chooses the root, erases any other, removes leftover nodes.
pub(super) fn recover(parts: &mut Parts) -> Result<Recovered, StartError> {
    let store = &*parts.store;
    let tree_id = tree_id(parts)?;
    let epoch = meta(parts, "epoch")?;
    let epoch = epoch.try_into().map(u64::from_be_bytes);
    let epoch = epoch.map_err(|_| StartError::Damaged("the tree's epoch"))?;
    let mut nodes = StoredNodes::new();
    rows(store, keys::NODE, |key, versioned| {
        let damaged = StartError::Damaged("a node of the erasure tree");
        let address = NodeAddress::parse(key).map_err(|_| damaged)?;
        nodes
            .insert(address, versioned.value)
            .map_err(|_| StartError::Damaged("a node of the erasure tree"))
    })?;
    let loaded = parts.slot.load()?;
    let recovered = recovery::recover(loaded, StoreClaim { tree_id, epoch, nodes: &nodes })?;
    // Two roots: a crash came between writing the new one and erasing the old one. This is the
    // instant of erasure of that batch.
    let cleared = recovered.erase_others(&mut *parts.slot).map_err(|failed| failed.error)?;
    if !cleared.leftover().is_empty() || cleared.epoch() != epoch {
        let mut batch =
            Batch::new().put(keys::meta("epoch"), cleared.epoch().to_be_bytes().to_vec());
        for address in cleared.leftover() {
            batch = batch.delete(keys::node(address));
        }
        parts.store.commit(batch)?;
    }
    let (tree, image) = cleared.leftovers_dropped();
    Ok(Recovered { tree, image })
}

/// Carries out the destructions whose transaction is durable but whose root is not erased, and
/// makes up for a missing erasure note.
pub(super) fn complete(
    parts: &mut Parts,
    recovered: Recovered,
    loaded: Loaded,
    signer: &LogSigner,
) -> Result<Catalogued, StartError> {
    let Recovered { mut tree, mut image } = recovered;
    let cuts: Vec<u64> = loaded
        .destructions
        .iter()
        .filter(|(epoch, _)| *epoch > tree.epoch())
        .flat_map(|(_, leaves)| leaves.iter().copied())
        .filter(|leaf| tree.is_taken(*leaf))
        .collect();
    if !cuts.is_empty() {
        image = cut_again(parts, &mut tree, image, &cuts)?;
    }
    if tree.epoch() > 1 && parts.store.get(&keys::erased(tree.epoch()))?.is_none() {
        store_note(parts, &tree, &image, loaded.newest_entry, signer)?;
    }
    if !loaded.leaves.taken_leaves().all(|leaf| tree.is_taken(leaf)) {
        return Err(StartError::Damaged("a live key whose record key is gone"));
    }
    let Loaded { catalogue, idempotency, log, pepper, leaves: allocator, .. } = loaded;
    Ok(Catalogued { tree, image, log, catalogue, idempotency, allocator, pepper })
}

/// The batch once more: T1, L1, L2, T2. Its log entries are in the log already.
fn cut_again(
    parts: &mut Parts,
    tree: &mut Tree,
    image: SlotImage,
    cuts: &[u64],
) -> Result<SlotImage, StartError> {
    let staged = tree.stage(cuts, &[], &*parts.entropy)?;
    let mut pending = Batch::new();
    for node in staged.writes() {
        pending = pending.put(keys::node(&node.address), node.blob.to_vec());
    }
    parts.store.commit(pending)?;
    let Committed::NewRoot(step) = staged.committed() else {
        return Err(StartError::Damaged("a cut that leaves the root"));
    };
    let batch = BatchId::random(&*parts.entropy)?;
    let seconds = parts.clock.now().seconds();
    let written =
        step.write_root(&mut *parts.slot, &image, batch, seconds).map_err(|failed| failed.error)?;
    let erased = written.erase_old(&mut *parts.slot).map_err(|failed| failed.error)?;
    let applied = tree.apply(erased)?;
    let mut settle = Batch::new().put(keys::meta("epoch"), tree.epoch().to_be_bytes().to_vec());
    for address in &applied.drops {
        settle = settle.delete(keys::node(address));
    }
    parts.store.commit(settle)?;
    Ok(applied.image)
}

/// The old root is gone, but a crash came before the note about it was stored. The moment is now at
/// the latest. If the destruction was answered before the crash, that receipt holds an earlier note
/// of the same erasure; both are true, and the earlier one says more.
fn store_note(
    parts: &Parts,
    tree: &Tree,
    image: &SlotImage,
    newest_entry: UnixMillis,
    signer: &LogSigner,
) -> Result<(), StartError> {
    let damaged = |_| StartError::Damaged("an erasure note");
    let word = |text: &str| text.parse::<Word>().expect("kinds and classes are words");
    let (lost_replicas, recovery_shares) = told_of(parts.slot.remnants());
    let note = ErasureNote {
        tree_id: tree.tree_id(),
        epoch_from: tree.epoch() - 1,
        epoch_to: tree.epoch(),
        irrecoverable_since: parts.clock.now().max(newest_entry),
        slot: SlotFact {
            kind: word(parts.slot.kind().as_str()),
            class: word(parts.slot.class().as_str()),
            generation: image.generation,
        },
        recoverable_from_backups_until: image
            .recoverable_until_s(tree.epoch() - 1)
            .map(|seconds| UnixMillis(seconds.saturating_mul(1_000))),
        lost_replicas,
        recovery_shares,
    };
    let text = note.sign(signer).map_err(|_| ()).map_err(damaged)?;
    parts.store.commit(Batch::new().put(keys::erased(tree.epoch()), text.into_bytes()))?;
    Ok(())
}

/// The identifier that the store was created with.
pub(super) fn tree_id(parts: &Parts) -> Result<TreeId, StartError> {
    let stored = meta(parts, "tree_id")?;
    Ok(TreeId(stored.try_into().map_err(|_| StartError::Damaged("the tree's id"))?))
}

pub(super) fn meta(parts: &Parts, name: &str) -> Result<Vec<u8>, StartError> {
    let found = parts.store.get(&keys::meta(name))?;
    found.map(|versioned| versioned.value).ok_or(StartError::Damaged("a row that always exists"))
}

/// One of Lethe's own secrets.
pub(super) fn secret(
    parts: &Parts,
    tree: &Tree,
    id: lethe_types::KeyId,
) -> Result<(u64, Secret<32>), StartError> {
    let damaged = || StartError::Damaged("a secret of Lethe itself");
    let row = parts.store.get(&system::row(id))?.ok_or_else(damaged)?.value;
    let (leaf, sealed) = row.split_first_chunk::<8>().ok_or_else(damaged)?;
    let leaf = u64::from_be_bytes(*leaf);
    let record_key = tree.record_key(leaf)?.ok_or_else(damaged)?;
    let header = lethe_erasure::tree::RecordHeader {
        flags: 0,
        record_id: id.0,
        leaf,
        key_version: system::SECRET_VERSION,
    };
    let opened = lethe_erasure::tree::open_record(tree.tree_id(), &record_key, &header, sealed)
        .map_err(|_| damaged())?;
    let bytes: &[u8; 32] = opened.expose().try_into().map_err(|_| damaged())?;
    Ok((leaf, Secret::init_with(|buf| buf.copy_from_slice(bytes))))
}
