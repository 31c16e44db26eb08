//! Copies that follow: at every instant the copy and what the slot holds then make an installation
//! with everything that was answered, and whoever is late holds nobody up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lethe_erasure::slot::{
    ErasableSlot, EraseEvidence, ErasureClass, Loaded, MemSlot, SlotError, SlotImage, SlotKind,
};
use lethe_log::{BackupNote, Hash};
use lethe_store::{MemStore, Revision, Store, StoreKey, Write};
use lethe_types::KeyId;
use parking_lot::Mutex;

use super::backups::{gone, kills, made, new_machine};
use super::mem_journal::MemJournal;
use super::support::{TestGuard, World, admin, works};
use crate::followers::{Awaited, Followers};
use crate::{
    BackupError, BackupRow, Engine, Follow, RestoreError, RestoreLoader, RestoreParts, restore,
};

const DIGEST: Hash = Hash([7; 32]);
const TICK: Duration = Duration::from_millis(20);

/// What a disk elsewhere would hold.
#[derive(Clone, Debug, Default)]
struct Copy {
    rows: Vec<(String, Vec<u8>, Vec<u8>)>,
    changes: Vec<Write>,
    note: String,
}

impl Copy {
    fn revision(&self) -> Revision {
        Revision(BackupNote::parse_unverified(&self.note).unwrap().revision)
    }
}

/// Every state that the copy had, oldest first.
type History = Arc<Mutex<Vec<Copy>>>;

/// A copy that is kept up to date by a thread of its own.
struct Follower {
    history: History,
    hangs: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    fn of(engine: &Engine) -> Self {
        let (copy, follow) = begin(engine);
        Self::going_on(engine, copy, follow)
    }

    fn going_on(engine: &Engine, copy: Copy, mut follow: Follow) -> Self {
        let (hangs, ends) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let history: History = Arc::new(Mutex::new(vec![copy.clone()]));
        follow.acknowledge(copy.revision()).unwrap();
        assert!(follow.is_live().is_some() && engine.followers().live <= 4);
        let (told, hanging, ending) = (history.clone(), hangs.clone(), ends.clone());
        let thread = std::thread::spawn(move || {
            let mut copy = copy;
            while !ending.load(Ordering::SeqCst) {
                let mut changes = Vec::new();
                let next = follow.next(TICK, &mut |change| changes.push(change.clone()));
                let Ok(next) = next else { return };
                let Some(revision) = next else { continue };
                if hanging.load(Ordering::SeqCst) {
                    continue;
                }
                copy.changes.append(&mut changes);
                copy.note = follow.sign(1, 1, DIGEST).unwrap();
                told.lock().push(copy.clone());
                if !follow.acknowledge(revision).unwrap() {
                    return;
                }
            }
        });
        Self { history, hangs, ends, thread: Some(thread) }
    }

    fn newest(&self) -> Copy {
        self.history.lock().last().unwrap().clone()
    }

    fn end(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
    }
}

fn begin(engine: &Engine) -> (Copy, Follow) {
    let backup = engine.begin_backup(None, None).unwrap();
    let mut rows = Vec::new();
    let revision = engine
        .copy_backup(&backup, &mut |space, key, row| {
            let BackupRow::Value(value) = row else { panic!("a full copy has values") };
            rows.push((space.to_owned(), key.to_vec(), value.to_vec()));
            Ok(())
        })
        .unwrap();
    let note = engine.sign_backup(backup.note(revision, 1, 1, DIGEST)).unwrap();
    (Copy { rows, changes: Vec::new(), note }, engine.follow(&backup, revision).unwrap())
}

fn restored(lost: &World, copy: &Copy) -> Result<World, RestoreError> {
    let world = new_machine(lost, Arc::new(MemStore::new()));
    let mut loader = RestoreLoader::new(&*world.store).unwrap();
    loader.begin(false);
    for (space, key, value) in &copy.rows {
        loader.row(space, key, BackupRow::Value(value)).unwrap();
    }
    loader.end().unwrap();
    copy.changes.iter().for_each(|change| loader.follow(change.clone()).unwrap());
    loader.end().unwrap();
    let parts = world.parts(Box::new(world.slot.clone()));
    restore(RestoreParts { parts, note: copy.note.clone() })?;
    Ok(world)
}

#[test]
fn without_a_window_a_copy_that_follows_has_every_answered_change() {
    let lost = World::new();
    let engine = lost.start();
    let [keeps, dies] = [made(&engine), made(&engine)];
    let mut follower = Follower::of(&engine);
    let late = made(&engine);
    let receipt = kills(&engine, dies.0);
    let later = made(&engine);
    let short = made(&engine);
    kills(&engine, short.0);
    assert_eq!(engine.followers().live, 1);
    let checked = {
        let vkey = engine.log_vkey().parse().unwrap();
        lethe_verify::verify(receipt.to_proof().unwrap().as_bytes(), &vkey).unwrap()
    };
    assert_eq!(checked.recoverable_from_backups_until(), None);
    let vkey = engine.log_vkey().to_owned();
    engine.close();
    follower.end();
    let world = restored(&lost, &follower.newest()).unwrap();
    let engine = world.start();
    assert_eq!(engine.log_vkey(), vkey);
    let caller = admin(&engine, "acme");
    for (key, text) in [&keeps, &late, &later] {
        assert!(works(&engine, &caller, *key, text));
    }
    for (key, text) in [&dies, &short] {
        gone(&engine, *key, text);
    }
    // It goes on like any other, and so does a copy of it.
    let mut follower = Follower::of(&engine);
    kills(&engine, keeps.0);
    engine.close();
    follower.end();
    let engine = restored(&world, &follower.newest()).unwrap().start();
    gone(&engine, keeps.0, &keeps.1);
    assert!(works(&engine, &admin(&engine, "acme"), late.0, &late.1));
}

/// What an outsider would find at one moment if the machine went then.
struct Moment {
    slot: MemSlot,
    journal: MemJournal,
    guard: TestGuard,
    /// States that the copy had by then.
    states: usize,
    /// The newest commit, which may be on its way to the copy.
    revision: Revision,
}

/// A slot that notes every moment before and after its steps.
struct Watched {
    store: Arc<dyn Store>,
    slot: MemSlot,
    journal: MemJournal,
    guard: TestGuard,
    history: Arc<Mutex<Option<History>>>,
    moments: Arc<Mutex<Vec<Moment>>>,
}

impl Watched {
    fn note(&self) {
        let history = self.history.lock().clone();
        let Some(history) = history else { return };
        let states = history.lock().len();
        let guard = TestGuard(Arc::new(Mutex::new(*self.guard.0.lock())));
        let (slot, journal) = (self.slot.copied(), self.journal.copied());
        let revision = self.store.revision().unwrap();
        self.moments.lock().push(Moment { slot, journal, guard, states, revision });
    }
}

impl ErasableSlot for Watched {
    fn kind(&self) -> SlotKind {
        self.slot.kind()
    }

    fn class(&self) -> ErasureClass {
        self.slot.class()
    }

    fn load(&self) -> Result<Loaded, SlotError> {
        self.slot.load()
    }

    fn put_new(&mut self, image: &SlotImage) -> Result<(), SlotError> {
        self.note();
        let done = self.slot.put_new(image);
        self.note();
        done
    }

    fn erase_all_but(&mut self, generation: u64) -> Result<EraseEvidence, SlotError> {
        self.note();
        let done = self.slot.erase_all_but(generation);
        self.note();
        done
    }
}

#[test]
fn the_machine_may_be_lost_at_any_moment_of_a_destruction() {
    let lost = World::new();
    let (moments, history) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None)));
    let watched = Watched {
        store: lost.store.clone(),
        slot: lost.slot.clone(),
        journal: lost.journal.clone(),
        guard: lost.guard.clone(),
        history: history.clone(),
        moments: moments.clone(),
    };
    let engine = lost.start_with(Box::new(watched)).unwrap();
    let keeps = made(&engine);
    let keys: Vec<(KeyId, Vec<u8>)> = (0..3).map(|_| made(&engine)).collect();
    let mut follower = Follower::of(&engine);
    *history.lock() = Some(follower.history.clone());
    // How many moments there were when each destruction was answered.
    let mut answered: Vec<usize> = Vec::new();
    for (key, _) in &keys {
        kills(&engine, *key);
        answered.push(moments.lock().len());
    }
    engine.close();
    follower.end();
    let states = follower.history.lock().clone();
    let moments = moments.lock();
    assert!(moments.len() >= 12, "{} moments", moments.len());
    let mut tried = BTreeMap::new();
    for (number, moment) in moments.iter().enumerate() {
        // The copy as it was, and with what was on its way.
        let later = states[moment.states..].iter();
        let on_its_way = later.take_while(|copy| copy.revision() <= moment.revision).count();
        for count in moment.states..=moment.states + on_its_way {
            let world = World {
                slot: moment.slot.copied(),
                journal: moment.journal.copied(),
                guard: TestGuard(Arc::new(Mutex::new(*moment.guard.0.lock()))),
                ..lost.fork(lost.store.clone())
            };
            let world = restored(&world, &states[count - 1])
                .unwrap_or_else(|error| panic!("moment {number}, state {count}: {error}"));
            let engine = world.start();
            let caller = admin(&engine, "acme");
            assert!(works(&engine, &caller, keeps.0, &keeps.1));
            for (position, (key, text)) in keys.iter().enumerate() {
                let is_answered = answered[position] <= number;
                let lives = works(&engine, &caller, *key, text);
                assert!(!(is_answered && lives), "moment {number}, key {position}");
                if !lives {
                    gone(&engine, *key, text);
                }
                *tried.entry((is_answered, lives)).or_insert(0) += 1;
            }
            engine.close();
        }
    }
    assert!(tried.len() == 3, "{tried:?}");
}

#[test]
fn a_copy_that_stops_is_dropped_and_lasts_until_the_next_destruction() {
    let lost = World::new();
    let engine = lost.start();
    let [keeps, dies] = [made(&engine), made(&engine)];
    let mut follower = Follower::of(&engine);
    let dies_first = made(&engine);
    kills(&engine, dies_first.0);
    follower.hangs.store(true, Ordering::SeqCst);
    // Waits once, and then no more.
    let unseen = made(&engine);
    let status = engine.followers();
    assert_eq!((status.live, status.dropped, status.gone), (0, 1, 0));
    assert_eq!(status.last_lost, Some(lethe_types::Clock::now(&*lost.clock)));
    engine.close();
    // Over a restart too: what it lacks of the log is in the journal.
    let engine = lost.start();
    made(&engine);
    engine.close();
    follower.end();
    let copy = follower.newest();
    let intact = lost.fork(lost.store.clone());
    let world = restored(&intact, &copy).unwrap();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    assert!(works(&engine, &caller, keeps.0, &keeps.1));
    assert!(!works(&engine, &caller, unseen.0, &unseen.1));
    gone(&engine, dies_first.0, &dies_first.1);
    engine.close();

    let engine = lost.start();
    kills(&engine, dies.0);
    engine.close();
    let refused = restored(&lost, &copy).unwrap_err();
    assert!(matches!(refused, RestoreError::RootGone { until: None, .. }), "{refused}");
    assert_eq!(lost.journal.names(), []);
}

#[test]
fn a_copy_that_ends_by_itself_holds_nobody_up() {
    let lost = World::new();
    let engine = lost.start();
    let mut follower = Follower::of(&engine);
    follower.end();
    let (key, _) = made(&engine);
    kills(&engine, key);
    let status = engine.followers();
    assert_eq!((status.live, status.dropped, status.gone), (0, 0, 1));
}

#[test]
fn several_copies_follow_up_to_a_limit() {
    let lost = World::new();
    let engine = lost.start();
    let followers: Vec<Follower> = (0..4).map(|_| Follower::of(&engine)).collect();
    let (key, text) = made(&engine);
    kills(&engine, key);
    let backup = engine.begin_backup(None, None).unwrap();
    let revision = engine.copy_backup(&backup, &mut |_, _, _| Ok(())).unwrap();
    let refused = engine.follow(&backup, revision).unwrap_err();
    assert!(matches!(refused, BackupError::Followers), "{refused}");
    engine.close();
    for mut follower in followers {
        follower.end();
        let world = restored(&lost.fork(lost.store.clone()), &follower.newest()).unwrap();
        gone(&world.start(), key, &text);
    }
}

#[test]
fn a_copy_whose_changes_are_not_those_of_its_note_is_refused() {
    let lost = World::new();
    let engine = lost.start();
    let dies = made(&engine);
    let mut follower = Follower::of(&engine);
    kills(&engine, dies.0);
    made(&engine);
    engine.close();
    follower.end();
    let whole = follower.newest();
    let fewer = Copy { changes: Vec::new(), ..whole.clone() };
    let older = Copy { note: follower.history.lock()[0].note.clone(), ..whole.clone() };
    let foreign = {
        let other = World::new();
        let engine = other.start();
        let copy = begin(&engine).0;
        engine.close();
        Copy { note: copy.note, ..whole.clone() }
    };
    for (name, copy) in [("fewer", fewer), ("older", older), ("foreign", foreign)] {
        assert!(restored(&lost.fork(lost.store.clone()), &copy).is_err(), "{name}");
    }
    let rows: BTreeSet<&StoreKey> = whole.changes.iter().map(Write::key).collect();
    assert!(rows.len() > 3);
    assert!(restored(&lost, &whole).is_ok());
}

#[test]
fn waiting_ends_with_the_last_acknowledgement_or_with_the_limit() {
    let now = || lethe_types::UnixMillis(5);
    let followers = Followers::default();
    let wait = |revision| followers.wait_within(Revision(revision), Duration::ZERO, now);
    assert_eq!(wait(9), Awaited::Nobody);
    let [first, second] = [0, 1].map(|_| followers.attach(Revision(1)).unwrap());
    assert_eq!(wait(9), Awaited::Nobody, "nobody waits for one that catches up");
    assert!(followers.acknowledge(first, Revision(2), Revision(3)));
    assert_eq!(followers.is_live(first), Some(false));
    assert!(followers.acknowledge(first, Revision(3), Revision(3)));
    assert!(followers.acknowledge(second, Revision(3), Revision(3)));
    assert_eq!(wait(3), Awaited::Held);
    assert!(followers.hold(Revision(3)) && !followers.hold(Revision(4)));
    // An acknowledgement never goes back.
    assert!(followers.acknowledge(first, Revision(2), Revision(3)));
    assert!(followers.acknowledge(second, Revision(4), Revision(4)));
    assert_eq!(wait(4), Awaited::Held, "the other one goes on");
    assert!(!followers.acknowledge(first, Revision(4), Revision(4)), "it was dropped");
    assert_eq!(followers.is_live(first), None);
    followers.detach(second, now());
    assert_eq!(wait(4), Awaited::Nobody);
    let status = followers.status();
    assert_eq!((status.live, status.dropped, status.gone), (0, 1, 1));
}
