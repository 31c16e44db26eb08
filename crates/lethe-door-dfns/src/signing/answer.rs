//! How a signature is written.

use lethe_crypto::registry::Signature;
use serde_json::{Map, Value};

use super::KeyKind;
use super::chains::Chain;
use super::fields::to_hex;
use super::kinds::SigningRequest;

/// Bytes of half a signature.
const HALF_BYTES: usize = 32;
/// `v` of a signature of Ethereum is the recovery number and this.
const V_OFFSET: u8 = 27;

/// What an answer tells of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureAnswer {
    /// The member `signature`.
    pub signature: WrittenSignature,
    /// The member `signedData`: what was signed together with its signature.
    pub signed_data: Option<String>,
    /// The member `network`.
    pub network: Option<&'static str>,
}

/// A signature as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenSignature {
    /// First half.
    pub r: String,
    /// Second half.
    pub s: String,
    /// Which point `r` is of; of ECDSA alone.
    pub recid: Option<u8>,
    /// In the form of the chain, where it has one.
    pub encoded: Option<String>,
}

impl WrittenSignature {
    /// As it stands in an answer.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut members = Map::new();
        members.insert("r".to_owned(), Value::from(self.r.as_str()));
        members.insert("s".to_owned(), Value::from(self.s.as_str()));
        if let Some(recid) = self.recid {
            members.insert("recid".to_owned(), Value::from(recid));
        }
        if let Some(encoded) = &self.encoded {
            members.insert("encoded".to_owned(), Value::from(encoded.as_str()));
        }
        Value::Object(members)
    }
}

impl SigningRequest {
    /// The answer with the signature that the engine made; `None` if it is none of this request.
    #[must_use]
    pub fn answer(&self, signature: &Signature) -> Option<SignatureAnswer> {
        let (r, s) = signature.bytes.split_first_chunk::<HALF_BYTES>()?;
        let s = <&[u8; HALF_BYTES]>::try_from(s).ok()?;
        let recid = match self.key() {
            KeyKind::Ecdsa | KeyKind::EcdsaStark => Some(signature.recovery_id?),
            KeyKind::EdDsa | KeyKind::Schnorr | KeyKind::Dh => None,
        };
        let encoded = self.encoded(r, s, recid).map(|bytes| to_hex(&bytes));
        let signed_data = self.transaction().zip(recid);
        let signed_data =
            signed_data.map(|(unsigned, recid)| to_hex(&unsigned.signed(r, s, recid)));
        Some(SignatureAnswer {
            signature: WrittenSignature { r: to_hex(r), s: to_hex(s), recid, encoded },
            signed_data,
            network: self.network(),
        })
    }

    fn encoded(
        &self,
        r: &[u8; HALF_BYTES],
        s: &[u8; HALF_BYTES],
        recid: Option<u8>,
    ) -> Option<Vec<u8>> {
        let joined = || [r.as_slice(), s].concat();
        match (self.key(), self.form()?) {
            (KeyKind::Ecdsa, Chain::Evm) => Some([r.as_slice(), s, &[V_OFFSET + recid?]].concat()),
            (KeyKind::Ecdsa, Chain::Xrpl) => Some(der(r, s)),
            (KeyKind::EdDsa, Chain::Substrate | Chain::Polymesh) => {
                Some([&[0], r.as_slice(), s].concat())
            }
            (
                KeyKind::EdDsa,
                Chain::Algorand
                | Chain::Cardano
                | Chain::Solana
                | Chain::Stellar
                | Chain::Tezos
                | Chain::Ton,
            ) => Some(joined()),
            // Nobody says how the others write it.
            _ => None,
        }
    }
}

/// `Ecdsa-Sig-Value` (RFC 3279 section 2.2.3).
fn der(r: &[u8; HALF_BYTES], s: &[u8; HALF_BYTES]) -> Vec<u8> {
    let value = |tag: u8, content: Vec<u8>| {
        // Two integers of 33 bytes at most and their heads stay below 128.
        let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
        [vec![tag, length], content].concat()
    };
    let integer = |half: &[u8; HALF_BYTES]| {
        let zeros = half.iter().take_while(|byte| **byte == 0).count().min(HALF_BYTES - 1);
        let digits: Vec<u8> = half.iter().skip(zeros).copied().collect();
        let is_high = digits.first().is_some_and(|first| *first >= 0x80);
        value(2, if is_high { [vec![0], digits].concat() } else { digits })
    };
    value(0x30, [integer(r), integer(s)].concat())
}
