//! Decides whether what people signed about a destruction holds.
//!
//! An approver signs every fact of the request that they agree to; the request must be about
//! exactly this key. A requester signs a text of their own, in which only the signature is
//! checked; or a challenge, which must be that of a request to delete exactly this key, made by
//! nobody else. That a public key belongs to the principal that is
//! named beside it is the server's word; whoever knows the key of that person compares its
//! fingerprint.

use core::fmt;

use lethe_crypto::hash::sha256;
use lethe_crypto::registry::{Algorithm, SignatureScheme};
use lethe_log::{
    ChallengedRequest, ClientKey, DestroyedDetail, Hash, ROLE_APPROVER, ROLE_REQUESTER,
    SignedStatement, is_person_present, signed_bytes,
};
use lethe_types::{ApprovalId, KeyId, PrincipalId, RealmId, UnixMillis};

use crate::VerifyError;

/// An agreement to the destruction, whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Who agreed, and with which key.
    pub signer: Signer,
    /// The request that was agreed to.
    pub approval: ApprovalId,
    /// Whose request it was; never that of the signer.
    pub requester: PrincipalId,
    /// From when on the agreement is worth nothing.
    pub expires: UnixMillis,
    /// Whether that was over when the destruction was asked for, so that the agreement should not
    /// have counted. Told, not refused: both times are of clocks that the server reads.
    pub had_expired: bool,
    /// The reason that the signer was told.
    pub reason: String,
}

/// A request for the destruction that the requester signed, whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asked, and with which key.
    pub signer: Signer,
    /// What was signed. Without `ordered` nothing but the signature was checked: it says whatever
    /// it says.
    pub statement: String,
    /// The request that the challenge in the statement stands for: the deletion of exactly this
    /// key, by the signer. That it is from after the destruction is told, not refused: both times
    /// are of clocks that the server reads.
    pub ordered: Option<ChallengedRequest>,
    /// With what kind of key the challenge was signed.
    pub kind: ClientKey,
}

/// Who made a signature, and with which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The principal, as the server says.
    pub principal: PrincipalId,
    /// How it was signed.
    pub scheme: SignatureScheme,
    /// SHA-256 of the public key's `SubjectPublicKeyInfo` in DER. Written in base64, as the pins
    /// of RFC 7469 section 2.4.
    pub public_key_sha256: Hash,
}

/// Why a signed statement is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvidenceFault {
    /// The authenticator data of a passkey are none, or do not say that a person was present.
    Authenticator,
    /// The statement does not repeat the challenge of the request that stands beside it.
    Challenge,
    /// The same principal is there as an approver before: one person, counted twice.
    Duplicate,
    /// The statement of an approver is not the text of an approval.
    NotAnApproval,
    /// What stands beside the statement is not the text of a request.
    NotARequest,
    /// The approver agreed to a request of their own.
    OwnRequest,
    /// The approval or request is about another key.
    OtherKey,
    /// The approval or request is about something else than a destruction.
    OtherOperation,
    /// The request is somebody else's than the signer's.
    OtherRequester,
    /// The approval or request is about a key of another realm.
    OtherRealm,
    /// The public key is none for the signature scheme.
    PublicKey,
    /// The role is neither that of an approver nor that of a requester.
    Role,
    /// The signature is not over this statement by this key.
    Signature,
    /// This program does not know the signature scheme, so it cannot tell.
    UnknownScheme(String),
}

impl fmt::Display for EvidenceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authenticator => "the passkey does not say that a person was present",
            Self::Challenge => "the statement does not repeat the challenge of the request",
            Self::Duplicate => "the same principal approved twice",
            Self::NotAnApproval => "the statement is not the text of an approval",
            Self::NotARequest => "what the challenge stands for is not the text of a request",
            Self::OwnRequest => "the approver approved a request of their own",
            Self::OtherKey => "the approval or request is about another key",
            Self::OtherOperation => {
                "the approval or request is about something else than a destruction"
            }
            Self::OtherRequester => "the request is somebody else's than the signer's",
            Self::OtherRealm => "the approval or request is about a key of another realm",
            Self::PublicKey => "the public key is none for the signature scheme",
            Self::Role => "the role is neither `approver` nor `requester`",
            Self::Signature => "the signature is not over the statement by that public key",
            Self::UnknownScheme(name) => {
                return write!(f, "this program does not know the signature scheme {name:?}");
            }
        })
    }
}

impl core::error::Error for EvidenceFault {}

/// Every approval and request of `detail`, if all of them hold.
pub(crate) fn check(
    detail: &DestroyedDetail,
    key: KeyId,
    realm: RealmId,
) -> Result<(Vec<Approval>, Vec<Request>), VerifyError> {
    let (mut approvals, mut requests) = (Vec::<Approval>::new(), Vec::new());
    for signed in &detail.evidence {
        let refused = |why| VerifyError::Evidence { principal: signed.principal, why };
        let signer = check_signature(signed).map_err(refused)?;
        match signed.role.as_str() {
            ROLE_APPROVER => {
                if approvals.iter().any(|other| other.signer.principal == signed.principal) {
                    return Err(refused(EvidenceFault::Duplicate));
                }
                let wanted = (key, realm, detail.requested);
                approvals.push(check_approval(signer, &signed.statement, wanted).map_err(refused)?);
            }
            ROLE_REQUESTER => {
                let ordered = signed.request.as_deref();
                let ordered = ordered
                    .map(|text| check_request(signed, text, detail, realm))
                    .transpose()
                    .map_err(refused)?;
                let statement = signed.statement.clone();
                let kind = ClientKey::of(signed.authenticator_data.as_deref());
                requests.push(Request { signer, statement, ordered, kind });
            }
            _ => return Err(refused(EvidenceFault::Role)),
        }
    }
    Ok((approvals, requests))
}

fn check_signature(signed: &SignedStatement) -> Result<Signer, EvidenceFault> {
    let unknown = || EvidenceFault::UnknownScheme(signed.scheme.clone());
    let scheme: SignatureScheme = signed.scheme.parse().map_err(|_| unknown())?;
    // A scheme may belong to several sizes of key; the key itself tells which.
    let mut keys = Algorithm::all()
        .filter(|algorithm| algorithm.schemes().contains(&scheme))
        .filter_map(|algorithm| algorithm.load_public(&signed.public_key_der).ok())
        .peekable();
    keys.peek().ok_or(EvidenceFault::PublicKey)?;
    let authenticator_data = signed.authenticator_data.as_deref();
    let message = signed_bytes(&signed.statement, authenticator_data);
    if !keys.any(|key| key.verify(Some(scheme), &message, &signed.signature) == Ok(true)) {
        return Err(EvidenceFault::Signature);
    }
    if !authenticator_data.is_none_or(is_person_present) {
        return Err(EvidenceFault::Authenticator);
    }
    let public_key_sha256 = Hash(sha256(&[&signed.public_key_der]));
    Ok(Signer { principal: signed.principal, scheme, public_key_sha256 })
}

/// Whether what the requester signed is the challenge of a request to delete exactly this key.
fn check_request(
    signed: &SignedStatement,
    text: &str,
    detail: &DestroyedDetail,
    realm: RealmId,
) -> Result<ChallengedRequest, EvidenceFault> {
    let request = ChallengedRequest::parse(text).ok_or(EvidenceFault::NotARequest)?;
    let kind = ClientKey::of(signed.authenticator_data.as_deref());
    if request.is_challenge_of(&signed.statement, kind) != Ok(true) {
        return Err(EvidenceFault::Challenge);
    }
    let named = request.path.rsplit_once('/').map_or("", |(_, name)| name);
    for (holds, fault) in [
        (request.method == DELETE, EvidenceFault::OtherOperation),
        (request.realm == realm, EvidenceFault::OtherRealm),
        (detail.aliases.iter().any(|alias| alias == named), EvidenceFault::OtherKey),
        (request.principal == signed.principal, EvidenceFault::OtherRequester),
    ] {
        if !holds {
            return Err(fault);
        }
    }
    Ok(request)
}

fn check_approval(
    signer: Signer,
    statement: &str,
    (key, realm, requested): (KeyId, RealmId, UnixMillis),
) -> Result<Approval, EvidenceFault> {
    let facts = ApprovalFacts::parse(statement).ok_or(EvidenceFault::NotAnApproval)?;
    for (holds, fault) in [
        (facts.operation == DESTROY, EvidenceFault::OtherOperation),
        (facts.realm == realm, EvidenceFault::OtherRealm),
        (facts.key == key, EvidenceFault::OtherKey),
        (facts.requester != signer.principal, EvidenceFault::OwnRequest),
    ] {
        if !holds {
            return Err(fault);
        }
    }
    let ApprovalFacts { approval, requester, expires, reason, .. } = facts;
    let (had_expired, reason) = (expires <= requested, reason.to_owned());
    Ok(Approval { signer, approval, requester, expires, had_expired, reason })
}

/// What an approver signs: eight lines, each with one fact.
struct ApprovalFacts<'a> {
    approval: ApprovalId,
    realm: RealmId,
    operation: &'a str,
    key: KeyId,
    requester: PrincipalId,
    expires: UnixMillis,
    reason: &'a str,
}

impl<'a> ApprovalFacts<'a> {
    /// Strict: these lines, in this order, with one spelling per value, and nothing after them.
    fn parse(text: &'a str) -> Option<Self> {
        let lines: Vec<&str> = text.strip_suffix('\n')?.split('\n').collect();
        let [header, approval, realm, operation, key, requester, expires, reason] =
            lines.as_slice()
        else {
            return None;
        };
        if *header != APPROVAL_HEADER {
            return None;
        }
        Some(Self {
            approval: approval.strip_prefix("approval ")?.parse().ok()?,
            realm: realm.strip_prefix("realm ")?.parse().ok()?,
            operation: operation.strip_prefix("operation ")?,
            key: key.strip_prefix("key ")?.parse().ok()?,
            requester: requester.strip_prefix("requester ")?.parse().ok()?,
            expires: expires.strip_prefix("expires ")?.parse().ok()?,
            reason: reason.strip_prefix("reason ")?,
        })
    }
}

/// First line of every approval: no other text that people sign begins like this.
const APPROVAL_HEADER: &str = "lethe-approval/v1";
const DESTROY: &str = "key.destroy";
/// The method of a request that orders a destruction.
const DELETE: &str = "DELETE";
