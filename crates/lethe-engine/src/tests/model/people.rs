//! What the model says to operations on principals, credentials and requests for approval.

use lethe_types::Permission as P;

use super::ops::Rights;
use super::rules::{Answer, DAY_MS, DENIED, GONE, MISSING, TAKEN, UNPROVEN, wrapped};
use super::world::{Approval, Person, Stand, World};

/// The people of the model, and what they do together.
impl World {
    pub(super) fn new_person(
        &mut self,
        by: usize,
        rights: Rights,
        (login, external): (Option<usize>, Option<usize>),
        bound: Option<usize>,
    ) -> Answer {
        self.needs(by, P::PrincipalsManage, None)?;
        if self.lacks(by, rights) {
            return Err(DENIED);
        }
        let bound = bound.and_then(|key| wrapped(key, self.keys.len()).ok());
        if self.login_is_taken(login, None)
            || external.is_some_and(|external| self.external_is_taken(external))
        {
            return Err(TAKEN);
        }
        if bound.is_some_and(|key| self.keys[key].is_gone()) {
            return Err(GONE);
        }
        let mut credentials = Vec::new();
        if external.is_some() {
            credentials.push((self.credentials_made, external));
            self.credentials_made += 1;
        }
        let (revoked, suspended, signs) = (false, false, false);
        self.people.push(Person { revoked, suspended, rights, login, credentials, bound, signs });
        Ok("ok")
    }

    /// The person of that number, if `by` may change people and their names are still theirs.
    pub(super) fn change_person(&self, by: usize, person: usize) -> Result<usize, &'static str> {
        self.needs(by, P::PrincipalsManage, None)?;
        let person = wrapped(person, self.people.len())?;
        let taken = self.login_is_taken(self.people[person].login, Some(person));
        if taken { Err(TAKEN) } else { Ok(person) }
    }

    pub(super) fn revoke(&mut self, by: usize, person: usize, commits: &mut bool) -> Answer {
        self.needs(by, P::PrincipalsManage, None)?;
        let person = wrapped(person, self.people.len())?;
        let person = &mut self.people[person];
        *commits = !person.revoked;
        person.revoked = true;
        person.credentials.clear();
        Ok("ok")
    }

    pub(super) fn grant(&mut self, by: usize, person: usize, rights: Rights) -> Answer {
        self.needs(by, P::PrincipalsManage, None)?;
        if self.lacks(by, rights) {
            return Err(DENIED);
        }
        let person = self.change_person(by, person)?;
        self.people[person].rights = rights;
        Ok("ok")
    }

    pub(super) fn add(&mut self, by: usize, person: usize, external: usize) -> Answer {
        self.needs(by, P::PrincipalsManage, None)?;
        let number = wrapped(person, self.people.len())?;
        if self.people[number].revoked {
            return Err(MISSING);
        }
        if self.lacks(by, self.people[number].rights) {
            return Err(DENIED);
        }
        if self.external_is_taken(external) {
            return Err(TAKEN);
        }
        self.people[number].credentials.push((self.credentials_made, Some(external)));
        self.credentials_made += 1;
        Ok("ok")
    }

    pub(super) fn take(&mut self, by: usize, person: usize, credential: usize) -> Answer {
        self.needs(by, P::PrincipalsManage, None)?;
        let person = wrapped(person, self.people.len())?;
        let credential = wrapped(credential, self.credentials_made)?;
        let credentials = &mut self.people[person].credentials;
        let before = credentials.len();
        credentials.retain(|(other, _)| *other != credential);
        if credentials.len() == before { Err(MISSING) } else { Ok("ok") }
    }

    pub(super) fn ask(&mut self, by: usize, key: usize) -> Answer {
        let key = self.key(by, key, P::KeysDestroy)?;
        let lifetime = self.rules_of(key).approvals.map_or(7 * DAY_MS, |(_, life)| life * 1_000);
        let expires = self.now + lifetime;
        let (requester, stand, by) = (by, Stand::Open, Vec::new());
        self.approvals.push(Approval { key, requester, expires, stand, by });
        Ok("ok")
    }

    pub(super) fn approve(&mut self, by: usize, approval: usize) -> Answer {
        let number = wrapped(approval, self.approvals.len())?;
        let approval = &self.approvals[number];
        if !self.may_key(by, P::KeysDestroyApprove, approval.key) || approval.requester == by {
            return Err(DENIED);
        }
        let open = approval.stand == Stand::Open && self.now < approval.expires;
        let signs = self.person(by).is_some_and(|person| {
            person.signs
                && person.credentials.iter().any(|(_, name)| name.is_some_and(|n| n >= 100))
        });
        if !open || approval.by.contains(&by) || !signs {
            return Err(UNPROVEN);
        }
        self.approvals[number].by.push(by);
        Ok("ok")
    }

    pub(super) fn withdraw(&mut self, by: usize, approval: usize) -> Answer {
        let number = wrapped(approval, self.approvals.len())?;
        let approval = &self.approvals[number];
        let reads = self.may_key(by, P::KeysRead, approval.key);
        let approves = self.may_key(by, P::KeysDestroyApprove, approval.key);
        if !reads || (approval.requester != by && !approves) {
            return Err(DENIED);
        }
        if approval.stand != Stand::Open {
            return Err(UNPROVEN);
        }
        self.approvals[number].stand = Stand::Withdrawn;
        Ok("ok")
    }
}
