//! What the model says to bulk destructions and to the caretaker.

use lethe_types::Permission as P;

use super::ops::Wish;
use super::rules::{Answer, DENIED, SYSTEM, wrapped};
use super::world::{State, World};

/// What happens to many keys.
impl World {
    pub(super) fn bulk_vault(&mut self, by: usize, vault: usize) -> Answer {
        let vault = wrapped(vault, self.vaults.len())?;
        self.needs(by, P::KeysDestroy, Some(vault))?;
        let keys = (0..self.keys.len())
            .filter(|&key| self.keys[key].vault == vault && !self.keys[key].is_gone());
        self.bulk(by, keys.collect())
    }

    pub(super) fn bulk_list(&mut self, by: usize, keys: &[usize]) -> Answer {
        if !self.may_somewhere(by, P::KeysDestroy) {
            return Err(DENIED);
        }
        let mut chosen = Vec::new();
        for &key in keys {
            if let Ok(key) = wrapped(key, self.keys.len())
                && !chosen.contains(&key)
            {
                chosen.push(key);
            }
        }
        self.bulk(by, chosen)
    }

    /// One after the other, as if each had been asked for alone.
    fn bulk(&mut self, by: usize, keys: Vec<usize>) -> Answer {
        if keys.is_empty() {
            return Err("invalid_field");
        }
        for key in keys {
            // What a guard keeps stays.
            let _kept = self.destroy(by, key, Wish::AsSoonAsAllowed, true, None);
        }
        Ok("ok")
    }

    pub(super) fn tend(&mut self) -> Answer {
        let mut due: Vec<(u64, usize)> = Vec::new();
        for (number, key) in self.keys.iter().enumerate() {
            if let State::Waits { due: at, .. } = key.state
                && at <= self.now
            {
                due.push((at, number));
            }
        }
        due.sort_unstable();
        for (_, key) in due {
            let waits = matches!(self.keys[key].state, State::Waits { .. });
            if waits && self.is_kept(key).is_ok() && self.has_no_dependants(key).is_ok() {
                // A derived key that is kept keeps its parent.
                let _kept = self.carry_out(SYSTEM, key);
            }
        }
        self.keys.iter_mut().for_each(|key| key.used_stored = key.used);
        Ok("ok")
    }
}
