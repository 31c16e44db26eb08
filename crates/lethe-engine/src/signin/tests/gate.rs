//! The bound on computations, with threads that wait for conditions.

use std::sync::mpsc;

use crate::signin::SignInLimits;
use crate::signin::gate::Gate;
use crate::signin::limiter::Tag;

const fn tag(number: u8) -> Tag {
    [number; 16]
}

fn gate(running: usize, waiting: usize, of_source: usize) -> Gate {
    Gate::new(&SignInLimits {
        hashes_running_max: running,
        hashes_waiting_max: waiting,
        hashes_of_source_max: of_source,
        ..SignInLimits::default()
    })
}

/// Gives the processor to others until `is_met`.
fn until(is_met: impl Fn() -> bool) {
    while !is_met() {
        std::thread::yield_now();
    }
}

#[test]
fn as_many_run_as_may_and_the_rest_is_refused_without_a_line() {
    let gate = gate(2, 0, 8);
    let one = gate.enter(tag(1), false);
    let two = gate.enter(tag(2), true);
    assert!(one.is_some() && two.is_some());
    assert!(gate.enter(tag(3), false).is_none());
    assert!(gate.enter(tag(3), true).is_none());
    drop(one);
    let three = gate.enter(tag(3), false);
    assert!(three.is_some());
    assert!(gate.enter(tag(4), true).is_none());
    drop((two, three));
    assert_eq!(gate.counts(), (0, 0));
}

#[test]
fn one_source_does_not_take_all_places() {
    let gate = gate(8, 8, 3);
    let held: Vec<_> = (0..3).map(|_| gate.enter(tag(1), false).unwrap()).collect();
    assert!(gate.enter(tag(1), false).is_none());
    assert!(gate.enter(tag(1), true).is_none());
    assert!(gate.enter(tag(2), false).is_some());
    drop(held);
    assert!(gate.enter(tag(1), false).is_some());
}

#[test]
fn known_sources_go_first_and_have_places_of_their_own() {
    let gate = gate(1, 4, 8);
    let (told, order) = mpsc::channel();
    std::thread::scope(|scope| {
        let running = gate.enter(tag(0), false).unwrap();
        let wait_in_line = |number: u8, is_known: bool| {
            let (told, gate) = (told.clone(), &gate);
            let before = gate.counts().1;
            scope.spawn(move || {
                let permit = gate.enter(tag(number), is_known).unwrap();
                told.send(number).unwrap();
                drop(permit);
            });
            until(|| gate.counts().1 == before + 1);
        };
        wait_in_line(1, false);
        wait_in_line(2, false);
        wait_in_line(3, false);
        // Three of four places are for all; the last is for known sources.
        assert!(gate.enter(tag(9), false).is_none());
        wait_in_line(4, true);
        assert!(gate.enter(tag(9), true).is_none());
        drop(running);
        let seen: Vec<u8> = (0..4).map(|_| order.recv().unwrap()).collect();
        assert_eq!(seen, [4, 1, 2, 3]);
    });
    assert_eq!(gate.counts(), (0, 0));
}

#[test]
fn zero_means_one_where_none_would_wait_for_ever() {
    let gate = gate(0, 0, 0);
    let permit = gate.enter(tag(1), false);
    assert!(permit.is_some());
    assert!(gate.enter(tag(2), false).is_none());
}
