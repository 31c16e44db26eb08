//! Events of the device log, with the numbers that its readers know.

use crate::b64;
use crate::kid::Kid;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(pub(crate) u8);

impl Kind {
    pub(crate) const KEY_INIT: Self = Self(0);
    pub(crate) const STARTUP: Self = Self(1);
    pub(crate) const REBOOT: Self = Self(2);
    pub(crate) const SHUTDOWN: Self = Self(3);
    pub(crate) const SELFTEST_PASSED: Self = Self(7);
    pub(crate) const LOGGER_LIST: Self = Self(9);
    pub(crate) const LOGGER_READ: Self = Self(11);
    pub(crate) const FAILED_SCOPE_CHECK: Self = Self(12);
    pub(crate) const AUTH_INTERNAL: Self = Self(13);
    pub(crate) const AUTH_EXTERNAL: Self = Self(14);
    pub(crate) const PAIRED: Self = Self(15);
    pub(crate) const CONFIG_UPDATED: Self = Self(18);
    pub(crate) const KEY_GENERATION: Self = Self(20);
    pub(crate) const KEY_DELETE: Self = Self(21);
    pub(crate) const KEY_IMPORT: Self = Self(22);
    pub(crate) const KEY_USAGE: Self = Self(23);
    pub(crate) const KEY_CHANGED: Self = Self(25);
    pub(crate) const KEY_DERIVE: Self = Self(26);
    pub(crate) const DEVICE_INITED: Self = Self(29);
    pub(crate) const HMAC_HASH: Self = Self(30);
    pub(crate) const HMAC_VERIFY: Self = Self(31);
    pub(crate) const SIGN: Self = Self(32);
    pub(crate) const VERIFY: Self = Self(33);
    pub(crate) const WRAP: Self = Self(34);
    pub(crate) const UNWRAP: Self = Self(35);
    pub(crate) const ENCRYPT: Self = Self(36);
    pub(crate) const DECRYPT: Self = Self(37);
    pub(crate) const ECDH: Self = Self(38);
    pub(crate) const MLKEM_ENCAPS: Self = Self(39);
    pub(crate) const MLKEM_DECAPS: Self = Self(40);
    pub(crate) const MLDSA_SIGN: Self = Self(41);
    pub(crate) const MLDSA_VERIFY: Self = Self(42);

    /// Whether it is a use of a key: of those there are many.
    pub(crate) const fn is_use(self) -> bool {
        self.0 >= Self::HMAC_HASH.0
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Ok,
    Failed,
    Error,
}

impl Ended {
    const fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Error => 2,
        }
    }
}

/// Who did it, in the fourth field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    Nobody,
    User,
    Master,
    /// The authenticator with the key of that identifier.
    External(Kid),
}

impl Actor {
    fn field(self) -> String {
        match self {
            Self::Nobody => String::new(),
            Self::User => "U".to_owned(),
            Self::Master => "M".to_owned(),
            Self::External(kid) => b64::encode_url(&kid.0),
        }
    }
}

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) kind: Kind,
    pub(crate) ended: Ended,
    pub(crate) actor: Actor,
    /// What it was about, in the fifth field.
    pub(crate) data: Vec<u8>,
}

/// Most bytes of what an event is about.
const DATA_BYTES_MAX: usize = 128;

impl Event {
    pub(crate) fn new(kind: Kind, ended: Ended, actor: Actor) -> Self {
        Self { kind, ended, actor, data: Vec::new() }
    }

    pub(crate) fn about(self, data: &[u8]) -> Self {
        let data = data.get(..data.len().min(DATA_BYTES_MAX)).unwrap_or_default().to_vec();
        Self { data, ..self }
    }

    /// Its fields but for number and MAC: `ts | type | result | actor | data`.
    pub(crate) fn fields(&self, seconds: u64) -> String {
        let (kind, ended) = (self.kind.0, self.ended.number());
        let (actor, data) = (self.actor.field(), b64::encode_url(&self.data));
        format!("{seconds:x}|{kind:x}|{ended}|{actor}|{data}")
    }
}
