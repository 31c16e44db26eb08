//! `lethe seal`: what wraps the root key in the slot, seen and changed while no server runs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lethe_server::ServeOptions;
use lethe_server::config::Config;
use lethe_server::seal_tool::{self, FileLook, SealMigration, sector_words};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Output, printable};

/// What to do with the seal.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what seals the slot, without opening it
    Show(Place),
    /// Make recovery shares of the seal: any K of N open the slot in its place
    Shares(SharesArguments),
    /// Seal the slot with something else, and erase what the old seal opens; the server must not
    /// run
    Migrate(MigrateArguments),
}

/// Where the slot is.
#[derive(Args, Debug)]
pub(super) struct Place {
    /// Configuration file of the server, which names the slot and its present seal
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory of the server [default: ./lethe-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A setting that goes before the file's, as for `serve`; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

impl Place {
    /// As the server takes any file system for trials: only without a configuration file.
    pub(super) fn any_filesystem(&self) -> bool {
        self.config.is_none()
    }

    pub(super) fn config(&self) -> Result<Config, Failure> {
        let options = ServeOptions {
            config: self.config.clone(),
            data: self.data.clone(),
            set: self.set.clone(),
            // It takes the files of servers with `--dev` too, whose doors need say less.
            dev: true,
            ..ServeOptions::default()
        };
        lethe_server::configuration(&options).map_err(Failure::Serve)
    }
}

#[derive(Args, Debug)]
struct SharesArguments {
    #[command(flatten)]
    place: Place,
    /// How many of them are needed
    #[arg(long, value_name = "K")]
    needed: u8,
    /// How many are made
    #[arg(long, value_name = "N")]
    of: u8,
    /// Directory for the files share-1.txt and so on
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Args, Debug)]
struct MigrateArguments {
    #[command(flatten)]
    place: Place,
    /// A setting of the new `[seal]`, as in kind=passphrase and from=prompt; may be repeated.
    /// A new passphrase from the environment is in LETHE_NEW_PASSPHRASE
    #[arg(long, value_name = "NAME=VALUE", required = true)]
    to: Vec<String>,
    /// A file with a recovery share, instead of the present seal; as many as are needed
    #[arg(long, value_name = "FILE")]
    from_share: Vec<PathBuf>,
    /// Overwrite and remove the key file of the old seal at the end
    #[arg(long)]
    destroy_old_key: bool,
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    match arguments.command {
        Command::Show(place) => show(&place, output),
        Command::Shares(wanted) => shares(&wanted, output),
        Command::Migrate(wanted) => migrate(&wanted, output),
    }
}

fn show(place: &Place, output: &mut Output) -> Result<(), Failure> {
    let look = seal_tool::look(&place.config()?);
    if output.is_json() {
        let files: Vec<Value> = look.files.iter().map(file_json).collect();
        return output.json(&json!({ "slot": look.slot, "seal": look.seal, "files": files }));
    }
    output.fields(&[
        ("slot", look.slot.to_owned()),
        ("seal", format!("{}, says the configuration", look.seal)),
    ])?;
    for file in &look.files {
        output.line(&printable(&file.path.display().to_string()))?;
        match &file.sectors {
            Ok(sectors) => {
                for (number, sector) in sectors.iter().enumerate() {
                    output.line(&format!("  sector {number}: {}", sector_words(*sector)))?;
                }
            }
            Err(error) => output.line(&format!("  {}", printable(error)))?,
        }
        if let Some(shares) = &file.shares {
            output.line(&format!("  recovery shares of the seal: {}", printable(shares)))?;
        }
        for lost in &file.lost {
            let path = printable(&lost.path.display().to_string());
            let generation = lost.up_to_generation;
            output
                .line(&format!("  lost and not erased: {path}, generations up to {generation}"))?;
        }
    }
    Ok(())
}

fn file_json(file: &FileLook) -> Value {
    let sectors = match &file.sectors {
        Ok(sectors) => json!(sectors.map(sector_words)),
        Err(_) => Value::Null,
    };
    let lost = file
        .lost
        .iter()
        .map(|lost| json!({ "path": lost.path, "up_to_generation": lost.up_to_generation }));
    let lost: Vec<Value> = lost.collect();
    json!({
        "path": file.path, "sectors": sectors, "error": file.sectors.as_ref().err(), "lost": lost,
        "recovery_shares": file.shares,
    })
}

fn shares(wanted: &SharesArguments, output: &mut Output) -> Result<(), Failure> {
    let SharesArguments { place, needed, of, out } = wanted;
    let config = place.config()?;
    let files = seal_tool::make_shares(&config, *needed, *of, out).map_err(Failure::Serve)?;
    if output.is_json() {
        return output.json(&json!({ "needed": needed, "of": of, "files": files }));
    }
    for file in &files {
        output.line(&printable(&file.display().to_string()))?;
    }
    output.line(&format!(
        "Any {needed} of them open the slot until its seal is migrated. Give each to somebody else,"
    ))?;
    output.line("and remove these files.")
}

fn migrate(wanted: &MigrateArguments, output: &mut Output) -> Result<(), Failure> {
    let config = wanted.place.config()?;
    let done = seal_tool::migrate(&config, &wanted.to, &wanted.from_share, wanted.destroy_old_key);
    let done = done.map_err(Failure::Serve)?;
    done.notices.iter().for_each(|notice| eprintln!("lethe: {}", printable(notice)));
    let SealMigration { from, to, generation, evidence, destroyed_key_file, .. } = &done;
    let destroyed = destroyed_key_file.as_ref().map(|path| path.display().to_string());
    if output.is_json() {
        return output.json(&json!({
            "from": from, "to": to, "generation": generation,
            "erased": { "class": evidence.class.as_str(), "method": evidence.method.as_str(),
                        "where": evidence.device_id, "generation": evidence.generation_erased },
            "destroyed_key_file": destroyed,
        }));
    }
    output.fields(&[
        ("sealed with", format!("{to}, before: {from}")),
        ("generation", generation.to_string()),
        ("erased", format!("{} ({})", evidence.method.as_str(), evidence.device_id)),
        ("destroyed", destroyed.unwrap_or_default()),
    ])?;
    output.line("Now put this into the configuration, in place of its [seal]:")?;
    output.line("[seal]")?;
    say_settings(&wanted.to, output)
}

/// Settings as they stand in a configuration file.
pub(super) fn say_settings(settings: &[String], output: &mut Output) -> Result<(), Failure> {
    settings.iter().try_for_each(|setting| {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let value = if is_number || value.starts_with(['"', '\'', '[']) {
            value.to_owned()
        } else {
            format!("\"{value}\"")
        };
        output.line(&printable(&format!("{name} = {value}")))
    })
}
