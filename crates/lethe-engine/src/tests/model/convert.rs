//! The model's words in the engine's.

use std::time::Duration;

use lethe_types::{
    ApprovalId, CredentialId, HoldId, KeyId, KeyState, Permission, PrincipalId, Transition, VaultId,
};

use super::ops::{Bound, Move, Op, Rights, Rules, Wish};
use super::rules::actor_of;
use super::world::State;
use crate::record::{Alias, ApprovalRule, DeletionPolicy, Dependants, Grant, Scope, Window};
use crate::tests::rig::on;
use crate::tests::support::DOOR;
use crate::{DestroyWhen, NewCredential, NewCredentialKind};

/// Whether a fault of the next commit is this operation's alone.
pub(super) fn is_one_change(op: &Op) -> bool {
    let many = matches!(op, Op::Bulk { .. } | Op::BulkList { .. });
    actor_of(op).is_some() && !many
}

/// Whether nothing is made whose identifier only the answer tells.
pub(super) fn makes_nothing(op: &Op) -> bool {
    !matches!(
        op,
        Op::Create { .. }
            | Op::Hold { .. }
            | Op::NewVault { .. }
            | Op::NewPerson { .. }
            | Op::AddCredential { .. }
            | Op::Ask { .. }
    )
}

pub(super) fn pick<T: Copy + From16>(things: &[T], number: usize) -> T {
    if things.is_empty() { T::nothing() } else { things[number % things.len()] }
}

/// An identifier of nothing.
pub(super) trait From16 {
    fn nothing() -> Self;
}

macro_rules! nothing {
    ($($id:ident),*) => {$(
        impl From16 for $id {
            fn nothing() -> Self {
                Self([0xff; 16])
            }
        }
    )*};
}

nothing!(ApprovalId, CredentialId, HoldId, KeyId, PrincipalId, VaultId);

pub(super) fn alias_of(text: usize, reserved: bool) -> Alias {
    Alias { door: DOOR.to_owned(), text: format!("alias-{text}"), reserved }
}

pub(super) fn shared_secret(external: usize) -> NewCredential {
    let secret = lethe_types::SecretVec::from_vec(b"shared".to_vec());
    let external = format!("external-{external}").into();
    let kind = NewCredentialKind::SharedSecret { external, secret };
    NewCredential { kind, ..NewCredential::bearer(None) }
}

pub(super) fn when(wish: Wish) -> DestroyWhen {
    match wish {
        Wish::AsSoonAsAllowed => DestroyWhen::AsSoonAsAllowed,
        Wish::AtOnce => DestroyWhen::AtOnce,
        Wish::Later { seconds, cancel_to_suspended } => DestroyWhen::Scheduled {
            window: seconds.map(Duration::from_secs),
            cancel_to: cancel_to_suspended.then_some(lethe_types::StableState::Suspended),
        },
    }
}

pub(super) fn transition(to: Move) -> Transition {
    match to {
        Move::Activate => Transition::Activate,
        Move::Suspend => Transition::Suspend,
        Move::Resume => Transition::Resume,
        Move::Deactivate => Transition::Deactivate,
        Move::Compromise => Transition::Compromise,
    }
}

pub(super) fn of_state(state: KeyState) -> State {
    match state {
        KeyState::Stable(state) => State::Is(state),
        KeyState::PendingDestruction { due, return_to } => {
            State::Waits { due: due.0, back: return_to }
        }
        KeyState::Destroyed => State::Gone { compromised: false },
        KeyState::DestroyedCompromised => State::Gone { compromised: true },
    }
}

pub(super) fn policy(rules: Rules) -> DeletionPolicy {
    DeletionPolicy {
        window: rules.window.map(|(seconds, may_end_early)| Window {
            minimum: Duration::from_secs(seconds),
            may_end_early,
        }),
        must_be_suspended: rules.suspended,
        not_used_within: rules.unused.map(Duration::from_secs),
        destroys_per_hour: rules.rate,
        confirm: rules.confirm,
        approvals: rules.approvals.map(|(required, seconds)| ApprovalRule {
            required,
            lifetime: Duration::from_secs(seconds),
        }),
        dependants: rules.dependants.map(|bound| match bound {
            Bound::Orphan => Dependants::Orphan,
            Bound::Cascade => Dependants::Cascade,
            Bound::Refuse => Dependants::Refuse,
        }),
        ..DeletionPolicy::default()
    }
}

pub(super) fn grants(rights: Rights, vaults: &[VaultId]) -> Vec<Grant> {
    use Permission as P;
    match rights {
        Rights::None => Vec::new(),
        Rights::Destroyer => on(Scope::Realm, &[P::KeysDestroy, P::KeysRead]),
        Rights::Scheduler => {
            on(Scope::Realm, &[P::KeysDestroySchedule, P::KeysDestroyCancel, P::KeysRead])
        }
        Rights::Approver => on(Scope::Realm, &[P::KeysDestroyApprove, P::KeysRead]),
        Rights::Local(vault) => on(Scope::Vault(vaults[vault]), P::ALL),
        Rights::Manager => on(Scope::Realm, &[P::PrincipalsManage, P::KeysRead]),
    }
}
