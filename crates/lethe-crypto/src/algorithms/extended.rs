//! Keys with a chain code, from which others derive: BIP-32 over secp256k1, SLIP-0010 over P-256
//! and Ed25519. SLIP-0010 is BIP-32 with a name for each curve and another way out of the cases
//! that cannot happen.

use aws_lc_rs::hmac;
use crypto_bigint::{NonZero, U256};
use lethe_types::{Entropy, Secret, SecretVec};
use zeroize::Zeroizing;

use super::ed25519::Ed25519;
use super::secp256k1::{self, Secp256k1};
use super::{ExpandedKey, Family, ecdsa, random};
use crate::CryptoError;
use crate::encoding::joined;
use crate::registry::{DerivationPath, KeyFormat, PublicFormat, PublicKey};

/// Bytes of a key and of a chain code.
const PART_BYTES: usize = 32;
/// Bytes of the seed of a generated key (BIP-32: 256 bits are advised, up to 512 allowed).
const SEED_BYTES: usize = 64;
/// Hashes of SLIP-0010 until there is a key. One fails with a chance below 2^-32.
const ROUNDS_MAX: usize = 8;

const REFUSED: CryptoError = CryptoError::Invalid("key with its chain code");
const REFUSED_CHILD: CryptoError = CryptoError::Invalid("child: this number has no key");

/// Order of P-256 (SP 800-186 section 3.2.1.3).
const P256_ORDER: U256 =
    U256::from_be_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");

pub(crate) static BIP32_SECP256K1: Extended =
    Extended { curve: Curve::Secp256k1, seed_key: b"Bitcoin seed" };
pub(crate) static SLIP10_ED25519: Extended =
    Extended { curve: Curve::Ed25519, seed_key: b"ed25519 seed" };
pub(crate) static SLIP10_P256: Extended =
    Extended { curve: Curve::P256, seed_key: b"Nist256p1 seed" };

/// One kind of key that derives others.
pub(crate) struct Extended {
    curve: Curve,
    /// The HMAC key of the master key, which is not secret.
    seed_key: &'static [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Curve {
    Secp256k1,
    P256,
    Ed25519,
}

/// A key and its chain code.
struct Node {
    key: Secret<PART_BYTES>,
    chain_code: Secret<PART_BYTES>,
}

impl Node {
    fn of(material: &[u8]) -> Result<Self, CryptoError> {
        let (key, chain_code) = split(material)?;
        Ok(Self {
            key: Secret::init_with(|buf| *buf = *key),
            chain_code: Secret::init_with(|buf| *buf = *chain_code),
        })
    }

    fn material(&self) -> SecretVec {
        joined(&[self.key.expose(), self.chain_code.expose()])
    }
}

fn split(material: &[u8]) -> Result<(&[u8; PART_BYTES], &[u8; PART_BYTES]), CryptoError> {
    let (key, chain_code) = material.split_first_chunk().ok_or(REFUSED)?;
    Ok((key, chain_code.try_into().map_err(|_| REFUSED)?))
}

/// `HMAC-SHA512(key, parts)`, in two halves.
fn hmac_sha512(key: &[u8], parts: &[&[u8]]) -> Result<Node, CryptoError> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA512, key));
    parts.iter().for_each(|part| context.update(part));
    Node::of(context.sign().as_ref())
}

impl Extended {
    /// Whether the bytes are a scalar or seed of the curve.
    fn is_key(&self, key: &Secret<PART_BYTES>) -> bool {
        match self.curve {
            Curve::Secp256k1 => secp256k1::scalar_of(key.expose()).is_ok(),
            Curve::P256 => p256_scalar(key.expose()).is_some(),
            Curve::Ed25519 => true,
        }
    }

    fn master_node(&self, seed: &[u8]) -> Result<Node, CryptoError> {
        let mut node = hmac_sha512(self.seed_key, &[seed])?;
        for _ in 0..ROUNDS_MAX {
            if self.is_key(&node.key) {
                return Ok(node);
            }
            if self.curve != Curve::P256 {
                // BIP-32 calls such a seed invalid.
                break;
            }
            // SLIP-0010: the output is the next input.
            node = hmac_sha512(self.seed_key, &[node.material().expose()])?;
        }
        Err(CryptoError::Invalid("seed: it has no master key"))
    }

    fn child(&self, parent: &Node, number: u32) -> Result<Node, CryptoError> {
        let number_bytes = number.to_be_bytes();
        let chain_code = parent.chain_code.expose();
        let hashed = if DerivationPath::is_hardened(number) {
            hmac_sha512(chain_code, &[&[0], parent.key.expose(), &number_bytes])
        } else {
            hmac_sha512(chain_code, &[&self.compressed(&parent.key)?, &number_bytes])
        };
        let mut hashed = hashed?;
        for _ in 0..ROUNDS_MAX {
            if let Some(key) = self.sum(&hashed.key, &parent.key) {
                return Ok(Node { key, chain_code: hashed.chain_code });
            }
            if self.curve != Curve::P256 {
                // BIP-32: "proceed with the next value for i", which is for the caller.
                break;
            }
            let again = [&[1], hashed.chain_code.expose().as_slice(), &number_bytes];
            hashed = hmac_sha512(chain_code, &again)?;
        }
        Err(REFUSED_CHILD)
    }

    /// The child's key; `None` in the cases that cannot happen.
    fn sum(
        &self,
        tweak: &Secret<PART_BYTES>,
        parent: &Secret<PART_BYTES>,
    ) -> Option<Secret<PART_BYTES>> {
        match self.curve {
            Curve::Ed25519 => Some(tweak.duplicate()),
            Curve::Secp256k1 => {
                let parent = secp256k1::scalar_of(parent.expose()).ok()?;
                let tweak = secp256k1::scalar_of(tweak.expose()).ok()?;
                let sum = Zeroizing::new((*parent + *tweak).to_bytes());
                secp256k1::scalar_of(sum.as_slice()).ok()?;
                let sum = Zeroizing::new(<[u8; PART_BYTES]>::from(*sum));
                Some(Secret::init_with(|buf| *buf = *sum))
            }
            Curve::P256 => {
                let parent = p256_scalar(parent.expose())?;
                let tweak = p256_scalar(tweak.expose())?;
                let order = NonZero::new(P256_ORDER).into_option()?;
                let sum = Zeroizing::new(parent.add_mod(&tweak, &order).to_be_bytes());
                let sum = Secret::init_with(|buf| buf.copy_from_slice(sum.as_slice()));
                p256_scalar(sum.expose())?;
                Some(sum)
            }
        }
    }

    /// The compressed public key.
    fn compressed(&self, key: &Secret<PART_BYTES>) -> Result<Vec<u8>, CryptoError> {
        let expanded = match self.curve {
            // SLIP-0010 has no such children of Ed25519 keys.
            Curve::Ed25519 => {
                return Err(CryptoError::Invalid("derivation path: not hardened"));
            }
            Curve::Secp256k1 | Curve::P256 => self.expand(key.expose())?,
        };
        let public = expanded.public_key().and_then(PublicKey::sec1_compressed);
        public.ok_or(CryptoError::Library("compute a public key"))
    }

    fn expand(&self, key: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        match self.curve {
            Curve::Secp256k1 => Secp256k1.load(key),
            Curve::P256 => ecdsa::P256.load(ecdsa::P256.import(KeyFormat::Raw, key)?.expose()),
            Curve::Ed25519 => Ed25519.load(key),
        }
    }

    /// The family of its keys without their chain codes.
    fn plain(&self) -> &'static dyn Family {
        match self.curve {
            Curve::Secp256k1 => &Secp256k1,
            Curve::P256 => &ecdsa::P256,
            Curve::Ed25519 => &Ed25519,
        }
    }
}

/// A scalar of P-256 in 1..n, in time that tells its validity alone.
fn p256_scalar(bytes: &[u8; PART_BYTES]) -> Option<Zeroizing<U256>> {
    let scalar = Zeroizing::new(U256::from_be_slice(bytes));
    let is_valid = bool::from(scalar.is_nonzero()) && *scalar < P256_ORDER;
    is_valid.then_some(scalar)
}

impl Family for Extended {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        let seed = random(entropy, SEED_BYTES)?;
        self.master(seed.expose())
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let (key, _) = split(material)?;
        self.expand(key)
    }

    fn load_public(&'static self, spki_der: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        self.plain().load_public(spki_der)
    }

    /// Raw form alone: key, then chain code. They do not come out again: who has them has every
    /// descendant.
    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        if format != KeyFormat::Raw {
            return Err(crate::encoding::NO_SUCH_FORM);
        }
        Ok(Node::of(bytes)?.material())
    }

    fn export(
        &'static self,
        _material: &[u8],
        _format: KeyFormat,
    ) -> Result<SecretVec, CryptoError> {
        Err(CryptoError::Unsupported("leave: it derives other keys"))
    }

    fn import_public(
        &'static self,
        format: PublicFormat,
        bytes: &[u8],
    ) -> Result<PublicKey, CryptoError> {
        self.plain().import_public(format, bytes)
    }

    fn public_jwk(&'static self, public: &PublicKey) -> Result<SecretVec, CryptoError> {
        self.plain().public_jwk(public)
    }

    fn master(&'static self, seed: &[u8]) -> Result<SecretVec, CryptoError> {
        Ok(self.master_node(seed)?.material())
    }

    fn derive_child(
        &'static self,
        parent: &[u8],
        path: &DerivationPath,
    ) -> Result<SecretVec, CryptoError> {
        let mut node = Node::of(parent)?;
        if !self.is_key(&node.key) {
            return Err(REFUSED);
        }
        for number in path.numbers() {
            node = self.child(&node, *number)?;
        }
        Ok(node.material())
    }
}
