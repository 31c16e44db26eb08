//! All versions of a key at once, as a backup of a door has them.

use lethe_crypto::registry::{Algorithm, Material};
use lethe_types::SecretVec;
use lethe_types::limits::KEY_VERSIONS_MAX;

use crate::EngineError;

/// One version of a key that comes from outside.
#[derive(Debug)]
pub struct GivenVersion {
    /// Its number, which ciphertexts may name.
    pub number: u32,
    /// Its material, in the encoding of the algorithm.
    pub secret: SecretVec,
}

/// Versions that a new key begins with: at least one.
#[derive(Debug)]
pub(super) struct GivenVersions {
    pub(super) first: (u32, Material),
    pub(super) later: Vec<(u32, Material)>,
}

impl GivenVersions {
    /// The versions with their materials; `None` if there are none.
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] with the field `versions` if the numbers do not rise from 1 on
    /// or are too many, or a material is none of the algorithm.
    pub(super) fn of(
        algorithm: Algorithm,
        versions: Vec<GivenVersion>,
    ) -> Result<Option<Self>, EngineError> {
        let refused =
            |why: &str| EngineError::InvalidField { field: "versions", why: why.to_owned() };
        if versions.len() > KEY_VERSIONS_MAX {
            return Err(refused("are more than a key can have"));
        }
        let mut materials = Vec::with_capacity(versions.len());
        let mut last = 0;
        for GivenVersion { number, secret } in versions {
            if number <= last || number == u32::MAX {
                return Err(refused("must have rising numbers, from 1 on"));
            }
            last = number;
            let material = algorithm.material(secret);
            materials
                .push((number, material.map_err(|_| refused("have material of another kind"))?));
        }
        let mut materials = materials.into_iter();
        let Some(first) = materials.next() else { return Ok(None) };
        Ok(Some(Self { first, later: materials.collect() }))
    }
}
