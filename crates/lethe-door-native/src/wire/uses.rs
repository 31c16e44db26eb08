//! The bodies of the uses of keys.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Base64Text, Map, Object};

// ---------------------------------------------------------------- requests

/// What is to be encrypted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Encrypt<'a> {
    /// In base64; at most 1,048,576 bytes.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte, example = "SGVsbG8=")]
    pub plaintext: Base64Text<'a>,
    /// Associated data in base64, which decrypting needs again; at most 65,536 bytes.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub aad: Option<Base64Text<'a>>,
    /// Names and values to which the ciphertext is bound, and which decrypting needs again; the
    /// order means nothing. At most 64, and 8,192 bytes.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub context: Option<Map<String>>,
    /// With this version of the key; without it with the current one.
    pub version: Option<u32>,
}

/// What is to be decrypted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decrypt<'a> {
    /// In base64, as `encrypt` gave it.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub ciphertext: Base64Text<'a>,
    /// The associated data of the encryption, in base64.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub aad: Option<Base64Text<'a>>,
    /// The context of the encryption.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub context: Option<Map<String>>,
}

/// What is to be encrypted without a format of Lethe.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RawEncrypt<'a> {
    /// In base64; at most 1,048,576 bytes.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub plaintext: Base64Text<'a>,
    /// The nonce (initialisation vector), in base64. Needs `keys.use.decrypt` as well: who chooses
    /// nonces can decrypt. Without it, it is drawn.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub nonce: Option<Base64Text<'a>>,
    /// Draw a nonce of so many bytes; without it of the cipher's usual length.
    pub nonce_bytes: Option<usize>,
    /// Derive the nonce from key, plaintext, `aad` and these bytes, so that the same gives the same
    /// again. For AES-GCM-SIV. In base64, may be empty.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub nonce_context: Option<Base64Text<'a>>,
    /// Associated data in base64; the context of convergent encryption.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub aad: Option<Base64Text<'a>>,
    /// `pkcs7` or `none`, for AES-CBC and ECB; without it `pkcs7` for CBC, `none` for ECB.
    #[schema(value_type = Option<String>, example = "pkcs7")]
    pub padding: Option<Cow<'a, str>>,
    /// RSAES-OAEP with this hash (`sha1`, `sha256`, `sha384`, `sha512`); `aad` is the label.
    #[schema(value_type = Option<String>, example = "sha256")]
    pub oaep_hash: Option<Cow<'a, str>>,
    /// With this version of the key; without it with the current one.
    pub version: Option<u32>,
}

/// What is to be decrypted without a format of Lethe.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RawDecrypt<'a> {
    /// In base64.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub ciphertext: Base64Text<'a>,
    /// The nonce in base64; without it the ciphertext begins with it.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub nonce: Option<Base64Text<'a>>,
    /// The tag in base64; without it the ciphertext ends with it.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub tag: Option<Base64Text<'a>>,
    /// Associated data in base64.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub aad: Option<Base64Text<'a>>,
    /// `pkcs7` or `none`, for AES-CBC and ECB; without it `pkcs7` for CBC, `none` for ECB.
    #[schema(value_type = Option<String>, example = "pkcs7")]
    pub padding: Option<Cow<'a, str>>,
    /// RSAES-OAEP with this hash (`sha1`, `sha256`, `sha384`, `sha512`); `aad` is the label.
    #[schema(value_type = Option<String>, example = "sha256")]
    pub oaep_hash: Option<Cow<'a, str>>,
    /// With this version of the key; without it with the current one.
    pub version: Option<u32>,
}

/// What is to be encrypted anew, without showing it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReEncrypt<'a> {
    /// In base64, as `encrypt` gave it.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub ciphertext: Base64Text<'a>,
    /// The associated data of the encryption, in base64.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub aad: Option<Base64Text<'a>>,
    /// The context of the encryption.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub context: Option<Map<String>>,
    /// How to encrypt it; without it, and for what is left out, as it was, with the current version
    /// of the same key.
    #[schema(value_type = Option<ReEncryptTo>)]
    pub to: Option<Object<ReEncryptTo<'a>>>,
}

/// How something is encrypted anew.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReEncryptTo<'a> {
    /// Id of the key.
    #[schema(value_type = Option<String>)]
    pub key: Option<Cow<'a, str>>,
    /// With this version of the key; without it with the current one.
    pub version: Option<u32>,
    /// Associated data in base64; empty for none.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub aad: Option<Base64Text<'a>>,
    /// Names and values; `{}` for none.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub context: Option<Map<String>>,
}

/// What a new key for data is to be.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DataKey<'a> {
    /// Its bytes, 16 to 64; without it 32.
    pub bytes: Option<usize>,
    /// `true`: do not show it, only its ciphertext. Without it `false`.
    pub wrapped_only: Option<bool>,
    /// Associated data in base64, which decrypting needs again.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub aad: Option<Base64Text<'a>>,
    /// Names and values to which the ciphertext is bound, and which decrypting needs again; the
    /// order means nothing. At most 64, and 8,192 bytes.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub context: Option<Map<String>>,
    /// With this version of the key; without it with the current one.
    pub version: Option<u32>,
}

/// What is to be signed: a message or its digest.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sign<'a> {
    /// The message, in base64; at most 1,048,576 bytes. Or:
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub message: Option<Base64Text<'a>>,
    /// Instead of the message its hash, by the hash of the scheme. In base64.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub digest: Option<Base64Text<'a>>,
    /// One of the algorithm's `signature_schemes`; without it the first of them.
    #[schema(value_type = Option<String>, example = "ed25519")]
    pub scheme: Option<Cow<'a, str>>,
    /// What the scheme binds beside the message: the context of `ed25519ctx`, `ed25519ph`,
    /// `ed448` and `ed448ph`, the Merkle root of `bip340-taproot`. In base64.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub context: Option<Base64Text<'a>>,
    /// Bytes of the salt of RSASSA-PSS; without it as many as the hash has.
    pub salt_bytes: Option<u16>,
    /// 32 bytes of auxiliary randomness for BIP-340, in base64; without it zeroes.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub aux_random: Option<Base64Text<'a>>,
    /// With this version of the key; without it with the current one.
    pub version: Option<u32>,
}

/// A signature that is to be checked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify<'a> {
    /// The message, in base64; at most 1,048,576 bytes. Or:
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub message: Option<Base64Text<'a>>,
    /// Instead of the message its hash, by the hash of the scheme. In base64.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub digest: Option<Base64Text<'a>>,
    /// In base64, as `sign` gave it.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub signature: Base64Text<'a>,
    /// One of the algorithm's `signature_schemes`; without it the first of them.
    #[schema(value_type = Option<String>, example = "ed25519")]
    pub scheme: Option<Cow<'a, str>>,
    /// What the scheme binds beside the message: the context of `ed25519ctx`, `ed25519ph`,
    /// `ed448` and `ed448ph`, the Merkle root of `bip340-taproot`. In base64.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub context: Option<Base64Text<'a>>,
    /// Bytes of the salt of RSASSA-PSS; without it as many as the hash has.
    pub salt_bytes: Option<u16>,
    /// `true`: a salt of any length is taken.
    pub any_salt: Option<bool>,
    /// Check with this version of the key only; without it any version may have made it.
    pub version: Option<u32>,
}

/// A signature by a public key that is not here.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForeignVerify<'a> {
    /// The algorithm of the key.
    #[serde(borrow)]
    #[schema(value_type = String, example = "ed25519")]
    pub algorithm: Cow<'a, str>,
    /// The public key in base64, PEM and JWK too.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub public_key: Base64Text<'a>,
    /// Form of `public_key`: `raw`, `spki-der`, `spki-pem` or `jwk`. Without it `raw`.
    #[schema(value_type = Option<String>, example = "raw")]
    pub format: Option<Cow<'a, str>>,
    /// The message, in base64; at most 1,048,576 bytes. Or:
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub message: Option<Base64Text<'a>>,
    /// Instead of the message its hash, by the hash of the scheme. In base64.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub digest: Option<Base64Text<'a>>,
    /// In base64.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub signature: Base64Text<'a>,
    /// One of the algorithm's `signature_schemes`; without it the first of them.
    #[schema(value_type = Option<String>, example = "ed25519")]
    pub scheme: Option<Cow<'a, str>>,
    /// What the scheme binds beside the message: the context of `ed25519ctx`, `ed25519ph`,
    /// `ed448` and `ed448ph`, the Merkle root of `bip340-taproot`. In base64.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub context: Option<Base64Text<'a>>,
    /// Bytes of the salt of RSASSA-PSS; without it as many as the hash has.
    pub salt_bytes: Option<u16>,
    /// `true`: a salt of any length is taken.
    pub any_salt: Option<bool>,
}

/// What a message authentication code is to be computed of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mac<'a> {
    /// In base64; at most 1,048,576 bytes.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub message: Base64Text<'a>,
    /// Cut the code to its first so many bytes, 16 at least; without it, it is whole.
    pub bytes: Option<usize>,
    /// With this version of the key; without it with the current one.
    pub version: Option<u32>,
}

/// A message authentication code that is to be checked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MacVerify<'a> {
    /// The message in base64.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub message: Base64Text<'a>,
    /// In base64, as `mac` gave it.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub mac: Base64Text<'a>,
    /// Bytes that the code was cut to; without it, it must be whole.
    pub bytes: Option<usize>,
    /// Check with this version of the key only; without it any version may have made it.
    pub version: Option<u32>,
}

/// The other side of a key agreement.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Agree<'a> {
    /// Its public key on the same curve, in base64, PEM and JWK too.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub public_key: Base64Text<'a>,
    /// Form of `public_key`: `raw`, `spki-der`, `spki-pem` or `jwk`. Without it `raw`.
    #[schema(value_type = Option<String>, example = "raw")]
    pub format: Option<Cow<'a, str>>,
    /// Answer with this hash of the secret (`sha256`, …).
    #[schema(value_type = Option<String>, example = "sha256")]
    pub hash: Option<Cow<'a, str>>,
    /// Answer with what HKDF makes of the secret.
    #[schema(value_type = Option<Hkdf>)]
    pub hkdf: Option<Object<Hkdf<'a>>>,
    /// With this version of the key; without it with the current one.
    pub version: Option<u32>,
}

/// A derivation by HKDF (RFC 5869).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hkdf<'a> {
    /// `sha256`, `sha384` or `sha512`.
    #[serde(borrow)]
    #[schema(value_type = String, example = "sha256")]
    pub hash: Cow<'a, str>,
    /// Bytes of the result, 1 to 1,024.
    pub bytes: usize,
    /// In base64, at most 1,024 bytes; without it none.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub salt: Option<Base64Text<'a>>,
    /// What binds the result to its use, in base64, at most 1,024 bytes.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub info: Option<Base64Text<'a>>,
}

/// What is hashed to a point, which is multiplied by the key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgreeHashed<'a> {
    /// The tag that keeps uses apart (RFC 9380 section 3.1), in base64; not empty.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub domain: Base64Text<'a>,
    /// In base64; at most 1,048,576 bytes.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub message: Base64Text<'a>,
    /// With this version of the key; without it with the current one.
    pub version: Option<u32>,
}

/// For which version a secret is encapsulated.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Encapsulate {
    /// With this version of the key; without it with the current one.
    pub version: Option<u32>,
}

/// A secret that was encapsulated.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decapsulate<'a> {
    /// In base64, as `encapsulate` gave it.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub ciphertext: Base64Text<'a>,
    /// With this version of the key; without it with the current one.
    pub version: Option<u32>,
}

/// What is to be wrapped.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wrap<'a> {
    /// In base64; at most 65,536 bytes. Multiples of 8, 16 at least, without padding (`-kw`).
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub plaintext: Base64Text<'a>,
    /// With this version of the key; without it with the current one.
    pub version: Option<u32>,
}

/// What is to be unwrapped.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Unwrap<'a> {
    /// In base64, as `wrap` gave it.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub wrapped: Base64Text<'a>,
    /// With this version of the key; without it with any.
    pub version: Option<u32>,
}

/// How many random bytes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Random {
    /// 1 to 65,536.
    pub bytes: usize,
}

/// What is to be hashed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hash<'a> {
    /// `sha224`, `sha256`, `sha384`, `sha512`, `sha3-224` to `sha3-512`, or `sha1`.
    #[serde(borrow)]
    #[schema(value_type = String, example = "sha256")]
    pub algorithm: Cow<'a, str>,
    /// In base64; at most 1,048,576 bytes.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub message: Base64Text<'a>,
}

// ----------------------------------------------------------------- answers

/// A ciphertext.
#[derive(Debug, Serialize, ToSchema)]
pub struct Encrypted {
    /// In base64. Names the version that made it, so that decrypting finds it.
    #[schema(format = Byte)]
    pub ciphertext: String,
    /// The version that made it.
    pub version: u32,
}

/// A plaintext.
#[derive(Debug, Serialize, ToSchema)]
pub struct Decrypted {
    /// In base64.
    #[schema(format = Byte)]
    pub plaintext: String,
}

/// A signature.
#[derive(Debug, Serialize, ToSchema)]
pub struct Signed {
    /// In base64.
    #[schema(format = Byte)]
    pub signature: String,
    /// The version that made it.
    pub version: u32,
    /// Which point was meant (SEC 1 section 4.1.6): for ECDSA on secp256k1 and the Stark curve.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub recovery_id: Option<u8>,
}

/// A message authentication code.
#[derive(Debug, Serialize, ToSchema)]
pub struct Authenticated {
    /// In base64.
    #[schema(format = Byte)]
    pub mac: String,
    /// The version that computed it.
    pub version: u32,
}

/// What a check found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Validity {
    /// Whether the signature or code is this key's over this message.
    pub valid: bool,
}

/// A shared secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct Agreed {
    /// In base64. As it is, derive keys from it; it is not one.
    #[schema(format = Byte)]
    pub shared_secret: String,
}

/// A ciphertext in its parts.
#[derive(Debug, Serialize, ToSchema)]
pub struct RawEncrypted {
    /// In base64, without nonce and tag.
    #[schema(format = Byte)]
    pub ciphertext: String,
    /// The nonce in base64, if the cipher has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub nonce: Option<String>,
    /// The tag in base64, if the cipher authenticates.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tag: Option<String>,
    /// The version that made it.
    pub version: u32,
}

/// A new key for data.
#[derive(Debug, Serialize, ToSchema)]
pub struct DataKeyMade {
    /// In base64, for `decrypt`.
    #[schema(format = Byte)]
    pub ciphertext: String,
    /// The version that made it.
    pub version: u32,
    /// The key itself in base64, unless it was not to be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub plaintext: Option<String>,
}

/// A point.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgreedPoint {
    /// Compressed, 33 bytes, in base64. Secret.
    #[schema(format = Byte)]
    pub point: String,
}

/// A secret and what takes it to the holder of the private key.
#[derive(Debug, Serialize, ToSchema)]
pub struct Encapsulated {
    /// For the holder, in base64.
    #[schema(format = Byte)]
    pub ciphertext: String,
    /// The version that opens it.
    pub version: u32,
    /// 32 bytes in base64.
    #[schema(format = Byte)]
    pub shared_secret: String,
}

/// Wrapped bytes.
#[derive(Debug, Serialize, ToSchema)]
pub struct Wrapped {
    /// In base64.
    #[schema(format = Byte)]
    pub wrapped: String,
    /// The version that made it.
    pub version: u32,
}

/// Random bytes.
#[derive(Debug, Serialize, ToSchema)]
pub struct RandomDrawn {
    /// In base64.
    #[schema(format = Byte)]
    pub random: String,
}

/// A hash.
#[derive(Debug, Serialize, ToSchema)]
pub struct Hashed {
    /// In base64.
    #[schema(format = Byte)]
    pub hash: String,
}

/// The output key of BIP-341.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutputKey {
    /// Its x coordinate, 32 bytes, in base64.
    #[schema(format = Byte)]
    pub output_key: String,
    /// The version that it is of.
    pub version: u32,
}
