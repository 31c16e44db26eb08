//! A log with one destruction in it, and the means to change any part before it is signed.

use lethe_crypto::note_key::NoteSigningKey;
use lethe_crypto::registry::{Algorithm, UsableKey};
use lethe_log::{
    Actor, Commitment, DestroyedDetail, Entry, EntryType, ErasureFacts, ErasureNote, Hash,
    Invalidation, LogSigner, LogTree, NoteKeyName, NoteSigner, Prover, Quorum, ROLE_APPROVER,
    ROLE_REQUESTER, ReadError, Receipt, Salt, SignatureKind, SignedStatement, SlotFact, Subject,
    TILE_HASHES, TileReader, VerifierKey, VersionDetail, leaf_hash,
};
use lethe_types::{
    Entropy, EntropyError, KeyId, PrincipalId, RealmId, Secret, TreeId, UnixMillis, VaultId,
};

pub(super) const ORIGIN: &str = "kms.example/deletions";
const WITNESS: &str = "witness.example/w1";
const INDEX: u64 = 3;
const SIZE: u8 = 5;

/// Everything that goes into a receipt, before commitments, proof and signatures are made.
pub(super) struct Parts {
    pub(super) subject: Subject,
    pub(super) detail: DestroyedDetail,
    pub(super) salt: Salt,
    pub(super) entry: Entry,
    pub(super) note: ErasureNote,
}

pub(super) fn signing_key(seed: u8) -> NoteSigningKey {
    NoteSigningKey::from_seed(&Secret::init_with(|bytes| bytes.fill(seed))).unwrap()
}

pub(super) fn signer(seed: u8) -> LogSigner {
    LogSigner::new(ORIGIN, signing_key(seed)).unwrap()
}

pub(super) fn note_signer(name: &str, seed: u8) -> NoteSigner {
    NoteSigner::new(name.parse().unwrap(), signing_key(seed))
}

pub(super) fn log_key() -> VerifierKey {
    signer(1).verifier_key().clone()
}

pub(super) fn witness_key(seed: u8) -> VerifierKey {
    let name: NoteKeyName = WITNESS.parse().unwrap();
    let public_key = *signing_key(seed).public_key();
    VerifierKey::new(name, SignatureKind::Ed25519Cosignature, public_key)
}

pub(super) struct NoTiles;

impl TileReader for NoTiles {
    fn tile(&self, level: u8, index: u64) -> Result<Box<[Hash; TILE_HASHES]>, ReadError> {
        Err(ReadError::Missing { level, index })
    }
}

pub(super) fn parts() -> Parts {
    let slot = SlotFact {
        kind: "file".parse().unwrap(),
        class: "overwrite".parse().unwrap(),
        generation: 41,
    };
    Parts {
        subject: Subject::Key { key: KeyId([0xc3; 16]), realm: RealmId([0xd4; 16]) },
        detail: DestroyedDetail {
            actor: Actor { id: PrincipalId([0xa1; 16]), name: "Ada".to_owned() },
            algorithm: "aes256-gcm".to_owned(),
            aliases: vec!["tag-1".to_owned()],
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
        },
        salt: Salt([0x55; 32]),
        entry: Entry {
            entry_type: EntryType::KeyDestroyed,
            time: UnixMillis(1_790_000_000_005),
            tree_id: TreeId([7; 16]),
            revision: 99,
            software: "lethe 0.1.0".to_owned(),
            door: Some("native".parse().unwrap()),
            subject: None,
            detail: None,
            erasure: Some(ErasureFacts {
                epoch_from: 41,
                epoch_to: 42,
                slots: vec![slot.clone()],
                quorum: Quorum { erased: 1, n: 1, t: 1 },
                invalidation: Invalidation { acked: 1, evicted: 0 },
                backups_after: None,
            }),
        },
        note: ErasureNote {
            tree_id: TreeId([7; 16]),
            epoch_from: 41,
            epoch_to: 42,
            irrecoverable_since: UnixMillis(1_790_000_000_009),
            slot,
            recoverable_from_backups_until: None,
            lost_replicas: None,
            recovery_shares: None,
        },
    }
}

/// Commits, logs and signs honestly whatever the parts are.
pub(super) fn issue(parts: &Parts, signer: &LogSigner) -> Receipt {
    let mut entry = parts.entry.clone();
    let detail = parts.detail.to_json().unwrap();
    entry.subject = Some(Commitment::to_subject(&parts.salt, &parts.subject));
    entry.detail = Some(Commitment::to_detail(&parts.salt, &detail));
    log(entry, parts, signer)
}

/// Logs and signs `entry` as it is.
pub(super) fn log(entry: Entry, parts: &Parts, signer: &LogSigner) -> Receipt {
    let leaf = |at: u8| match u64::from(at) {
        INDEX => leaf_hash(entry.to_json().unwrap().as_bytes()),
        _ => leaf_hash(&[at]),
    };
    let leaves: Vec<Hash> = (0..SIZE).map(leaf).collect();
    let mut tree = LogTree::new();
    tree.apply(tree.stage(&leaves)).unwrap();
    let inclusion = Prover::new(&tree, &NoTiles).inclusion(INDEX, tree.size()).unwrap();
    Receipt {
        subject: parts.subject,
        detail: parts.detail.clone(),
        salt: parts.salt,
        erasure: parts.note.sign(signer).unwrap(),
        index: INDEX,
        inclusion,
        checkpoint: signer.checkpoint(tree.size(), tree.root()),
        entry,
    }
}

pub(super) fn receipt() -> Receipt {
    issue(&parts(), &signer(1))
}

/// Somebody with a key of their own.
pub(super) struct Person {
    principal: PrincipalId,
    scheme: &'static str,
    key: UsableKey,
}

impl Person {
    /// Keys of Ed25519 are the same at every run; those of others cannot be.
    pub(super) fn new(principal: u8, algorithm: &str, scheme: &'static str) -> Self {
        let algorithm = Algorithm::from_name(algorithm).unwrap();
        let material = algorithm.generate(&Repeated(principal)).unwrap();
        let key = algorithm.load(material.secret()).unwrap();
        Self { principal: PrincipalId([principal; 16]), scheme, key }
    }

    pub(super) fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The order of a passkey: client data in a browser's form, and these authenticator data.
    pub(super) fn sign_as_passkey(&self, statement: &str, data: &[u8]) -> SignedStatement {
        let scheme = Some(self.scheme.parse().unwrap());
        let message = lethe_log::signed_bytes(statement, Some(data));
        SignedStatement {
            signature: self.key.sign(scheme, &message).unwrap(),
            authenticator_data: Some(data.to_vec()),
            ..self.sign(ROLE_REQUESTER, statement)
        }
    }

    pub(super) fn sign(&self, role: &str, statement: &str) -> SignedStatement {
        let scheme = Some(self.scheme.parse().unwrap());
        SignedStatement {
            role: role.parse().unwrap(),
            principal: self.principal,
            scheme: self.scheme.to_owned(),
            statement: statement.to_owned(),
            request: None,
            authenticator_data: None,
            public_key_der: self.key.public_key().unwrap().spki_der().to_vec(),
            signature: self.key.sign(scheme, statement.as_bytes()).unwrap(),
        }
    }
}

struct Repeated(u8);

impl Entropy for Repeated {
    fn fill(&self, buf: &mut [u8]) -> Result<(), EntropyError> {
        buf.fill(self.0);
        Ok(())
    }
}

/// An approval of the destruction of [`parts`], asked for by its actor, good for a day.
pub(super) fn approval_text() -> String {
    let lines = [
        "lethe-approval/v1".to_owned(),
        format!("approval {}", "ab".repeat(16)),
        format!("realm {}", "d4".repeat(16)),
        "operation key.destroy".to_owned(),
        format!("key {}", "c3".repeat(16)),
        format!("requester {}", "a1".repeat(16)),
        "expires 2026-09-22T14:13:20.000Z".to_owned(),
        "reason contract \"ended\"".to_owned(),
    ];
    lines.map(|line| line + "\n").concat()
}

/// Approved by one principal, asked for under a signature by its actor.
pub(super) fn approved() -> Parts {
    let mut parts = parts();
    parts.detail.evidence = vec![
        Person::new(1, "ed25519", "ed25519").sign(ROLE_APPROVER, &approval_text()),
        Person::new(0xa1, "ed25519", "ed25519").sign(ROLE_REQUESTER, "DELETE /v1/keys/c3c3\n"),
    ];
    parts
}
