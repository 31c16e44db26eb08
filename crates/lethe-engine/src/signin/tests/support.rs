//! Principals with credentials of all kinds, published in the catalogue without the committer.

use std::sync::Arc;

use lethe_crypto::SystemEntropy;
use lethe_crypto::kdf::Argon2Params;
use lethe_erasure::tree::Committed;
use lethe_store::Revision;
use lethe_types::{CredentialId, PrincipalId, RealmId, SecretVec, UnixMillis};

use crate::authz::PrincipalEntry;
use crate::record::{Credential, CredentialKind, OwnedSecret, PrincipalKind, PrincipalRecord};
use crate::signin::{SignInLimits, Source};
use crate::tests::support::{World, wait};
use crate::{Caller, Engine, EngineError, seal};

pub(super) const DOOR: &str = "test";
pub(super) const REQUEST: [u8; 16] = [9; 16];
pub(super) const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
pub(super) const PASSPHRASE: &[u8] = b"correct horse battery staple";
pub(super) const TOTP_SECRET: &[u8] = b"12345678901234567890";

/// Quick to compute: what is tested is not Argon2id.
pub(super) const CHEAP: Argon2Params = Argon2Params { memory_kib: 8, passes: 1, lanes: 1 };

pub(super) struct Scene {
    pub(super) world: World,
    pub(super) engine: Engine,
    pub(super) realm: RealmId,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::with(SignInLimits::default())
    }

    pub(super) fn with(limits: SignInLimits) -> Self {
        let world = World::new();
        let limits = SignInLimits { cost: CHEAP, ..limits };
        let engine = world.start().with_sign_in_limits(limits);
        let realm = wait(engine.ensure_realm(&"acme".parse().unwrap())).unwrap();
        world.audit.events.lock().clear();
        Self { world, engine, realm }
    }

    pub(super) fn set_time(&self, after: std::time::Duration) {
        self.world.clock.set(NOW.saturating_add(after).0);
    }

    /// A principal as every later request sees it; of the same number, the one before is replaced.
    pub(super) fn publish(&self, number: u8, change: impl FnOnce(&mut PrincipalRecord)) {
        let id = PrincipalId([number; 16]);
        let name = "someone".parse().unwrap();
        let mut record = PrincipalRecord::new(id, self.realm, PrincipalKind::User, name, NOW);
        change(&mut record);
        let entry = PrincipalEntry::new(record, Revision(1));
        self.engine.shared.catalogue.publish_principal(Arc::new(entry));
    }

    /// A principal who signs in with a login and [`PASSPHRASE`].
    pub(super) fn user(&self, number: u8, login: &str) {
        let kind = self.passphrase(None);
        self.publish(number, |record| {
            record.login = Some(login.into());
            record.credentials = vec![credential(number, kind)];
        });
    }

    pub(super) fn passphrase(&self, totp: Option<OwnedSecret>) -> CredentialKind {
        CredentialKind::Passphrase { hash: self.engine.hash_passphrase(PASSPHRASE).unwrap(), totp }
    }

    /// A secret of credential `number`, in a slot of the erasure tree of its own.
    pub(super) fn secret(&self, number: u8, secret: &[u8]) -> OwnedSecret {
        let shared = &self.engine.shared;
        let leaf = 500 + u64::from(number);
        let mut tree = shared.tree.write();
        let staged = tree.stage(&[], &[leaf], &SystemEntropy).unwrap();
        let sealed = seal::seal_secret(
            shared.tree_id,
            [number; 16],
            3,
            leaf,
            staged.record_key(0),
            &SecretVec::copy_from(secret),
            &SystemEntropy,
        )
        .unwrap();
        let Committed::SameRoot(same) = staged.committed() else { panic!("the root changed") };
        tree.apply_same_root(same).unwrap();
        OwnedSecret { name: "secret".into(), leaf, number: 3, sealed: sealed.into() }
    }

    pub(super) fn sign_in(
        &self,
        login: &str,
        passphrase: &[u8],
        one_time: Option<&str>,
        source: Source,
    ) -> Result<Caller, EngineError> {
        self.engine
            .authenticate_passphrase(DOOR, REQUEST, self.realm, login, passphrase, one_time, source)
    }

    /// The events since the last call: operation and refusal.
    pub(super) fn events(&self) -> Vec<(String, Option<String>)> {
        let events = std::mem::take(&mut *self.world.audit.events.lock());
        events.into_iter().map(|(operation, _, refusal)| (operation, refusal)).collect()
    }
}

pub(super) fn credential(number: u8, kind: CredentialKind) -> Credential {
    Credential {
        id: CredentialId([number; 16]),
        name: "".into(),
        kind,
        created: NOW,
        expires: None,
        suspended: false,
        attributes: Default::default(),
    }
}

pub(super) fn source(text: &str) -> Source {
    Source::of(text.parse().unwrap())
}

pub(super) const REFUSED: EngineError = EngineError::AuthenticationNotSuccessful;

/// Without the part that differs.
pub(super) fn is_limited<T>(result: &Result<T, EngineError>) -> bool {
    matches!(result, Err(EngineError::TooManyAttempts { .. }))
}
