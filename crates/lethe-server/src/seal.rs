//! The passphrase of the seal: read from the environment, a file or the terminal, never from the
//! command line.
//!
//! Hands out bytes; what they open is the business of the erasure crate.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use lethe_types::SecretVec;

use crate::private_files::{PrivateFileError, read_private};

/// The environment variable that holds the passphrase when the configuration says so.
pub const PASSPHRASE_VARIABLE: &str = "LETHE_PASSPHRASE";

/// Shortest passphrase that a new slot is sealed with, in bytes.
pub const PASSPHRASE_BYTES_MIN: usize = 12;

/// Longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;

/// Where the passphrase comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassphraseSource {
    /// From the environment variable [`PASSPHRASE_VARIABLE`]. Other processes of the same user can
    /// read the environment of a running process.
    Environment,
    /// From a file that only its owner may read. One newline at its end is not part of the
    /// passphrase.
    File(PathBuf),
    /// From the terminal that the server was started from.
    Prompt,
}

/// What the passphrase is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassphrasePurpose {
    /// To seal a new slot: it must be long enough, and a prompt asks twice.
    Create,
    /// To open a slot that exists.
    Open,
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
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
    #[error("the environment variable `{PASSPHRASE_VARIABLE}` is not set")]
    NotSet,
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
        PassphraseSource::Environment => {
            let value =
                surroundings.variable(PASSPHRASE_VARIABLE).ok_or(PassphraseError::NotSet)?;
            let from = format!("the environment variable `{PASSPHRASE_VARIABLE}`");
            (SecretVec::from_vec(value.into_vec()), from)
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
    if purpose == PassphrasePurpose::Create && passphrase.len() < PASSPHRASE_BYTES_MIN {
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
        PassphrasePurpose::Create => {
            let passphrase = ask_once("New passphrase of the seal: ")?;
            let again = ask_once("The same passphrase again: ")?;
            if passphrase.ct_eq(again.expose()) {
                Ok(passphrase)
            } else {
                Err(PassphraseError::Mismatch)
            }
        }
        PassphrasePurpose::Open => ask_once("Passphrase of the seal: "),
    }
}
