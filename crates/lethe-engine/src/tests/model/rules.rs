//! What the model says to every operation: its answer, and what it changes. Written from the
//! documentation of the operations, rule by rule, without looking anything up twice.

use lethe_types::limits::WINDOW_MAX;
use lethe_types::{Permission as P, StableState};

use super::ops::{Bound, Move, Op, Wish};
use super::world::{Approval, Key, Stand, State, Vault, World};

pub(super) type Answer = Result<&'static str, &'static str>;

/// What an operation came to.
pub(super) struct Told {
    pub(super) answer: &'static str,
    /// Whether a change was made, so that a store that fails had to be asked.
    pub(super) commits: bool,
}

pub(super) const SYSTEM: usize = 0;
pub(super) const GONE: &str = "object_destroyed";
pub(super) const DENIED: &str = "permission_denied";
pub(super) const MISSING: &str = "item_not_found";
pub(super) const TAKEN: &str = "name_taken";
pub(super) const UNPROVEN: &str = "evidence_not_valid";

/// How long an idempotency key is remembered, and a request for approval is good for where nobody
/// says it.
pub(super) const DAY_MS: u64 = 86_400_000;

impl World {
    pub(super) fn apply(&mut self, op: &Op) -> Told {
        let mut commits = true;
        let answer = self.answer(op, &mut commits);
        let (Ok(answer) | Err(answer)) = answer;
        Told { answer, commits: answer_commits(answer) && commits }
    }

    fn answer(&mut self, op: &Op, commits: &mut bool) -> Answer {
        if let Some(by) = actor_of(op)
            && !self.is_live(by)
        {
            return Err("authentication_not_successful");
        }
        match *op {
            Op::Create { .. } => self.create(op, commits),
            Op::Destroy { by, key, wish, confirm, approval } => {
                self.destroy(by, key, wish, confirm, approval)
            }
            Op::Cancel { by, key } => self.cancel(by, key),
            Op::Use { by, key } => {
                *commits = false;
                self.use_key(by, key)
            }
            Op::Rotate { by, key } => self.rotate(by, key),
            Op::Move { by, key, to } => self.move_key(by, key, to),
            Op::Protect { .. } | Op::Rename { .. } | Op::Alias { .. } | Op::Secret { .. } => {
                self.update(op, commits)
            }
            Op::Hold { by, key, seconds } => self.hold(by, key, seconds),
            Op::Lift { by, key, hold } => self.lift(by, key, hold),
            Op::RealmPolicy { by, rules } => {
                self.needs(by, P::VaultsAdmin, None)?;
                self.rules = rules;
                Ok("ok")
            }
            Op::VaultPolicy { by, vault, rules } => {
                self.change_vault(by, vault)?.rules = rules;
                Ok("ok")
            }
            Op::VaultNames { by, vault, names } => {
                self.change_vault(by, vault)?.names = names;
                Ok("ok")
            }
            Op::NewVault { by, name } => self.new_vault(by, name),
            Op::RemoveVault { by, vault } => self.remove_vault(by, vault),
            Op::NewPerson { by, rights, login, external, bound } => {
                self.new_person(by, rights, (login, external), bound)
            }
            Op::Revoke { by, person } => self.revoke(by, person, commits),
            Op::Suspend { by, person, suspended } => {
                let person = self.change_person(by, person)?;
                self.people[person].suspended = suspended;
                Ok("ok")
            }
            Op::Grant { by, person, rights } => self.grant(by, person, rights),
            Op::AddCredential { by, person, external } => self.add(by, person, external),
            Op::DropCredential { by, person, credential } => self.take(by, person, credential),
            Op::Ask { by, key } => self.ask(by, key),
            Op::Approve { by, approval } => self.approve(by, approval),
            Op::Withdraw { by, approval } => self.withdraw(by, approval),
            Op::Bulk { by, vault } => self.bulk_vault(by, vault),
            Op::BulkList { by, ref keys } => self.bulk_list(by, keys),
            Op::Pass { seconds } => {
                self.now += seconds * 1_000;
                Ok("ok")
            }
            Op::Tend => self.tend(),
            Op::Idle => Ok("ok"),
            Op::Restart => {
                self.keys.iter_mut().for_each(|key| key.used = key.used_stored);
                Ok("ok")
            }
        }
    }

    pub(super) fn needs(
        &self,
        by: usize,
        wanted: P,
        vault: Option<usize>,
    ) -> Result<(), &'static str> {
        if self.may(by, wanted, vault) { Ok(()) } else { Err(DENIED) }
    }

    /// The key of that number, if it is there, `by` may, and it is not gone.
    pub(super) fn key(&self, by: usize, key: usize, wanted: P) -> Result<usize, &'static str> {
        let key = wrapped(key, self.keys.len())?;
        if !self.may_key(by, wanted, key) {
            return Err(DENIED);
        }
        if self.keys[key].is_gone() { Err(GONE) } else { Ok(key) }
    }

    fn create(&mut self, op: &Op, commits: &mut bool) -> Answer {
        let Op::Create { by, vault, name, active, protected, alias, parent, once } = *op else {
            return Err("no creation");
        };
        let vault = wrapped(vault, self.vaults.len())?;
        self.needs(by, P::KeysCreate, Some(vault))?;
        if self.vaults[vault].removed {
            return Err(MISSING);
        }
        if let Some((request, key, at)) = once.and_then(|text| self.remembered.get(&(by, text)))
            && self.now - at <= DAY_MS
        {
            *commits = false;
            let _the_same = key;
            return if request == op { Ok("ok again") } else { Err("idempotency_key_reused") };
        }
        if self.name_is_taken(vault, name, None)
            || alias.is_some_and(|(alias, _)| self.alias_is_taken(alias, None))
        {
            return Err(TAKEN);
        }
        let parent = match parent {
            Some((parent, path, depends)) if !self.keys.is_empty() => {
                let parent = wrapped(parent, self.keys.len())?;
                if self.keys[parent].is_gone() {
                    return Err(GONE);
                }
                let same =
                    |key: &Key| key.parent.is_some_and(|(of, at, _)| (of, at) == (parent, path));
                if self.keys.iter().any(same) {
                    return Err(TAKEN);
                }
                Some((parent, path, depends))
            }
            Some(_) | None => None,
        };
        let state = if active { StableState::Active } else { StableState::PreActive };
        if let Some(text) = once {
            self.remembered.insert((by, text), (op.clone(), self.keys.len(), self.now));
        }
        self.keys.push(Key {
            vault,
            name,
            state: State::Is(state),
            versions: 1,
            next_version: 2,
            protected,
            holds: Vec::new(),
            aliases: alias.into_iter().collect(),
            secrets: Default::default(),
            parent,
            pending: None,
            asked: None,
            used: None,
            used_stored: None,
        });
        Ok("ok")
    }

    pub(super) fn destroy(
        &mut self,
        by: usize,
        key: usize,
        wish: Wish,
        confirm: bool,
        approval: Option<usize>,
    ) -> Answer {
        let key = wrapped(key, self.keys.len())?;
        let approval = approval.and_then(|number| wrapped(number, self.approvals.len()).ok());
        let wait = self.decide(by, key, wish, confirm, approval)?;
        if wait.is_none() {
            self.carry_out(by, key)?;
        }
        if let Some(approval) = approval
            && self.is_good(by, key, &self.approvals[approval])
        {
            self.approvals[approval].stand = Stand::Used;
        }
        match wait {
            Some(wait_ms) => {
                let State::Is(back) = self.keys[key].state else { return Err("a second wait") };
                let cancel = matches!(wish, Wish::Later { cancel_to_suspended: true, .. });
                let now = self.now;
                let key = &mut self.keys[key];
                key.state = State::Waits { due: now + wait_ms, back };
                key.pending = Some((by, now, cancel));
                key.asked = Some((by, now));
                Ok("scheduled")
            }
            None => Ok("destroyed"),
        }
    }

    /// Everything that stands before it, in order; how long it is to wait, if it is.
    fn decide(
        &self,
        by: usize,
        number: usize,
        wish: Wish,
        confirm: bool,
        approval: Option<usize>,
    ) -> Result<Option<u64>, &'static str> {
        let (key, rules) = (&self.keys[number], self.rules_of(number));
        let later = matches!(wish, Wish::Later { .. });
        let schedules = later && self.may_key(by, P::KeysDestroySchedule, number);
        if !schedules && !self.may_key(by, P::KeysDestroy, number) {
            return Err(DENIED);
        }
        let waits = match key.state {
            State::Gone { .. } => return Err(GONE),
            State::Waits { .. } if later => return Err("already_pending"),
            State::Waits { due, .. } => Some(due),
            State::Is(_) => None,
        };
        self.is_kept(number)?;
        match wish {
            Wish::Later { seconds, .. } => match (rules.window, seconds) {
                (Some((least, _)), Some(wait)) if wait < least => return Err("window_too_short"),
                (None, None | Some(0)) => return Err("window_missing"),
                (_, Some(wait)) if wait > WINDOW_MAX.as_secs() => return Err("window_too_long"),
                _ => {}
            },
            Wish::AsSoonAsAllowed | Wish::AtOnce => {
                if let (Some((_, early)), Some(due)) = (rules.window, waits)
                    && self.now < due
                    && !early
                {
                    return Err("window_running");
                }
            }
        }
        let stands = match key.state {
            State::Is(state) | State::Waits { back: state, .. } => Some(state),
            State::Gone { .. } => None,
        };
        if rules.suspended && stands == Some(StableState::Active) {
            return Err("must_be_suspended");
        }
        let rests = |least: u64| key.used.is_none_or(|used| self.now - used >= least * 1_000);
        if !rules.unused.is_none_or(rests) {
            return Err("recently_used");
        }
        let most = rules.rate.map(|most| usize::try_from(most).unwrap());
        if waits.is_none() && most.is_some_and(|most| self.destroys(by) >= most) {
            return Err("rate_limited");
        }
        if rules.confirm && !confirm {
            return Err("not_confirmed");
        }
        if let Some((required, _)) = rules.approvals.filter(|_| waits.is_none()) {
            let given = approval.map(|approval| &self.approvals[approval]);
            if given.is_some_and(|given| !self.is_good(by, number, given)) {
                return Err("approval_unusable");
            }
            if given.map_or(0, |given| self.valid(given)) < usize::from(required) {
                return Err("approvals_missing");
            }
        }
        self.has_no_dependants(number)?;
        let least = rules.window.map(|(least, _)| least);
        match wish {
            _ if waits.is_some() => Ok(None),
            Wish::Later { seconds, .. } => Ok(seconds.or(least).map(|seconds| seconds * 1_000)),
            Wish::AsSoonAsAllowed => Ok(least.map(|seconds| seconds * 1_000)),
            Wish::AtOnce if least.is_some() => Err("window_too_short"),
            Wish::AtOnce => Ok(None),
        }
    }

    pub(super) fn is_kept(&self, key: usize) -> Result<(), &'static str> {
        let key = &self.keys[key];
        if key.holds.iter().any(|(_, end)| end.is_none_or(|end| self.now < end)) {
            return Err("held");
        }
        if key.protected { Err("protected") } else { Ok(()) }
    }

    pub(super) fn has_no_dependants(&self, key: usize) -> Result<(), &'static str> {
        let refuses = matches!(self.rules_of(key).dependants, None | Some(Bound::Refuse));
        let alone = self.dependants(key).is_empty();
        if refuses && !alone { Err("has_dependants") } else { Ok(()) }
    }

    /// Whether the request for approval can be used by `by` for that key.
    fn is_good(&self, by: usize, key: usize, approval: &Approval) -> bool {
        approval.key == key
            && approval.requester == by
            && approval.stand == Stand::Open
            && self.now < approval.expires
    }

    fn valid(&self, approval: &Approval) -> usize {
        let counts = |&&who: &&usize| {
            who != approval.requester
                && self.is_live(who)
                && self.may_key(who, P::KeysDestroyApprove, approval.key)
        };
        approval.by.iter().filter(counts).count()
    }

    /// The key goes, with what goes with it; all of it or nothing.
    pub(super) fn carry_out(&mut self, by: usize, key: usize) -> Result<(), &'static str> {
        let mut going = vec![key];
        if self.rules_of(key).dependants == Some(Bound::Cascade) {
            going.extend(self.all_dependants(key));
        }
        let kept: Vec<_> = going[1..].iter().filter_map(|key| self.is_kept(*key).err()).collect();
        if let Some(why) = ["held", "protected"].iter().find(|why| kept.contains(why)) {
            return Err(why);
        }
        for (place, &number) in going.iter().enumerate() {
            let now = self.now;
            let key = &mut self.keys[number];
            let (who, asked) = match key.pending {
                Some((who, asked, _)) if place == 0 => (who, asked),
                Some((who, _, _)) => (who, now),
                None => (by, now),
            };
            key.state = match key.state {
                State::Is(StableState::Compromised)
                | State::Waits { back: StableState::Compromised, .. } => {
                    State::Gone { compromised: true }
                }
                State::Is(_) | State::Waits { .. } => State::Gone { compromised: false },
                gone @ State::Gone { .. } => gone,
            };
            key.versions = 0;
            key.holds.clear();
            key.secrets.clear();
            key.pending = None;
            key.asked = Some((who, asked));
            for person in &mut self.people {
                if person.bound == Some(number) {
                    person.revoked = true;
                    person.credentials.clear();
                }
            }
        }
        Ok(())
    }

    fn cancel(&mut self, by: usize, key: usize) -> Answer {
        let key = self.key(by, key, P::KeysDestroyCancel)?;
        let key = &mut self.keys[key];
        let State::Waits { back, .. } = key.state else {
            return Err("wrong_key_lifecycle_state");
        };
        let suspends = key.pending.is_some_and(|(_, _, suspends)| suspends);
        let back =
            if suspends && back == StableState::Active { StableState::Suspended } else { back };
        key.state = State::Is(back);
        key.pending = None;
        key.asked = None;
        Ok("ok")
    }

    fn use_key(&mut self, by: usize, key: usize) -> Answer {
        let key = self.key(by, key, P::KeysUseEncrypt)?;
        if self.keys[key].state != State::Is(StableState::Active) {
            return Err("wrong_state_for_use");
        }
        self.keys[key].used = Some(self.now);
        Ok("ok")
    }

    fn rotate(&mut self, by: usize, key: usize) -> Answer {
        let key = self.key(by, key, P::KeysRotate)?;
        let key = &mut self.keys[key];
        if key.state != State::Is(StableState::Active) {
            return Err("wrong_state_for_use");
        }
        key.versions += 1;
        key.next_version += 1;
        Ok("ok")
    }

    fn move_key(&mut self, by: usize, key: usize, to: Move) -> Answer {
        use StableState::{Active, Compromised, Deactivated, PreActive, Suspended};
        let key = self.key(by, key, P::KeysState)?;
        let key = &mut self.keys[key];
        key.state = match (key.state, to) {
            (State::Is(PreActive), Move::Activate) | (State::Is(Suspended), Move::Resume) => {
                State::Is(Active)
            }
            (State::Is(Active), Move::Suspend) => State::Is(Suspended),
            (State::Is(Active | Suspended), Move::Deactivate) => State::Is(Deactivated),
            (State::Is(state), Move::Compromise) if state != Compromised => State::Is(Compromised),
            (State::Waits { due, back }, Move::Compromise) if back != Compromised => {
                State::Waits { due, back: Compromised }
            }
            _ => return Err("wrong_key_lifecycle_state"),
        };
        Ok("ok")
    }

    fn update(&mut self, op: &Op, commits: &mut bool) -> Answer {
        match *op {
            Op::Protect { by, key, protected } => {
                let key = self.key(by, key, P::KeysUpdate)?;
                *commits = self.keys[key].protected != protected;
                self.keys[key].protected = protected;
            }
            Op::Rename { by, key, name } => {
                let key = self.key(by, key, P::KeysUpdate)?;
                *commits = self.keys[key].name != name;
                if *commits && self.name_is_taken(self.keys[key].vault, name, Some(key)) {
                    return Err(TAKEN);
                }
                self.keys[key].name = name;
            }
            Op::Alias { by, key, alias, reserved } => {
                let key = self.key(by, key, P::KeysUpdate)?;
                *commits = self.keys[key].aliases.get(&alias) != Some(&reserved);
                if *commits && self.alias_is_taken(alias, Some(key)) {
                    return Err(TAKEN);
                }
                self.keys[key].aliases.insert(alias, reserved);
            }
            Op::Secret { by, key, name, set } => {
                let key = self.key(by, key, P::KeysUpdate)?;
                self.keys[key].secrets.remove(&name);
                if set {
                    self.keys[key].secrets.insert(name);
                }
            }
            _ => return Err("no update"),
        }
        Ok("ok")
    }

    fn hold(&mut self, by: usize, key: usize, seconds: Option<u64>) -> Answer {
        let key = self.key(by, key, P::HoldsManage)?;
        let now = self.now;
        let end = seconds.map(|seconds| now + seconds * 1_000);
        let holds = &mut self.keys[key].holds;
        holds.retain(|(_, end)| end.is_none_or(|end| now < end));
        holds.push((self.holds_made, end));
        self.holds_made += 1;
        Ok("ok")
    }

    fn lift(&mut self, by: usize, key: usize, hold: usize) -> Answer {
        let key = self.key(by, key, P::HoldsManage)?;
        let hold = wrapped(hold, self.holds_made)?;
        let holds = &mut self.keys[key].holds;
        let before = holds.len();
        holds.retain(|(other, _)| *other != hold);
        if holds.len() == before { Err(MISSING) } else { Ok("ok") }
    }

    fn change_vault(&mut self, by: usize, vault: usize) -> Result<&mut Vault, &'static str> {
        let number = wrapped(vault, self.vaults.len())?;
        self.needs(by, P::VaultsAdmin, Some(number))?;
        let vault = &mut self.vaults[number];
        if vault.removed { Err(MISSING) } else { Ok(vault) }
    }

    fn new_vault(&mut self, by: usize, name: usize) -> Answer {
        self.needs(by, P::VaultsAdmin, None)?;
        let name = format!("vault-{name}");
        if self.vaults.iter().any(|vault| !vault.removed && vault.name == name) {
            return Err(TAKEN);
        }
        let names = super::ops::Names::Free;
        self.vaults.push(Vault { name, removed: false, rules: Default::default(), names });
        Ok("ok")
    }

    fn remove_vault(&mut self, by: usize, vault: usize) -> Answer {
        let number = wrapped(vault, self.vaults.len())?;
        self.change_vault(by, vault)?;
        if number == 0 {
            return Err("invalid_field");
        }
        if self.keys.iter().any(|key| key.vault == number && !key.is_gone()) {
            return Err("vault_not_empty");
        }
        self.vaults[number].removed = true;
        Ok("ok")
    }
}

/// The thing that a number stands for.
pub(super) fn wrapped(number: usize, things: usize) -> Result<usize, &'static str> {
    if things == 0 { Err(MISSING) } else { Ok(number % things) }
}

fn answer_commits(answer: &str) -> bool {
    matches!(answer, "ok" | "destroyed" | "scheduled")
}

/// Whose request an operation is.
pub(super) fn actor_of(op: &Op) -> Option<usize> {
    actor_mut(&mut op.clone()).map(|by| *by)
}

fn actor_mut(op: &mut Op) -> Option<&mut usize> {
    match op {
        Op::Create { by, .. }
        | Op::Destroy { by, .. }
        | Op::Cancel { by, .. }
        | Op::Use { by, .. }
        | Op::Rotate { by, .. }
        | Op::Move { by, .. }
        | Op::Protect { by, .. }
        | Op::Rename { by, .. }
        | Op::Alias { by, .. }
        | Op::Secret { by, .. }
        | Op::Hold { by, .. }
        | Op::Lift { by, .. }
        | Op::RealmPolicy { by, .. }
        | Op::VaultPolicy { by, .. }
        | Op::VaultNames { by, .. }
        | Op::NewVault { by, .. }
        | Op::RemoveVault { by, .. }
        | Op::NewPerson { by, .. }
        | Op::Revoke { by, .. }
        | Op::Suspend { by, .. }
        | Op::Grant { by, .. }
        | Op::AddCredential { by, .. }
        | Op::DropCredential { by, .. }
        | Op::Ask { by, .. }
        | Op::Approve { by, .. }
        | Op::Withdraw { by, .. }
        | Op::Bulk { by, .. }
        | Op::BulkList { by, .. } => Some(by),
        Op::Pass { .. } | Op::Tend | Op::Idle | Op::Restart => None,
    }
}

/// The operation by somebody who is there. A bulk destruction is never asked for by somebody who
/// might go with one of its keys.
pub(super) fn by_somebody(op: &Op, world: &World) -> Op {
    const FIRST_ACTORS: usize = 7;
    let mut op = op.clone();
    let bulk = matches!(op, Op::Bulk { .. } | Op::BulkList { .. });
    let actors = if bulk { FIRST_ACTORS } else { world.people.len() + 1 };
    if let Some(by) = actor_mut(&mut op) {
        *by %= actors;
    }
    op
}
