//! The stored form of records: one byte of format version, then CBOR (RFC 8949) arrays in the field
//! order below. New fields are appended with the next number; numbers are never reused.
//!
//! Secret material is inside only as blobs that `lethe_erasure` sealed.

mod details;
mod key;
mod life;
mod owner;
mod policy;
mod principal;
mod work;

use std::collections::BTreeMap;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

pub(crate) use key::{decode_key, encode_key};
pub(crate) use life::{decode_import_key, encode_import_key};
pub(crate) use owner::{decode_realm, decode_vault, encode_realm, encode_vault};
pub(crate) use principal::{decode_principal, encode_principal};
pub(crate) use work::{decode_approval, decode_job, encode_approval, encode_job};

/// The format that this build writes, and the only one that it reads.
const FORMAT: u8 = 2;

/// A stored record that this build cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Undecodable(pub(crate) &'static str);

/// Values of doors by name.
#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredAttribute {
    #[n(0)]
    name: String,
    #[n(1)]
    value: ByteVec,
}

fn attributes_to_stored<'a>(
    attributes: impl IntoIterator<Item = (&'a Box<str>, &'a Box<[u8]>)>,
) -> Vec<StoredAttribute> {
    attributes
        .into_iter()
        .map(|(name, value)| StoredAttribute {
            name: name.to_string(),
            value: value.to_vec().into(),
        })
        .collect()
}

fn attributes_from_stored(stored: Vec<StoredAttribute>) -> BTreeMap<Box<str>, Box<[u8]>> {
    stored
        .into_iter()
        .map(|attribute| (attribute.name.into(), Vec::from(attribute.value).into()))
        .collect()
}

fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(384);
    bytes.push(FORMAT);
    minicbor::encode(value, &mut bytes).expect("writing to a Vec does not fail");
    bytes
}

fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, Undecodable> {
    let (&format, body) = bytes.split_first().ok_or(Undecodable("an empty record"))?;
    if format != FORMAT {
        return Err(Undecodable("a record format that this build does not know"));
    }
    let mut decoder = minicbor::Decoder::new(body);
    let value = decoder.decode().map_err(|_| Undecodable("a record that is not well-formed"))?;
    if decoder.position() == body.len() {
        Ok(value)
    } else {
        Err(Undecodable("bytes after the end of a record"))
    }
}
