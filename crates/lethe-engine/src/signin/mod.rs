//! Everything by which a principal proves itself, apart from bearer tokens (`ops/authenticate.rs`).
//!
//! Doors translate; what is accepted is decided here. Promises:
//!
//! * One refusal for all causes, and the same work for a login that there is and one that there is
//!   not. Only [`crate::EngineError::TooManyAttempts`] is distinct, and it is answered for unknown
//!   logins as for known ones.
//! * Guessing at passphrases is slowed, and slows nobody but the one who guesses (`limiter.rs`);
//!   the dear computations are bounded in number (`gate.rs`).
//! * A one-time password is good once (`totp.rs`).
//! * Every attempt is an event `authenticate` in the audit trail, limited ones included.
//!
//! What is remembered here (debts, known sources, one-time passwords) is memory of the process: a
//! restart forgets it. The catalogue alone says who is live.

mod api_key;
mod external;
mod gate;
mod limiter;
mod network;
mod passphrase;
mod session;
mod source;
mod totp;

use std::time::Duration;

use lethe_crypto::kdf::Argon2Params;
use lethe_crypto::token::Pepper;
use parking_lot::Mutex;

pub(crate) use api_key::{DENIED_TOKENS, DeniedTokens};
pub use api_key::{NETWORKS, TOKEN_REALM, TokenClaims, TokenSubject};
pub use external::Proof;
pub use network::{InvalidNetwork, Network};
pub use passphrase::PassphraseClaim;
pub use source::Source;

use gate::Gate;
use limiter::Limiter;
use totp::OneTimeSteps;

/// How many attempts are free, and how long one more takes to become free again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Attempts in a row after a long rest. At least 1.
    pub burst: u32,
    /// Time after which one more is allowed.
    pub interval: Duration,
}

/// How sign-ins with a passphrase are bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInLimits {
    /// Whether guessing is slowed. Off is for development alone: then any number of guesses is
    /// allowed. The bounds on computations stay.
    pub enabled: bool,
    /// Attempts that fail for one login from one source. Default: 5, then one in 60 s.
    pub per_login_and_source: Rate,
    /// Attempts that fail from one source, whatever the login, except for logins that succeeded
    /// from it before. Default: 30, then one in 10 s.
    pub per_source: Rate,
    /// Attempts that fail for one login from all sources from which it never succeeded. Default:
    /// 20, then one in 20 s. Faster than one source may be, or one guesser alone would slow the
    /// owner at every new place.
    pub per_login: Rate,
    /// Passphrases that are hashed at the same time. Default 4: at the default cost 256 MiB.
    pub hashes_running_max: usize,
    /// Attempts that wait to be hashed; a quarter of the places is kept for sources from which the
    /// login succeeded before. Over it, attempts are refused at once. Default 64.
    pub hashes_waiting_max: usize,
    /// Attempts of one source that are hashed or wait for it. Default 8.
    pub hashes_of_source_max: usize,
    /// What a hash costs: that of new passphrases, and that of the work for unknown logins.
    /// Default: the second recommendation of RFC 9106 section 4.
    pub cost: Argon2Params,
}

impl Default for SignInLimits {
    fn default() -> Self {
        let rate = |burst, seconds| Rate { burst, interval: Duration::from_secs(seconds) };
        Self {
            enabled: true,
            per_login_and_source: rate(5, 60),
            per_source: rate(30, 10),
            per_login: rate(20, 20),
            hashes_running_max: 4,
            hashes_waiting_max: 64,
            hashes_of_source_max: 8,
            cost: Argon2Params::default(),
        }
    }
}

/// The memory of sign-ins.
#[derive(Debug)]
pub(crate) struct SignIn {
    limits: SignInLimits,
    limiter: Mutex<Limiter>,
    gate: Gate,
    one_time: Mutex<OneTimeSteps>,
}

impl SignIn {
    pub(crate) fn new(limits: SignInLimits, pepper: &Pepper) -> Self {
        Self {
            limits,
            limiter: Mutex::new(Limiter::new(limits, pepper.derive("sign-in limiter"))),
            gate: Gate::new(&limits),
            one_time: Mutex::default(),
        }
    }
}

#[cfg(test)]
mod tests;
