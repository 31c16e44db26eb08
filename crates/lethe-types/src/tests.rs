use super::*;
use StableState::{Active, Compromised, Deactivated, PreActive, Suspended};

const DUE: UnixMillis = UnixMillis(7_000);

fn states() -> Vec<KeyState> {
    let stable = [PreActive, Active, Suspended, Deactivated, Compromised];
    let mut all: Vec<KeyState> = stable.into_iter().map(KeyState::Stable).collect();
    all.extend(
        stable.map(|return_to| KeyState::PendingDestruction { due: UnixMillis(1), return_to }),
    );
    all.extend([KeyState::Destroyed, KeyState::DestroyedCompromised]);
    all
}

fn transitions() -> [Transition; 8] {
    use Transition as T;
    [
        T::Activate,
        T::Suspend,
        T::Resume,
        T::Deactivate,
        T::Compromise,
        T::ScheduleDestruction { due: DUE },
        T::CancelDestruction,
        T::Destroy,
    ]
}

/// The table once more, as text: a row a state, a column a transition in the order of
/// `transitions()`; `-` is a refusal, `p:x` waits for destruction and returns to x.
const TABLE: &str = "
pre_active               active - - - compromised p:pre_active - destroyed
active                   - suspended - deactivated compromised p:active - destroyed
suspended                - - active deactivated compromised p:suspended - destroyed
deactivated              - - - - compromised p:deactivated - destroyed
compromised              - - - - - p:compromised - destroyed_compromised
p:pre_active             - - - - p:compromised - pre_active destroyed
p:active                 - - - - p:compromised - active destroyed
p:suspended              - - - - p:compromised - suspended destroyed
p:deactivated            - - - - p:compromised - deactivated destroyed
p:compromised            - - - - - - compromised destroyed_compromised
destroyed                - - - - destroyed_compromised - - -
destroyed_compromised    - - - - - - - -
";

fn text(state: KeyState) -> String {
    match state {
        KeyState::PendingDestruction { return_to, .. } => format!("p:{}", return_to.as_str()),
        KeyState::Stable(_) | KeyState::Destroyed | KeyState::DestroyedCompromised => {
            state.as_str().to_owned()
        }
    }
}

#[test]
fn every_pair_of_state_and_transition_is_decided_as_the_table_says() {
    let rows: Vec<Vec<&str>> =
        TABLE.trim().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), states().len());
    let mut pairs = 0;
    for (state, row) in states().into_iter().zip(&rows) {
        assert_eq!(text(state), row[0]);
        assert_eq!(row.len(), 1 + transitions().len());
        for (transition, &want) in transitions().into_iter().zip(&row[1..]) {
            let got = state.after(transition).map_or("-".to_owned(), text);
            assert_eq!(got, want, "{state:?} {transition:?}");
            pairs += 1;
        }
    }
    assert_eq!(pairs, 96);
}

#[test]
fn destroyed_is_left_only_towards_destroyed_compromised() {
    for state in states().into_iter().filter(|state| state.is_destroyed()) {
        for transition in transitions() {
            if let Ok(next) = state.after(transition) {
                assert_eq!(next, KeyState::DestroyedCompromised);
            }
        }
        assert!(!state.may_protect() && !state.may_process());
    }
}

#[test]
fn a_key_that_waits_for_destruction_is_refused_for_every_use() {
    let waiting = KeyState::ACTIVE.after(Transition::ScheduleDestruction { due: DUE }).unwrap();
    assert_eq!(waiting, KeyState::PendingDestruction { due: DUE, return_to: Active });
    assert!(!waiting.may_protect() && !waiting.may_process());
}

#[test]
fn uses_follow_sp_800_57() {
    let protect: Vec<_> = states().into_iter().filter(|state| state.may_protect()).collect();
    let process: Vec<_> = states().into_iter().filter(|state| state.may_process()).collect();
    assert_eq!(protect, [KeyState::ACTIVE]);
    assert_eq!(process, [Active, Deactivated, Compromised].map(KeyState::Stable));
}

#[track_caller]
fn check_name(name: &str, valid: bool) {
    assert_eq!(name.parse::<KeyName>().is_ok(), valid, "{name:?}");
}

#[test]
fn names() {
    check_name("a", true);
    check_name("customer 17 / billing", true);
    check_name("Schlüssel", true);
    check_name(&"a".repeat(256), true);
    check_name("", false);
    check_name(&"a".repeat(257), false);
    check_name(" a", false);
    check_name("a ", false);
    check_name("a\nb", false);
    check_name("a\u{0}b", false);
    check_name("a\u{85}b", false);
}

#[test]
fn identifiers_round_trip_and_refuse_everything_else() {
    let id = KeyId([0xab; 16]);
    assert_eq!(id.to_string(), "ab".repeat(16));
    assert_eq!("ab".repeat(16).parse(), Ok(id));
    let refused = ["", "ab", &"AB".repeat(16), &"ag".repeat(16), &"ab".repeat(17), &"é".repeat(16)];
    for text in refused {
        assert_eq!(text.parse::<KeyId>(), Err(InvalidId), "{text:?}");
    }
}

#[test]
fn permissions_round_trip_as_text_and_bits() {
    for &permission in Permission::ALL {
        assert_eq!(permission.as_str().parse(), Ok(permission));
        let alone: Permissions = [permission].into_iter().collect();
        assert_eq!(Permissions::from_bits(alone.to_bits()), Some(alone));
        assert_eq!(alone.iter().collect::<Vec<_>>(), [permission]);
        assert!(Permissions::all().contains_all(alone) && !Permissions::NONE.contains(permission));
    }
    assert!("keys.*".parse::<Permission>().is_err());
    assert_eq!(Permissions::from_bits(1 << 63), None);
}

#[test]
fn secrets_do_not_print_themselves() {
    let secret = Secret::<4>::init_with(|buf| *buf = *b"1234");
    assert_eq!(format!("{secret:?}"), "Secret<4>(..)");
    assert!(secret.ct_eq(&secret.duplicate()));
    assert!(!secret.ct_eq(&Secret::init_with(|_| ())));
    let text = SecretVec::copy_from(b"1234");
    assert_eq!(format!("{text:?}"), "SecretVec(4 bytes, ..)");
    assert!(text.ct_eq(b"1234") && !text.ct_eq(b"123") && !text.ct_eq(b"1235"));
}

#[test]
fn times_print_as_rfc_3339_and_parse_strictly() {
    let time = UnixMillis(1_790_000_000_007);
    assert_eq!(time.to_string(), "2026-09-21T14:13:20.007Z");
    assert_eq!("2026-09-21T14:13:20.007Z".parse(), Ok(time));
    assert_eq!(UnixMillis(0).to_string(), "1970-01-01T00:00:00.000Z");
    for text in ["", "2026-09-21T14:13:20Z", "2026-09-21 14:13:20.007Z", "1969-09-21T14:13:20.007Z"]
    {
        assert_eq!(text.parse::<UnixMillis>(), Err(InvalidTime), "{text}");
    }
    assert!(UnixMillis(u64::MAX).to_string().starts_with("9999-"));
}
