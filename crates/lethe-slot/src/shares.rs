//! Recovery shares: the key of a seal in n parts, of which any k bring it back (Shamir 1979, over
//! GF(2^8), by the library `blahaj`) and fewer say nothing about it.
//!
//! ```text
//! lethe recovery share 1
//! set 0123456789abcdef
//! share 2 of 5, any 3 are needed
//! seal passphrase
//! salt …                      16 bytes in hexadecimal digits
//! value …                     number and 32 bytes of the share
//! sha256 …                    of all lines before
//! ```
//! What is shared is the sealing key for one salt, so that it serves every kind of seal, and ends
//! with it: after a migration the shares open nothing any more.

use core::fmt;

use blahaj::{Share, Sharks};
use lethe_crypto::hash::sha256;
use lethe_erasure::seal::{SEAL_SALT_BYTES, Seal, SealError, SealKind};
use lethe_types::{Entropy, Secret, SecretVec};
use rand_core::{Infallible, TryCryptoRng, TryRng};
use zeroize::Zeroizing;

/// Most recovery shares of one seal.
pub const SHARES_MAX: u8 = 32;

/// Longest share, in bytes.
pub const SHARE_BYTES_MAX: usize = 1_024;

/// The sealing key of `seal` for `salt` in `number` texts, of which any `needed` bring it back.
///
/// # Errors
/// [`ShareError`].
pub fn split_seal(
    seal: &dyn Seal,
    salt: &[u8; SEAL_SALT_BYTES],
    needed: u8,
    number: u8,
    entropy: &dyn Entropy,
) -> Result<Vec<SecretVec>, ShareError> {
    if needed < 2 || needed > number || number > SHARES_MAX {
        return Err(ShareError::Numbers { needed, number });
    }
    let key = seal.key(salt).map_err(ShareError::Seal)?;
    let mut set = [0; 8];
    entropy.fill(&mut set).map_err(|_| ShareError::Entropy)?;
    let mut source = Source { entropy, has_failed: false };
    let dealt: Vec<Share> =
        Sharks(needed).dealer_rng(key.expose(), &mut source).take(number.into()).collect();
    if source.has_failed {
        return Err(ShareError::Entropy);
    }
    let header = Header { set, needed, number, kind: seal.kind(), salt: *salt };
    Ok(dealt.iter().map(|share| header.print(&Zeroizing::new(Vec::from(share)))).collect())
}

/// The seal that the texts of enough shares bring back.
///
/// # Errors
/// [`ShareError`]. Whether the key is the right one shows when it opens the slot.
pub fn join_shares(texts: &[SecretVec]) -> Result<RecoveredSeal, ShareError> {
    let mut shares: Vec<Share> = Vec::with_capacity(texts.len());
    let mut first: Option<Header> = None;
    for (number, text) in (1..).zip(texts) {
        let (header, value) = Header::parse(text.expose()).ok_or(ShareError::Damaged(number))?;
        if first.as_ref().is_some_and(|first| *first != header) {
            return Err(ShareError::OtherSet(number));
        }
        first = Some(header);
        if !shares.iter().any(|share| share.x.0 == value[0]) {
            shares
                .push(Share::try_from(value.as_slice()).map_err(|_| ShareError::Damaged(number))?);
        }
    }
    let header = first.ok_or(ShareError::TooFew { given: 0, needed: 2 })?;
    let needed = usize::from(header.needed);
    if shares.len() < needed {
        return Err(ShareError::TooFew { given: shares.len(), needed: header.needed });
    }
    let sharks = Sharks(header.needed);
    let joined = sharks.recover(&shares[..needed]).map_err(|_| ());
    let key = Zeroizing::new(joined.map_err(|()| ShareError::Damaged(1))?);
    let bytes: &[u8; 32] = key.as_slice().try_into().map_err(|_| ShareError::Damaged(1))?;
    let key = Secret::init_with(|secret| secret.copy_from_slice(bytes));
    Ok(RecoveredSeal { kind: header.kind, key })
}

/// A seal from recovery shares: it opens the slot that they were made for, so that it can be
/// migrated to a new one.
#[derive(Debug)]
pub struct RecoveredSeal {
    kind: SealKind,
    key: Secret<32>,
}

impl Seal for RecoveredSeal {
    fn kind(&self) -> SealKind {
        self.kind
    }

    /// The recovered key whatever the salt: for another one it opens nothing.
    fn key(&self, _salt: &[u8; SEAL_SALT_BYTES]) -> Result<Secret<32>, SealError> {
        Ok(self.key.duplicate())
    }
}

/// What all shares of a set say.
#[derive(Clone, PartialEq, Eq)]
struct Header {
    set: [u8; 8],
    needed: u8,
    number: u8,
    kind: SealKind,
    salt: [u8; SEAL_SALT_BYTES],
}

impl Header {
    fn print(&self, value: &[u8]) -> SecretVec {
        let Self { set, needed, number, kind, salt } = self;
        let mut text = Zeroizing::new(String::with_capacity(SHARE_BYTES_MAX));
        let add = |text: &mut String, line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        add(&mut text, MAGIC);
        add(&mut text, &format!("set {}", hex(set)));
        add(&mut text, &format!("share {} of {number}, any {needed} are needed", value[0]));
        add(&mut text, &format!("seal {}", kind.as_str()));
        add(&mut text, &format!("salt {}", hex(salt)));
        add(&mut text, &Zeroizing::new(format!("value {}", &*Zeroizing::new(hex(value)))));
        let sum = sha256(&[text.as_bytes()]);
        add(&mut text, &format!("sha256 {}", hex(&sum)));
        SecretVec::copy_from(text.as_bytes())
    }

    /// Strict: only what [`Header::print`] writes.
    fn parse(bytes: &[u8]) -> Option<(Self, Zeroizing<Vec<u8>>)> {
        let text = core::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        if lines.next()? != MAGIC {
            return None;
        }
        let set = unhex(lines.next()?.strip_prefix("set ")?)?;
        let (_, counts) = lines.next()?.strip_prefix("share ")?.split_once(" of ")?;
        let (number, needed) = counts.strip_suffix(" are needed")?.split_once(", any ")?;
        let word = lines.next()?.strip_prefix("seal ")?;
        let kind = (0..=u8::MAX).filter_map(SealKind::from_number);
        let kind = kind.into_iter().find(|kind| kind.as_str() == word)?;
        let salt = unhex(lines.next()?.strip_prefix("salt ")?)?;
        let value = unhex(lines.next()?.strip_prefix("value ")?)?;
        let header = Self {
            set: set.as_slice().try_into().ok()?,
            needed: needed.parse().ok()?,
            number: number.parse().ok()?,
            kind,
            salt: salt.as_slice().try_into().ok()?,
        };
        let is_sound = value.len() == 33
            && (1..=header.number).contains(&value[0])
            && header.needed >= 2
            && header.print(&value).ct_eq(bytes);
        is_sound.then_some((header, value))
    }
}

const MAGIC: &str = "lethe recovery share 1";

fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            digits.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
        }
    }
    digits
}

fn unhex(digits: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    for place in 0..digits.len() / 2 {
        bytes.push(u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok()?);
    }
    Some(bytes)
}

/// Our random source as the library wants one. It cannot say that it failed: who uses it asks.
struct Source<'a> {
    entropy: &'a dyn Entropy,
    has_failed: bool,
}

impl TryRng for Source<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.has_failed |= self.entropy.fill(bytes).is_err();
        Ok(())
    }
}

impl TryCryptoRng for Source<'_> {}

/// Why there are no shares, or why they bring nothing back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareError {
    /// The share with this number among those given is not one, or was altered.
    Damaged(usize),
    /// The random source failed.
    Entropy,
    /// So many shares cannot be made.
    Numbers {
        /// How many bring the key back.
        needed: u8,
        /// How many there are.
        number: u8,
    },
    /// The share with this number among those given belongs to other ones.
    OtherSet(usize),
    /// The seal gave no key.
    Seal(SealError),
    /// Fewer different shares than are needed.
    TooFew {
        /// Different ones among those given.
        given: usize,
        /// How many are needed.
        needed: u8,
    },
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(number) => {
                write!(f, "share {number} of those given is no recovery share, or was altered")
            }
            Self::Entropy => f.write_str("the random source failed while making shares"),
            Self::Numbers { needed, number } => write!(
                f,
                "{needed} of {number} shares: it takes at least 2, at most all of them, and there \
                 are at most {SHARES_MAX}"
            ),
            Self::OtherSet(number) => {
                write!(f, "share {number} of those given belongs to another set than the first")
            }
            Self::Seal(error) => error.fmt(f),
            Self::TooFew { given, needed } => {
                write!(f, "{given} different shares are too few: {needed} are needed")
            }
        }
    }
}

impl core::error::Error for ShareError {}
