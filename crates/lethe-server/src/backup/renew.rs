//! A copy that follows begins anew, with everything, once what changed has become large: beside the
//! one that goes on, so that at no moment there is none.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use lethe_types::BackupId;

use super::BackupFailure;
use super::chain::{Chain, SegmentFile, sync_directory};
use super::control::told;
use super::follow::{FollowEvent, FollowOptions, Stop, follow_plainly};
use crate::ServeError;

/// Keeps the copy up to date until `stop` is told to, and begins it anew whenever the changes since
/// the last segment have more than [`FollowOptions::renew_bytes`]. Files that only served the copy
/// before are removed then. If there is no room for that, the copy goes on as it is, and tries
/// again once as much has changed. A server that is away is waited for.
///
/// # Errors
/// [`BackupFailure`]: of the directory, which holds then what it held, or a server that refuses for
/// good.
pub fn follow(
    options: &FollowOptions,
    stop: &Arc<Stop>,
    tell: &mut dyn FnMut(FollowEvent),
) -> Result<(), BackupFailure> {
    let (sender, events) = channel();
    let runners = Runners { options, stop, sender };
    let active = runners.start(0, options.full)?;
    let followed = go_on(&runners, active, &events, tell);
    stop.stop();
    followed
}

fn go_on(
    runners: &Runners<'_>,
    mut active: Runner,
    events: &Receiver<(u64, Told)>,
    tell: &mut dyn FnMut(FollowEvent),
) -> Result<(), BackupFailure> {
    let mut successor: Option<Runner> = None;
    // The segment that the successor wrote last.
    let mut begun_with: Option<BackupId> = None;
    let mut renew_at = runners.options.renew_bytes;
    let mut held_bytes = 0;
    // Every runner says when it ends, so that there is always something to come.
    while let Ok((number, what)) = events.recv() {
        let is_active = number == active.number;
        match what {
            Told::Event(FollowEvent::Held(note)) if is_active => {
                if note.bytes < held_bytes {
                    // A connection that began with another segment.
                    renew_at = runners.options.renew_bytes;
                }
                held_bytes = note.bytes;
                if held_bytes > renew_at && successor.is_none() {
                    successor = Some(runners.start(number + 1, true)?);
                    tell(FollowEvent::Renewing);
                }
                tell(FollowEvent::Held(note));
            }
            Told::Event(event) if is_active => tell(event),
            Told::Event(FollowEvent::Copied(segment)) => begun_with = Some(segment.note.backup),
            Told::Event(FollowEvent::Live) => {
                let (Some(next), Some(first)) = (successor.take(), begun_with) else { continue };
                active.stop.stop();
                core::mem::replace(&mut active, next).join()?;
                remove_superseded(&runners.options.destination, first)?;
                renew_at = runners.options.renew_bytes;
                held_bytes = 0;
                tell(FollowEvent::Renewed);
            }
            // The one that goes on speaks for the copy.
            Told::Event(_) => {}
            Told::End if is_active => {
                if let Some(next) = successor.take() {
                    next.stop.stop();
                    next.join()?;
                }
                return active.join();
            }
            Told::End => {
                // It failed: the directory is full, or the server takes no more copies.
                if let Some(next) = successor.take_if(|next| next.number == number)
                    && let Err(error) = next.join()
                {
                    begun_with = None;
                    renew_at = held_bytes.saturating_add(runners.options.renew_bytes);
                    tell(FollowEvent::NotRenewed(told(&error)));
                }
            }
        }
    }
    Ok(())
}

enum Told {
    Event(FollowEvent),
    End,
}

/// What all runners have in common.
struct Runners<'a> {
    options: &'a FollowOptions,
    stop: &'a Arc<Stop>,
    sender: Sender<(u64, Told)>,
}

/// One copy that follows, in a thread of its own.
struct Runner {
    number: u64,
    stop: Arc<Stop>,
    thread: JoinHandle<Result<(), BackupFailure>>,
}

impl Runners<'_> {
    fn start(&self, number: u64, full: bool) -> Result<Runner, BackupFailure> {
        let own = Arc::new(Stop::default());
        self.stop.also(&own);
        let (options, stop) = (FollowOptions { full, ..self.options.clone() }, own.clone());
        let sender = self.sender.clone();
        let work = move || {
            let ends = Ends { number, sender };
            follow_plainly(&options, &stop, &mut |event| ends.tell(Told::Event(event)))
        };
        let thread = std::thread::Builder::new().name("lethe-follow".to_owned()).spawn(work);
        let failed = |source| ServeError::Os { what: "cannot start a thread", source };
        Ok(Runner { number, stop: own, thread: thread.map_err(failed)? })
    }
}

/// Says that a runner has ended, also if it failed badly.
struct Ends {
    number: u64,
    sender: Sender<(u64, Told)>,
}

impl Ends {
    fn tell(&self, told: Told) {
        // Nobody listens any more once the copy as a whole has ended.
        let _heard = self.sender.send((self.number, told));
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.tell(Told::End);
    }
}

impl Runner {
    fn join(self) -> Result<(), BackupFailure> {
        match self.thread.join() {
            Ok(ended) => ended,
            // It was reported when it happened.
            Err(_) => Err(BackupFailure::Refused("the copy failed".to_owned())),
        }
    }
}

/// Removes the files of copies that followed before, and the segments without a window that only
/// they continued. What goes on from the segment `kept`, and what a backup with a window needs,
/// stays.
fn remove_superseded(directory: &Path, kept: BackupId) -> Result<(), BackupFailure> {
    let chain = Chain::read(directory)?;
    let ids = |last: &SegmentFile| -> Result<Vec<BackupId>, BackupFailure> {
        let segments = chain.up_to(last, None)?.segments;
        Ok(segments.iter().map(|segment| segment.note.backup).collect())
    };
    let (mut needed, mut superseded) = (BTreeSet::from([kept.0]), BTreeSet::new());
    for segment in chain.segments() {
        let ids = ids(segment)?;
        let has_window = segment.note.restorable_until.is_some();
        if has_window || ids.contains(&kept) {
            needed.extend(ids.iter().map(|id| id.0));
        } else if segment.followed.is_some() {
            superseded.extend(ids.iter().map(|id| id.0));
        }
    }
    for segment in chain.segments() {
        let id = segment.note.backup.0;
        if superseded.contains(&id) && !needed.contains(&id) {
            let path = &segment.path;
            fs::remove_file(path).map_err(BackupFailure::file("remove", path))?;
        }
    }
    sync_directory(directory)
}
