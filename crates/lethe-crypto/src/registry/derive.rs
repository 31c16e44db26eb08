//! Keys that come from other keys.

use core::fmt;
use core::str::FromStr;

use lethe_types::SecretVec;

use super::{Algorithm, KeyFormat, Material, ObjectType, Use};
use crate::CryptoError;
use crate::kdf::{KdfHash, hkdf};

/// Most steps of a path. BIP-32 counts them in a byte.
pub const PATH_STEPS_MAX: usize = 255;
/// Most bytes of a path as text: `m` and every step as long as it can be.
const PATH_TEXT_BYTES_MAX: usize = 1 + PATH_STEPS_MAX * 12;
/// Least bytes of the seed of a master key (BIP-32, "Master key generation").
pub const SEED_BYTES_MIN: usize = 16;
/// Most bytes of the seed of a master key.
pub const SEED_BYTES_MAX: usize = 64;
/// Most bytes of the label of a symmetric child.
pub const LABEL_BYTES_MAX: usize = 1_024;
/// Bytes of the longest symmetric child: an HMAC-SHA-512 key.
const SYMMETRIC_BYTES_MAX: usize = 64;

/// Children with this bit in their number are hardened (BIP-32): only who has the private key of
/// the parent can derive them.
const HARDENED: u32 = 1 << 31;

/// The way from a key to one of its descendants.
///
/// Written as in BIP-32: `m`, then a `/` and a number below 2^31 for every step, with `'`, `h` or
/// `H` after the number of a hardened one. Without leading zeros, so that a path has one number a
/// step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DerivationPath(Vec<u32>);

impl DerivationPath {
    /// The path whose steps are `numbers`, with the bit 2^31 set for hardened ones.
    ///
    /// # Errors
    /// [`CryptoError::Invalid`] for more than [`PATH_STEPS_MAX`] steps.
    pub fn new(numbers: &[u32]) -> Result<Self, CryptoError> {
        if numbers.len() <= PATH_STEPS_MAX {
            Ok(Self(numbers.to_vec()))
        } else {
            Err(CryptoError::Invalid("derivation path: too many steps"))
        }
    }

    /// The numbers of the steps, with the bit 2^31 set for hardened ones.
    #[must_use]
    pub fn numbers(&self) -> &[u32] {
        &self.0
    }

    /// Whether the child `number` is hardened.
    pub(crate) const fn is_hardened(number: u32) -> bool {
        number & HARDENED != 0
    }
}

impl FromStr for DerivationPath {
    type Err = CryptoError;

    fn from_str(text: &str) -> Result<Self, CryptoError> {
        let refused = CryptoError::Invalid("derivation path");
        if text.len() > PATH_TEXT_BYTES_MAX {
            return Err(refused);
        }
        let mut steps = text.split('/');
        if steps.next() != Some("m") {
            return Err(refused);
        }
        let numbers = steps.map(|step| number_of(step).ok_or(refused));
        Self::new(&numbers.collect::<Result<Vec<_>, _>>()?)
    }
}

fn number_of(step: &str) -> Option<u32> {
    let plain = step.strip_suffix(['\'', 'h', 'H']);
    let digits = plain.unwrap_or(step);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    let number: u32 = digits.parse().ok()?;
    let below = number < HARDENED;
    below.then_some(if plain.is_some() { number | HARDENED } else { number })
}

impl fmt::Display for DerivationPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("m")?;
        for &number in &self.0 {
            let mark = if Self::is_hardened(number) { "'" } else { "" };
            write!(f, "/{}{mark}", number & !HARDENED)?;
        }
        Ok(())
    }
}

impl Algorithm {
    /// The master key of `seed` for an algorithm that derives along paths: [`SEED_BYTES_MIN`] to
    /// [`SEED_BYTES_MAX`] bytes (BIP-32, SLIP-0010).
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] for other algorithms; [`CryptoError::Invalid`] for a seed of
    /// another length, or (with a chance of 2^-127) one that has no master key.
    pub fn master(self, seed: &[u8]) -> Result<Material, CryptoError> {
        if !(SEED_BYTES_MIN..=SEED_BYTES_MAX).contains(&seed.len()) {
            return Err(CryptoError::Invalid("length of the seed"));
        }
        self.material(self.family().master(seed)?)
    }

    /// The descendant of `parent`, which is material of this algorithm, at `path`: again a key that
    /// derives, of the same algorithm. Chain codes and keys on the way are wiped.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] if keys of this algorithm do not derive along paths.
    /// [`CryptoError::Invalid`] for material that [`Algorithm::load`] refuses, a step that is not
    /// hardened where only hardened ones exist (`slip10-ed25519`) or hardened where none are
    /// (`hd-ed25519`, `hd-stark`), or (with a chance of 2^-127) a number that BIP-32 leaves out.
    pub fn derive_child(
        self,
        parent: &SecretVec,
        path: &DerivationPath,
    ) -> Result<Material, CryptoError> {
        if self.object_type() != ObjectType::KeyPair || !self.has(Use::DeriveKey) {
            return Err(CryptoError::Unsupported("derive other keys"));
        }
        self.load(parent)?;
        self.material(self.family().derive_child(parent.expose(), path)?)
    }

    /// Like [`Algorithm::derive_child`], and then drops the chain code: the descendant is a key of
    /// `child`, an algorithm on the same curve (`secp256k1` and its kin for `bip32-secp256k1`,
    /// `ed25519` for `slip10-ed25519`, `ecdsa-p256` and `ecdh-p256` for `slip10-p256`,
    /// `ed25519-expanded` for `hd-ed25519`, `stark` for `hd-stark`).
    ///
    /// # Errors
    /// As [`Algorithm::derive_child`]; [`CryptoError::Unsupported`] for another `child`.
    pub fn derive_child_as(
        self,
        parent: &SecretVec,
        path: &DerivationPath,
        child: Self,
    ) -> Result<Material, CryptoError> {
        let is_kin = KIN
            .iter()
            .any(|(parent, children)| *parent == self.name() && children.contains(&child.name()));
        if !is_kin {
            return Err(CryptoError::Unsupported("derive a key of this algorithm"));
        }
        let descendant = self.derive_child(parent, path)?;
        let (key, _) = descendant
            .secret()
            .expose()
            .split_first_chunk::<32>()
            .ok_or(CryptoError::Library("derive"))?;
        child.import(KeyFormat::Raw, key)
    }

    /// A symmetric key of `child` out of one of this algorithm: HKDF-SHA-256 (RFC 5869) without a
    /// salt, `info` a fixed text, the name of `child`, a zero byte and `label`, at the length of a
    /// generated key. Other labels and other algorithms give unrelated keys; the same give the
    /// same.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] if this algorithm is not symmetric or does not derive, or
    /// `child` is not symmetric; [`CryptoError::Invalid`] for material that [`Algorithm::load`]
    /// refuses or a label longer than [`LABEL_BYTES_MAX`].
    pub fn derive_symmetric(
        self,
        parent: &SecretVec,
        label: &[u8],
        child: Self,
    ) -> Result<Material, CryptoError> {
        let is_symmetric = |one: Self| one.object_type() == ObjectType::SymmetricKey;
        if !is_symmetric(self) || !self.has(Use::DeriveKey) || !is_symmetric(child) {
            return Err(CryptoError::Unsupported("derive a symmetric key"));
        }
        if label.len() > LABEL_BYTES_MAX {
            return Err(CryptoError::Invalid("length of the label"));
        }
        self.load(parent)?;
        let info = [b"lethe-symmetric-child/v1\0", child.name().as_bytes(), b"\0", label];
        let bytes = symmetric_bytes(child);
        child.material(hkdf(KdfHash::Sha256, &[], parent.expose(), &info, bytes)?)
    }
}

/// Bytes of a generated key: as many as the strength has, where the bounds leave room.
fn symmetric_bytes(child: Algorithm) -> usize {
    let strength = usize::from(child.strength_bits() / 8);
    let bounds = child.material_bytes();
    strength.clamp(*bounds.start(), *bounds.end()).min(SYMMETRIC_BYTES_MAX)
}

/// Which algorithms take the keys that others derive.
const KIN: &[(&str, &[&str])] = &[
    ("bip32-secp256k1", &["secp256k1", "ecdsa-secp256k1", "bip340-secp256k1", "ecdh-secp256k1"]),
    ("slip10-ed25519", &["ed25519"]),
    ("slip10-p256", &["ecdsa-p256", "ecdh-p256"]),
    ("hd-ed25519", &["ed25519-expanded"]),
    ("hd-stark", &["stark"]),
];
