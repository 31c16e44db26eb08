//! Who and what takes part in the races of [`super::races`].

use std::sync::Arc;
use std::time::Duration;

use lethe_crypto::SystemEntropy;
use lethe_crypto::registry::{Algorithm, KeyFormat};
use lethe_crypto::transport::Recipient;
use lethe_types::{
    ApprovalId, ImportKeyId, JobId, KeyId, Permission, PrincipalId, RealmId, Transition, VaultId,
};

use super::rig::{
    Rig, START_MS, Signer, Turn, acme, aes, alias, as_principal, create, on, said, said_of,
};
use super::support::{TestClock, encrypt};
use crate::record::{
    ApprovalRule, DeletionPolicy, Derivation, HoldKind, NameRule, Scope, VersionState,
};
use crate::{
    BulkRequest, Caller, CreatePrincipalRequest, DestroyRequest, DestroyVersionRequest,
    DestroyWhen, Engine, ExportRequest, ExportTo, HoldRequest, ImportKeyRequest, ImportSource,
    KeyChange, NewCredential, NewCredentialKind, PlainExport, PrincipalChange, Selection,
    VaultChange, VaultRequest,
};

pub(super) type Operation = for<'a> fn(&'a Engine, &'a Cast, &'a Arc<TestClock>) -> Turn<'a>;

/// Everything that races are about.
pub(super) struct Cast {
    realm: RealmId,
    /// An active key with nothing in the way.
    key: KeyId,
    /// Waits for another hour.
    pending: KeyId,
    /// Its time has come, and nobody has carried it out.
    due: KeyId,
    /// Two keys of a vault whose policy lets nobody destroy more than one an hour.
    limited: [KeyId; 2],
    /// A key in a vault of unique names.
    unique: KeyId,
    /// Keys that need an approval, and requests for it: one not approved, one approved.
    guarded: KeyId,
    asked: ApprovalId,
    approved: ApprovalId,
    empty: VaultId,
    names: VaultId,
    bob: Signer,
    carol: PrincipalId,
    job: JobId,
    /// An exportable key with two versions and a rotation, and what the first version made.
    two: KeyId,
    text: Vec<u8>,
    /// For one import.
    import_key: ImportKeyId,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Cast {
    pub(super) fn prepared() -> (Rig, Self) {
        let mut rig = Rig::new();
        let realm = rig.realm();
        let everything = Permission::ALL;
        let bob = rig.signer("bob", on(Scope::Realm, everything));
        let carol = rig.principal("carol", on(Scope::Realm, everything));
        let [key, pending, due] = ["key", "pending", "due"].map(|name| rig.named(name));
        for (key, wait) in [(pending, DAY), (due, Duration::from_secs(1))] {
            assert_eq!(rig.destroy(scheduled(key, wait)), "scheduled");
        }
        rig.world.clock.set(START_MS + 2_000);
        let empty = rig.vault("empty", VaultChange::default());
        let unique = Some(NameRule::UniqueAmongLive);
        let names = rig.vault("names", VaultChange { names: unique, ..VaultChange::default() });
        let policy = DeletionPolicy { destroys_per_hour: Some(1), ..DeletionPolicy::default() };
        let slow =
            rig.vault("slow", VaultChange { policy: Some(policy), ..VaultChange::default() });
        let rule = ApprovalRule { required: 1, lifetime: DAY };
        let policy = DeletionPolicy { approvals: Some(rule), ..DeletionPolicy::default() };
        let safe =
            rig.vault("safe", VaultChange { policy: Some(policy), ..VaultChange::default() });
        let mut inside = |vault, name| {
            let request = crate::CreateKeyRequest { vault: Some(vault), ..aes(name) };
            rig.key(request).unwrap()
        };
        let limited = [inside(slow, "limited 1"), inside(slow, "limited 2")];
        let unique = inside(names, "unique");
        let guarded = inside(safe, "guarded");
        let [asked, approved] = ["asked", "approved"].map(|reason| {
            let asked = rig.run(async |engine| {
                engine.request_approval(&acme(engine), guarded, reason).await.unwrap()
            });
            asked.id
        });
        let job = rig.named("of the job");
        let request = BulkRequest {
            selection: Selection::Keys(vec![job]),
            reason: "job".to_owned(),
            expected: None,
        };
        let job = rig.run(async |engine| {
            let carol = as_principal(engine, realm, carol).unwrap();
            engine.start_bulk_destroy(&carol, request).await.unwrap().id
        });
        let (two, text) = two_versions(&mut rig, None);
        let import_key = import_key(&mut rig);
        let cast = Self {
            realm,
            key,
            pending,
            due,
            limited,
            unique,
            guarded,
            asked,
            approved,
            empty,
            names,
            bob,
            carol,
            job,
            two,
            text,
            import_key,
        };
        rig.run(async |engine| approve(engine, &cast, cast.approved).await.unwrap());
        (rig, cast)
    }

    fn carol(&self, engine: &Engine) -> Caller {
        as_principal(engine, self.realm, self.carol).unwrap()
    }
}

/// An exportable key with two versions and a rotation, and what the first version made.
pub(super) fn two_versions(rig: &mut Rig, vault: Option<VaultId>) -> (KeyId, Vec<u8>) {
    let rotation_period = Some(DAY);
    let request =
        crate::CreateKeyRequest { exportable: true, rotation_period, vault, ..aes("two") };
    let two = rig.key(request).unwrap();
    let text = encrypt(&rig.engine, &acme(&rig.engine), two).unwrap();
    rig.run(async |engine| engine.rotate_key(&acme(engine), two, None).await).unwrap();
    (two, text)
}

/// A fresh import key.
pub(super) fn import_key(rig: &mut Rig) -> ImportKeyId {
    let algorithm = Algorithm::from_name("x25519").unwrap();
    let request = ImportKeyRequest { algorithm, vault: None, lifetime: None };
    rig.run(async |engine| engine.make_import_key(&acme(engine), &request).await).unwrap().id
}

/// A key that is wrapped for the import key.
pub(super) fn wrapped_for(engine: &Engine, import_key: ImportKeyId) -> crate::CreateKeyRequest {
    let caller = acme(engine);
    let record = engine.shared.catalogue.import_key(caller.realm(), import_key).unwrap();
    let recipient = Recipient::of_spki(&record.public_key_der).unwrap();
    let secret = lethe_types::SecretVec::from_vec(vec![5; 32]);
    let wrapped = recipient.seal(&SystemEntropy, &record.info(), &secret).unwrap();
    let import = Some(ImportSource::Wrapped { import_key, format: KeyFormat::Raw, wrapped });
    crate::CreateKeyRequest { import, ..aes("imported") }
}

/// An export in the clear.
pub(super) fn leaves(key: KeyId) -> ExportRequest {
    let to = ExportTo::Caller(PlainExport::AllowedByDoor);
    ExportRequest { key, version: None, format: KeyFormat::Raw, to, expected: None }
}

async fn approve(
    engine: &Engine,
    cast: &Cast,
    approval: ApprovalId,
) -> Result<(), crate::EngineError> {
    let bob = as_principal(engine, cast.realm, cast.bob.principal)?;
    let statement = engine.read_approval(&bob, approval)?.statement();
    let signature = cast.bob.sign(&statement);
    engine.approve(&bob, approval, cast.bob.credential, &signature).await.map(drop)
}

fn scheduled(key: KeyId, wait: Duration) -> DestroyRequest {
    let when = DestroyWhen::Scheduled { window: Some(wait), cancel_to: None };
    DestroyRequest { when, ..DestroyRequest::new(key) }
}

fn destroys<'a>(engine: &'a Engine, caller: Caller, request: DestroyRequest) -> Turn<'a> {
    Turn::Asks(Box::pin(async move { said_of(engine.destroy_key(&caller, request).await) }))
}

fn updates<'a>(engine: &'a Engine, key: KeyId, change: KeyChange) -> Turn<'a> {
    let caller = acme(engine);
    Turn::Asks(Box::pin(async move { said(engine.update_key(&caller, key, &change, None).await) }))
}

fn moves<'a>(engine: &'a Engine, key: KeyId, transition: Transition) -> Turn<'a> {
    let caller = acme(engine);
    Turn::Asks(Box::pin(
        async move { said(engine.change_state(&caller, key, transition, None).await) },
    ))
}

fn holds<'a>(engine: &'a Engine, key: KeyId) -> Turn<'a> {
    let caller = acme(engine);
    let (kind, reason) = (HoldKind::Legal, "a court".to_owned());
    let request = HoldRequest { kind, reason, expires: None };
    Turn::Asks(Box::pin(async move { said(engine.place_hold(&caller, key, &request).await) }))
}

fn uses<'a>(engine: &'a Engine, key: KeyId) -> Turn<'a> {
    Turn::Acts(Box::new(move || said(encrypt(engine, &acme(engine), key))))
}

fn makes<'a>(engine: &'a Engine, request: crate::CreateKeyRequest) -> Turn<'a> {
    Turn::Asks(Box::pin(async move { said(create(engine, &acme(engine), request).await) }))
}

fn derived(name: &str, parent: KeyId, depends: bool) -> crate::CreateKeyRequest {
    let derivation = Some(Derivation { parent, path: "m/1".into(), depends });
    crate::CreateKeyRequest { derivation, ..aes(name) }
}

fn names_somebody<'a>(engine: &'a Engine, request: CreatePrincipalRequest) -> Turn<'a> {
    let caller = acme(engine);
    Turn::Asks(Box::pin(async move { said(engine.create_principal(&caller, request).await) }))
}

fn nobody(name: &str) -> CreatePrincipalRequest {
    CreatePrincipalRequest::service(name.parse().unwrap(), Vec::new(), None)
}

/// The operations by their names in the table.
pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("destroy", |engine, cast, _| destroys(engine, acme(engine), DestroyRequest::new(cast.key))),
    ("destroy pending", |engine, cast, _| {
        destroys(engine, acme(engine), DestroyRequest::new(cast.pending))
    }),
    ("destroy due", |engine, cast, _| {
        destroys(engine, acme(engine), DestroyRequest::new(cast.due))
    }),
    ("destroy by carol", |engine, cast, _| {
        destroys(engine, cast.carol(engine), DestroyRequest::new(cast.key))
    }),
    ("schedule", |engine, cast, _| destroys(engine, acme(engine), scheduled(cast.key, DAY))),
    ("last of rate", |engine, cast, _| {
        destroys(engine, cast.carol(engine), DestroyRequest::new(cast.limited[0]))
    }),
    ("last of rate 2", |engine, cast, _| {
        destroys(engine, cast.carol(engine), DestroyRequest::new(cast.limited[1]))
    }),
    ("schedule last of rate", |engine, cast, _| {
        destroys(engine, cast.carol(engine), scheduled(cast.limited[0], DAY))
    }),
    ("schedule last of rate 2", |engine, cast, _| {
        destroys(engine, cast.carol(engine), scheduled(cast.limited[1], DAY))
    }),
    ("use approval", |engine, cast, _| {
        let approval = Some(cast.approved);
        let request = DestroyRequest { approval, ..DestroyRequest::new(cast.guarded) };
        destroys(engine, acme(engine), request)
    }),
    ("cancel", |engine, cast, _| cancels(engine, cast.pending)),
    ("cancel due", |engine, cast, _| cancels(engine, cast.due)),
    ("due", |engine, cast, clock| {
        let now = lethe_types::Clock::now(&**clock);
        Turn::Asks(Box::pin(async move { said(engine.destroy_one_due(cast.due, now).await) }))
    }),
    ("use", |engine, cast, _| uses(engine, cast.key)),
    ("use due", |engine, cast, _| uses(engine, cast.due)),
    ("suspend", |engine, cast, _| moves(engine, cast.key, Transition::Suspend)),
    ("rotate", |engine, cast, _| {
        let caller = acme(engine);
        Turn::Asks(Box::pin(async move { said(engine.rotate_key(&caller, cast.key, None).await) }))
    }),
    ("rotate two", |engine, cast, _| {
        let caller = acme(engine);
        Turn::Asks(Box::pin(async move { said(engine.rotate_key(&caller, cast.two, None).await) }))
    }),
    ("destroy two", |engine, cast, _| {
        destroys(engine, acme(engine), DestroyRequest::new(cast.two))
    }),
    ("destroy version", |engine, cast, _| ends_version(engine, cast.two, 1)),
    ("destroy version 2", |engine, cast, _| ends_version(engine, cast.two, 2)),
    ("suspend version 2", |engine, cast, _| {
        let (caller, state) = (acme(engine), VersionState::Suspended);
        Turn::Asks(Box::pin(async move {
            said(engine.change_version_state(&caller, cast.two, 2, state, None).await)
        }))
    }),
    ("use version", |engine, cast, _| {
        Turn::Acts(Box::new(move || said(engine.decrypt(&acme(engine), cast.two, &cast.text, b""))))
    }),
    ("hold two", |engine, cast, _| holds(engine, cast.two)),
    ("export two", |engine, cast, _| {
        let caller = acme(engine);
        Turn::Asks(Box::pin(
            async move { said(engine.export_key(&caller, &leaves(cast.two)).await) },
        ))
    }),
    ("rotation due", |engine, cast, clock| {
        let later = lethe_types::Clock::now(&**clock).saturating_add(DAY);
        Turn::Asks(Box::pin(async move { said(engine.rotate_one_due(cast.two, later).await) }))
    }),
    ("import", |engine, cast, _| makes(engine, wrapped_for(engine, cast.import_key))),
    ("update", |engine, cast, _| {
        let label = ("team".parse().unwrap(), Some("red".parse().unwrap()));
        let labels = [label].into_iter().collect();
        updates(engine, cast.key, KeyChange { labels, ..KeyChange::default() })
    }),
    ("protect", |engine, cast, _| {
        updates(engine, cast.key, KeyChange { protected: Some(true), ..KeyChange::default() })
    }),
    ("rename", |engine, cast, _| {
        let name = Some("only".parse().unwrap());
        updates(engine, cast.unique, KeyChange { name, ..KeyChange::default() })
    }),
    ("hold", |engine, cast, _| holds(engine, cast.key)),
    ("hold due", |engine, cast, _| holds(engine, cast.due)),
    ("derive", |engine, cast, _| makes(engine, derived("child", cast.key, true))),
    ("derive loosely", |engine, cast, _| makes(engine, derived("loose child", cast.key, false))),
    ("bind", |engine, cast, _| {
        let bound_to = Some(cast.key);
        names_somebody(engine, CreatePrincipalRequest { bound_to, ..nobody("agent") })
    }),
    ("login", |engine, _, _| {
        let login = Some("me".into());
        names_somebody(engine, CreatePrincipalRequest { login, ..nobody("me") })
    }),
    ("external", |engine, _, _| {
        let secret = lethe_types::SecretVec::from_vec(b"shared".to_vec());
        let kind = NewCredentialKind::SharedSecret { external: "key-id".into(), secret };
        let credentials = vec![NewCredential { kind, ..NewCredential::bearer(None) }];
        names_somebody(engine, CreatePrincipalRequest { credentials, ..nobody("external") })
    }),
    ("approve", |engine, cast, _| {
        Turn::Asks(Box::pin(async move { said(approve(engine, cast, cast.asked).await) }))
    }),
    ("expiry", |_, _, clock| {
        Turn::Acts(Box::new(move || {
            clock.advance(DAY);
            "ok".to_owned()
        }))
    }),
    ("withdraw", |engine, cast, _| withdraws(engine, cast.asked)),
    ("withdraw used", |engine, cast, _| withdraws(engine, cast.approved)),
    ("remove vault", |engine, cast, _| {
        let caller = acme(engine);
        Turn::Asks(Box::pin(async move { said(engine.remove_vault(&caller, cast.empty).await) }))
    }),
    ("new vault", |engine, _, _| {
        let caller = acme(engine);
        let request = VaultRequest::new("new".parse().unwrap());
        Turn::Asks(Box::pin(async move { said(engine.create_vault(&caller, request).await) }))
    }),
    ("create in vault", |engine, cast, _| {
        makes(engine, crate::CreateKeyRequest { vault: Some(cast.empty), ..aes("inside") })
    }),
    ("unique name", |engine, cast, _| {
        makes(engine, crate::CreateKeyRequest { vault: Some(cast.names), ..aes("only") })
    }),
    ("alias", |engine, _, _| {
        makes(engine, crate::CreateKeyRequest { aliases: vec![alias("a")], ..aes("aliased") })
    }),
    ("revoke", |engine, cast, _| {
        let caller = acme(engine);
        Turn::Asks(Box::pin(
            async move { said(engine.revoke_principal(&caller, cast.carol).await) },
        ))
    }),
    ("revoke bob", |engine, cast, _| {
        let caller = acme(engine);
        Turn::Asks(Box::pin(async move {
            said(engine.revoke_principal(&caller, cast.bob.principal).await)
        }))
    }),
    ("regrant carol", |engine, cast, _| {
        let caller = acme(engine);
        let grants = Some(on(Scope::Realm, &[Permission::KeysRead]));
        let change = PrincipalChange { grants, ..PrincipalChange::default() };
        Turn::Asks(Box::pin(async move {
            said(engine.update_principal(&caller, cast.carol, &change).await)
        }))
    }),
    ("tighten realm", |engine, _, _| {
        let caller = acme(engine);
        Turn::Asks(Box::pin(async move { said(engine.set_realm_policy(&caller, &strict()).await) }))
    }),
    ("tighten vault", |engine, cast, _| {
        let policy = Some(strict());
        changes_vault(engine, cast.key, VaultChange { policy, ..VaultChange::default() })
    }),
    ("demand unique names", |engine, cast, _| {
        let names = Some(NameRule::UniqueAmongLive);
        changes_vault(engine, cast.key, VaultChange { names, ..VaultChange::default() })
    }),
    ("take a name", |engine, _, _| makes(engine, aes("key"))),
    ("work", |engine, cast, _| {
        Turn::Asks(Box::pin(async move {
            match engine.advance(cast.realm, cast.job).await {
                Ok(()) => {
                    let job = engine.read_job(&acme(engine), cast.job).unwrap();
                    job.state.as_str().to_owned()
                }
                Err(error) => error.code().to_owned(),
            }
        }))
    }),
    ("cancel job", |engine, cast, _| {
        let caller = acme(engine);
        Turn::Asks(Box::pin(async move { said(engine.cancel_job(&caller, cast.job).await) }))
    }),
];

fn strict() -> DeletionPolicy {
    DeletionPolicy { must_be_suspended: true, ..DeletionPolicy::default() }
}

/// A change of the vault that the key is in.
fn changes_vault<'a>(engine: &'a Engine, key: KeyId, change: VaultChange) -> Turn<'a> {
    let caller = acme(engine);
    let vault = engine.read_key(&caller, key).unwrap().record().vault;
    Turn::Asks(Box::pin(async move { said(engine.update_vault(&caller, vault, &change).await) }))
}

fn ends_version<'a>(engine: &'a Engine, key: KeyId, version: u32) -> Turn<'a> {
    let (caller, request) = (acme(engine), DestroyVersionRequest::new(key, version));
    Turn::Asks(Box::pin(async move { said(engine.destroy_version(&caller, &request).await) }))
}

fn cancels<'a>(engine: &'a Engine, key: KeyId) -> Turn<'a> {
    let caller = acme(engine);
    Turn::Asks(Box::pin(async move { said(engine.cancel_destruction(&caller, key, None).await) }))
}

fn withdraws<'a>(engine: &'a Engine, approval: ApprovalId) -> Turn<'a> {
    let caller = acme(engine);
    Turn::Asks(Box::pin(async move { said(engine.withdraw_approval(&caller, approval).await) }))
}
