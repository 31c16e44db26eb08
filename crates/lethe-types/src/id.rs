//! One 16-byte identifier type per kind of thing, so that one cannot be passed for another.

use core::fmt;
use core::str::FromStr;

use crate::{Entropy, EntropyError};

/// A text that is not 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an identifier is 32 lower-case hexadecimal digits")
    }
}

impl core::error::Error for InvalidId {}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// 16 random bytes, written as 32 lower-case hexadecimal digits.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// A fresh random identifier.
            ///
            /// # Errors
            /// [`EntropyError`] if the random source failed.
            pub fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
                let mut bytes = [0_u8; 16];
                entropy.fill(&mut bytes)?;
                Ok(Self(bytes))
            }

            /// The 16 bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(hex(&self.0, &mut [0; 32]))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_hex(text).map(Self)
            }
        }
    )*};
}

ids! {
    /// A request for a guarded destruction, and the approvals it has.
    ApprovalId;
    /// One backup; tags the root that the slot keeps for it.
    BackupId;
    /// One run of the erasure algorithm: the deletions that were made final together.
    BatchId;
    /// How a principal proves itself: one bearer token, signing key or passphrase.
    CredentialId;
    /// One audit event.
    EventId;
    /// A block on the destruction of one key.
    HoldId;
    /// A key pair for whose holder, this server, one key is wrapped that is to be imported.
    ImportKeyId;
    /// A long-running piece of work, as a bulk destruction.
    JobId;
    /// A key, over all its versions. Vendor identifiers are aliases of it.
    KeyId;
    /// Who acts: a user, a service account, a device role.
    PrincipalId;
    /// A tenant. Nothing crosses realms.
    RealmId;
    /// An erasure tree; binds every sealed node and record to one installation.
    TreeId;
    /// A named collection of keys in a realm.
    VaultId;
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn hex<'a>(bytes: &[u8; 16], out: &'a mut [u8; 32]) -> &'a str {
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    core::str::from_utf8(out).expect("hexadecimal digits are ASCII")
}

fn parse_hex(text: &str) -> Result<[u8; 16], InvalidId> {
    let digits: &[u8; 32] = text.as_bytes().try_into().map_err(|_| InvalidId)?;
    let mut bytes = [0_u8; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Ok(bytes)
}

fn nibble(digit: u8) -> Result<u8, InvalidId> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(InvalidId),
    }
}
