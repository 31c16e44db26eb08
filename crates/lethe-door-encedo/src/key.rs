//! Keys as clients know them: types, flags, and what the door keeps with each.

use std::sync::Arc;

use lethe_crypto::registry::{Algorithm, PublicKey, Use, Uses};
use lethe_engine::record::KeyRecord;
use lethe_engine::{EngineError, KeyEntry};
use serde_json::{Map, Value, json};

use crate::kid::Kid;
use crate::{DOOR, b64};

/// Flags and algorithm, as clients see them.
pub(crate) const TYPE: &str = "encedo.type";
/// The label: names of the engine take no spaces at their ends.
pub(crate) const LABEL: &str = "encedo.label";
/// The description, any bytes; not there if it is empty.
pub(crate) const DESCR: &str = "encedo.descr";
/// When it was changed last, in seconds since 1970. Rises with every change.
pub(crate) const UPDATED: &str = "encedo.updated";

/// How the description of an authenticator's key begins.
pub(crate) const PAIRING: &[u8; 6] = b"EXTAID";
/// How the alias begins that reserves the identifier of a secret key for ever.
pub(crate) const SECRET_ALIAS: &str = "secret:";

/// Bytes of a description.
pub(crate) const DESCR_BYTES_MAX: usize = 128;
/// Characters of a label.
pub(crate) const LABEL_CHARACTERS_MAX: usize = 32;

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Aes,
    Curve,
    Ed,
    Hmac,
    MlDsa,
    MlKem,
    Secp,
}

/// A type of keys.
#[derive(Debug)]
pub(crate) struct KeyType {
    /// As clients write it.
    pub(crate) name: &'static str,
    /// As the engine writes it.
    algorithm: &'static str,
    pub(crate) family: Family,
    /// Bytes that a derivation takes for it; `None` if it is not derived. For a key that agrees,
    /// also the bytes of a secret that it agrees on.
    pub(crate) secret_bytes: Option<usize>,
}

const fn of(
    name: &'static str,
    algorithm: &'static str,
    family: Family,
    secret_bytes: Option<usize>,
) -> KeyType {
    KeyType { name, algorithm, family, secret_bytes }
}

static TYPES: [KeyType; 23] = [
    of("SECP256R1", "ecdsa-p256", Family::Secp, Some(32)),
    of("SECP384R1", "ecdsa-p384", Family::Secp, Some(48)),
    of("SECP521R1", "ecdsa-p521", Family::Secp, Some(66)),
    of("SECP256K1", "secp256k1", Family::Secp, Some(32)),
    of("CURVE25519", "x25519", Family::Curve, Some(32)),
    of("CURVE448", "x448", Family::Curve, Some(56)),
    of("ED25519", "ed25519", Family::Ed, Some(32)),
    of("ED448", "ed448", Family::Ed, Some(57)),
    of("SHA2-256", "hmac-sha256", Family::Hmac, Some(32)),
    of("SHA2-384", "hmac-sha384", Family::Hmac, Some(48)),
    of("SHA2-512", "hmac-sha512", Family::Hmac, Some(64)),
    of("SHA3-256", "hmac-sha3-256", Family::Hmac, Some(32)),
    of("SHA3-384", "hmac-sha3-384", Family::Hmac, Some(48)),
    of("SHA3-512", "hmac-sha3-512", Family::Hmac, Some(64)),
    of("AES128", "aes128", Family::Aes, Some(16)),
    of("AES192", "aes192", Family::Aes, Some(24)),
    of("AES256", "aes256", Family::Aes, Some(32)),
    of("MLKEM512", "ml-kem-512", Family::MlKem, None),
    of("MLKEM768", "ml-kem-768", Family::MlKem, None),
    of("MLKEM1024", "ml-kem-1024", Family::MlKem, None),
    of("MLDSA44", "ml-dsa-44", Family::MlDsa, None),
    of("MLDSA65", "ml-dsa-65", Family::MlDsa, None),
    of("MLDSA87", "ml-dsa-87", Family::MlDsa, None),
];

impl KeyType {
    /// The type of exactly that name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        TYPES.iter().find(|known| known.name == name)
    }

    #[cfg(test)]
    pub(crate) fn all() -> &'static [Self] {
        &TYPES
    }

    /// # Errors
    /// [`EngineError::Internal`] if the registry lacks it.
    pub(crate) fn algorithm(&self) -> Result<Algorithm, EngineError> {
        let missing = |_| EngineError::Internal("an algorithm that the registry lacks");
        Algorithm::from_name(self.algorithm).map_err(missing)
    }

    /// Whether it has a public half.
    pub(crate) fn is_pair(&self) -> bool {
        match self.family {
            Family::Aes | Family::Hmac => false,
            Family::Curve | Family::Ed | Family::MlDsa | Family::MlKem | Family::Secp => true,
        }
    }

    /// The number of the type in the text that an authenticator shows.
    pub(crate) fn number(&self) -> Option<u16> {
        const NUMBERS: [(&str, u16); 17] = [
            ("SECP256R1", 10),
            ("SECP384R1", 11),
            ("SECP521R1", 12),
            ("SECP256K1", 13),
            ("CURVE25519", 20),
            ("CURVE448", 21),
            ("ED25519", 22),
            ("ED448", 23),
            ("SHA2-256", 10),
            ("SHA2-384", 11),
            ("SHA2-512", 12),
            ("SHA3-256", 13),
            ("SHA3-384", 14),
            ("SHA3-512", 15),
            ("AES128", 30),
            ("AES192", 31),
            ("AES256", 32),
        ];
        NUMBERS.iter().find(|(name, _)| *name == self.name).map(|(_, number)| *number)
    }
}

/// What a key on a Weierstrass curve is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode {
    pub(crate) agrees: bool,
    pub(crate) signs: bool,
}

impl Mode {
    /// As clients write it; without one the key agrees. Other types have no modes, and whatever
    /// stands there is ignored: some clients send the name of the type.
    pub(crate) fn parse(key_type: &KeyType, text: Option<&str>) -> Option<Self> {
        let both = Self { agrees: true, signs: true };
        if key_type.family != Family::Secp {
            return Some(both);
        }
        match text {
            None | Some("ECDH") => Some(Self { agrees: true, signs: false }),
            Some("ExDSA") => Some(Self { agrees: false, signs: true }),
            Some("ECDH,ExDSA") => Some(both),
            Some(_) => None,
        }
    }

    /// The uses that are left of the type's; `None` for all of them.
    pub(crate) fn uses(self, key_type: &KeyType) -> Option<Uses> {
        if key_type.family != Family::Secp || (self.agrees && self.signs) {
            return None;
        }
        Some(match self.agrees {
            true => Uses::of(&[Use::Agree]),
            false => Uses::of(&[Use::Sign, Use::Verify]),
        })
    }
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Derived,
    Generated,
    Imported,
}

/// Flags and algorithm.
pub(crate) fn type_text(key_type: &KeyType, mode: Mode, origin: Origin) -> String {
    let mut parts = Vec::new();
    if origin == Origin::Generated {
        parts.push("ATT");
    }
    if key_type.is_pair() && origin != Origin::Imported {
        parts.push("PKEY");
    }
    match key_type.family {
        Family::Secp => {
            parts.extend(mode.agrees.then_some("ECDH"));
            parts.extend(mode.signs.then_some("ExDSA"));
        }
        Family::Curve => parts.push("ECDH"),
        Family::Ed => parts.push("ExDSA"),
        Family::MlDsa | Family::MlKem => parts.push("PQC"),
        Family::Aes | Family::Hmac => {}
    }
    parts.push(key_type.name);
    parts.join(",")
}

/// A key that is there, with what the door keeps of it.
pub(crate) struct Key {
    pub(crate) entry: Arc<KeyEntry>,
    pub(crate) kid: Kid,
    pub(crate) key_type: &'static KeyType,
    pub(crate) type_text: String,
    pub(crate) label: String,
    pub(crate) descr: Vec<u8>,
    pub(crate) created: u64,
    pub(crate) updated: u64,
}

impl Key {
    /// `None` for a key that another door made.
    pub(crate) fn of(entry: Arc<KeyEntry>) -> Option<Self> {
        let record = entry.record();
        let text = |name: &str| text_of(record, name);
        let mut aliases = record.aliases.iter().filter(|alias| alias.door == DOOR);
        let kid = aliases.find_map(|alias| Kid::parse(&alias.text))?;
        let type_text = text(TYPE)?;
        let key_type = KeyType::named(type_text.rsplit(',').next()?)?;
        let label = text(LABEL)?;
        let descr = descr_of(record).to_vec();
        let (created, updated) = (record.created.seconds(), text(UPDATED)?.parse().ok()?);
        Some(Self { kid, key_type, type_text, label, descr, created, updated, entry })
    }

    /// Whether one of its flags is this.
    pub(crate) fn has_flag(&self, flag: &str) -> bool {
        self.type_text.split(',').any(|one| one == flag)
    }

    /// As lists show it.
    pub(crate) fn shown(&self) -> Value {
        let mut shown = Map::new();
        shown.insert("kid".to_owned(), json!(self.kid.to_string()));
        shown.insert("created".to_owned(), json!(self.created));
        shown.insert("type".to_owned(), json!(self.type_text));
        shown.insert("label".to_owned(), json!(self.label));
        shown.insert("updated".to_owned(), json!(self.updated));
        if !self.descr.is_empty() {
            shown.insert("descr".to_owned(), json!(b64::encode(&self.descr)));
        }
        Value::Object(shown)
    }

    /// The identifier of the pairing that it is the key of.
    pub(crate) fn pairing_id(&self) -> Option<[u8; 32]> {
        let pid = self.descr.strip_prefix(PAIRING)?;
        (self.key_type.name == "CURVE25519").then(|| pid.try_into().ok()).flatten()
    }
}

/// Whether this door made the key.
pub(crate) fn is_of_door(record: &KeyRecord) -> bool {
    record.details().attributes.contains_key(TYPE)
}

/// The description; empty if there is none.
pub(crate) fn descr_of(record: &KeyRecord) -> &[u8] {
    record.details().attributes.get(DESCR).map_or(&[], |bytes| bytes)
}

pub(crate) fn text_of(record: &KeyRecord, name: &str) -> Option<String> {
    let bytes = record.details().attributes.get(name)?;
    core::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// A public key as it is exported.
pub(crate) fn exported(public: &PublicKey) -> Vec<u8> {
    public.sec1_compressed().unwrap_or_else(|| public.raw().to_vec())
}
