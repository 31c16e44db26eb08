//! The kinds of signature requests and what each wants signed.

use lethe_crypto::registry::{SignInput, SignRequest, SignatureScheme};
use serde_json::{Map, Value};
use sha3::{Digest as _, Keccak256};

use super::chains::{Chain, Named};
use super::fields::{closed, count, hex, hex_array, hex_of, needed, text};
use super::rlp::Item;
use super::transaction::Unsigned;
use super::{KeyKind, Refused, eip712};

/// Bytes of a hash.
const HASH_BYTES: usize = 32;
/// Bytes of an address of Ethereum.
const ADDRESS_BYTES: usize = 20;
/// Most characters of an external identifier.
const EXTERNAL_ID_CHARACTERS_MAX: usize = 50;
/// First byte of what EIP-7702 has signed.
const AUTHORIZATION_TAG: u8 = 5;
/// Hashes on the Stark curve stay below 2^251: first byte of the least that does not.
const STARK_HASH_TOP_BYTE: u8 = 8;

/// Kinds that are known and not served.
const NOT_SERVED: [&str; 8] = [
    "Psbt",
    "Bip322",
    "SignerPayload",
    "Cip8",
    "Snip12",
    "PactCommand",
    "DfnsSmartAccountTransaction",
    "StellarFeeBumpTransaction",
];

/// A signature request that fits its key.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    key: KeyKind,
    scheme: SignatureScheme,
    named: Named,
    external_id: Option<String>,
    wanted: Wanted,
}

/// What is to be signed.
#[derive(Clone, Debug)]
enum Wanted {
    /// A hash, in no chain's form but that of the one that is named.
    Hash([u8; HASH_BYTES]),
    /// A hash by a key that is tweaked with this root, or with none.
    Tweaked([u8; HASH_BYTES], Vec<u8>),
    /// Bytes that the scheme hashes itself.
    Message(Vec<u8>),
    /// A hash, in the form of Ethereum.
    EvmHash([u8; HASH_BYTES]),
    Transaction([u8; HASH_BYTES], Unsigned),
}

impl SigningRequest {
    /// Reads the body of a request for a signature by a key of kind `key` that is called `key_id`.
    ///
    /// # Errors
    /// [`Refused`]: for a body that is not exactly one request of a kind that is served, and for a
    /// kind that does not fit the key or the chain.
    pub fn read(body: &Map<String, Value>, key: KeyKind, key_id: &str) -> Result<Self, Refused> {
        let kind = needed(body, "kind")?;
        let external_id = external_id(body)?;
        let named = Named::read(body)?;
        let scheme = key.signature_scheme();
        let scheme = scheme.ok_or_else(|| does_not_fit(kind, key))?;
        let wanted = match kind {
            "Hash" => hash(body, key)?,
            "Message" => message(body, key, &named, key_id)?,
            "Eip191" => {
                closed(body, &["message"])?;
                ethereum(kind, key, &named)?;
                Wanted::EvmHash(personal(&hex(body, "message")?))
            }
            "Eip712" => {
                closed(body, &["types", "domain", "message"])?;
                ethereum(kind, key, &named)?;
                Wanted::EvmHash(eip712::digest(body)?)
            }
            "Eip7702" => {
                closed(body, &["address", "nonce", "chainId"])?;
                ethereum(kind, key, &named)?;
                Wanted::EvmHash(authorization(body)?)
            }
            "Transaction" => transaction(body, key, &named, key_id)?,
            "SignDocDirect" => {
                closed(body, &["signDoc"])?;
                if key != KeyKind::Ecdsa {
                    return Err(does_not_fit(kind, key));
                }
                if !named.can_be(Chain::Cosmos) {
                    return Err(Refused::field("kind", "does not fit the network"));
                }
                Wanted::Message(hex(body, "signDoc")?)
            }
            known if NOT_SERVED.contains(&known) => return Err(Refused::kind(known, key_id)),
            _ => return Err(Refused::field("kind", "is no known kind of signature")),
        };
        Ok(Self { key, scheme, named, external_id, wanted })
    }

    /// What the engine signs.
    #[must_use]
    pub fn to_sign(&self) -> SignRequest<'_> {
        match &self.wanted {
            Wanted::Message(message) => SignRequest::message(message).by(self.scheme),
            Wanted::Tweaked(hash, root) => {
                SignRequest::digest(hash).by(self.scheme).with_context(root)
            }
            // EdDSA takes no digest: the hash is its message.
            Wanted::Hash(hash) if self.key == KeyKind::EdDsa => {
                SignRequest { input: SignInput::Message(hash), ..SignRequest::message(hash) }
                    .by(self.scheme)
            }
            Wanted::Hash(hash) | Wanted::EvmHash(hash) | Wanted::Transaction(hash, _) => {
                SignRequest::digest(hash).by(self.scheme)
            }
        }
    }

    /// The client's own identifier of the request, if it gave one.
    #[must_use]
    pub fn external_id(&self) -> Option<&str> {
        self.external_id.as_deref()
    }

    /// The network for the answer.
    #[must_use]
    pub fn network(&self) -> Option<&'static str> {
        self.named.network
    }

    pub(super) fn key(&self) -> KeyKind {
        self.key
    }

    /// The chain in whose form the signature is written beside its two halves.
    pub(super) fn form(&self) -> Option<Chain> {
        match self.wanted {
            Wanted::EvmHash(_) | Wanted::Transaction(..) => Some(Chain::Evm),
            Wanted::Hash(_) | Wanted::Tweaked(..) | Wanted::Message(_) => self.named.chain,
        }
    }

    pub(super) fn transaction(&self) -> Option<&Unsigned> {
        match &self.wanted {
            Wanted::Transaction(_, unsigned) => Some(unsigned),
            Wanted::EvmHash(_) | Wanted::Hash(_) | Wanted::Tweaked(..) | Wanted::Message(_) => None,
        }
    }
}

fn external_id(body: &Map<String, Value>) -> Result<Option<String>, Refused> {
    let Some(id) = text(body, "externalId")? else { return Ok(None) };
    let length = id.chars().count();
    if length == 0 || length > EXTERNAL_ID_CHARACTERS_MAX {
        let why = format!("must have 1 to {EXTERNAL_ID_CHARACTERS_MAX} characters");
        return Err(Refused::field("externalId", &why));
    }
    Ok(Some(id.to_owned()))
}

fn does_not_fit(kind: &str, key: KeyKind) -> Refused {
    let (scheme, curve) = (key.scheme(), key.curve());
    let why = format!("{kind} does not fit a key of scheme {scheme} on curve {curve}");
    Refused::field("kind", &why)
}

/// Kinds of Ethereum: its scheme, and no other chain.
fn ethereum(kind: &str, key: KeyKind, named: &Named) -> Result<(), Refused> {
    if key != KeyKind::Ecdsa {
        return Err(does_not_fit(kind, key));
    }
    if !named.can_be(Chain::Evm) {
        return Err(Refused::field("kind", "does not fit the network"));
    }
    Ok(())
}

fn hash(body: &Map<String, Value>, key: KeyKind) -> Result<Wanted, Refused> {
    const ROOT: &str = "taprootMerkleRoot";
    closed(body, &["hash", ROOT])?;
    let hash: [u8; HASH_BYTES] = hex_array(body, "hash")?;
    let root = text(body, ROOT)?;
    if key != KeyKind::Schnorr {
        if root.is_some() {
            return Err(Refused::field(ROOT, "is for Schnorr keys alone"));
        }
        let [first, ..] = hash;
        if key == KeyKind::EcdsaStark && first >= STARK_HASH_TOP_BYTE {
            return Err(Refused::field("hash", "must be below 2^251 on the Stark curve"));
        }
        return Ok(Wanted::Hash(hash));
    }
    let root = root.ok_or_else(|| Refused::field(ROOT, "is required for a Schnorr key"))?;
    let root = hex_of(root).filter(|root| root.is_empty() || root.len() == HASH_BYTES);
    let root =
        root.ok_or_else(|| Refused::field(ROOT, "must be empty or have 32 bytes in hexadecimal"))?;
    Ok(Wanted::Tweaked(hash, root))
}

fn message(
    body: &Map<String, Value>,
    key: KeyKind,
    named: &Named,
    key_id: &str,
) -> Result<Wanted, Refused> {
    closed(body, &["message"])?;
    let message = hex(body, "message")?;
    match key {
        KeyKind::EdDsa if !named.is_named || named.is(Chain::Solana) => {
            Ok(Wanted::Message(message))
        }
        KeyKind::Ecdsa if named.is(Chain::Evm) => Ok(Wanted::EvmHash(personal(&message))),
        KeyKind::EdDsa | KeyKind::Ecdsa if named.is_named => Err(Refused::kind("Message", key_id)),
        KeyKind::Ecdsa | KeyKind::EcdsaStark | KeyKind::EdDsa | KeyKind::Schnorr | KeyKind::Dh => {
            Err(does_not_fit("Message", key))
        }
    }
}

fn transaction(
    body: &Map<String, Value>,
    key: KeyKind,
    named: &Named,
    key_id: &str,
) -> Result<Wanted, Refused> {
    closed(body, &["transaction"])?;
    if !named.is_named {
        let why = "or `blockchainKind` is required to sign a transaction";
        return Err(Refused::field("network", why));
    }
    // Those of other chains, and those as objects, cannot be made without the chain.
    let is_object = body.get("transaction").is_some_and(Value::is_object);
    if !named.is(Chain::Evm) || is_object {
        return Err(Refused::kind("Transaction", key_id));
    }
    ethereum("Transaction", key, named)?;
    let unsigned = Unsigned::read(hex(body, "transaction")?)?;
    Ok(Wanted::Transaction(keccak(&[unsigned.bytes()]), unsigned))
}

/// EIP-191, version 0x45: a personal message.
fn personal(message: &[u8]) -> [u8; HASH_BYTES] {
    let length = message.len().to_string();
    keccak(&[b"\x19Ethereum Signed Message:\n", length.as_bytes(), message])
}

/// EIP-7702: the authorization of an account.
fn authorization(body: &Map<String, Value>) -> Result<[u8; HASH_BYTES], Refused> {
    let address: [u8; ADDRESS_BYTES] = hex_array(body, "address")?;
    let numbers = [count(body, "chainId")?, count(body, "nonce")?];
    let [chain, nonce] = numbers.map(|number| Item::number(&number.to_be_bytes()));
    let list = Item::List(vec![chain, Item::Bytes(address.to_vec()), nonce]);
    Ok(keccak(&[&[AUTHORIZATION_TAG], &list.write()]))
}

pub(super) fn keccak(parts: &[&[u8]]) -> [u8; HASH_BYTES] {
    let mut hash = Keccak256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}
