//! Every rule that stands before a destruction, asked through the engine: refused on one side of
//! its edge, carried out on the other.
//!
//! Each rule is tried as the realm's, the vault's and the request's, since whoever sets it, it must
//! hold.

use std::time::Duration;

use lethe_types::limits::WINDOW_MAX;
use lethe_types::{ApprovalId, KeyId, Permission, PrincipalId, RealmId, Transition, VaultId};

use super::rig::{Rig, START_MS, Signer, acme, aes, as_principal, on, said_of};
use super::support::encrypt;
use crate::record::{
    ApprovalRule, DeletionPolicy, Dependants, Derivation, HoldKind, Scope, Window,
};
use crate::{
    CreateKeyRequest, DestroyRequest, DestroyWhen, HoldRequest, KeyChange, PrincipalChange,
    VaultChange,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Who sets a policy.
#[derive(Clone, Copy, Debug)]
enum By {
    Realm,
    Request,
    Vault,
}

/// A key that somebody wants to destroy.
struct Scene {
    rig: Rig,
    realm: RealmId,
    vault: VaultId,
    key: KeyId,
    /// Who asks: may destroy, schedule and cancel.
    carol: PrincipalId,
    request: DestroyRequest,
    by: By,
}

impl Scene {
    fn new(by: By) -> Self {
        let mut rig = Rig::new();
        let realm = rig.realm();
        let vault = rig.vault("guarded", VaultChange::default());
        let key = rig.key(CreateKeyRequest { vault: Some(vault), ..aes("key") }).unwrap();
        let rights =
            [Permission::KeysDestroy, Permission::KeysDestroySchedule, Permission::KeysRead];
        let carol = rig.principal("carol", on(Scope::Realm, &rights));
        Self { rig, realm, vault, key, carol, request: DestroyRequest::new(key), by }
    }

    fn policy(&mut self, policy: DeletionPolicy) {
        match self.by {
            By::Realm => self.rig.realm_policy(&policy),
            By::Request => self.request.policy = policy,
            By::Vault => {
                let change = VaultChange { policy: Some(policy), ..VaultChange::default() };
                let vault = self.vault;
                self.rig
                    .run(async |engine| engine.update_vault(&acme(engine), vault, &change).await)
                    .unwrap();
            }
        }
    }

    fn ask(&mut self) -> String {
        let (realm, carol, request) = (self.realm, self.carol, self.request.clone());
        self.rig.run(async |engine| {
            let carol = as_principal(engine, realm, carol).unwrap();
            said_of(engine.destroy_key(&carol, request).await)
        })
    }

    fn at(&mut self, after_start: Duration) {
        let after_start = u64::try_from(after_start.as_millis()).unwrap();
        self.rig.world.clock.set(START_MS + after_start);
    }

    fn wait(&mut self, window: Option<Duration>) {
        self.request.when = DestroyWhen::Scheduled { window, cancel_to: None };
    }

    fn grant(&mut self, permissions: &[Permission]) {
        let change = PrincipalChange {
            grants: Some(on(Scope::Realm, permissions)),
            ..PrincipalChange::default()
        };
        let carol = self.carol;
        self.rig
            .run(async |engine| engine.update_principal(&acme(engine), carol, &change).await)
            .unwrap();
    }

    fn change(&mut self, change: KeyChange) {
        let key = self.key;
        self.rig
            .run(async |engine| engine.update_key(&acme(engine), key, &change, None).await)
            .unwrap();
    }

    fn hold(&mut self, expires_after: Option<Duration>) -> lethe_types::HoldId {
        let now = lethe_types::Clock::now(&*self.rig.world.clock);
        let expires = expires_after.map(|after| now.saturating_add(after));
        let request = HoldRequest { kind: HoldKind::Legal, reason: "court".to_owned(), expires };
        let key = self.key;
        let held =
            async |engine: &crate::Engine| engine.place_hold(&acme(engine), key, &request).await;
        self.rig.run(held).unwrap().1
    }

    /// Another key of the same vault.
    fn another(&mut self) -> KeyId {
        self.rig.key(CreateKeyRequest { vault: Some(self.vault), ..aes("another") }).unwrap()
    }

    fn child(&mut self) -> KeyId {
        let derivation = Derivation { parent: self.key, path: "m/1".into(), depends: true };
        self.rig.key(CreateKeyRequest { derivation: Some(derivation), ..aes("child") }).unwrap()
    }

    fn ask_for_approval(&mut self, key: KeyId, by: PrincipalId) -> ApprovalId {
        let realm = self.realm;
        let asked = async |engine: &crate::Engine| {
            let by = as_principal(engine, realm, by).unwrap();
            engine.request_approval(&by, key, "please").await
        };
        self.rig.run(asked).unwrap().id
    }

    fn approver(&mut self, name: &str) -> Signer {
        let rights = [Permission::KeysDestroyApprove, Permission::KeysRead];
        self.rig.signer(name, on(Scope::Realm, &rights))
    }

    fn approve(&mut self, approval: ApprovalId, signer: &Signer) {
        let realm = self.realm;
        let approved = async |engine: &crate::Engine| {
            let by = as_principal(engine, realm, signer.principal).unwrap();
            let statement = engine.read_approval(&by, approval).unwrap().statement();
            engine.approve(&by, approval, signer.credential, &signer.sign(&statement)).await
        };
        self.rig.run(approved).unwrap();
    }
}

/// A rule at its edge.
struct Edge {
    /// The refusal's code.
    rule: &'static str,
    /// On the refused side.
    refused: fn(&mut Scene),
    /// From there to the other side, by the smallest step.
    across: fn(&mut Scene),
    passes: &'static str,
}

fn approvals(required: u8) -> DeletionPolicy {
    let rule = ApprovalRule { required, lifetime: HOUR };
    DeletionPolicy { approvals: Some(rule), ..DeletionPolicy::default() }
}

fn window(minimum: Duration, may_end_early: bool) -> DeletionPolicy {
    let window = Some(Window { minimum, may_end_early });
    DeletionPolicy { window, ..DeletionPolicy::default() }
}

const EDGES: &[Edge] = &[
    Edge {
        rule: "permission_denied",
        refused: |scene| scene.grant(&[Permission::KeysDestroySchedule]),
        across: |scene| scene.grant(&[Permission::KeysDestroy]),
        passes: "destroyed",
    },
    Edge {
        rule: "permission_denied",
        refused: |scene| {
            scene.grant(&[Permission::KeysDestroyCancel, Permission::KeysRead]);
            scene.wait(Some(HOUR));
        },
        across: |scene| scene.grant(&[Permission::KeysDestroySchedule]),
        passes: "scheduled",
    },
    Edge {
        rule: "already_pending",
        refused: |scene| {
            scene.wait(Some(HOUR));
            assert_eq!(scene.ask(), "scheduled");
        },
        across: |scene| {
            let key = scene.key;
            scene
                .rig
                .run(async |engine| engine.cancel_destruction(&acme(engine), key, None).await)
                .unwrap();
        },
        passes: "scheduled",
    },
    Edge {
        rule: "held",
        refused: |scene| {
            scene.hold(Some(HOUR));
            scene.at(HOUR - MILLISECOND);
        },
        across: |scene| scene.at(HOUR),
        passes: "destroyed",
    },
    Edge {
        rule: "held",
        refused: |scene| {
            scene.hold(None);
            scene.hold(Some(HOUR));
            scene.at(HOUR * 1_000);
        },
        across: |scene| {
            let (key, caller) = (scene.key, acme(&scene.rig.engine));
            let holds = scene.rig.engine.read_key(&caller, key).unwrap();
            let id = holds.record().details().holds[0].id;
            scene.rig.run(async |engine| engine.lift_hold(&acme(engine), key, id).await).unwrap();
        },
        passes: "destroyed",
    },
    Edge {
        rule: "protected",
        refused: |scene| scene.change(KeyChange { protected: Some(true), ..Default::default() }),
        across: |scene| scene.change(KeyChange { protected: Some(false), ..Default::default() }),
        passes: "destroyed",
    },
    Edge {
        rule: "window_running",
        refused: |scene| {
            scene.policy(window(HOUR, false));
            assert_eq!(scene.ask(), "scheduled");
            scene.at(HOUR - MILLISECOND);
        },
        across: |scene| scene.at(HOUR),
        passes: "destroyed",
    },
    Edge {
        rule: "window_running",
        refused: |scene| {
            scene.policy(window(HOUR, false));
            assert_eq!(scene.ask(), "scheduled");
        },
        across: |scene| scene.policy(window(HOUR, true)),
        passes: "destroyed",
    },
    Edge {
        rule: "window_too_short",
        refused: |scene| {
            scene.policy(window(HOUR, true));
            scene.wait(Some(HOUR - MILLISECOND));
        },
        across: |scene| scene.wait(Some(HOUR)),
        passes: "scheduled",
    },
    Edge {
        rule: "window_too_short",
        refused: |scene| {
            scene.policy(window(Duration::ZERO, true));
            scene.request.when = DestroyWhen::AtOnce;
        },
        across: |scene| scene.policy(DeletionPolicy::default()),
        passes: "destroyed",
    },
    Edge {
        rule: "window_too_long",
        refused: |scene| scene.wait(Some(WINDOW_MAX + MILLISECOND)),
        across: |scene| scene.wait(Some(WINDOW_MAX)),
        passes: "scheduled",
    },
    Edge {
        rule: "window_missing",
        refused: |scene| scene.wait(Some(Duration::ZERO)),
        across: |scene| scene.wait(Some(MILLISECOND)),
        passes: "scheduled",
    },
    Edge {
        rule: "window_missing",
        refused: |scene| scene.wait(None),
        across: |scene| scene.policy(window(Duration::ZERO, false)),
        passes: "scheduled",
    },
    Edge {
        rule: "must_be_suspended",
        refused: |scene| {
            scene.policy(DeletionPolicy { must_be_suspended: true, ..Default::default() });
        },
        across: |scene| {
            let (key, suspend) = (scene.key, Transition::Suspend);
            scene
                .rig
                .run(async |engine| engine.change_state(&acme(engine), key, suspend, None).await)
                .unwrap();
        },
        passes: "destroyed",
    },
    Edge {
        rule: "recently_used",
        refused: |scene| {
            scene.policy(DeletionPolicy { not_used_within: Some(HOUR), ..Default::default() });
            scene.at(SECOND);
            encrypt(&scene.rig.engine, &acme(&scene.rig.engine), scene.key).unwrap();
            scene.at(SECOND + HOUR - MILLISECOND);
        },
        across: |scene| scene.at(SECOND + HOUR),
        passes: "destroyed",
    },
    Edge {
        rule: "recently_used",
        refused: |scene| {
            scene.policy(DeletionPolicy { not_used_within: Some(HOUR), ..Default::default() });
            scene.at(SECOND);
            encrypt(&scene.rig.engine, &acme(&scene.rig.engine), scene.key).unwrap();
            scene.at(SECOND + HOUR - MILLISECOND);
            scene.wait(Some(HOUR));
        },
        across: |scene| scene.at(SECOND + HOUR),
        passes: "scheduled",
    },
    Edge {
        rule: "rate_limited",
        refused: |scene| {
            scene.policy(DeletionPolicy { destroys_per_hour: Some(2), ..Default::default() });
            let first = scene.request.clone();
            for (wait, expected) in [(false, "destroyed"), (true, "scheduled")] {
                scene.request.key = scene.another();
                if wait {
                    scene.wait(Some(HOUR * 10));
                }
                assert_eq!(scene.ask(), expected);
                scene.at(SECOND);
            }
            scene.request = first;
            scene.at(HOUR);
        },
        across: |scene| scene.at(HOUR + MILLISECOND),
        passes: "destroyed",
    },
    Edge {
        rule: "rate_limited",
        refused: |scene| {
            scene.policy(DeletionPolicy { destroys_per_hour: Some(0), ..Default::default() });
        },
        across: |scene| {
            scene.policy(DeletionPolicy { destroys_per_hour: Some(1), ..Default::default() });
        },
        passes: "destroyed",
    },
    Edge {
        rule: "not_confirmed",
        refused: |scene| {
            scene.policy(DeletionPolicy { confirm: true, ..Default::default() });
            scene.request.confirm = Some("Key".to_owned());
        },
        across: |scene| scene.request.confirm = Some("key".to_owned()),
        passes: "destroyed",
    },
    Edge {
        rule: "not_confirmed",
        refused: |scene| scene.policy(DeletionPolicy { confirm: true, ..Default::default() }),
        across: |scene| scene.request.confirm = Some(scene.key.to_string()),
        passes: "destroyed",
    },
    Edge {
        rule: "approvals_missing",
        refused: |scene| {
            scene.policy(approvals(2));
            let approval = scene.ask_for_approval(scene.key, scene.carol);
            scene.request.approval = Some(approval);
            let first = scene.approver("first");
            scene.approve(approval, &first);
        },
        across: |scene| {
            let second = scene.approver("second");
            scene.approve(scene.request.approval.unwrap(), &second);
        },
        passes: "destroyed",
    },
    Edge {
        rule: "approvals_missing",
        refused: |scene| {
            scene.policy(approvals(1));
            let approver = scene.approver("approver");
            let approval = scene.ask_for_approval(scene.key, scene.carol);
            scene.approve(approval, &approver);
            scene.request.approval = Some(approval);
            let suspended = suspension(true);
            let who = approver.principal;
            scene
                .rig
                .run(async |engine| engine.update_principal(&acme(engine), who, &suspended).await)
                .unwrap();
        },
        across: |scene| {
            let caller = acme(&scene.rig.engine);
            let all = scene.rig.engine.list_principals(&caller).unwrap();
            let who = all.iter().find(|entry| entry.record().suspended).unwrap().record().id;
            let back = suspension(false);
            scene
                .rig
                .run(async |engine| engine.update_principal(&acme(engine), who, &back).await)
                .unwrap();
        },
        passes: "destroyed",
    },
    Edge {
        rule: "approval_unusable",
        refused: |scene| {
            scene.policy(approvals(1));
            let approver = scene.approver("approver");
            let another = scene.another();
            let approval = scene.ask_for_approval(another, scene.carol);
            scene.approve(approval, &approver);
            scene.request.approval = Some(approval);
        },
        across: |scene| {
            let approver = scene.approver("another approver");
            let approval = scene.ask_for_approval(scene.key, scene.carol);
            scene.approve(approval, &approver);
            scene.request.approval = Some(approval);
        },
        passes: "destroyed",
    },
    Edge {
        rule: "has_dependants",
        refused: |scene| {
            scene.child();
        },
        across: |scene| {
            let child =
                scene.rig.keys().iter().map(|entry| entry.record().id).max_by_key(|id| {
                    *id != scene.key && scene.rig.engine.algorithm_of(*id).is_some()
                });
            assert_eq!(scene.rig.destroy(DestroyRequest::new(child.unwrap())), "destroyed");
        },
        passes: "destroyed",
    },
    Edge {
        rule: "has_dependants",
        refused: |scene| {
            scene.child();
            let policy = |dependants| DeletionPolicy { dependants, ..DeletionPolicy::default() };
            scene.policy(policy(Some(Dependants::Refuse)));
        },
        across: |scene| {
            let dependants = Some(Dependants::Cascade);
            scene.policy(DeletionPolicy { dependants, ..DeletionPolicy::default() });
        },
        passes: "destroyed",
    },
];

fn suspension(suspended: bool) -> PrincipalChange {
    PrincipalChange { suspended: Some(suspended), ..PrincipalChange::default() }
}

#[test]
fn every_rule_refuses_before_its_edge_and_lets_pass_at_it() {
    for by in [By::Realm, By::Request, By::Vault] {
        for (number, edge) in EDGES.iter().enumerate() {
            let context = format!("{} ({number}) by {by:?}", edge.rule);
            let mut scene = Scene::new(by);
            (edge.refused)(&mut scene);
            let caller = acme(&scene.rig.engine);
            let before = scene.rig.engine.read_key(&caller, scene.key).unwrap().revision();
            scene.rig.world.audit.events.lock().clear();
            assert_eq!(scene.ask(), edge.rule, "{context}");
            let events = std::mem::take(&mut *scene.rig.world.audit.events.lock());
            let [(operation, key, refusal)] = &events[..] else { panic!("{context}: {events:?}") };
            assert!(operation.starts_with("key.destroy"), "{context}");
            assert_eq!(*key, Some(scene.key), "{context}");
            assert_eq!(refusal.as_deref(), Some(edge.rule), "{context}");
            let after = scene.rig.engine.read_key(&caller, scene.key).unwrap();
            assert_eq!(after.revision(), before, "{context}: a refusal changes nothing");
            (edge.across)(&mut scene);
            scene.rig.world.audit.events.lock().clear();
            assert_eq!(scene.ask(), edge.passes, "{context}");
            let events = std::mem::take(&mut *scene.rig.world.audit.events.lock());
            let told: Vec<_> =
                events.iter().filter(|(_, key, _)| *key == Some(scene.key)).collect();
            assert!(matches!(told[..], [(_, _, None)]), "{context}: {events:?}");
        }
    }
}

/// The ways in which a request for approval is worth nothing, each with its negative control.
#[test]
fn a_request_for_approval_is_good_once_for_one_key_one_requester_and_its_time() {
    type Spoil = fn(&mut Scene, ApprovalId);
    let cases: &[(&str, Spoil, &str)] = &[
        ("control", |_, _| {}, "scheduled"),
        ("in time", |scene, _| scene.at(HOUR - MILLISECOND), "scheduled"),
        ("expired", |scene, _| scene.at(HOUR), "approval_unusable"),
        ("withdrawn", withdraw, "approval_unusable"),
        (
            "used",
            |scene, _| {
                assert_eq!(scene.ask(), "scheduled");
                let key = scene.key;
                scene
                    .rig
                    .run(async |engine| engine.cancel_destruction(&acme(engine), key, None).await)
                    .unwrap();
            },
            "approval_unusable",
        ),
        (
            "somebody else's",
            |scene, _| {
                let rights = [Permission::KeysDestroy, Permission::KeysRead];
                scene.carol = scene.rig.principal("mallory", on(Scope::Realm, &rights));
            },
            "approval_unusable",
        ),
        (
            "unknown",
            |scene, _| scene.request.approval = Some(ApprovalId([9; 16])),
            "approval_unusable",
        ),
    ];
    for (name, spoil, expected) in cases {
        let mut scene = Scene::new(By::Vault);
        scene.policy(approvals(1));
        let approver = scene.approver("approver");
        let approval = scene.ask_for_approval(scene.key, scene.carol);
        scene.approve(approval, &approver);
        scene.request.approval = Some(approval);
        scene.wait(Some(HOUR * 2));
        spoil(&mut scene, approval);
        assert_eq!(scene.ask(), *expected, "{name}");
    }
}

fn withdraw(scene: &mut Scene, approval: ApprovalId) {
    let (realm, carol) = (scene.realm, scene.carol);
    let withdrawn = async |engine: &crate::Engine| {
        let carol = as_principal(engine, realm, carol).unwrap();
        engine.withdraw_approval(&carol, approval).await
    };
    scene.rig.run(withdrawn).unwrap();
}

/// An approval that is worth nothing is no evidence, also where nobody asks for one.
#[test]
fn approvals_of_one_key_are_not_used_up_by_another() {
    let mut scene = Scene::new(By::Vault);
    let (another, approver) = (scene.another(), scene.approver("approver"));
    let approval = scene.ask_for_approval(another, scene.carol);
    scene.approve(approval, &approver);
    scene.request.approval = Some(approval);
    assert_eq!(scene.ask(), "destroyed");
    let caller = acme(&scene.rig.engine);
    let receipt = scene.rig.engine.receipt(&caller, scene.key).unwrap();
    assert!(receipt.detail.evidence.is_empty(), "{:?}", receipt.detail.evidence);
    let left = scene.rig.engine.read_approval(&caller, approval).unwrap();
    assert_eq!(left.state, crate::record::ApprovalState::Open);
    // The control: what was approved is evidence.
    scene.request = DestroyRequest { approval: Some(approval), ..DestroyRequest::new(another) };
    assert_eq!(scene.ask(), "destroyed");
    let receipt = scene.rig.engine.receipt(&caller, another).unwrap();
    assert_eq!(receipt.detail.evidence.len(), 1);
}

#[test]
fn a_name_that_came_before_the_rule_about_names_does_not_stand_in_the_way() {
    for rule in [crate::record::NameRule::UniqueAmongLive, crate::record::NameRule::NeverAgain] {
        let mut scene = Scene::new(By::Vault);
        let (one, other) = (scene.another(), scene.another());
        let (vault, names) = (scene.vault, Some(rule));
        let change = VaultChange { names, ..VaultChange::default() };
        scene
            .rig
            .run(async |engine| engine.update_vault(&acme(engine), vault, &change).await)
            .unwrap();
        scene.key = one;
        scene.hold(Some(SECOND));
        scene.change(KeyChange { protected: Some(true), ..KeyChange::default() });
        scene.key = other;
        scene.request = DestroyRequest::new(other);
        scene.wait(Some(HOUR));
        assert_eq!(scene.ask(), "scheduled", "{rule:?}");
        // Names that are given from now on are another matter.
        let again = CreateKeyRequest { vault: Some(vault), ..aes("another") };
        assert_eq!(scene.rig.key(again).unwrap_err().code(), "name_taken", "{rule:?}");
        let name = Some("another".parse().unwrap());
        let (key, renamed) = (one, KeyChange { name, ..KeyChange::default() });
        scene
            .rig
            .run(async |engine| engine.update_key(&acme(engine), key, &renamed, None).await)
            .unwrap();
    }
}
