//! What the naive model knows: plain lists, no index, no identifier.

use std::collections::{BTreeMap, BTreeSet};

use lethe_types::Permission;
use lethe_types::StableState;

use super::ops::{Names, Op, Rights, Rules};

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) now: u64,
    pub(super) rules: Rules,
    pub(super) keys: Vec<Key>,
    pub(super) vaults: Vec<Vault>,
    pub(super) people: Vec<Person>,
    pub(super) approvals: Vec<Approval>,
    /// How many holds and credentials were ever made.
    pub(super) holds_made: usize,
    pub(super) credentials_made: usize,
    /// Of whom and which text: the request, the key, and when.
    pub(super) remembered: BTreeMap<(usize, usize), (Op, usize, u64)>,
}

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Is(StableState),
    Waits { due: u64, back: StableState },
    Gone { compromised: bool },
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) vault: usize,
    pub(super) name: usize,
    pub(super) state: State,
    pub(super) versions: usize,
    pub(super) next_version: u32,
    pub(super) protected: bool,
    /// Number of the hold, and when it ends.
    pub(super) holds: Vec<(usize, Option<u64>)>,
    /// And whether it is kept for ever.
    pub(super) aliases: BTreeMap<usize, bool>,
    pub(super) secrets: BTreeSet<usize>,
    /// Parent, path, and whether it depends.
    pub(super) parent: Option<(usize, usize, bool)>,
    /// Who scheduled it, when, and whether a cancellation suspends it.
    pub(super) pending: Option<(usize, u64, bool)>,
    /// Whose destruction it counts as, and since when.
    pub(super) asked: Option<(usize, u64)>,
    pub(super) used: Option<u64>,
    /// What a restart remembers of its uses.
    pub(super) used_stored: Option<u64>,
}

impl Key {
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone { .. })
    }
}

#[derive(Clone, Debug)]
pub(super) struct Vault {
    pub(super) name: String,
    pub(super) removed: bool,
    pub(super) rules: Rules,
    pub(super) names: Names,
}

#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) revoked: bool,
    pub(super) suspended: bool,
    pub(super) rights: Rights,
    pub(super) login: Option<usize>,
    /// Number of the credential, and its name if it has one.
    pub(super) credentials: Vec<(usize, Option<usize>)>,
    pub(super) bound: Option<usize>,
    pub(super) signs: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    Open,
    Used,
    Withdrawn,
}

#[derive(Clone, Debug)]
pub(super) struct Approval {
    pub(super) key: usize,
    pub(super) requester: usize,
    pub(super) expires: u64,
    pub(super) stand: Stand,
    pub(super) by: Vec<usize>,
}

/// What a set of rights allows in a vault; nothing is said about single keys.
pub(super) fn allows(rights: Rights, wanted: Permission, vault: Option<usize>) -> bool {
    use Permission as P;
    match rights {
        Rights::None => false,
        Rights::Destroyer => matches!(wanted, P::KeysDestroy | P::KeysRead),
        Rights::Scheduler => {
            matches!(wanted, P::KeysDestroySchedule | P::KeysDestroyCancel | P::KeysRead)
        }
        Rights::Approver => matches!(wanted, P::KeysDestroyApprove | P::KeysRead),
        Rights::Local(local) => vault == Some(local),
        Rights::Manager => matches!(wanted, P::PrincipalsManage | P::KeysRead),
    }
}

impl World {
    /// A realm with its default vault, two others, and the people of [`super::play`].
    pub(super) fn new(now: u64) -> Self {
        let vault = |name: &str| Vault {
            name: name.to_owned(),
            removed: false,
            rules: Rules::default(),
            names: Names::Free,
        };
        let person = |(number, rights): (usize, Rights)| Person {
            revoked: false,
            suspended: false,
            rights,
            login: None,
            credentials: vec![(number, None)],
            bound: None,
            signs: false,
        };
        let rights = [
            Rights::Destroyer,
            Rights::Scheduler,
            Rights::Approver,
            Rights::Approver,
            Rights::Local(1),
            Rights::None,
        ];
        let mut people: Vec<Person> = rights.into_iter().enumerate().map(person).collect();
        let mut credentials_made = people.len();
        for signer in [2, 3] {
            people[signer].signs = true;
            people[signer].credentials.push((credentials_made, Some(100 + signer)));
            credentials_made += 1;
        }
        Self {
            now,
            rules: Rules::default(),
            keys: Vec::new(),
            vaults: vec![vault("default"), vault("first"), vault("second")],
            people,
            approvals: Vec::new(),
            holds_made: 0,
            credentials_made,
            remembered: BTreeMap::new(),
        }
    }

    pub(super) fn person(&self, by: usize) -> Option<&Person> {
        by.checked_sub(1).map(|number| &self.people[number])
    }

    pub(super) fn is_live(&self, by: usize) -> bool {
        self.person(by).is_none_or(|person| !person.revoked && !person.suspended)
    }

    /// Whether `by` may, in `vault` or everywhere.
    pub(super) fn may(&self, by: usize, wanted: Permission, vault: Option<usize>) -> bool {
        self.person(by).is_none_or(|person| allows(person.rights, wanted, vault))
    }

    /// Whether there is anything on which `by` may.
    pub(super) fn may_somewhere(&self, by: usize, wanted: Permission) -> bool {
        let mut vaults = (0..self.vaults.len()).map(Some).chain([None]);
        vaults.any(|vault| self.may(by, wanted, vault))
    }

    pub(super) fn may_key(&self, by: usize, wanted: Permission, key: usize) -> bool {
        self.may(by, wanted, Some(self.keys[key].vault))
    }

    /// What realm and vault demand of a key's destruction.
    pub(super) fn rules_of(&self, key: usize) -> Rules {
        let (realm, vault) = (self.rules, self.vaults[self.keys[key].vault].rules);
        Rules {
            window: match (realm.window, vault.window) {
                (Some((one, one_early)), Some((two, two_early))) => {
                    Some((one.max(two), one_early && two_early))
                }
                (one, two) => one.or(two),
            },
            suspended: realm.suspended || vault.suspended,
            unused: most(realm.unused, vault.unused),
            rate: match (realm.rate, vault.rate) {
                (Some(one), Some(two)) => Some(one.min(two)),
                (one, two) => one.or(two),
            },
            confirm: realm.confirm || vault.confirm,
            approvals: match (realm.approvals, vault.approvals) {
                (Some((one, one_life)), Some((two, two_life))) => {
                    Some((one.max(two), one_life.min(two_life)))
                }
                (one, two) => one.or(two),
            },
            dependants: most(realm.dependants, vault.dependants),
        }
    }

    pub(super) fn dependants(&self, parent: usize) -> Vec<usize> {
        let depends = |key: &Key| key.parent.is_some_and(|(of, _, on)| of == parent && on);
        (0..self.keys.len())
            .filter(|&key| !self.keys[key].is_gone() && depends(&self.keys[key]))
            .collect()
    }

    /// What depends on a key, what depends on that, and so on: each once.
    pub(super) fn all_dependants(&self, parent: usize) -> Vec<usize> {
        let mut found: Vec<usize> = self.dependants(parent);
        let mut at = 0;
        while at < found.len() {
            let theirs = self.dependants(found[at]);
            found.extend(theirs);
            at += 1;
        }
        found
    }

    /// Destructions of the last hour that `by` asked for and that were not called off.
    pub(super) fn destroys(&self, by: usize) -> usize {
        let since = self.now.saturating_sub(3_600_000);
        let counts = |key: &&Key| key.asked.is_some_and(|(who, at)| who == by && at >= since);
        self.keys.iter().filter(counts).count()
    }

    pub(super) fn name_is_taken(&self, vault: usize, name: usize, but: Option<usize>) -> bool {
        let mut others =
            self.keys.iter().enumerate().filter(|(number, key)| {
                Some(*number) != but && key.vault == vault && key.name == name
            });
        match self.vaults[vault].names {
            Names::Free => false,
            Names::Live => others.any(|(_, key)| !key.is_gone()),
            Names::Never => others.next().is_some(),
        }
    }

    pub(super) fn alias_is_taken(&self, alias: usize, but: Option<usize>) -> bool {
        self.keys.iter().enumerate().any(|(number, key)| {
            let reserved = key.aliases.get(&alias);
            Some(number) != but && reserved.is_some_and(|reserved| *reserved || !key.is_gone())
        })
    }

    pub(super) fn login_is_taken(&self, login: Option<usize>, but: Option<usize>) -> bool {
        let Some(login) = login else { return false };
        self.people.iter().enumerate().any(|(number, person)| {
            Some(number) != but && !person.revoked && person.login == Some(login)
        })
    }

    pub(super) fn external_is_taken(&self, external: usize) -> bool {
        self.people
            .iter()
            .any(|person| person.credentials.iter().any(|(_, name)| *name == Some(external)))
    }

    /// Whether `by` lacks any of `rights`.
    pub(super) fn lacks(&self, by: usize, rights: Rights) -> bool {
        use Permission as P;
        let vault = if let Rights::Local(local) = rights { Some(local) } else { None };
        P::ALL.iter().any(|&wanted| allows(rights, wanted, vault) && !self.may(by, wanted, vault))
    }
}

fn most<T: Ord + Copy>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.max(other)
}
