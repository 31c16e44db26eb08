//! Passkeys: what an authenticator says when it makes a key, and when it signs with one (Web
//! Authentication Level 2, sections 6.1, 6.5, 7.1 and 7.2).
//!
//! Reads and judges; it keeps nothing. CBOR and COSE keys are read by the crate `coset`,
//! signatures are checked by `lethe-crypto`. It must not know a request, the engine or a clock.
//!
//! The challenge of the dialect is text. Browsers take bytes and write them in base64url, so that
//! client data repeat either the text or the base64url of it; both are the same challenge.

use core::fmt;

use base64::Engine as _;
use coset::cbor::value::Value as Cbor;
use coset::iana::{self, EnumI64 as _};
use coset::{AsCborValue as _, CoseKey, Label, RegisteredLabelWithPrivate};
use lethe_crypto::hash::sha256;
use lethe_crypto::registry::SignatureScheme;
use serde_json::{Map, Value};

use crate::factors::{BASE64URL, NewKey, der_value, spki_of_rsa};
use crate::settings::UserVerification;

/// Longest authenticator data of an assertion, in bytes: 37, and what extensions say.
pub(crate) const AUTHENTICATOR_BYTES_MAX: usize = 1_024;
/// What the server tells authenticators that it verifies, as in `pubKeyCredParams`: ES256, EdDSA
/// and RS256 of the IANA registry "COSE Algorithms".
pub(crate) const ALGORITHMS: [i64; 3] = [-7, -8, -257];

/// Whose passkeys these are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RelyingParty<'a> {
    /// A domain.
    pub(crate) id: &'a str,
    /// The origins that may use them; if there are none, all of the domain and below it.
    pub(crate) origins: &'a [String],
    pub(crate) verification: UserVerification,
}

/// What a new passkey is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    pub(crate) key: NewKey,
    pub(crate) counter: u32,
    pub(crate) is_backup_eligible: bool,
    /// Where it was made.
    pub(crate) origin: String,
}

/// Why a passkey is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Algorithm,
    AttestationFormat,
    AttestationObject,
    AttestationSignature,
    AuthenticatorData,
    BackupState,
    Challenge,
    ClientData,
    CredentialId,
    CrossOrigin,
    Origin,
    PublicKey,
    RelyingParty,
    UserHandle,
    UserPresence,
    UserVerification,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Algorithm => "the key is of none of the algorithms ES256, EdDSA and RS256",
            Self::AttestationFormat => {
                "the attestation is neither `none` nor a `packed` one by the key itself"
            }
            Self::AttestationObject => "the attestation object is malformed",
            Self::AttestationSignature => "the signature of the attestation does not hold",
            Self::AuthenticatorData => "the authenticator data are malformed",
            Self::BackupState => "the backup flags contradict each other or the registration",
            Self::Challenge => "the client data are not about the challenge",
            Self::ClientData => "the client data are malformed or of another type",
            Self::CredentialId => "the credential is not the one that the client names",
            Self::CrossOrigin => "the passkey was used from a frame of another origin",
            Self::Origin => "the passkey was used from an origin that is not allowed",
            Self::PublicKey => "the public key is malformed",
            Self::RelyingParty => "the passkey is of another relying party",
            Self::UserHandle => "the passkey is of another user",
            Self::UserPresence => "nobody was present",
            Self::UserVerification => "the user was not verified",
        })
    }
}

/// What an assertion tells beside its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Presented {
    /// The signature counter; 0 of authenticators that have none.
    pub(crate) counter: u32,
}

/// Checks the data of an assertion, all but the signature and the counter.
///
/// # Errors
/// The first [`Fault`].
pub(crate) fn check_assertion(
    party: &RelyingParty<'_>,
    challenge: &str,
    client_data: &[u8],
    authenticator_data: &[u8],
    is_backup_eligible: bool,
) -> Result<Presented, Fault> {
    check_client_data(party, "webauthn.get", challenge, client_data)?;
    let (said, rest) = Said::read(authenticator_data)?;
    // An assertion attests no key; what extensions say is one map and nothing after it.
    let rest = said.skip_extensions(rest)?;
    if said.has(ATTESTED) || !rest.is_empty() {
        return Err(Fault::AuthenticatorData);
    }
    said.check(party)?;
    if said.has(BACKUP_ELIGIBLE) != is_backup_eligible {
        return Err(Fault::BackupState);
    }
    Ok(Presented { counter: said.counter })
}

/// What a passkey signs.
pub(crate) fn signed_bytes(authenticator_data: &[u8], client_data: &[u8]) -> Vec<u8> {
    [authenticator_data, &sha256(&[client_data])].concat()
}

/// Checks a registration whose credential the client calls `cred_id`.
///
/// # Errors
/// The first [`Fault`].
pub(crate) fn check_registration(
    party: &RelyingParty<'_>,
    challenge: &str,
    cred_id: &str,
    client_data: &[u8],
    attestation_object: &[u8],
) -> Result<Registered, Fault> {
    let origin = check_client_data(party, "webauthn.create", challenge, client_data)?;
    let attestation = Attestation::read(attestation_object)?;
    let (said, rest) = Said::read(&attestation.authenticator_data)?;
    said.check(party)?;
    if !said.has(ATTESTED) {
        return Err(Fault::AuthenticatorData);
    }
    let (id, rest) = credential_id(rest).ok_or(Fault::AuthenticatorData)?;
    if BASE64URL.decode(cred_id).ok().as_deref() != Some(id) {
        return Err(Fault::CredentialId);
    }
    let (cose, rest) = first_item(rest).ok_or(Fault::PublicKey)?;
    let (key, algorithm) = public_key(cose)?;
    if !said.skip_extensions(rest)?.is_empty() {
        return Err(Fault::AuthenticatorData);
    }
    let message = signed_bytes(&attestation.authenticator_data, client_data);
    attestation.check(&key, algorithm, &message)?;
    Ok(Registered {
        key,
        counter: said.counter,
        is_backup_eligible: said.has(BACKUP_ELIGIBLE),
        origin,
    })
}

/// The origin of client data of that type that repeat the challenge.
fn check_client_data(
    party: &RelyingParty<'_>,
    kind: &str,
    challenge: &str,
    bytes: &[u8],
) -> Result<String, Fault> {
    let members: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|_| Fault::ClientData)?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    if text("type") != Some(kind) {
        return Err(Fault::ClientData);
    }
    let found = text("challenge").ok_or(Fault::Challenge)?;
    if found != challenge && found != BASE64URL.encode(challenge) {
        return Err(Fault::Challenge);
    }
    if !matches!(members.get("crossOrigin"), None | Some(Value::Bool(false))) {
        return Err(Fault::CrossOrigin);
    }
    let origin = text("origin").filter(|origin| is_allowed(party, origin));
    origin.map(str::to_owned).ok_or(Fault::Origin)
}

/// Whether a page of that origin may use passkeys of the party: one that is listed, else any of
/// the domain and below it, as browsers hold it (Web Authentication Level 2, section 5.1.3).
fn is_allowed(party: &RelyingParty<'_>, origin: &str) -> bool {
    if !party.origins.is_empty() {
        return party.origins.iter().any(|allowed| allowed == origin);
    }
    let Some((scheme, place)) = origin.split_once("://") else { return false };
    let (host, port) = place.split_once(':').unwrap_or((place, "443"));
    let is_port = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_within = |host: &str, domain: &str| {
        host == domain || host.strip_suffix(domain).is_some_and(|start| start.ends_with('.'))
    };
    let is_secure = scheme == "https" || scheme == "http" && is_within(host, "localhost");
    is_port && is_secure && is_within(host, party.id)
}

/// Flags of authenticator data.
const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const ATTESTED: u8 = 1 << 6;
const EXTENDED: u8 = 1 << 7;

/// The beginning of authenticator data.
struct Said {
    rp_id_hash: [u8; 32],
    flags: u8,
    counter: u32,
}

impl Said {
    /// The beginning, and what follows it.
    fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Fault> {
        let short = Fault::AuthenticatorData;
        let (rp_id_hash, rest) = bytes.split_first_chunk::<32>().ok_or(short)?;
        let (flags, rest) = rest.split_first().ok_or(short)?;
        let (counter, rest) = rest.split_first_chunk::<4>().ok_or(short)?;
        let counter = u32::from_be_bytes(*counter);
        Ok((Self { rp_id_hash: *rp_id_hash, flags: *flags, counter }, rest))
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whose passkey it is, and who was there.
    fn check(&self, party: &RelyingParty<'_>) -> Result<(), Fault> {
        let must_verify = party.verification == UserVerification::Required;
        for (holds, fault) in [
            (self.rp_id_hash == sha256(&[party.id.as_bytes()]), Fault::RelyingParty),
            (self.has(USER_PRESENT), Fault::UserPresence),
            (!must_verify || self.has(USER_VERIFIED), Fault::UserVerification),
            (!self.has(BACKED_UP) || self.has(BACKUP_ELIGIBLE), Fault::BackupState),
        ] {
            if !holds {
                return Err(fault);
            }
        }
        Ok(())
    }

    /// What follows the map of extensions, if the flags say that there is one. What extensions
    /// say changes nothing here.
    fn skip_extensions<'a>(&self, rest: &'a [u8]) -> Result<&'a [u8], Fault> {
        if !self.has(EXTENDED) {
            return Ok(rest);
        }
        let (item, rest) = first_item(rest).ok_or(Fault::AuthenticatorData)?;
        item.is_map().then_some(rest).ok_or(Fault::AuthenticatorData)
    }
}

/// The name of an attested credential, and what follows it.
fn credential_id(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    const AAGUID_BYTES: usize = 16;
    const ID_BYTES_MAX: usize = 1_023;
    let (_, rest) = bytes.split_at_checked(AAGUID_BYTES)?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    rest.split_at_checked(length).filter(|_| (1..=ID_BYTES_MAX).contains(&length))
}

/// The first CBOR item, and what follows it.
fn first_item(bytes: &[u8]) -> Option<(Cbor, &[u8])> {
    let mut rest = bytes;
    let item: Cbor = coset::cbor::de::from_reader(&mut rest).ok()?;
    Some((item, rest))
}

/// An attestation object (section 6.5.4).
struct Attestation {
    format: String,
    statement: Vec<(Cbor, Cbor)>,
    authenticator_data: Vec<u8>,
}

impl Attestation {
    /// A map of exactly the three members.
    fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let (item, rest) = first_item(bytes).ok_or(Fault::AttestationObject)?;
        let members = item.into_map().map_err(|_| Fault::AttestationObject)?;
        if !rest.is_empty() || members.len() != 3 {
            return Err(Fault::AttestationObject);
        }
        let (mut format, mut statement, mut data) = (None, None, None);
        for (name, value) in members {
            match name.as_text() {
                Some("fmt") => format = value.into_text().ok(),
                Some("attStmt") => statement = value.into_map().ok(),
                Some("authData") => data = value.into_bytes().ok(),
                Some(_) | None => return Err(Fault::AttestationObject),
            }
        }
        match (format, statement, data) {
            (Some(format), Some(statement), Some(authenticator_data)) => {
                Ok(Self { format, statement, authenticator_data })
            }
            _ => Err(Fault::AttestationObject),
        }
    }

    /// No attestation is asked for. So there is none, or one by the new key itself, which must
    /// hold (sections 8.2 and 8.7); whether a maker vouches for the authenticator, nobody asks.
    fn check(&self, key: &NewKey, algorithm: i64, message: &[u8]) -> Result<(), Fault> {
        match self.format.as_str() {
            "none" if self.statement.is_empty() => Ok(()),
            "packed" if self.statement.len() == 2 => {
                let member = |name: &str| {
                    let mut all = self.statement.iter();
                    all.find(|(found, _)| found.as_text() == Some(name)).map(|(_, value)| value)
                };
                let by = member("alg").and_then(Cbor::as_integer).map(i128::from);
                let signature = member("sig").and_then(Cbor::as_bytes);
                let (Some(by), Some(signature)) = (by, signature) else {
                    return Err(Fault::AttestationFormat);
                };
                let holds = by == i128::from(algorithm);
                let holds = holds && key.verify(key.scheme, message, signature);
                holds.then_some(()).ok_or(Fault::AttestationSignature)
            }
            _ => Err(Fault::AttestationFormat),
        }
    }
}

/// The public key of a COSE key (RFC 9053 section 7, RFC 8230 section 4), and its algorithm.
fn public_key(item: Cbor) -> Result<(NewKey, i64), Fault> {
    let key = CoseKey::from_cbor_value(item).map_err(|_| Fault::PublicKey)?;
    let Some(RegisteredLabelWithPrivate::Assigned(algorithm)) = key.alg else {
        return Err(Fault::Algorithm);
    };
    let algorithm = algorithm.to_i64();
    let (spki_der, scheme) = match algorithm {
        -7 => (ec2_spki(&key), SignatureScheme::EcdsaSha256),
        -8 => (okp_spki(&key), SignatureScheme::Ed25519),
        -257 => (rsa_spki(&key), SignatureScheme::RsaPkcs1Sha256),
        _ => return Err(Fault::Algorithm),
    };
    let key = spki_der.and_then(|spki_der| NewKey::of_spki(&spki_der));
    let key = key.filter(|key| key.scheme == scheme).ok_or(Fault::PublicKey)?;
    Ok((key, algorithm))
}

/// Labels of the parameters of keys.
const CURVE: i64 = -1;
const X: i64 = -2;
const Y: i64 = -3;
const MODULUS: i64 = -1;
const EXPONENT: i64 = -2;

/// The parameter of that label.
fn parameter(key: &CoseKey, label: i64) -> Option<&Cbor> {
    let mut all = key.params.iter();
    all.find(|(found, _)| *found == Label::Int(label)).map(|(_, value)| value)
}

/// Whether the key is of that type, on that curve, with no parameter but these.
fn is_of(key: &CoseKey, kind: iana::KeyType, curve: Option<i64>, count: usize) -> bool {
    let found = parameter(key, CURVE).and_then(Cbor::as_integer).map(i128::from);
    let is_curve = curve.is_none_or(|curve| found == Some(i128::from(curve)));
    key.kty == coset::KeyType::Assigned(kind) && is_curve && key.params.len() == count
}

fn coordinate(key: &CoseKey, label: i64) -> Option<&Vec<u8>> {
    const BYTES: usize = 32;
    parameter(key, label)?.as_bytes().filter(|bytes| bytes.len() == BYTES)
}

/// P-256 (RFC 5480 section 2): the point is not compressed.
fn ec2_spki(key: &CoseKey) -> Option<Vec<u8>> {
    const P256: i64 = 1;
    const HEAD: [u8; 27] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
        0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ];
    let is_one = is_of(key, iana::KeyType::EC2, Some(P256), 3);
    let (x, y) = (coordinate(key, X)?, coordinate(key, Y)?);
    is_one.then(|| [HEAD.as_slice(), x, y].concat())
}

/// Ed25519 (RFC 8410 section 4).
fn okp_spki(key: &CoseKey) -> Option<Vec<u8>> {
    const ED25519: i64 = 6;
    const HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let is_one = is_of(key, iana::KeyType::OKP, Some(ED25519), 2);
    let x = coordinate(key, X)?;
    is_one.then(|| [HEAD.as_slice(), x].concat())
}

/// RSA: modulus and exponent, big-endian and without leading zeros.
fn rsa_spki(key: &CoseKey) -> Option<Vec<u8>> {
    let number = |label: i64| {
        let bytes = parameter(key, label)?.as_bytes()?;
        let first = bytes.first().filter(|first| **first != 0)?;
        // An INTEGER of DER has a sign.
        let sign: &[u8] = if first & 0x80 == 0 { &[] } else { &[0] };
        Some(der_value(0x02, &[sign, bytes].concat()))
    };
    let numbers = [number(MODULUS)?, number(EXPONENT)?].concat();
    is_of(key, iana::KeyType::RSA, None, 2).then(|| spki_of_rsa(&der_value(0x30, &numbers)))
}
