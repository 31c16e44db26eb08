//! Passphrases and PINs, and credentials of the service manager: read from the environment, a file,
//! a file descriptor or the terminal, never from the command line.
//!
//! Hands out bytes; what they open is the business of the erasure crate.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use lethe_types::{Secret, SecretVec};
use zeroize::Zeroizing;

use crate::private_files::{PrivateFileError, read_private};

/// The environment variable that holds the passphrase when the configuration says so.
pub const PASSPHRASE_VARIABLE: &str = "LETHE_PASSPHRASE";

/// The environment variable of the passphrase that a migration seals with.
pub const NEW_PASSPHRASE_VARIABLE: &str = "LETHE_NEW_PASSPHRASE";

/// The environment variable that holds the PIN of a device when the configuration says so.
pub const PIN_VARIABLE: &str = "LETHE_PIN";

/// The environment variable in which the service manager names the directory of credentials.
pub const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// Bytes of the credential that is a seal.
pub const SEAL_CREDENTIAL_BYTES: usize = 32;

/// Shortest passphrase that a new slot is sealed with, in bytes.
pub const PASSPHRASE_BYTES_MIN: usize = 12;

/// Longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;

/// Where the passphrase comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassphraseSource {
    /// From the credential of this name, which the service manager decrypted for this process. One
    /// newline at its end is not part of the passphrase.
    Credential(String),
    /// From a file descriptor that this process has inherited, up to its end. One newline there is
    /// not part of the passphrase.
    Descriptor(u32),
    /// From the environment variable [`PASSPHRASE_VARIABLE`], for a PIN [`PIN_VARIABLE`]. Other
    /// processes of the same user can read the environment of a running process.
    Environment,
    /// From a file that only its owner may read. One newline at its end is not part of the
    /// passphrase.
    File(PathBuf),
    /// From the terminal that the server was started from.
    Prompt,
}

impl PassphraseSource {
    /// In words, without the secret.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Credential(name) => format!("the credential `{name}`"),
            Self::Descriptor(number) => format!("file descriptor {number}"),
            Self::Environment => "the environment".to_owned(),
            Self::File(path) => format!("`{}`", path.display()),
            Self::Prompt => "the terminal".to_owned(),
        }
    }
}

/// What the passphrase is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassphrasePurpose {
    /// To seal a new slot: it must be long enough, and a prompt asks twice.
    Create,
    /// To seal a slot anew that has another seal: as [`PassphrasePurpose::Create`], from
    /// [`NEW_PASSPHRASE_VARIABLE`].
    Migrate,
    /// To open a slot that exists.
    Open,
    /// To sign in to a device, as its PIN.
    Pin,
}

impl PassphrasePurpose {
    fn variable(self) -> &'static str {
        match self {
            Self::Create | Self::Open => PASSPHRASE_VARIABLE,
            Self::Migrate => NEW_PASSPHRASE_VARIABLE,
            Self::Pin => PIN_VARIABLE,
        }
    }

    fn is_new(self) -> bool {
        match self {
            Self::Create | Self::Migrate => true,
            Self::Open | Self::Pin => false,
        }
    }
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The service manager gave no credentials, or not this one.
    #[error("there is no credential `{name}`: {why}")]
    Credential {
        /// Which.
        name: String,
        /// Why not.
        why: String,
    },
    /// The file descriptor cannot be read.
    #[error("cannot take the passphrase from file descriptor {number}")]
    Descriptor {
        /// Which.
        number: u32,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is empty.
    #[error("the passphrase from {from} is empty")]
    Empty {
        /// The source, in words.
        from: String,
    },
    /// The file cannot be used.
    #[error("cannot take the passphrase from its file")]
    File(#[source] PrivateFileError),
    /// The two answers differ.
    #[error("the two passphrases are not the same; nothing was created")]
    Mismatch,
    /// The variable is not set.
    #[error("the environment variable `{0}` is not set")]
    NotSet(&'static str),
    /// The terminal cannot be used.
    #[error(
        "cannot ask for the passphrase; without a terminal set `seal.from` to \
             \"environment\" or \"file\""
    )]
    Terminal(#[source] io::Error),
    /// It is longer than any passphrase.
    #[error("the passphrase from {from} has more than {PASSPHRASE_BYTES_MAX} bytes")]
    TooLong {
        /// The source, in words.
        from: String,
    },
    /// It is too short for a new slot.
    #[error(
        "a new passphrase must have at least {PASSPHRASE_BYTES_MIN} bytes; the one from {from} \
             is shorter, nothing was created"
    )]
    TooShort {
        /// The source, in words.
        from: String,
    },
}

/// What of the surroundings of the process a passphrase can come from.
pub trait Surroundings {
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// Asks on the terminal without showing what is typed.
    ///
    /// # Errors
    /// There is no terminal, or it was closed, or the operator interrupted.
    fn ask(&mut self, question: &str) -> io::Result<String>;
}

/// The real environment and terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSurroundings;

impl Surroundings for SystemSurroundings {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn ask(&mut self, question: &str) -> io::Result<String> {
        rpassword::prompt_password(question)
    }
}

/// The passphrase from `source`.
///
/// Blocks as long as the operator takes to type; call it before the runtime starts or on a thread
/// of its own.
///
/// # Errors
/// Any [`PassphraseError`]. Nothing is changed, and what was read is wiped.
pub fn read_passphrase(
    source: &PassphraseSource,
    purpose: PassphrasePurpose,
    surroundings: &mut dyn Surroundings,
) -> Result<SecretVec, PassphraseError> {
    let (passphrase, from) = match source {
        PassphraseSource::Credential(name) => {
            let content = read_credential(name, PASSPHRASE_BYTES_MAX + 1, surroundings)?;
            (without_newline(content), format!("the credential `{name}`"))
        }
        PassphraseSource::Descriptor(number) => {
            let content = read_descriptor(*number)
                .map_err(|source| PassphraseError::Descriptor { number: *number, source })?;
            (without_newline(content), format!("file descriptor {number}"))
        }
        PassphraseSource::Environment => {
            let variable = purpose.variable();
            let value = surroundings.variable(variable).ok_or(PassphraseError::NotSet(variable))?;
            (
                SecretVec::from_vec(value.into_vec()),
                format!("the environment variable `{variable}`"),
            )
        }
        PassphraseSource::File(path) => {
            // One more byte than a passphrase has: the newline.
            let content =
                read_private(path, PASSPHRASE_BYTES_MAX + 1).map_err(PassphraseError::File)?;
            (without_newline(content), format!("`{}`", path.display()))
        }
        PassphraseSource::Prompt => (ask(purpose, surroundings)?, "the terminal".to_owned()),
    };
    check(passphrase, purpose, from)
}

/// The 32 bytes of the credential `name`, for a seal.
///
/// # Errors
/// [`PassphraseError::Credential`].
pub fn read_seal_credential(
    name: &str,
    surroundings: &dyn Surroundings,
) -> Result<Secret<SEAL_CREDENTIAL_BYTES>, PassphraseError> {
    let content = read_credential(name, SEAL_CREDENTIAL_BYTES, surroundings)?;
    let wrong = || PassphraseError::Credential {
        name: name.to_owned(),
        why: format!("it has {} bytes, a seal has {SEAL_CREDENTIAL_BYTES}", content.len()),
    };
    let bytes: &[u8; SEAL_CREDENTIAL_BYTES] = content.expose().try_into().map_err(|_| wrong())?;
    Ok(Secret::init_with(|secret| secret.copy_from_slice(bytes)))
}

/// A credential (systemd.exec(5)). Its file may be open to a group: the service manager gives
/// access by a list, which shows as the group's permission.
fn read_credential(
    name: &str,
    bytes_max: usize,
    surroundings: &dyn Surroundings,
) -> Result<SecretVec, PassphraseError> {
    let refused = |why: String| PassphraseError::Credential { name: name.to_owned(), why };
    let directory = surroundings
        .variable(CREDENTIALS_VARIABLE)
        .ok_or_else(|| refused(format!("`{CREDENTIALS_VARIABLE}` is not set")))?;
    let failed = |error: io::Error| refused(error.to_string());
    let mut file = File::open(PathBuf::from(directory).join(name)).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o777;
    if !metadata.is_file() || mode & 0o037 != 0 {
        return Err(refused(format!("mode {mode:03o}: others may use it")));
    }
    let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if length > bytes_max {
        return Err(refused(format!("it has more than {bytes_max} bytes")));
    }
    SecretVec::try_init_with(length, |buf| file.read_exact(buf)).map_err(failed)
}

/// What an inherited descriptor gives up to its end.
fn read_descriptor(number: u32) -> io::Result<SecretVec> {
    let file = File::open(format!("/dev/fd/{number}"))?;
    // As much as is ever taken from the start: a buffer that grows would leave copies behind.
    let room = PASSPHRASE_BYTES_MAX + 2;
    let mut content = Zeroizing::new(Vec::with_capacity(room));
    file.take(u64::try_from(room).unwrap_or(u64::MAX)).read_to_end(&mut content)?;
    Ok(SecretVec::copy_from(&content))
}

fn check(
    passphrase: SecretVec,
    purpose: PassphrasePurpose,
    from: String,
) -> Result<SecretVec, PassphraseError> {
    if passphrase.is_empty() {
        return Err(PassphraseError::Empty { from });
    }
    if passphrase.len() > PASSPHRASE_BYTES_MAX {
        return Err(PassphraseError::TooLong { from });
    }
    // An existing slot may have been sealed under older rules: only its own check counts.
    if purpose.is_new() && passphrase.len() < PASSPHRASE_BYTES_MIN {
        return Err(PassphraseError::TooShort { from });
    }
    Ok(passphrase)
}

fn without_newline(content: SecretVec) -> SecretVec {
    match content.expose().strip_suffix(b"\n") {
        Some(line) => SecretVec::copy_from(line),
        None => content,
    }
}

fn ask(
    purpose: PassphrasePurpose,
    surroundings: &mut dyn Surroundings,
) -> Result<SecretVec, PassphraseError> {
    let mut ask_once = |question: &str| {
        let answer = surroundings.ask(question).map_err(PassphraseError::Terminal)?;
        Ok(SecretVec::from_vec(answer.into_bytes()))
    };
    match purpose {
        PassphrasePurpose::Create | PassphrasePurpose::Migrate => {
            let passphrase = ask_once("New passphrase of the seal: ")?;
            let again = ask_once("The same passphrase again: ")?;
            if passphrase.ct_eq(again.expose()) {
                Ok(passphrase)
            } else {
                Err(PassphraseError::Mismatch)
            }
        }
        PassphrasePurpose::Open => ask_once("Passphrase of the seal: "),
        PassphrasePurpose::Pin => ask_once("PIN of the device: "),
    }
}
