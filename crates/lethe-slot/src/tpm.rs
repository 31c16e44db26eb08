//! A TPM 2.0 (TCG TPM 2.0 Library, parts 1 and 3): the slot's keys in its non-volatile memory, and
//! a seal whose secret it alone can open.
//!
//! The keys lie in two NV indices, by the parity of their generation, of 64 bytes each:
//!
//! ```text
//! 0 "LNV1" | 4 zero (4) | 8 u64 generation | 16 key (32) | 48 first 16 bytes of SHA-256 over 0..48
//! ```
//! A destroyed key is an index of zeros. The indices belong to the owner, whose authorisation must
//! be empty, and are not `ORDERLY`: what was written is durable. A bus between processor and TPM
//! shows nothing: every secret goes through a session salted with a key of the TPM (parameter
//! encryption).
//!
//! Each call opens the TPM anew, so that a restart of its resource manager is no matter. Memory of
//! a TPM wears out: some are rated for as few as 100,000 writes.

use core::fmt;
use std::io::Write as _;
use std::path::Path;
use std::str::FromStr as _;

use lethe_crypto::hash::sha256;
use lethe_crypto::kdf::hkdf_sha256;
use lethe_erasure::seal::{SealDevice, SealKind, SecretSeal};
use lethe_erasure::slot::{EraseMethod, ErasureClass};
use lethe_types::{Entropy, Secret, SecretVec};
use tss_esapi::attributes::{NvIndexAttributesBuilder, ObjectAttributesBuilder, SessionAttributes};
use tss_esapi::constants::response_code::Tss2ResponseCodeKind;
use tss_esapi::constants::{CapabilityType, SessionType};
use tss_esapi::handles::{KeyHandle, NvIndexHandle, NvIndexTpmHandle, ObjectHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::resource_handles::{Hierarchy, NvAuth, Provision};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{
    Auth, CapabilityData, EccPoint, KeyedHashScheme, MaxNvBuffer, NvPublicBuilder, Private, Public,
    PublicBuilder, PublicEccParametersBuilder, PublicKeyedHashParameters, SensitiveData,
    SymmetricDefinition, SymmetricDefinitionObject,
};
use tss_esapi::traits::{Marshall as _, UnMarshall as _};
use tss_esapi::{Context, Error as LibraryError, TctiNameConf};
use zeroize::Zeroizing;

use crate::device::{DeviceError, KeyDevice};
use crate::files::{self, Access, OWNER_ONLY, open_existing};
use crate::pkcs11::IfMissing;

/// Bytes of an index.
const INDEX_BYTES: usize = 64;

/// The slot's keys in the non-volatile memory of a TPM.
pub struct TpmNv {
    tcti: TctiNameConf,
    name: String,
    index: u32,
}

impl TpmNv {
    /// The TPM that `tcti` names, as in `device:/dev/tpmrm0`, and its indices `index` and the next
    /// one, which are made when they are first needed.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn open(tcti: &str, index: u32) -> Result<Self, DeviceError> {
        let device = Self { tcti: parse(tcti)?, name: tcti.to_owned(), index };
        device.read_both()?;
        Ok(device)
    }

    /// What both indices hold; `None` for an index that is not there, was never written or is zero.
    fn read_both(&self) -> Result<[Option<Slotted>; 2], DeviceError> {
        with_tpm(&self.tcti, |context, session| {
            let mut both = [None, None];
            for (place, offset) in both.iter_mut().zip(0..) {
                let Some(handle) = find(context, self.index + offset)? else { continue };
                let (public, _) = context
                    .execute_without_session(|context| context.nv_read_public(handle))
                    .map_err(failed("describe an index"))?;
                if public.data_size() != INDEX_BYTES || public.attributes().orderly() {
                    return Err(self.foreign());
                }
                if !public.attributes().written() {
                    continue;
                }
                let bytes = context
                    .execute_with_session(Some(session), |context| {
                        let size = u16::try_from(INDEX_BYTES).expect("64 fits");
                        context.nv_read(NvAuth::Owner, handle, size, 0)
                    })
                    .map_err(failed("read an index"))?;
                *place = Slotted::parse(&bytes).ok_or_else(|| self.foreign())?;
            }
            Ok(both)
        })
    }

    fn write(&self, generation: u64, bytes: &[u8; INDEX_BYTES]) -> Result<(), DeviceError> {
        let index = self.index + u32::from(!generation.is_multiple_of(2));
        with_tpm(&self.tcti, |context, session| {
            let handle = match find(context, index)? {
                Some(handle) => handle,
                None => define(context, session, index)?,
            };
            let buffer = MaxNvBuffer::try_from(bytes.to_vec()).map_err(failed("take the key"))?;
            context
                .execute_with_session(Some(session), |context| {
                    context.nv_write(NvAuth::Owner, handle, buffer, 0)
                })
                .map_err(failed("write an index"))
        })
    }

    fn foreign(&self) -> DeviceError {
        let why = format!(
            "the TPM's index {:#010x} or the next one is not a slot's: set `slot.index`",
            self.index
        );
        DeviceError::Unusable(why)
    }
}

/// A generation and its key.
struct Slotted {
    generation: u64,
    key: Secret<32>,
}

impl Slotted {
    /// What an index holds: `Some(None)` if zeros, `None` if something that is not a slot's.
    fn parse(bytes: &[u8]) -> Option<Option<Self>> {
        let bytes: &[u8; INDEX_BYTES] = bytes.try_into().ok()?;
        if bytes.iter().all(|byte| *byte == 0) {
            return Some(None);
        }
        let sum = sha256(&[&bytes[..48]]);
        if bytes[..8] != *HEADER || bytes[48..] != sum[..16] {
            return None;
        }
        let mut generation = [0; 8];
        generation.copy_from_slice(&bytes[8..16]);
        let key = Secret::init_with(|key| key.copy_from_slice(&bytes[16..48]));
        Some(Some(Self { generation: u64::from_be_bytes(generation), key }))
    }

    fn print(&self) -> Zeroizing<[u8; INDEX_BYTES]> {
        let mut bytes = Zeroizing::new([0; INDEX_BYTES]);
        bytes[..8].copy_from_slice(HEADER);
        bytes[8..16].copy_from_slice(&self.generation.to_be_bytes());
        bytes[16..48].copy_from_slice(self.key.expose());
        let sum = sha256(&[&bytes[..48]]);
        bytes[48..].copy_from_slice(&sum[..16]);
        bytes
    }
}

const HEADER: &[u8; 8] = b"LNV1\0\0\0\0";

impl KeyDevice for TpmNv {
    fn device(&self) -> SealDevice {
        SealDevice::TpmNv
    }

    fn class(&self) -> ErasureClass {
        ErasureClass::Hardware
    }

    fn name(&self) -> String {
        format!("TPM at `{}`, indices from {:#010x}", self.name, self.index)
    }

    fn method(&self) -> EraseMethod {
        EraseMethod::Zero
    }

    fn generations(&self) -> Result<Vec<u64>, DeviceError> {
        let both = self.read_both()?;
        let mut found: Vec<u64> = both.iter().flatten().map(|one| one.generation).collect();
        found.sort_unstable();
        Ok(found)
    }

    fn draw(&mut self, generation: u64) -> Result<(), DeviceError> {
        let key = with_tpm(&self.tcti, |context, session| {
            let random = context
                .execute_with_session(Some(session), |context| context.get_random(32))
                .map_err(failed("draw a key"))?;
            // Not the TPM's alone: its random source is not the only one that has to be good.
            let mut own = Zeroizing::new([0; 32]);
            let source = lethe_crypto::SystemEntropy.fill(&mut *own);
            source.map_err(|error| DeviceError::Failed {
                doing: "draw a key",
                why: error.to_string(),
            })?;
            let mixed = sha256(&[random.as_ref(), &*own]);
            Ok(Secret::init_with(|key| key.copy_from_slice(&mixed)))
        })?;
        let slotted = Slotted { generation, key };
        self.write(generation, &slotted.print())?;
        let read = self.read_both()?.into_iter().flatten();
        let is_there =
            read.filter(|one| one.generation == generation).any(|one| one.key.ct_eq(&slotted.key));
        if is_there {
            Ok(())
        } else {
            let why = "it reads something else".to_owned();
            Err(DeviceError::Failed { doing: "keep a key", why })
        }
    }

    fn evaluate(&self, generation: u64, input: &[u8]) -> Result<Secret<32>, DeviceError> {
        let both = self.read_both()?;
        let found = both.into_iter().flatten().find(|one| one.generation == generation);
        let missing = || DeviceError::KeyMissing(format!("the slot's key {generation}"));
        let key = found.ok_or_else(missing)?.key;
        hkdf_sha256(&[], key.expose(), &[b"lethe/slot-tpm/v1", input]).map_err(|error| {
            DeviceError::Failed { doing: "derive from a key", why: error.to_string() }
        })
    }

    fn destroy(&mut self, generation: u64) -> Result<(), DeviceError> {
        if self.generations()?.contains(&generation) {
            self.write(generation, &[0; INDEX_BYTES])?;
        }
        Ok(())
    }
}

impl fmt::Debug for TpmNv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TpmNv({}, {:#010x})", self.name, self.index)
    }
}

/// The seal whose secret the TPM at `tcti` sealed into the file at `path`, with a PIN or without.
/// With a PIN the TPM counts wrong ones, and locks itself.
///
/// # Errors
/// [`DeviceError`]. A file that is there is never written over.
pub fn tpm_seal(
    path: &Path,
    tcti: &str,
    pin: Option<&SecretVec>,
    if_missing: IfMissing,
) -> Result<SecretSeal, DeviceError> {
    let tcti = parse(tcti)?;
    let auth = pin.map(auth_of).transpose()?;
    let secret = match (path.exists(), if_missing) {
        (true, _) => unseal(&tcti, &read_sealed(path)?, auth)?,
        (false, IfMissing::Make) => {
            let secret = Secret::<32>::random(&lethe_crypto::SystemEntropy)
                .map_err(|error| unusable(path, &error.to_string()))?;
            write_sealed(path, &seal(&tcti, &secret, auth)?)?;
            secret
        }
        (false, IfMissing::Refuse) => {
            return Err(DeviceError::Missing(format!("sealed secret `{}`", path.display())));
        }
    };
    Ok(SecretSeal::new(SealKind::Tpm2, secret))
}

fn auth_of(pin: &SecretVec) -> Result<Auth, DeviceError> {
    let long = |_| DeviceError::Unusable("a PIN of a TPM has at most 32 bytes".to_owned());
    Auth::try_from(pin.expose().to_vec()).map_err(long)
}

/// A secret as the TPM gave it out: its public area and its encrypted private one.
struct Sealed {
    public: Vec<u8>,
    private: Vec<u8>,
}

fn seal(
    tcti: &TctiNameConf,
    secret: &Secret<32>,
    auth: Option<Auth>,
) -> Result<Sealed, DeviceError> {
    let doing = "seal a secret";
    // Who has no PIN to guess cannot guess it wrongly.
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_user_with_auth(true)
        .with_no_da(auth.is_none())
        .build()
        .map_err(failed(doing))?;
    let public = PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::KeyedHash)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_keyed_hash_parameters(PublicKeyedHashParameters::new(KeyedHashScheme::Null))
        .with_keyed_hash_unique_identifier(Default::default())
        .build()
        .map_err(failed(doing))?;
    let data = SensitiveData::try_from(secret.expose().to_vec()).map_err(failed(doing))?;
    with_parent(tcti, |context, session, parent| {
        let made = context
            .execute_with_session(Some(session), |context| {
                context.create(parent, public, auth, Some(data), None, None)
            })
            .map_err(failed(doing))?;
        let public = made.out_public.marshall().map_err(failed(doing))?;
        Ok(Sealed { public, private: made.out_private.to_vec() })
    })
}

fn unseal(
    tcti: &TctiNameConf,
    sealed: &Sealed,
    auth: Option<Auth>,
) -> Result<Secret<32>, DeviceError> {
    let doing = "open the sealed secret";
    let public = Public::unmarshall(&sealed.public).map_err(failed(doing))?;
    let private = Private::try_from(sealed.private.clone()).map_err(failed(doing))?;
    with_parent(tcti, |context, session, parent| {
        let object = context
            .execute_with_session(Some(session), |context| context.load(parent, private, public))
            .map_err(failed(doing))?;
        let object = ObjectHandle::from(object);
        if let Some(auth) = auth {
            context.tr_set_auth(object, auth).map_err(failed(doing))?;
        }
        let data = context
            .execute_with_session(Some(session), |context| context.unseal(object))
            .map_err(failed(doing))?;
        let bytes: &[u8; 32] = data.value().try_into().map_err(|_| DeviceError::Failed {
            doing,
            why: "it has not the length of a seal's".to_owned(),
        })?;
        Ok(Secret::init_with(|secret| secret.copy_from_slice(bytes)))
    })
}

fn read_sealed(path: &Path) -> Result<Sealed, DeviceError> {
    use std::io::Read as _;
    use std::os::unix::fs::MetadataExt as _;
    let failed = |error: std::io::Error| unusable(path, &error.to_string());
    let file = open_existing(path, Access::Read).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & !OWNER_ONLY != 0 {
        return Err(unusable(path, &format!("it has mode {mode:04o}, make it 0600")));
    }
    let mut bytes = Vec::new();
    file.take(SEALED_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    parse_sealed(&bytes).ok_or_else(|| unusable(path, "it is damaged"))
}

fn parse_sealed(bytes: &[u8]) -> Option<Sealed> {
    let (body, sum) = bytes.split_last_chunk::<32>()?;
    let rest = body.strip_prefix(SEALED_MAGIC).filter(|_| sha256(&[body]) == *sum)?;
    let (public_bytes, rest) = rest.split_first_chunk::<2>()?;
    let (public, private) = rest.split_at_checked(u16::from_be_bytes(*public_bytes).into())?;
    Some(Sealed { public: public.to_vec(), private: private.to_vec() })
}

fn write_sealed(path: &Path, sealed: &Sealed) -> Result<(), DeviceError> {
    let public_bytes = u16::try_from(sealed.public.len());
    let public_bytes = public_bytes.map_err(|_| unusable(path, "the TPM's answer is too long"))?;
    let mut bytes = SEALED_MAGIC.to_vec();
    bytes.extend_from_slice(&public_bytes.to_be_bytes());
    bytes.extend_from_slice(&sealed.public);
    bytes.extend_from_slice(&sealed.private);
    let sum = sha256(&[&bytes]);
    bytes.extend_from_slice(&sum);
    let failed = |error: std::io::Error| unusable(path, &error.to_string());
    files::make(path, failed, |mut file| file.write_all(&bytes).map_err(failed))?;
    Ok(())
}

const SEALED_MAGIC: &[u8] = b"LTP1";
const SEALED_BYTES_MAX: u64 = 4_096;

fn unusable(path: &Path, why: &str) -> DeviceError {
    DeviceError::Unusable(format!("the sealed secret `{}`: {why}", path.display()))
}

fn parse(tcti: &str) -> Result<TctiNameConf, DeviceError> {
    TctiNameConf::from_str(tcti)
        .map_err(|_| DeviceError::Missing(format!("way to a TPM called `{tcti}`")))
}

/// Does `work` with the TPM and a session in which nothing that is secret shows on a bus.
fn with_tpm<T>(
    tcti: &TctiNameConf,
    work: impl FnOnce(&mut Context, AuthSession) -> Result<T, DeviceError>,
) -> Result<T, DeviceError> {
    with_parent(tcti, |context, session, _| work(context, session))
}

/// As [`with_tpm`], with the storage key below which secrets are sealed.
fn with_parent<T>(
    tcti: &TctiNameConf,
    work: impl FnOnce(&mut Context, AuthSession, KeyHandle) -> Result<T, DeviceError>,
) -> Result<T, DeviceError> {
    let mut context = Context::new(tcti.clone())
        .map_err(|error| DeviceError::Missing(format!("TPM that answers: {error}")))?;
    let public = storage_key().map_err(failed("describe its storage key"))?;
    let parent = context
        .execute_with_session(Some(AuthSession::Password), |context| {
            context.create_primary(Hierarchy::Owner, public, None, None, None, None)
        })
        .map_err(refused_to_owner)?
        .key_handle;
    let session = context
        .start_auth_session(
            Some(parent),
            None,
            None,
            SessionType::Hmac,
            SymmetricDefinition::AES_128_CFB,
            HashingAlgorithm::Sha256,
        )
        .map_err(failed("open a session"))?;
    let session = session
        .ok_or(DeviceError::Failed { doing: "open a session", why: "it gave none".to_owned() })?;
    let (attributes, mask) =
        SessionAttributes::builder().with_decrypt(true).with_encrypt(true).build();
    context
        .tr_sess_set_attributes(session, attributes, mask)
        .map_err(failed("set up a session"))?;
    // Session and key go with the context, also after an error.
    work(&mut context, session, parent)
}

/// The template of the storage key: always the same key on the same TPM, until it is cleared.
fn storage_key() -> Result<Public, LibraryError> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .with_restricted(true)
        .with_decrypt(true)
        .build()?;
    let parameters = PublicEccParametersBuilder::new_restricted_decryption_key(
        SymmetricDefinitionObject::AES_128_CFB,
        EccCurve::NistP256,
    );
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(parameters.build()?)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
}

/// The index, if it is there.
fn find(context: &mut Context, index: u32) -> Result<Option<NvIndexHandle>, DeviceError> {
    let wanted = NvIndexTpmHandle::new(index).map_err(failed("name an index"))?;
    let (handles, _) = context
        .execute_without_session(|context| {
            context.get_capability(CapabilityType::Handles, index, 1)
        })
        .map_err(failed("list its indices"))?;
    let CapabilityData::Handles(handles) = handles else {
        let why = "it listed something else".to_owned();
        return Err(DeviceError::Failed { doing: "list its indices", why });
    };
    if !handles.into_inner().contains(&TpmHandle::NvIndex(wanted)) {
        return Ok(None);
    }
    let handle = context
        .execute_without_session(|context| context.tr_from_tpm_public(wanted.into()))
        .map_err(failed("open an index"))?;
    Ok(Some(handle.into()))
}

fn define(
    context: &mut Context,
    session: AuthSession,
    index: u32,
) -> Result<NvIndexHandle, DeviceError> {
    let doing = "make an index";
    let attributes = NvIndexAttributesBuilder::new()
        .with_owner_write(true)
        .with_owner_read(true)
        .with_no_da(true)
        .build()
        .map_err(failed(doing))?;
    let public = NvPublicBuilder::new()
        .with_nv_index(NvIndexTpmHandle::new(index).map_err(failed(doing))?)
        .with_index_name_algorithm(HashingAlgorithm::Sha256)
        .with_index_attributes(attributes)
        .with_data_area_size(INDEX_BYTES)
        .build()
        .map_err(failed(doing))?;
    context
        .execute_with_session(Some(session), |context| {
            context.nv_define_space(Provision::Owner, None, public)
        })
        .map_err(failed(doing))
}

/// The first command that needs the owner's authorisation tells whether there is one.
fn refused_to_owner(error: LibraryError) -> DeviceError {
    let error = failed("derive its storage key")(error);
    if matches!(error, DeviceError::Pin) {
        let why = "the TPM's owner has an authorisation: it must be empty (`tpm2 changeauth -c \
                   owner`)";
        return DeviceError::Unusable(why.to_owned());
    }
    error
}

fn failed(doing: &'static str) -> impl Fn(LibraryError) -> DeviceError {
    move |error| {
        let kind = match error {
            LibraryError::Tss2Error(code) => code.kind(),
            LibraryError::WrapperError(_) => None,
        };
        match kind {
            Some(Tss2ResponseCodeKind::AuthFail | Tss2ResponseCodeKind::BadAuth) => {
                DeviceError::Pin
            }
            Some(Tss2ResponseCodeKind::Lockout) => DeviceError::Locked,
            Some(_) | None => DeviceError::Failed { doing, why: error.to_string() },
        }
    }
}
