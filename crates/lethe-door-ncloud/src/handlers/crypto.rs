//! Uses of a key: encrypt, decrypt, encrypt anew, keys for data, sign, verify; and its public key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_crypto::registry::{DecryptParams, OaepHash, PssSalt, SignRequest, SignatureScheme};
use lethe_engine::record::VersionState;
use lethe_engine::{
    DecryptForm, DecryptRequest, EncryptForm, EncryptRequest, EngineError, RawEncrypt, VersionFault,
};
use lethe_http::Reply;
use lethe_types::{Permission, SecretVec};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::body::{self, OneOrMany, Text};
use crate::error::{Refusal, UNDECRYPTABLE};
use crate::format;
use crate::kept::{self, KeyType, Status};
use crate::render::{self, Texts};
use crate::route::Ask;
use crate::visit::{Visit, Who, visit};

/// Longest plaintext under AES, in bytes.
const PLAINTEXT_BYTES_MAX: usize = 32_768;
/// Longest plaintext under RSA, in bytes: a modulus of 256 less two hashes of 32 and 2.
const RSA_PLAINTEXT_BYTES_MAX: usize = 190;
/// Longest text that is signed, in bytes.
const SIGNED_BYTES_MAX: usize = 8_192;
const CONTEXT_BYTES_MAX: usize = 50;
/// Nonce and tag.
const AES_PAYLOAD_BYTES_MIN: usize = 28;
/// What a ciphertext has more than its plaintext, generously.
const PAYLOAD_OVERHEAD_BYTES: usize = 256;

#[derive(Deserialize)]
struct Encrypt<'a> {
    #[serde(borrow)]
    plaintext: OneOrMany<'a>,
    #[serde(borrow)]
    context: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Decrypt<'a> {
    #[serde(borrow)]
    ciphertext: OneOrMany<'a>,
    #[serde(borrow)]
    context: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct CustomKey<'a> {
    request_plain_key: Option<bool>,
    bits: Option<u32>,
    #[serde(borrow)]
    context: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Sign<'a> {
    #[serde(borrow)]
    data: Text<'a>,
}

#[derive(Deserialize)]
struct Verify<'a> {
    #[serde(borrow)]
    data: Text<'a>,
    #[serde(borrow)]
    signature: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct PublicKey {
    key_version: Option<u32>,
}

/// How a key of this service encrypts.
struct Cipher {
    key_type: KeyType,
    /// Empty unless the key is convergent.
    context: SecretVec,
}

impl Cipher {
    /// # Errors
    /// [`Refusal::BadInput`] for a key that does not encrypt, and for a convergent one without a
    /// context. For another one the context says nothing: some clients always send one.
    fn of(visit: &Visit, context: Option<&Text<'_>>) -> Result<Self, Refusal> {
        let key_type = visit.key_type()?;
        if !key_type.encrypts() {
            return Err(WRONG_TYPE);
        }
        let context = match context.filter(|_| key_type.is_convergent()) {
            Some(text) => text.decode(CONTEXT_BYTES_MAX)?,
            None => SecretVec::from_vec(Vec::new()),
        };
        if key_type.is_convergent() && context.is_empty() {
            return Err(Refusal::BadInput("a convergent key needs a context"));
        }
        Ok(Self { key_type, context })
    }

    fn encrypting(&self) -> EncryptRequest<'_> {
        let form = match self.key_type {
            KeyType::Rsa => EncryptForm::Oaep { hash: OaepHash::Sha256, label: b"" },
            KeyType::Aes { .. } | KeyType::Ecdsa => {
                EncryptForm::Raw(RawEncrypt { aad: self.context.expose(), ..RawEncrypt::default() })
            }
        };
        EncryptRequest { version: None, form }
    }

    fn decrypting(&self, version: u32) -> DecryptRequest<'_> {
        let form = match self.key_type {
            KeyType::Rsa => DecryptForm::Oaep { hash: OaepHash::Sha256, label: b"" },
            KeyType::Aes { .. } | KeyType::Ecdsa => {
                let aad = self.context.expose();
                DecryptForm::Raw(DecryptParams { aad, ..DecryptParams::default() })
            }
        };
        DecryptRequest { version: Some(version), form }
    }

    fn plaintext(&self, text: &Text<'_>) -> Result<SecretVec, Refusal> {
        text.decode(match self.key_type {
            KeyType::Rsa => RSA_PLAINTEXT_BYTES_MAX,
            KeyType::Aes { .. } | KeyType::Ecdsa => PLAINTEXT_BYTES_MAX,
        })
    }

    /// The version and the payload of a ciphertext that this key may have made.
    fn payload(&self, visit: &Visit, text: &Text<'_>) -> Result<(u32, Vec<u8>), Refusal> {
        let (version, payload) = format::parse(text.as_str()).ok_or(UNDECRYPTABLE)?;
        let is_long_enough = match self.key_type {
            KeyType::Rsa => true,
            KeyType::Aes { .. } | KeyType::Ecdsa => payload.len() >= AES_PAYLOAD_BYTES_MIN,
        };
        let longest = PLAINTEXT_BYTES_MAX + PAYLOAD_OVERHEAD_BYTES;
        let is_sized = is_long_enough && payload.len() <= longest;
        if is_sized && version <= kept::newest_version(visit.entry.record()) {
            Ok((version, payload))
        } else {
            Err(UNDECRYPTABLE)
        }
    }
}

const WRONG_TYPE: Refusal = Refusal::BadInput("key type does not support this operation");

/// One and the same refusal for everything that a ciphertext can have wrong.
fn of_decryption(error: EngineError) -> Refusal {
    let is_of_ciphertext = matches!(
        error,
        EngineError::CryptographicFailure
            | EngineError::InvalidField { .. }
            | EngineError::ItemNotFound("version")
    );
    if is_of_ciphertext { UNDECRYPTABLE } else { error.into() }
}

/// `work` on each text; all or nothing.
fn each(
    texts: &OneOrMany<'_>,
    mut work: impl FnMut(&Text<'_>) -> Result<Zeroizing<String>, Refusal>,
) -> Result<Texts, Refusal> {
    Ok(match texts {
        OneOrMany::Many(many) => Texts::Many(many.iter().map(work).collect::<Result<_, _>>()?),
        OneOrMany::One(text) => Texts::One(work(text)?),
    })
}

pub(crate) fn encrypt(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::AccountOrToken)?.by_cost(|visit| {
        let wanted: Encrypt<'_> = body::object(&visit.request)?;
        let cipher = Cipher::of(visit, wanted.context.as_ref())?;
        let request = cipher.encrypting();
        let mut payload = Vec::new();
        let ciphertext = each(&wanted.plaintext, |text| {
            let plaintext = cipher.plaintext(text)?;
            payload.clear();
            let (engine, key) = (&visit.state.engine, visit.key());
            let plaintext = plaintext.expose();
            let made =
                engine.encrypt_with(&visit.caller, key, &request, plaintext, &mut payload)?;
            Ok(format::text(made.version, &payload))
        })?;
        Ok(render::texts(visit.head(), &[("ciphertext", ciphertext)]))
    })
}

pub(crate) fn decrypt(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::AccountOrToken)?.by_cost(|visit| {
        let wanted: Decrypt<'_> = body::object(&visit.request)?;
        let cipher = Cipher::of(visit, wanted.context.as_ref())?;
        let plaintext = each(&wanted.ciphertext, |text| {
            let (version, payload) = cipher.payload(visit, text)?;
            let (engine, key) = (&visit.state.engine, visit.key());
            let request = cipher.decrypting(version);
            let opened = engine.decrypt_with(&visit.caller, key, &request, &payload);
            let opened = opened.map_err(of_decryption)?;
            Ok(Zeroizing::new(STANDARD.encode(opened.expose())))
        })?;
        Ok(render::texts(visit.head(), &[("plaintext", plaintext)]))
    })
}

pub(crate) fn re_encrypt(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::AccountOrToken)?.by_cost(|visit| {
        let wanted: Decrypt<'_> = body::object(&visit.request)?;
        let cipher = Cipher::of(visit, wanted.context.as_ref())?;
        let to = cipher.encrypting();
        let mut made = Vec::new();
        let ciphertext = each(&wanted.ciphertext, |text| {
            let (version, payload) = cipher.payload(visit, text)?;
            made.clear();
            let (engine, key) = (&visit.state.engine, visit.key());
            let from = cipher.decrypting(version);
            let ours = &visit.caller;
            let done = engine.re_encrypt(ours, (key, &from), &payload, (key, &to), &mut made);
            Ok(format::text(done.map_err(of_decryption)?.version, &made))
        })?;
        Ok(render::texts(visit.head(), &[("ciphertext", ciphertext)]))
    })
}

pub(crate) fn custom_key(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::AccountOrToken)?.by_cost(|visit| {
        let wanted: CustomKey<'_> = body::optional(&visit.request)?;
        let bytes = match wanted.bits {
            Some(128) => 16,
            None | Some(256) => 32,
            Some(512) => 64,
            Some(_) => return Err(Refusal::BadInput("bits is 128, 256 or 512")),
        };
        let cipher = Cipher::of(visit, wanted.context.as_ref())?;
        let (engine, key, mut payload) = (&visit.state.engine, visit.key(), Vec::new());
        let (made, plain) =
            engine.data_key(&visit.caller, key, &cipher.encrypting(), bytes, &mut payload)?;
        let ciphertext = Texts::One(format::text(made.version, &payload));
        let mut members = vec![("ciphertext", ciphertext)];
        if wanted.request_plain_key == Some(true) {
            let plaintext = Zeroizing::new(STANDARD.encode(plain.expose()));
            members.push(("plaintext", Texts::One(plaintext)));
        }
        Ok(render::texts(visit.head(), &members))
    })
}

/// How a key of this type signs: RSASSA-PSS with a salt of 32 bytes, and ECDSA in DER; SHA-256 in
/// both.
fn scheme(visit: &Visit) -> Result<SignatureScheme, Refusal> {
    match visit.key_type()? {
        KeyType::Aes { .. } => Err(WRONG_TYPE),
        KeyType::Ecdsa => Ok(SignatureScheme::EcdsaSha256),
        KeyType::Rsa => Ok(SignatureScheme::RsaPssSha256),
    }
}

pub(crate) fn sign(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::AccountOrToken)?.by_cost(|visit| {
        let wanted: Sign<'_> = body::object(&visit.request)?;
        let scheme = scheme(visit)?;
        let data = wanted.data.decode(SIGNED_BYTES_MAX)?;
        let request = SignRequest::message(data.expose()).by(scheme);
        let engine = &visit.state.engine;
        let (version, signature) = engine.sign_with(&visit.caller, visit.key(), None, &request)?;
        let signature = Texts::One(format::text(version, &signature.bytes));
        Ok(render::texts(visit.head(), &[("signature", signature)]))
    })
}

pub(crate) fn verify(ask: Ask) -> Result<Reply, Refusal> {
    #[derive(Serialize)]
    struct Told {
        valid: bool,
    }
    visit(ask, Who::AccountOrToken)?.by_cost(|visit| {
        let wanted: Verify<'_> = body::object(&visit.request)?;
        let scheme = scheme(visit)?;
        let data = wanted.data.decode(SIGNED_BYTES_MAX)?;
        let malformed = Refusal::BadInput("signature is malformed");
        let parsed = format::parse(wanted.signature.as_str());
        let ours =
            parsed.filter(|(version, _)| *version <= kept::newest_version(visit.entry.record()));
        let (version, signature) = ours.ok_or(malformed)?;
        let mut request = SignRequest::message(data.expose()).by(scheme);
        if scheme == SignatureScheme::RsaPssSha256 {
            request = request.with_pss_salt(PssSalt::Any);
        }
        let (engine, key) = (&visit.state.engine, visit.key());
        let valid = engine.verify_with(&visit.caller, key, Some(version), &request, &signature)?;
        Ok(visit.data(&Told { valid }))
    })
}

pub(crate) fn public_key(ask: Ask) -> Result<Reply, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Told {
        public_key: String,
    }
    visit(ask, Who::AccountOrToken)?
        .ready(|visit| public_key_now(visit).map(|public_key| visit.data(&Told { public_key })))
}

fn public_key_now(visit: &Visit) -> Result<String, Refusal> {
    let wanted: PublicKey = body::optional(&visit.request)?;
    let newest = kept::newest_version(visit.entry.record());
    let versions = 1..=visit.state.settings.key_versions_max.max(newest);
    if wanted.key_version.is_some_and(|version| !versions.contains(&version)) {
        return Err(Refusal::BadInput("keyVersion is out of range"));
    }
    if !visit.key_type()?.signs() {
        return Err(WRONG_TYPE);
    }
    if Status::of(visit.entry.record().state) != Some(Status::Enabled) {
        return Err(visit.wrong_state(Permission::KeysRead, "key.public_key"));
    }
    let (engine, key) = (&visit.state.engine, visit.key());
    check_version(visit, wanted.key_version)?;
    let found = engine.public_key(&visit.caller, key, wanted.key_version);
    let (_, public) = found?;
    Ok(public.to_pem())
}

/// A version that is disabled cannot be read.
fn check_version(visit: &Visit, number: Option<u32>) -> Result<(), Refusal> {
    let record = visit.entry.record();
    let number = number.unwrap_or_else(|| kept::newest_version(record));
    let found = record.versions.iter().find(|version| version.number == number);
    let is_disabled = found.is_some_and(|version| version.state == VersionState::Suspended);
    if !is_disabled || !visit.caller.may_on(Permission::KeysRead, &visit.entry) {
        return Ok(());
    }
    let why = VersionFault::Suspended;
    let error = EngineError::VersionRefused { version: number, why };
    Err(visit.refused("key.public_key", error))
}
