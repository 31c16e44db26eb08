//! Log entries: the exact text, the members of each type, refused spellings.

use lethe_types::UnixMillis;

use super::fixture::{detail, entry, facts};
use crate::{
    DETAIL_BYTES_MAX, DestroyedDetail, ENTRY_SLOTS_MAX, Entry, EntryError, EntryType, JsonError,
    Presence, SOFTWARE_BYTES_MAX, Salt, TlogProof,
};

/// Commitments computed by another program (Python, hashlib).
const DESTROYED: &str = concat!(
    r#"{"backups_after":null,"detail":"XgiZ6VHAXspWnZ+jIJfyuGDV6bq9YDqV70Kmv02rDPE=","#,
    r#""door":"native","epoch_from":41,"epoch_to":42,"invalidation":{"acked":1,"evicted":0},"#,
    r#""quorum":{"erased":1,"n":1,"t":1},"rev":99,"#,
    r#""slot":[{"class":"overwrite","generation":41,"kind":"file"}],"software":"lethe 0.1.0","#,
    r#""subject":"jpDnGQIf9YopluXpF6tN3HoyIf6C5SnE9hOIfz9k214=","#,
    r#""time":"2026-09-21T14:13:20.005Z","#,
    r#""tree_id":"07070707070707070707070707070707","type":"key.destroyed","v":1}"#,
);
const DETAIL: &str = concat!(
    r#"{"actor":{"id":"a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1","name":"Ada"},"#,
    r#""algorithm":"aes256-gcm","aliases":["tag-1"],"exported":false,"imported":false,"#,
    r#""last_used":null,"name":"customer 7","reason":"contract ended","#,
    r#""requested":"2026-09-21T14:13:20.000Z","unusable_since":"2026-09-21T14:13:20.005Z","#,
    r#""vault":"b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2","#,
    r#""versions":[{"created":"2026-05-28T20:26:40.000Z","version":1}]}"#,
);

fn destroyed() -> Entry {
    entry(&Salt([0x55; 32]))
}

#[test]
fn a_destruction_has_this_text() {
    assert_eq!(detail().to_json().unwrap(), DETAIL);
    assert_eq!(DestroyedDetail::parse(DETAIL), Ok(detail()));
    assert_eq!(destroyed().to_json().unwrap(), DESTROYED);
    assert_eq!(Entry::parse(DESTROYED), Ok(destroyed()));
}

#[test]
fn every_type_round_trips_with_its_members_and_refuses_others() {
    for entry_type in EntryType::ALL.iter().copied() {
        assert_eq!(entry_type.as_str().parse::<EntryType>().unwrap(), entry_type);
        let rules = entry_type.members();
        let full = destroyed();
        for bits in 0_u8..16 {
            let has = |bit: u8| bits & bit != 0;
            let entry = Entry {
                entry_type,
                door: full.door.clone().filter(|_| has(1)),
                subject: full.subject.filter(|_| has(2)),
                detail: full.detail.filter(|_| has(4)),
                erasure: full.erasure.clone().filter(|_| has(8)),
                ..full.clone()
            };
            let fits = |presence: Presence, has: bool| match presence {
                Presence::Absent => !has,
                Presence::Optional => true,
                Presence::Required => has,
            };
            let allowed = fits(rules.door, has(1))
                && fits(rules.subject, has(2))
                && fits(rules.detail, has(4))
                && fits(rules.erasure, has(8));
            let text = entry.to_json();
            assert_eq!(text.is_ok(), allowed, "{entry_type} with members {bits:04b}");
            if let Ok(text) = text {
                assert_eq!(Entry::parse(&text), Ok(entry));
            }
        }
    }
    assert_eq!(EntryType::ALL.len(), 26);
    assert!(EntryType::ALL.is_sorted_by_key(|entry_type| entry_type.as_str()));
    assert!("key.Destroyed".parse::<EntryType>().is_err());
}

#[test]
fn values_outside_of_their_bounds_are_refused() {
    let check = |change: fn(&mut Entry), expected: Option<EntryError>| {
        let mut entry = destroyed();
        change(&mut entry);
        assert_eq!(entry.to_json().err(), expected);
    };
    check(|_| (), None);
    check(|entry| entry.software = "s".repeat(SOFTWARE_BYTES_MAX), None);
    let software = Some(EntryError::Invalid("software"));
    check(|entry| entry.software = "s".repeat(SOFTWARE_BYTES_MAX + 1), software.clone());
    check(|entry| entry.software.clear(), software);
    let range = Some(EntryError::Json(JsonError::Range));
    check(|entry| entry.revision = (1 << 53) - 1, None);
    check(|entry| entry.revision = 1 << 53, range.clone());
    check(|entry| entry.time = UnixMillis(u64::MAX), range);
    check(
        |entry| entry.erasure.as_mut().unwrap().epoch_to = 41,
        Some(EntryError::Invalid("epoch_to")),
    );
    check(|entry| entry.erasure.as_mut().unwrap().slots.clear(), Some(EntryError::Invalid("slot")));
    check(
        |entry| {
            entry.erasure.as_mut().unwrap().slots = vec![facts().slots.remove(0); ENTRY_SLOTS_MAX]
        },
        None,
    );
    check(
        |entry| {
            entry.erasure.as_mut().unwrap().slots =
                vec![facts().slots.remove(0); ENTRY_SLOTS_MAX + 1];
        },
        Some(EntryError::Invalid("slot")),
    );
    let mut long = detail();
    long.reason = "r".repeat(DETAIL_BYTES_MAX);
    assert_eq!(long.to_json(), Err(JsonError::Range));
}

#[test]
fn other_spellings_of_entries_are_refused() {
    let replaced = |from: &str, to: &str| {
        assert!(DESTROYED.contains(from), "{from}");
        DESTROYED.replacen(from, to, 1)
    };
    for text in [
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        "x".repeat(70_000),
        format!(" {DESTROYED}"),
        format!("{DESTROYED}\n"),
        replaced(",", ", "),
        replaced(r#""v":1"#, r#""v":2"#),
        replaced(r#""v":1"#, r#""v":"1""#),
        replaced(r#","v":1"#, ""),
        replaced(r#""v":1"#, r#""v":1,"w":1"#),
        replaced(r#""rev":99"#, r#""rev":-99"#),
        replaced(r#""rev":99"#, r#""rev":99.0"#),
        replaced(r#""rev":99"#, r#""rev":null"#),
        replaced(r#""rev":99"#, r#""rev":99,"rev":99"#),
        replaced(r#""native""#, r#""Native""#),
        replaced(r#""native""#, r#""""#),
        replaced(r#""native""#, r#""n\u0061tive""#),
        replaced(r#""native""#, "null"),
        replaced(r#""door":"native","#, ""),
        replaced("null", "false"),
        replaced("null", "0"),
        replaced("null", r#""2026-09-21T14:13:20Z""#),
        replaced("20.005Z", "20.005+00:00"),
        replaced("20.005Z", "20.0050Z"),
        replaced("key.destroyed", "key.created"),
        replaced("key.destroyed", "key.unknown"),
        replaced("0707", "0A07"),
        replaced(r#""acked":1,"#, ""),
        replaced(r#""acked":1"#, r#""acked":4294967296"#),
        replaced(r#""n":1"#, r#""m":1"#),
        replaced(r#""kind":"file""#, r#""kind":"file","more":1"#),
        replaced(r#"[{"class""#, r#"[1,{"class""#),
        replaced(r#""epoch_to":42"#, r#""epoch_to":41"#),
        replaced(r#""epoch_from":41,"#, ""),
        replaced(r#""detail":"X"#, r#""detail":"XX"#),
    ] {
        assert!(Entry::parse(&text).is_err(), "{text}");
    }
    for (from, to) in [
        (r#""exported":false"#, r#""exported":0"#),
        (r#""exported":false,"#, ""),
        (r#""aliases":["tag-1"]"#, r#""aliases":"tag-1""#),
        (r#""aliases":["tag-1"]"#, r#""aliases":[1]"#),
        (r#""version":1"#, r#""version":4294967296"#),
        (r#""version":1"#, r#""version":1,"x":1"#),
        (r#""name":"Ada""#, r#""name":"Ada","x":1"#),
        ("{", "{ "),
    ] {
        assert!(DETAIL.contains(from));
        assert!(DestroyedDetail::parse(&DETAIL.replacen(from, to, 1)).is_err(), "{from} {to}");
    }
    assert!("no proof".parse::<TlogProof>().is_err());
}
