//! Keeps the pages in which keys lie where they are: out of core files, out of the reach of other
//! processes of the same user, out of swap.

use std::fs;
use std::io;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, geteuid, getrlimit, set_dumpable_behavior, setrlimit,
};

use crate::ServeError;
use crate::config::{MemoryConfig, MemoryLock};

/// Protects the memory of this process, from now on and for what it will ask for.
///
/// Says on standard error if pages may be swapped although there is swap.
///
/// # Errors
/// [`ServeError::Os`] if the kernel refuses what the configuration demands.
pub(crate) fn protect(config: MemoryConfig) -> Result<(), ServeError> {
    if !config.allow_dumps {
        let failed = |error: rustix::io::Errno| ServeError::Os {
            what: "cannot keep memory out of core files",
            source: error.into(),
        };
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        setrlimit(Resource::Core, none).map_err(failed)?;
        set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed)?;
    }
    if config.lock == MemoryLock::Off {
        return Ok(());
    }
    let Err(source) = lock() else { return Ok(()) };
    if config.lock == MemoryLock::Required {
        let what = "cannot keep memory out of swap (memory.lock)";
        return Err(ServeError::Os { what, source });
    }
    if has_swap() {
        eprintln!(
            "lethe: keys in memory may be swapped to disk: {source}; turn swap off, or let the \
             process lock its memory (memory.lock in docs/operate.md)"
        );
    }
    Ok(())
}

/// Locks every page when it is first used. Only if there is no bound on what may be locked: with
/// one, the server would fail in the middle of its work when it gets there.
fn lock() -> io::Result<()> {
    let bound = getrlimit(Resource::Memlock).current;
    if bound.is_some() && !geteuid().is_root() {
        return Err(io::Error::other("the limit RLIMIT_MEMLOCK is not unlimited"));
    }
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    Ok(mlockall(flags)?)
}

/// Whether the machine has swap that is in use or could be.
fn has_swap() -> bool {
    // The first line is a heading.
    fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1)
}
