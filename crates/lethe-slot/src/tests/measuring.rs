//! What one batch costs on the disk of the temporary folder. By default a few cycles that only
//! check the outcome; with the variable `LETHE_MEASURE` set, enough for a median:
//! `LETHE_MEASURE=1 cargo nextest run -p lethe-slot measuring --no-capture`.

use core::time::Duration;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use lethe_crypto::SystemEntropy;
use lethe_erasure::slot::ErasableSlot;
use lethe_types::Entropy;

use super::{Folder, create, image, seals};
use crate::{FilesystemPolicy, ReplicatedSlot};

const CYCLES: u64 = 3;
const CYCLES_MEASURED: u64 = 300;

#[test]
fn the_cost_of_a_batch() {
    let folder = Folder::new();
    check_cost("one file", &mut create(&folder), CYCLES_MEASURED);
}

#[test]
fn the_cost_of_a_batch_on_two_replicas() {
    let folder = Folder::new();
    let paths = [folder.0.join("a.slot"), folder.0.join("b.slot")];
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let policy = FilesystemPolicy::Accept;
    let mut slot = ReplicatedSlot::create(&paths, &seals(1), &entropy, policy).unwrap();
    check_cost("two files", &mut slot, CYCLES_MEASURED);
}

/// Some batches on an empty slot, and with the variable set as many as told, with their times.
pub(super) fn check_cost(what: &str, slot: &mut dyn ErasableSlot, cycles_measured: u64) {
    let is_measured = std::env::var_os("LETHE_MEASURE").is_some();
    let cycles = if is_measured { cycles_measured } else { CYCLES };
    slot.put_new(&image(1)).unwrap();
    let (mut puts, mut erasures) = (Vec::new(), Vec::new());
    for generation in 2..2 + cycles {
        puts.push(timed(|| slot.put_new(&image(generation)).unwrap()));
        erasures.push(timed(|| {
            assert!(slot.erase_all_but(generation).unwrap().is_read_back_clean);
        }));
    }
    assert_eq!(slot.load().unwrap().images.len(), 1);
    if is_measured {
        let cycle = puts.iter().zip(&erasures).map(|(put, erasure)| *put + *erasure).collect();
        report(&format!("{what}: put_new"), puts);
        report(&format!("{what}: erase_all_but"), erasures);
        report(&format!("{what}: both"), cycle);
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement; nothing is decided by it")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_micros();
    let (median, p99, worst) = (at(50), at(99), at(100));
    writeln!(
        std::io::stderr(),
        "{what:<24} {median:>7} us median {p99:>7} us p99 {worst:>7} us max"
    )
    .unwrap();
}
