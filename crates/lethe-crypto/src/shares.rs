//! Shares of a scalar: Shamir's scheme ("How to share a secret", 1979) over the order of a curve.
//! Any `threshold` shares make the scalar; fewer say nothing about it.

use core::fmt;

use crypto_bigint::{NonZero, U256};
use lethe_types::{Entropy, Secret};
use zeroize::Zeroizing;

use crate::CryptoError;
use crate::algorithms::eddsa25519::Expanded;
use crate::algorithms::random;

/// Bytes of a scalar.
pub const SCALAR_BYTES: usize = 32;
/// Most shares of one scalar, as a count.
pub const SHARES_MAX: usize = 255;
/// Draws of a coefficient. One fails with a chance of at most 15/16, for the order with the most
/// zeros in front, before it is cut to its bits; of one half after.
const DRAWS_MAX: usize = 128;

const REFUSED_SHARES: CryptoError = CryptoError::Invalid("shares");

/// The numbers that are shared: those below the order of a curve's group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarField {
    /// secp256k1 (SEC 2 section 2.4.1).
    Secp256k1,
    /// The prime-order group of Edwards25519 (RFC 8032 section 5.1).
    Ed25519,
    /// The Stark curve.
    Stark,
}

impl ScalarField {
    const fn order_bytes(self) -> &'static str {
        match self {
            Self::Secp256k1 => "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
            Self::Ed25519 => "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed",
            Self::Stark => "0800000000000010ffffffffffffffffb781126dcae7b2321e66a241adc64d2f",
        }
    }

    fn order(self) -> NonZero<U256> {
        NonZero::new(U256::from_be_hex(self.order_bytes())).expect("orders are not zero")
    }

    /// What is left of the first byte of a number with as many bits as the order.
    const fn top_mask(self) -> u8 {
        match self {
            Self::Secp256k1 => 0xff,
            Self::Ed25519 => 0x1f,
            Self::Stark => 0x0f,
        }
    }

    fn number(self, bytes: &[u8; SCALAR_BYTES]) -> Option<Zeroizing<U256>> {
        let number = Zeroizing::new(U256::from_be_slice(bytes));
        (*number < *self.order()).then_some(number)
    }

    /// A number below the order, zero among them, all alike.
    fn random(self, entropy: &dyn Entropy) -> Result<Zeroizing<U256>, CryptoError> {
        // FIPS 186-5 appendix A.2.2: draw again what is not in range.
        for _ in 0..DRAWS_MAX {
            let drawn = random(entropy, SCALAR_BYTES)?;
            let mut bytes = Zeroizing::new([0; SCALAR_BYTES]);
            bytes.copy_from_slice(drawn.expose());
            let [first, ..] = &mut *bytes;
            *first &= self.top_mask();
            if let Some(number) = self.number(&bytes) {
                return Ok(number);
            }
        }
        Err(CryptoError::Entropy)
    }
}

/// One share: the value of the polynomial at `index`.
pub struct Share {
    /// Where; from 1 on.
    pub index: u8,
    /// The value there, big-endian.
    pub value: Secret<SCALAR_BYTES>,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({}, ..)", self.index)
    }
}

/// `count` shares of `scalar` (big-endian), of which any `threshold` make it again; their indexes
/// are 1 to `count`.
///
/// # Errors
/// [`CryptoError::Invalid`] for a scalar that is zero or not below the order, and unless
/// `2 <= threshold <= count`; [`CryptoError::Entropy`].
pub fn split(
    field: ScalarField,
    scalar: &Secret<SCALAR_BYTES>,
    threshold: u8,
    count: u8,
    entropy: &dyn Entropy,
) -> Result<Vec<Share>, CryptoError> {
    let secret = field.number(scalar.expose()).filter(|number| **number != U256::ZERO);
    let secret = secret.ok_or(CryptoError::Invalid("scalar to share"))?;
    if threshold < 2 || threshold > count {
        return Err(CryptoError::Invalid("number of shares"));
    }
    // Coefficients, the constant one first.
    let mut coefficients = vec![secret];
    for _ in 1..threshold {
        coefficients.push(field.random(entropy)?);
    }
    let order = field.order();
    let at = |index: u8| {
        let x = U256::from(index);
        let mut value = Zeroizing::new(U256::ZERO);
        for coefficient in coefficients.iter().rev() {
            *value = value.mul_mod(&x, &order).add_mod(coefficient, &order);
        }
        Share { index, value: to_secret(&value) }
    };
    Ok((1..=count).map(at).collect())
}

/// The scalar (big-endian) of which `shares` are, any `threshold` of which make it; shares beyond
/// that must lie on the same polynomial.
///
/// # Errors
/// [`CryptoError::Invalid`] unless `2 <= threshold <= shares.len() <= SHARES_MAX`; for an index of
/// zero or one that comes twice; for a value that is not below the order; for shares that disagree;
/// for a scalar that is zero.
pub fn combine(
    field: ScalarField,
    shares: &[Share],
    threshold: usize,
) -> Result<Secret<SCALAR_BYTES>, CryptoError> {
    if threshold < 2 || shares.len() > SHARES_MAX {
        return Err(CryptoError::Invalid("number of shares"));
    }
    let too_few = CryptoError::Invalid("number of shares");
    let (first, others) = shares.split_at_checked(threshold).ok_or(too_few)?;
    let points = first.iter().map(|share| point(field, share)).collect::<Result<Vec<_>, _>>()?;
    for (at, (x, _)) in points.iter().enumerate() {
        if points.iter().skip(at + 1).any(|(other, _)| other == x) {
            return Err(REFUSED_SHARES);
        }
    }
    for (at, share) in others.iter().enumerate() {
        let (x, y) = point(field, share)?;
        let before = first.iter().chain(others.iter().take(at));
        let is_new = before.into_iter().all(|other| other.index != share.index);
        if !is_new || *interpolate(field, &points, &x)? != *y {
            return Err(REFUSED_SHARES);
        }
    }
    let scalar = interpolate(field, &points, &U256::ZERO)?;
    if *scalar == U256::ZERO {
        return Err(REFUSED_SHARES);
    }
    Ok(to_secret(&scalar))
}

/// The scalar (big-endian) of an Ed25519 seed: the one that RFC 8032 section 5.1.5 makes of it,
/// reduced modulo the order of the group. With it alone signatures differ from those of the seed,
/// and verify alike.
///
/// # Errors
/// [`CryptoError::Invalid`] for a seed of another length than 32 bytes.
pub fn scalar_of_ed25519_seed(seed: &[u8]) -> Result<Secret<SCALAR_BYTES>, CryptoError> {
    if seed.len() != SCALAR_BYTES {
        return Err(CryptoError::Invalid("length of the seed"));
    }
    let mut bytes = Expanded::of_seed(seed).scalar_bytes();
    bytes.reverse();
    Ok(Secret::init_with(|buf| *buf = *bytes))
}

type Point = (U256, Zeroizing<U256>);

fn point(field: ScalarField, share: &Share) -> Result<Point, CryptoError> {
    let y = field.number(share.value.expose()).ok_or(REFUSED_SHARES)?;
    if share.index == 0 {
        return Err(REFUSED_SHARES);
    }
    Ok((U256::from(share.index), y))
}

/// The value at `x` of the polynomial through `points`, by Lagrange. Indexes are no secret.
fn interpolate(
    field: ScalarField,
    points: &[Point],
    x: &U256,
) -> Result<Zeroizing<U256>, CryptoError> {
    let order = field.order();
    let mut sum = Zeroizing::new(U256::ZERO);
    for (at, (own, y)) in points.iter().enumerate() {
        let (mut above, mut below) = (U256::ONE, U256::ONE);
        for (other_at, (other, _)) in points.iter().enumerate() {
            if other_at != at {
                above = above.mul_mod(&x.sub_mod(other, &order), &order);
                below = below.mul_mod(&own.sub_mod(other, &order), &order);
            }
        }
        let inverse = below.invert_mod(&order).into_option().ok_or(REFUSED_SHARES)?;
        let weight = above.mul_mod(&inverse, &order);
        *sum = sum.add_mod(&y.mul_mod(&weight, &order), &order);
    }
    Ok(sum)
}

fn to_secret(number: &U256) -> Secret<SCALAR_BYTES> {
    let bytes = Zeroizing::new(number.to_be_bytes());
    Secret::init_with(|buf| buf.copy_from_slice(bytes.as_slice()))
}
