//! Watch a bulk destruction until it ends. Watching is all it does: whoever stops watching, or
//! loses the server for a while, changes nothing.

use core::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::screen::Screen;
use super::{number, path};
use crate::client::Client;
use crate::failure::Failure;
use crate::local::monotonic;
use crate::output::member;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often a server is tried that does not answer.
const TRY_EVERY: Duration = Duration::from_secs(1);
/// How long a server may be away, for a restart, before watching ends.
const AWAY_MAX: Duration = Duration::from_secs(120);

/// How watching ended.
#[derive(Debug)]
pub(super) enum Followed {
    /// With the destruction, which is as it says.
    Ended(Value),
    /// By the user. The destruction goes on.
    Interrupted,
}

/// Whether the user wants to stop (Ctrl-C); the process goes on until it looks.
#[derive(Debug)]
pub(super) struct Interrupt {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    /// From now on the user's wish is noted.
    ///
    /// # Errors
    /// [`Failure::Failed`].
    pub(super) fn new() -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::Failed(format!("cannot wait: {error}"));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (interrupt, terminate) = {
            let _in_it = runtime.enter();
            let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
            (interrupt, signal(SignalKind::terminate()).map_err(failed)?)
        };
        Ok(Self { runtime, interrupt, terminate })
    }

    /// Waits for `time`, or until the user wants to stop; whether they do.
    pub(super) fn wait(&mut self, time: Duration) -> bool {
        let Self { runtime, interrupt, terminate } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => true,
                _ = terminate.recv() => true,
                () = tokio::time::sleep(time) => false,
            }
        })
    }
}

/// Watches the bulk destruction `id`.
///
/// # Errors
/// [`Failure::Refused`] if it may not be seen; [`Failure::Failed`] if the server stays away.
pub(super) fn follow(
    client: &Client,
    id: &str,
    interrupt: &mut Interrupt,
    is_silent: bool,
) -> Result<Followed, Failure> {
    let mut screen = Screen::new("destroying", is_silent);
    let mut away_since: Option<Duration> = None;
    loop {
        let mut pause = LOOK_EVERY;
        match client.get(&path(id)).and_then(|answer| answer.json()) {
            Ok(job) => {
                away_since = None;
                if member(&job, "state") != "running" {
                    return Ok(Followed::Ended(job));
                }
                screen.draw(number(&job, "position"), number(&job, "total"));
            }
            Err(failure) if is_passing(&failure) => {
                let now = monotonic();
                let since = *away_since.get_or_insert_with(|| {
                    let why = failure.text().unwrap_or_default();
                    screen.say(&format!("{why}; trying again"));
                    now
                });
                if now - since >= AWAY_MAX {
                    let why = failure.text().unwrap_or_default();
                    return Err(Failure::Failed(format!(
                        "{why}; the destruction goes on when the server runs: \
                         `lethe destroy status {id} --wait` watches it"
                    )));
                }
                pause = TRY_EVERY;
            }
            Err(failure) => return Err(failure),
        }
        if interrupt.wait(pause) {
            return Ok(Followed::Interrupted);
        }
    }
}

/// Whether a failure may be over in a moment, as with a server that restarts.
fn is_passing(failure: &Failure) -> bool {
    match failure {
        Failure::Failed(_) => true,
        Failure::Refused(problem) => problem.status >= 500,
        Failure::Configuration(_)
        | Failure::Data(_)
        | Failure::Output(_)
        | Failure::Serve(_)
        | Failure::Told
        | Failure::Usage(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Problem;

    #[test]
    fn a_server_that_restarts_is_waited_for() {
        #[track_caller]
        fn check(failure: &Failure, passes: bool) {
            assert_eq!(is_passing(failure), passes, "{failure:?}");
        }
        check(&Failure::Failed("no answer".to_owned()), true);
        check(&Problem::of(503, b"").into(), true);
        check(&Problem::of(404, b"").into(), false);
        check(&Problem::of(401, b"").into(), false);
        check(&Failure::Told, false);
    }

    #[test]
    fn a_wait_ends_by_itself() {
        let mut interrupt = Interrupt::new().unwrap();
        assert!(!interrupt.wait(Duration::from_millis(1)));
    }
}
