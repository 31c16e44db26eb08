//! The engine and the model side by side.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lethe_store::CommitFault;
use lethe_types::{
    ApprovalId, CredentialId, Entropy, EntropyError, HoldId, KeyId, Permission, PrincipalId,
    RealmId, VaultId,
};
use parking_lot::Mutex;

use super::convert::{
    alias_of, grants, is_one_change, makes_nothing, pick, policy, shared_secret, transition, when,
};
use super::ops::{Chance, Fault, Names, Op, Rights, Step};
use super::rules::{actor_of, by_somebody};
use super::world::World;
use crate::caretaker::Rounds;
use crate::committer::{Change, Step as Changed};
use crate::record::{Derivation, HoldKind, JobState, NameRule, Scope};
use crate::tests::rig::{
    Rig, START_MS, Signer, acme, aes, as_principal, create, on, said, said_of,
};
use crate::tests::support::encrypt;
use crate::{
    BulkRequest, Caller, CreateKeyRequest, CreatePrincipalRequest, DestroyRequest, Engine,
    HoldRequest, IdempotencyKey, KeyChange, PrincipalChange, Selection, VaultChange, VaultRequest,
};

/// Where the identifiers and secrets of every run come from: a list of steps is played alike each
/// time.
const PLAY_SEED: u64 = 0x6c65_7468_6501_0001;

/// Keys of one batch of a bulk destruction.
const BULK_KEYS: usize = 3;

/// Random bytes that are the same each time.
struct Drawn(Mutex<Chance>);

impl Drawn {
    fn from(seed: u64) -> Self {
        Self(Mutex::new(Chance(seed)))
    }
}

impl Entropy for Drawn {
    fn fill(&self, buf: &mut [u8]) -> Result<(), EntropyError> {
        let mut chance = self.0.lock();
        for chunk in buf.chunks_mut(8) {
            chunk.copy_from_slice(&chance.next().to_be_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// Where a run went wrong.
pub(super) struct Failure {
    pub(super) at: usize,
    pub(super) what: String,
}

/// Plays the steps: all that was answered, or where engine and model differ first.
pub(super) fn play(base: &Base, steps: &[Step]) -> Result<BTreeSet<&'static str>, Failure> {
    let mut play = Play {
        rig: Some(base.rig.fork_with(Arc::new(Drawn::from(PLAY_SEED)))),
        model: World::new(START_MS),
        ids: base.ids.clone(),
        base,
        rounds: Rounds::default(),
        answers: BTreeSet::new(),
    };
    for (at, (op, fault)) in steps.iter().enumerate() {
        play.step(op, *fault).map_err(|what| Failure { at, what })?;
    }
    play.prove().map_err(|what| Failure { at: steps.len().saturating_sub(1), what })?;
    Ok(play.answers)
}

/// What every run begins with.
pub(super) struct Base {
    rig: Rig,
    pub(super) realm: RealmId,
    ids: Ids,
    signers: [Signer; 2],
}

#[derive(Clone, Default)]
pub(super) struct Ids {
    pub(super) keys: Vec<KeyId>,
    pub(super) vaults: Vec<VaultId>,
    pub(super) people: Vec<PrincipalId>,
    pub(super) approvals: Vec<ApprovalId>,
    holds: Vec<HoldId>,
    credentials: Vec<CredentialId>,
}

impl Base {
    pub(super) fn new() -> Self {
        let entropy = Arc::new(Drawn::from(PLAY_SEED - 1));
        let mut rig = Rig::new().fork_with(entropy);
        let realm = rig.realm();
        let caller = acme(&rig.engine);
        let default = rig.engine.read_realm(&caller).unwrap().default_vault;
        let mut ids = Ids { vaults: vec![default], ..Ids::default() };
        for name in ["first", "second"] {
            ids.vaults.push(rig.vault(name, VaultChange::default()));
        }
        let local = ids.vaults[1];
        let mut person = |rig: &mut Rig, name: &str, rights| {
            let grants = grants(rights, &ids.vaults);
            ids.people.push(rig.principal(name, grants));
        };
        person(&mut rig, "destroyer", Rights::Destroyer);
        person(&mut rig, "scheduler", Rights::Scheduler);
        let approver = [Permission::KeysDestroyApprove, Permission::KeysRead];
        let signers = ["one", "other"].map(|name| rig.signer(name, on(Scope::Realm, &approver)));
        ids.people.extend(signers.iter().map(|signer| signer.principal));
        ids.people.push(rig.principal("local", on(Scope::Vault(local), Permission::ALL)));
        ids.people.push(rig.principal("nobody", Vec::new()));
        for &person in &ids.people {
            let entry = rig.engine.read_principal(&caller, person).unwrap();
            ids.credentials.push(entry.record().credentials[0].id);
        }
        ids.credentials.extend(signers.iter().map(|signer| signer.credential));
        Self { rig, realm, ids, signers }
    }
}

pub(super) struct Play<'a> {
    pub(super) rig: Option<Rig>,
    pub(super) model: World,
    pub(super) ids: Ids,
    pub(super) base: &'a Base,
    rounds: Rounds,
    /// Everything that was answered.
    answers: BTreeSet<&'static str>,
}

impl Play<'_> {
    pub(super) fn rig(&mut self) -> &mut Rig {
        self.rig.as_mut().expect("taken only while it restarts")
    }

    fn step(&mut self, op: &Op, fault: Option<Fault>) -> Result<(), String> {
        self.rig().world.clock.advance(Duration::from_millis(1));
        self.model.now += 1;
        let op = by_somebody(op, &self.model);
        let mut next = self.model.clone();
        let told = next.apply(&op);
        let fault = fault.filter(|fault| {
            is_one_change(&op) && (*fault != Fault::DiedButApplied || makes_nothing(&op))
        });
        let mut expected = told.answer;
        match fault.filter(|_| told.commits) {
            Some(Fault::Failed | Fault::Died) => expected = "storage_unavailable",
            Some(Fault::Full) => expected = "storage_full",
            Some(Fault::DiedButApplied) => {
                expected = "storage_unavailable";
                self.model = next;
            }
            Some(Fault::FailedButApplied) | None => self.model = next,
        }
        let rig = self.rig();
        rig.fail_next(fault.map(|fault| match fault {
            Fault::Failed => CommitFault::Fail,
            Fault::FailedButApplied => CommitFault::ApplyThenFail,
            Fault::Full => CommitFault::Full,
            Fault::Died => CommitFault::Stop,
            Fault::DiedButApplied => CommitFault::ApplyThenStop,
        }));
        let answer = self.real(&op);
        if fault.is_some() && !told.commits {
            self.rig().run(async |engine| {
                let steps = vec![Changed::PutRows(Vec::new())];
                // Meets the fault that the operation did not.
                let _met = engine.submit_as_system(Change { steps, receipts: false }).await;
            });
        }
        if answer != expected {
            return Err(format!("{op:?} {fault:?}: engine {answer}, model {expected}"));
        }
        self.answers.insert(expected);
        if matches!(fault, Some(Fault::Died | Fault::DiedButApplied)) {
            self.restart();
        }
        self.compare().map_err(|what| format!("after {op:?} {fault:?}: {what}"))
    }

    /// The process dies, and is started again.
    pub(super) fn restart(&mut self) {
        self.real_of_nobody(&Op::Restart);
        self.model.apply(&Op::Restart);
    }

    fn caller(&self, engine: &Engine, by: usize) -> Result<Caller, crate::EngineError> {
        match by.checked_sub(1) {
            None => Ok(acme(engine)),
            Some(person) => as_principal(engine, self.base.realm, self.ids.people[person]),
        }
    }

    fn real(&mut self, op: &Op) -> String {
        let caller = match actor_of(op) {
            Some(by) => match self.caller(&self.rig.as_ref().expect("not taken").engine, by) {
                Ok(caller) => caller,
                Err(error) => return error.code().to_owned(),
            },
            None => return self.real_of_nobody(op),
        };
        match *op {
            Op::Create { .. } => self.create(&caller, op),
            Op::Destroy { key, wish, confirm, approval, .. } => {
                let key = pick(&self.ids.keys, key);
                let confirm = confirm.then(|| key.to_string());
                let approval = approval
                    .filter(|_| !self.ids.approvals.is_empty())
                    .map(|number| pick(&self.ids.approvals, number));
                let request = DestroyRequest {
                    when: when(wish),
                    confirm,
                    approval,
                    ..DestroyRequest::new(key)
                };
                let rig = self.rig();
                rig.run(async |engine| said_of(engine.destroy_key(&caller, request).await))
            }
            Op::Use { key, .. } => {
                let key = pick(&self.ids.keys, key);
                said(encrypt(&self.rig().engine, &caller, key))
            }
            Op::Cancel { .. }
            | Op::Rotate { .. }
            | Op::Move { .. }
            | Op::Protect { .. }
            | Op::Rename { .. }
            | Op::Alias { .. }
            | Op::Secret { .. }
            | Op::Hold { .. }
            | Op::Lift { .. } => self.of_key(&caller, op),
            Op::RealmPolicy { .. }
            | Op::VaultPolicy { .. }
            | Op::VaultNames { .. }
            | Op::NewVault { .. }
            | Op::RemoveVault { .. } => self.of_vault(&caller, op),
            Op::NewPerson { .. }
            | Op::Revoke { .. }
            | Op::Suspend { .. }
            | Op::Grant { .. }
            | Op::AddCredential { .. }
            | Op::DropCredential { .. } => self.of_person(&caller, op),
            Op::Ask { .. } | Op::Approve { .. } | Op::Withdraw { .. } => {
                self.of_approval(&caller, op)
            }
            Op::Bulk { .. } | Op::BulkList { .. } => self.bulk(&caller, op),
            Op::Pass { .. } | Op::Tend | Op::Idle | Op::Restart => "nobody's".to_owned(),
        }
    }

    pub(super) fn real_of_nobody(&mut self, op: &Op) -> String {
        match *op {
            Op::Pass { seconds } => {
                self.rig().world.clock.advance(Duration::from_secs(seconds));
            }
            Op::Tend => {
                let mut rounds = std::mem::take(&mut self.rounds);
                while self.rig().tend(&mut rounds) {}
                self.rounds = rounds;
            }
            Op::Idle => self.rig().idle(),
            _ => {
                self.rig = self.rig.take().map(Rig::restarted);
                self.rounds = Rounds::default();
            }
        }
        "ok".to_owned()
    }

    fn create(&mut self, caller: &Caller, op: &Op) -> String {
        let Op::Create { vault, name, active, protected, alias, parent, once, .. } = *op else {
            return "no creation".to_owned();
        };
        let parent = parent.filter(|_| !self.ids.keys.is_empty());
        let once = once.map(|text| {
            let request = format!("{op:?}");
            let text = format!("once-{text}");
            IdempotencyKey::new(caller, "key.create", &text, &[request.as_bytes()]).unwrap()
        });
        let request = CreateKeyRequest {
            vault: Some(pick(&self.ids.vaults, vault)),
            active,
            protected,
            aliases: alias.into_iter().map(|(text, reserved)| alias_of(text, reserved)).collect(),
            derivation: parent.map(|(parent, path, depends)| Derivation {
                parent: pick(&self.ids.keys, parent),
                path: format!("m/{path}").into(),
                depends,
            }),
            idempotency: once,
            ..aes(&format!("name-{name}"))
        };
        match self.rig().run(async |engine| create(engine, caller, request).await) {
            Ok(key) if self.ids.keys.contains(&key) => "ok again".to_owned(),
            Ok(key) => {
                self.ids.keys.push(key);
                "ok".to_owned()
            }
            Err(error) => error.code().to_owned(),
        }
    }

    fn of_key(&mut self, caller: &Caller, op: &Op) -> String {
        let ids = self.ids.clone();
        let rig = self.rig();
        let update = |rig: &mut Rig, key: usize, change: KeyChange| {
            let key = pick(&ids.keys, key);
            rig.run(async |engine| said(engine.update_key(caller, key, &change, None).await))
        };
        match *op {
            Op::Cancel { key, .. } => {
                let key = pick(&ids.keys, key);
                rig.run(async |engine| said(engine.cancel_destruction(caller, key, None).await))
            }
            Op::Rotate { key, .. } => {
                let key = pick(&ids.keys, key);
                rig.run(async |engine| said(engine.rotate_key(caller, key, None).await))
            }
            Op::Move { key, to, .. } => {
                let (key, to) = (pick(&ids.keys, key), transition(to));
                rig.run(async |engine| said(engine.change_state(caller, key, to, None).await))
            }
            Op::Protect { key, protected, .. } => {
                update(rig, key, KeyChange { protected: Some(protected), ..KeyChange::default() })
            }
            Op::Rename { key, name, .. } => {
                let name = Some(format!("name-{name}").parse().unwrap());
                update(rig, key, KeyChange { name, ..KeyChange::default() })
            }
            Op::Alias { key, alias, reserved, .. } => {
                let aliases = vec![alias_of(alias, reserved)];
                update(rig, key, KeyChange { aliases, ..KeyChange::default() })
            }
            Op::Secret { key, name, set, .. } => {
                let secret = set.then(|| lethe_types::SecretVec::from_vec(b"a secret".to_vec()));
                let secrets = vec![(format!("secret-{name}").into(), secret)];
                update(rig, key, KeyChange { secrets, ..KeyChange::default() })
            }
            Op::Hold { key, seconds, .. } => {
                let key = pick(&ids.keys, key);
                let now = lethe_types::Clock::now(&*rig.world.clock);
                let expires =
                    seconds.map(|seconds| now.saturating_add(Duration::from_secs(seconds)));
                let request =
                    HoldRequest { kind: HoldKind::Legal, reason: "why".to_owned(), expires };
                let placed = rig.run(async |engine| engine.place_hold(caller, key, &request).await);
                self.ids.holds.extend(placed.as_ref().ok().map(|(_, hold)| *hold));
                said(placed)
            }
            Op::Lift { key, hold, .. } => {
                let (key, hold) = (pick(&ids.keys, key), pick(&ids.holds, hold));
                rig.run(async |engine| said(engine.lift_hold(caller, key, hold).await))
            }
            _ => "no operation on a key".to_owned(),
        }
    }

    fn of_vault(&mut self, caller: &Caller, op: &Op) -> String {
        let vaults = self.ids.vaults.clone();
        let rig = self.rig();
        let update = |rig: &mut Rig, vault: usize, change: VaultChange| {
            let vault = pick(&vaults, vault);
            rig.run(async |engine| said(engine.update_vault(caller, vault, &change).await))
        };
        match *op {
            Op::RealmPolicy { rules, .. } => {
                let policy = policy(rules);
                rig.run(async |engine| said(engine.set_realm_policy(caller, &policy).await))
            }
            Op::VaultPolicy { vault, rules, .. } => {
                let policy = Some(policy(rules));
                update(rig, vault, VaultChange { policy, ..VaultChange::default() })
            }
            Op::VaultNames { vault, names, .. } => {
                let names = Some(match names {
                    Names::Free => NameRule::Free,
                    Names::Live => NameRule::UniqueAmongLive,
                    Names::Never => NameRule::NeverAgain,
                });
                update(rig, vault, VaultChange { names, ..VaultChange::default() })
            }
            Op::NewVault { name, .. } => {
                let request = VaultRequest::new(format!("vault-{name}").parse().unwrap());
                let made = rig.run(async |engine| engine.create_vault(caller, request).await);
                self.ids.vaults.extend(made.as_ref().ok().map(|vault| vault.id));
                said(made)
            }
            Op::RemoveVault { vault, .. } => {
                let vault = pick(&vaults, vault);
                rig.run(async |engine| said(engine.remove_vault(caller, vault).await))
            }
            _ => "no operation on a vault".to_owned(),
        }
    }

    fn of_person(&mut self, caller: &Caller, op: &Op) -> String {
        let ids = self.ids.clone();
        let rig = self.rig();
        let update = |rig: &mut Rig, person: usize, change: PrincipalChange| {
            let person = pick(&ids.people, person);
            rig.run(async |engine| said(engine.update_principal(caller, person, &change).await))
        };
        match *op {
            Op::NewPerson { rights, login, external, bound, .. } => {
                let bound = bound.filter(|_| !ids.keys.is_empty());
                let request = CreatePrincipalRequest {
                    login: login.map(|login| format!("login-{login}").into()),
                    bound_to: bound.map(|key| pick(&ids.keys, key)),
                    credentials: external.into_iter().map(shared_secret).collect(),
                    ..CreatePrincipalRequest::service(
                        "somebody".parse().unwrap(),
                        grants(rights, &ids.vaults),
                        None,
                    )
                };
                let made = rig.run(async |engine| engine.create_principal(caller, request).await);
                if let Ok(new) = &made {
                    let record = new.entry.record();
                    self.ids.people.push(record.id);
                    let credentials = record.credentials.iter().map(|credential| credential.id);
                    self.ids.credentials.extend(credentials);
                }
                said(made)
            }
            Op::Revoke { person, .. } => {
                let person = pick(&ids.people, person);
                rig.run(async |engine| said(engine.revoke_principal(caller, person).await))
            }
            Op::Suspend { person, suspended, .. } => {
                let suspended = Some(suspended);
                update(rig, person, PrincipalChange { suspended, ..PrincipalChange::default() })
            }
            Op::Grant { person, rights, .. } => {
                let grants = Some(grants(rights, &ids.vaults));
                update(rig, person, PrincipalChange { grants, ..PrincipalChange::default() })
            }
            Op::AddCredential { person, external, .. } => {
                let (person, new) = (pick(&ids.people, person), shared_secret(external));
                let added =
                    rig.run(async |engine| engine.add_credential(caller, person, new).await);
                self.ids.credentials.extend(added.as_ref().ok().map(|(_, id, _)| *id));
                said(added)
            }
            Op::DropCredential { person, credential, .. } => {
                let (person, id) = (pick(&ids.people, person), pick(&ids.credentials, credential));
                rig.run(async |engine| said(engine.remove_credential(caller, person, id).await))
            }
            _ => "no operation on a principal".to_owned(),
        }
    }

    fn of_approval(&mut self, caller: &Caller, op: &Op) -> String {
        let (ids, base) = (self.ids.clone(), self.base);
        let rig = self.rig();
        match *op {
            Op::Ask { key, .. } => {
                let key = pick(&ids.keys, key);
                let asked =
                    rig.run(async |engine| engine.request_approval(caller, key, "why").await);
                self.ids.approvals.extend(asked.as_ref().ok().map(|approval| approval.id));
                said(asked)
            }
            Op::Approve { approval, .. } => {
                let id = pick(&ids.approvals, approval);
                let statement = match rig.engine.read_approval(&acme(&rig.engine), id) {
                    Ok(approval) => approval.statement(),
                    Err(error) => return error.code().to_owned(),
                };
                let signer =
                    base.signers.iter().find(|signer| signer.principal == caller.principal());
                let credential = signer.map_or(CredentialId([0; 16]), |signer| signer.credential);
                let signature = signer.map_or_else(Vec::new, |signer| signer.sign(&statement));
                rig.run(async |engine| {
                    said(engine.approve(caller, id, credential, &signature).await)
                })
            }
            Op::Withdraw { approval, .. } => {
                let id = pick(&ids.approvals, approval);
                rig.run(async |engine| said(engine.withdraw_approval(caller, id).await))
            }
            _ => "no operation on a request for approval".to_owned(),
        }
    }

    fn bulk(&mut self, caller: &Caller, op: &Op) -> String {
        let selection = match op {
            Op::Bulk { vault, .. } => Selection::Vault(pick(&self.ids.vaults, *vault)),
            Op::BulkList { keys, .. } if !self.ids.keys.is_empty() => {
                Selection::Keys(keys.iter().map(|key| pick(&self.ids.keys, *key)).collect())
            }
            _ => Selection::Keys(Vec::new()),
        };
        let request = BulkRequest { selection, reason: "bulk".to_owned(), expected: None };
        let realm = self.base.realm;
        self.rig().run(async |engine| {
            let job = match engine.start_bulk_destroy(caller, request).await {
                Ok(job) => job.id,
                Err(error) => return error.code().to_owned(),
            };
            loop {
                engine.advance_by(realm, job, BULK_KEYS).await.unwrap();
                let now = engine.read_job(&acme(engine), job).unwrap();
                match now.state {
                    JobState::Running => {}
                    JobState::Done => {
                        assert_eq!(now.destroyed + now.scheduled + now.refused, now.total);
                        return "ok".to_owned();
                    }
                    JobState::Cancelled | JobState::Failed => return now.state.as_str().to_owned(),
                }
            }
        })
    }
}
