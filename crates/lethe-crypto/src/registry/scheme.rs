//! How a signature is made and written.

use core::fmt;
use core::str::FromStr;

macro_rules! schemes {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A hash, a padding and an encoding of the result.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum SignatureScheme {
            $($(#[$doc])* #[doc = concat!("\n\nWritten `", $text, "`.")] $name,)*
        }

        impl SignatureScheme {
            /// All schemes of this build.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The scheme's stable name, as in the native API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

schemes! {
    /// Pure Ed25519 (RFC 8032 section 5.1), 64 bytes.
    Ed25519 = "ed25519";
    /// ECDSA with SHA-256 (FIPS 186-5), a DER `Ecdsa-Sig-Value` (RFC 3279 section 2.2.3).
    EcdsaSha256 = "ecdsa-sha256";
    /// ECDSA with SHA-256, `r` and `s` side by side at the length of the order (IEEE P1363).
    EcdsaSha256P1363 = "ecdsa-sha256-p1363";
    /// ECDSA with SHA-384 in DER.
    EcdsaSha384 = "ecdsa-sha384";
    /// ECDSA with SHA-384 at fixed length (IEEE P1363).
    EcdsaSha384P1363 = "ecdsa-sha384-p1363";
    /// ECDSA with SHA-512 in DER.
    EcdsaSha512 = "ecdsa-sha512";
    /// ECDSA with SHA-512 at fixed length (IEEE P1363).
    EcdsaSha512P1363 = "ecdsa-sha512-p1363";
    /// RSASSA-PSS (RFC 8017 section 8.1) with SHA-256, MGF1 with the same, a salt of 32 bytes if no
    /// other is asked for.
    RsaPssSha256 = "rsa-pss-sha256";
    /// RSASSA-PSS with SHA-384, MGF1 with the same, a salt of 48 bytes if no other is asked
    /// for.
    RsaPssSha384 = "rsa-pss-sha384";
    /// RSASSA-PSS with SHA-512, MGF1 with the same, a salt of 64 bytes if no other is asked
    /// for.
    RsaPssSha512 = "rsa-pss-sha512";
    /// RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2) with SHA-256.
    RsaPkcs1Sha256 = "rsa-pkcs1-sha256";
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RsaPkcs1Sha384 = "rsa-pkcs1-sha384";
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaPkcs1Sha512 = "rsa-pkcs1-sha512";
    /// ECDSA with Keccak-256 as Ethereum has it, in DER, `s` at most half the order (EIP-2).
    EcdsaKeccak256 = "ecdsa-keccak256";
    /// ECDSA with Keccak-256 at fixed length (IEEE P1363), `s` at most half the order.
    EcdsaKeccak256P1363 = "ecdsa-keccak256-p1363";
    /// Schnorr signatures of BIP-340 on secp256k1, 64 bytes.
    Bip340 = "bip340";
    /// BIP-340 with the key tweaked as in BIP-341. The context is the Merkle root of 32 bytes; an
    /// empty one, or none, tweaks by the key alone.
    Bip340Taproot = "bip340-taproot";
    /// Ed25519ctx (RFC 8032 section 5.1), 64 bytes. Needs a context.
    Ed25519ctx = "ed25519ctx";
    /// Ed25519ph (RFC 8032 section 5.1): of the SHA-512 of the message. A context is optional.
    Ed25519ph = "ed25519ph";
    /// Pure Ed448 (RFC 8032 section 5.2), 114 bytes. A context is optional.
    Ed448 = "ed448";
    /// Ed448ph (RFC 8032 section 5.2): of 64 bytes of SHAKE256 of the message. A context is
    /// optional.
    Ed448ph = "ed448ph";
    /// ECDSA on the Stark curve, `r` and `s` of 32 bytes each, of a hash below 2^251 or of the low
    /// 250 bits of Keccak-256 of a message.
    Stark = "stark";
    /// Pure ML-DSA-44 (FIPS 204 section 5.2), 2,420 bytes. A context is optional.
    MlDsa44 = "ml-dsa-44";
    /// Pure ML-DSA-65, 3,309 bytes. A context is optional.
    MlDsa65 = "ml-dsa-65";
    /// Pure ML-DSA-87, 4,627 bytes. A context is optional.
    MlDsa87 = "ml-dsa-87";
}

impl fmt::Display for SignatureScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no signature scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownSignatureScheme;

impl fmt::Display for UnknownSignatureScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name is of no known signature scheme")
    }
}

impl core::error::Error for UnknownSignatureScheme {}

impl FromStr for SignatureScheme {
    type Err = UnknownSignatureScheme;

    fn from_str(text: &str) -> Result<Self, UnknownSignatureScheme> {
        Self::ALL
            .iter()
            .copied()
            .find(|scheme| scheme.as_str() == text)
            .ok_or(UnknownSignatureScheme)
    }
}
