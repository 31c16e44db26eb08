//! Every operation against every scope of its permission: given for the realm, for the vault or for
//! the key it is enough; all other permissions together, or the same elsewhere, are not.

use std::sync::Arc;

use lethe_crypto::registry::{Algorithm, KeyFormat};
use lethe_store::Revision;
use lethe_types::{
    ApprovalId, CredentialId, HoldId, KeyId, Permission as P, PrincipalId, RealmId, SecretVec,
    Transition, VaultId,
};

use super::rig::{Rig, Task, acme, aes, as_principal, create, said};
use super::support::{DOOR, encrypt};
use crate::authz::PrincipalEntry;
use crate::record::{
    DeletionPolicy, Grant, HoldKind, PrincipalKind, PrincipalRecord, Scope, VersionState,
};
use crate::{
    BulkRequest, Caller, CreateKeyRequest, CreatePrincipalRequest, DestroyRequest,
    DestroyVersionRequest, DestroyWhen, Engine, GivenMaterial, HoldRequest, ImportKeyRequest,
    ImportSource, KeyChange, NewCredential, PrincipalChange, Selection, VaultChange, VaultRequest,
};

/// What operations are about.
struct Things {
    realm: RealmId,
    vault: VaultId,
    /// An active key in `vault`, with a hold and a request for approval.
    key: KeyId,
    hold: HoldId,
    approval: ApprovalId,
    /// Another vault, and a key in it.
    elsewhere: (VaultId, KeyId),
    someone: PrincipalId,
}

type Act = for<'a> fn(&'a Engine, &'a Caller, &'a Things) -> Task<'a>;

/// On what an operation asks for its permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Key,
    Vault,
    Realm,
}

struct Right {
    name: &'static str,
    about: About,
    needs: &'static [P],
    /// Others that are enough too.
    or: &'static [P],
    act: Act,
}

const fn right(name: &'static str, about: About, needs: &'static [P], act: Act) -> Right {
    Right { name, about, needs, or: &[], act }
}

const fn or(right: Right, or: &'static [P]) -> Right {
    Right { or, ..right }
}

fn now<'a>(answer: String) -> Task<'a> {
    Box::pin(async move { answer })
}

const RIGHTS: &[Right] = &[
    right("read key", About::Key, &[P::KeysRead], |engine, by, of| {
        now(said(engine.read_key(by, of.key)))
    }),
    right("receipt", About::Key, &[P::KeysRead], |engine, by, of| {
        now(said(engine.receipt(by, of.key)))
    }),
    right("preview", About::Key, &[P::KeysRead], |engine, by, of| {
        now(said(engine.preview_destruction(by, &DestroyRequest::new(of.key))))
    }),
    right("version receipt", About::Key, &[P::KeysRead], |engine, by, of| {
        now(said(engine.version_receipt(by, of.key, 1)))
    }),
    right("suspend version", About::Key, &[P::KeysState], |engine, by, of| {
        let state = VersionState::Suspended;
        Box::pin(async move { said(engine.change_version_state(by, of.key, 1, state, None).await) })
    }),
    right("destroy version", About::Key, &[P::KeysDestroy], |engine, by, of| {
        let request = DestroyVersionRequest::new(of.key, 1);
        Box::pin(async move { said(engine.destroy_version(by, &request).await) })
    }),
    right("export", About::Key, &[P::KeysExport], |engine, by, of| {
        let request = super::races_cast::leaves(of.key);
        Box::pin(async move { said(engine.export_key(by, &request).await) })
    }),
    right("make import key", About::Vault, &[P::KeysImport], |engine, by, of| {
        let algorithm = Algorithm::from_name("x25519").unwrap();
        let request = ImportKeyRequest { algorithm, vault: Some(of.vault), lifetime: None };
        Box::pin(async move { said(engine.make_import_key(by, &request).await) })
    }),
    right("import", About::Vault, &[P::KeysCreate, P::KeysImport], |engine, by, of| {
        let (format, key) = (KeyFormat::Raw, SecretVec::from_vec(vec![5; 32]));
        let import = Some(ImportSource::Plain { format, key });
        let request = CreateKeyRequest { vault: Some(of.vault), import, ..aes("in") };
        Box::pin(async move { said(create(engine, by, request).await) })
    }),
    right("change realm", About::Realm, &[P::RealmAdmin], |engine, by, _| {
        Box::pin(async move { said(engine.change_realm(by, None).await) })
    }),
    right("encrypt", About::Key, &[P::KeysUseEncrypt], |engine, by, of| {
        now(said(encrypt(engine, by, of.key)))
    }),
    right("decrypt", About::Key, &[P::KeysUseDecrypt], |engine, by, of| {
        now(said(engine.decrypt(by, of.key, b"", b"")))
    }),
    right("sign", About::Key, &[P::KeysUseSign], |engine, by, of| {
        now(said(engine.sign(by, of.key, None, b"")))
    }),
    right("verify", About::Key, &[P::KeysUseVerify], |engine, by, of| {
        now(said(engine.verify(by, of.key, None, None, b"", b"")))
    }),
    right("mac", About::Key, &[P::KeysUseMac], |engine, by, of| {
        now(said(engine.mac(by, of.key, b"")))
    }),
    right("verify mac", About::Key, &[P::KeysUseMac], |engine, by, of| {
        now(said(engine.mac_verify(by, of.key, None, b"", b"")))
    }),
    right("agree", About::Key, &[P::KeysUseDerive], |engine, by, of| {
        now(said(engine.agree(by, of.key, b"")))
    }),
    right("rotate", About::Key, &[P::KeysRotate], |engine, by, of| {
        Box::pin(async move { said(engine.rotate_key(by, of.key, None).await) })
    }),
    right("update key", About::Key, &[P::KeysUpdate], |engine, by, of| {
        Box::pin(
            async move { said(engine.update_key(by, of.key, &KeyChange::default(), None).await) },
        )
    }),
    right("suspend key", About::Key, &[P::KeysState], |engine, by, of| {
        Box::pin(
            async move { said(engine.change_state(by, of.key, Transition::Suspend, None).await) },
        )
    }),
    right("destroy", About::Key, &[P::KeysDestroy], |engine, by, of| {
        Box::pin(async move { said(engine.destroy_key(by, DestroyRequest::new(of.key)).await) })
    }),
    or(
        right("schedule", About::Key, &[P::KeysDestroySchedule], |engine, by, of| {
            Box::pin(async move { said(engine.destroy_key(by, later(of.key)).await) })
        }),
        &[P::KeysDestroy],
    ),
    right("cancel", About::Key, &[P::KeysDestroyCancel], |engine, by, of| {
        Box::pin(async move { said(engine.cancel_destruction(by, of.key, None).await) })
    }),
    right("place hold", About::Key, &[P::HoldsManage], |engine, by, of| {
        Box::pin(async move { said(engine.place_hold(by, of.key, &hold()).await) })
    }),
    right("lift hold", About::Key, &[P::HoldsManage], |engine, by, of| {
        Box::pin(async move { said(engine.lift_hold(by, of.key, of.hold).await) })
    }),
    right("ask for approval", About::Key, &[P::KeysDestroy], |engine, by, of| {
        Box::pin(async move { said(engine.request_approval(by, of.key, "why").await) })
    }),
    right("approve", About::Key, &[P::KeysDestroyApprove], |engine, by, of| {
        Box::pin(
            async move { said(engine.approve(by, of.approval, CredentialId([1; 16]), b"").await) },
        )
    }),
    right("read approval", About::Key, &[P::KeysRead], |engine, by, of| {
        now(said(engine.read_approval(by, of.approval)))
    }),
    right(
        "withdraw approval",
        About::Key,
        &[P::KeysRead, P::KeysDestroyApprove],
        |engine, by, of| {
            Box::pin(async move { said(engine.withdraw_approval(by, of.approval).await) })
        },
    ),
    right("bulk destroy a vault", About::Vault, &[P::KeysDestroy], |engine, by, of| {
        starts(engine, by, Selection::Vault(of.vault))
    }),
    right("bulk destroy by labels", About::Vault, &[P::KeysDestroy], |engine, by, of| {
        starts(engine, by, labelled(Some(of.vault)))
    }),
    right("bulk destroy by labels everywhere", About::Realm, &[P::KeysDestroy], |engine, by, _| {
        starts(engine, by, labelled(None))
    }),
    right("create key", About::Vault, &[P::KeysCreate], |engine, by, of| {
        Box::pin(async move {
            said(create(engine, by, CreateKeyRequest { vault: Some(of.vault), ..aes("new") }).await)
        })
    }),
    right("import key", About::Vault, &[P::KeysCreate, P::KeysImport], |engine, by, of| {
        Box::pin(async move { said(create(engine, by, imported(of.vault)).await) })
    }),
    right("read vault", About::Vault, &[P::VaultsRead], |engine, by, of| {
        now(said(engine.read_vault(by, of.vault)))
    }),
    right("update vault", About::Vault, &[P::VaultsAdmin], |engine, by, of| {
        Box::pin(
            async move { said(engine.update_vault(by, of.vault, &VaultChange::default()).await) },
        )
    }),
    right("remove vault", About::Vault, &[P::VaultsAdmin], |engine, by, of| {
        Box::pin(async move { said(engine.remove_vault(by, of.vault).await) })
    }),
    or(
        right("create vault", About::Realm, &[P::VaultsAdmin], |engine, by, _| {
            Box::pin(async move {
                said(engine.create_vault(by, VaultRequest::new("new".parse().unwrap())).await)
            })
        }),
        &[P::VaultsCreate],
    ),
    right("grant on vault", About::Vault, &[P::PrincipalsManage], |engine, by, of| {
        Box::pin(async move {
            let none = lethe_types::Permissions::NONE;
            said(engine.grant_on_vault(by, of.vault, of.someone, none).await)
        })
    }),
    right("vault members", About::Vault, &[P::PrincipalsRead], |engine, by, of| {
        now(said(engine.vault_members(by, of.vault)))
    }),
    right("list vaults", About::Realm, &[P::VaultsRead], |engine, by, _| {
        now(said(engine.list_vaults(by)))
    }),
    right("read realm", About::Realm, &[P::VaultsRead], |engine, by, _| {
        now(said(engine.read_realm(by)))
    }),
    right("set realm policy", About::Realm, &[P::VaultsAdmin], |engine, by, _| {
        Box::pin(async move { said(engine.set_realm_policy(by, &DeletionPolicy::default()).await) })
    }),
    right("read principal", About::Realm, &[P::PrincipalsRead], |engine, by, of| {
        now(said(engine.read_principal(by, of.someone)))
    }),
    right("list principals", About::Realm, &[P::PrincipalsRead], |engine, by, _| {
        now(said(engine.list_principals(by)))
    }),
    right("create principal", About::Realm, &[P::PrincipalsManage], |engine, by, _| {
        Box::pin(async move {
            said(
                engine
                    .create_principal(
                        by,
                        CreatePrincipalRequest::service("new".parse().unwrap(), Vec::new(), None),
                    )
                    .await,
            )
        })
    }),
    right("update principal", About::Realm, &[P::PrincipalsManage], |engine, by, of| {
        Box::pin(async move {
            said(engine.update_principal(by, of.someone, &PrincipalChange::default()).await)
        })
    }),
    right("revoke principal", About::Realm, &[P::PrincipalsManage], |engine, by, of| {
        Box::pin(async move { said(engine.revoke_principal(by, of.someone).await) })
    }),
    right("add credential", About::Realm, &[P::PrincipalsManage], |engine, by, of| {
        Box::pin(async move {
            said(engine.add_credential(by, of.someone, NewCredential::bearer(None)).await)
        })
    }),
    right("remove credential", About::Realm, &[P::PrincipalsManage], |engine, by, of| {
        Box::pin(async move {
            said(engine.remove_credential(by, of.someone, CredentialId([1; 16])).await)
        })
    }),
    right("suspend credential", About::Realm, &[P::PrincipalsManage], |engine, by, of| {
        Box::pin(async move {
            said(engine.suspend_credential(by, of.someone, CredentialId([1; 16]), true).await)
        })
    }),
];

fn later(key: KeyId) -> DestroyRequest {
    let window = Some(std::time::Duration::from_secs(60));
    let when = DestroyWhen::Scheduled { window, cancel_to: None };
    DestroyRequest { when, ..DestroyRequest::new(key) }
}

fn hold() -> HoldRequest {
    HoldRequest { kind: HoldKind::Legal, reason: "a court".to_owned(), expires: None }
}

fn imported(vault: VaultId) -> CreateKeyRequest {
    let material = GivenMaterial { secret: SecretVec::from_vec(vec![7; 32]), imported: true };
    CreateKeyRequest { vault: Some(vault), material: Some(material), ..aes("imported") }
}

fn labelled(vault: Option<VaultId>) -> Selection {
    Selection::Labels { labels: vec![("team".parse().unwrap(), None)], vault }
}

fn starts<'a>(engine: &'a Engine, by: &'a Caller, selection: Selection) -> Task<'a> {
    let request = BulkRequest { selection, reason: String::new(), expected: None };
    Box::pin(async move { said(engine.start_bulk_destroy(by, request).await) })
}

fn prepared() -> (Rig, Things) {
    let mut rig = Rig::new();
    let realm = rig.realm();
    let vault = rig.vault("vault", VaultChange::default());
    let other = rig.vault("elsewhere", VaultChange::default());
    let [key, far] = [vault, other].map(|vault| {
        let labels = [("team".parse().unwrap(), "red".parse().unwrap())].into_iter().collect();
        rig.key(CreateKeyRequest { vault: Some(vault), labels, ..aes("key") }).unwrap()
    });
    let placed = rig.run(async |engine| engine.place_hold(&acme(engine), key, &hold()).await);
    let asked = rig.run(async |engine| engine.request_approval(&acme(engine), key, "why").await);
    let (hold, approval) = (placed.unwrap().1, asked.unwrap().id);
    let someone = rig.principal("someone", Vec::new());
    (rig, Things { realm, vault, key, hold, approval, elsewhere: (other, far), someone })
}

/// What the operation answers to somebody with these grants, in that realm.
fn answer(base: &Rig, things: &Things, right: &Right, realm: RealmId, grants: &[Grant]) -> String {
    let mut rig = base.fork();
    let (id, name) = (PrincipalId([0x77; 16]), "tester".parse().unwrap());
    let kind = PrincipalKind::ServiceAccount;
    let mut record = PrincipalRecord::new(id, realm, kind, name, lethe_types::UnixMillis(0));
    record.grants = grants.to_vec();
    let entry = Arc::new(PrincipalEntry::new(record, Revision(1)));
    rig.engine.shared.catalogue.publish_principal(entry);
    let caller = as_principal(&rig.engine, realm, id).unwrap();
    rig.run(async |engine| (right.act)(engine, &caller, things).await)
}

fn is_refused(answer: &str) -> bool {
    answer == "permission_denied"
}

#[test]
#[expect(clippy::print_stdout, reason = "the count of cases is the measure that is asked for")]
fn every_operation_is_open_to_its_permission_and_closed_to_all_others() {
    let (base, things) = prepared();
    let (far_vault, far_key) = things.elsewhere;
    let (mut open, mut closed) = (0, 0);
    for right in RIGHTS {
        let on = |permissions: &[P], scope| Grant {
            permissions: permissions.iter().copied().collect(),
            scope,
        };
        let is_enough =
            |permission: &P| right.needs.contains(permission) || right.or.contains(permission);
        let others: Vec<P> = P::ALL.iter().copied().filter(|other| !is_enough(other)).collect();
        let mut passes = vec![vec![on(right.needs, Scope::Realm)]];
        passes.extend(right.or.iter().map(|other| vec![on(&[*other], Scope::Realm)]));
        let mut fails = vec![
            Vec::new(),
            vec![on(&others, Scope::Realm)],
            vec![on(P::ALL, Scope::Vault(far_vault)), on(P::ALL, Scope::Key(far_key))],
        ];
        // Of several, none is enough alone.
        for missing in right.needs.iter().filter(|_| right.needs.len() > 1) {
            let rest: Vec<P> = P::ALL.iter().copied().filter(|other| other != missing).collect();
            fails.push(vec![on(&rest, Scope::Realm)]);
        }
        let [vault, key] = [Scope::Vault(things.vault), Scope::Key(things.key)]
            .map(|scope| vec![on(P::ALL, scope)]);
        match right.about {
            About::Key => passes.extend([vault, key]),
            About::Vault => {
                passes.push(vault);
                fails.push(key);
            }
            About::Realm => fails.extend([vault, key]),
        }
        for grants in &passes {
            let answer = answer(&base, &things, right, things.realm, grants);
            assert!(!is_refused(&answer), "{} by {grants:?}: {answer}", right.name);
            open += 1;
        }
        for grants in &fails {
            let answer = answer(&base, &things, right, things.realm, grants);
            assert!(is_refused(&answer), "{} by {grants:?}: {answer}", right.name);
            closed += 1;
        }
    }
    println!("rights: {} operations, {open} open, {closed} closed", RIGHTS.len());
}

/// Nothing of one realm is there for another, whatever its people may do at home.
#[test]
fn all_rights_in_one_realm_reach_nothing_of_another() {
    let (mut base, things) = prepared();
    let other = base.run(async |engine| engine.ensure_realm(&"other".parse().unwrap()).await);
    let other = other.unwrap();
    let everything = [Grant { permissions: P::ALL.iter().copied().collect(), scope: Scope::Realm }];
    // These are about one's own realm, and name nothing.
    let own = ["change realm", "create vault", "list vaults", "read realm", "set realm policy"];
    let own_people = ["list principals", "create principal"];
    for right in RIGHTS {
        let answer = answer(&base, &things, right, other, &everything);
        let is_own = own.contains(&right.name) || own_people.contains(&right.name);
        let expected = match right.name {
            _ if is_own => "ok",
            // No key with such a label.
            "bulk destroy by labels" | "bulk destroy by labels everywhere" => "invalid_field",
            _ => "item_not_found",
        };
        assert_eq!(answer, expected, "{}", right.name);
    }
    assert!(as_principal(&base.engine, other, things.someone).is_err());
    assert!(base.engine.system_caller(other, DOOR).is_ok(), "the control");
}
