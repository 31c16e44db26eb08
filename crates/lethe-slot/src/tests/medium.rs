//! A medium in memory that can fail: a durable part, what the system's memory shows of it, and
//! which of that is not yet written. It behaves as Linux does: after a failed sync the pages count
//! as written and still show the new bytes.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use crate::medium::Medium;

pub(super) const SECTOR: usize = 4_096;

/// A call on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Forget,
    Read,
    Sync,
    Write,
}

/// What goes wrong with one call. A kind of call that the fault does not fit just fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Sync fails after the bytes reached the medium.
    AfterSync,
    /// Nothing is done.
    Fails,
    /// Write: only so many bytes get in, then an error. Sync: only so many reach the medium.
    Torn(usize),
}

pub(super) struct World {
    pub(super) durable: [u8; 2 * SECTOR],
    pub(super) cached: [u8; 2 * SECTOR],
    is_dirty: [bool; 2],
    pub(super) calls: Vec<Call>,
    /// The call with this number, counted in `calls`, suffers this.
    pub(super) fault: Option<(usize, Fault)>,
    /// The system does not follow the advice to forget.
    pub(super) keeps_cache: bool,
    /// The device says that it wrote, and did not.
    pub(super) lies: bool,
    /// Most bytes that one read gives.
    pub(super) read_bytes_max: usize,
    /// The file ends here.
    pub(super) end: usize,
}

#[derive(Clone)]
pub(super) struct TestMedium(pub(super) Arc<Mutex<World>>);

impl TestMedium {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(World {
            durable: [0; 2 * SECTOR],
            cached: [0; 2 * SECTOR],
            is_dirty: [false; 2],
            calls: Vec::new(),
            fault: None,
            keeps_cache: false,
            lies: false,
            read_bytes_max: usize::MAX,
            end: 2 * SECTOR,
        })))
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    /// Only what is durable is left.
    pub(super) fn lose_power(&self) {
        self.with(|world| {
            world.cached = world.durable;
            world.is_dirty = [false; 2];
            world.fault = None;
        });
    }

    /// The next-but-`skipped` call suffers `fault`.
    pub(super) fn fail_after(&self, skipped: usize, fault: Fault) {
        self.with(|world| world.fault = Some((world.calls.len() + skipped, fault)));
    }
}

impl World {
    /// Counts the call and gives the fault that it suffers.
    fn enter(&mut self, call: Call) -> Option<Fault> {
        let number = self.calls.len();
        self.calls.push(call);
        self.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault)
    }

    fn write_back(&mut self, bytes_of_each: usize) {
        for sector in 0..2 {
            if self.is_dirty[sector] && !self.lies {
                let from = sector * SECTOR;
                let range = from..from + bytes_of_each;
                self.durable[range.clone()].copy_from_slice(&self.cached[range]);
            }
        }
    }
}

impl FileExt for TestMedium {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|world| {
            if world.enter(Call::Read).is_some() {
                return Err(broken());
            }
            let from = usize::try_from(offset).unwrap().min(world.end);
            let bytes = buf.len().min(world.read_bytes_max).min(world.end - from);
            buf[..bytes].copy_from_slice(&world.cached[from..from + bytes]);
            Ok(bytes)
        })
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.with(|world| {
            let fault = world.enter(Call::Write);
            let from = usize::try_from(offset).unwrap();
            assert!(buf.len() == SECTOR && from.is_multiple_of(SECTOR), "whole sectors only");
            let bytes = match fault {
                None => buf.len(),
                Some(Fault::Torn(bytes)) => bytes,
                Some(Fault::AfterSync | Fault::Fails) => 0,
            };
            world.cached[from..from + bytes].copy_from_slice(&buf[..bytes]);
            world.is_dirty[from / SECTOR] |= bytes > 0;
            if fault.is_some() { Err(broken()) } else { Ok(bytes) }
        })
    }
}

impl Medium for TestMedium {
    fn sync(&self) -> io::Result<()> {
        self.with(|world| {
            let fault = world.enter(Call::Sync);
            match fault {
                None | Some(Fault::AfterSync) => world.write_back(SECTOR),
                Some(Fault::Torn(bytes)) => world.write_back(bytes),
                Some(Fault::Fails) => {}
            }
            world.is_dirty = [false; 2];
            if fault.is_some() { Err(broken()) } else { Ok(()) }
        })
    }

    fn forget_cache(&self) -> io::Result<()> {
        self.with(|world| {
            if world.enter(Call::Forget).is_some() {
                return Err(broken());
            }
            for sector in 0..2 {
                if !world.is_dirty[sector] && !world.keeps_cache {
                    let range = sector * SECTOR..(sector + 1) * SECTOR;
                    world.cached[range.clone()].copy_from_slice(&world.durable[range]);
                }
            }
            Ok(())
        })
    }
}

fn broken() -> io::Error {
    io::Error::from_raw_os_error(5)
}
