//! `lethe demo`: the whole promise on one screen, with a real server, real keys and a real attack.
//!
//! Every line that it prints tells what has just happened. A step that goes otherwise than it
//! should ends the demo as a failure: there is no canned result.

mod screen;
mod steps;

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
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return Err(Failure::Usage("`demo` is for people; it has no JSON form".to_owned()));
    }
    let sandbox = Sandbox::new(None)?;
    if arguments.keep {
        sandbox.keep();
    }
    interruptible(sandbox, move |sandbox| {
        let mut screen = Screen::new(monotonic);
        let shown = steps::show(sandbox, &mut screen);
        if arguments.keep {
            screen.say(&format!("Kept: {}", sandbox.path().display()))?;
        }
        shown.map_err(|failure| told_as_failed(failure, &screen))
    })
}

/// Says at which step it went wrong.
fn told_as_failed(failure: Failure, screen: &Screen) -> Failure {
    match failure.text() {
        Some(why) => Failure::Failed(format!("the demo failed at step {}: {why}", screen.step())),
        None => failure,
    }
}
