//! What a key is made of: its secret bytes, and beside them the public key.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_types::SecretVec;

/// Characters on a line of PEM (RFC 7468 section 2).
const PEM_LINE_CHARACTERS: usize = 64;

/// Bytes of both coordinates of a point of P-256, secp256k1 and the Stark curve, P-384, P-521. No
/// other raw public key has one byte more than these.
const SEC1_POINT_BYTES: [usize; 3] = [64, 96, 132];

/// A fresh key: secret bytes and, for a key pair, the public key.
///
/// Encoding of the secret bytes:
///
/// | algorithms | encoding |
/// | --- | --- |
/// | AES, ChaCha20, HMAC | the raw key |
/// | Ed25519 | the 32-byte seed (RFC 8032 section 5.1.5, `private key`) |
/// | Ed25519, expanded | the 32-byte scalar, little-endian, then the 32-byte prefix |
/// | Ed448 | the 57-byte seed (RFC 8032 section 5.2.5) |
/// | X25519, X448 | the scalar, not clamped (RFC 7748 section 5) |
/// | ECDSA and ECDH on NIST curves | PKCS#8 version 1 in DER, public key inside (RFC 5915) |
/// | secp256k1, Stark curve | the 32-byte scalar, big-endian |
/// | BIP-32, SLIP-0010, other keys that derive | the 32-byte key, then the 32-byte chain code |
/// | RSA | PKCS#8 version 1 in DER with the CRT parts inside (RFC 5208, RFC 8017) |
/// | ML-KEM | the 64 bytes `d \|\| z` (FIPS 203 algorithm 16), or the expanded key |
/// | ML-DSA | the 32-byte seed (FIPS 204 algorithm 6), or the expanded key |
/// | X25519 with ML-KEM-768 | the 32-byte seed of X-Wing |
///
/// An expanded key is material where a key was imported without its seed: it cannot be turned back.
pub struct Material {
    secret: SecretVec,
    public: Option<PublicKey>,
}

impl Material {
    pub(crate) fn new(secret: SecretVec, public: Option<PublicKey>) -> Self {
        Self { secret, public }
    }

    /// The secret bytes, for [`crate::registry::Algorithm::load`] and for sealing.
    #[must_use]
    pub fn secret(&self) -> &SecretVec {
        &self.secret
    }

    /// The public key; `None` for a symmetric key. Not secret.
    #[must_use]
    pub fn public_key(&self) -> Option<&PublicKey> {
        self.public.as_ref()
    }

    /// Both parts.
    #[must_use]
    pub fn into_parts(self) -> (SecretVec, Option<PublicKey>) {
        (self.secret, self.public)
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material")
            .field("secret", &self.secret)
            .field("public", &self.public)
            .finish()
    }
}

/// A public key in the two forms that are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    raw: Box<[u8]>,
    spki_der: Box<[u8]>,
}

impl PublicKey {
    pub(crate) fn new(raw: &[u8], spki_der: &[u8]) -> Self {
        Self { raw: raw.into(), spki_der: spki_der.into() }
    }

    /// The algorithm's own form: 32 bytes for Ed25519 and X25519, the uncompressed point of SEC 1
    /// section 2.3.3 for ECDSA, `RSAPublicKey` in DER (RFC 8017 appendix A.1.1) for RSA, the
    /// encapsulation or public key of FIPS 203 and FIPS 204 for the lattices.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// `SubjectPublicKeyInfo` in DER (RFC 5280 section 4.1.2.7, RFC 8410 for the Curve25519 keys).
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// The compressed point of SEC 1 section 2.3.3; `None` if the key is no point of a Weierstrass
    /// curve.
    #[must_use]
    pub fn sec1_compressed(&self) -> Option<Vec<u8>> {
        let (&tag, point) = self.raw.split_first()?;
        let is_point = tag == 4 && SEC1_POINT_BYTES.contains(&point.len());
        let (x, y) = point.split_at(point.len() / 2);
        let parity = y.last()? & 1;
        is_point.then(|| [&[2 + parity], x].concat())
    }

    /// [`PublicKey::spki_der`] as PEM with the label `PUBLIC KEY` (RFC 7468 section 13), with a
    /// line feed after every line.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let base64 = STANDARD.encode(&self.spki_der);
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        let mut rest = base64.as_str();
        while !rest.is_empty() {
            let (line, others) = rest.split_at(rest.len().min(PEM_LINE_CHARACTERS));
            pem.push_str(line);
            pem.push('\n');
            rest = others;
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        pem
    }
}
