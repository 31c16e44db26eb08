//! Checkpoints (C2SP tlog-checkpoint): the signed size and root of the log, and the signer that
//! uses the log's key.

use core::fmt;
use core::str::FromStr;

use lethe_crypto::note_key::NoteSigningKey;

use crate::encoding::parse_decimal;
use crate::hash::Hash;
use crate::note::{
    InvalidKey, Note, NoteError, NoteKeyName, NoteSigner, SignatureKind, VerifiedSignature,
    VerifierKey,
};

/// Size and root of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: one line, not empty. For our logs the name of the log's key.
    pub origin: String,
    /// Entries in the tree.
    pub size: u64,
    /// The tree's root.
    pub root: Hash,
    /// Extension lines, each with its newline. Accepted from others, never written by us, since
    /// nobody can audit them.
    extension: String,
}

/// Why a checkpoint was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointError {
    /// The text is not an origin, a size and a root hash.
    Malformed,
    /// The signed note around it is refused.
    Note(NoteError),
    /// The log's key has not signed it exactly once.
    NotSignedByLog,
    /// It is a checkpoint of another log.
    Origin,
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the text is not a checkpoint",
            Self::Note(_) => "the signed note of the checkpoint is refused",
            Self::NotSignedByLog => "the checkpoint is not signed once by the key of the log",
            Self::Origin => "the checkpoint belongs to another log",
        })
    }
}

impl core::error::Error for CheckpointError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Note(source) => Some(source),
            Self::Malformed | Self::NotSignedByLog | Self::Origin => None,
        }
    }
}

impl From<NoteError> for CheckpointError {
    fn from(source: NoteError) -> Self {
        Self::Note(source)
    }
}

/// A checkpoint whose signatures hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedCheckpoint {
    /// What the log signed.
    pub checkpoint: Checkpoint,
    /// The witnesses among those asked for that cosigned it, in the order of their lines.
    pub cosigned_by: Vec<VerifiedSignature>,
}

impl Checkpoint {
    /// A checkpoint of `origin`.
    #[must_use]
    pub fn new(origin: &NoteKeyName, size: u64, root: Hash) -> Self {
        Self { origin: origin.to_string(), size, root, extension: String::new() }
    }

    /// The lines behind the root hash, without newlines.
    pub fn extension_lines(&self) -> impl Iterator<Item = &str> {
        self.extension.lines()
    }

    /// What `message` says, without any look at its signatures.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`] or [`CheckpointError::Note`].
    pub fn parse_unverified(message: &str) -> Result<Self, CheckpointError> {
        message.parse::<Note>()?.text().parse()
    }

    /// The checkpoint in `message`, if the key of the log signed it exactly once and every
    /// signature of one of `witnesses` under it holds too.
    ///
    /// `log_key` must be an Ed25519 note key whose name is the origin.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn open(
        message: &str,
        log_key: &VerifierKey,
        witnesses: &[VerifierKey],
    ) -> Result<OpenedCheckpoint, CheckpointError> {
        let note: Note = message.parse()?;
        let keys = [core::slice::from_ref(log_key), witnesses].concat();
        let (own, cosigned_by): (Vec<_>, Vec<_>) =
            note.verify(&keys)?.into_iter().partition(|signature| signature.key == *log_key);
        if own.len() != 1 || log_key.kind() != SignatureKind::Ed25519 {
            return Err(CheckpointError::NotSignedByLog);
        }
        let checkpoint: Self = note.text().parse()?;
        if checkpoint.origin != log_key.name().as_str() {
            return Err(CheckpointError::Origin);
        }
        Ok(OpenedCheckpoint { checkpoint, cosigned_by })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n{}", self.origin, self.size, self.root, self.extension)
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    /// The text of the note, with its final newline.
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let parse = || {
            let mut lines = text.strip_suffix('\n')?.splitn(4, '\n');
            let origin = lines.next().filter(|origin| !origin.is_empty())?.to_owned();
            let size = parse_decimal(lines.next()?)?;
            let root = lines.next()?.parse().ok()?;
            let extension = match lines.next() {
                Some(rest) if rest.split('\n').any(str::is_empty) => return None,
                Some(rest) => format!("{rest}\n"),
                None => String::new(),
            };
            Some(Self { origin, size, root, extension })
        };
        parse().ok_or(CheckpointError::Malformed)
    }
}

/// Signs with the key of the log: checkpoints, and statements that can never be taken for one.
///
/// The first line of a signed text says what it is. A log cannot be named like the first line of
/// a statement (see [`is_statement_line`]), so no signature over one kind serves for the other.
#[derive(Debug)]
pub struct LogSigner(NoteSigner);

/// Why there is no signer of that name, or no such statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogSignerError {
    /// The text is no note.
    Note(NoteError),
    /// The name of the log is no key name.
    Origin(InvalidKey),
    /// The name of the log reads like the first line of a statement.
    ReservedOrigin,
    /// The text does not begin with a line such as `lethe-erasure/v1`.
    Unmarked,
}

impl fmt::Display for LogSignerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note(_) => "cannot sign this text",
            Self::Origin(_) => "cannot name a log so",
            Self::ReservedOrigin => "a log cannot be named like a kind of signed statement",
            Self::Unmarked => "a statement begins with a line that names its kind",
        })
    }
}

impl core::error::Error for LogSignerError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Note(source) => Some(source),
            Self::Origin(source) => Some(source),
            Self::ReservedOrigin | Self::Unmarked => None,
        }
    }
}

impl LogSigner {
    /// The signer of the log `origin`.
    ///
    /// # Errors
    /// [`LogSignerError::Origin`] or [`LogSignerError::ReservedOrigin`].
    pub fn new(origin: &str, key: NoteSigningKey) -> Result<Self, LogSignerError> {
        if is_statement_line(origin) {
            return Err(LogSignerError::ReservedOrigin);
        }
        let name = origin.parse().map_err(LogSignerError::Origin)?;
        Ok(Self(NoteSigner::new(name, key)))
    }

    /// The name of the log, which is also that of its key.
    #[must_use]
    pub fn origin(&self) -> &NoteKeyName {
        self.0.verifier_key().name()
    }

    /// The public key with which receipts are checked.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        self.0.verifier_key()
    }

    /// The signed checkpoint for `size` and `root`.
    ///
    /// The caller answers for never signing two inconsistent ones (C2SP tlog-checkpoint): it
    /// signs only states of one tree that are durable, and never a smaller one than before.
    #[must_use]
    pub fn checkpoint(&self, size: u64, root: Hash) -> String {
        let text = Checkpoint::new(self.origin(), size, root).to_string();
        self.sign(text).expect("a checkpoint of a valid origin is a note")
    }

    /// A signed statement of the log that is no checkpoint. Its first line names its kind; see
    /// [`is_statement_line`].
    ///
    /// # Errors
    /// [`LogSignerError::Unmarked`] or [`LogSignerError::Note`].
    pub fn statement(&self, text: impl Into<String>) -> Result<String, LogSignerError> {
        let text = text.into();
        if !is_statement_line(text.lines().next().unwrap_or_default()) {
            return Err(LogSignerError::Unmarked);
        }
        self.sign(text).map_err(LogSignerError::Note)
    }

    fn sign(&self, text: String) -> Result<String, NoteError> {
        let mut note = Note::new(text)?;
        self.0.sign(&mut note)?;
        Ok(note.to_string())
    }
}

/// Whether `line` is the first line of a signed statement: `lethe-NAME/vN`, or one of the lines
/// that C2SP gives to cosignatures. No log may be called so.
#[must_use]
pub fn is_statement_line(line: &str) -> bool {
    let Some((name, version)) = line.split_once("/v") else { return false };
    let lower = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let ours = name.strip_prefix("lethe-").is_some_and(|rest| !rest.is_empty() && lower(rest));
    let is_named = ours || name == "cosignature" || name == "subtree";
    is_named && !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())
}
