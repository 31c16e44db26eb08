//! The end of everything that a device has: its keys, its identity, its owner.
//!
//! That takes several commits. So the first one writes down what is to go, and from then on there
//! is no way back: whoever finds it, also at the next start, ends it. Before that commit nothing is
//! touched. A device that cannot end its wipe is in its fail state, and used for nothing.

use lethe_engine::{
    Caller, Collection, DestroyRequest, DestroyWhen, DocumentChange, DoorOperation, Engine,
    EngineError, Expected, PreviewVerdict,
};
use lethe_types::limits::{DESTROY_TOGETHER_KEYS_MAX, PAGE_KEYS_MAX};
use lethe_types::{Entropy, KeyId, Permission, VaultId};
use serde::{Deserialize, Serialize};

use crate::device::{self, Device, Stored};

const WIPE: Collection = Collection::named("wipe");
const WIPE_ID: &str = "wipe";
const REASON: &str = "wipeout";
const BEGIN: DoorOperation = DoorOperation::named("encedo.wipe.begin");
const END: DoorOperation = DoorOperation::named("encedo.wipe.end");

/// What goes beside the keys of clients, as it is kept until it is gone.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Intent {
    /// The keys of the identity, the agreement's first.
    keys: Vec<String>,
    /// The principals of the roles.
    roles: Vec<String>,
}

/// Writes down that the device is wiped. Nothing else is done yet.
///
/// # Errors
/// The engine's; [`EngineError::PermissionDenied`] for who may not, and
/// [`EngineError::DestructionInProgress`] if a key of the device would not be destroyed at once.
pub(crate) async fn begin(
    engine: &Engine,
    caller: &Caller,
    vault: VaultId,
    device: &Device,
) -> Result<(), EngineError> {
    check_all_go(engine, caller, vault)?;
    let keys = [device.eid, device.eid_sign, device.naming].map(|key| key.to_string());
    let roles = [&device.user, &device.master].into_iter().flatten();
    let roles = roles.map(|role| role.principal.to_string()).collect();
    let intent = Intent { keys: keys.into(), roles };
    let body = serde_json::to_vec(&intent)
        .map_err(|_| EngineError::Internal("an intent that is no JSON"))?;
    let operation = BEGIN.needing(Permission::RealmAdmin);
    engine.write_documents(caller, operation, vec![intent_is(Some(body))]).await
}

fn intent_is(body: Option<Vec<u8>>) -> DocumentChange {
    let (collection, id) = (WIPE, WIPE_ID.to_owned());
    DocumentChange { collection, id, expected: Expected::Anything, body }
}

fn at_once(key: KeyId) -> DestroyRequest {
    let reason = REASON.to_owned();
    DestroyRequest { when: DestroyWhen::AtOnce, reason, ..DestroyRequest::new(key) }
}

/// A key that a hold or a policy keeps would leave a device that is neither one nor the other.
fn check_all_go(engine: &Engine, caller: &Caller, vault: VaultId) -> Result<(), EngineError> {
    let mut from = 0;
    loop {
        let page = engine.numbered_keys(caller, vault, from, PAGE_KEYS_MAX)?;
        for entry in page.keys.iter().skip(page.before) {
            let key = entry.record().id;
            match engine.preview_destruction(caller, &at_once(key)) {
                Ok(preview) if preview.verdict == PreviewVerdict::Destroy => {}
                Ok(_) => return Err(EngineError::DestructionInProgress(key)),
                // Somebody else was faster.
                Err(EngineError::ObjectDestroyed(_)) => {}
                Err(error) => return Err(error),
            }
        }
        from += PAGE_KEYS_MAX;
        if from >= page.total {
            return Ok(());
        }
    }
}

/// Ends a wipe, if one was begun, in the name of `caller`. What was done of it before is not done
/// again.
///
/// # Errors
/// The engine's. The wipe is still begun, and can be ended later.
pub(crate) async fn end(
    engine: &Engine,
    (own, caller): (&Caller, &Caller),
    entropy: &dyn Entropy,
    vault: VaultId,
) -> Result<(), EngineError> {
    let broken = || EngineError::Internal("the document of a wipe");
    let Some(document) = engine.document(own, WIPE, WIPE_ID)? else { return Ok(()) };
    let intent: Intent = serde_json::from_slice(&document.body).map_err(|_| broken())?;
    destroy_all(engine, caller, vault).await?;
    let (stored, revision) = device::stored(engine, own)?;
    if Some(&stored.eid) == intent.keys.first() {
        let fresh = device::fresh(engine, own, entropy, None).await?;
        let fresh = Stored { generation: stored.generation, ..fresh };
        let expected = Expected::Revision(revision);
        device::write(engine, own, "encedo.device.wipe", &fresh, expected).await?;
    }
    for key in &intent.keys {
        match engine.destroy_key(own, at_once(key.parse().map_err(|_| broken())?)).await {
            Ok(_) | Err(EngineError::ObjectDestroyed(_)) => {}
            Err(error) => return Err(error),
        }
    }
    for role in &intent.roles {
        engine.revoke_principal(own, role.parse().map_err(|_| broken())?).await?;
    }
    // What a request made that was let in before the wipe began.
    destroy_all(engine, own, vault).await?;
    engine.write_documents(own, END, vec![intent_is(None)]).await
}

async fn destroy_all(engine: &Engine, caller: &Caller, vault: VaultId) -> Result<(), EngineError> {
    loop {
        let page = engine.numbered_keys(caller, vault, 0, DESTROY_TOGETHER_KEYS_MAX)?;
        let keys = page.keys.iter().take(DESTROY_TOGETHER_KEYS_MAX);
        let requests: Vec<_> = keys.map(|entry| at_once(entry.record().id)).collect();
        if requests.is_empty() {
            return Ok(());
        }
        engine.destroy_keys_together(caller, requests).await?;
    }
}
