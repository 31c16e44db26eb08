//! Keys with a chain code whose children differ by a number that is added: Edwards25519 and the
//! Stark curve, for which no standard has children that are not hardened.
//!
//! The rules are those of the crate `hd-wallet` 0.7 (`Edwards` and `Stark`), without its hardened
//! children: the steps of BIP-32 with another hash where a curve's order asks for it.

use aws_lc_rs::hmac;
use curve25519_dalek::Scalar;
use lethe_types::{Entropy, Secret, SecretVec};
use zeroize::Zeroizing;

use super::ed25519_expanded::{self, Ed25519Expanded};
#[cfg(feature = "stark")]
use super::stark::{self, Stark};
use super::{ExpandedKey, Family, random};
use crate::CryptoError;
use crate::encoding::{NO_SUCH_FORM, joined};
use crate::registry::{DerivationPath, KeyFormat, PublicFormat, PublicKey};

/// Bytes of a scalar and of a chain code.
const PART_BYTES: usize = 32;

const REFUSED: CryptoError = CryptoError::Invalid("key with its chain code");
const REFUSED_CHILD: CryptoError = CryptoError::Invalid("child: this number has no key");

pub(crate) static ED25519: Additive = Additive { curve: Curve::Edwards25519 };
#[cfg(feature = "stark")]
pub(crate) static STARK: Additive = Additive { curve: Curve::Stark };

/// One kind of key that derives others. Material is the scalar as the plain family of the curve
/// writes it, then the chain code.
pub(crate) struct Additive {
    curve: Curve,
}

#[derive(Clone, Copy)]
enum Curve {
    Edwards25519,
    #[cfg(feature = "stark")]
    Stark,
}

/// A scalar and its chain code.
struct Node {
    scalar: Secret<PART_BYTES>,
    chain_code: Secret<PART_BYTES>,
}

impl Node {
    fn of(material: &[u8]) -> Result<Self, CryptoError> {
        let (scalar, chain_code) = material.split_first_chunk().ok_or(REFUSED)?;
        let chain_code: &[u8; PART_BYTES] = chain_code.try_into().map_err(|_| REFUSED)?;
        Ok(Self { scalar: secret(scalar), chain_code: secret(chain_code) })
    }

    fn material(&self) -> SecretVec {
        joined(&[self.scalar.expose(), self.chain_code.expose()])
    }
}

fn secret(bytes: &[u8; PART_BYTES]) -> Secret<PART_BYTES> {
    Secret::init_with(|buf| *buf = *bytes)
}

/// `HMAC-SHA512(chain code, parts)`.
fn hmac_sha512(chain_code: &Secret<PART_BYTES>, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let key = hmac::Key::new(hmac::HMAC_SHA512, chain_code.expose());
    let mut context = hmac::Context::with_key(&key);
    parts.iter().for_each(|part| context.update(part));
    Zeroizing::new(context.sign().as_ref().to_vec())
}

impl Additive {
    /// The key alone, as the plain family of its curve takes it.
    fn plain_material(&self, scalar: &Secret<PART_BYTES>) -> Result<SecretVec, CryptoError> {
        match self.curve {
            Curve::Edwards25519 => ed25519_expanded::of_scalar(scalar.expose()),
            #[cfg(feature = "stark")]
            Curve::Stark => Ok(SecretVec::copy_from(scalar.expose())),
        }
    }

    /// The family of its keys without their chain codes.
    fn plain(&self) -> &'static dyn Family {
        match self.curve {
            Curve::Edwards25519 => &Ed25519Expanded,
            #[cfg(feature = "stark")]
            Curve::Stark => &Stark,
        }
    }

    fn expand(&self, scalar: &Secret<PART_BYTES>) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        self.plain().load(self.plain_material(scalar)?.expose())
    }

    fn child(&self, parent: &Node, number: u32) -> Result<Node, CryptoError> {
        if DerivationPath::is_hardened(number) {
            return Err(CryptoError::Invalid("derivation path: hardened"));
        }
        let number = number.to_be_bytes();
        let expanded = self.expand(&parent.scalar)?;
        let public = expanded.public_key().ok_or(CryptoError::Library("compute a public key"))?;
        let code = &parent.chain_code;
        let (scalar, chain_code) = match self.curve {
            Curve::Edwards25519 => {
                let hashed = hmac_sha512(code, &[public.raw(), &[0], &number]);
                let (shift, chain_code) = hashed.split_first_chunk().ok_or(REFUSED_CHILD)?;
                (edwards_sum(&parent.scalar, shift)?, secret(last_part(chain_code)?))
            }
            #[cfg(feature = "stark")]
            Curve::Stark => {
                let point = public.sec1_compressed();
                let point = point.ok_or(CryptoError::Library("compress a point"))?;
                let left = hmac_sha512(code, &[&[0], &point, &number]);
                let right = hmac_sha512(code, &[&[1], &point, &number]);
                // 96 bytes for a number below an order of 252 bits: its distribution does not
                // differ from the uniform one.
                let (rest, chain_code) = right.split_at(PART_BYTES);
                let shift = joined(&[&left, rest]);
                (stark::sum(&parent.scalar, shift.expose())?, secret(last_part(chain_code)?))
            }
        };
        Ok(Node { scalar, chain_code })
    }
}

fn last_part(bytes: &[u8]) -> Result<&[u8; PART_BYTES], CryptoError> {
    bytes.try_into().map_err(|_| REFUSED_CHILD)
}

/// `parent + shift` modulo the order; the shift is big-endian, scalars are little-endian.
fn edwards_sum(
    parent: &Secret<PART_BYTES>,
    shift: &[u8; PART_BYTES],
) -> Result<Secret<PART_BYTES>, CryptoError> {
    let parent = Option::<Scalar>::from(Scalar::from_canonical_bytes(*parent.expose()));
    let parent = Zeroizing::new(parent.ok_or(REFUSED)?);
    let mut shift = Zeroizing::new(*shift);
    shift.reverse();
    let shift = Zeroizing::new(Scalar::from_bytes_mod_order(*shift));
    let sum = Zeroizing::new(*parent + *shift);
    if *sum == Scalar::ZERO {
        return Err(REFUSED_CHILD);
    }
    Ok(secret(&Zeroizing::new(sum.to_bytes())))
}

impl Family for Additive {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        let plain = self.plain().generate(entropy)?;
        let scalar = plain.expose().first_chunk::<PART_BYTES>().ok_or(REFUSED)?;
        let chain_code = random(entropy, PART_BYTES)?;
        Ok(joined(&[scalar.as_slice(), chain_code.expose()]))
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        self.expand(&Node::of(material)?.scalar)
    }

    fn load_public(&'static self, spki_der: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        self.plain().load_public(spki_der)
    }

    /// Raw form alone: scalar, then chain code. They do not come out again.
    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        if format != KeyFormat::Raw {
            return Err(NO_SUCH_FORM);
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

    fn derive_child(
        &'static self,
        parent: &[u8],
        path: &DerivationPath,
    ) -> Result<SecretVec, CryptoError> {
        let mut node = Node::of(parent)?;
        for number in path.numbers() {
            node = self.child(&node, *number)?;
        }
        Ok(node.material())
    }
}
