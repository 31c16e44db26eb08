//! `lethe demo --attack`: everything that somebody could try who holds copies of the disk, the root
//! key, the memory, and each of it once more with a defence taken away, where it must succeed.
//!
//! The same code is the test: `--json` says what came of each row. In a debug build defences are
//! taken away in the servers that the demo starts (`LETHE_DEFENCES_OFF`); a release build cannot do
//! that, and makes only those controls that give the attacker more.

mod core_files;
mod rows;
mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::screen::Screen;
use super::told::unexpected;
use crate::failure::Failure;
use crate::local::Sandbox;
use crate::output::{Output, table};
use rows::{ATTACKS, Attack, Outcome, Scene, Switch, Verdict};
use world::World;

/// Whether servers of this build can be without a defence.
const IS_TEST_BUILD: bool = cfg!(debug_assertions);

/// The names of all attacks.
pub(super) fn names() -> Vec<&'static str> {
    ATTACKS.iter().map(|attack| attack.name).collect()
}

/// Makes the attacks with these names, or all; shows each when it is made.
///
/// # Errors
/// [`Failure::Failed`] if an attack won, if a control did not, or if one could not be made.
pub(super) fn show(
    sandbox: &Sandbox,
    only: &[String],
    screen: &mut Screen,
    output: &mut Output,
) -> Result<(), Failure> {
    let wanted = |attack: &&Attack| only.is_empty() || only.iter().any(|one| one == attack.name);
    let is_json = output.is_json();
    if !is_json {
        screen.say(INTRODUCTION)?;
    }
    let mut theatre = Theatre { sandbox, worlds: BTreeMap::new(), scenes: 0 };
    let mut report = Report { attacks: Vec::new(), held: true, controls_won: true };
    for attack in ATTACKS.iter().filter(wanted) {
        let row = theatre.play(attack)?;
        if !is_json {
            row.show(screen)?;
        }
        report.held &= row.result != "broken";
        report.controls_won &= row.controls.iter().all(|control| control.result != "held");
        report.attacks.push(row);
    }
    if is_json {
        output.json(&report)?;
    } else {
        report.show(screen)?;
    }
    let lost = report.attacks.iter().filter(|row| row.result == "broken").map(|row| row.attack);
    let lost: Vec<&str> = lost.collect();
    match (report.held, report.controls_won) {
        (false, _) => Err(unexpected(&format!("these attacks succeed: {}", lost.join(", ")))),
        (true, false) => {
            Err(unexpected("a control did not succeed, so that its attack proves nothing"))
        }
        (true, true) => Ok(()),
    }
}

/// Installations that are played once, for all attacks that need them.
struct Theatre<'a> {
    sandbox: &'a Sandbox,
    worlds: BTreeMap<&'static str, World>,
    scenes: u32,
}

impl Theatre<'_> {
    fn play(&mut self, attack: &Attack) -> Result<Row, Failure> {
        let outcome = self.attack(attack, Switch::Nothing)?;
        let mut row = Row {
            attack: attack.name,
            holds: attack.holds,
            attempt: attack.attempt,
            result: word(outcome.verdict),
            said: outcome.said,
            controls: Vec::new(),
        };
        for (defence, switch) in attack.controls {
            let outcome = if needs_test_build(*switch) && !IS_TEST_BUILD {
                let said = "a defence can be taken away in a debug build only".to_owned();
                Outcome { verdict: Verdict::NotHere, said }
            } else {
                self.attack(attack, *switch)?
            };
            let (result, said) = (word(outcome.verdict), outcome.said);
            let needs_test_build = needs_test_build(*switch);
            let switch = in_words(*switch);
            row.controls.push(Control { defence, switch, needs_test_build, result, said });
        }
        Ok(row)
    }

    fn attack(&mut self, attack: &Attack, switch: Switch) -> Result<Outcome, Failure> {
        let (name, setting, without) = match switch {
            Switch::Nothing | Switch::LaterWithout(_) | Switch::More(_) => ("as-it-is", None, ""),
            Switch::Setting(core_files::ALLOWED) => ("as-it-is", None, ""),
            Switch::Setting(setting) => (setting, Some(setting), ""),
            Switch::Without(defence) => (defence.as_str(), None, defence.as_str()),
        };
        if !self.worlds.contains_key(name) {
            let settings: Vec<&str> = setting.into_iter().flat_map(|one| ["--set", one]).collect();
            let folder = self.sandbox.path().join(format!("world-{name}"));
            let world = World::play(self.sandbox, &folder, &settings, without)?;
            self.worlds.insert(name, world);
        }
        let world = &self.worlds[name];
        self.scenes += 1;
        let folder: PathBuf = self.sandbox.path().join(format!("scene-{:02}", self.scenes));
        let scene = Scene { sandbox: self.sandbox, world, folder, switch };
        let told = |failure: Failure| match failure.text() {
            Some(why) => unexpected(&format!("{}, {}: {why}", attack.name, in_words(switch))),
            None => failure,
        };
        (attack.run)(&scene).map_err(told)
    }
}

fn needs_test_build(switch: Switch) -> bool {
    match switch {
        Switch::Without(_) | Switch::LaterWithout(_) => true,
        Switch::Nothing | Switch::Setting(_) | Switch::More(_) => false,
    }
}

fn in_words(switch: Switch) -> String {
    match switch {
        Switch::Nothing => "as it is".to_owned(),
        Switch::Without(defence) | Switch::LaterWithout(defence) => format!("without {defence}"),
        Switch::Setting(setting) => setting.to_owned(),
        Switch::More(what) => format!("with {what}"),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "held",
        Verdict::Broken => "broken",
        Verdict::NotHere => "not made",
    }
}

/// What came of all of them.
#[derive(Serialize)]
struct Report {
    attacks: Vec<Row>,
    /// No attack on Lethe as it is succeeded.
    held: bool,
    /// Every control that was made succeeded.
    controls_won: bool,
}

/// What came of one attack.
#[derive(Serialize)]
struct Row {
    attack: &'static str,
    holds: &'static str,
    attempt: &'static str,
    /// `held`, `broken`, or `not made`.
    result: &'static str,
    said: String,
    controls: Vec<Control>,
}

/// What came of the same attack with something taken away.
#[derive(Serialize)]
struct Control {
    /// What keeps the attack from succeeding.
    defence: &'static str,
    /// How it was taken away.
    switch: String,
    /// Only a debug build can do that.
    needs_test_build: bool,
    result: &'static str,
    said: String,
}

const INTRODUCTION: &str = "\
    LETHE, ATTACKED. A key was destroyed. Whoever attacks holds copies of everything. Each attack \
    is made on Lethe as it is, where it must fail, and once more with one thing changed, where it \
    must succeed: a check that cannot fail proves nothing. Real servers, real files, real memory.";

impl Row {
    fn show(&self, screen: &mut Screen) -> Result<(), Failure> {
        screen.begin(self.attack)?;
        screen.tell(&format!("holds     {}", self.holds))?;
        screen.tell(&format!("tries     {}", self.attempt))?;
        screen.tell(&format!("as it is  {}: {}", self.result.to_uppercase(), self.said))?;
        for control in &self.controls {
            let result = control.result.to_uppercase();
            let what = if control.needs_test_build {
                format!("{} ({})", control.switch, control.defence)
            } else {
                control.switch.clone()
            };
            screen.tell(&format!("control   {what}: {result}: {}", control.said))?;
        }
        Ok(())
    }
}

impl Report {
    fn show(&self, screen: &Screen) -> Result<(), Failure> {
        let count = |result: &str| self.attacks.iter().filter(|row| row.result == result).count();
        let controls = || self.attacks.iter().flat_map(|row| &row.controls);
        let won = controls().filter(|control| control.result == "broken").count();
        let not_made = controls().filter(|control| control.result == "not made").count();
        let rows: Vec<Vec<String>> = self.attacks.iter().map(Row::summary).collect();
        screen.say("")?;
        for line in table(&["attack", "as it is", "with one thing changed"], &rows) {
            screen.say(&line)?;
        }
        screen.say("")?;
        let (made, all) = (self.attacks.len(), controls().count());
        let seconds = screen.elapsed().as_secs_f64();
        screen.say(&format!(
            "{} of {made} attacks fail, {won} of {all} controls succeed.",
            count("held")
        ))?;
        if not_made > 0 {
            screen.say(&format!("{not_made} controls need a test build, or another machine."))?;
        }
        screen.say(&format!("All of this happened just now, in {seconds:.1} s."))
    }
}

impl Row {
    fn summary(&self) -> Vec<String> {
        let of = |control: &Control| format!("{}: {}", control.switch, control.result);
        let controls: Vec<String> = self.controls.iter().map(of).collect();
        vec![self.attack.to_owned(), self.result.to_owned(), controls.join("; ")]
    }
}
