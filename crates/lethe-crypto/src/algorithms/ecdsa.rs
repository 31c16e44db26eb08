//! ECDSA (FIPS 186-5 section 6) and ECDH (SP 800-56A section 5.7.1.2) on the NIST curves.

use std::sync::OnceLock;

use aws_lc_rs::agreement::{self, UnparsedPublicKey};
use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin};
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair, ParsedPublicKey,
};
use lethe_types::{Entropy, SecretVec};
use subtle::ConstantTimeEq;

use super::digest::Hash;
use super::{ExpandedKey, Family, NO_PRIVATE_HALF, NO_SUCH_SCHEME, NOTHING_BESIDE_MESSAGE};
use crate::CryptoError;
use crate::encoding::curve::{self, CurveForm};
use crate::encoding::der;
use crate::registry::{
    KeyFormat, PublicFormat, PublicKey, SignRequest, Signature, SignatureScheme,
};

pub(crate) static P256: Curve = Curve {
    form: &curve::P256,
    point_bytes: 65,
    native: &digest::SHA256,
    formats: [
        Format {
            signing: &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            verifying: &signature::ECDSA_P256_SHA256_ASN1,
        },
        Format {
            signing: &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            verifying: &signature::ECDSA_P256_SHA256_FIXED,
        },
    ],
    agreement: &agreement::ECDH_P256,
};

pub(crate) static P384: Curve = Curve {
    form: &curve::P384,
    point_bytes: 97,
    native: &digest::SHA384,
    formats: [
        Format {
            signing: &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
            verifying: &signature::ECDSA_P384_SHA384_ASN1,
        },
        Format {
            signing: &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            verifying: &signature::ECDSA_P384_SHA384_FIXED,
        },
    ],
    agreement: &agreement::ECDH_P384,
};

pub(crate) static P521: Curve = Curve {
    form: &curve::P521,
    point_bytes: 133,
    native: &digest::SHA512,
    formats: [
        Format {
            signing: &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
            verifying: &signature::ECDSA_P521_SHA512_ASN1,
        },
        Format {
            signing: &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
            verifying: &signature::ECDSA_P521_SHA512_FIXED,
        },
    ],
    agreement: &agreement::ECDH_P521,
};

/// How many ways a signature is written: DER, and fixed length.
const FORMATS: usize = 2;

/// One curve of the library.
pub(crate) struct Curve {
    form: &'static CurveForm,
    /// Bytes of an uncompressed point.
    point_bytes: usize,
    /// The hash to which the library ties the curve. Digests of other hashes are fitted to it.
    native: &'static digest::Algorithm,
    /// DER first.
    formats: [Format; FORMATS],
    agreement: &'static agreement::Algorithm,
}

/// The library ties hash and encoding to the type of the key.
struct Format {
    signing: &'static EcdsaSigningAlgorithm,
    verifying: &'static EcdsaVerificationAlgorithm,
}

/// How a scheme writes the signature.
#[derive(Clone, Copy)]
pub(super) enum Written {
    Der,
    /// IEEE P1363.
    Fixed,
}

/// Hash and encoding of a scheme of ECDSA; `None` for any other.
pub(super) fn parts_of(scheme: SignatureScheme) -> Option<(Hash, Written)> {
    match scheme {
        SignatureScheme::EcdsaKeccak256 => Some((Hash::Keccak256, Written::Der)),
        SignatureScheme::EcdsaKeccak256P1363 => Some((Hash::Keccak256, Written::Fixed)),
        SignatureScheme::EcdsaSha256 => Some((Hash::Sha256, Written::Der)),
        SignatureScheme::EcdsaSha256P1363 => Some((Hash::Sha256, Written::Fixed)),
        SignatureScheme::EcdsaSha384 => Some((Hash::Sha384, Written::Der)),
        SignatureScheme::EcdsaSha384P1363 => Some((Hash::Sha384, Written::Fixed)),
        SignatureScheme::EcdsaSha512 => Some((Hash::Sha512, Written::Der)),
        SignatureScheme::EcdsaSha512P1363 => Some((Hash::Sha512, Written::Fixed)),
        SignatureScheme::Bip340
        | SignatureScheme::Bip340Taproot
        | SignatureScheme::Ed25519
        | SignatureScheme::Ed25519ctx
        | SignatureScheme::Ed25519ph
        | SignatureScheme::Ed448
        | SignatureScheme::Ed448ph
        | SignatureScheme::RsaPkcs1Sha256
        | SignatureScheme::RsaPkcs1Sha384
        | SignatureScheme::RsaPkcs1Sha512
        | SignatureScheme::RsaPssSha256
        | SignatureScheme::RsaPssSha384
        | SignatureScheme::RsaPssSha512
        | SignatureScheme::Stark
        | SignatureScheme::MlDsa44
        | SignatureScheme::MlDsa65
        | SignatureScheme::MlDsa87 => None,
    }
}

const REFUSED_PUBLIC: CryptoError = CryptoError::Invalid("elliptic-curve public key");
const REFUSED_PRIVATE: CryptoError = CryptoError::Invalid("elliptic-curve private key");

impl Curve {
    fn der(&self) -> &Format {
        let [der, _] = &self.formats;
        der
    }

    /// Parses a point, compressed or not, or the `SubjectPublicKeyInfo` of one. The library checks
    /// that it is on this curve and is not its identity.
    fn parse(&self, encoded: &[u8]) -> Result<(ParsedPublicKey, PublicKey), CryptoError> {
        let parsed =
            ParsedPublicKey::new(self.der().verifying, encoded).map_err(|_| REFUSED_PUBLIC)?;
        let spki_der = parsed.as_der().map_err(|_| REFUSED_PUBLIC)?;
        let start = spki_der.as_ref().len().checked_sub(self.point_bytes).ok_or(REFUSED_PUBLIC)?;
        let (_, raw) = spki_der.as_ref().split_at(start);
        let public = PublicKey::new(raw, spki_der.as_ref());
        Ok((parsed, public))
    }

    fn expand_public(&'static self, spki_der: &[u8]) -> Result<EcdsaKey, CryptoError> {
        let (parsed, public) = self.parse(spki_der)?;
        // The library would take a bare or compressed point as well; only the one encoding is let
        // in.
        if public.spki_der() != spki_der {
            return Err(REFUSED_PUBLIC);
        }
        let der = Half { pair: OnceLock::new(), verifier: OnceLock::from(parsed) };
        Ok(EcdsaKey {
            curve: self,
            halves: [der, Half::default()],
            agreeing: OnceLock::new(),
            public,
        })
    }

    fn expand(&'static self, material: &[u8]) -> Result<EcdsaKey, CryptoError> {
        // Parsing checks the scalar's range, the point, and that they belong together.
        let pair =
            EcdsaKeyPair::from_pkcs8(self.der().signing, material).map_err(|_| REFUSED_PRIVATE)?;
        let encoded = pair.to_pkcs8v1().map_err(|_| REFUSED_PRIVATE)?;
        if !bool::from(encoded.as_ref().ct_eq(material)) {
            return Err(REFUSED_PRIVATE);
        }
        let spki_der = pair.public_key().as_der().map_err(|_| REFUSED_PRIVATE)?;
        let key = self.expand_public(spki_der.as_ref())?;
        let [der, _] = &key.halves;
        der.pair.get_or_init(|| pair);
        Ok(key)
    }

    /// The pair of a big-endian scalar at full length. The library computes the point and refuses
    /// zero and what is not below the order.
    fn pair_of(&self, scalar: &[u8]) -> Result<EcdsaKeyPair, CryptoError> {
        let version = der::integer(&[1]);
        let octets = der::value(der::OCTET_STRING, &[scalar]);
        let sec1 = der::value(der::SEQUENCE, &[version.expose(), octets.expose()]);
        EcdsaKeyPair::from_private_key_der(self.der().signing, sec1.expose())
            .map_err(|_| REFUSED_PRIVATE)
    }

    /// `digest` at the length of the hash that the library ties to the curve, as the same integer
    /// (FIPS 186-5 section 6.4.1 step 2): its leftmost bits, or zeros before it. The orders of
    /// P-256 and P-384 are as long as these hashes, that of P-521 is longer than every hash here.
    fn fitted(&self, digest: &[u8]) -> Result<Digest, CryptoError> {
        let length = self.native.output_len();
        let (leftmost, _) = digest.split_at(digest.len().min(length));
        let mut fitted = vec![0; length - leftmost.len()];
        fitted.extend_from_slice(leftmost);
        Digest::import_less_safe(&fitted, self.native)
            .map_err(|_| CryptoError::Library("take a digest"))
    }
}

impl Family for Curve {
    /// The library draws the scalar itself (FIPS 186-5 appendix A.2.2) and takes no entropy.
    fn generate(&'static self, _entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        let failed = |_| CryptoError::Library("generate an elliptic-curve key");
        let pair = EcdsaKeyPair::generate(self.der().signing).map_err(failed)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(failed)?;
        Ok(SecretVec::copy_from(pkcs8.as_ref()))
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        Ok(Box::new(self.expand(material)?))
    }

    fn load_public(&'static self, spki_der: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        Ok(Box::new(self.expand_public(spki_der)?))
    }

    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        let read = self.form.read(format, bytes)?;
        let pair = self.pair_of(read.private.expose())?;
        let (_, public) = self.parse(pair.public_key().as_ref())?;
        // The library leaves out a public key that it was not given.
        let private = read.matching(&public)?;
        self.form.write(KeyFormat::Pkcs8Der, private.expose(), public.raw())
    }

    fn export(&'static self, material: &[u8], format: KeyFormat) -> Result<SecretVec, CryptoError> {
        let key = self.expand(material)?;
        self.form.write(format, key.scalar()?.as_ref(), key.public.raw())
    }

    fn import_public(
        &'static self,
        format: PublicFormat,
        bytes: &[u8],
    ) -> Result<PublicKey, CryptoError> {
        let point = self.form.read_public(format, bytes)?;
        check_point(&point, self.point_bytes, REFUSED_PUBLIC)?;
        self.parse(&point).map(|(_, public)| public)
    }

    fn public_jwk(&'static self, public: &PublicKey) -> Result<SecretVec, CryptoError> {
        self.form.write_jwk(None, public.raw())
    }
}

/// Lets in points in the compressed and the uncompressed form of SEC 1 alone: no hybrid form, no
/// identity, no other structure that a library may recognise.
pub(super) fn check_point(
    point: &[u8],
    uncompressed_bytes: usize,
    refused: CryptoError,
) -> Result<(), CryptoError> {
    match point {
        [4, ..] if point.len() == uncompressed_bytes => Ok(()),
        [2 | 3, ..] if point.len() == uncompressed_bytes.div_ceil(2) => Ok(()),
        _ => Err(refused),
    }
}

struct EcdsaKey {
    curve: &'static Curve,
    /// In the order of the curve's formats.
    halves: [Half; FORMATS],
    /// Filled when the key first agrees.
    agreeing: OnceLock<agreement::PrivateKey>,
    public: PublicKey,
}

/// What one format needs. That of DER is filled when the key is loaded; the other at its first use,
/// so that keys that never need it do not pay its time and memory.
#[derive(Default)]
struct Half {
    pair: OnceLock<EcdsaKeyPair>,
    verifier: OnceLock<ParsedPublicKey>,
}

impl EcdsaKey {
    fn format(&self, written: Written) -> (&'static Format, &Half) {
        let [der, fixed] = &self.curve.formats;
        let [der_half, fixed_half] = &self.halves;
        match written {
            Written::Der => (der, der_half),
            Written::Fixed => (fixed, fixed_half),
        }
    }

    fn pair(&self) -> Result<&EcdsaKeyPair, CryptoError> {
        let [der, _] = &self.halves;
        der.pair.get().ok_or(NO_PRIVATE_HALF)
    }

    fn scalar(&self) -> Result<EcPrivateKeyBin<'static>, CryptoError> {
        self.pair()?.private_key().as_be_bytes().map_err(|_| REFUSED_PRIVATE)
    }

    fn input(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
    ) -> Result<(Digest, Written), CryptoError> {
        let (hash, written) = parts_of(scheme).ok_or(NO_SUCH_SCHEME)?;
        if !request.is_bare() {
            return Err(NOTHING_BESIDE_MESSAGE);
        }
        Ok((self.curve.fitted(&hash.of(request.input)?)?, written))
    }
}

impl ExpandedKey for EcdsaKey {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public)
    }

    fn sign_with(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
    ) -> Result<Signature, CryptoError> {
        let failed = CryptoError::Library("sign");
        let (digest, written) = self.input(scheme, request)?;
        let (format, half) = self.format(written);
        let pair = match half.pair.get() {
            Some(pair) => pair,
            None => {
                let pkcs8 = self.pair()?.to_pkcs8v1().map_err(|_| failed)?;
                let pair =
                    EcdsaKeyPair::from_pkcs8(format.signing, pkcs8.as_ref()).map_err(|_| failed)?;
                half.pair.get_or_init(|| pair)
            }
        };
        let signature = pair.sign_digest(&digest).map_err(|_| failed)?;
        Ok(Signature::plain(signature.as_ref().to_vec()))
    }

    fn verify_with(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        let (digest, written) = self.input(scheme, request)?;
        let (format, half) = self.format(written);
        let verifier = match half.verifier.get() {
            Some(verifier) => verifier,
            None => {
                let parsed = ParsedPublicKey::new(format.verifying, self.public.spki_der())
                    .map_err(|_| CryptoError::Library("expand a public key"))?;
                half.verifier.get_or_init(|| parsed)
            }
        };
        Ok(verifier.verify_digest_sig(&digest, signature).is_ok())
    }

    fn agree(&self, peer_public: &[u8]) -> Result<SecretVec, CryptoError> {
        check_point(peer_public, self.curve.point_bytes, REFUSED_PUBLIC)?;
        let private = match self.agreeing.get() {
            Some(private) => private,
            None => {
                let scalar = self.scalar()?;
                let private =
                    agreement::PrivateKey::from_private_key(self.curve.agreement, scalar.as_ref())
                        .map_err(|_| CryptoError::Library("expand a private key"))?;
                self.agreeing.get_or_init(|| private)
            }
        };
        let peer = UnparsedPublicKey::new(self.curve.agreement, peer_public);
        agreement::agree(private, peer, REFUSED_PUBLIC, |secret| Ok(SecretVec::copy_from(secret)))
    }

    fn agrees_from_both_sides(&self) -> Result<bool, CryptoError> {
        let other = EcdsaKeyPair::generate(self.curve.der().signing)
            .map_err(|_| CryptoError::Library("generate an elliptic-curve key"))?;
        let other_pkcs8 = other.to_pkcs8v1().map_err(|_| REFUSED_PRIVATE)?;
        let other = self.curve.expand(other_pkcs8.as_ref())?;
        let here = self.agree(other.public.raw())?;
        Ok(here.ct_eq(other.agree(self.public.raw())?.expose()))
    }
}
