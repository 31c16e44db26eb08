//! Outputs of keys that agree with hashed points: a pseudo-random function of domain and seed.

use lethe_crypto::hash::sha256;
use lethe_types::SecretVec;
use serde_json::{Map, Value, json};

use super::Refused;
use super::fields::{exactly, hex, to_hex};

/// A request for an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeriveRequest {
    /// What separates it from other uses: the tag of RFC 9380 section 3.1.
    pub domain: Vec<u8>,
    /// What is hashed to a point.
    pub seed: Vec<u8>,
}

impl DeriveRequest {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`Refused`] for a body that is not exactly a domain, which is not empty, and a seed.
    pub fn read(body: &Map<String, Value>) -> Result<Self, Refused> {
        exactly(body, &["domain", "seed"])?;
        let (domain, seed) = (hex(body, "domain")?, hex(body, "seed")?);
        if domain.is_empty() {
            return Err(Refused::field("domain", "must not be empty"));
        }
        Ok(Self { domain, seed })
    }
}

/// The answer with the compressed point that the engine made of domain and seed. How a point
/// becomes an output is not published: it is the point's SHA-256 here.
#[must_use]
pub fn derive_answer(point: &SecretVec) -> Value {
    json!({"output": to_hex(&sha256(&[point.expose()]))})
}
