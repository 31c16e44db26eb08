//! PKCS#11 tokens (OASIS PKCS #11 v2.40 and later): the slot's keys, and the key of a seal.
//!
//! Both are generic secret keys in the token, not extractable, used with `CKM_SHA256_HMAC`, which
//! every token has. Nothing but what the token computes with them ever leaves it. A key of the slot
//! has the label `NAME-root` and its generation, 8 bytes big-endian, as `CKA_ID`; the one of the
//! seal has the label `NAME-seal`.

use core::fmt;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as LibraryError, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::RawAuthPin;
use lethe_erasure::seal::{SealDevice, SealKind, SecretSeal};
use lethe_erasure::slot::{EraseMethod, ErasureClass};
use lethe_types::{Secret, SecretVec};
use zeroize::Zeroizing;

use crate::device::{DeviceError, KeyDevice};

/// Where in which token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pkcs11Place {
    /// The shared library of the token's vendor.
    pub module: PathBuf,
    /// The label of the token.
    pub token: String,
    /// What the labels of our keys begin with: one for each Lethe that uses the token.
    pub name: String,
}

/// Whether a key that is not there is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// It is made: for a new slot.
    Make,
    /// It is an error: what it sealed would be lost.
    Refuse,
}

/// A session with a token, signed in.
pub struct Pkcs11Token {
    session: Session,
    place: Pkcs11Place,
    serial_number: String,
    is_hardware: bool,
}

impl Pkcs11Token {
    /// Signs in to the token. A wrong PIN is one of the few tries that a token gives.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn open(place: &Pkcs11Place, pin: &SecretVec) -> Result<Self, DeviceError> {
        let module = module(&place.module)?;
        let mut found = None;
        for slot in module.get_slots_with_initialized_token().map_err(failed("list its tokens"))? {
            let token = module.get_token_info(slot).map_err(failed("describe a token"))?;
            if token.label().trim_end() == place.token {
                if found.is_some() {
                    let why = format!("two tokens have the label `{}`", place.token);
                    return Err(DeviceError::Unusable(why));
                }
                found = Some((slot, token));
            }
        }
        let missing = || DeviceError::Missing(format!("token with the label `{}`", place.token));
        let (slot, token) = found.ok_or_else(missing)?;
        if token.user_pin_locked() {
            return Err(DeviceError::Locked);
        }
        let info = module.get_slot_info(slot).map_err(failed("describe its reader"))?;
        let session = module.open_rw_session(slot).map_err(failed("open a session"))?;
        // The library's own type for a PIN wipes it.
        let pin = RawAuthPin::new(Box::new(pin.expose().to_vec()));
        match session.login_with_raw(UserType::User, &pin) {
            Ok(()) | Err(LibraryError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(LibraryError::Pkcs11(RvError::PinLocked, _)) => return Err(DeviceError::Locked),
            Err(LibraryError::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                _,
            )) => return Err(DeviceError::Pin),
            Err(error) => return Err(failed("sign in")(error)),
        }
        Ok(Self {
            session,
            place: place.clone(),
            serial_number: token.serial_number().trim_end().to_owned(),
            is_hardware: info.hardware_slot(),
        })
    }

    /// The seal whose secret the token computes. The token is not needed any more after this.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn seal(&self, if_missing: IfMissing) -> Result<SecretSeal, DeviceError> {
        let label = format!("{}-seal", self.place.name);
        let what = format!("the seal's key `{label}`");
        let keys = self.keys(&label)?;
        let key = match (keys.as_slice(), if_missing) {
            ([(_, key)], _) => *key,
            ([], IfMissing::Make) => self.generate(&label, &[])?,
            ([], IfMissing::Refuse) => return Err(DeviceError::KeyMissing(what)),
            ([_, _, ..], _) => {
                return Err(DeviceError::Unusable(format!("the token has {what} more than once")));
            }
        };
        let secret = self.hmac(key, b"lethe/slot-seal-secret/v1")?;
        Ok(SecretSeal::new(SealKind::Pkcs11, secret))
    }

    /// Our keys with this label: their `CKA_ID` and handle.
    fn keys(&self, label: &str) -> Result<Vec<(Vec<u8>, ObjectHandle)>, DeviceError> {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::Token(true),
            Attribute::Label(label.as_bytes().to_vec()),
        ];
        let found = self.session.find_objects(&template).map_err(failed("list its keys"))?;
        let mut keys = Vec::with_capacity(found.len());
        for handle in found {
            let attributes = self
                .session
                .get_attributes(handle, &[AttributeType::Id])
                .map_err(failed("describe a key"))?;
            let id = attributes.into_iter().find_map(|attribute| {
                if let Attribute::Id(id) = attribute { Some(id) } else { None }
            });
            keys.push((id.unwrap_or_default(), handle));
        }
        Ok(keys)
    }

    fn generate(&self, label: &str, id: &[u8]) -> Result<ObjectHandle, DeviceError> {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::ValueLen(32.into()),
            Attribute::Label(label.as_bytes().to_vec()),
            Attribute::Id(id.to_vec()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Copyable(false),
            Attribute::Modifiable(false),
            Attribute::Sign(true),
        ];
        self.session
            .generate_key(&Mechanism::GenericSecretKeyGen, &template)
            .map_err(failed("draw a key"))
    }

    fn hmac(&self, key: ObjectHandle, input: &[u8]) -> Result<Secret<32>, DeviceError> {
        let output = self.session.sign(&Mechanism::Sha256Hmac, key, input);
        let output = Zeroizing::new(output.map_err(failed("use a key"))?);
        let short = || DeviceError::Failed { doing: "use a key", why: "a short answer".to_owned() };
        let bytes: &[u8; 32] = output.as_slice().try_into().map_err(|_| short())?;
        Ok(Secret::init_with(|secret| secret.copy_from_slice(bytes)))
    }

    fn root_label(&self) -> String {
        format!("{}-root", self.place.name)
    }

    /// The keys of the slot by generation.
    fn roots(&self) -> Result<Vec<(u64, ObjectHandle)>, DeviceError> {
        let label = self.root_label();
        let foreign = |_| {
            let why = format!("the token has a key `{label}` that is not a slot's: remove it");
            DeviceError::Unusable(why)
        };
        let mut roots = Vec::new();
        for (id, handle) in self.keys(&label)? {
            let id: [u8; 8] = id.try_into().map_err(foreign)?;
            roots.push((u64::from_be_bytes(id), handle));
        }
        roots.sort_unstable_by_key(|(generation, _)| *generation);
        Ok(roots)
    }
}

impl KeyDevice for Pkcs11Token {
    fn device(&self) -> SealDevice {
        SealDevice::Pkcs11
    }

    /// Only what says that it is hardware counts as hardware.
    fn class(&self) -> ErasureClass {
        if self.is_hardware { ErasureClass::Hardware } else { ErasureClass::Overwrite }
    }

    fn name(&self) -> String {
        format!("token `{}` serial {}", self.place.token, self.serial_number)
    }

    fn method(&self) -> EraseMethod {
        EraseMethod::ObjectDestroyed
    }

    fn generations(&self) -> Result<Vec<u64>, DeviceError> {
        let mut generations: Vec<u64> =
            self.roots()?.into_iter().map(|(generation, _)| generation).collect();
        generations.dedup();
        Ok(generations)
    }

    fn draw(&mut self, generation: u64) -> Result<(), DeviceError> {
        // A key that a failed try left: never two of one generation.
        self.destroy(generation)?;
        self.generate(&self.root_label(), &generation.to_be_bytes()).map(|_| ())
    }

    fn evaluate(&self, generation: u64, input: &[u8]) -> Result<Secret<32>, DeviceError> {
        let mut roots = self.roots()?.into_iter().filter(|(one, _)| *one == generation);
        let missing = || DeviceError::KeyMissing(format!("the slot's key {generation}"));
        let (_, key) = roots.next().ok_or_else(missing)?;
        match roots.next() {
            None => self.hmac(key, input),
            Some(_) => {
                let why = format!("the token has two keys of the slot's generation {generation}");
                Err(DeviceError::Unusable(why))
            }
        }
    }

    fn destroy(&mut self, generation: u64) -> Result<(), DeviceError> {
        for (_, handle) in self.roots()?.into_iter().filter(|(one, _)| *one == generation) {
            self.session.destroy_object(handle).map_err(failed("destroy a key"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Pkcs11Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Token").field("place", &self.place).finish_non_exhaustive()
    }
}

/// The module, which a process initialises once and all its parts share.
fn module(path: &Path) -> Result<Pkcs11, DeviceError> {
    static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    let why = |error: LibraryError| DeviceError::Module(format!("{}: {error}", path.display()));
    let module = Pkcs11::new(path).map_err(why)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(LibraryError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(why(error)),
    }
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}

fn failed(doing: &'static str) -> impl Fn(LibraryError) -> DeviceError {
    move |error| {
        let why = if let LibraryError::Pkcs11(code, function) = &error {
            format!("{function} answered {code:?}")
        } else {
            error.to_string()
        };
        DeviceError::Failed { doing, why }
    }
}
