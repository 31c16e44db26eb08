//! `lethe backup --follow`: a copy that takes every commit.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use lethe_server::backup::{FollowEvent, FollowOptions, FollowersNow, Stop, follow};
use lethe_server::signals::StopSignals;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Output, printable};

pub(super) fn run(options: FollowOptions, output: &mut Output) -> Result<(), Failure> {
    let stop = Arc::new(Stop::default());
    stop_on_signals(&stop)?;
    let mut lines = Lines::default();
    let mut failed = None;
    let followed = follow(&options, &stop, &mut |event| {
        if failed.is_none()
            && let Err(error) = lines.tell(event, output)
        {
            failed = Some(error);
            stop.stop();
        }
    });
    lines.end_line();
    if let Some(error) = failed {
        return Err(error);
    }
    followed.map_err(super::failure)?;
    let held = lines.newest.map_or_else(|| "nothing".to_owned(), |time| time.to_string());
    if output.is_json() {
        return event(output, &json!({ "event": "stopped" }));
    }
    output.line(&format!(
        "Stopped. The copy holds everything up to {held}; the next destruction ends it."
    ))
}

/// Ctrl-C ends the copy after the commit that is being written.
fn stop_on_signals(stop: &Arc<Stop>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot wait: {error}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let mut signals = {
        let _entered = runtime.enter();
        StopSignals::install().map_err(failed)?
    };
    let stop = stop.clone();
    let waiting = std::thread::Builder::new().name("lethe-signals".to_owned()).spawn(move || {
        runtime.block_on(signals.next());
        stop.stop();
    });
    waiting.map(|_| ()).map_err(failed)
}

/// What is said while a copy follows.
#[derive(Default)]
struct Lines {
    newest: Option<lethe_types::UnixMillis>,
    commits: u64,
    /// Whether the line of the terminal is one that goes on.
    is_drawn: bool,
}

impl Lines {
    fn tell(&mut self, told: FollowEvent, output: &mut Output) -> Result<(), Failure> {
        match told {
            FollowEvent::Copying(bytes) => {
                self.draw(output, &format!("copied {} MiB", bytes / 1_048_576));
                Ok(())
            }
            FollowEvent::Held(note) => {
                self.newest = Some(note.created);
                self.commits = self.commits.saturating_add(1);
                if output.is_json() {
                    return event(
                        output,
                        &json!({
                            "event": "held",
                            "revision": note.revision,
                            "at": note.created.to_string(),
                        }),
                    );
                }
                let bytes = note.bytes / 1_024;
                self.draw(
                    output,
                    &format!("holds {} ({} commits, {bytes} KiB)", note.created, self.commits),
                );
                Ok(())
            }
            FollowEvent::Waiting => {
                self.say(output, "No server runs: waiting for one.", &json!({ "event": "waiting" }))
            }
            FollowEvent::Copied(segment) => {
                self.newest = Some(segment.note.created);
                let what = if segment.note.base.is_some() { "what changed" } else { "everything" };
                let (rows, bytes) = (segment.note.rows, segment.note.bytes);
                self.say(
                    output,
                    &format!("Copied {what}: {rows} rows, {bytes} bytes."),
                    &json!({
                        "event": "copied",
                        "full": segment.note.base.is_none(),
                        "rows": rows,
                        "bytes": bytes,
                    }),
                )
            }
            FollowEvent::Live => self.say(
                output,
                "The copy has caught up: from now on no change is answered that it does not hold.",
                &json!({ "event": "live" }),
            ),
            FollowEvent::Renewing => self.say(
                output,
                "The changes have become large: everything is copied anew beside them.",
                &json!({ "event": "renewing" }),
            ),
            FollowEvent::NotRenewed(why) => self.say(
                output,
                &format!(
                    "It could not be copied anew: {}. The copy goes on as it is.",
                    printable(&why)
                ),
                &json!({ "event": "not_renewed", "why": why }),
            ),
            FollowEvent::Renewed => self.say(
                output,
                "The new copy has caught up; the files of the one before are removed.",
                &json!({ "event": "renewed" }),
            ),
            FollowEvent::Ended(why) => self.say(
                output,
                &format!("Not following: {}. Going on as soon as possible.", printable(&why)),
                &json!({ "event": "ended", "why": why }),
            ),
        }
    }

    fn say(&mut self, output: &mut Output, line: &str, value: &Value) -> Result<(), Failure> {
        self.end_line();
        if output.is_json() {
            return event(output, value);
        }
        output.line(line)?;
        output.flush()
    }

    fn draw(&mut self, output: &Output, text: &str) {
        let mut screen = std::io::stderr();
        if output.is_json() || !screen.is_terminal() {
            return;
        }
        self.is_drawn = true;
        // Progress that cannot be shown is not worth failing for.
        let _shown = write!(screen, "\r\u{1b}[K{text}").and_then(|()| screen.flush());
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            let _shown = writeln!(std::io::stderr());
        }
    }
}

/// One line of JSON for programs.
fn event(output: &mut Output, value: &Value) -> Result<(), Failure> {
    output.line(&value.to_string())?;
    output.flush()
}

/// How the copies of a running server stand, in words.
pub(super) fn say_standing(now: &FollowersNow, output: &mut Output) -> Result<(), Failure> {
    match (now.live, now.catching_up) {
        (0, 0) => {}
        (live, 0) => output.line(&format!("{live} copies follow and hold every change."))?,
        (live, others) => output.line(&format!(
            "{live} copies follow and hold every change, {others} are catching up."
        ))?,
    }
    if now.live == 0
        && let Some(at) = now.last_lost
    {
        output.line(&format!(
            "A copy that followed was lost at {at}: the first destruction after that ends it."
        ))?;
    }
    Ok(())
}
