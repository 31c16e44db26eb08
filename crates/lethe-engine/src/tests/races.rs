//! Two operations on one thing, in both orders, in one batch and in two, over a store that works,
//! fails, or applies and fails: what each answers, and that a restart finds what was answered.
//!
//! Both are planned against the same state before anything is committed, so that the second always
//! meets what the first has left.

use lethe_store::CommitFault;

use super::races_cast::{Cast, OPERATIONS, Operation};
use super::rig::{Rig, Turn, acme};
use super::support::{encrypt, verified};
use crate::Engine;

/// Two operations and what they answer.
struct Race {
    one: &'static str,
    other: &'static str,
    /// The answers of both if `one` comes first, if `other` does, and if each is alone.
    one_first: [&'static str; 2],
    other_first: [&'static str; 2],
    alone: [&'static str; 2],
}

const fn race(
    one: &'static str,
    other: &'static str,
    one_first: [&'static str; 2],
    other_first: [&'static str; 2],
    alone: [&'static str; 2],
) -> Race {
    Race { one, other, one_first, other_first, alone }
}

const GONE: &str = "object_destroyed";
const WRONG: &str = "wrong_key_lifecycle_state";

#[rustfmt::skip]
const RACES: &[Race] = &[
    race("destroy", "destroy", ["destroyed", GONE], [GONE, "destroyed"], ["destroyed"; 2]),
    race("destroy", "schedule",
        ["destroyed", GONE], ["destroyed", "scheduled"], ["destroyed", "scheduled"]),
    race("schedule", "schedule",
        ["scheduled", "already_pending"], ["already_pending", "scheduled"], ["scheduled"; 2]),
    race("destroy pending", "cancel",
        ["destroyed", GONE], ["destroyed", "ok"], ["destroyed", "ok"]),
    race("cancel", "cancel", ["ok", WRONG], [WRONG, "ok"], ["ok"; 2]),
    race("due", "cancel due", ["ok", GONE], ["ok", "ok"], ["ok"; 2]),
    race("due", "due", ["ok", "ok"], ["ok", "ok"], ["ok"; 2]),
    race("due", "use due",
        ["ok", GONE], ["ok", "wrong_state_for_use"], ["ok", "wrong_state_for_use"]),
    race("due", "destroy due", ["ok", GONE], ["ok", "destroyed"], ["ok", "destroyed"]),
    race("hold due", "due", ["ok", "held"], [GONE, "ok"], ["ok"; 2]),
    race("schedule", "use",
        ["scheduled", "wrong_state_for_use"], ["scheduled", "ok"], ["scheduled", "ok"]),
    race("use", "destroy", ["ok", "destroyed"], [GONE, "destroyed"], ["ok", "destroyed"]),
    race("suspend", "use", ["ok", "wrong_state_for_use"], ["ok", "ok"], ["ok", "ok"]),
    race("suspend", "destroy", ["ok", "destroyed"], [GONE, "destroyed"], ["ok", "destroyed"]),
    race("suspend", "rotate", ["ok", "wrong_state_for_use"], ["ok", "ok"], ["ok", "ok"]),
    race("rotate", "destroy", ["ok", "destroyed"], [GONE, "destroyed"], ["ok", "destroyed"]),
    race("rotate", "rotate", ["ok", "ok"], ["ok", "ok"], ["ok", "ok"]),
    race("update", "destroy", ["ok", "destroyed"], [GONE, "destroyed"], ["ok", "destroyed"]),
    race("protect", "destroy", ["ok", "protected"], [GONE, "destroyed"], ["ok", "destroyed"]),
    race("hold", "destroy", ["ok", "held"], [GONE, "destroyed"], ["ok", "destroyed"]),
    race("hold", "schedule", ["ok", "held"], ["ok", "scheduled"], ["ok", "scheduled"]),
    race("derive", "destroy", ["ok", "has_dependants"], [GONE, "destroyed"], ["ok", "destroyed"]),
    race("derive loosely", "destroy",
        ["ok", "destroyed"], [GONE, "destroyed"], ["ok", "destroyed"]),
    race("derive", "derive loosely", ["ok", "name_taken"], ["name_taken", "ok"], ["ok", "ok"]),
    race("tighten realm", "destroy",
        ["ok", "must_be_suspended"], ["ok", "destroyed"], ["ok", "destroyed"]),
    race("tighten vault", "destroy",
        ["ok", "must_be_suspended"], ["ok", "destroyed"], ["ok", "destroyed"]),
    race("tighten vault", "schedule",
        ["ok", "must_be_suspended"], ["ok", "scheduled"], ["ok", "scheduled"]),
    race("tighten vault", "due", ["ok", "ok"], ["ok", "ok"], ["ok", "ok"]),
    race("revoke bob", "use approval",
        ["ok", "approvals_missing"], ["ok", "destroyed"], ["ok", "destroyed"]),
    race("regrant carol", "destroy by carol",
        ["ok", "authentication_not_successful"], ["ok", "destroyed"], ["ok", "destroyed"]),
    race("regrant carol", "work", ["ok", "done"], ["ok", "done"], ["ok", "done"]),
    race("demand unique names", "take a name", ["ok", "name_taken"], ["ok", "ok"], ["ok", "ok"]),
    race("bind", "destroy", ["ok", "destroyed"], [GONE, "destroyed"], ["ok", "destroyed"]),
    race("approve", "expiry", ["ok", "ok"], ["evidence_not_valid", "ok"], ["ok", "ok"]),
    race("approve", "withdraw", ["ok", "ok"], ["evidence_not_valid", "ok"], ["ok", "ok"]),
    race("approve", "approve",
        ["ok", "evidence_not_valid"], ["evidence_not_valid", "ok"], ["ok", "ok"]),
    race("use approval", "use approval",
        ["destroyed", GONE], [GONE, "destroyed"], ["destroyed"; 2]),
    race("use approval", "withdraw used",
        ["destroyed", "evidence_not_valid"], ["approval_unusable", "ok"], ["destroyed", "ok"]),
    race("remove vault", "create in vault",
        ["ok", "item_not_found"], ["vault_not_empty", "ok"], ["ok", "ok"]),
    race("alias", "alias", ["ok", "name_taken"], ["name_taken", "ok"], ["ok", "ok"]),
    race("unique name", "unique name", ["ok", "name_taken"], ["name_taken", "ok"], ["ok", "ok"]),
    race("unique name", "rename", ["ok", "name_taken"], ["name_taken", "ok"], ["ok", "ok"]),
    race("new vault", "new vault", ["ok", "name_taken"], ["name_taken", "ok"], ["ok", "ok"]),
    race("login", "login", ["ok", "name_taken"], ["name_taken", "ok"], ["ok", "ok"]),
    race("external", "external", ["ok", "name_taken"], ["name_taken", "ok"], ["ok", "ok"]),
    race("revoke", "work", ["ok", "failed"], ["ok", "done"], ["ok", "done"]),
    race("cancel job", "work", ["ok", "cancelled"], ["ok", "done"], ["ok", "done"]),
    race("revoke", "revoke", ["ok", "ok"], ["ok", "ok"], ["ok", "ok"]),
    race("destroy by carol", "revoke",
        ["destroyed", "ok"], ["authentication_not_successful", "ok"], ["destroyed", "ok"]),
    race("destroy version", "use version", ["ok", "version_destroyed"], ["ok", "ok"], ["ok", "ok"]),
    race("destroy version", "rotate two", ["ok", "ok"], ["ok", "ok"], ["ok", "ok"]),
    race("destroy version", "destroy two",
        ["ok", "destroyed"], [GONE, "destroyed"], ["ok", "destroyed"]),
    race("destroy version", "destroy version",
        ["ok", "version_destroyed"], ["version_destroyed", "ok"], ["ok", "ok"]),
    race("destroy version", "destroy version 2",
        ["ok", "version_last_enabled"], ["version_last_enabled", "ok"], ["ok", "ok"]),
    race("destroy version", "suspend version 2",
        ["ok", "version_last_enabled"], ["version_last_enabled", "ok"], ["ok", "ok"]),
    race("hold two", "destroy version", ["ok", "held"], ["ok", "ok"], ["ok", "ok"]),
    race("export two", "destroy two",
        ["ok", "destroyed"], [GONE, "destroyed"], ["ok", "destroyed"]),
    race("rotation due", "rotation due", ["ok", "ok"], ["ok", "ok"], ["ok", "ok"]),
    race("rotation due", "destroy version", ["ok", "ok"], ["ok", "ok"], ["ok", "ok"]),
    race("import", "import", ["ok", "item_not_found"], ["item_not_found", "ok"], ["ok", "ok"]),
    race("last of rate", "last of rate 2",
        ["destroyed", "rate_limited"], ["rate_limited", "destroyed"], ["destroyed", "destroyed"]),
    race("schedule last of rate", "last of rate 2",
        ["scheduled", "rate_limited"], ["rate_limited", "destroyed"], ["scheduled", "destroyed"]),
    race("schedule last of rate", "schedule last of rate 2",
        ["scheduled", "rate_limited"], ["rate_limited", "scheduled"], ["scheduled", "scheduled"]),
];

const FAULTS: &[Option<CommitFault>] = &[
    None,
    Some(CommitFault::Fail),
    Some(CommitFault::ApplyThenFail),
    Some(CommitFault::Full),
    Some(CommitFault::Stop),
    Some(CommitFault::ApplyThenStop),
];

fn operation(name: &str) -> Operation {
    let found = OPERATIONS.iter().find(|(other, _)| *other == name);
    found.unwrap_or_else(|| panic!("no operation {name}")).1
}

#[test]
fn every_race_ends_as_if_one_had_come_after_the_other() {
    check_races(0);
}

#[test]
fn every_race_ends_as_if_one_had_come_after_the_other_second_half() {
    check_races(1);
}

/// Every second race, so that two tests share the work.
#[expect(clippy::print_stdout, reason = "the count of cases is the measure that is asked for")]
fn check_races(half: usize) {
    let (base, cast) = Cast::prepared();
    let mut cases = 0;
    let mut failures = Vec::new();
    for race in RACES.iter().skip(half).step_by(2) {
        for one_first in [true, false] {
            let order = if one_first { [race.one, race.other] } else { [race.other, race.one] };
            let expected = if one_first { race.one_first } else { race.other_first };
            let mut table = [expected, race.alone];
            if !one_first {
                table.iter_mut().for_each(|answers| answers.reverse());
            }
            let worlds = Possible::of(&base, &cast, order);
            for together in [true, false] {
                for fault in FAULTS {
                    cases += 1;
                    let context = format!("{order:?} together {together} {fault:?}");
                    let case = Case { order, together, fault: *fault, table };
                    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        check(&base, &cast, &case, &worlds);
                    }));
                    if result.is_err() {
                        failures.push(context);
                    }
                }
            }
        }
    }
    println!("race table: {cases} cases");
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
}

struct Case {
    order: [&'static str; 2],
    together: bool,
    fault: Option<CommitFault>,
    /// What the operations answer, in their order, after one another and alone.
    table: [[&'static str; 2]; 2],
}

/// What the world can look like after a race whose outcome was not told.
struct Possible {
    before: Vec<String>,
    after_first: Vec<String>,
    after_both: Vec<String>,
}

impl Possible {
    fn of(base: &Rig, cast: &Cast, order: [&str; 2]) -> Self {
        let play = |names: &[&str]| {
            let mut rig = base.fork();
            let world = rig.world.clock.clone();
            match names {
                [] => {}
                [only] => {
                    let turns = |engine| {
                        let turn = operation(only)(engine, cast, &world);
                        [turn, Turn::Answered("nothing".to_owned())]
                    };
                    rig.race(turns, false);
                }
                [first, second, ..] => {
                    let turns =
                        |engine| [first, second].map(|name| operation(name)(engine, cast, &world));
                    rig.race(turns, false);
                }
            }
            seen(&rig.engine)
        };
        Self { before: play(&[]), after_first: play(&order[..1]), after_both: play(&order) }
    }
}

fn check(base: &Rig, cast: &Cast, case: &Case, possible: &Possible) {
    let mut rig = base.fork();
    let clock = rig.world.clock.clone();
    rig.fail_next(case.fault);
    let answers = rig
        .race(|engine| case.order.map(|name| operation(name)(engine, cast, &clock)), case.together);
    let [after_another, alone] = case.table;
    let unknown = rig.engine.ready().is_err();
    let failed = |answer: &str| matches!(answer, "storage_unavailable" | "storage_full");
    match case.fault {
        None | Some(CommitFault::ApplyThenFail) => assert_eq!(answers, after_another),
        Some(CommitFault::Fail | CommitFault::Full) => {
            // Whoever was told of the failure changed nothing: the other one was alone.
            match [failed(&answers[0]), failed(&answers[1])] {
                [false, false] => assert_eq!(answers, after_another),
                [true, false] => assert_eq!(answers[1], alone[1]),
                [false, true] => assert_eq!(answers[0], alone[0]),
                [true, true] => assert_eq!(seen(&rig.engine), possible.before),
            }
        }
        Some(CommitFault::Stop | CommitFault::ApplyThenStop) => {
            let told = answers.iter().any(|answer| failed(answer));
            assert_eq!(told, unknown, "{answers:?}: whoever waited is told that nobody knows");
            assert!(told || answers == after_another, "{answers:?}: nobody wanted a change");
        }
    }
    let answered = seen(&rig.engine);
    let rig = rig.restarted();
    let found = seen(&rig.engine);
    if !unknown {
        assert_eq!(found, answered, "a restart finds what was answered: {answers:?}");
    } else if case.fault == Some(CommitFault::Stop) {
        assert_eq!(found, possible.before, "nothing was applied: {answers:?}");
    } else {
        let known = found == possible.after_first || found == possible.after_both;
        assert!(known, "neither before nor after: {found:#?}");
    }
    intact(&rig);
}

/// Everything that people see of the realm, in words without identifiers.
pub(super) fn seen(engine: &Engine) -> Vec<String> {
    let caller = acme(engine);
    let filter = crate::KeyFilter { destroyed: true, ..Default::default() };
    let keys = engine.list_keys(&caller, &filter, None, 1_000).unwrap().keys;
    let mut lines: Vec<String> = keys
        .iter()
        .map(|entry| {
            let (record, details) = (entry.record(), entry.record().details());
            let aliases: Vec<&str> =
                record.aliases.iter().map(|alias| alias.text.as_str()).collect();
            format!(
                "key {} {:?} versions {} next {} holds {} protected {} labels {} secrets {} \
                 waits {} {aliases:?} {}",
                record.name,
                record.state,
                record.versions.len(),
                record.next_version,
                details.holds.len(),
                details.protected,
                details.labels.len(),
                details.secrets.len(),
                details.pending.is_some(),
                life_seen(record),
            )
        })
        .collect();
    lines.push(format!("import keys {}", engine.shared.catalogue.import_keys().len()));
    for vault in engine.list_vaults(&caller).unwrap() {
        lines.push(format!("vault {}", vault.name));
    }
    for entry in engine.list_principals(&caller).unwrap() {
        let record = entry.record();
        let (revoked, credentials) = (record.revoked.is_some(), record.credentials.len());
        lines.push(format!(
            "principal {} revoked {revoked} credentials {credentials} login {:?}",
            record.name, record.login
        ));
    }
    for approval in engine.list_approvals(&caller, None, false, 1_000).unwrap() {
        let (state, given) = (approval.state, approval.approvals.len());
        lines.push(format!("approval {} {state:?} {given}", approval.reason));
    }
    for job in engine.list_jobs(&caller, 1_000).unwrap() {
        lines.push(format!("job {:?} {} of {}", job.state, job.position, job.total));
    }
    lines.sort();
    lines
}

/// What is set and what became of a key's versions, uses and ways out.
fn life_seen(record: &crate::record::KeyRecord) -> String {
    let life = record.life();
    let gone: Vec<u32> = life.destroyed_versions.iter().map(|version| version.number).collect();
    let states: Vec<&str> = record.versions.iter().map(|version| version.state.as_str()).collect();
    let (exported, rotation) = (record.exported, life.rotation.map(|rotation| rotation.next));
    format!("gone {gone:?} states {states:?} exported {exported} rotation {rotation:?}")
}

/// Nothing is both there and gone: live keys work, tombstones prove their end, nobody acts for a
/// key that is gone, and one root is alive.
pub(super) fn intact(rig: &Rig) {
    let caller = acme(&rig.engine);
    for entry in rig.keys() {
        let record = entry.record();
        for version in &record.life().destroyed_versions {
            let receipt = rig.engine.version_receipt(&caller, record.id, version.number).unwrap();
            assert!(verified(&rig.engine, &receipt), "of version {}", version.number);
        }
        let used = encrypt(&rig.engine, &caller, record.id);
        if record.state.is_destroyed() {
            assert_eq!(used.unwrap_err(), crate::EngineError::ObjectDestroyed(record.id));
            let receipt = rig.engine.receipt(&caller, record.id).unwrap();
            assert!(verified(&rig.engine, &receipt), "the receipt of {}", record.name);
        } else if record.state.may_protect() {
            assert!(used.is_ok(), "{} is as live as before", record.name);
            assert!(rig.engine.receipt(&caller, record.id).is_err());
        }
    }
    for entry in rig.engine.list_principals(&caller).unwrap() {
        let bound = entry.record().bound_to.and_then(|key| rig.engine.shared.catalogue.key(key));
        let gone = bound.is_some_and(|key| key.record().state.is_destroyed());
        assert!(!gone || entry.record().revoked.is_some(), "acts for a key that is gone");
    }
    let images = lethe_erasure::slot::ErasableSlot::load(&rig.world.slot).unwrap().images;
    assert_eq!(images.len(), 1, "an old root is alive");
}
