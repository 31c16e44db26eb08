//! The identifiers of the dialect: a prefix and 26 characters of base32hex, in groups of 5, 5 and
//! 16. Each is the text of 16 bytes, so that an identifier of the engine has exactly one.

use lethe_types::{CredentialId, Entropy, EntropyError, PrincipalId, RealmId, UnixMillis};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
/// Characters of 16 bytes: 128 bits, and 2 that are zero.
const CHARACTERS: usize = 26;
/// The lengths of the groups.
const GROUPS: [usize; 3] = [5, 5, 16];

/// What an identifier names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    Assignment,
    Cluster,
    Credential,
    Key,
    Log,
    Org,
    Permission,
    Signature,
    Store,
    Token,
    User,
}

impl Prefix {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Assignment => "as",
            Self::Cluster => "cl",
            Self::Credential => "cr",
            Self::Key => "key",
            Self::Log => "uj",
            Self::Org => "or",
            Self::Permission => "pm",
            Self::Signature => "sig",
            Self::Store => "store",
            Self::Token => "to",
            Self::User => "us",
        }
    }
}

/// The identifier of these bytes.
pub(crate) fn id(prefix: Prefix, bytes: &[u8; 16]) -> String {
    let text = base32hex(bytes);
    let (first, rest) = text.split_at(GROUPS[0]);
    let (second, third) = rest.split_at(GROUPS[1]);
    format!("{}-{first}-{second}-{third}", prefix.as_str())
}

/// The bytes of an identifier; `None` for everything that [`id`] does not write.
pub(crate) fn parse(prefix: Prefix, text: &str) -> Option<[u8; 16]> {
    let mut parts = text.strip_prefix(prefix.as_str())?.strip_prefix('-')?.split('-');
    let mut characters = String::with_capacity(CHARACTERS);
    for length in GROUPS {
        characters.push_str(parts.next().filter(|part| part.len() == length)?);
    }
    let mut number: u128 = 0;
    let (last, most) = characters.as_bytes().split_last()?;
    let digit = |byte: &u8| ALPHABET.iter().position(|known| known == byte);
    for byte in most {
        number = number << 5 | u128::try_from(digit(byte)?).ok()?;
    }
    // The last character holds three bits of the number.
    let last = u128::try_from(digit(last)?).ok()?;
    let bytes = (number << 3 | last >> 2).to_be_bytes();
    (parts.next().is_none() && last & 3 == 0).then_some(bytes)
}

pub(crate) fn base32hex(bytes: &[u8; 16]) -> String {
    let number = u128::from_be_bytes(*bytes);
    let digit = |at: usize| {
        let value = match at {
            25 => number << 2 & 31,
            at => number >> (123 - 5 * at) & 31,
        };
        let value = usize::try_from(value).expect("five bits");
        char::from(ALPHABET[value])
    };
    (0..CHARACTERS).map(digit).collect()
}

/// 16 bytes that sort by time: 6 of milliseconds, 10 of chance.
///
/// # Errors
/// The random source failed.
pub(crate) fn timed(now: UnixMillis, entropy: &dyn Entropy) -> Result<[u8; 16], EntropyError> {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes[6..])?;
    bytes[..6].copy_from_slice(&now.0.to_be_bytes()[2..]);
    Ok(bytes)
}

/// The least identifier that [`timed`] makes at that time.
pub(crate) fn timed_from(time: UnixMillis) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&time.0.to_be_bytes()[2..]);
    bytes
}

/// 16 random bytes.
///
/// # Errors
/// The random source failed.
pub(crate) fn random(entropy: &dyn Entropy) -> Result<[u8; 16], EntropyError> {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn user(id_of: PrincipalId) -> String {
    id(Prefix::User, &id_of.0)
}

pub(crate) fn parse_user(text: &str) -> Option<PrincipalId> {
    parse(Prefix::User, text).map(PrincipalId)
}

pub(crate) fn token(id_of: CredentialId) -> String {
    id(Prefix::Token, &id_of.0)
}

pub(crate) fn parse_token(text: &str) -> Option<CredentialId> {
    parse(Prefix::Token, text).map(CredentialId)
}

pub(crate) fn credential(id_of: CredentialId) -> String {
    id(Prefix::Credential, &id_of.0)
}

pub(crate) fn parse_credential(text: &str) -> Option<CredentialId> {
    parse(Prefix::Credential, text).map(CredentialId)
}

pub(crate) fn org(realm: RealmId) -> String {
    id(Prefix::Org, &realm.0)
}
