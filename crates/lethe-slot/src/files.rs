//! Opening and making the files of this crate: never through a link, for their owner only.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, retry_on_intr};

/// What an open file is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    Read,
    ReadWrite,
}

/// Opens a file that is there. If `path` is a symbolic link the error [`is_a_link`].
pub(crate) fn open_existing(path: &Path, access: Access) -> io::Result<File> {
    let access = match access {
        Access::Read => OFlags::RDONLY,
        Access::ReadWrite => OFlags::RDWR,
    };
    // Without waiting for the other end, should it be a pipe: the caller refuses it by its type.
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(retry_on_intr(|| open(path, flags, Mode::empty()))?))
}

/// Whether a file was not opened because its path is a symbolic link.
pub(crate) fn is_a_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// Makes a file that was not there, 0600, has it filled, and makes file and entry durable. If any
/// of that fails, the file is removed: half-made it would only be in the way of the next try.
pub(crate) fn make<T, E>(
    path: &Path,
    failed: impl Fn(io::Error) -> E,
    fill: impl FnOnce(&File) -> Result<T, E>,
) -> Result<(File, T), E> {
    // With EXCL a link at `path` is "already there", wherever it leads.
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(OWNER_ONLY);
    let file = retry_on_intr(|| open(path, flags, mode)).map_err(|error| failed(error.into()))?;
    let file = File::from(file);
    let filled = fill(&file).and_then(|filled| {
        file.sync_all().and_then(|()| sync_parent(path)).map_err(&failed)?;
        Ok(filled)
    });
    match filled {
        Ok(filled) => Ok((file, filled)),
        Err(error) => {
            // The file is still open, so a lock that `fill` took still keeps others away from it.
            let _stays = fs::remove_file(path);
            Err(error)
        }
    }
}

/// Makes the entry of a new file durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        Some(_) | None => File::open(".")?.sync_all(),
    }
}

/// Mode of the files of this crate: their owner reads and writes, nobody else anything.
pub(crate) const OWNER_ONLY: u32 = 0o600;
