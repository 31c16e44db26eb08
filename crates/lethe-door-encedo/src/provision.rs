//! An owner for a device, off-line: what a client does with two passphrases at the initialisation.

use lethe_crypto::kdf::{KdfHash, pbkdf2};
use lethe_engine::EngineError;
use lethe_types::SecretVec;

use crate::EncedoDoor;
use crate::boot::x25519;
use crate::device::Config;
use crate::handlers::init::{Keys, give};

/// Rounds of the derivation that every client uses.
const ROUNDS: u32 = 600_000;

/// The owner of a device.
#[derive(Debug)]
pub struct Owner<'a> {
    /// The name that a login shows.
    pub user: &'a str,
    /// The name under which the device is reached.
    pub hostname: &'a str,
    /// Which origins of scripts may speak to it.
    pub origin: &'a str,
    /// What the user knows.
    pub user_passphrase: &'a SecretVec,
    /// What whoever rescues the device knows.
    pub master_passphrase: &'a SecretVec,
}

impl EncedoDoor {
    /// The identity of the device: the salt of what is derived from passphrases.
    #[must_use]
    pub fn identity(&self) -> String {
        self.state.device().eid_public.clone()
    }

    /// Whether the device has an owner whose passphrases these are. Slow: some tenths of a second.
    ///
    /// # Errors
    /// The engine's.
    pub fn is_owned_by(
        &self,
        user_passphrase: &SecretVec,
        master_passphrase: &SecretVec,
    ) -> Result<bool, EngineError> {
        let device = self.state.device();
        let (Some(user), Some(master)) = (&device.user, &device.master) else { return Ok(false) };
        let eid = device.eid_public.as_bytes();
        let is_user = user.public_key.ct_eq(&self.public_key(eid, user_passphrase)?);
        Ok(is_user && master.public_key.ct_eq(&self.public_key(eid, master_passphrase)?))
    }

    /// Gives the device an owner, in the place of the one that it has, if it has one; then its
    /// configuration stays. Slow, as [`EncedoDoor::is_owned_by`].
    ///
    /// # Errors
    /// The engine's.
    pub async fn give_to(&self, owner: &Owner<'_>) -> Result<(), EngineError> {
        let eid = self.identity();
        let keys = Keys {
            user: self.public_key(eid.as_bytes(), owner.user_passphrase)?,
            master: self.public_key(eid.as_bytes(), owner.master_passphrase)?,
        };
        let now = self.state.clock.now().seconds();
        let fresh = Config {
            iat: now,
            uts: now,
            user: owner.user.to_owned(),
            hostname: owner.hostname.to_owned(),
            origin: owner.origin.to_owned(),
            trusted_ts: true,
            trusted_backend: false,
            allow_keysearch: true,
            ..Config::default()
        };
        let config = self.state.device().config().cloned().unwrap_or(fresh);
        give(&self.state, config, keys).await.map(drop)
    }

    fn public_key(&self, eid: &[u8], passphrase: &SecretVec) -> Result<[u8; 32], EngineError> {
        let private = pbkdf2(KdfHash::Sha256, ROUNDS, eid, passphrase.expose(), 32)?;
        let private: &[u8; 32] = private
            .expose()
            .try_into()
            .map_err(|_| EngineError::Internal("a derived key of another length"))?;
        Ok(x25519(&*self.state.entropy, Some(private))?.1)
    }
}
