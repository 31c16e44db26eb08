//! Defences that a test can switch off, to show that an attack which fails would succeed without
//! them: a check that cannot fail proves nothing.
//!
//! **Debug builds only.** In a release build no switch exists: [`Defence::is_off`] is a constant
//! `false` there, which is asserted when it is compiled, and the branches behind it are gone.

use core::fmt;

/// One defence of a destroyed key, or of what says that it is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Defence {
    /// The slot writes over the old root.
    Erase,
    /// A slot that is older than the data is told from damage.
    Epochs,
    /// A restore insists on every destruction since the backup.
    Journal,
    /// A start compares the log with the newest signed head.
    LogHead,
    /// Sealed nodes and records are bound to their place.
    Place,
    /// A destruction gives every node on the way to the root a new key.
    Rekey,
    /// The store writes over removed rows, and folds its write-ahead log in.
    Scrub,
    /// Secrets are overwritten in memory when they are dropped.
    Wipe,
}

impl Defence {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 8] = [
        Self::Epochs,
        Self::Erase,
        Self::Journal,
        Self::LogHead,
        Self::Place,
        Self::Rekey,
        Self::Scrub,
        Self::Wipe,
    ];

    /// The word for it in the environment of a test.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Epochs => "epochs",
            Self::Erase => "erase",
            Self::Journal => "journal",
            Self::LogHead => "log-head",
            Self::Place => "place",
            Self::Rekey => "rekey",
            Self::Scrub => "scrub",
            Self::Wipe => "wipe",
        }
    }

    /// The defence of this name; `None` for any other word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|defence| defence.as_str() == word)
    }

    /// Whether a test has switched it off in this process. Never in a release build.
    #[cfg(not(debug_assertions))]
    #[must_use]
    pub const fn is_off(self) -> bool {
        false
    }

    /// Whether a test has switched it off in this process. Never in a release build.
    #[cfg(debug_assertions)]
    #[must_use]
    pub fn is_off(self) -> bool {
        switches::OFF.load(core::sync::atomic::Ordering::Relaxed) & switches::bit(self) != 0
    }

    /// Switches it off in this process, for good. Debug builds only.
    #[cfg(debug_assertions)]
    pub fn switch_off(self) {
        switches::OFF.fetch_or(switches::bit(self), core::sync::atomic::Ordering::SeqCst);
    }
}

impl fmt::Display for Defence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(not(debug_assertions))]
const _: () = {
    let mut number = 0;
    while number < Defence::ALL.len() {
        assert!(!Defence::ALL[number].is_off(), "a release has every defence");
        number += 1;
    }
};

#[cfg(debug_assertions)]
mod switches {
    use core::sync::atomic::AtomicU32;

    use super::Defence;

    /// A bit for each defence that is off.
    pub(super) static OFF: AtomicU32 = AtomicU32::new(0);

    pub(super) const fn bit(defence: Defence) -> u32 {
        match defence {
            Defence::Epochs => 1,
            Defence::Erase => 2,
            Defence::Journal => 4,
            Defence::LogHead => 8,
            Defence::Place => 16,
            Defence::Rekey => 32,
            Defence::Scrub => 64,
            Defence::Wipe => 128,
        }
    }
}
