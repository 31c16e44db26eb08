//! Who may do what: a pure decision whose positive answer is a value that nobody else can make.

use core::marker::PhantomData;
use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_store::Revision;
use lethe_types::{
    CredentialId, KeyId, Permission, Permissions, PrincipalId, RealmId, UnixMillis, VaultId,
};

use crate::EngineError;
use crate::catalogue::KeyEntry;
use crate::record::{KeyRecord, PrincipalRecord, Scope};

/// An operation on a key: its permission and its name in audit events.
pub(crate) trait Operation {
    /// The permission that it needs.
    const PERMISSION: Permission;
    /// Its name in audit events.
    const NAME: &'static str;
    /// Its verb in error texts.
    const VERB: &'static str;
}

macro_rules! operations {
    ($($name:ident: $permission:ident, $text:literal, $verb:literal;)*) => {$(
        #[doc = concat!("The operation `", $text, "`.")]
        #[derive(Debug)]
        pub(crate) struct $name;
        impl Operation for $name {
            const PERMISSION: Permission = Permission::$permission;
            const NAME: &'static str = $text;
            const VERB: &'static str = $verb;
        }
    )*};
}

operations! {
    CreateKey: KeysCreate, "key.create", "create";
    ReadKey: KeysRead, "key.read", "read";
    RotateKey: KeysRotate, "key.rotate", "rotate";
    Encrypt: KeysUseEncrypt, "key.encrypt", "encrypt";
    Decrypt: KeysUseDecrypt, "key.decrypt", "decrypt";
    Sign: KeysUseSign, "key.sign", "sign";
    Verify: KeysUseVerify, "key.verify", "verify";
    Mac: KeysUseMac, "key.mac", "compute a message authentication code";
    MacVerify: KeysUseMac, "key.mac_verify", "check a message authentication code";
    Agree: KeysUseDerive, "key.agree", "agree on a shared secret";
    Destroy: KeysDestroy, "key.destroy", "destroy";
    CreateApiKey: ApikeysManage, "api_key.create", "create an API key";
    ChangeApiKey: ApikeysManage, "api_key.change", "change an API key";
    RotateApiKey: ApikeysManage, "api_key.rotate", "rotate an API key";
    DenyToken: PrincipalsManage, "token.deny", "deny a token";
    UpdateKey: KeysUpdate, "key.update", "change";
    ChangeState: KeysState, "key.state", "change the state of";
    ScheduleDestroy: KeysDestroySchedule, "key.destroy_schedule", "schedule the destruction of";
    CancelDestroy: KeysDestroyCancel, "key.destroy_cancel", "cancel the destruction of";
    PreviewDestroy: KeysRead, "key.destroy_preview", "preview the destruction of";
    PlaceHold: HoldsManage, "key.hold_place", "place a hold on";
    LiftHold: HoldsManage, "key.hold_lift", "lift a hold on";
    RequestApproval: KeysDestroy, "approval.request", "ask for approval to destroy";
    Approve: KeysDestroyApprove, "approval.give", "approve the destruction of";
    ReadApproval: KeysRead, "approval.read", "read a request for approval";
    WithdrawApproval: KeysRead, "approval.withdraw", "withdraw a request for approval";
    StartJob: KeysDestroy, "job.start", "destroy";
    ReadJob: KeysRead, "job.read", "read a bulk destruction";
    CancelJob: KeysDestroy, "job.cancel", "cancel a bulk destruction";
    ImportKey: KeysImport, "key.import", "import";
    ManageTokens: ApikeysManage, "key.tokens", "manage the tokens of";
    MakeImportKey: KeysImport, "import_key.create", "make an import key";
    ReadImportKey: KeysImport, "import_key.read", "read an import key";
    RemoveImportKey: KeysImport, "import_key.remove", "remove an import key";
    ExportKey: KeysExport, "key.export", "export";
    ChangeVersion: KeysState, "key.version_state", "change the state of a version of";
    DestroyVersion: KeysDestroy, "key.version_destroy", "destroy a version of";
    UpdateRealmRules: RealmAdmin, "realm.set_rules", "change the rules of the realm";
    UpdateRealm: VaultsAdmin, "realm.update", "change the realm";
    ReadRealm: VaultsRead, "realm.read", "read the realm";
    UpdateVault: VaultsAdmin, "vault.update", "change a vault";
    RemoveVault: VaultsAdmin, "vault.remove", "remove a vault";
    UpdatePrincipal: PrincipalsManage, "principal.update", "change a principal";
    AddCredential: PrincipalsManage, "credential.add", "add a credential";
    RemoveCredential: PrincipalsManage, "credential.remove", "remove a credential";
    CreateVault: VaultsAdmin, "vault.create", "create a vault";
    ReadVault: VaultsRead, "vault.read", "read a vault";
    CreatePrincipal: PrincipalsManage, "principal.create", "create a principal";
    RevokePrincipal: PrincipalsManage, "principal.revoke", "revoke a principal";
    ReadPrincipal: PrincipalsRead, "principal.read", "read a principal";
    ReadEvents: KeysRead, "event.read", "read events";
    GrantOnVault: PrincipalsManage, "vault.grant", "change who may do what in a vault";
    ReadMembers: PrincipalsRead, "vault.members", "read who may do what in a vault";
    MakeDataKey: KeysUseEncrypt, "key.data_key", "make a data key";
    ReEncryptFrom: KeysUseDecrypt, "key.re_encrypt_from", "decrypt";
    ReEncryptTo: KeysUseEncrypt, "key.re_encrypt_to", "encrypt";
    AgreeHashed: KeysUseDerive, "key.agree_hashed", "agree with a hashed point";
    Encapsulate: KeysUseEncrypt, "key.encapsulate", "encapsulate a secret";
    Decapsulate: KeysUseDecrypt, "key.decapsulate", "decapsulate a secret";
    Wrap: KeysUseWrap, "key.wrap", "wrap a key";
    Unwrap: KeysUseWrap, "key.unwrap", "unwrap a key";
    DeriveKey: KeysUseDerive, "key.derive", "derive other keys";
    ReadPublicKey: KeysRead, "key.public_key", "give a public key";
    TweakedKey: KeysRead, "key.taproot_key", "be tweaked for taproot";
    DrawRandom: KeysRead, "random.draw", "draw random bytes";
    ComputeHash: KeysRead, "hash.compute", "hash";
    VerifyForeign: KeysUseVerify, "signature.verify", "verify a signature";
}

/// What no API key may do, whatever its creator gave it.
const WITHHELD_FROM_API_KEYS: [Permission; 3] =
    [Permission::ApikeysManage, Permission::PrincipalsDelegate, Permission::PrincipalsManage];

/// A principal with its grants sorted for quick answers.
#[derive(Debug)]
pub struct PrincipalEntry {
    pub(crate) record: PrincipalRecord,
    pub(crate) revision: Revision,
    everywhere: Permissions,
    vaults: BTreeMap<VaultId, Permissions>,
    keys: BTreeMap<KeyId, Permissions>,
}

impl PrincipalEntry {
    pub(crate) fn new(record: PrincipalRecord, revision: Revision) -> Self {
        // Whoever finds the secret of an API key must not be able to make its successor.
        let withheld: Permissions = match record.is_application_of_key() {
            true => WITHHELD_FROM_API_KEYS.iter().copied().collect(),
            false => Permissions::NONE,
        };
        let mut everywhere = Permissions::NONE;
        let mut vaults = BTreeMap::<VaultId, Permissions>::new();
        let mut keys = BTreeMap::<KeyId, Permissions>::new();
        for grant in &record.grants {
            let slot = match grant.scope {
                Scope::Realm => &mut everywhere,
                Scope::Vault(vault) => vaults.entry(vault).or_default(),
                Scope::Key(key) => keys.entry(key).or_default(),
            };
            *slot = slot.union(grant.permissions.without(withheld));
        }
        Self { record, revision, everywhere, vaults, keys }
    }

    /// The store revision that the record was written at.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The stored record.
    #[must_use]
    pub fn record(&self) -> &PrincipalRecord {
        &self.record
    }

    pub(crate) fn may(
        &self,
        permission: Permission,
        vault: Option<VaultId>,
        key: Option<KeyId>,
    ) -> bool {
        let held = |set: Option<&Permissions>| set.is_some_and(|set| set.contains(permission));
        self.everywhere.contains(permission)
            || held(vault.and_then(|vault| self.vaults.get(&vault)))
            || held(key.and_then(|key| self.keys.get(&key)))
    }
}

/// A principal that proved itself, and the request it makes.
#[derive(Clone, Debug)]
pub struct Caller {
    pub(crate) principal: Arc<PrincipalEntry>,
    pub(crate) credential: Option<CredentialId>,
    pub(crate) door: &'static str,
    pub(crate) request: [u8; 16],
    pub(crate) bounds: Bounds,
}

/// What a token leaves of a principal's rights.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// Of the grants, only these permissions; all if `None`.
    pub(crate) permissions: Option<Permissions>,
    /// Not longer than until then.
    pub(crate) until: Option<UnixMillis>,
}

impl Caller {
    /// A principal that proved itself, with all its rights.
    pub(crate) fn new(
        principal: Arc<PrincipalEntry>,
        credential: Option<CredentialId>,
        door: &'static str,
        request: [u8; 16],
    ) -> Self {
        Self { principal, credential, door, request, bounds: Bounds::default() }
    }

    /// The same caller with no more than `permissions` of its rights, and only until `until`.
    #[must_use]
    pub fn bounded(mut self, permissions: Permissions, until: Option<UnixMillis>) -> Self {
        let Bounds { permissions: before, until: end } = self.bounds;
        self.bounds = Bounds {
            permissions: Some(before.map_or(permissions, |old| old.intersection(permissions))),
            until: end.into_iter().chain(until).min(),
        };
        self
    }

    /// The credential that it came with.
    #[must_use]
    pub fn credential(&self) -> Option<CredentialId> {
        self.credential
    }

    /// The record of who it is.
    #[must_use]
    pub fn record(&self) -> &PrincipalRecord {
        self.principal.record()
    }

    /// Whether it has `permission` on the vault or key, or everywhere.
    pub(crate) fn holds(
        &self,
        permission: Permission,
        vault: Option<VaultId>,
        key: Option<KeyId>,
    ) -> bool {
        let within = self.bounds.permissions.is_none_or(|bound| bound.contains(permission));
        within && self.principal.may(permission, vault, key)
    }

    /// The tenant that the caller acts in.
    #[must_use]
    pub fn realm(&self) -> RealmId {
        self.principal.record.realm
    }

    /// Who it is.
    #[must_use]
    pub fn principal(&self) -> PrincipalId {
        self.principal.record.id
    }

    /// What it may do everywhere in its realm.
    #[must_use]
    pub fn realm_permissions(&self) -> Permissions {
        let all = self.principal.everywhere;
        self.bounds.permissions.map_or(all, |bound| all.intersection(bound))
    }

    /// The door that the caller came through.
    #[must_use]
    pub fn door(&self) -> &'static str {
        self.door
    }

    /// Whether the caller may do what `permission` permits, to the key of that record.
    pub(crate) fn may(&self, permission: Permission, record: &KeyRecord) -> bool {
        record.realm == self.realm() && self.holds(permission, Some(record.vault), Some(record.id))
    }

    /// Whether the caller may do what `permission` permits everywhere in `vault`.
    pub(crate) fn may_in(&self, permission: Permission, vault: Option<VaultId>) -> bool {
        self.holds(permission, vault, None)
    }

    /// The permissions that the caller lacks of `wanted` on `scope`: nobody may give away more than
    /// they have.
    pub(crate) fn lacks(&self, wanted: Permissions, scope: Scope) -> Option<Permission> {
        let (vault, key) = match scope {
            Scope::Realm => (None, None),
            Scope::Vault(vault) => (Some(vault), None),
            Scope::Key(key) => (None, Some(key)),
        };
        wanted.iter().find(|&permission| !self.holds(permission, vault, key))
    }
}

/// Proof that a caller may do `Op` to the key it names. Only [`check`] makes it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Authorized<Op> {
    entry: Arc<KeyEntry>,
    operation: PhantomData<Op>,
}

impl<Op> Authorized<Op> {
    /// The key, as it was when the check was made; its revision is the precondition of every write.
    pub(crate) fn entry(&self) -> &Arc<KeyEntry> {
        &self.entry
    }
}

/// Whether `caller` may do `Op` to the key.
///
/// # Errors
/// [`EngineError::ItemNotFound`] for a key of another realm: its existence is not theirs to know.
/// [`EngineError::PermissionDenied`] otherwise.
pub(crate) fn check<Op: Operation>(
    caller: &Caller,
    entry: Arc<KeyEntry>,
) -> Result<Authorized<Op>, EngineError> {
    let record = entry.record();
    if record.realm != caller.realm() {
        return Err(EngineError::ItemNotFound("key"));
    }
    if caller.holds(Op::PERMISSION, Some(record.vault), Some(record.id)) {
        Ok(Authorized { entry, operation: PhantomData })
    } else {
        Err(EngineError::PermissionDenied(Op::PERMISSION))
    }
}

/// Whether `caller` may do `Op` in its realm or, if one is named, in `vault`.
///
/// # Errors
/// [`EngineError::PermissionDenied`].
pub(crate) fn check_realm<Op: Operation>(
    caller: &Caller,
    vault: Option<VaultId>,
) -> Result<(), EngineError> {
    if caller.holds(Op::PERMISSION, vault, None) {
        Ok(())
    } else {
        Err(EngineError::PermissionDenied(Op::PERMISSION))
    }
}

impl Caller {
    /// When the credential that the caller came with ends by itself.
    pub(crate) fn credential_expires(&self) -> Option<UnixMillis> {
        let credentials = &self.principal.record.credentials;
        let used = credentials.iter().find(|credential| Some(credential.id) == self.credential);
        let end = used.and_then(|credential| credential.expires);
        end.into_iter().chain(self.bounds.until).min()
    }

    /// Whether there is anything on which the caller has `permission`.
    pub(crate) fn holds_anywhere(&self, permission: Permission) -> bool {
        let PrincipalEntry { everywhere, vaults, keys, .. } = &*self.principal;
        let mut sets = vaults.values().chain(keys.values());
        if !self.bounds.permissions.is_none_or(|bound| bound.contains(permission)) {
            return false;
        }
        everywhere.contains(permission) || sets.any(|set| set.contains(permission))
    }

    /// The keys that grants name of which one has `permission`.
    pub(crate) fn keys_with(&self, permission: Permission) -> impl Iterator<Item = KeyId> {
        let keys = self.principal.keys.iter();
        keys.filter(move |(_, held)| held.contains(permission)).map(|(key, _)| *key)
    }

    /// Whether the caller has `permission` on this key: for what a door decides itself, beside
    /// [`crate::Engine::decide`].
    #[must_use]
    pub fn may_on(&self, permission: Permission, entry: &KeyEntry) -> bool {
        self.may(permission, entry.record())
    }

    /// Whether no key of the realm is hidden from the caller.
    #[must_use]
    pub fn sees_all_keys(&self) -> bool {
        self.may_in(Permission::KeysRead, None)
    }

    /// Whether the caller may see the key.
    pub(crate) fn may_read(&self, record: &KeyRecord) -> bool {
        self.may(Permission::KeysRead, record)
    }
}
