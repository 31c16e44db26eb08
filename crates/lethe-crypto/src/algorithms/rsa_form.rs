//! The written forms of RSA keys, and the search for the salt of a PSS signature.

use aws_lc_rs::rsa::{KeyPair, KeyPairComponents};
use aws_lc_rs::signature::RsaPublicKeyComponents;
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use lethe_types::SecretVec;
use pkcs8::der::asn1::UintRef;
use pkcs8::der::{Decode as _, Reader as _, SliceReader};
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};

use super::digest::Hash;
use crate::CryptoError;
use crate::encoding::NO_SUCH_FORM;
use crate::encoding::jwk::{self, Jwk};
use crate::encoding::{der, joined};
use crate::registry::{KeyFormat, PublicFormat, PublicKey};

/// `rsaEncryption` (RFC 8017 appendix C).
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Longest public exponent whose keys are let in, in bytes: the library's own bound is 33 bits.
const EXPONENT_BYTES_MAX: usize = 5;

const REFUSED_PRIVATE: CryptoError = CryptoError::Invalid("RSA private key");
const REFUSED_PUBLIC: CryptoError = CryptoError::Invalid("RSA public key");

/// The pair that `bytes` hold. The library checks that its parts belong together.
pub(super) fn read(format: KeyFormat, bytes: &[u8]) -> Result<KeyPair, CryptoError> {
    match format {
        KeyFormat::Pkcs8Der => {
            let info = PrivateKeyInfoRef::from_der(bytes).map_err(|_| REFUSED_PRIVATE)?;
            let parameters = info.algorithm.parameters;
            if info.algorithm.oid != RSA_ENCRYPTION || !parameters.is_some_and(|any| any.is_null())
            {
                return Err(CryptoError::Invalid("PKCS#8 private key for this algorithm"));
            }
            read(KeyFormat::Pkcs1Der, info.private_key.as_bytes())
        }
        KeyFormat::Pkcs1Der => {
            let parts = Pkcs1::read(bytes)?;
            parts.pair()
        }
        KeyFormat::Jwk => {
            let jwk = Jwk::parse(bytes, "RSA")?;
            let [n, e] = jwk.rsa_public()?;
            let [d, p, q, dp, dq, qi] = jwk.rsa_private()?;
            let parts = [&n, &e, &d, &p, &q, &dp, &dq, &qi].map(SecretVec::expose);
            Pkcs1(parts).pair()
        }
        KeyFormat::Raw
        | KeyFormat::Pkcs1Pem
        | KeyFormat::Pkcs8Pem
        | KeyFormat::Sec1Der
        | KeyFormat::Sec1Pem => Err(NO_SUCH_FORM),
    }
}

/// `material`, PKCS#8 of the library, in another form.
pub(super) fn write(format: KeyFormat, material: &[u8]) -> Result<SecretVec, CryptoError> {
    let info = PrivateKeyInfoRef::from_der(material).map_err(|_| REFUSED_PRIVATE)?;
    let pkcs1 = info.private_key.as_bytes();
    match format {
        KeyFormat::Pkcs8Der => Ok(SecretVec::copy_from(material)),
        KeyFormat::Pkcs1Der => Ok(SecretVec::copy_from(pkcs1)),
        KeyFormat::Jwk => {
            let Pkcs1(parts) = Pkcs1::read(pkcs1)?;
            let names = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
            let members: Vec<_> = names.into_iter().zip(parts).collect();
            jwk::write(&[("kty", "RSA")], &members)
        }
        KeyFormat::Raw
        | KeyFormat::Pkcs1Pem
        | KeyFormat::Pkcs8Pem
        | KeyFormat::Sec1Der
        | KeyFormat::Sec1Pem => Err(NO_SUCH_FORM),
    }
}

/// The `SubjectPublicKeyInfo` of a public key in any form, unchecked.
pub(super) fn read_public(format: PublicFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
    match format {
        PublicFormat::SpkiDer => Ok(SecretVec::copy_from(bytes)),
        PublicFormat::Raw => Ok(spki(bytes)),
        PublicFormat::Jwk => {
            let jwk = Jwk::parse_public(bytes, "RSA")?;
            let [n, e] = jwk.rsa_public()?;
            let [n, e] = [der::integer(n.expose()), der::integer(e.expose())];
            Ok(spki(der::value(der::SEQUENCE, &[n.expose(), e.expose()]).expose()))
        }
        PublicFormat::SpkiPem => Err(NO_SUCH_FORM),
    }
}

/// RFC 7518 section 6.3.1.
pub(super) fn public_jwk(public: &PublicKey) -> Result<SecretVec, CryptoError> {
    let [n, e] = public_parts(public.raw()).ok_or(REFUSED_PUBLIC)?;
    jwk::write(&[("kty", "RSA")], &[("n", n), ("e", e)])
}

/// RFC 3279 section 2.3.1 around an `RSAPublicKey`.
fn spki(raw: &[u8]) -> SecretVec {
    let (oid, null) = (der::oid(RSA_ENCRYPTION), der::value(der::NULL, &[]));
    let algorithm = der::value(der::SEQUENCE, &[oid.expose(), null.expose()]);
    der::value(der::SEQUENCE, &[algorithm.expose(), der::bits(raw).expose()])
}

/// `n`, `e`, `d`, `p`, `q`, `dp`, `dq`, `qi` without leading zeros.
struct Pkcs1<'a>([&'a [u8]; 8]);

impl<'a> Pkcs1<'a> {
    /// `RSAPrivateKey` of version 0, which is two primes (RFC 8017 appendix A.1.2).
    fn read(bytes: &'a [u8]) -> Result<Self, CryptoError> {
        let sequence = || -> pkcs8::der::Result<[&'a [u8]; 9]> {
            let mut reader = SliceReader::new(bytes)?;
            let parts = reader.sequence(|nested| {
                let mut parts = [b"".as_slice(); 9];
                for part in &mut parts {
                    *part = nested.decode::<UintRef<'a>>()?.as_bytes();
                }
                Ok::<_, pkcs8::der::Error>(parts)
            })?;
            reader.finish()?;
            Ok(parts)
        };
        match sequence().map_err(|_| REFUSED_PRIVATE)? {
            [&[0], n, e, d, p, q, dp, dq, qi] => Ok(Self([n, e, d, p, q, dp, dq, qi])),
            _ => Err(REFUSED_PRIVATE),
        }
    }

    fn pair(&self) -> Result<KeyPair, CryptoError> {
        let [n, e, d, p, q, dp, dq, qi] = self.0;
        let public_key = RsaPublicKeyComponents { n, e };
        let components = KeyPairComponents { public_key, d, p, q, dP: dp, dQ: dq, qInv: qi };
        KeyPair::from_components(&components).map_err(|_| REFUSED_PRIVATE)
    }
}

/// `n` and `e` of an `RSAPublicKey`.
fn public_parts(raw: &[u8]) -> Option<[&[u8]; 2]> {
    let mut reader = SliceReader::new(raw).ok()?;
    let parts = reader.sequence(|nested| {
        let n = nested.decode::<UintRef<'_>>()?.as_bytes();
        let e = nested.decode::<UintRef<'_>>()?.as_bytes();
        Ok::<_, pkcs8::der::Error>([n, e])
    });
    parts.ok()
}

/// The length of the salt inside a PSS signature (RFC 8017 section 9.1.2, steps 4 to 10), by the
/// public operation on public values. `None` if there is none to be found. Proves nothing: it tells
/// which length the library has to be asked about, which takes one length at a time.
pub(super) fn pss_salt_bytes(raw: &[u8], hash: Hash, signature: &[u8]) -> Option<u16> {
    let [n, e] = public_parts(raw)?;
    if signature.len() != n.len() || signature >= n || e.len() > EXPONENT_BYTES_MAX {
        return None;
    }
    let bits = u32::try_from(n.len()).ok()?.checked_mul(8)?;
    let uint = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, bits).ok();
    let modulus: Option<Odd<BoxedUint>> = Odd::new(uint(n)?).into();
    let parameters = BoxedMontyParams::new_vartime(modulus?);
    let exponent = BoxedUint::from_be_slice(&[&[0; 8][e.len()..], e].concat(), 64).ok()?;
    let encoded = BoxedMontyForm::new(uint(signature)?, &parameters).pow(&exponent).retrieve();
    let encoded = encoded.to_be_bytes();
    // The modulus fills its bytes, so that EM has as many and its topmost bit is zero.
    let masked_bytes = encoded.len().checked_sub(hash.digest_bytes() + 1)?;
    let (masked, rest) = encoded.split_at(masked_bytes);
    let (seed, trailer) = rest.split_at(hash.digest_bytes());
    if trailer != [0xbc] {
        return None;
    }
    let mask = mgf1(hash, seed, masked_bytes);
    let mut data: Vec<u8> = masked.iter().zip(&mask).map(|(byte, mask)| byte ^ mask).collect();
    if let Some(first) = data.first_mut() {
        *first &= 0x7f;
    }
    let marker = data.iter().position(|byte| *byte != 0)?;
    let (_, after) = data.split_at(marker);
    match after {
        [1, salt @ ..] => u16::try_from(salt.len()).ok(),
        _ => None,
    }
}

/// RFC 8017 appendix B.2.1.
fn mgf1(hash: Hash, seed: &[u8], length: usize) -> Vec<u8> {
    let mut mask = Vec::new();
    for counter in 0_u32.. {
        if mask.len() >= length {
            break;
        }
        mask.extend(hash.digest(joined(&[seed, &counter.to_be_bytes()]).expose()));
    }
    mask.truncate(length);
    mask
}
