//! Keys that leave in shares.

use lethe_crypto::registry::Algorithm;
use lethe_crypto::shares::{scalar_of_ed25519_seed, split};
use lethe_engine::{EngineError, ExportTo, PlainExport};
use lethe_types::{Entropy, Secret, SecretVec};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::signers::{SIGNERS, SIGNERS_NEEDED};
use super::{Protocol, SCALAR_BYTES, Signers, field_of, first_part, hex, in_own_order, sealed};
use crate::signing::fields::{exactly, needed};
use crate::signing::{KeyKind, Origin, Refused};

/// Most schemes that a request lists, as a count.
const SCHEMES_MAX: usize = 64;
const SCHEMES: &str = "supportedSchemes";

/// The body of an export.
#[derive(Debug)]
pub struct ExportForm {
    recipient: Vec<u8>,
    schemes: Vec<(Protocol, KeyKind)>,
}

impl ExportForm {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn read(body: &Map<String, Value>) -> Result<Self, Refused> {
        const KEY: &str = "encryptionKey";
        exactly(body, &[KEY, SCHEMES])?;
        let recipient = sealed::read_key(needed(body, KEY)?);
        let recipient = recipient.ok_or_else(|| Refused::field(KEY, "is no encryption key"))?;
        let refused = |why: &str| Refused::field(SCHEMES, why);
        let found = body.get(SCHEMES).ok_or_else(|| refused("is required"))?;
        let found = found.as_array().ok_or_else(|| refused("must be a list"))?;
        if found.len() > SCHEMES_MAX {
            return Err(refused(&format!("must have at most {SCHEMES_MAX} entries")));
        }
        let mut schemes = Vec::new();
        for scheme in found {
            let scheme = scheme.as_object().ok_or_else(|| refused("must hold objects"))?;
            exactly(scheme, &["protocol", "curve"])?;
            let (protocol, curve) = (needed(scheme, "protocol")?, needed(scheme, "curve")?);
            let protocol = Protocol::named(protocol)
                .ok_or_else(|| Refused::field("protocol", "is no known protocol"))?;
            // A pair that nobody has is one that no key has.
            schemes.extend(protocol.kind(curve).map(|kind| (protocol, kind)));
        }
        Ok(Self { recipient, schemes })
    }

    /// The first protocol of the request for keys of that kind.
    ///
    /// # Errors
    /// [`Refused`] if there is none.
    fn protocol(&self, kind: KeyKind) -> Result<Protocol, Refused> {
        let found = self.schemes.iter().find(|(_, other)| *other == kind);
        let found = found.map(|(protocol, _)| *protocol);
        found.ok_or_else(|| Refused::field(SCHEMES, "has none that the key could leave by"))
    }

    /// That the request has a protocol for keys of that kind, and what the engine is asked to
    /// export in its raw form.
    ///
    /// # Errors
    /// [`Refused`] if there is none; the engine's for an algorithm that is not in this build.
    pub fn wanted(
        &self,
        kind: KeyKind,
        algorithm: Algorithm,
    ) -> Result<ExportTo, super::ShareError> {
        self.protocol(kind)?;
        let plain = PlainExport::AllowedByDoor;
        if Some(algorithm.name()) != kind.algorithm_name(Origin::Master) {
            return Ok(ExportTo::Caller(plain));
        }
        Ok(ExportTo::CallerWithoutChainCode(plain, super::scalar_algorithm(kind)?))
    }

    /// The answer with `material`, which is what the engine exported of a key of that kind and
    /// algorithm whose public key is `public_key`.
    ///
    /// # Errors
    /// The engine's; [`Refused`] as in [`ExportForm::wanted`].
    pub fn answer(
        &self,
        (kind, algorithm): (KeyKind, Algorithm),
        material: &SecretVec,
        public_key: &str,
        signers: &Signers,
        entropy: &dyn Entropy,
    ) -> Result<Value, super::ShareError> {
        let protocol = self.protocol(kind)?;
        let scalar = scalar_of(kind, algorithm, material)?;
        let count = u8::try_from(SIGNERS).map_err(|_| EngineError::Internal("many signers"))?;
        let shares = split(field_of(kind), &scalar, SIGNERS_NEEDED, count, entropy)?;
        let mut written = Vec::with_capacity(SIGNERS);
        for (share, signer) in shares.iter().zip(signers.ids()) {
            let plain = plaintext(kind, share.index, &share.value);
            let share = sealed::seal(&self.recipient, &plain, entropy)?;
            written.push(json!({"signerId": signer, "encryptedKeyShare": share}));
        }
        Ok(json!({
            "publicKey": public_key,
            "protocol": protocol.as_str(),
            "curve": kind.curve(),
            "minSigners": SIGNERS_NEEDED,
            "encryptedKeyShares": written,
        }))
    }
}

/// The scalar of exported material, big-endian.
fn scalar_of(
    kind: KeyKind,
    algorithm: Algorithm,
    material: &SecretVec,
) -> Result<Secret<SCALAR_BYTES>, EngineError> {
    if kind == KeyKind::EdDsa && Some(algorithm.name()) == kind.algorithm_name(Origin::Drawn) {
        return Ok(scalar_of_ed25519_seed(material.expose())?);
    }
    let first = first_part(material).ok_or(EngineError::Internal("material without a scalar"))?;
    // What turns it into its own order turns it back.
    Ok(in_own_order(kind, &first))
}

fn plaintext(kind: KeyKind, index: u8, value: &Secret<SCALAR_BYTES>) -> SecretVec {
    let curve = kind.curve();
    let mut at = [0; SCALAR_BYTES];
    if let Some(last) = at.last_mut() {
        *last = index;
    }
    let (index, value) = (hex(&at), Zeroizing::new(hex(value.expose())));
    let text = format!(
        concat!(
            r#"{{"version":1,"index":{{"curve":"{}","scalar":"{}"}},"#,
            r#""secret_share":{{"curve":"{}","scalar":"{}"}}}}"#,
        ),
        curve, index, curve, *value,
    );
    SecretVec::from_vec(text.into_bytes())
}
