//! One operation of each use, made ready so that only it is repeated.

use core::hint::black_box;

use lethe_crypto::registry::{Algorithm, DerivationPath, ObjectType, UsableKey, Use};
use lethe_crypto::{CryptoError, SystemEntropy};
use lethe_types::SecretVec;

/// Short messages, in bytes: a key, a token.
const SHORT: usize = 32;
/// Long messages, in bytes.
const LONG: usize = 4_096;

/// What is measured. Numbers are bytes of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Generate,
    /// From stored material to a key that is ready.
    Load,
    Encrypt(usize),
    Decrypt(usize),
    /// A message of 32 bytes by the default scheme.
    Sign,
    Verify,
    Mac(usize),
    MacVerify(usize),
    Agree,
    Encapsulate,
    Decapsulate,
    /// A key of 32 bytes.
    Wrap,
    Unwrap,
    /// One step, hardened where it can be, or a symmetric child.
    Derive,
}

/// One operation.
pub(super) type Once = Box<dyn FnMut() -> Result<(), CryptoError>>;

impl Work {
    /// All that `algorithm` can do.
    pub(super) fn of(algorithm: Algorithm) -> Vec<Self> {
        let mut all = vec![Self::Generate, Self::Load];
        // OAEP takes no long message.
        let lengths: &[usize] =
            if algorithm.cipher_shape().is_some() { &[SHORT, LONG] } else { &[SHORT] };
        for one in algorithm.uses().iter() {
            match one {
                Use::Sign => all.push(Self::Sign),
                Use::Verify => all.push(Self::Verify),
                Use::Encrypt => all.extend(lengths.iter().map(|length| Self::Encrypt(*length))),
                Use::Decrypt => all.extend(lengths.iter().map(|length| Self::Decrypt(*length))),
                Use::WrapKey => all.push(Self::Wrap),
                Use::UnwrapKey => all.push(Self::Unwrap),
                Use::Mac => all.extend([Self::Mac(SHORT), Self::Mac(LONG)]),
                Use::MacVerify => all.push(Self::MacVerify(SHORT)),
                Use::DeriveKey => all.push(Self::Derive),
                Use::Agree => all.push(Self::Agree),
                Use::Encapsulate => all.push(Self::Encapsulate),
                Use::Decapsulate => all.push(Self::Decapsulate),
            }
        }
        all
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Load => "load",
            Self::Derive => Use::DeriveKey.as_str(),
            Self::Encrypt(_) => Use::Encrypt.as_str(),
            Self::Decrypt(_) => Use::Decrypt.as_str(),
            Self::Sign => Use::Sign.as_str(),
            Self::Verify => Use::Verify.as_str(),
            Self::Mac(_) => Use::Mac.as_str(),
            Self::MacVerify(_) => Use::MacVerify.as_str(),
            Self::Agree => Use::Agree.as_str(),
            Self::Encapsulate => Use::Encapsulate.as_str(),
            Self::Decapsulate => Use::Decapsulate.as_str(),
            Self::Wrap => Use::WrapKey.as_str(),
            Self::Unwrap => Use::UnwrapKey.as_str(),
        }
    }

    /// The use of the registry that this is; none for what comes before any.
    #[cfg(test)]
    pub(super) fn of_use(self) -> Option<Use> {
        Use::ALL.iter().copied().find(|one| one.as_str() == self.name())
    }

    /// Bytes of the message, where the time depends on them.
    pub(super) fn bytes(self) -> Option<usize> {
        match self {
            Self::Encrypt(bytes)
            | Self::Decrypt(bytes)
            | Self::Mac(bytes)
            | Self::MacVerify(bytes) => Some(bytes),
            Self::Generate
            | Self::Load
            | Self::Derive
            | Self::Sign
            | Self::Verify
            | Self::Agree
            | Self::Encapsulate
            | Self::Decapsulate
            | Self::Wrap
            | Self::Unwrap => None,
        }
    }

    /// The operation, with a fresh key and all that it needs.
    pub(super) fn prepare(self, algorithm: Algorithm) -> Result<Once, CryptoError> {
        let make = move || -> Result<(SecretVec, UsableKey), CryptoError> {
            let material = algorithm.generate(&SystemEntropy)?.into_parts().0;
            let key = algorithm.load(&material)?;
            Ok((material, key))
        };
        if self == Self::Generate {
            return Ok(Box::new(move || taken(algorithm.generate(&SystemEntropy))));
        }
        let (material, key) = make()?;
        let message = vec![7; self.bytes().unwrap_or(SHORT)];
        Ok(match self {
            Self::Generate => Box::new(move || taken(algorithm.generate(&SystemEntropy))),
            Self::Load => Box::new(move || taken(algorithm.load(&material))),
            Self::Derive => derive(algorithm, material)?,
            Self::Encrypt(_) => {
                let mut out = Vec::new();
                Box::new(move || {
                    out.clear();
                    key.encrypt(&SystemEntropy, &message, b"", &mut out)?;
                    black_box(&out);
                    Ok(())
                })
            }
            Self::Decrypt(_) => {
                let mut sealed = Vec::new();
                key.encrypt(&SystemEntropy, &message, b"", &mut sealed)?;
                Box::new(move || taken(key.decrypt(&sealed, b"")))
            }
            Self::Sign => Box::new(move || taken(key.sign(None, &message))),
            Self::Verify => {
                let signature = key.sign(None, &message)?;
                Box::new(move || held(key.verify(None, &message, &signature)))
            }
            Self::Mac(_) => Box::new(move || taken(key.mac(&message))),
            Self::MacVerify(_) => {
                let tag = key.mac(&message)?;
                Box::new(move || held(key.mac_verify(&message, &tag)))
            }
            Self::Agree => {
                let (_, other) = make()?;
                let peer = other.public_key().map_or(Vec::new(), |public| public.raw().to_vec());
                Box::new(move || taken(key.agree(&peer)))
            }
            Self::Encapsulate => Box::new(move || taken(key.encapsulate(&SystemEntropy))),
            Self::Decapsulate => {
                let made = key.encapsulate(&SystemEntropy)?;
                Box::new(move || taken(key.decapsulate(&made.ciphertext)))
            }
            Self::Wrap => Box::new(move || taken(key.wrap(&message))),
            Self::Unwrap => {
                let wrapped = key.wrap(&message)?;
                Box::new(move || taken(key.unwrap(&wrapped)))
            }
        })
    }
}

fn derive(algorithm: Algorithm, parent: SecretVec) -> Result<Once, CryptoError> {
    if algorithm.object_type() == ObjectType::SymmetricKey {
        return Ok(Box::new(move || {
            taken(algorithm.derive_symmetric(&parent, b"label", algorithm))
        }));
    }
    // Some derive by their public key alone, which no hardened step can.
    let path: DerivationPath =
        if algorithm.name().starts_with("hd-") { "m/1" } else { "m/1'" }.parse()?;
    Ok(Box::new(move || taken(algorithm.derive_child(&parent, &path))))
}

/// The result was made, whatever it is.
fn taken<T>(result: Result<T, CryptoError>) -> Result<(), CryptoError> {
    result.map(|made| drop(black_box(made)))
}

/// A check that found nothing is no measurement.
fn held(verdict: Result<bool, CryptoError>) -> Result<(), CryptoError> {
    if verdict? { Ok(()) } else { Err(CryptoError::Authentication) }
}
