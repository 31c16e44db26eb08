//! What is measured, in order, out of what was asked for.

use core::time::Duration;

use super::flood::Flood;
use super::load::Pace;
use super::mixed::{Disturbance, Wanted};
use super::scenario::{SCENARIOS, Scenario};
use super::{Arguments, CONNECTIONS_MAX};
use crate::failure::Failure;

/// Each measurement with `--quick`.
const QUICK: Duration = Duration::from_millis(100);
/// Encryptions a second beside which something else happens.
const STEADY_PER_S: u32 = 1_000;

/// What is measured.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) scenarios: Vec<&'static Scenario>,
    /// Numbers of connections, ascending.
    pub(super) connections: Vec<usize>,
    pub(super) paces: Vec<Pace>,
    /// Length of one round of one measurement.
    pub(super) each: Duration,
    pub(super) rounds: u32,
    pub(super) keys: u64,
    pub(super) is_tls: bool,
    /// If there are any, they are measured instead of scenarios.
    pub(super) disturbances: Vec<Disturbance>,
    pub(super) flood_connections: usize,
}

impl Plan {
    /// The plan, if it is bounded and makes sense.
    ///
    /// # Errors
    /// [`Failure::Usage`].
    pub(super) fn of(arguments: &Arguments) -> Result<Self, Failure> {
        let disturbances = disturbances(arguments);
        let is_mixed = !disturbances.is_empty();
        let refused = |why: &str| Err(Failure::Usage(why.to_owned()));
        if is_mixed && !arguments.only.is_empty() {
            return refused("--mixed and --flood measure encryptions: leave out --only");
        }
        if is_mixed && arguments.rate.len() > 1 {
            return refused("--mixed and --flood take one --rate");
        }
        let mut connections = arguments.connections.clone();
        if connections.is_empty() {
            let default: &[usize] = match (arguments.quick, is_mixed, arguments.rate.is_empty()) {
                (true, _, _) => &[4],
                (false, true, _) => &[16],
                (false, false, true) => &[1, 16, 64],
                (false, false, false) => &[64],
            };
            connections.extend(default);
        }
        connections.sort_unstable();
        connections.dedup();
        if !connections.iter().all(|count| (1..=CONNECTIONS_MAX).contains(count)) {
            return refused(&format!("--connections: each number is from 1 to {CONNECTIONS_MAX}"));
        }
        let paces = match arguments.rate.as_slice() {
            [] if is_mixed => vec![Pace::Open(STEADY_PER_S)],
            [] => vec![Pace::Closed],
            rates => rates.iter().copied().map(Pace::Open).collect(),
        };
        let is_wanted = |scenario: &&Scenario| {
            let is_named = |wanted: &super::scenario::Wanted| wanted.0.name == scenario.name;
            arguments.only.is_empty() || arguments.only.iter().any(is_named)
        };
        let (each, rounds) = match arguments.quick {
            true => (QUICK, 1),
            false => (Duration::from_secs(arguments.seconds) / arguments.rounds, arguments.rounds),
        };
        let flood_connections = usize::try_from(arguments.flood_connections);
        Ok(Self {
            scenarios: SCENARIOS.iter().filter(is_wanted).collect(),
            connections,
            paces,
            each,
            rounds,
            keys: arguments.keys,
            is_tls: arguments.tls,
            disturbances,
            flood_connections: flood_connections.unwrap_or(1),
        })
    }

    /// Encryptions a second beside which something else happens.
    pub(super) fn steady_per_s(&self) -> u32 {
        let rate = |pace: &Pace| match pace {
            Pace::Closed => None,
            Pace::Open(per_second) => Some(*per_second),
        };
        self.paces.iter().find_map(rate).unwrap_or(STEADY_PER_S)
    }
}

fn disturbances(arguments: &Arguments) -> Vec<Disturbance> {
    let mut all = Vec::new();
    for wanted in &arguments.mixed {
        match wanted {
            Wanted::Destroys => all.push(Disturbance::Destroys(arguments.destroys_per_s)),
            Wanted::Backup => all.push(Disturbance::Backup),
            Wanted::Flood => all.extend(Flood::ALL.map(Disturbance::Flood)),
        }
    }
    for flood in arguments.flood.iter().copied().map(Disturbance::Flood) {
        if !all.contains(&flood) {
            all.push(flood);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn plan(arguments: &[&str]) -> Result<Plan, String> {
        let line = Line::try_parse_from(["x"].iter().chain(arguments))
            .map_err(|error| error.to_string())?;
        Plan::of(&line.arguments).map_err(|failure| failure.text().unwrap())
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.scenarios.iter().map(|scenario| scenario.name).collect()
    }

    #[test]
    fn everything_is_measured_unless_told_otherwise() {
        let all = plan(&[]).unwrap();
        assert_eq!(all.scenarios.len(), SCENARIOS.len());
        assert_eq!(
            (all.connections, all.each, all.rounds),
            (vec![1, 16, 64], Duration::from_secs(1), 3)
        );
        assert_eq!((all.paces, all.keys, all.is_tls), (vec![Pace::Closed], 0, false));
        let some = plan(&["--only", "destroy,sign", "--connections", "64,8,8"]).unwrap();
        assert_eq!(names(&some), ["sign", "destroy"]);
        assert_eq!(some.connections, [8, 64]);
        let open = plan(&["--rate", "100,2000", "--seconds", "6", "--rounds", "2"]).unwrap();
        assert_eq!(open.paces, [Pace::Open(100), Pace::Open(2_000)]);
        assert_eq!((open.connections, open.each), (vec![64], Duration::from_secs(3)));
        let quick = plan(&["--quick", "--keys", "10", "--tls"]).unwrap();
        assert_eq!((quick.connections, quick.each, quick.rounds), (vec![4], QUICK, 1));
        assert!(quick.is_tls && quick.keys == 10);
    }

    #[test]
    fn what_happens_meanwhile_is_listed_once() {
        let all = plan(&["--mixed", "destroys,flood,backup", "--flood", "slow"]).unwrap();
        assert_eq!(all.disturbances[0], Disturbance::Destroys(1_000));
        assert_eq!(all.disturbances.len(), 2 + Flood::ALL.len());
        assert_eq!((all.connections.as_slice(), all.steady_per_s()), (&[16][..], STEADY_PER_S));
        let one = plan(&["--flood", "oversize", "--rate", "50"]).unwrap();
        assert_eq!(one.disturbances, [Disturbance::Flood(Flood::Oversize)]);
        assert_eq!(one.steady_per_s(), 50);
    }

    #[test]
    fn the_load_is_bounded() {
        #[track_caller]
        fn refused(arguments: &[&str], expected: &str) {
            let text = plan(arguments).unwrap_err();
            assert!(text.contains(expected), "{text}");
        }
        refused(&["--connections", "0"], "from 1 to 256");
        refused(&["--connections", "257"], "from 1 to 256");
        refused(&["--connections", ""], "invalid value");
        refused(&["--seconds", "0"], "1..=60");
        refused(&["--seconds", "61"], "1..=60");
        refused(&["--rounds", "0"], "1..=100");
        refused(&["--rate", "0"], "1..=1000000");
        refused(&["--rate", "1000001"], "1..=1000000");
        refused(&["--keys", "10000001"], "0..=10000000");
        refused(&["--flood-connections", "10001"], "1..=10000");
        refused(&["--quick", "--seconds", "1"], "cannot be used with");
        refused(&["--only", "everything"], "there are: encrypt, decrypt");
        refused(&["--mixed", "everything"], "there are: destroys, backup, flood");
        refused(&["--flood", "everything"], "there are: slow, half-open");
        refused(&["--mixed", "backup", "--only", "sign"], "leave out --only");
        refused(&["--mixed", "backup", "--rate", "1,2"], "one --rate");
        refused(&["--pid", "1"], "--dev");
    }
}
