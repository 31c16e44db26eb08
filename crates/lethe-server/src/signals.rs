//! The signals by which an operator stops the server, as a future.

use core::fmt;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGINT, as from Ctrl-C.
    Interrupt,
    /// SIGTERM, as from a service manager.
    Terminate,
}

impl fmt::Display for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// Catches SIGTERM and SIGINT from the moment it is made, so that none is lost during start.
///
/// From then on these signals no longer end the process by themselves, also after this value is
/// dropped.
#[derive(Debug)]
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Starts catching.
    ///
    /// # Errors
    /// The error of the operating system.
    ///
    /// # Panics
    /// If called outside a tokio runtime with I/O enabled.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next request to stop since the last call, or since [`StopSignals::install`]. Several
    /// signals of one kind may count as one. The caller decides what a second request means.
    ///
    /// Dropping the future before it is ready loses nothing.
    pub async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = self.interrupt.recv() => StopSignal::Interrupt,
        }
    }
}
