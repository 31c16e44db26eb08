//! RLP, the serialisation of Ethereum's transactions (Yellow Paper, appendix B): strict, one form a
//! value.

/// Deepest nesting of lists: an access list in a transaction has four.
const DEPTH_MAX: usize = 8;
/// Below this length a value's length stands in its first byte.
const SHORT_BYTES: usize = 56;

/// A value: bytes, or a list of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Bytes(Vec<u8>),
    List(Vec<Self>),
}

impl Item {
    /// A number: big-endian, without zeros in front.
    pub(super) fn number(big_endian: &[u8]) -> Self {
        let zeros = big_endian.iter().take_while(|byte| **byte == 0).count();
        Self::Bytes(big_endian.iter().skip(zeros).copied().collect())
    }

    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::List(_) => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            Self::Bytes(_) => None,
        }
    }

    /// Reads exactly one value.
    pub(super) fn read(encoded: &[u8]) -> Option<Self> {
        let (item, rest) = read(encoded, DEPTH_MAX)?;
        rest.is_empty().then_some(item)
    }

    pub(super) fn write(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => match bytes.as_slice() {
                [byte @ ..0x80] => vec![*byte],
                bytes => [prefix(0x80, bytes.len()).as_slice(), bytes].concat(),
            },
            Self::List(items) => {
                let payload = items.iter().map(Self::write).collect::<Vec<_>>().concat();
                [prefix(0xc0, payload.len()), payload].concat()
            }
        }
    }
}

fn prefix(base: u8, length: usize) -> Vec<u8> {
    let short = u8::try_from(length).ok().filter(|_| length < SHORT_BYTES);
    if let Some(short) = short {
        return vec![base + short];
    }
    let bytes = length.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = bytes.iter().skip(zeros).copied();
    let count = u8::try_from(bytes.len() - zeros).unwrap_or(u8::MAX);
    core::iter::once(base + 55 + count).chain(digits).collect()
}

fn read(encoded: &[u8], depth: usize) -> Option<(Item, &[u8])> {
    let (&first, rest) = encoded.split_first()?;
    match first {
        ..0x80 => Some((Item::Bytes(vec![first]), rest)),
        0x80..0xc0 => {
            let (bytes, rest) = payload(first - 0x80, rest)?;
            // A single byte below 0x80 is written as itself.
            let is_longer_than_needed = matches!(bytes, [..0x80]);
            (!is_longer_than_needed).then(|| (Item::Bytes(bytes.to_vec()), rest))
        }
        0xc0.. => {
            let (mut inner, rest) = payload(first - 0xc0, rest)?;
            let depth = depth.checked_sub(1)?;
            let mut items = Vec::new();
            while !inner.is_empty() {
                let (item, others) = read(inner, depth)?;
                items.push(item);
                inner = others;
            }
            Some((Item::List(items), rest))
        }
    }
}

/// What a value's first byte, less its base, says of what follows.
fn payload(length: u8, rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(length);
    if length < SHORT_BYTES {
        return rest.split_at_checked(length);
    }
    let (digits, rest) = rest.split_at_checked(length - 55)?;
    if digits.first() == Some(&0) {
        return None;
    }
    let mut length: usize = 0;
    for digit in digits {
        length = length.checked_mul(256)?.checked_add(usize::from(*digit))?;
    }
    if length < SHORT_BYTES {
        return None;
    }
    rest.split_at_checked(length)
}
