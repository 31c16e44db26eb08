//! `lethe doctor`: looks at everything that an installation stands on, and says what losing it
//! would mean. Changes nothing, opens no seal, tries no PIN; asks a running server about copies.

mod machine;
mod slot;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use lethe_types::{Clock, UnixMillis};

use crate::config::{Config, StoreConfig};

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Good,
    /// It works, and something could be lost or known that need not be.
    Warning,
    /// The server does not start like this, or a promise does not hold.
    Failure,
}

impl Level {
    /// The word for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at, as in `slot.replicas`.
    pub check: &'static str,
    /// What was found.
    pub found: String,
    /// What it means, and what to do; empty if all is well.
    pub advice: String,
}

/// The findings about one installation.
#[derive(Debug, Default)]
pub struct Report(Vec<Finding>);

impl Report {
    /// All of them, in the order in which they were looked at.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }

    /// The worst.
    #[must_use]
    pub fn worst(&self) -> Level {
        self.0.iter().map(|finding| finding.level).max().unwrap_or(Level::Good)
    }

    fn good(&mut self, check: &'static str, found: impl Into<String>) {
        self.add(Level::Good, check, found, "");
    }

    fn warn(&mut self, check: &'static str, found: impl Into<String>, advice: impl Into<String>) {
        self.add(Level::Warning, check, found, advice);
    }

    fn fail(&mut self, check: &'static str, found: impl Into<String>, advice: impl Into<String>) {
        self.add(Level::Failure, check, found, advice);
    }

    fn add(
        &mut self,
        level: Level,
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.0.push(Finding { level, check, found: found.into(), advice: advice.into() });
    }
}

/// Looks at everything that `config` names, and at the machine.
#[must_use]
pub fn examine(config: &Config, clock: &dyn Clock) -> Report {
    let mut report = Report::default();
    data(&mut report, config);
    slot::check(&mut report, config);
    slot::check_seal(&mut report, config);
    followers(&mut report, config);
    check_clock(&mut report, config, clock);
    machine::check(&mut report, config);
    report
}

fn data(report: &mut Report, config: &Config) {
    let StoreConfig::Embedded { path: store } = &config.store;
    match fs::metadata(&config.data) {
        Ok(metadata) if !metadata.is_dir() => {
            report.fail(
                "data",
                format!("`{}` is no directory", config.data.display()),
                "set `data`",
            );
        }
        Ok(_) => {
            report.good("data", format!("`{}`", config.data.display()));
            check_private(report, "data.permissions", &config.data, 0o022);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let advice = "the first start makes it; or set `--data` to the directory of a server";
            report.warn("data", format!("`{}` is not there", config.data.display()), advice);
        }
        Err(error) => {
            let found = format!("`{}`: {error}", config.data.display());
            report.fail("data", found, "run the doctor as the user of the server");
        }
    }
    let file = store.join("store.sqlite");
    let has_slot = config.slot.paths().iter().any(|path| path.exists());
    match (file.exists(), has_slot) {
        (true, true) => report.good("store", format!("`{}`", file.display())),
        (false, false) => {
            report.good("store", "there is none yet, and no slot: a new installation")
        }
        (true, false) => report.fail(
            "store",
            format!("`{}` is there, and none of its slot's files", file.display()),
            "without the slot nothing in the store opens: mount its volume, or bring a file back",
        ),
        (false, true) => report.fail(
            "store",
            format!("the slot is there, and `{}` is not", file.display()),
            "the store is lost or elsewhere: bring it back, or restore a backup; never make a new \
             one beside an old slot",
        ),
    }
    for (check, path) in [("space.data", store.as_path()), ("space.audit", &config.audit.path)] {
        space(report, check, path);
    }
}

/// Copies that follow a running server; it is asked, and nothing changes by that.
fn followers(report: &mut Report, config: &Config) {
    let Ok(Some(now)) = crate::backup::followers_of(config) else { return };
    match (now.live, now.last_lost) {
        (0, None) => {}
        (0, Some(at)) => report.warn(
            "backup.follow",
            format!("a copy that followed was lost at {at}"),
            "the next destruction ends what it holds: start `lethe backup --follow` again, or look \
             why it was late",
        ),
        (live, _) => report.good("backup.follow", format!("{live} copies hold every change")),
    }
}

/// Whether nobody else may use what lies at `path`: none of the bits of `refused` may be set.
fn check_private(report: &mut Report, check: &'static str, path: &Path, refused: u32) {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            report.fail(check, format!("`{}`: {error}", path.display()), "look at its permissions");
            return;
        }
    };
    let mode = metadata.mode() & 0o777;
    let shown = path.display();
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own && metadata.uid() != 0 {
        let found = format!("`{shown}` belongs to user {}, the doctor is {own}", metadata.uid());
        report.fail(check, found, "run server and doctor as the same user");
    } else if mode & refused != 0 {
        let found = format!("`{shown}` has mode {mode:03o}");
        let advice =
            format!("others may use it: run `chmod {:03o}` on it", mode & !refused & 0o777);
        report.fail(check, found, advice);
    } else {
        report.good(check, format!("`{shown}` has mode {mode:03o}"));
    }
}

/// Free bytes below which the doctor warns, and below which it calls it a failure.
const FREE_BYTES_WARNING: u64 = 1_073_741_824;
const FREE_BYTES_FAILURE: u64 = 67_108_864;

fn space(report: &mut Report, check: &'static str, path: &Path) {
    let Some(there) = nearest(path) else { return };
    let Ok(state) = rustix::fs::statvfs(&there) else {
        report.warn(check, format!("`{}` does not say how full it is", there.display()), "");
        return;
    };
    let free = state.f_bavail.saturating_mul(state.f_frsize);
    let found = format!("{} MiB are free for `{}`", free / 1_048_576, path.display());
    let advice = "a full disk refuses changes, also destructions, and uses once the audit trail \
                  cannot be written: make room";
    match free {
        ..FREE_BYTES_FAILURE => report.fail(check, found, advice),
        FREE_BYTES_FAILURE..FREE_BYTES_WARNING => report.warn(check, found, advice),
        FREE_BYTES_WARNING.. => report.good(check, found),
    }
}

/// The path itself, or the part of it that exists.
fn nearest(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    absolute.ancestors().find(|part| part.exists()).map(Path::to_owned)
}

/// No server of this version ran before this moment: 2026-01-01.
const EARLIEST: UnixMillis = UnixMillis(1_767_225_600_000);

/// How far a file may seem to come from the future, in milliseconds.
const FUTURE_MS: u64 = 60_000;

fn check_clock(report: &mut Report, config: &Config, clock: &dyn Clock) {
    let now = clock.now();
    let shown = format!("the clock says {} s since 1970", now.seconds());
    if now < EARLIEST {
        report.fail("clock", shown, "it is before this version was written: set the clock");
        return;
    }
    let StoreConfig::Embedded { path: store } = &config.store;
    let written = [store.join("store.sqlite"), config.audit.path.join("audit.jsonl")];
    let newest = written.iter().filter_map(|path| fs::metadata(path).ok()).map(|file| file.mtime());
    let newest_ms =
        newest.max().and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0) * 1_000;
    if newest_ms > now.0.saturating_add(FUTURE_MS) {
        let advice = "the clock was set back: times in receipts, tokens and windows of backups are \
                      wrong until it has caught up; synchronise it";
        report.fail(
            "clock",
            format!("{shown}, and the server has written later than that"),
            advice,
        );
    } else {
        report.good("clock", shown);
    }
    // A file of systemd-timesyncd(8), which is there once the clock was synchronised.
    let (runs, synchronised) = ("/run/systemd/timesync", "/run/systemd/timesync/synchronized");
    if Path::new(runs).exists() && !Path::new(synchronised).exists() {
        let advice = "times in receipts are the server's: wait, or look at the time service";
        report.warn("clock.synchronised", "the time service has not synchronised it yet", advice);
    }
}
