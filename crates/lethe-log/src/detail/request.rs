//! A request that somebody orders by signing a challenge: the text that names it, of which the
//! challenge is the hash, and the data around the challenge that are signed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lethe_crypto::hash::sha256;
use lethe_types::{CredentialId, PrincipalId, RealmId, UnixMillis};

use crate::json::{Json, JsonError, Members};

/// Longest path of a request, in bytes.
pub const CHALLENGED_PATH_BYTES_MAX: usize = 2_048;

/// First line of every text: no other text that people sign begins like this.
const HEADER: &str = "lethe-request/v1";

/// With what kind of key somebody signs a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKey {
    /// One that signs the client data themselves.
    Plain,
    /// One of an authenticator, which signs data of its own too (Web Authentication Level 2).
    Passkey,
}

impl ClientKey {
    /// That of a signature with or without authenticator data.
    #[must_use]
    pub fn of(authenticator_data: Option<&[u8]>) -> Self {
        authenticator_data.map_or(Self::Plain, |_| Self::Passkey)
    }
}

/// Every fact of a request that a challenge stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChallengedRequest {
    /// The tenant.
    pub realm: RealmId,
    /// Who asks.
    pub principal: PrincipalId,
    /// What they came with: the credential of their session, not that which signs.
    pub credential: CredentialId,
    /// As in HTTP, in upper case.
    pub method: String,
    /// Percent-encoded but for the unreserved characters of RFC 3986, without a query. At most
    /// [`CHALLENGED_PATH_BYTES_MAX`] bytes.
    pub path: String,
    /// SHA-256 of the body in the canonical form of its interface; of nothing if it says nothing.
    pub body_sha256: [u8; 32],
    /// Drawn for this challenge.
    pub nonce: [u8; 32],
    /// When it was given out.
    pub time: UnixMillis,
}

impl ChallengedRequest {
    /// Nine lines, each with one fact.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!(
            "{HEADER}\nrealm {}\nprincipal {}\ncredential {}\nmethod {}\npath {}\n\
             body-sha256 {}\nnonce {}\ntime {}\n",
            self.realm,
            self.principal,
            self.credential,
            self.method,
            self.path,
            to_hex(&self.body_sha256),
            to_hex(&self.nonce),
            self.time,
        )
    }

    /// Strict: these lines, in this order, with one spelling per value, and nothing after them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.strip_suffix('\n')?.split('\n').collect();
        let [header, realm, principal, credential, method, path, body, nonce, time] =
            lines.as_slice()
        else {
            return None;
        };
        let method = method.strip_prefix("method ")?;
        let path = path.strip_prefix("path ")?;
        let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
        let is_path = path.starts_with('/')
            && path.len() <= CHALLENGED_PATH_BYTES_MAX
            && path.bytes().all(|byte| byte.is_ascii_graphic());
        if *header != HEADER || !is_method || !is_path {
            return None;
        }
        let read = Self {
            realm: realm.strip_prefix("realm ")?.parse().ok()?,
            principal: principal.strip_prefix("principal ")?.parse().ok()?,
            credential: credential.strip_prefix("credential ")?.parse().ok()?,
            method: method.to_owned(),
            path: path.to_owned(),
            body_sha256: from_hex(body.strip_prefix("body-sha256 ")?)?,
            nonce: from_hex(nonce.strip_prefix("nonce ")?)?,
            time: time.strip_prefix("time ")?.parse().ok()?,
        };
        (read.to_text() == text).then_some(read)
    }

    /// What the signer repeats: base64url, without padding, of the 64 lower-case hexadecimal digits
    /// of the SHA-256 of the text.
    #[must_use]
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(to_hex(&sha256(&[self.to_text().as_bytes()])))
    }

    /// Whether `statement` repeats the challenge: one JSON object whose member `challenge` it is,
    /// and whose `type` says that somebody asserts something with a key of this kind. Client data
    /// of passkeys have the challenge once more in base64url, as browsers write its bytes, or as
    /// it is.
    ///
    /// # Errors
    /// [`JsonError`] for a statement that is no such object.
    pub fn is_challenge_of(&self, statement: &str, kind: ClientKey) -> Result<bool, JsonError> {
        let mut members = Members::of(Json::parse(statement)?, "statement")?;
        let (asserts, found) = (members.text("type")?, members.text("challenge")?);
        let challenge = self.challenge();
        Ok(match kind {
            ClientKey::Plain => asserts == "key.get" && found == challenge,
            ClientKey::Passkey => {
                let again = URL_SAFE_NO_PAD.encode(&challenge);
                asserts == "webauthn.get" && (found == challenge || found == again)
            }
        })
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes().as_chunks::<2>();
    let (pairs, []) = digits else { return None };
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
