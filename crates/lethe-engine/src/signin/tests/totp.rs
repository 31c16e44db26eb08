use lethe_types::CredentialId;
use lethe_types::limits::ONE_TIME_ENTRIES_MAX;

use crate::signin::totp::OneTimeSteps;

fn id(number: usize) -> CredentialId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
    CredentialId(bytes)
}

#[test]
fn a_step_is_accepted_once_and_never_after_a_later_one() {
    let mut steps = OneTimeSteps::default();
    let mut check = |credential: usize, step: u64, accepted: bool| {
        assert_eq!(steps.accept(id(credential), step), accepted, "{credential} {step}");
    };
    check(1, 100, true);
    check(1, 100, false);
    check(1, 99, false);
    check(1, 0, false);
    check(2, 100, true);
    check(1, 101, true);
    check(1, 100, false);
    check(1, 101, false);
    check(2, 99, false);
    check(1, u64::MAX, true);
    check(1, u64::MAX, false);
}

#[test]
fn memory_is_bounded_and_a_full_one_refuses_rather_than_forgets() {
    let mut steps = OneTimeSteps::default();
    for number in 0..ONE_TIME_ENTRIES_MAX {
        assert!(steps.accept(id(number), 1_000));
    }
    assert!(!steps.accept(id(ONE_TIME_ENTRIES_MAX), 1_000));
    assert!(!steps.accept(id(ONE_TIME_ENTRIES_MAX), 1_006));
    assert!(!steps.accept(id(0), 1_000));
    // Known ones go on; two minutes later the old ones make room.
    assert!(steps.accept(id(0), 1_001));
    assert!(steps.accept(id(ONE_TIME_ENTRIES_MAX), 1_007));
}
