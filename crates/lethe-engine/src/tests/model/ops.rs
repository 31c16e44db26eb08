//! What the property test does, and how it is drawn from a seed.

use lethe_types::limits::WINDOW_MAX;

/// Chance that can be replayed: SplitMix64 (Steele, Lea, Flood 2014).
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn small(&mut self, bound: u64) -> usize {
        usize::try_from(self.below(bound)).unwrap()
    }

    fn one_in(&mut self, number: u64) -> bool {
        self.below(number) == 0
    }

    fn maybe<T>(&mut self, one_in: u64, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.one_in(one_in).then(|| draw(self))
    }
}

/// When a destruction is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    AsSoonAsAllowed,
    AtOnce,
    Later { seconds: Option<u64>, cancel_to_suspended: bool },
}

/// A deletion policy in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) window: Option<(u64, bool)>,
    pub(super) suspended: bool,
    pub(super) unused: Option<u64>,
    pub(super) rate: Option<u32>,
    pub(super) confirm: bool,
    pub(super) approvals: Option<(u8, u64)>,
    pub(super) dependants: Option<Bound>,
}

/// What becomes of keys that depend on one that goes; the later, the stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bound {
    Orphan,
    Cascade,
    Refuse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    Activate,
    Suspend,
    Resume,
    Deactivate,
    Compromise,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Free,
    Live,
    Never,
}

/// Sets of rights that are given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    None,
    /// To destroy and read, everywhere.
    Destroyer,
    /// To schedule, cancel and read, everywhere.
    Scheduler,
    /// To approve and read, everywhere.
    Approver,
    /// Everything in one vault.
    Local(usize),
    /// To manage principals, and to read keys.
    Manager,
}

/// A step of the test. Things are numbered in the order in which they were made; a number past the
/// end counts from the beginning again. Number 0 of the actors is Lethe itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Create {
        by: usize,
        vault: usize,
        name: usize,
        active: bool,
        protected: bool,
        alias: Option<(usize, bool)>,
        /// Parent, path, and whether the key has no material of its own.
        parent: Option<(usize, usize, bool)>,
        once: Option<usize>,
    },
    Destroy {
        by: usize,
        key: usize,
        wish: Wish,
        confirm: bool,
        approval: Option<usize>,
    },
    Cancel {
        by: usize,
        key: usize,
    },
    Use {
        by: usize,
        key: usize,
    },
    Rotate {
        by: usize,
        key: usize,
    },
    Move {
        by: usize,
        key: usize,
        to: Move,
    },
    Protect {
        by: usize,
        key: usize,
        protected: bool,
    },
    Rename {
        by: usize,
        key: usize,
        name: usize,
    },
    Alias {
        by: usize,
        key: usize,
        alias: usize,
        reserved: bool,
    },
    Secret {
        by: usize,
        key: usize,
        name: usize,
        set: bool,
    },
    Hold {
        by: usize,
        key: usize,
        seconds: Option<u64>,
    },
    Lift {
        by: usize,
        key: usize,
        hold: usize,
    },
    RealmPolicy {
        by: usize,
        rules: Rules,
    },
    VaultPolicy {
        by: usize,
        vault: usize,
        rules: Rules,
    },
    VaultNames {
        by: usize,
        vault: usize,
        names: Names,
    },
    NewVault {
        by: usize,
        name: usize,
    },
    RemoveVault {
        by: usize,
        vault: usize,
    },
    NewPerson {
        by: usize,
        rights: Rights,
        login: Option<usize>,
        external: Option<usize>,
        bound: Option<usize>,
    },
    Revoke {
        by: usize,
        person: usize,
    },
    Suspend {
        by: usize,
        person: usize,
        suspended: bool,
    },
    Grant {
        by: usize,
        person: usize,
        rights: Rights,
    },
    AddCredential {
        by: usize,
        person: usize,
        external: usize,
    },
    DropCredential {
        by: usize,
        person: usize,
        credential: usize,
    },
    Ask {
        by: usize,
        key: usize,
    },
    Approve {
        by: usize,
        approval: usize,
    },
    Withdraw {
        by: usize,
        approval: usize,
    },
    Bulk {
        by: usize,
        vault: usize,
    },
    BulkList {
        by: usize,
        keys: Vec<usize>,
    },
    Pass {
        seconds: u64,
    },
    Tend,
    Idle,
    Restart,
}

/// How the store fails at the next change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Failed,
    FailedButApplied,
    Full,
    /// The process dies before it is applied, or just after, and is started again.
    Died,
    DiedButApplied,
}

impl Fault {
    const ALL: [Self; 5] =
        [Self::Failed, Self::FailedButApplied, Self::Full, Self::Died, Self::DiedButApplied];
}

pub(super) type Step = (Op, Option<Fault>);

/// The steps that a seed stands for.
pub(super) fn steps(seed: u64, number: usize) -> Vec<Step> {
    let mut chance = Chance(seed);
    let mut before = Op::Idle;
    (0..number)
        .map(|_| {
            // Clients try again what they asked for.
            let op = if chance.one_in(10) { before.clone() } else { draw(&mut chance) };
            before = op.clone();
            let fault = chance.maybe(10, |chance| Fault::ALL[chance.small(5)]);
            (op, fault)
        })
        .collect()
}

const NAMES: u64 = 4;
/// A waiting time that no policy allows.
const TOO_LONG: u64 = WINDOW_MAX.as_secs() + 1;
/// Numbers of things are drawn up to this.
const THINGS: u64 = 16;

fn actor(chance: &mut Chance) -> usize {
    if chance.one_in(3) { chance.small(10) } else { 0 }
}

fn key(chance: &mut Chance) -> usize {
    chance.small(THINGS)
}

fn draw(chance: &mut Chance) -> Op {
    let by = actor(chance);
    match chance.below(100) {
        0..16 => create(chance, by),
        16..32 => destroy(chance, by),
        32..36 => Op::Cancel { by, key: key(chance) },
        36..42 => Op::Use { by, key: key(chance) },
        42..44 => Op::Rotate { by, key: key(chance) },
        44..48 => of_state(chance, by),
        48..52 => of_key(chance, by),
        52..55 => {
            let (key, seconds) = (key(chance), chance.maybe(2, |chance| 1 + chance.below(50)));
            Op::Hold { by, key, seconds }
        }
        55..57 => Op::Lift { by, key: key(chance), hold: chance.small(THINGS) },
        57..63 => of_policy(chance, by),
        63..65 => Op::NewVault { by, name: chance.small(NAMES) },
        65..67 => Op::RemoveVault { by, vault: chance.small(THINGS) },
        67..75 => of_people(chance, by),
        75..80 => Op::Ask { by, key: key(chance) },
        80..85 => {
            let by = if chance.one_in(4) { by } else { 3 + chance.small(2) };
            Op::Approve { by, approval: chance.small(THINGS) }
        }
        85 => Op::Withdraw { by, approval: chance.small(THINGS) },
        86 => Op::Bulk { by, vault: chance.small(THINGS) },
        87 => {
            let number = 1 + chance.small(5);
            Op::BulkList { by, keys: (0..number).map(|_| chance.small(THINGS)).collect() }
        }
        88..92 => Op::Pass { seconds: [1, 10, 100, 1_000, 3_601, 90_000][chance.small(6)] },
        92..96 => Op::Tend,
        96..98 => Op::Idle,
        _ => Op::Restart,
    }
}

fn create(chance: &mut Chance, by: usize) -> Op {
    Op::Create {
        by,
        vault: chance.small(4),
        name: chance.small(NAMES),
        active: !chance.one_in(6),
        protected: chance.one_in(12),
        alias: chance.maybe(4, |chance| (chance.small(3), chance.one_in(3))),
        parent: chance
            .maybe(2, |chance| (chance.small(THINGS), chance.small(3), !chance.one_in(4))),
        once: chance.maybe(6, |chance| chance.small(2)),
    }
}

fn destroy(chance: &mut Chance, by: usize) -> Op {
    let wish = match chance.below(8) {
        0..4 => Wish::AsSoonAsAllowed,
        4 => Wish::AtOnce,
        _ => Wish::Later {
            seconds: [None, Some(0), Some(1), Some(10), Some(60), Some(TOO_LONG)][chance.small(6)],
            cancel_to_suspended: chance.one_in(2),
        },
    };
    Op::Destroy {
        by,
        key: key(chance),
        wish,
        confirm: !chance.one_in(3),
        approval: chance.maybe(2, |chance| chance.small(THINGS)),
    }
}

fn of_state(chance: &mut Chance, by: usize) -> Op {
    let moves = [Move::Activate, Move::Suspend, Move::Resume, Move::Deactivate, Move::Compromise];
    Op::Move { by, key: key(chance), to: moves[chance.small(5)] }
}

fn of_key(chance: &mut Chance, by: usize) -> Op {
    let key = key(chance);
    match chance.below(4) {
        0 => Op::Protect { by, key, protected: chance.one_in(2) },
        1 => Op::Rename { by, key, name: chance.small(NAMES) },
        2 => Op::Alias { by, key, alias: chance.small(3), reserved: chance.one_in(3) },
        _ => Op::Secret { by, key, name: chance.small(2), set: !chance.one_in(3) },
    }
}

fn of_policy(chance: &mut Chance, by: usize) -> Op {
    let vault = chance.small(4);
    match chance.below(4) {
        0 => Op::RealmPolicy { by, rules: rules(chance) },
        1 => Op::VaultNames {
            by,
            vault,
            names: [Names::Free, Names::Live, Names::Never][chance.small(3)],
        },
        _ => Op::VaultPolicy { by, vault, rules: rules(chance) },
    }
}

fn rules(chance: &mut Chance) -> Rules {
    let all = [Bound::Orphan, Bound::Cascade, Bound::Refuse];
    Rules {
        window: chance.maybe(3, |chance| ([0, 10, 60][chance.small(3)], chance.one_in(3))),
        suspended: chance.one_in(8),
        unused: chance.maybe(5, |chance| [1, 10, 100][chance.small(3)]),
        rate: chance.maybe(4, |chance| u32::try_from(chance.below(4)).unwrap()),
        confirm: chance.one_in(6),
        approvals: chance
            .maybe(5, |chance| (1 + u8::try_from(chance.below(2)).unwrap(), 1 + chance.below(300))),
        dependants: chance.maybe(2, |chance| all[chance.small(3)]),
    }
}

fn of_people(chance: &mut Chance, by: usize) -> Op {
    let person = chance.small(THINGS);
    match chance.below(8) {
        0..3 => Op::NewPerson {
            by,
            rights: rights(chance),
            login: chance.maybe(2, |chance| chance.small(3)),
            external: chance.maybe(2, |chance| chance.small(3)),
            bound: chance.maybe(2, |chance| chance.small(THINGS)),
        },
        3 => Op::Revoke { by, person },
        4 => Op::Suspend { by, person, suspended: chance.one_in(2) },
        5 => Op::Grant { by, person, rights: rights(chance) },
        6 => Op::AddCredential { by, person, external: chance.small(3) },
        _ => Op::DropCredential { by, person, credential: chance.small(THINGS) },
    }
}

fn rights(chance: &mut Chance) -> Rights {
    match chance.below(6) {
        0 => Rights::None,
        1 => Rights::Destroyer,
        2 => Rights::Scheduler,
        3 => Rights::Approver,
        4 => Rights::Manager,
        _ => Rights::Local(chance.small(3)),
    }
}
