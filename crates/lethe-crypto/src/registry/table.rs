//! The list itself: an entry an algorithm.
//!
//! Storage keeps the codes: never change or reuse one. Codes 15 to 99 are for symmetric and
//! post-quantum algorithms, those from 100 on for classical key pairs: take the next free one.

use super::{ObjectType, SignatureScheme, Use, Uses};
use crate::algorithms::{
    Family, additive, aead, aes, block_mode, convergent, ecdsa, ed448, ed25519, ed25519_expanded,
    extended, hmac, hmac_sha3, key_wrap, ml_dsa, ml_kem, rsa, secp256k1, x_wing, x448, x25519,
    xchacha,
};

/// What is known about one algorithm. The meaning of each field is told by the method of
/// [`super::Algorithm`] of that name.
pub(crate) struct Entry {
    pub(super) code: u16,
    pub(super) name: &'static str,
    pub(super) object_type: ObjectType,
    pub(super) uses: Uses,
    pub(super) strength_bits: u16,
    pub(super) material_bytes_min: usize,
    pub(super) material_bytes_max: usize,
    pub(super) is_slow_to_generate: bool,
    /// The default first.
    pub(super) schemes: &'static [SignatureScheme],
    pub(super) family: &'static dyn Family,
}

/// Least bytes of an HMAC key: the 112 bits of SP 800-131A section 10.
const HMAC_MATERIAL_BYTES_MIN: usize = 14;
/// Most bytes of an HMAC key. Two blocks of SHA-512: what is longer is hashed first and gains
/// nothing.
const HMAC_MATERIAL_BYTES_MAX: usize = 256;

pub(super) static ENTRIES: &[Entry] = &[
    symmetric(1, "aes128-gcm", 128, &aead::AES_128_GCM, CIPHER, 16, 16),
    symmetric(2, "aes256-gcm", 256, &aead::AES_256_GCM, CIPHER, 32, 32),
    symmetric(3, "chacha20-poly1305", 256, &aead::CHACHA20_POLY1305, CIPHER, 32, 32),
    mac(4, "hmac-sha256", 256, &hmac::HMAC_SHA256),
    mac(5, "hmac-sha384", 384, &hmac::HMAC_SHA384),
    mac(6, "hmac-sha512", 512, &hmac::HMAC_SHA512),
    signer(7, "ed25519", 128, &ed25519::Ed25519, 32, ED25519_ALL),
    elliptic(8, "ecdsa-p256", 128, &ecdsa::P256, P256_MATERIAL_BYTES, ECDSA_SHA256_FIRST),
    elliptic(9, "ecdsa-p384", 192, &ecdsa::P384, P384_MATERIAL_BYTES, ECDSA_SHA384_FIRST),
    elliptic(10, "ecdsa-p521", 256, &ecdsa::P521, P521_MATERIAL_BYTES, ECDSA_SHA512_FIRST),
    rsa_signer(11, "rsa-2048", 112, &rsa::RSA_2048, 1_150, 1_250, RSA_SHA256_FIRST),
    rsa_signer(12, "rsa-3072", 128, &rsa::RSA_3072, 1_700, 1_850, RSA_SHA256_FIRST),
    rsa_signer(13, "rsa-4096", 152, &rsa::RSA_4096, 2_250, 2_450, RSA_SHA512_FIRST),
    agreer(14, "x25519", 128, &x25519::X25519, 32),
    cipher(15, "aes192-gcm", 192, &aead::AES_192_GCM, 24),
    cipher(16, "aes128-gcm-siv", 128, &aead::AES_128_GCM_SIV, 16),
    cipher(17, "aes256-gcm-siv", 256, &aead::AES_256_GCM_SIV, 32),
    cipher(18, "xchacha20-poly1305", 256, &xchacha::XChaCha20Poly1305, 32),
    cipher(19, "aes256-gcm-convergent", 256, &convergent::ConvergentAes256Gcm, 32),
    // The ciphers from here to 31 do not authenticate.
    cipher(20, "aes128-cbc", 128, &block_mode::AES_128_CBC, 16),
    cipher(21, "aes192-cbc", 192, &block_mode::AES_192_CBC, 24),
    cipher(22, "aes256-cbc", 256, &block_mode::AES_256_CBC, 32),
    cipher(23, "aes128-ctr", 128, &block_mode::AES_128_CTR, 16),
    cipher(24, "aes192-ctr", 192, &block_mode::AES_192_CTR, 24),
    cipher(25, "aes256-ctr", 256, &block_mode::AES_256_CTR, 32),
    cipher(26, "aes128-ecb", 128, &block_mode::AES_128_ECB, 16),
    cipher(27, "aes192-ecb", 192, &block_mode::AES_192_ECB, 24),
    cipher(28, "aes256-ecb", 256, &block_mode::AES_256_ECB, 32),
    cipher(29, "aes128-ofb", 128, &block_mode::AES_128_OFB, 16),
    cipher(30, "aes192-ofb", 192, &block_mode::AES_192_OFB, 24),
    cipher(31, "aes256-ofb", 256, &block_mode::AES_256_OFB, 32),
    key_wrap(32, "aes128-kw", 128, &key_wrap::AES_128_KW, 16),
    key_wrap(33, "aes192-kw", 192, &key_wrap::AES_192_KW, 24),
    key_wrap(34, "aes256-kw", 256, &key_wrap::AES_256_KW, 32),
    key_wrap(35, "aes128-kwp", 128, &key_wrap::AES_128_KWP, 16),
    key_wrap(36, "aes192-kwp", 192, &key_wrap::AES_192_KWP, 24),
    key_wrap(37, "aes256-kwp", 256, &key_wrap::AES_256_KWP, 32),
    mac(38, "hmac-sha224", 224, &hmac::HMAC_SHA224),
    mac(39, "hmac-sha3-224", 224, &hmac_sha3::HMAC_SHA3_224),
    mac(40, "hmac-sha3-256", 256, &hmac_sha3::HMAC_SHA3_256),
    mac(41, "hmac-sha3-384", 384, &hmac_sha3::HMAC_SHA3_384),
    mac(42, "hmac-sha3-512", 512, &hmac_sha3::HMAC_SHA3_512),
    kem(43, "ml-kem-512", 128, &ml_kem::ML_KEM_512, 64, 1_632),
    kem(44, "ml-kem-768", 192, &ml_kem::ML_KEM_768, 64, 2_400),
    kem(45, "ml-kem-1024", 256, &ml_kem::ML_KEM_1024, 64, 3_168),
    kem(46, "x25519-ml-kem-768", 128, &x_wing::XWing, 32, 32),
    lattice_signer(47, "ml-dsa-44", 128, &ml_dsa::ML_DSA_44, 2_560, &[SignatureScheme::MlDsa44]),
    lattice_signer(48, "ml-dsa-65", 192, &ml_dsa::ML_DSA_65, 4_032, &[SignatureScheme::MlDsa65]),
    lattice_signer(49, "ml-dsa-87", 256, &ml_dsa::ML_DSA_87, 4_896, &[SignatureScheme::MlDsa87]),
    aes_of_modes(50, "aes128", 128, &aes::AES_128, 16),
    aes_of_modes(51, "aes192", 192, &aes::AES_192, 24),
    aes_of_modes(52, "aes256", 256, &aes::AES_256, 32),
    elliptic(100, "secp256k1", 128, &secp256k1::Secp256k1, 32, SECP256K1_ALL),
    signer(101, "ecdsa-secp256k1", 128, &secp256k1::Secp256k1, 32, SECP256K1_ECDSA),
    signer(102, "bip340-secp256k1", 128, &secp256k1::Secp256k1, 32, SECP256K1_SCHNORR),
    agreer(103, "ecdh-secp256k1", 128, &secp256k1::Secp256k1, 32),
    agreer(104, "ecdh-p256", 128, &ecdsa::P256, P256_MATERIAL_BYTES),
    agreer(105, "ecdh-p384", 192, &ecdsa::P384, P384_MATERIAL_BYTES),
    agreer(106, "ecdh-p521", 256, &ecdsa::P521, P521_MATERIAL_BYTES),
    // Not audited, as `x448` and `stark`: docs/decisions/010.
    signer(
        107,
        "ed448",
        224,
        &ed448::Ed448,
        57,
        &[SignatureScheme::Ed448, SignatureScheme::Ed448ph],
    ),
    agreer(108, "x448", 224, &x448::X448, 56),
    #[cfg(feature = "stark")]
    signer(109, "stark", 125, &crate::algorithms::stark::Stark, 32, &[SignatureScheme::Stark]),
    deriver(110, "bip32-secp256k1", &extended::BIP32_SECP256K1, SECP256K1_ALL),
    deriver(111, "slip10-ed25519", &extended::SLIP10_ED25519, &[SignatureScheme::Ed25519]),
    deriver(112, "slip10-p256", &extended::SLIP10_P256, ECDSA_SHA256_FIRST),
    signer(113, "ed25519-expanded", 128, &ed25519_expanded::Ed25519Expanded, 64, ED25519_ALL),
    deriver(114, "hd-ed25519", &additive::ED25519, ED25519_ALL),
    #[cfg(feature = "stark")]
    deriver(115, "hd-stark", &additive::STARK, &[SignatureScheme::Stark]),
];

/// Names that Lethe knows and this build does not have. They answer
/// [`super::AlgorithmError::AlgorithmNotAvailable`] until an entry takes their place.
pub const PLANNED: &[&str] = &[
    #[cfg(not(feature = "stark"))]
    "stark",
    #[cfg(not(feature = "stark"))]
    "hd-stark",
    "slh-dsa-sha2-128s",
    "slh-dsa-sha2-192s",
    "slh-dsa-sha2-256s",
];

const CIPHER: Uses = Uses::of(&[Use::Encrypt, Use::Decrypt]);
const SIGNER: Uses = Uses::of(&[Use::Sign, Use::Verify]);

/// Bytes of PKCS#8 as the library writes it.
const P256_MATERIAL_BYTES: usize = 138;
const P384_MATERIAL_BYTES: usize = 185;
const P521_MATERIAL_BYTES: usize = 241;

const ECDSA_SHA256_FIRST: &[SignatureScheme] = &[
    SignatureScheme::EcdsaSha256,
    SignatureScheme::EcdsaSha256P1363,
    SignatureScheme::EcdsaSha384,
    SignatureScheme::EcdsaSha384P1363,
    SignatureScheme::EcdsaSha512,
    SignatureScheme::EcdsaSha512P1363,
];

const ECDSA_SHA384_FIRST: &[SignatureScheme] = &[
    SignatureScheme::EcdsaSha384,
    SignatureScheme::EcdsaSha384P1363,
    SignatureScheme::EcdsaSha256,
    SignatureScheme::EcdsaSha256P1363,
    SignatureScheme::EcdsaSha512,
    SignatureScheme::EcdsaSha512P1363,
];

const ECDSA_SHA512_FIRST: &[SignatureScheme] = &[
    SignatureScheme::EcdsaSha512,
    SignatureScheme::EcdsaSha512P1363,
    SignatureScheme::EcdsaSha256,
    SignatureScheme::EcdsaSha256P1363,
    SignatureScheme::EcdsaSha384,
    SignatureScheme::EcdsaSha384P1363,
];

const ED25519_ALL: &[SignatureScheme] =
    &[SignatureScheme::Ed25519, SignatureScheme::Ed25519ctx, SignatureScheme::Ed25519ph];

const SECP256K1_ALL: &[SignatureScheme] = &[
    SignatureScheme::EcdsaSha256,
    SignatureScheme::EcdsaSha256P1363,
    SignatureScheme::EcdsaSha384,
    SignatureScheme::EcdsaSha384P1363,
    SignatureScheme::EcdsaSha512,
    SignatureScheme::EcdsaSha512P1363,
    SignatureScheme::EcdsaKeccak256,
    SignatureScheme::EcdsaKeccak256P1363,
    SignatureScheme::Bip340,
    SignatureScheme::Bip340Taproot,
];

const SECP256K1_ECDSA: &[SignatureScheme] = &[
    SignatureScheme::EcdsaSha256,
    SignatureScheme::EcdsaSha256P1363,
    SignatureScheme::EcdsaKeccak256,
    SignatureScheme::EcdsaKeccak256P1363,
];

const SECP256K1_SCHNORR: &[SignatureScheme] =
    &[SignatureScheme::Bip340, SignatureScheme::Bip340Taproot];

/// SHA-256 resists collisions to 128 bits, as much as a modulus of 3,072 bits.
const RSA_SHA256_FIRST: &[SignatureScheme] = &[
    SignatureScheme::RsaPssSha256,
    SignatureScheme::RsaPssSha384,
    SignatureScheme::RsaPssSha512,
    SignatureScheme::RsaPkcs1Sha256,
    SignatureScheme::RsaPkcs1Sha384,
    SignatureScheme::RsaPkcs1Sha512,
];

/// A modulus of 4,096 bits (152 bits of strength) wants more than SHA-256, or the hash is the
/// weakest part. SHA-512 costs what SHA-384 does and is the more widely accepted.
const RSA_SHA512_FIRST: &[SignatureScheme] = &[
    SignatureScheme::RsaPssSha512,
    SignatureScheme::RsaPssSha256,
    SignatureScheme::RsaPssSha384,
    SignatureScheme::RsaPkcs1Sha512,
    SignatureScheme::RsaPkcs1Sha256,
    SignatureScheme::RsaPkcs1Sha384,
];

const fn symmetric(
    code: u16,
    name: &'static str,
    strength_bits: u16,
    family: &'static dyn Family,
    uses: Uses,
    material_bytes_min: usize,
    material_bytes_max: usize,
) -> Entry {
    Entry {
        code,
        name,
        object_type: ObjectType::SymmetricKey,
        uses,
        strength_bits,
        material_bytes_min,
        material_bytes_max,
        is_slow_to_generate: false,
        schemes: &[],
        family,
    }
}

const fn cipher(
    code: u16,
    name: &'static str,
    strength_bits: u16,
    family: &'static dyn Family,
    key_bytes: usize,
) -> Entry {
    symmetric(code, name, strength_bits, family, CIPHER, key_bytes, key_bytes)
}

/// Whose requests name the mode.
const fn aes_of_modes(
    code: u16,
    name: &'static str,
    strength_bits: u16,
    family: &'static dyn Family,
    key_bytes: usize,
) -> Entry {
    let uses = Uses::of(&[Use::Encrypt, Use::Decrypt, Use::WrapKey, Use::UnwrapKey]);
    symmetric(code, name, strength_bits, family, uses, key_bytes, key_bytes)
}

const fn key_wrap(
    code: u16,
    name: &'static str,
    strength_bits: u16,
    family: &'static dyn Family,
    key_bytes: usize,
) -> Entry {
    let uses = Uses::of(&[Use::WrapKey, Use::UnwrapKey]);
    symmetric(code, name, strength_bits, family, uses, key_bytes, key_bytes)
}

/// Material is a seed or an expanded key, nothing between: the family looks closer.
const fn kem(
    code: u16,
    name: &'static str,
    strength_bits: u16,
    family: &'static dyn Family,
    seed_bytes: usize,
    expanded_bytes: usize,
) -> Entry {
    let uses = Uses::of(&[Use::Encapsulate, Use::Decapsulate]);
    let entry = symmetric(code, name, strength_bits, family, uses, seed_bytes, expanded_bytes);
    Entry { object_type: ObjectType::KeyPair, ..entry }
}

/// As for [`kem`].
const fn lattice_signer(
    code: u16,
    name: &'static str,
    strength_bits: u16,
    family: &'static dyn Family,
    expanded_bytes: usize,
    schemes: &'static [SignatureScheme],
) -> Entry {
    let entry = signer(code, name, strength_bits, family, expanded_bytes, schemes);
    Entry { material_bytes_min: 32, ..entry }
}

const fn mac(
    code: u16,
    name: &'static str,
    strength_bits: u16,
    family: &'static dyn Family,
) -> Entry {
    let uses = Uses::of(&[Use::Mac, Use::MacVerify, Use::DeriveKey]);
    let (min, max) = (HMAC_MATERIAL_BYTES_MIN, HMAC_MATERIAL_BYTES_MAX);
    symmetric(code, name, strength_bits, family, uses, min, max)
}

const fn signer(
    code: u16,
    name: &'static str,
    strength_bits: u16,
    family: &'static dyn Family,
    material_bytes: usize,
    schemes: &'static [SignatureScheme],
) -> Entry {
    Entry {
        code,
        name,
        object_type: ObjectType::KeyPair,
        uses: SIGNER,
        strength_bits,
        material_bytes_min: material_bytes,
        material_bytes_max: material_bytes,
        is_slow_to_generate: false,
        schemes,
        family,
    }
}

/// A key that signs, and agrees on secrets as well: one pair for both is what some callers need.
/// The layer above can leave a key one of its uses.
const fn elliptic(
    code: u16,
    name: &'static str,
    strength_bits: u16,
    family: &'static dyn Family,
    material_bytes: usize,
    schemes: &'static [SignatureScheme],
) -> Entry {
    let entry = signer(code, name, strength_bits, family, material_bytes, schemes);
    Entry { uses: Uses::of(&[Use::Sign, Use::Verify, Use::Agree]), ..entry }
}

const fn agreer(
    code: u16,
    name: &'static str,
    strength_bits: u16,
    family: &'static dyn Family,
    material_bytes: usize,
) -> Entry {
    let entry = signer(code, name, strength_bits, family, material_bytes, &[]);
    Entry { uses: Uses::of(&[Use::Agree]), ..entry }
}

/// A key with a chain code, both of 32 bytes.
const fn deriver(
    code: u16,
    name: &'static str,
    family: &'static dyn Family,
    schemes: &'static [SignatureScheme],
) -> Entry {
    let entry = signer(code, name, 128, family, 64, schemes);
    Entry { uses: Uses::of(&[Use::Sign, Use::Verify, Use::DeriveKey]), ..entry }
}

/// Bounds of the material are loose: the integers in its DER lose a byte or two when they are
/// small.
const fn rsa_signer(
    code: u16,
    name: &'static str,
    strength_bits: u16,
    family: &'static dyn Family,
    material_bytes_min: usize,
    material_bytes_max: usize,
    schemes: &'static [SignatureScheme],
) -> Entry {
    let entry = signer(code, name, strength_bits, family, material_bytes_max, schemes);
    let uses = Uses::of(&[Use::Sign, Use::Verify, Use::Encrypt, Use::Decrypt]);
    Entry { uses, material_bytes_min, is_slow_to_generate: true, ..entry }
}
