//! What the texts of one destruction cost, in microseconds: `cargo bench -p lethe-log`.
//!
//! Prints one line per step: the fastest of several rounds, each the mean of many calls. The
//! fastest, since on a shared machine everything but the work itself only ever adds to it.

use std::hint::black_box;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use lethe_crypto::note_key::NoteSigningKey;
use lethe_log::{
    Actor, Commitment, DestroyedDetail, Entry, EntryType, ErasureFacts, ErasureNote, Hash,
    Invalidation, LogSigner, Quorum, ROLE_APPROVER, Receipt, Salt, SignedStatement, SlotFact,
    Subject, VersionDetail,
};
use lethe_types::{KeyId, PrincipalId, RealmId, Secret, TreeId, UnixMillis, VaultId};

fn main() -> io::Result<()> {
    let plain = receipt(1, 0);
    measure("plain", &plain)?;
    measure("3 versions, 2 approvals", &receipt(3, 2))?;
    measure("100 versions, 16 approvals", &receipt(100, 16))
}

fn measure(what: &str, receipt: &Receipt) -> io::Result<()> {
    let (proof, json) = (receipt.to_proof().expect("built"), receipt.to_json().expect("built"));
    let mut out = io::stdout().lock();
    writeln!(out, "{what}: proof of {} bytes, JSON of {} bytes", proof.len(), json.len())?;
    let mut told = |name: &str, mut call: Box<dyn FnMut() + '_>| {
        writeln!(out, "  {name:<24} {:>9.2} us", fastest_us(&mut call))
    };
    told("commit: detail, entry", Box::new(|| drop(black_box(commit(receipt)))))?;
    told("to_proof", Box::new(|| drop(black_box(receipt.to_proof()))))?;
    told("to_json", Box::new(|| drop(black_box(receipt.to_json()))))?;
    told("answer: JSON and header", Box::new(|| drop(black_box(answer(receipt)))))?;
    told("parse_proof", Box::new(|| drop(black_box(Receipt::parse_proof(black_box(&proof))))))?;
    told("read JSON", Box::new(|| drop(black_box(Receipt::read(black_box(json.as_bytes()))))))
}

/// What the committer writes.
fn commit(receipt: &Receipt) -> String {
    let detail = receipt.detail.to_json().expect("within bounds");
    let mut entry = receipt.entry.clone();
    entry.subject = Some(Commitment::to_subject(&receipt.salt, &receipt.subject));
    entry.detail = Some(Commitment::to_detail(&receipt.salt, &detail));
    entry.to_json().expect("within bounds")
}

/// What a door answers.
fn answer(receipt: &Receipt) -> (String, String) {
    let written = receipt.write().expect("within bounds");
    (written.json().expect("within bounds"), written.header().expect("within bounds"))
}

#[expect(clippy::disallowed_methods, reason = "a measurement; nothing is decided by it")]
fn fastest_us(call: &mut dyn FnMut()) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed() / CALLS
    });
    rounds.min().map_or(f64::NAN, |best: Duration| best.as_secs_f64() * 1e6)
}

fn receipt(versions: u32, approvals: u8) -> Receipt {
    let key = NoteSigningKey::from_seed(&Secret::init_with(|bytes| bytes.fill(1)));
    let signer = LogSigner::new("kms.example/deletions", key.expect("a seed")).expect("a name");
    let (realm, salt) = (RealmId([0xd4; 16]), Salt([0x55; 32]));
    let slot = SlotFact {
        kind: "file".parse().expect("a word"),
        class: "overwrite".parse().expect("a word"),
        generation: 41,
    };
    let mut receipt = Receipt {
        entry: entry(slot.clone()),
        subject: Subject::Key { key: KeyId([0xc3; 16]), realm },
        detail: detail(versions, approvals),
        salt,
        erasure: note(slot).sign(&signer).expect("valid"),
        index: 700_000,
        inclusion: (0..20).map(|at| Hash([at; 32])).collect(),
        checkpoint: signer.checkpoint(1_000_000, Hash([9; 32])),
    };
    receipt.entry = Entry::parse(&commit(&receipt)).expect("an entry");
    receipt
}

fn detail(versions: u32, approvals: u8) -> DestroyedDetail {
    let approval = |at: u8| SignedStatement {
        role: ROLE_APPROVER.parse().expect("a word"),
        principal: PrincipalId([at; 16]),
        scheme: "ecdsa-sha256".to_owned(),
        statement: "lethe-approval/v1\n".to_owned() + &"key c3c3c3c3c3c3c3c3c3c3c3c3\n".repeat(11),
        request: None,
        authenticator_data: None,
        public_key_der: vec![at; 91],
        signature: vec![at; 71],
    };
    let version = |version| VersionDetail { created: UnixMillis(1_780_000_000_000), version };
    DestroyedDetail {
        actor: Actor { id: PrincipalId([0xa1; 16]), name: "billing service".to_owned() },
        aliases: vec!["customer/0000-1111-2222-3333".to_owned()],
        algorithm: "aes256-gcm".to_owned(),
        derived_from: None,
        evidence: (0..approvals).map(approval).collect(),
        exported: false,
        imported: false,
        last_used: Some(UnixMillis(1_789_000_000_000)),
        name: "customer 4711, invoices".to_owned(),
        reason: "contract ended, retention over".to_owned(),
        requested: UnixMillis(1_790_000_000_000),
        revoked: Vec::new(),
        scheduled_by: None,
        unusable_since: UnixMillis(1_790_000_000_005),
        vault: VaultId([0xb2; 16]),
        versions: (1..=versions).map(version).collect(),
    }
}

fn entry(slot: SlotFact) -> Entry {
    Entry {
        entry_type: EntryType::KeyDestroyed,
        time: UnixMillis(1_790_000_000_005),
        tree_id: TreeId([7; 16]),
        revision: 99_000,
        software: "lethe 0.1.0".to_owned(),
        door: Some("native".parse().expect("a word")),
        subject: None,
        detail: None,
        erasure: Some(ErasureFacts {
            epoch_from: 41,
            epoch_to: 42,
            slots: vec![slot],
            quorum: Quorum { erased: 1, n: 1, t: 1 },
            invalidation: Invalidation { acked: 1, evicted: 0 },
            backups_after: None,
        }),
    }
}

fn note(slot: SlotFact) -> ErasureNote {
    ErasureNote {
        tree_id: TreeId([7; 16]),
        epoch_from: 41,
        epoch_to: 42,
        irrecoverable_since: UnixMillis(1_790_000_000_009),
        slot,
        recoverable_from_backups_until: None,
        lost_replicas: None,
        recovery_shares: None,
    }
}

/// Short rounds, so that some of them are never interrupted.
const ROUNDS: u32 = 400;
const CALLS: u32 = 50;
