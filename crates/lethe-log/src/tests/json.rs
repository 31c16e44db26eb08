//! Canonical JSON: RFC 8785 examples of our subset, order, escapes, refused spellings.

use lethe_types::UnixMillis;
use proptest::prelude::*;

use crate::{INTEGER_MAX, Json, JsonError, write_object};

#[track_caller]
fn canonical(text: &str, expected: &str) {
    let value = Json::parse(text).unwrap();
    assert_eq!(value.to_canonical(), expected);
    assert_eq!(Json::parse_canonical(expected), Ok(value));
    assert_eq!(Json::parse_canonical(text).is_ok(), text == expected);
}

#[test]
fn values_have_one_text() {
    canonical(" { } ", "{}");
    canonical("[ ]", "[]");
    canonical(r#"{"b":[1, true ,null],"a":"x"}"#, r#"{"a":"x","b":[1,true,null]}"#);
    canonical(
        "[0,-1,9007199254740991,-9007199254740991]",
        "[0,-1,9007199254740991,-9007199254740991]",
    );
    canonical(r#""\u0041\/""#, r#""A/""#);
    // RFC 8785 section 3.2.2.2.
    canonical(
        r#""\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/""#,
        "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"",
    );
    canonical(r#""\b\t\n\f\r\u001f\u007f\u2028""#, "\"\\b\\t\\n\\f\\r\\u001f\u{7f}\u{2028}\"");
    // RFC 8785 section 3.2.3: UTF-16 order, in which U+1F600 sorts before U+FB33.
    canonical(
        concat!(
            r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"#,
            r#""\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#
        ),
        concat!(
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,",
            "\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        ),
    );
}

#[test]
fn an_escape_is_found_wherever_it_is() {
    for special in ["\"", "\\", "\n", "\u{0}", "\u{1f}"] {
        for (before, after) in (0..70).flat_map(|before| [(before, 0), (before, 1), (before, 40)]) {
            let text = "\u{20}".repeat(before) + special + &"\u{7f}".repeat(after);
            let value = Json::text(text.clone());
            let written = value.to_canonical();
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
            assert!(!written.bytes().any(|byte| byte < 0x20), "{written:?}");
            assert_eq!(Json::parse_canonical(&written), Ok(value));
        }
    }
}

#[test]
fn what_is_outside_of_the_subset_is_refused() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    for text in [
        "",
        " ",
        "nul",
        "True",
        "1.0",
        "1e0",
        "1E2",
        "-0",
        "0.0",
        "01",
        "+1",
        "0x1",
        "9007199254740992",
        "-9007199254740992",
        "18446744073709551616",
        "NaN",
        "'a'",
        "\"",
        "\"\n\"",
        "\"\\x\"",
        "\"\\ud83d\"",
        "\"\\ude00\\ud83d\"",
        "[1,]",
        "[1 2]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"\\u0061\":2}",
        "[{\"b\":{\"a\":1,\"a\":2}}]",
        "1 2",
        "{}{}",
        "[1]//x",
        "\u{feff}{}",
        &deep,
    ] {
        assert!(Json::parse(text).is_err(), "{text:?}");
    }
    let twice = Json::object([("a", Json::Null), ("b", Json::Null), ("a", Json::Bool(true))]);
    assert_eq!(twice, Err(JsonError::Duplicate("a".to_owned())));
    assert!(Json::integer(INTEGER_MAX).is_ok());
    assert_eq!(Json::integer(INTEGER_MAX + 1), Err(JsonError::Range));
}

#[test]
fn streamed_objects_are_canonical() {
    let inner = Json::object([("\u{e9}", Json::Null), ("a", Json::text("x"))]).unwrap();
    let text = write_object(|object| {
        object.texts("a", ["x", "\"", "\u{1}"]);
        object.boolean("b", true);
        object.integer("c", INTEGER_MAX);
        object.object("d", |object| object.time("t", UnixMillis(5)));
        object.objects("e", [1, 2], |object, item| object.integer("i", item));
        object.time_or_null("f", None);
        object.text("g", "back\\slash");
        object.value("h", &inner);
    })
    .unwrap();
    assert!(Json::parse_canonical(&text).is_ok(), "{text}");
    assert!(text.contains(r#""d":{"t":"1970-01-01T00:00:00.005Z"}"#));
    assert_eq!(write_object(|_| ()).unwrap(), "{}");
}

#[test]
fn numbers_and_times_that_have_no_text_are_refused() {
    let last = UnixMillis(253_402_207_200_999);
    assert_eq!(last.to_string().parse(), Ok(last));
    assert!(write_object(|object| object.time("t", last)).is_ok());
    let after = UnixMillis(last.0 + 1);
    assert_eq!(write_object(|object| object.time("t", after)), Err(JsonError::Range));
    let nested = write_object(|object| {
        object.object("o", |object| object.time_or_null("t", Some(UnixMillis(u64::MAX))));
    });
    assert_eq!(nested, Err(JsonError::Range));
    let large = write_object(|object| object.integer("i", INTEGER_MAX + 1));
    assert_eq!(large, Err(JsonError::Range));
}

#[test]
#[should_panic(expected = "member `a` comes after `b`")]
fn members_out_of_order_are_a_mistake_of_the_caller() {
    let _ = write_object(|object| {
        object.boolean("b", true);
        object.boolean("a", true);
    });
}

#[test]
#[should_panic(expected = "member `a` comes after `a`")]
fn members_that_come_twice_are_a_mistake_of_the_caller() {
    let _ = write_object(|object| {
        object.boolean("a", true);
        object.boolean("a", true);
    });
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        (0..=INTEGER_MAX).prop_map(|number| Json::integer(number).unwrap()),
        any::<String>().prop_map(Json::Text),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        let members = prop::collection::btree_map(any::<String>(), inner.clone(), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Json::Array),
            members.prop_map(|members| Json::object(members).unwrap()),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_round_trips(value in any_json()) {
        let text = value.to_canonical();
        prop_assert_eq!(Json::parse_canonical(&text), Ok(value));
    }
}
