//! What doors need for sessions of their own: a caller without a new proof, and sealed tokens.
//!
//! A session's token belongs to its door: its claims, its end, its one-time use. Whether the
//! principal may still act is asked here, of the catalogue, with every request.

use lethe_crypto::aead::SealKey;
use lethe_crypto::sealed::{self, Place, SEALED_OVERHEAD_BYTES};
use lethe_types::limits::TOKEN_CLAIMS_BYTES_MAX;
use lethe_types::{CredentialId, PrincipalId, RealmId};

use crate::authz::Caller;
use crate::ops::Attempted;
use crate::{Engine, EngineError};

impl Engine {
    /// A principal who proved itself to the door earlier, by `credential` or by something of the
    /// door's own.
    ///
    /// The door answers for the proof. The principal, and the credential if one is named, must be
    /// live now. As with bearer tokens a success is no event of its own: the operation's event
    /// names principal and credential.
    ///
    /// # Errors
    /// [`EngineError::AuthenticationNotSuccessful`] if principal or credential is unknown in
    /// `realm`, revoked, suspended or expired; the refusal is in the audit trail.
    /// [`EngineError::AuditUnavailable`].
    pub fn caller_of(
        &self,
        realm: RealmId,
        principal: PrincipalId,
        credential: Option<CredentialId>,
        door: &'static str,
        request: [u8; 16],
    ) -> Result<Caller, EngineError> {
        let now = self.shared.clock.now();
        let found = self.shared.catalogue.principal(realm, principal);
        let subject = found.as_ref().map(|entry| entry.record().id);
        let live = found.filter(|entry| {
            let is_credential_live = credential.is_none_or(|id| {
                let found = super::external::credential(entry, id);
                found.is_some_and(|credential| credential.is_live(now))
            });
            entry.record().is_live(now) && is_credential_live
        });
        if let Some(principal) = live {
            return Ok(Caller::new(principal, credential, door, request));
        }
        let refused = EngineError::AuthenticationNotSuccessful;
        let realm = Some(realm);
        let told = Attempted { door, request, now, realm, caller: None, subject };
        self.audit_attempt(&told, Some(&refused))?;
        Err(refused)
    }

    /// A text that only this installation can make and open, and only for the same `purpose`. It
    /// hides the claims. Lower-case hexadecimal digits, since some clients take letters and digits
    /// alone: two characters for each byte, and 58 more.
    ///
    /// It has no end and cannot be called back: both are for the claims. At most 2^32 tokens a
    /// purpose (nonces are 96 random bits).
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] for claims over [`TOKEN_CLAIMS_BYTES_MAX`];
    /// [`EngineError::EntropyUnavailable`].
    pub fn seal_token(&self, purpose: &'static str, claims: &[u8]) -> Result<String, EngineError> {
        if claims.len() > TOKEN_CLAIMS_BYTES_MAX {
            let why = format!("at most {TOKEN_CLAIMS_BYTES_MAX} bytes");
            return Err(EngineError::InvalidField { field: "claims", why });
        }
        let entropy = &*self.shared.entropy;
        let sealed = sealed::seal(&self.token_key(purpose), place(purpose), entropy, claims)?;
        Ok(to_hex(&sealed))
    }

    /// The claims of a token that [`Engine::seal_token`] made for this purpose; `None` for
    /// everything else.
    #[must_use]
    pub fn open_token(&self, purpose: &'static str, token: &str) -> Option<Vec<u8>> {
        if token.len() > 2 * (TOKEN_CLAIMS_BYTES_MAX + SEALED_OVERHEAD_BYTES) {
            return None;
        }
        let sealed = from_hex(token)?;
        let opened = sealed::open(&self.token_key(purpose), place(purpose), &sealed).ok()?;
        Some(opened.expose().to_vec())
    }

    /// A key for each purpose, which a restart does not change.
    fn token_key(&self, purpose: &'static str) -> SealKey {
        SealKey::new(&self.shared.pepper.derive(purpose))
    }
}

fn place(purpose: &'static str) -> Place<'static> {
    Place { kind: "token", realm: &[0; 16], id: &[0; 16], field: purpose }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn to_hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Strict: a token has one text.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}
