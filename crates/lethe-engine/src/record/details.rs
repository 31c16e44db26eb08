//! What a key can have beside its material: labels, holds, attributes of doors, origin, history.

use std::collections::BTreeMap;

use lethe_log::{SignedStatement, Word};
use lethe_types::{
    HoldId, KeyId, LabelName, LabelValue, PrincipalId, StableState, Transition, UnixMillis,
};

use super::KeyLife;

/// A vendor's identifier of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The door it is an identifier at.
    pub door: String,
    /// The identifier, unique per door and realm.
    pub text: String,
    /// Whether it is never given to another key, not even after this one's destruction.
    pub reserved: bool,
}

/// What most keys do not have. A key without any of it stores nothing for it.
#[derive(Clone, Debug)]
pub struct KeyDetails {
    /// Raised against a destruction by mistake: it must be lowered before a destruction.
    pub protected: bool,
    /// For people and selectors.
    pub labels: BTreeMap<LabelName, LabelValue>,
    /// What stands in the way of a destruction.
    pub holds: Vec<Hold>,
    /// What doors keep with the key, by names that begin with the door's: opaque here, no secret.
    pub attributes: BTreeMap<Box<str>, Box<[u8]>>,
    /// From which key it was derived, if it was.
    pub derivation: Option<Derivation>,
    /// The newest state changes, oldest first; at most
    /// [`lethe_types::limits::HISTORY_CHANGES_MAX`].
    pub history: Vec<ChangedState>,
    /// Secrets that die with the key, by name.
    pub secrets: Vec<OwnedSecret>,
    /// Keyed digests of its material, oldest version first, where the policy asks for them.
    pub fingerprints: Vec<[u8; 32]>,
    /// The destruction that waits, if one does.
    pub pending: Option<Pending>,
    /// Rules and events of its life, if it has any.
    pub life: Option<Box<KeyLife>>,
}

impl KeyDetails {
    /// Nothing of it.
    pub const NONE: Self = Self {
        protected: false,
        labels: BTreeMap::new(),
        holds: Vec::new(),
        attributes: BTreeMap::new(),
        derivation: None,
        history: Vec::new(),
        secrets: Vec::new(),
        fingerprints: Vec::new(),
        pending: None,
        life: None,
    };
}

/// A block on the destruction of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Identity.
    pub id: HoldId,
    /// Why it is there, in kind.
    pub kind: HoldKind,
    /// Why it is there, in words.
    pub reason: String,
    /// When it was placed.
    pub placed: UnixMillis,
    /// Who placed it.
    pub by: PrincipalId,
    /// When it ends by itself, if it does.
    pub expires: Option<UnixMillis>,
}

impl Hold {
    /// Whether it still stands at `now`.
    #[must_use]
    pub fn stands(&self, now: UnixMillis) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

/// Why a hold is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldKind {
    /// Law, litigation, an authority.
    Legal,
    /// The operation of something that needs the key.
    Operational,
}

impl HoldKind {
    /// The kind's stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Legal => "legal",
            Self::Operational => "operational",
        }
    }
}

/// From which key another one was derived. The pair of parent and path is never used again, so that
/// a destroyed key cannot be derived once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derivation {
    /// The key it was derived from.
    pub parent: KeyId,
    /// How, in the words of the derivation scheme.
    pub path: Box<str>,
    /// Whether the key goes dead when the parent is destroyed, because it has no material of its
    /// own.
    pub depends: bool,
}

/// One change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedState {
    /// Which.
    pub transition: Transition,
    /// When.
    pub at: UnixMillis,
    /// By whom.
    pub by: PrincipalId,
    /// Through which door.
    pub door: Box<str>,
}

/// A secret that lives in the erasure tree and dies with the record that owns it.
#[derive(Clone, Debug)]
pub struct OwnedSecret {
    /// What it is for; unique in its record.
    pub name: Box<str>,
    /// Its slot in the erasure tree.
    pub leaf: u64,
    /// Distinguishes it from what the same name held before.
    pub number: u32,
    /// The sealed secret, as `lethe_erasure` lays it out.
    pub sealed: Box<[u8]>,
}

impl OwnedSecret {
    /// A place for a secret that the committer is to seal.
    #[must_use]
    pub fn unsealed(name: &str, number: u32) -> Self {
        Self { name: name.into(), leaf: u64::MAX, number, sealed: Box::default() }
    }

    /// Whether the secret is there.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        !self.sealed.is_empty()
    }
}

/// A destruction that waits for its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// When it was asked for.
    pub requested: UnixMillis,
    /// By whom.
    pub by: PrincipalId,
    /// Through which door.
    pub door: Box<str>,
    /// Why, in that principal's words.
    pub reason: Box<str>,
    /// Where a cancellation leads, if not to the state before.
    pub cancel_to: Option<StableState>,
    /// Who proved what about the request; goes into the receipt.
    pub evidence: Vec<Evidence>,
}

/// A signature that somebody gave for exactly one destruction; part of its receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// In which role.
    pub role: EvidenceRole,
    /// Who.
    pub principal: PrincipalId,
    /// What was signed: a text that names the request.
    pub statement: String,
    /// How it was signed: a signature scheme's stable name.
    pub scheme: String,
    /// The public key as SubjectPublicKeyInfo (RFC 5280).
    pub public_key_der: Box<[u8]>,
    /// The signature over the statement's bytes.
    pub signature: Box<[u8]>,
    /// The text of the request that a challenge in the statement stands for, if a challenge was
    /// signed and not the request itself.
    pub request: Option<Box<str>>,
    /// The authenticator data, if a challenge was signed with a passkey.
    pub authenticator_data: Option<Box<[u8]>>,
}

impl Evidence {
    /// The same as a receipt tells it.
    pub(crate) fn to_statement(&self) -> SignedStatement {
        SignedStatement {
            role: self.role.as_str().parse::<Word>().expect("roles are words"),
            principal: self.principal,
            scheme: self.scheme.clone(),
            statement: self.statement.clone(),
            public_key_der: self.public_key_der.to_vec(),
            signature: self.signature.to_vec(),
            request: self.request.as_deref().map(str::to_owned),
            authenticator_data: self.authenticator_data.as_deref().map(<[u8]>::to_vec),
        }
    }
}

/// In which role somebody signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceRole {
    /// Agreed to somebody else's request.
    Approver,
    /// Asked for the destruction.
    Requester,
}

impl EvidenceRole {
    /// The role's stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approver => "approver",
            Self::Requester => "requester",
        }
    }
}
