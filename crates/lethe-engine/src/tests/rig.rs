//! An engine whose committer the test drives itself: real operations, interleaved as the test says.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::task::{Context, Poll, Waker};

use lethe_crypto::SystemEntropy;
use lethe_crypto::registry::{Algorithm, UsableKey};
use lethe_erasure::slot::{ErasableSlot, MemSlot};
use lethe_store::{CommitFault, FaultyStore, MemStore};
use lethe_types::{CredentialId, Entropy, KeyId, Permission, PrincipalId, RealmId, VaultId};

use super::support::{DOOR, REQUEST, World};
use crate::caretaker::Rounds;
use crate::committer::{Committer, Queue, Submission, Work};
use crate::record::{Alias, DeletionPolicy, Grant, Scope};
use crate::{
    Caller, CreateKeyRequest, CreatePrincipalRequest, DestroyOutcome, DestroyRequest, Engine,
    EngineError, KeyFilter, NewCredential, NewCredentialKind, VaultChange, VaultRequest,
};

/// An operation under way; what it answers: `ok`, what else became of it, or a refusal's code.
pub(super) type Task<'a> = Pin<Box<dyn Future<Output = String> + 'a>>;

/// The moment at which every rig begins.
pub(super) const START_MS: u64 = 1_790_000_000_000;

/// How often an operation may be planned before a test gives up on it.
const TURNS_MAX: usize = 40;

pub(super) struct Rig {
    pub(super) world: World,
    /// The store under [`World::store`], which can be made to fail.
    pub(super) faulty: Arc<FaultyStore>,
    pub(super) engine: Engine,
    committer: Committer,
    submissions: Receiver<Work>,
    memory: Arc<MemStore>,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::over(World::new(), Arc::new(MemStore::new()))
    }

    /// An engine over what `memory` holds and the rest of `world`.
    pub(super) fn over(world: World, memory: Arc<MemStore>) -> Self {
        let slot = Box::new(world.slot.clone());
        Self::over_slot(world, memory, slot)
    }

    fn over_slot(mut world: World, memory: Arc<MemStore>, slot: Box<dyn ErasableSlot>) -> Self {
        let faulty = Arc::new(FaultyStore::new(memory.clone()));
        world.store = faulty.clone();
        let (shared, committer) = Engine::assemble(world.parts(slot)).expect("the engine starts");
        let (queue, submissions) = Queue::by_hand();
        let engine = Engine::over(shared, Arc::new(queue));
        Self { world, faulty, engine, committer, submissions, memory }
    }

    /// A copy of the world as it is durable now, with an engine of its own.
    pub(super) fn fork(&self) -> Self {
        let memory = Arc::new(self.memory.restarted());
        Self::over(self.world.fork(memory.clone()), memory)
    }

    /// The same, with a slot that `wrap` makes of the copy's.
    pub(super) fn fork_wrapped(&self, wrap: impl FnOnce(MemSlot) -> Box<dyn ErasableSlot>) -> Self {
        let memory = Arc::new(self.memory.restarted());
        let world = self.world.fork(memory.clone());
        let slot = wrap(world.slot.clone());
        Self::over_slot(world, memory, slot)
    }

    /// The same, with another source of chance.
    pub(super) fn fork_with(&self, entropy: Arc<dyn Entropy>) -> Self {
        let memory = Arc::new(self.memory.restarted());
        let world = World { entropy, ..self.world.fork(memory.clone()) };
        Self::over(world, memory)
    }

    /// The same world after the process died.
    pub(super) fn restarted(self) -> Self {
        let Self { world, memory, .. } = self;
        Self::over(world, memory)
    }

    /// The same, but the process dies once more at the commit of that number of its start, if the
    /// start makes so many.
    pub(super) fn restarted_with(self, number: u64, fault: CommitFault) -> Self {
        let Self { mut world, memory, .. } = self;
        let faulty = Arc::new(FaultyStore::new(memory.clone()));
        faulty.fail_commit(number, fault);
        world.store = faulty;
        // Whether it got so far shows in what the next start finds.
        let _died = Engine::assemble(world.parts(Box::new(world.slot.clone())));
        Self::over(world, memory)
    }

    /// Runs one operation to its end, each of its changes in a batch of its own.
    pub(super) fn run<T>(&mut self, work: impl AsyncFnOnce(&Engine) -> T) -> T {
        let Self { engine, committer, submissions, .. } = self;
        let mut future = Box::pin(work(engine));
        for _ in 0..TURNS_MAX {
            if let Poll::Ready(done) = poll(future.as_mut()) {
                return done;
            }
            let batch: Vec<Submission> = submissions.try_iter().filter_map(Work::change).collect();
            assert!(!batch.is_empty(), "an operation that waits for nothing");
            committer.commit_batch(batch);
        }
        panic!("an operation that never ends");
    }

    /// One round of the caretaker.
    pub(super) fn tend(&mut self, rounds: &mut Rounds) -> bool {
        self.serve(|engine| engine.tend(rounds))
    }

    /// Runs `work` on a thread of its own, and commits what it submits.
    pub(super) fn serve<T: Send>(&mut self, work: impl FnOnce(&Engine) -> T + Send) -> T {
        let Self { engine, committer, submissions, .. } = self;
        let (engine, submissions) = (&*engine, &*submissions);
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let worker = scope.spawn(move || {
                let done = work(engine);
                // The test that waits for it is gone only if it failed.
                let _gone = ended.send(());
                done
            });
            // The end is looked for between two submissions: whoever submits waits for the answer.
            while !worker.is_finished() {
                let wait = std::time::Duration::from_micros(200);
                if let Ok(submission) = submissions.recv_timeout(wait) {
                    committer.commit_batch(submission.change().into_iter().collect());
                } else if end.try_recv().is_ok() {
                    break;
                }
            }
            worker.join().expect("the work does not panic")
        })
    }

    /// What the committer does when nobody wants anything.
    pub(super) fn idle(&mut self) {
        self.committer.settle_when_idle();
    }

    /// Lets two operations run against each other. Both are planned before anything is committed;
    /// the second's changes come after the first's, in the same batch if `together`.
    pub(super) fn race<'a>(
        &'a mut self,
        turns: impl FnOnce(&'a Engine) -> [Turn<'a>; 2],
        together: bool,
    ) -> [String; 2] {
        let Self { engine, committer, submissions, .. } = self;
        let [mut first, mut second] = turns(engine);
        let mut waiting = Vec::new();
        first.begin();
        first.act();
        waiting.extend(submissions.try_iter().filter_map(Work::change));
        second.begin();
        waiting.extend(submissions.try_iter().filter_map(Work::change));
        if together {
            committer.commit_batch(waiting);
        } else {
            waiting.into_iter().for_each(|one| committer.commit_batch(vec![one]));
        }
        first.finish(committer, submissions);
        second.finish(committer, submissions);
        [first.answer(), second.answer()]
    }

    pub(super) fn fail_next(&self, fault: Option<CommitFault>) {
        if let Some(fault) = fault {
            self.faulty.fail_next_commit(fault);
        }
    }
}

/// One of two operations that race.
pub(super) enum Turn<'a> {
    /// Wants changes, and waits for them.
    Asks(Task<'a>),
    /// Is done in one go, when its turn has come.
    Acts(Box<dyn FnOnce() -> String + 'a>),
    Answered(String),
}

impl Turn<'_> {
    fn begin(&mut self) {
        if let Self::Asks(task) = self
            && let Poll::Ready(answer) = poll(task.as_mut())
        {
            *self = Self::Answered(answer);
        }
    }

    fn act(&mut self) {
        let nothing = Self::Answered("nothing".to_owned());
        *self = match std::mem::replace(self, nothing) {
            Self::Acts(act) => Self::Answered(act()),
            other @ (Self::Asks(_) | Self::Answered(_)) => other,
        };
    }

    fn finish(&mut self, committer: &mut Committer, submissions: &Receiver<Work>) {
        for _ in 0..TURNS_MAX {
            self.begin();
            self.act();
            if matches!(self, Self::Answered(_)) {
                return;
            }
            committer.commit_batch(submissions.try_iter().filter_map(Work::change).collect());
        }
        panic!("an operation that never ends");
    }

    fn answer(self) -> String {
        match self {
            Self::Answered(answer) => answer,
            Self::Asks(_) | Self::Acts(_) => panic!("an operation without an answer"),
        }
    }
}

fn poll<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// `ok`, or the refusal's code.
pub(super) fn said<T>(result: Result<T, EngineError>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

/// `destroyed`, `scheduled`, or the refusal's code.
pub(super) fn said_of(result: Result<DestroyOutcome, EngineError>) -> String {
    match result {
        Ok(DestroyOutcome::Destroyed(_)) => "destroyed".to_owned(),
        Ok(DestroyOutcome::Scheduled { .. }) => "scheduled".to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

/// Somebody who signs with a key of their own.
pub(super) struct Signer {
    pub(super) principal: PrincipalId,
    pub(super) credential: CredentialId,
    key: UsableKey,
}

impl Signer {
    pub(super) fn sign(&self, statement: &str) -> Vec<u8> {
        self.key.sign(None, statement.as_bytes()).unwrap()
    }
}

pub(super) fn acme(engine: &Engine) -> Caller {
    let realm = engine.shared.catalogue.realm_by_name(&"acme".parse().unwrap()).unwrap().id;
    engine.system_caller(realm, DOOR).unwrap()
}

pub(super) fn as_principal(
    engine: &Engine,
    realm: RealmId,
    principal: PrincipalId,
) -> Result<Caller, EngineError> {
    engine.caller_of(realm, principal, None, DOOR, REQUEST)
}

/// Short ways to make things.
impl Rig {
    pub(super) fn realm(&mut self) -> RealmId {
        self.run(async |engine| engine.ensure_realm(&"acme".parse().unwrap()).await).unwrap()
    }

    pub(super) fn key(&mut self, request: CreateKeyRequest) -> Result<KeyId, EngineError> {
        self.run(async |engine| create(engine, &acme(engine), request).await)
    }

    pub(super) fn named(&mut self, name: &str) -> KeyId {
        self.key(aes(name)).unwrap()
    }

    pub(super) fn vault(&mut self, name: &str, change: VaultChange) -> VaultId {
        self.run(async |engine| {
            let caller = acme(engine);
            let vault = engine.create_vault(&caller, VaultRequest::new(name.parse().unwrap()));
            let id = vault.await.unwrap().id;
            engine.update_vault(&caller, id, &change).await.unwrap();
            id
        })
    }

    pub(super) fn principal(&mut self, name: &str, grants: Vec<Grant>) -> PrincipalId {
        let request = CreatePrincipalRequest::service(name.parse().unwrap(), grants, None);
        self.run(async |engine| engine.create_principal(&acme(engine), request).await)
            .unwrap()
            .entry
            .record()
            .id
    }

    /// A principal who can approve destructions.
    pub(super) fn signer(&mut self, name: &str, grants: Vec<Grant>) -> Signer {
        let principal = self.principal(name, grants);
        let algorithm = Algorithm::from_name("ed25519").unwrap();
        let material = algorithm.generate(&SystemEntropy).unwrap();
        let kind = NewCredentialKind::PublicKey {
            external: format!("signing-{name}").into(),
            scheme: "ed25519".into(),
            spki_der: material.public_key().unwrap().spki_der().into(),
        };
        let new = NewCredential { kind, ..NewCredential::bearer(None) };
        let (_, credential, _) = self
            .run(async |engine| engine.add_credential(&acme(engine), principal, new).await)
            .unwrap();
        Signer { principal, credential, key: algorithm.load(material.secret()).unwrap() }
    }

    pub(super) fn realm_policy(&mut self, policy: &DeletionPolicy) {
        self.run(async |engine| engine.set_realm_policy(&acme(engine), policy).await).unwrap();
    }

    pub(super) fn destroy(&mut self, request: DestroyRequest) -> String {
        self.run(async |engine| said_of(engine.destroy_key(&acme(engine), request).await))
    }

    /// All keys of the realm, tombstones too.
    pub(super) fn keys(&self) -> Vec<Arc<crate::KeyEntry>> {
        let filter = KeyFilter { destroyed: true, ..KeyFilter::default() };
        self.engine.list_keys(&acme(&self.engine), &filter, None, 1_000).unwrap().keys
    }
}

pub(super) async fn create(
    engine: &Engine,
    caller: &Caller,
    request: CreateKeyRequest,
) -> Result<KeyId, EngineError> {
    let prepared = engine.prepare_key(caller, request)?;
    Ok(engine.create_key(caller, prepared).await?.record().id)
}

pub(super) fn aes(name: &str) -> CreateKeyRequest {
    let algorithm = Algorithm::from_name("aes256-gcm").unwrap();
    CreateKeyRequest::new(name.parse().unwrap(), algorithm)
}

pub(super) fn alias(text: &str) -> Alias {
    Alias { door: DOOR.to_owned(), text: text.to_owned(), reserved: false }
}

pub(super) fn on(scope: Scope, permissions: &[Permission]) -> Vec<Grant> {
    vec![Grant { permissions: permissions.iter().copied().collect(), scope }]
}
