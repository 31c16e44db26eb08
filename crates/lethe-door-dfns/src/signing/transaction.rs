//! Unsigned transactions of Ethereum: legacy ones with and without EIP-155, and the types 1 to 4
//! (EIP-2930, EIP-1559, EIP-4844, EIP-7702). What does not read as one is not signed.

use super::Refused;
use super::rlp::Item;

/// Bytes of an address.
const ADDRESS_BYTES: usize = 20;
/// Bytes of a hash, of a number, and of a slot of storage.
const WORD_BYTES: usize = 32;
/// `v` of a signature without a chain (EIP-155).
const V_WITHOUT_CHAIN: u128 = 27;
/// What EIP-155 adds to twice the chain's number.
const V_OF_CHAIN: u128 = 35;

/// What stands in a field.
#[derive(Clone, Copy)]
enum Field {
    Number,
    /// An address, or nothing where a contract is created.
    Target,
    Address,
    Data,
    AccessList,
    Hashes,
    Authorizations,
}

use Field::{AccessList, Address, Authorizations, Data, Hashes, Number, Target};

/// Nonce, gas price, gas, to, value, data.
const LEGACY: &[Field] = &[Number, Number, Number, Target, Number, Data];
/// Chain, nonce, gas price, gas, to, value, data, access list.
const EIP_2930: &[Field] = &[Number, Number, Number, Number, Target, Number, Data, AccessList];
/// Chain, nonce, priority fee, fee, gas, to, value, data, access list.
const EIP_1559: &[Field] =
    &[Number, Number, Number, Number, Number, Target, Number, Data, AccessList];
/// The same, and fee and hashes of blobs.
const EIP_4844: &[Field] =
    &[Number, Number, Number, Number, Number, Address, Number, Data, AccessList, Number, Hashes];
/// The same as EIP-1559, and a list of authorizations.
const EIP_7702: &[Field] =
    &[Number, Number, Number, Number, Number, Address, Number, Data, AccessList, Authorizations];

/// A transaction that can be signed.
#[derive(Clone, Debug)]
pub(super) struct Unsigned {
    bytes: Vec<u8>,
    kind: Kind,
    fields: Vec<Item>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// With the number of its chain, if it names one.
    Legacy(Option<u128>),
    Typed(u8),
}

impl Unsigned {
    pub(super) fn read(bytes: Vec<u8>) -> Result<Self, Refused> {
        let refused = || Refused::field("transaction", "is no unsigned transaction of this chain");
        let (kind, fields) = read(&bytes).ok_or_else(refused)?;
        Ok(Self { bytes, kind, fields })
    }

    /// What is hashed and signed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The transaction with its signature.
    pub(super) fn signed(&self, r: &[u8], s: &[u8], recovery_id: u8) -> Vec<u8> {
        let parity = u128::from(recovery_id & 1);
        let v = match self.kind {
            Kind::Legacy(None) => V_WITHOUT_CHAIN + parity,
            // The chain's number has 64 bits at most.
            Kind::Legacy(Some(chain)) => V_OF_CHAIN + 2 * chain + parity,
            Kind::Typed(_) => parity,
        };
        let signature = [v.to_be_bytes().as_slice(), r, s].map(Item::number);
        let list = Item::List(self.fields.iter().cloned().chain(signature).collect()).write();
        match self.kind {
            Kind::Legacy(_) => list,
            Kind::Typed(number) => [&[number], list.as_slice()].concat(),
        }
    }
}

/// The kind, and the fields that stay before the signature.
fn read(bytes: &[u8]) -> Option<(Kind, Vec<Item>)> {
    let (&first, rest) = bytes.split_first()?;
    let shape = match first {
        1 => EIP_2930,
        2 => EIP_1559,
        3 => EIP_4844,
        4 => EIP_7702,
        _ => return read_legacy(bytes),
    };
    let fields = fields_of(rest)?;
    has_shape(&fields, shape).then_some((Kind::Typed(first), fields))
}

fn read_legacy(bytes: &[u8]) -> Option<(Kind, Vec<Item>)> {
    let mut fields = fields_of(bytes)?;
    let tail = fields.split_off(fields.len().min(LEGACY.len()));
    if !has_shape(&fields, LEGACY) {
        return None;
    }
    let kind = match tail.as_slice() {
        [] => Kind::Legacy(None),
        // EIP-155: the number of the chain, and zeros where the signature will stand.
        [chain, zero, other] if is_zero(zero) && is_zero(other) => {
            Kind::Legacy(Some(u128::from(small(chain).filter(|number| *number > 0)?)))
        }
        _ => return None,
    };
    Some((kind, fields))
}

fn fields_of(bytes: &[u8]) -> Option<Vec<Item>> {
    match Item::read(bytes)? {
        Item::List(fields) => Some(fields),
        Item::Bytes(_) => None,
    }
}

fn has_shape(fields: &[Item], shape: &[Field]) -> bool {
    fields.len() == shape.len() && fields.iter().zip(shape).all(|(item, field)| fits(item, *field))
}

fn fits(item: &Item, field: Field) -> bool {
    let has_length = |length| item.bytes().is_some_and(|bytes| bytes.len() == length);
    match field {
        Number => is_number(item),
        Target => has_length(0) || has_length(ADDRESS_BYTES),
        Address => has_length(ADDRESS_BYTES),
        Data => item.bytes().is_some(),
        AccessList => item.list().is_some_and(|entries| {
            entries.iter().all(|entry| match entry.list() {
                Some([address, slots]) => fits(address, Address) && fits(slots, Hashes),
                _ => false,
            })
        }),
        Hashes => item.list().is_some_and(|hashes| {
            let is_hash = |hash: &Item| hash.bytes().is_some_and(|hash| hash.len() == WORD_BYTES);
            hashes.iter().all(is_hash)
        }),
        Authorizations => item.list().is_some_and(|entries| {
            const SHAPE: &[Field] = &[Number, Address, Number, Number, Number, Number];
            entries.iter().all(|entry| entry.list().is_some_and(|entry| has_shape(entry, SHAPE)))
        }),
    }
}

fn is_number(item: &Item) -> bool {
    item.bytes().is_some_and(|bytes| bytes.len() <= WORD_BYTES && bytes.first() != Some(&0))
}

fn is_zero(item: &Item) -> bool {
    item.bytes().is_some_and(<[u8]>::is_empty)
}

fn small(item: &Item) -> Option<u64> {
    let bytes = item.bytes().filter(|bytes| bytes.len() <= 8 && bytes.first() != Some(&0))?;
    Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
