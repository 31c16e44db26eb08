//! What several tests share: keys, tiles in memory, a small log with a destruction in it.

use std::collections::BTreeMap;

use lethe_crypto::note_key::NoteSigningKey;
use lethe_types::{KeyId, PrincipalId, RealmId, Secret, TreeId, UnixMillis, VaultId};

use crate::{
    Actor, Commitment, DestroyedDetail, Entry, EntryType, ErasureFacts, ErasureNote, Hash,
    Invalidation, LogSigner, LogTree, Prover, Quorum, ReadError, Receipt, Salt, SlotFact, Subject,
    TILE_HASHES, TileReader, VersionDetail, leaf_hash,
};

pub(super) const ORIGIN: &str = "kms.example/deletions";

pub(super) fn signing_key(seed: u8) -> NoteSigningKey {
    let seed = Secret::init_with(|bytes| bytes.fill(seed));
    NoteSigningKey::from_seed(&seed).unwrap()
}

pub(super) fn log_signer() -> LogSigner {
    LogSigner::new(ORIGIN, signing_key(1)).unwrap()
}

/// Full tiles in memory; counts nothing, forgets nothing.
#[derive(Default)]
pub(super) struct MemoryTiles(pub(super) BTreeMap<(u8, u64), Box<[Hash; TILE_HASHES]>>);

impl TileReader for MemoryTiles {
    fn tile(&self, level: u8, index: u64) -> Result<Box<[Hash; TILE_HASHES]>, ReadError> {
        let tile = self.0.get(&(level, index)).cloned();
        tile.ok_or(ReadError::Missing { level, index })
    }
}

/// A tree with its tiles, grown in one go.
pub(super) fn grow(tree: &mut LogTree, tiles: &mut MemoryTiles, leaves: &[Hash]) {
    let staged = tree.stage(leaves);
    for tile in &staged.full_tiles {
        let before = tiles.0.insert((tile.level, tile.index), tile.hashes.clone());
        assert!(before.is_none(), "a full tile is handed out once");
    }
    tree.apply(staged).unwrap();
}

pub(super) fn slot() -> SlotFact {
    SlotFact { kind: "file".parse().unwrap(), class: "overwrite".parse().unwrap(), generation: 41 }
}

pub(super) fn facts() -> ErasureFacts {
    ErasureFacts {
        epoch_from: 41,
        epoch_to: 42,
        slots: vec![slot()],
        quorum: Quorum { erased: 1, n: 1, t: 1 },
        invalidation: Invalidation { acked: 1, evicted: 0 },
        backups_after: None,
    }
}

pub(super) fn detail() -> DestroyedDetail {
    DestroyedDetail {
        actor: Actor { id: PrincipalId([0xa1; 16]), name: "Ada".to_owned() },
        aliases: vec!["tag-1".to_owned()],
        algorithm: "aes256-gcm".to_owned(),
        derived_from: None,
        evidence: Vec::new(),
        exported: false,
        imported: false,
        last_used: None,
        name: "customer 7".to_owned(),
        reason: "contract ended".to_owned(),
        requested: UnixMillis(1_790_000_000_000),
        revoked: Vec::new(),
        scheduled_by: None,
        unusable_since: UnixMillis(1_790_000_000_005),
        vault: VaultId([0xb2; 16]),
        versions: vec![VersionDetail { created: UnixMillis(1_780_000_000_000), version: 1 }],
    }
}

pub(super) fn subject() -> Subject {
    Subject::Key { key: KeyId([0xc3; 16]), realm: RealmId([0xd4; 16]) }
}

pub(super) fn entry(salt: &Salt) -> Entry {
    let detail = detail().to_json().unwrap();
    Entry {
        entry_type: EntryType::KeyDestroyed,
        time: UnixMillis(1_790_000_000_005),
        tree_id: TreeId([7; 16]),
        revision: 99,
        software: "lethe 0.1.0".to_owned(),
        door: Some("native".parse().unwrap()),
        subject: Some(Commitment::to_subject(salt, &subject())),
        detail: Some(Commitment::to_detail(salt, &detail)),
        erasure: Some(facts()),
    }
}

pub(super) fn erasure_note() -> ErasureNote {
    ErasureNote {
        tree_id: TreeId([7; 16]),
        epoch_from: 41,
        epoch_to: 42,
        irrecoverable_since: UnixMillis(1_790_000_000_009),
        slot: slot(),
        recoverable_from_backups_until: None,
        lost_replicas: None,
        recovery_shares: None,
    }
}

pub(super) fn receipt() -> Receipt {
    let (signer, salt) = (log_signer(), Salt([0x55; 32]));
    let entry = entry(&salt);
    let leaves: Vec<Hash> = (0_u8..5)
        .map(|at| match at {
            3 => leaf_hash(entry.to_json().unwrap().as_bytes()),
            other => leaf_hash(&[other]),
        })
        .collect();
    let (mut tree, mut tiles) = (LogTree::new(), MemoryTiles::default());
    grow(&mut tree, &mut tiles, &leaves);
    Receipt {
        subject: subject(),
        detail: detail(),
        salt,
        erasure: erasure_note().sign(&signer).unwrap(),
        index: 3,
        inclusion: Prover::new(&tree, &tiles).inclusion(3, 5).unwrap(),
        checkpoint: signer.checkpoint(5, tree.root()),
        entry,
    }
}
