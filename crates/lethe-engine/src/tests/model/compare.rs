//! Whether engine and model are the same.

use super::convert::of_state;
use super::play::Play;
use super::world::{Stand, State};
use crate::Engine;
use crate::record::ApprovalState;
use crate::tests::rig::acme;
use crate::tests::support::{encrypt, verified};

/// Comparing what is there with what should be.
impl Play<'_> {
    pub(super) fn compare(&self) -> Result<(), String> {
        let engine = &self.rig.as_ref().expect("not taken").engine;
        let catalogue = &engine.shared.catalogue;
        for (number, (key, id)) in self.model.keys.iter().zip(&self.ids.keys).enumerate() {
            let entry = catalogue.key(*id).ok_or(format!("key {number} is not there"))?;
            let (record, details) = (entry.record(), entry.record().details());
            let mut aliases: Vec<(String, bool)> =
                record.aliases.iter().map(|alias| (alias.text.clone(), alias.reserved)).collect();
            aliases.sort();
            let expected: Vec<(String, bool)> =
                key.aliases.iter().map(|(text, kept)| (format!("alias-{text}"), *kept)).collect();
            let same = [
                ("state", of_state(record.state) == key.state),
                ("name", record.name.as_str() == format!("name-{}", key.name)),
                ("vault", record.vault == self.ids.vaults[key.vault]),
                ("versions", record.versions.len() == key.versions),
                ("next version", record.next_version == key.next_version),
                ("protected", details.protected == key.protected),
                ("holds", details.holds.len() == key.holds.len()),
                ("secrets", details.secrets.len() == key.secrets.len()),
                ("pending", details.pending.is_some() == key.pending.is_some()),
                ("aliases", aliases == expected),
                ("use", key.is_gone() || entry.usage().last().map(|at| at.0) == key.used),
            ];
            if let Some((what, _)) = same.iter().find(|(_, same)| !same) {
                return Err(format!("{what} of key {number}: {record:?}, model {key:?}"));
            }
        }
        let gone = self.model.keys.iter().filter(|key| key.is_gone()).count();
        let counts = (self.model.keys.len() - gone, gone);
        let expected = (u64::try_from(counts.0).unwrap(), u64::try_from(counts.1).unwrap());
        if engine.key_counts() != expected {
            return Err(format!("{:?} keys, model {expected:?}", engine.key_counts()));
        }
        self.compare_people(engine)
    }

    fn compare_people(&self, engine: &Engine) -> Result<(), String> {
        for (number, (person, id)) in self.model.people.iter().zip(&self.ids.people).enumerate() {
            let entry = engine.shared.catalogue.principal(self.base.realm, *id);
            let entry = entry.ok_or(format!("person {number} is not there"))?;
            let record = entry.record();
            let login = person.login.map(|login| format!("login-{login}"));
            let same = record.revoked.is_some() == person.revoked
                && record.suspended == person.suspended
                && record.credentials.len() == person.credentials.len()
                && record.login.as_deref() == login.as_deref()
                && record.bound_to == person.bound.map(|key| self.ids.keys[key]);
            if !same {
                return Err(format!("person {number}: {record:?}, model {person:?}"));
            }
        }
        let caller = acme(engine);
        for (number, (approval, id)) in
            self.model.approvals.iter().zip(&self.ids.approvals).enumerate()
        {
            let found = engine.read_approval(&caller, *id).map_err(|error| error.to_string())?;
            let stand = match found.state {
                ApprovalState::Open => Stand::Open,
                ApprovalState::Used => Stand::Used,
                ApprovalState::Withdrawn => Stand::Withdrawn,
            };
            let same = stand == approval.stand
                && found.approvals.len() == approval.by.len()
                && found.expires.0 == approval.expires;
            if !same {
                return Err(format!("approval {number}: {found:?}, model {approval:?}"));
            }
        }
        let there = self.model.vaults.iter().filter(|vault| !vault.removed).count();
        let vaults = engine.list_vaults(&caller).map_err(|error| error.to_string())?;
        if vaults.len() != there {
            return Err(format!("{} vaults, model {there}", vaults.len()));
        }
        Ok(())
    }

    /// At the end: restart, and look whether everything is true.
    pub(super) fn prove(&mut self) -> Result<(), String> {
        self.restart();
        self.compare().map_err(|what| format!("after the last restart: {what}"))?;
        let engine = &self.rig.as_ref().expect("not taken").engine;
        let caller = acme(engine);
        for (number, id) in self.ids.keys.iter().enumerate() {
            let used = encrypt(engine, &caller, *id);
            let key = &self.model.keys[number];
            let right = match key.state {
                State::Gone { .. } => {
                    let receipt =
                        engine.receipt(&caller, *id).map_err(|error| error.to_string())?;
                    let told = receipt.detail.versions.len() + 1;
                    used.is_err()
                        && verified(engine, &receipt)
                        && told == usize::try_from(key.next_version).unwrap()
                }
                State::Is(lethe_types::StableState::Active) => used.is_ok(),
                State::Is(_) | State::Waits { .. } => used.is_err(),
            };
            if !right {
                return Err(format!("key {number} at the end: {key:?}"));
            }
        }
        Ok(())
    }
}
