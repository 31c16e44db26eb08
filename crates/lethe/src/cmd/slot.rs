//! `lethe slot`: moves the slot to another kind or to other files while no server runs.

use clap::{Args, Subcommand};
use lethe_server::slot_tool::{self, SlotMigration};
use serde_json::json;

use super::seal::{Place, say_settings};
use crate::failure::Failure;
use crate::output::{Output, printable};

/// What to do with the slot.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Move the slot to another kind or other files, and erase it where it was; the server must not
    /// run
    Migrate(MigrateArguments),
}

#[derive(Args, Debug)]
struct MigrateArguments {
    #[command(flatten)]
    place: Place,
    /// A setting of the new `[slot]`, as in kind=pkcs11 and token=kms; may be repeated. Without
    /// path or paths the files stay where they are
    #[arg(long, value_name = "NAME=VALUE", required = true)]
    to: Vec<String>,
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let Command::Migrate(wanted) = arguments.command;
    let config = wanted.place.config()?;
    let done = slot_tool::migrate(&config, &wanted.to, wanted.place.any_filesystem());
    let done = done.map_err(Failure::Serve)?;
    done.notices.iter().for_each(|notice| eprintln!("lethe: {}", printable(notice)));
    let SlotMigration { from, to, generation, evidence, removed, destroyed_keys, paths, .. } =
        &done;
    if output.is_json() {
        return output.json(&json!({
            "from": from, "to": to, "generation": generation, "paths": paths,
            "erased": { "class": evidence.class.as_str(), "method": evidence.method.as_str(),
                        "where": evidence.device_id, "generation": evidence.generation_erased },
            "removed": removed, "destroyed_keys": destroyed_keys,
        }));
    }
    let listed = |paths: &[std::path::PathBuf]| {
        let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        shown.join(", ")
    };
    let keys = match destroyed_keys {
        0 => String::new(),
        count => format!("{count} in the old device"),
    };
    output.fields(&[
        ("slot", format!("{to}, before: {from}")),
        ("files", listed(paths)),
        ("generation", generation.to_string()),
        ("erased", format!("{} ({})", evidence.method.as_str(), evidence.device_id)),
        ("removed", listed(removed)),
        ("keys destroyed", keys),
    ])?;
    output.line("Now put this into the configuration, in place of its [slot]:")?;
    output.line("[slot]")?;
    say_settings(&wanted.to, output)?;
    let names_paths =
        wanted.to.iter().any(|one| one.starts_with("path=") || one.starts_with("paths="));
    if names_paths {
        return Ok(());
    }
    let quoted: Vec<String> =
        paths.iter().map(|path| format!("{:?}", path.display().to_string())).collect();
    output.line(&printable(&format!("paths = [{}]", quoted.join(", "))))
}
