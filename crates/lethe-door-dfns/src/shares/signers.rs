//! The signers that one server plays: a decryption key of the engine for each, in the realm where
//! nobody signs in, so that no grant reaches them and no list shows them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_crypto::hash::sha256;
use lethe_engine::record::Alias;
use lethe_engine::{
    AgreedForm, Caller, CreateKeyRequest, Engine, EngineError, KeyEntry, PeerKey, TOKEN_REALM,
};
use lethe_types::{KeyId, RealmId, SecretVec};
use serde_json::{Value, json};

use super::sealed;
use crate::DOOR;
use crate::ids::{self, Prefix};

/// How many signers there are.
pub(super) const SIGNERS: usize = 5;
/// How many of them make a key again.
pub(super) const SIGNERS_NEEDED: u8 = 3;

/// The signers of one organization, in the order of their identifiers.
#[derive(Clone)]
pub struct Signers {
    engine: Arc<Engine>,
    caller: Caller,
    cluster: String,
    all: Vec<Signer>,
}

impl core::fmt::Debug for Signers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Signers({})", self.cluster)
    }
}

#[derive(Clone)]
struct Signer {
    id: Vec<u8>,
    key: KeyId,
    point: Vec<u8>,
}

impl Signers {
    /// Those of `realm`. Makes the keys of those that have none yet.
    ///
    /// # Errors
    /// The engine's.
    pub async fn ensure(engine: &Arc<Engine>, realm: RealmId) -> Result<Self, EngineError> {
        let name = TOKEN_REALM.parse().map_err(|_| EngineError::Internal("name of a realm"))?;
        let home = engine.ensure_realm(&name).await?;
        let caller = engine.system_caller(home, DOOR)?;
        let mut all = Vec::with_capacity(SIGNERS);
        for number in 1..=SIGNERS {
            let alias = format!("{realm}/signer/{number}");
            let entry = match engine.signing_key_named(DOOR, &alias) {
                Some(entry) => entry,
                None => create(engine, &caller, realm, alias).await?,
            };
            let key = entry.record().id;
            let (_, public) = engine.public_key(&caller, key, None)?;
            let point = public.sec1_compressed();
            let point = point.ok_or(EngineError::Internal("a decryption key on no curve"))?;
            all.push(Signer { id: sha256(&[&point]).to_vec(), key, point });
        }
        all.sort_by(|one, other| one.id.cmp(&other.id));
        let cluster = ids::id(Prefix::Cluster, &realm.0);
        Ok(Self { engine: engine.clone(), caller, cluster, all })
    }

    /// The answer to who the signers are.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let signers = self.all.iter().map(|signer| {
            json!({
                "signerId": STANDARD.encode(&signer.id),
                "encryptionKey": sealed::write_key(&signer.point),
            })
        });
        let signers: Vec<Value> = signers.collect();
        json!({"clusters": [{"clusterId": self.cluster, "signers": signers}]})
    }

    /// Where a signer stands among all, from 0 on.
    pub(super) fn position(&self, id: &[u8]) -> Option<usize> {
        self.all.iter().position(|signer| signer.id == id)
    }

    /// The identifiers as they are written, in their order.
    pub(super) fn ids(&self) -> impl Iterator<Item = String> {
        self.all.iter().map(|signer| STANDARD.encode(&signer.id))
    }

    /// The point that the signer at `position` and an ephemeral public key agree on.
    ///
    /// # Errors
    /// The engine's: [`EngineError::InvalidField`] for bytes that are no point.
    pub(super) fn agree(&self, position: usize, peer: &[u8]) -> Result<SecretVec, EngineError> {
        let signer = self.all.get(position).ok_or(EngineError::ItemNotFound("signer"))?;
        let peer = PeerKey::raw(peer);
        let form = AgreedForm::Point;
        let agreed = self.engine.agree_with(&self.caller, signer.key, None, &peer, &form);
        agreed.map(|(_, point)| point)
    }
}

async fn create(
    engine: &Engine,
    caller: &Caller,
    realm: RealmId,
    alias: String,
) -> Result<Arc<KeyEntry>, EngineError> {
    let name = format!("decryption key of a signer of realm {realm}");
    let name = name.parse().map_err(|_| EngineError::Internal("name of a key"))?;
    let request = CreateKeyRequest {
        aliases: vec![Alias { door: DOOR.to_owned(), text: alias, reserved: false }],
        ..CreateKeyRequest::new(name, sealed::algorithm()?)
    };
    let prepared = engine.prepare_key(caller, request)?;
    engine.create_key(caller, prepared).await
}
