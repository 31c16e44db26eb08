//! Make keys out of other keys.

use lethe_crypto::registry::{Algorithm, DerivationPath, Material, ObjectType, Use};
use lethe_types::limits::DERIVATION_PATH_BYTES_MAX;
use lethe_types::{KeyId, SecretVec};

use super::{Way, in_field, may_use};
use crate::authz::{Authorized, Caller, DeriveKey};
use crate::ops::{CreateKeyRequest, GivenMaterial, PreparedKey};
use crate::record::Derivation;
use crate::{Engine, EngineError, versions};

/// From which key another one is derived, and how.
#[derive(Clone, Debug)]
pub struct DeriveFrom {
    /// The parent.
    pub parent: KeyId,
    /// Which of its children.
    pub how: DeriveHow,
    /// Whether a destruction of the parent must think of the child: its policy then decides whether
    /// it is refused, or takes the child with it.
    pub depends: bool,
}

/// Which child.
#[derive(Clone, Debug)]
pub enum DeriveHow {
    /// Of a symmetric key: HKDF with a label (see [`Algorithm::derive_symmetric`]).
    Label(String),
    /// Of a key with a chain code: along a path of BIP-32 or SLIP-0010.
    Path(DerivationPath),
}

/// How the path of a label begins; that of a derivation path begins with `m/`.
const LABEL_PREFIX: &str = "label:";

impl DeriveHow {
    /// The one text of this child, which is never used again under the same parent.
    fn path(&self) -> Result<String, EngineError> {
        let (field, text) = match self {
            Self::Label(label) if label.is_empty() => {
                let why = "must not be empty".to_owned();
                return Err(EngineError::InvalidField { field: "label", why });
            }
            Self::Label(label) => ("label", format!("{LABEL_PREFIX}{label}")),
            Self::Path(path) if path.numbers().is_empty() => {
                let why = "must have a step: without one it is the key itself".to_owned();
                return Err(EngineError::InvalidField { field: "path", why });
            }
            Self::Path(path) => ("path", path.to_string()),
        };
        if text.len() > DERIVATION_PATH_BYTES_MAX {
            let why = format!("may have {DERIVATION_PATH_BYTES_MAX} bytes");
            return Err(EngineError::InvalidField { field, why });
        }
        Ok(text)
    }
}

impl Engine {
    /// As [`Engine::prepare_key`] for a key whose material is derived from the current version of
    /// another one. Needs `keys.use.derive` on the parent besides `keys.create`.
    ///
    /// A pair of parent and path, or label, is taken for ever: a child that was destroyed is not
    /// made again. For that to hold, children along paths are derived from the key that was not
    /// itself derived, by the whole path. The child has material of its own; it goes on living when
    /// the parent is rotated or destroyed.
    ///
    /// # Errors
    /// Those of [`Engine::prepare_key`], and of a use for the parent; [`EngineError::InvalidField`]
    /// for a path or label that the parent does not take, for another algorithm than one that it
    /// derives, and for a request that has material or an origin already;
    /// [`EngineError::NameTaken`] for a path that was used before.
    pub fn prepare_derived_key(
        &self,
        caller: &Caller,
        mut request: CreateKeyRequest,
        from: &DeriveFrom,
    ) -> Result<PreparedKey, EngineError> {
        if request.material.is_some() || request.derivation.is_some() {
            let why = "is given already".to_owned();
            return Err(EngineError::InvalidField { field: "derive", why });
        }
        let child = request.algorithm;
        let (secret, path) = self.use_key::<DeriveKey, _>(caller, from.parent, |proof| {
            let path = from.how.path()?;
            Ok((self.derive_material(proof, child, &from.how)?, path))
        })?;
        request.material = Some(GivenMaterial { secret, imported: false });
        let (parent, depends) = (from.parent, from.depends);
        request.derivation = Some(Derivation { parent, path: path.into(), depends });
        self.prepare_key(caller, request)
    }

    fn derive_material(
        &self,
        proof: &Authorized<DeriveKey>,
        child: Algorithm,
        how: &DeriveHow,
    ) -> Result<SecretVec, EngineError> {
        may_use::<DeriveKey>(proof, Use::DeriveKey, Way::Protect)?;
        let record = proof.entry().record();
        let refused = |field, why: &str| EngineError::InvalidField { field, why: why.to_owned() };
        let is_pair = record.algorithm.object_type() == ObjectType::KeyPair;
        let is_derived = record.details().derivation.is_some();
        match how {
            DeriveHow::Label(_) if is_pair => {
                return Err(refused("label", "this key derives along paths"));
            }
            DeriveHow::Path(_) if !is_pair => {
                return Err(refused("path", "this key derives by labels"));
            }
            // Else a child would have as many paths as there are keys on the way to it.
            DeriveHow::Path(_) if is_derived => {
                return Err(refused("parent", "was derived itself: derive from its parent"));
            }
            DeriveHow::Label(_) | DeriveHow::Path(_) => {}
        }
        let (_, version) = versions::to_protect(proof.entry(), None)?;
        let material = self.shared.material(record, version)?;
        let derived: Result<Material, _> = match how {
            DeriveHow::Label(label) => {
                record.algorithm.derive_symmetric(&material, label.as_bytes(), child)
            }
            DeriveHow::Path(path) if child == record.algorithm => {
                record.algorithm.derive_child(&material, path)
            }
            DeriveHow::Path(path) => record.algorithm.derive_child_as(&material, path, child),
        };
        let field = match how {
            DeriveHow::Label(_) => "algorithm",
            DeriveHow::Path(_) => "path",
        };
        let (secret, _) = derived
            .map_err(|error| match error {
                lethe_crypto::CryptoError::Unsupported(_) => in_field("algorithm", error),
                lethe_crypto::CryptoError::Authentication
                | lethe_crypto::CryptoError::Entropy
                | lethe_crypto::CryptoError::Invalid(_)
                | lethe_crypto::CryptoError::Library(_) => in_field(field, error),
            })?
            .into_parts();
        Ok(secret)
    }
}
