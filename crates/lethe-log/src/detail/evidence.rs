//! What people signed about one destruction, as its receipt discloses it.
//!
//! A signed statement stands in the detail verbatim: its text, the public key and the signature,
//! so that whoever holds the receipt can check it without the server. Whether it holds, and
//! whether it speaks of this key, is for `lethe-verify` to decide; here are form and bounds.

use std::borrow::Cow;

use lethe_crypto::hash::sha256;
use lethe_types::PrincipalId;

use crate::encoding::base64_bytes;
use crate::json::{Json, JsonError, Members, ObjectWriter};
use crate::word::Word;

/// Role of who agreed to a destruction that somebody else asked for.
pub const ROLE_APPROVER: &str = "approver";
/// Role of who asked for the destruction.
pub const ROLE_REQUESTER: &str = "requester";

/// Most signed statements of one destruction: as many approvals as a policy may ask for, 16, and
/// the request.
pub const EVIDENCE_STATEMENTS_MAX: usize = 17;
/// Longest signed text, in bytes. An approval has below 1,400: the longest reason and 300 more.
pub const EVIDENCE_STATEMENT_BYTES_MAX: usize = 4_096;
/// Longest name of a signature scheme, in bytes.
pub const EVIDENCE_SCHEME_BYTES_MAX: usize = 64;
/// Longest public key, in bytes of DER: RSA of 8,192 bits and ML-DSA-65 fit.
pub const EVIDENCE_KEY_BYTES_MAX: usize = 2_048;
/// Longest signature, in bytes.
pub const EVIDENCE_SIGNATURE_BYTES_MAX: usize = 8_192;
/// Longest data of an authenticator, in bytes: 37, and what extensions say.
pub const EVIDENCE_AUTHENTICATOR_BYTES_MAX: usize = 1_024;

/// A signature that somebody gave for exactly one destruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedStatement {
    /// In which role: [`ROLE_APPROVER`] or [`ROLE_REQUESTER`].
    pub role: Word,
    /// Who.
    pub principal: PrincipalId,
    /// How it was signed: a signature scheme's stable name, as in `ed25519`.
    pub scheme: String,
    /// What was signed, byte for byte. At most [`EVIDENCE_STATEMENT_BYTES_MAX`] bytes.
    pub statement: String,
    /// The text of the request that a challenge in the statement stands for, if the requester
    /// signed a challenge: see [`ChallengedRequest`](crate::ChallengedRequest). At most
    /// [`EVIDENCE_STATEMENT_BYTES_MAX`] bytes.
    pub request: Option<String>,
    /// The authenticator data, if the requester signed the challenge with a passkey (Web
    /// Authentication Level 2, section 6.1). At most [`EVIDENCE_AUTHENTICATOR_BYTES_MAX`] bytes.
    pub authenticator_data: Option<Vec<u8>>,
    /// The public key: a `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7) in DER. At most
    /// [`EVIDENCE_KEY_BYTES_MAX`] bytes.
    pub public_key_der: Vec<u8>,
    /// The signature over the [`signed_bytes`]. At most [`EVIDENCE_SIGNATURE_BYTES_MAX`] bytes.
    pub signature: Vec<u8>,
}

/// What a signature is over: the bytes of the statement; of a passkey the authenticator data and
/// the SHA-256 of the statement (Web Authentication Level 2, section 6.3.3).
#[must_use]
pub fn signed_bytes<'a>(statement: &'a str, authenticator_data: Option<&[u8]>) -> Cow<'a, [u8]> {
    match authenticator_data {
        None => Cow::Borrowed(statement.as_bytes()),
        Some(data) => Cow::Owned([data, &sha256(&[statement.as_bytes()])].concat()),
    }
}

/// Whether authenticator data say that a person was present: the flag UP (Web Authentication Level
/// 2, section 6.1).
#[must_use]
pub fn is_person_present(authenticator_data: &[u8]) -> bool {
    const FLAGS_AT: usize = 32;
    const BYTES_MIN: usize = 37;
    const USER_PRESENT: u8 = 1;
    let flags = authenticator_data.get(FLAGS_AT).copied().unwrap_or_default();
    authenticator_data.len() >= BYTES_MIN && flags & USER_PRESENT != 0
}

/// Form and bounds of all statements of a destruction.
pub(super) fn check(evidence: &[SignedStatement]) -> Result<(), JsonError> {
    if evidence.len() > EVIDENCE_STATEMENTS_MAX {
        return Err(JsonError::Invalid("evidence"));
    }
    evidence.iter().try_for_each(SignedStatement::check)
}

/// About the length of their JSON.
pub(super) fn bytes(evidence: &[SignedStatement]) -> usize {
    let bytes = |signed: &SignedStatement| {
        let authenticator = signed.authenticator_data.as_ref().map_or(0, |data| data.len() + 24);
        let encoded =
            base64_bytes(signed.public_key_der.len() + signed.signature.len() + authenticator);
        let request = signed.request.as_ref().map_or(0, String::len);
        FACTS_BYTES + signed.statement.len() + request + encoded
    };
    evidence.iter().map(bytes).sum()
}

/// The statements of a detail, none if the member is absent.
pub(super) fn read(members: &mut Members) -> Result<Vec<SignedStatement>, JsonError> {
    let statements = members.array_if_any("evidence")?;
    if statements.len() > EVIDENCE_STATEMENTS_MAX {
        return Err(JsonError::Invalid("evidence"));
    }
    statements.into_iter().map(SignedStatement::read).collect()
}

impl SignedStatement {
    /// Whether a detail can hold it. To be asked before the destruction is promised: a detail with
    /// a statement outside of its bounds cannot be written.
    ///
    /// # Errors
    /// [`JsonError::Invalid`] names the member.
    pub fn check(&self) -> Result<(), JsonError> {
        let is_known = matches!(self.role.as_str(), ROLE_APPROVER | ROLE_REQUESTER);
        let within = |len: usize, max: usize| (1..=max).contains(&len);
        // Who approves signs every fact itself.
        let is_request = |request: &String| {
            self.role.as_str() == ROLE_REQUESTER
                && within(request.len(), EVIDENCE_STATEMENT_BYTES_MAX)
        };
        // Its signature is over something that only a challenge makes sense of.
        let is_authenticator = |data: &Vec<u8>| {
            self.request.is_some() && within(data.len(), EVIDENCE_AUTHENTICATOR_BYTES_MAX)
        };
        let of_authenticator = &self.authenticator_data;
        for (holds, name) in [
            (is_known, "role"),
            (within(self.scheme.len(), EVIDENCE_SCHEME_BYTES_MAX), "scheme"),
            (within(self.statement.len(), EVIDENCE_STATEMENT_BYTES_MAX), "statement"),
            (self.request.as_ref().is_none_or(is_request), "request"),
            (of_authenticator.as_ref().is_none_or(is_authenticator), "authenticator_data"),
            (within(self.public_key_der.len(), EVIDENCE_KEY_BYTES_MAX), "public_key_der"),
            (within(self.signature.len(), EVIDENCE_SIGNATURE_BYTES_MAX), "signature"),
        ] {
            if !holds {
                return Err(JsonError::Invalid(name));
            }
        }
        Ok(())
    }

    pub(super) fn write(&self, object: &mut ObjectWriter<'_>) {
        if let Some(data) = &self.authenticator_data {
            object.base64("authenticator_data", data);
        }
        object.plain("principal", self.principal);
        object.base64("public_key_der", &self.public_key_der);
        if let Some(request) = &self.request {
            object.text("request", request);
        }
        object.plain("role", &self.role);
        object.text("scheme", &self.scheme);
        object.base64("signature", &self.signature);
        object.text("statement", &self.statement);
    }

    /// Who signed in which role, without what was signed: for the statement of a receipt, beside
    /// which the opening holds everything.
    pub(crate) fn write_signer(&self, object: &mut ObjectWriter<'_>) {
        object.plain("principal", self.principal);
        object.plain("role", &self.role);
    }

    fn read(value: Json) -> Result<Self, JsonError> {
        let mut members = Members::of(value, "evidence")?;
        let signed = Self {
            role: members.parsed("role")?,
            principal: members.parsed("principal")?,
            scheme: members.text("scheme")?,
            statement: members.text("statement")?,
            request: members.has("request").then(|| members.text("request")).transpose()?,
            authenticator_data: members
                .has("authenticator_data")
                .then(|| members.byte_string("authenticator_data"))
                .transpose()?,
            public_key_der: members.byte_string("public_key_der")?,
            signature: members.byte_string("signature")?,
        };
        members.finish()?;
        signed.check()?;
        Ok(signed)
    }
}

/// Names, principal, role, scheme, and escapes of the ends of lines.
const FACTS_BYTES: usize = 240;
