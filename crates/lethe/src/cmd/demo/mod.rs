//! `lethe demo`: the whole promise on one screen, with a real server, real keys and a real attack.
//!
//! Every line that it prints tells what has just happened. A step that goes otherwise than it
//! should ends the demo as a failure: there is no canned result.

mod attack;
mod screen;
mod steps;
mod told;

use clap::Args;

use crate::failure::Failure;
use crate::local::{Sandbox, interruptible, monotonic};
use crate::output::Output;
use screen::Screen;

/// How to show it.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Keep the directory with the servers' data, the backup and the receipt
    #[arg(long)]
    keep: bool,
    /// Instead of the story, make every attack that we know, and each again without its defence
    #[arg(long)]
    attack: bool,
    /// Only the attack of this name; may be given again
    #[arg(long, value_name = "NAME", requires = "attack", value_parser = attack::names())]
    only: Vec<String>,
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() && !arguments.attack {
        let why = "`demo` is for people; only `demo --attack` has a JSON form";
        return Err(Failure::Usage(why.to_owned()));
    }
    let sandbox = Sandbox::new(None)?;
    if arguments.keep {
        sandbox.keep();
    }
    let is_json = output.is_json();
    interruptible(sandbox, move |sandbox| {
        let mut screen = Screen::new(monotonic);
        let shown = if arguments.attack {
            let mut output = Output::new(is_json);
            let shown = attack::show(sandbox, &arguments.only, &mut screen, &mut output);
            output.finish().and(shown)
        } else {
            steps::show(sandbox, &mut screen)
        };
        if arguments.keep && !is_json {
            screen.say(&format!("Kept: {}", sandbox.path().display()))?;
        }
        shown.map_err(|failure| told_as_failed(failure, &screen))
    })
}

/// Says at which step it went wrong.
fn told_as_failed(failure: Failure, screen: &Screen) -> Failure {
    match failure.text() {
        Some(why) if screen.step() == 0 => Failure::Failed(format!("the demo failed: {why}")),
        Some(why) => Failure::Failed(format!("the demo failed at step {}: {why}", screen.step())),
        None => failure,
    }
}
