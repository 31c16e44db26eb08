//! Names of spaces and keys, texts of errors.

use proptest::prelude::*;

use super::{ALPHA, key};
use crate::{Revision, Space, StoreError, StoreKey};

#[track_caller]
fn check_space(name: &str, is_valid: bool) {
    match Space::parse(name) {
        Ok(space) => {
            assert!(is_valid, "{name:?}");
            assert_eq!(space.name(), name);
            assert_eq!(space.to_string(), name);
        }
        Err(error) => {
            assert!(!is_valid, "{name:?}");
            assert!(matches!(error, StoreError::Invalid { .. }));
        }
    }
}

#[test]
fn spaces_are_short_lower_case_names() {
    check_space("a", true);
    check_space("_", true);
    check_space("log_entries", true);
    check_space("abcdefghijklmnop", true);
    check_space("", false);
    check_space("abcdefghijklmnopq", false);
    check_space("A", false);
    check_space("a1", false);
    check_space("a-b", false);
    check_space("a b", false);
    check_space("a;", false);
    check_space("a\0", false);
    check_space("\0", false);
    check_space("ä", false);
    check_space("ſ", false);
}

#[test]
#[should_panic(expected = "a space is named by 1 to 16 bytes")]
fn wrong_constant_is_noticed() {
    let _ = Space::named("Nope");
}

proptest! {
    #[test]
    fn spaces_order_by_name(a in "[a-z_]{1,16}", b in "[a-z_]{1,16}") {
        let order = Space::parse(&a).unwrap().cmp(&Space::parse(&b).unwrap());
        prop_assert_eq!(order, a.as_bytes().cmp(b.as_bytes()));
    }

    #[test]
    fn keys_order_by_space_then_bytes(a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
        let in_space = |space, bytes: &[u8]| StoreKey::new(space, bytes).unwrap();
        prop_assert_eq!(in_space(ALPHA, &a).cmp(&in_space(ALPHA, &b)), a.cmp(&b));
        prop_assert!(in_space(ALPHA, &a) < in_space(Space::named("beta"), &b));
    }
}

#[test]
fn errors_name_what_they_speak_of() {
    let check = |error: StoreError, text: &str| assert_eq!(error.to_string(), text);
    check(StoreError::Conflict { key: key("a") }, "`alpha/61` was changed meanwhile");
    check(
        StoreError::TooLarge { what: "a value, in bytes", size: 2, max: 1 },
        "too large for the store: a value, in bytes: 2, at most 1",
    );
    check(StoreError::Corrupt { what: "a row".to_owned() }, "the store is damaged: a row");
    assert_eq!(format!("{:?} {}", ALPHA, Revision(7)), "Space(alpha) 7");
}

#[test]
fn largest_revision_has_no_next() {
    assert_eq!(Revision(u64::MAX - 1).next(), Ok(Revision(u64::MAX)));
    assert!(matches!(Revision(u64::MAX).next(), Err(StoreError::Corrupt { .. })));
}
