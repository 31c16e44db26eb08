//! A new installation: an empty tree, Lethe's own secrets, a log with its first entry.
//!
//! Order: everything is stored, then the slot gets the root, then the store is marked ready. A
//! crash before the mark leaves an installation that never held a key; the next start makes it
//! anew, over the same rows.

use lethe_erasure::tree::{ARITY_LOG2_DEFAULT, Committed, NodeWrite, Tree};
use lethe_log::{Entry, EntryType, LogTree, leaf_hash};
use lethe_store::Batch;
use lethe_types::{BatchId, Entropy, KeyId, Secret, SecretVec, TreeId};

use super::{FORMAT_READY, LogHead, Parts, StartError};
use crate::committer::SOFTWARE;
use crate::{keys, seal, system};

pub(super) fn create(parts: &mut Parts) -> Result<(), StartError> {
    let entropy = &*parts.entropy;
    let tree_id = super::recover::tree_id(parts)?;
    check_slot(parts, tree_id)?;
    let (mut tree, mut nodes) = Tree::create(tree_id, ARITY_LOG2_DEFAULT, entropy)?;
    let origin = match &parts.origin {
        Some(origin) => origin.clone(),
        None => derived_origin(tree_id),
    };
    let mut batch = Batch::new()
        .put(keys::meta("epoch"), tree.epoch().to_be_bytes().to_vec())
        .put(keys::meta("origin"), origin.into_bytes());
    let secrets = [system::LOG_SEED, system::PEPPER];
    let leaves: Vec<u64> = (0..).take(secrets.len()).collect();
    let staged = tree.stage(&[], &leaves, entropy)?;
    for (position, (&id, &leaf)) in secrets.iter().zip(&leaves).enumerate() {
        let row = sealed_secret(tree_id, id, leaf, staged.record_key(position), entropy)?;
        batch = batch.put(system::row(id), row);
    }
    for write in staged.writes() {
        nodes.retain(|node| node.address != write.address);
        nodes.push(write.clone());
    }
    if let Committed::SameRoot(same) = staged.committed() {
        tree.apply_same_root(same)?;
    }
    let opened = Entry {
        entry_type: EntryType::LogOpened,
        time: parts.clock.now(),
        tree_id,
        revision: parts.store.revision()?.0 + 1,
        software: SOFTWARE.to_owned(),
        door: None,
        subject: None,
        detail: None,
        erasure: None,
    };
    let entry = opened.to_json().map_err(|_| StartError::Damaged("the first log entry"))?;
    let log = LogTree::new().stage(&[leaf_hash(entry.as_bytes())]);
    let head = LogHead { size: log.new_size(), root: log.new_root };
    batch = batch.put(keys::meta("log"), head.encode()).put(keys::leaf(0), entry.into_bytes());
    for NodeWrite { address, blob } in nodes {
        batch = batch.put(keys::node(&address), blob.to_vec());
    }
    parts.store.commit(batch)?;
    put_first_image(parts, &tree)?;
    // A crash before this line: unfinished, and made anew. After it: an installation.
    let ready = Batch::new().put(keys::meta("format"), FORMAT_READY.to_vec());
    parts.store.commit(ready)?;
    Ok(())
}

/// The slot is empty, or holds the root of this creation, which was cut short. Anything else may be
/// the only root of another installation and is not touched.
fn check_slot(parts: &Parts, tree_id: TreeId) -> Result<(), StartError> {
    let held = parts.slot.load()?;
    let foreign = held.images.iter().any(|image| image.tree_id != tree_id);
    // A sector that does not open may be another installation's under another seal.
    if foreign || !held.faults.is_empty() { Err(StartError::SlotInUse) } else { Ok(()) }
}

/// The slot may hold the root of this creation when it was cut short; it goes.
fn put_first_image(parts: &mut Parts, tree: &Tree) -> Result<(), StartError> {
    let mut image = tree.first_image(BatchId::random(&*parts.entropy)?);
    let before = parts.slot.load()?;
    let newest = before.images.iter().map(|image| image.generation).max();
    image.generation = newest.unwrap_or(0) + 1;
    parts.slot.put_new(&image)?;
    if newest.is_some() {
        parts.slot.erase_all_but(image.generation)?;
    }
    Ok(())
}

fn sealed_secret(
    tree_id: TreeId,
    id: KeyId,
    leaf: u64,
    record_key: &Secret<32>,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, StartError> {
    let secret = SecretVec::try_init_with(32, |bytes| entropy.fill(bytes))?;
    let sealed =
        seal::seal_version(tree_id, id, system::SECRET_VERSION, leaf, record_key, &secret, entropy)
            .map_err(|_| StartError::Entropy)?;
    Ok([leaf.to_be_bytes().as_slice(), &sealed].concat())
}

/// The name of a log whose installation chose none.
fn derived_origin(tree_id: TreeId) -> String {
    let digits = tree_id.to_string();
    format!("lethe.local/{}", &digits[..16])
}
