//! Keys that come in shares.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_crypto::CryptoError;
use lethe_crypto::shares::{Share, combine};
use lethe_engine::EngineError;
use lethe_types::{Entropy, Secret, SecretVec};
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::sealed::Sealed;
use super::{
    Protocol, SCALAR_BYTES, SHARES_MAX, ShareError, Signers, field_of, in_own_order, public_of,
};
use crate::signing::fields::{count, exactly, hex_of, needed, text};
use crate::signing::{KeyKind, Origin, Refused};

/// The version of the form of shares.
const VERSION: u32 = 1;
/// Longest name of a key, in characters.
const NAME_CHARACTERS_MAX: usize = 100;
/// Where the shares are in the body.
const SHARES: &str = "encryptedKeyShares";

/// The body of an import.
#[derive(Debug)]
pub struct ImportForm {
    /// What the key is for.
    pub kind: KeyKind,
    /// Its name.
    pub name: Option<String>,
    /// Whether it may be the parent of others.
    pub is_master: bool,
    threshold: usize,
    shares: Vec<GivenShare>,
}

/// An encrypted share.
#[derive(Debug)]
struct GivenShare {
    signer: Vec<u8>,
    ciphertext: String,
}

/// A key that came in shares.
#[derive(Debug)]
pub struct Imported {
    /// From where, which decides on its algorithm.
    pub origin: Origin,
    /// The key in the raw form of its algorithm.
    pub key: SecretVec,
}

impl ImportForm {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn read(body: &Map<String, Value>) -> Result<Self, Refused> {
        exactly(body, &["curve", "protocol", "minSigners", SHARES, "name", "masterKey"])?;
        let curve = needed(body, "curve")?;
        if KeyKind::ALL.into_iter().all(|kind| kind.curve() != curve) {
            return Err(Refused::field("curve", "must be one of ed25519, secp256k1, stark"));
        }
        let protocol = Protocol::named(needed(body, "protocol")?);
        let protocol =
            protocol.ok_or_else(|| Refused::field("protocol", "is no known protocol"))?;
        let kind = protocol.kind(curve);
        let kind = kind.ok_or_else(|| Refused::field("protocol", "is not for this curve"))?;
        let name = text(body, "name")?;
        if name.is_some_and(|name| name.chars().count() > NAME_CHARACTERS_MAX) {
            let why = format!("must have at most {NAME_CHARACTERS_MAX} characters");
            return Err(Refused::field("name", &why));
        }
        let is_master = match body.get("masterKey") {
            None => false,
            Some(flag) => {
                let flag = flag.as_bool();
                flag.ok_or_else(|| Refused::field("masterKey", "must be a boolean"))?
            }
        };
        if is_master && kind.algorithm_name(Origin::Master).is_none() {
            return Err(Refused::field("masterKey", "is not for this protocol"));
        }
        let shares = given_shares(body)?;
        let threshold = usize::try_from(count(body, "minSigners")?).unwrap_or(usize::MAX);
        if threshold < 2 || threshold > shares.len() {
            let why = "must be at least 2, and at most the number of shares";
            return Err(Refused::field("minSigners", why));
        }
        let name = name.map(str::to_owned);
        Ok(Self { kind, name, is_master, threshold, shares })
    }

    /// Decrypts the shares, checks each against the public keys that all of them carry, and puts
    /// the scalar together. A master key gets a chain code of `entropy`.
    ///
    /// # Errors
    /// [`ShareError::Refused`] for shares that were not encrypted for the signers, are malformed,
    /// or do not belong together; the engine's.
    pub fn open(&self, signers: &Signers, entropy: &dyn Entropy) -> Result<Imported, ShareError> {
        let mut opened = Vec::with_capacity(self.shares.len());
        for given in &self.shares {
            let position = signers.position(&given.signer);
            let position = position.ok_or_else(|| refused("are for a signer that is not here"))?;
            if opened.iter().any(|(other, _)| *other == position) {
                return Err(refused("are for one signer twice").into());
            }
            let plain = open_one(signers, position, &given.ciphertext)?;
            opened.push((position, plain));
        }
        // Places among all signers that took part: all that are here, or those that were given.
        opened.sort_by_key(|(position, _)| *position);
        let publics = opened.first().map(|(_, plain)| plain.publics(self.kind)).transpose()?;
        let publics = publics.ok_or_else(|| refused("are none"))?;
        let of_given = publics.len() == opened.len();
        let mut shares = Vec::with_capacity(opened.len());
        for (at, (position, plain)) in opened.iter().enumerate() {
            let place = if of_given { at } else { *position };
            let scalar = plain.scalar(self.kind)?;
            let own = public_of(self.kind, &scalar).map_err(no_key)?;
            if plain.publics(self.kind)? != publics || publics.get(place) != Some(&own) {
                return Err(refused("do not match their public keys").into());
            }
            let index = u8::try_from(place + 1).map_err(|_| refused("are too many"))?;
            shares.push(Share { index, value: scalar });
        }
        let scalar = combine(field_of(self.kind), &shares, self.threshold);
        let scalar = scalar.map_err(|_| refused("do not make one key"))?;
        self.finished(&scalar, entropy)
    }

    fn finished(
        &self,
        scalar: &Secret<SCALAR_BYTES>,
        entropy: &dyn Entropy,
    ) -> Result<Imported, ShareError> {
        let own = in_own_order(self.kind, scalar);
        if !self.is_master {
            let key = SecretVec::copy_from(own.expose());
            return Ok(Imported { origin: Origin::Scalar, key });
        }
        let chain_code = Secret::<SCALAR_BYTES>::random(entropy).map_err(EngineError::from)?;
        let key = SecretVec::try_init_with(2 * SCALAR_BYTES, |buf| {
            let (left, right) = buf.split_at_mut(SCALAR_BYTES);
            left.copy_from_slice(own.expose());
            right.copy_from_slice(chain_code.expose());
            Ok::<_, EngineError>(())
        })?;
        Ok(Imported { origin: Origin::Master, key })
    }
}

fn refused(why: &str) -> Refused {
    Refused::field(SHARES, why)
}

/// What the library says of a scalar that is none.
fn no_key(error: EngineError) -> ShareError {
    if matches!(error, EngineError::AlgorithmNotAvailable(_) | EngineError::EntropyUnavailable) {
        return error.into();
    }
    refused("hold a number that is no key").into()
}

fn given_shares(body: &Map<String, Value>) -> Result<Vec<GivenShare>, Refused> {
    let found = body.get(SHARES).ok_or_else(|| refused("is required"))?;
    let found = found.as_array().ok_or_else(|| refused("must be a list"))?;
    if found.is_empty() || found.len() > SHARES_MAX {
        return Err(refused(&format!("must have 1 to {SHARES_MAX} entries")));
    }
    let one = |share: &Value| {
        let share = share.as_object().ok_or_else(|| refused("must hold objects"))?;
        exactly(share, &["signerId", "encryptedKeyShare"])?;
        let signer = STANDARD.decode(needed(share, "signerId")?);
        let signer = signer.map_err(|_| Refused::field("signerId", "must be base64"))?;
        Ok(GivenShare { signer, ciphertext: needed(share, "encryptedKeyShare")?.to_owned() })
    };
    found.iter().map(one).collect()
}

/// The plaintext of a share, as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    version: u32,
    secret_share: PlainScalar,
    public_shares: Vec<PlainPoint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainScalar {
    curve: String,
    #[serde(deserialize_with = "wiped")]
    scalar: Zeroizing<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainPoint {
    curve: String,
    point: String,
}

fn wiped<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

impl Plain {
    fn scalar(&self, kind: KeyKind) -> Result<Secret<SCALAR_BYTES>, Refused> {
        let share = &self.secret_share;
        let bytes = hex_of(&share.scalar).map(Zeroizing::new);
        let bytes = bytes.as_deref().and_then(|bytes| bytes.first_chunk::<SCALAR_BYTES>());
        let is_whole = share.scalar.len() == 2 * SCALAR_BYTES && share.curve == kind.curve();
        let bytes = bytes.filter(|_| is_whole);
        let bytes = bytes.ok_or_else(|| refused("hold no scalar of the curve"))?;
        Ok(Secret::init_with(|buf| *buf = *bytes))
    }

    fn publics(&self, kind: KeyKind) -> Result<Vec<Vec<u8>>, Refused> {
        let points = self
            .public_shares
            .iter()
            .map(|public| hex_of(&public.point).filter(|_| public.curve == kind.curve()));
        let points = points.collect::<Option<Vec<_>>>();
        let points = points.filter(|points| (1..=SHARES_MAX).contains(&points.len()));
        points.ok_or_else(|| refused("hold no public keys of the curve"))
    }
}

fn open_one(signers: &Signers, position: usize, text: &str) -> Result<Plain, ShareError> {
    let unreadable = || refused("were not encrypted for their signers");
    let sealed = Sealed::read(text).ok_or_else(unreadable)?;
    let point = signers.agree(position, sealed.ephemeral()).map_err(|error| {
        let is_no_point = matches!(error, EngineError::InvalidField { .. });
        if is_no_point { ShareError::from(unreadable()) } else { error.into() }
    })?;
    let plain = sealed.open(&point).map_err(|error| match error {
        CryptoError::Authentication => ShareError::from(unreadable()),
        CryptoError::Entropy
        | CryptoError::Invalid(_)
        | CryptoError::Library(_)
        | CryptoError::Unsupported(_) => error.into(),
    })?;
    let plain: Plain = serde_json::from_slice(plain.expose())
        .map_err(|_| refused("hold something else than a share"))?;
    if plain.version != VERSION {
        return Err(refused("are of another version").into());
    }
    Ok(plain)
}
