//! `lethe restore`: an installation out of a backup and the slot of the one that was lost.

use std::path::PathBuf;

use clap::Args;
use lethe_server::backup::{RestoreOptions, restore};
use lethe_types::BackupId;
use serde_json::json;

use super::backup::{Place, failure};
use crate::console::Progress;
use crate::failure::Failure;
use crate::output::Output;

/// What is to be restored, and where.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Directory of the backup
    source: PathBuf,
    /// The slot of the lost installation, with the journal that lies beside it [default: that of
    /// the new installation's configuration]
    #[arg(long, value_name = "FILE")]
    slot: Option<PathBuf>,
    /// Which backup [default: the newest]
    #[arg(long, value_name = "NAME")]
    backup: Option<BackupId>,
    #[command(flatten)]
    place: Place,
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let mut serve = arguments.place.options();
    // A server on the restored data is as strict about file systems as on any other.
    serve.dev = serve.config.is_none();
    if let Some(slot) = arguments.slot {
        let slot = std::path::absolute(&slot)
            .map_err(|error| Failure::Usage(format!("`{}`: {error}", slot.display())))?;
        let text = slot.to_str().ok_or_else(|| {
            Failure::Usage(format!("`{}`: a path in the configuration is UTF-8", slot.display()))
        })?;
        let quoted = serde_json::to_string(text).unwrap_or_default();
        serve.set.push(format!("slot.path={quoted}"));
    }
    let options = RestoreOptions { serve, source: arguments.source, backup: arguments.backup };
    let mut progress = Progress::rows("restored");
    let restored = restore(&options, &mut |rows| progress.at(rows));
    progress.end();
    let restored = restored.map_err(failure)?;
    if output.is_json() {
        return output.json(&json!({
            "backup": restored.backup.to_string(),
            "taken": restored.taken.to_string(),
            "destroyed_again": restored.destroyed_again,
            "log_entries_continued": restored.log_entries_continued,
            "log_size": restored.log_size,
            "epoch": restored.epoch,
            "log_vkey": restored.log_vkey,
        }));
    }
    output.line(&format!("Restored the backup that was taken at {}.", restored.taken))?;
    output.line(&format!(
        "Destroyed again what was destroyed since: {} record keys.",
        restored.destroyed_again
    ))?;
    output.line(&format!(
        "The log goes on as it was signed: {} entries, {} of them from the journal.",
        restored.log_size, restored.log_entries_continued
    ))?;
    output.line("The lost data, if it turns up, opens nowhere any more.")
}
