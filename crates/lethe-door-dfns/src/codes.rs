//! One-time codes: for the first key of a user, for a login with a protected key, for a recovery.
//!
//! The service that this dialect comes from sends them by e-mail. Here the operator has one made
//! and hands it over in a way of their own. Of a code only its hash is kept.

use core::time::Duration;

use lethe_crypto::hash::sha256;
use lethe_engine::{Collection, DocumentChange, DoorOperation, EngineError, Expected};
use lethe_types::{Entropy, EntropyError, PrincipalId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::error::Refusal;
use crate::factors::to_hex;
use crate::ids;
use crate::state::State;

/// One document for each user and kind: the newest code, until it is used.
const CODES: Collection = Collection::named("code");
/// Characters of a code, 5 bits each, in groups.
const CODE_CHARACTERS: usize = 20;
const GROUP_CHARACTERS: usize = 5;
const USE: DoorOperation = DoorOperation::named("dfns.code.use");

/// What a code is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodeKind {
    Login,
    Recovery,
    Registration,
}

impl CodeKind {
    const ALL: [Self; 3] = [Self::Login, Self::Recovery, Self::Registration];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "Login",
            Self::Recovery => "Recovery",
            Self::Registration => "Registration",
        }
    }

    pub(crate) fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// How long a code is good for: people register when they come to it.
    const fn lifetime(self) -> Duration {
        match self {
            Self::Login | Self::Recovery => Duration::from_secs(3_600),
            Self::Registration => Duration::from_secs(7 * 24 * 3_600),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    sha256: String,
    expires: u64,
}

fn place(user: PrincipalId, kind: CodeKind) -> String {
    format!("{}/{}", ids::user(user), kind.as_str())
}

/// Makes a code in the place of the one before; the code, and its end.
///
/// # Errors
/// The engine's.
pub(crate) async fn make(
    state: &State,
    user: PrincipalId,
    kind: CodeKind,
) -> Result<(String, UnixMillis), EngineError> {
    let code = drawn(&*state.entropy)?;
    let expires = state.clock.now().saturating_add(kind.lifetime());
    let stored = Stored { sha256: to_hex(&sha256(&[code.as_bytes()])), expires: expires.0 };
    let change = DocumentChange {
        collection: CODES,
        id: place(user, kind),
        expected: Expected::Anything,
        body: Some(serde_json::to_vec(&stored).expect("a hash is JSON")),
    };
    let operation =
        DoorOperation { subject: Some(user.0), ..DoorOperation::named("dfns.code.create") };
    state.engine.write_documents(&state.system()?, operation, vec![change]).await?;
    Ok((code, expires))
}

/// Uses a code up. One that is wrong leaves the right one as it is: nobody guesses 100 bits.
///
/// # Errors
/// 403 for a wrong code, and where there is none; 400 for the right one when it is over.
pub(crate) async fn take(
    state: &State,
    user: Option<PrincipalId>,
    kind: CodeKind,
    code: &str,
) -> Result<(), Refusal> {
    let invalid = || Refusal::forbidden("Invalid code");
    let hash = to_hex(&sha256(&[code.as_bytes()]));
    let user = user.ok_or_else(invalid)?;
    let caller = state.system()?;
    let found = state.engine.document(&caller, CODES, &place(user, kind))?;
    let found = found.ok_or_else(invalid)?;
    let stored: Stored = serde_json::from_slice(&found.body)
        .map_err(|_| EngineError::Internal("a stored one-time code"))?;
    if stored.sha256 != hash {
        return Err(invalid());
    }
    let change = DocumentChange {
        collection: CODES,
        id: place(user, kind),
        expected: Expected::Revision(found.revision),
        body: None,
    };
    let operation = DoorOperation { subject: Some(user.0), ..USE };
    match state.engine.write_documents(&caller, operation, vec![change]).await {
        // Somebody else was first.
        Err(EngineError::RevisionMismatch) => Err(invalid()),
        Err(error) => Err(error.into()),
        Ok(()) if stored.expires <= state.clock.now().0 => {
            Err(Refusal::bad(format!("{} code expired", kind.as_str())))
        }
        Ok(()) => Ok(()),
    }
}

/// A code that nobody guesses, in groups that people can read out.
fn drawn(entropy: &dyn Entropy) -> Result<String, EntropyError> {
    let characters: String =
        ids::base32hex(&ids::random(entropy)?).chars().take(CODE_CHARACTERS).collect();
    let groups: Vec<&str> = (0..CODE_CHARACTERS)
        .step_by(GROUP_CHARACTERS)
        .map(|at| &characters[at..at + GROUP_CHARACTERS])
        .collect();
    Ok(groups.join("-"))
}
