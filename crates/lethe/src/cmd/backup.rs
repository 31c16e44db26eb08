//! `lethe backup`: copies of an installation, taken while it serves.

mod follow;

use core::time::Duration;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lethe_log::VerifierKey;
use lethe_server::ServeOptions;
use lethe_server::backup::{
    BackupFailure, BackupOptions, Chain, FollowOptions, SegmentFile, followers, forget, kept, take,
};
use lethe_server::clock::parse_duration;
use lethe_types::{BackupId, UnixMillis};
use serde_json::{Value, json};

use crate::console::Progress;
use crate::failure::Failure;
use crate::files::read_file;
use crate::output::Output;

/// What to do with backups.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    take: Take,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args, Debug)]
struct Take {
    /// Directory for the backup; what is in it already is continued
    #[arg(required = true)]
    destination: Option<PathBuf>,
    /// How long it can be restored, and with it what is destroyed meanwhile; 0 until the next
    /// destruction
    #[arg(long, value_name = "TIME", value_parser = window, default_value = "7d")]
    #[arg(default_value_if("follow", "true", "0"))]
    window: Window,
    /// Take everything, and not only what changed since the newest backup in the directory
    #[arg(long)]
    full: bool,
    /// Go on with everything that is changed, until interrupted: no change is answered that is not
    /// in the copy. Such a copy has no window
    #[arg(long)]
    follow: bool,
    /// With --follow: begin anew with everything, beside the copy that goes on, once the changes
    /// since the last segment have more bytes
    #[arg(long, value_name = "BYTES", default_value_t = RENEW_BYTES_DEFAULT, requires = "follow")]
    renew_bytes: u64,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read a backup to its end and check that it is whole and unaltered
    Verify(Verify),
    /// Show which backups can still be restored, and until when
    List(Place),
    /// End a backup before its time: nobody can restore it any more
    Forget(Forget),
}

#[derive(Args, Debug)]
struct Verify {
    /// Directory of the backup
    source: PathBuf,
    /// The log's public key, the line of log.vkey; without it signatures are not checked
    #[arg(long, value_name = "KEY", conflicts_with = "data")]
    vkey: Option<VerifierKey>,
    /// The server's data directory, whose log.vkey holds the log's public key
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Forget {
    /// The backup's name
    backup: BackupId,
    #[command(flatten)]
    place: Place,
}

/// A restore reads as much in a few seconds.
const RENEW_BYTES_DEFAULT: u64 = 1_073_741_824;

/// Which installation, running or not.
#[derive(Args, Debug)]
pub(crate) struct Place {
    /// Data directory of the server [default: ./lethe-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file of the server
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting that goes before the file's; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

impl Place {
    /// As the server itself would be started, doors and all. Doors of `--dev` say less.
    pub(crate) fn options(self) -> ServeOptions {
        ServeOptions {
            config: self.config,
            data: self.data,
            set: self.set,
            dev: true,
            ..ServeOptions::default()
        }
    }
}

/// A window; `None` is until the next destruction.
#[derive(Clone, Copy, Debug)]
struct Window(Option<Duration>);

fn window(text: &str) -> Result<Window, String> {
    if text == "0" {
        return Ok(Window(None));
    }
    let window = parse_duration(text).map_err(|error| error.to_string())?;
    Ok(Window(Some(window).filter(|window| !window.is_zero())))
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    match arguments.command {
        Some(Command::Verify(wanted)) => verify(&wanted, output),
        Some(Command::List(place)) => list(place, output),
        Some(Command::Forget(wanted)) => end(wanted, output),
        None => take_one(arguments.take, output),
    }
}

fn take_one(wanted: Take, output: &mut Output) -> Result<(), Failure> {
    let destination = wanted.destination;
    let destination =
        destination.ok_or_else(|| Failure::Usage("where is the backup to go?".to_owned()))?;
    if wanted.follow {
        if wanted.window.0.is_some() {
            let why = "a copy that follows has no window: leave --window out".to_owned();
            return Err(Failure::Usage(why));
        }
        let serve = wanted.place.options();
        let (full, renew_bytes) = (wanted.full, wanted.renew_bytes);
        return follow::run(FollowOptions { serve, destination, full, renew_bytes }, output);
    }
    let options = BackupOptions {
        serve: wanted.place.options(),
        destination,
        window: wanted.window.0,
        full: wanted.full,
    };
    let mut progress = Progress::bytes("copied");
    let taken = take(&options, &mut |bytes| progress.at(bytes));
    progress.end();
    let taken = taken.map_err(failure)?;
    let note = &taken.segment.note;
    if output.is_json() {
        let mut value = described(&taken.segment);
        value["from_running_server"] = json!(taken.from_server);
        return output.json(&value);
    }
    let what = if note.base.is_some() { "what changed" } else { "everything" };
    output.line(&format!("Backed up {what}: {} rows, {} bytes.", note.rows, note.bytes))?;
    output.fields(&fields(&taken.segment))?;
    output.line(match note.restorable_until {
        Some(_) => {
            "Until then, what is destroyed can be brought back by whoever has backup and slot."
        }
        None => "The next destruction ends it.",
    })
}

fn verify(wanted: &Verify, output: &mut Output) -> Result<(), Failure> {
    let key = match (&wanted.vkey, &wanted.data) {
        (Some(key), _) => Some(key.clone()),
        (None, Some(data)) => Some(key_of(data)?),
        (None, None) => None,
    };
    let chain = Chain::read(&wanted.source).map_err(failure)?;
    let newest = chain.newest();
    let newest = newest.ok_or_else(|| Failure::Data("there is no backup in it".to_owned()))?;
    let checked = chain.up_to(newest, key.as_ref()).map_err(failure)?;
    if output.is_json() {
        let segments: Vec<Value> = checked.segments.iter().map(described).collect();
        return output.json(&json!({
            "whole": true,
            "signatures_checked": key.is_some(),
            "rows": checked.rows,
            "bytes": checked.bytes,
            "segments": segments,
        }));
    }
    let count = checked.segments.len();
    output.line(&format!(
        "Whole: {count} segments, {} rows, {} bytes.",
        checked.rows, checked.bytes
    ))?;
    output.line(if key.is_some() {
        "Signed by the key of the log."
    } else {
        "Signatures were not checked: give --vkey or --data."
    })?;
    if let Some(cut) = cut_of(newest) {
        output.line(&cut)?;
    }
    output.fields(&fields(newest))
}

/// What there is to say about the end of a copy that follows.
fn cut_of(segment: &SegmentFile) -> Option<String> {
    let cut = segment.followed.filter(|followed| followed.cut_bytes > 0)?;
    Some(format!(
        "Its last {} bytes are of a commit that did not come whole and was never acknowledged: \
         they count for nothing.",
        cut.cut_bytes
    ))
}

fn list(place: Place, output: &mut Output) -> Result<(), Failure> {
    let options = place.options();
    let roots = kept(&options).map_err(failure)?;
    let following = followers(&options).map_err(failure)?;
    if output.is_json() {
        let roots: Vec<Value> = roots
            .iter()
            .map(|root| {
                json!({
                    "backup": root.backup.to_string(),
                    "epoch": root.epoch,
                    "restorable_until": root.until.to_string(),
                })
            })
            .collect();
        let following = following.map(|now| {
            json!({
                "live": now.live,
                "catching_up": now.catching_up,
                "lost": now.lost,
                "last_lost": now.last_lost.map(|at| at.to_string()),
            })
        });
        return output.json(&json!({ "backups": roots, "following": following }));
    }
    if let Some(now) = following {
        follow::say_standing(&now, output)?;
    }
    if roots.is_empty() {
        return output
            .line("No backup has a window that lasts: what is destroyed now is gone at once.");
    }
    let latest = roots.iter().map(|root| root.until).max().unwrap_or(UnixMillis(0));
    for root in &roots {
        output.line(&format!("{}  restorable until {}", root.backup, root.until))?;
    }
    output.line(&format!("What is destroyed now cannot be brought back after {latest}."))
}

fn end(wanted: Forget, output: &mut Output) -> Result<(), Failure> {
    let was_kept = forget(&wanted.place.options(), wanted.backup).map_err(failure)?;
    if !was_kept {
        return Err(Failure::Failed("the slot keeps no root for this backup".to_owned()));
    }
    if output.is_json() {
        return output.json(&json!({ "forgotten": wanted.backup.to_string() }));
    }
    output.line("Its root is erased: nobody can restore it any more.")
}

fn described(segment: &SegmentFile) -> Value {
    let note = &segment.note;
    json!({
        "file": segment.path.display().to_string(),
        "backup": note.backup.to_string(),
        "base": note.base.map(|base| base.to_string()),
        "taken": note.created.to_string(),
        "restorable_until": note.restorable_until.map(|until| until.to_string()),
        "rows": note.rows,
        "bytes": note.bytes,
        "log_size": note.log_size,
        "epoch": note.epoch,
        "follows": segment.followed.is_some(),
        "cut_bytes": segment.followed.map_or(0, |followed| followed.cut_bytes),
    })
}

fn fields(segment: &SegmentFile) -> [(&'static str, String); 4] {
    let note = &segment.note;
    let until = note.restorable_until.map(|until| until.to_string());
    [
        ("backup", note.backup.to_string()),
        ("file", segment.path.display().to_string()),
        ("taken", note.created.to_string()),
        ("restorable until", until.unwrap_or_else(|| "the next destruction".to_owned())),
    ]
}

fn key_of(data: &Path) -> Result<VerifierKey, Failure> {
    const BYTES_MAX: usize = 4_096;
    let path = data.join("log.vkey");
    let bytes = read_file(&path, BYTES_MAX).map_err(Failure::Data)?;
    let text = core::str::from_utf8(bytes.expose()).ok();
    let key = text.and_then(|text| text.trim_end().parse().ok());
    key.ok_or_else(|| Failure::Data(format!("`{}` holds no public key", path.display())))
}

/// What a failure means to the command line.
pub(crate) fn failure(error: BackupFailure) -> Failure {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(&error);
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    match error {
        BackupFailure::Serve(error) => Failure::Serve(error),
        BackupFailure::BaseRefused(_)
        | BackupFailure::Gone(_)
        | BackupFailure::Refused(_)
        | BackupFailure::Engine(_) => Failure::Failed(text),
        BackupFailure::Damaged { .. }
        | BackupFailure::File { .. }
        | BackupFailure::Note(_)
        | BackupFailure::Occupied { .. }
        | BackupFailure::Restore(_)
        | BackupFailure::Store(_) => Failure::Data(text),
    }
}
