//! What clients sign challenges with: assertions of keys that are known, attestations of new ones.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use lethe_crypto::hash::sha256;
use lethe_crypto::registry::{Algorithm, SignatureScheme};
use serde_json::{Map, Value, json};

use crate::account::KeyKind;
use crate::body::Members;
use crate::error::Refusal;
use crate::webauthn::{self, AUTHENTICATOR_BYTES_MAX, Fault, RelyingParty};

/// Base64url with or without padding, as clients send both.
pub(crate) const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The refusal of a challenge that is not there for this.
pub(crate) const NOT_VALID: &str = "Challenge token is not valid.";
/// The refusal of what recovers nothing.
pub(crate) const NO_RECOVERY_FACTOR: &str = "Credential cannot be used as a recovery factor.";
/// Longest handle of a user, in bytes (Web Authentication Level 2, section 5.4.3).
const USER_HANDLE_BYTES_MAX: usize = 64;
/// Longest client data, in bytes: it is part of a receipt.
const CLIENT_DATA_BYTES_MAX: usize = 2_048;
/// Longest signature, in bytes: RSA of 8,192 bits.
const SIGNATURE_BYTES_MAX: usize = 1_024;
/// Longest attestation, in bytes.
const ATTESTATION_BYTES_MAX: usize = 16_384;
/// Longest public key in PEM, in characters.
pub(crate) const PEM_CHARACTERS_MAX: usize = 4_096;
/// Longest name of a credential that a client chooses, in characters.
pub(crate) const CRED_ID_CHARACTERS_MAX: usize = 250;

/// An assertion, not yet checked.
#[derive(Debug)]
pub(crate) struct Assertion {
    pub(crate) kind: KeyKind,
    pub(crate) cred_id: String,
    /// The very bytes that were signed.
    pub(crate) client_data: String,
    pub(crate) signature: Vec<u8>,
    algorithm: Option<Digest>,
    /// What the authenticator said, of a passkey.
    pub(crate) authenticator: Option<Authenticator>,
}

/// What an authenticator said beside its signature.
#[derive(Debug)]
pub(crate) struct Authenticator {
    pub(crate) data: Vec<u8>,
    /// Whose passkey it is, if the authenticator keeps that.
    pub(crate) user_handle: Option<Vec<u8>>,
}

/// The name of a digest that a client may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digest {
    RsaSha256,
    Sha256,
    Sha512,
}

impl Digest {
    fn of(members: &mut Members) -> Result<Option<Self>, Refusal> {
        match members.text("algorithm")?.as_deref() {
            None => Ok(None),
            Some("RSA-SHA256") => Ok(Some(Self::RsaSha256)),
            Some("SHA256") => Ok(Some(Self::Sha256)),
            Some("SHA512") => Ok(Some(Self::Sha512)),
            Some(_) => {
                Err(members.refuse("algorithm", "must be one of RSA-SHA256, SHA256, SHA512"))
            }
        }
    }

    /// The scheme of a key whose own is `own`; `None` if it cannot sign so.
    fn scheme(self, own: SignatureScheme) -> Option<SignatureScheme> {
        match (own, self) {
            (SignatureScheme::Ed25519, _) => Some(own),
            (SignatureScheme::EcdsaSha256, Self::Sha256) => Some(own),
            (SignatureScheme::EcdsaSha256, Self::Sha512) => Some(SignatureScheme::EcdsaSha512),
            (SignatureScheme::RsaPkcs1Sha256, Self::RsaSha256 | Self::Sha256) => Some(own),
            (SignatureScheme::RsaPkcs1Sha256, Self::Sha512) => {
                Some(SignatureScheme::RsaPkcs1Sha512)
            }
            _ => None,
        }
    }
}

impl Assertion {
    /// That of a factor.
    ///
    /// # Errors
    /// 400 for what is no assertion.
    pub(crate) fn parse(mut factor: Members) -> Result<Self, Refusal> {
        let kind = factor.needed_text("kind")?;
        let kind = KeyKind::named(&kind).filter(|kind| *kind != KeyKind::RecoveryKey);
        let kind = kind.ok_or_else(|| {
            let why = "must be Fido2, Key or PasswordProtectedKey at this server";
            factor.refuse("kind", why)
        })?;
        Self::of_kind(factor, kind)
    }

    /// That of a recovery.
    ///
    /// # Errors
    /// 400; 401 for a kind that recovers nothing.
    pub(crate) fn parse_recovery(mut factor: Members) -> Result<Self, Refusal> {
        let kind = factor.needed_text("kind")?;
        match KeyKind::named(&kind) {
            Some(kind @ KeyKind::RecoveryKey) => Self::of_kind(factor, kind),
            Some(KeyKind::Fido2 | KeyKind::Key | KeyKind::PasswordProtectedKey) | None => {
                Err(Refusal::unauthorized(NO_RECOVERY_FACTOR))
            }
        }
    }

    fn of_kind(mut factor: Members, kind: KeyKind) -> Result<Self, Refusal> {
        let mut assertion = factor.needed_object("credentialAssertion")?;
        factor.finish()?;
        let cred_id = assertion.needed_text("credId")?;
        let client_data = decoded(&mut assertion, "clientData", CLIENT_DATA_BYTES_MAX)?;
        let client_data = String::from_utf8(client_data)
            .map_err(|_| assertion.refuse("clientData", "must be UTF-8"))?;
        let signature = decoded(&mut assertion, "signature", SIGNATURE_BYTES_MAX)?;
        let algorithm = Digest::of(&mut assertion)?;
        let authenticator = match kind {
            KeyKind::Fido2 => Some(Authenticator {
                data: decoded(&mut assertion, "authenticatorData", AUTHENTICATOR_BYTES_MAX)?,
                user_handle: match assertion.has("userHandle") {
                    true => Some(decoded(&mut assertion, "userHandle", USER_HANDLE_BYTES_MAX)?),
                    false => None,
                },
            }),
            KeyKind::Key | KeyKind::PasswordProtectedKey | KeyKind::RecoveryKey => None,
        };
        assertion.finish()?;
        Ok(Self { kind, cred_id, client_data, signature, algorithm, authenticator })
    }

    /// Whether the client data of a plain key are of that type and repeat the challenge. Other
    /// members, such as an origin, say nothing here.
    pub(crate) fn answers(&self, challenge: &str) -> bool {
        is_client_data(self.client_data.as_bytes(), "key.get", challenge)
    }

    /// The challenge that the client data of a plain key repeat.
    pub(crate) fn challenge(&self) -> Option<String> {
        let members: Map<String, Value> = serde_json::from_str(&self.client_data).ok()?;
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        text("challenge").filter(|_| text("type") == Some("key.get")).map(str::to_owned)
    }

    /// What the signature is over.
    pub(crate) fn signed_bytes(&self) -> Vec<u8> {
        let client_data = self.client_data.as_bytes();
        match &self.authenticator {
            None => client_data.to_vec(),
            Some(said) => webauthn::signed_bytes(&said.data, client_data),
        }
    }

    /// How the signature is to be checked with a key whose own scheme is `own`.
    pub(crate) fn scheme(&self, own: &str) -> Option<SignatureScheme> {
        let own: SignatureScheme = own.parse().ok()?;
        self.algorithm.map_or(Some(own), |digest| digest.scheme(own))
    }
}

/// The bytes of a needed member in base64url.
fn decoded(members: &mut Members, name: &str, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
    let text = members.needed_text(name)?;
    let bytes = BASE64URL.decode(&text).map_err(|_| members.refuse(name, "must be base64url"))?;
    if bytes.len() > bytes_max {
        return Err(members.refuse(name, &format!("may have {bytes_max} bytes")));
    }
    Ok(bytes)
}

fn is_client_data(bytes: &[u8], kind: &str, challenge: &str) -> bool {
    let Ok(Value::Object(members)) = serde_json::from_slice(bytes) else { return false };
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    text("type") == Some(kind) && text("challenge") == Some(challenge)
}

/// A public key that somebody brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewKey {
    pub(crate) scheme: SignatureScheme,
    pub(crate) spki_der: Vec<u8>,
    /// As it was written.
    pub(crate) pem: String,
}

impl NewKey {
    /// Reads a PEM of a `SubjectPublicKeyInfo`, or of a PKCS#1 key with the label `RSA`. Line ends
    /// may be the two characters `\\n`.
    ///
    /// # Errors
    /// `None` for everything else, and for keys that sign in no way that is known here.
    pub(crate) fn parse(pem: &str) -> Option<Self> {
        if pem.chars().count() > PEM_CHARACTERS_MAX {
            return None;
        }
        let plain = pem.replace("\\r", "").replace("\\n", "\n");
        let plain = plain.trim();
        let inside = |label: &str| {
            let begun = plain.strip_prefix(&format!("-----BEGIN {label}-----"))?;
            begun.strip_suffix(&format!("-----END {label}-----"))
        };
        let der = |body: &str| {
            let body: String = body.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
            STANDARD.decode(body).ok()
        };
        let spki_der = match inside("PUBLIC KEY") {
            Some(body) => der(body)?,
            None => spki_of_rsa(&der(inside("RSA PUBLIC KEY")?)?),
        };
        let key = Self::of_spki(&spki_der)?;
        Some(Self { spki_der, pem: pem.to_owned(), ..key })
    }

    /// The key of a `SubjectPublicKeyInfo`.
    pub(crate) fn of_spki(spki_der: &[u8]) -> Option<Self> {
        SCHEMES.into_iter().find_map(|scheme| {
            let with = Algorithm::all().filter(|one| one.schemes().contains(&scheme));
            let mut keys = with.filter_map(|one| one.load_public(spki_der).ok());
            let pem = keys.next()?.public_key()?.to_pem();
            Some(Self { scheme, spki_der: spki_der.to_vec(), pem })
        })
    }

    pub(crate) fn verify(&self, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> bool {
        let with = Algorithm::all().filter(|one| one.schemes().contains(&scheme));
        let mut keys = with.filter_map(|one| one.load_public(&self.spki_der).ok());
        keys.any(|key| key.verify(Some(scheme), message, signature).unwrap_or(false))
    }
}

/// The schemes of keys, by which their signatures are checked unless a client names a digest.
const SCHEMES: [SignatureScheme; 3] =
    [SignatureScheme::Ed25519, SignatureScheme::EcdsaSha256, SignatureScheme::RsaPkcs1Sha256];

/// An RSA key of PKCS#1 (RFC 8017 appendix A.1.1) as `SubjectPublicKeyInfo` (RFC 3279 section
/// 2.3.1).
pub(crate) fn spki_of_rsa(pkcs1: &[u8]) -> Vec<u8> {
    const RSA_ENCRYPTION: [u8; 15] =
        [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let bits = der_value(0x03, &[&[0], pkcs1].concat());
    der_value(0x30, &[RSA_ENCRYPTION.as_slice(), &bits].concat())
}

/// A DER value.
pub(crate) fn der_value(tag: u8, content: &[u8]) -> Vec<u8> {
    [der_head(tag, content.len()).as_slice(), content].concat()
}

/// Tag and length of a DER value.
fn der_head(tag: u8, length: usize) -> Vec<u8> {
    let bytes = length.to_be_bytes();
    let digits: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => vec![tag, short],
        Ok(_) | Err(_) => {
            let count = u8::try_from(digits.len()).expect("a length has at most eight bytes");
            [vec![tag, 0x80 | count], digits].concat()
        }
    }
}

/// What a new key came with.
#[derive(Debug)]
pub(crate) struct Attested {
    pub(crate) kind: KeyKind,
    pub(crate) cred_id: String,
    pub(crate) key: NewKey,
    pub(crate) encrypted_private_key: Option<String>,
    pub(crate) passkey: Option<Passkey>,
}

/// What is remembered of a passkey beside its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passkey {
    pub(crate) counter: u32,
    pub(crate) is_backup_eligible: bool,
    pub(crate) origin: String,
}

/// Longest private key that its owner encrypted, in characters.
const ENCRYPTED_CHARACTERS_MAX: usize = 8_192;

impl Attested {
    /// That of a registration or a new credential: `credentialKind`, `credentialInfo` and, for a
    /// protected key, `encryptedPrivateKey`. The new key must have signed the challenge.
    ///
    /// # Errors
    /// 400.
    pub(crate) fn parse(
        members: &mut Members,
        party: &RelyingParty<'_>,
        challenge: &str,
    ) -> Result<Self, Refusal> {
        let kind = members.needed_text("credentialKind")?;
        let kind = KeyKind::named(&kind).ok_or_else(|| {
            let why = "must be Fido2, Key, PasswordProtectedKey or RecoveryKey at this server";
            members.refuse("credentialKind", why)
        })?;
        let mut info = members.needed_object("credentialInfo")?;
        let encrypted_private_key =
            members.sized_text("encryptedPrivateKey", 1, ENCRYPTED_CHARACTERS_MAX)?;
        let is_plain = matches!(kind, KeyKind::Fido2 | KeyKind::Key);
        if encrypted_private_key.is_some() && is_plain {
            return Err(members.refuse("encryptedPrivateKey", "is not for this kind"));
        }
        if encrypted_private_key.is_none() && kind == KeyKind::PasswordProtectedKey {
            return Err(members.refuse("encryptedPrivateKey", "is required"));
        }
        let cred_id = info.needed_text("credId")?;
        if !(1..=CRED_ID_CHARACTERS_MAX).contains(&cred_id.len()) {
            return Err(info.refuse("credId", "must have 1 to 250 characters"));
        }
        let client_data = decoded(&mut info, "clientData", CLIENT_DATA_BYTES_MAX)?;
        let attestation = decoded(&mut info, "attestationData", ATTESTATION_BYTES_MAX)?;
        info.finish()?;
        let (key, passkey) = match kind {
            KeyKind::Fido2 => {
                let registered = webauthn::check_registration(
                    party,
                    challenge,
                    &cred_id,
                    &client_data,
                    &attestation,
                );
                let webauthn::Registered { key, counter, is_backup_eligible, origin } =
                    registered.map_err(of_fault)?;
                (key, Some(Passkey { counter, is_backup_eligible, origin }))
            }
            KeyKind::Key | KeyKind::PasswordProtectedKey | KeyKind::RecoveryKey => {
                if !is_client_data(&client_data, "key.create", challenge) {
                    return Err(Refusal::bad(NOT_VALID));
                }
                let key = attested_key(&client_data, &attestation);
                let why = "the attestation of the new credential is not valid";
                (key.ok_or_else(|| Refusal::bad(why))?, None)
            }
        };
        Ok(Self { kind, cred_id, key, encrypted_private_key, passkey })
    }
}

/// The refusal of a passkey that cannot be registered, which says why: the client that made it
/// can do something about it.
fn of_fault(fault: Fault) -> Refusal {
    match fault {
        Fault::Challenge => Refusal::bad(NOT_VALID),
        Fault::Algorithm
        | Fault::AttestationFormat
        | Fault::AttestationObject
        | Fault::AttestationSignature
        | Fault::AuthenticatorData
        | Fault::BackupState
        | Fault::ClientData
        | Fault::CredentialId
        | Fault::CrossOrigin
        | Fault::Origin
        | Fault::PublicKey
        | Fault::RelyingParty
        | Fault::UserHandle
        | Fault::UserPresence
        | Fault::UserVerification => {
            Refusal::bad(format!("the attestation of the new credential is not valid: {fault}"))
        }
    }
}

/// The key that an attestation is about, if that key signed it.
fn attested_key(client_data: &[u8], attestation: &[u8]) -> Option<NewKey> {
    let Ok(Value::Object(mut members)) = serde_json::from_slice(attestation) else { return None };
    let mut text = |name: &str| match members.remove(name) {
        Some(Value::String(text)) => Some(text),
        Some(_) | None => None,
    };
    let key = NewKey::parse(&text("publicKey")?)?;
    let signature = from_hex(&text("signature")?)?;
    let digest = match text("algorithm").as_deref() {
        None => None,
        Some("RSA-SHA256") => Some(Digest::RsaSha256),
        Some("SHA256") => Some(Digest::Sha256),
        Some("SHA512") => Some(Digest::Sha512),
        Some(_) => return None,
    };
    let scheme = digest.map_or(Some(key.scheme), |digest| digest.scheme(key.scheme))?;
    let hash = to_hex(&sha256(&[client_data]));
    let escaped = json!(key.pem).to_string();
    let fingerprint = |pem: &str| format!("{{\"clientDataHash\":\"{hash}\",\"publicKey\":{pem}}}");
    // Clients sign the JSON; the example of the documentation has raw line ends in it.
    let raw = format!("\"{}\"", key.pem);
    let texts = [fingerprint(&escaped), fingerprint(&raw)];
    texts.iter().any(|text| key.verify(scheme, text.as_bytes(), &signature)).then_some(key)
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hexadecimal digits in either case.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
