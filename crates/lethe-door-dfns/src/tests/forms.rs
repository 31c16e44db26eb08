//! Identifiers, canonical bodies, numbers, pages: what is written in one way alone.

use lethe_types::UnixMillis;

use crate::body::canonical;
use crate::ids::{Prefix, id, parse, timed_from};

#[test]
fn an_identifier_has_one_text() {
    for bytes in
        [[0; 16], [0xff; 16], [0x5a; 16], core::array::from_fn(|at| u8::try_from(at).unwrap())]
    {
        let text = id(Prefix::Key, &bytes);
        assert_eq!(text.len(), "key-".len() + 28);
        let (five, rest) = (&text[4..9], &text[9..]);
        assert!(five.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{text}");
        assert!(rest.starts_with('-') && rest.as_bytes()[6] == b'-', "{text}");
        assert_eq!(parse(Prefix::Key, &text), Some(bytes));
        assert_eq!(parse(Prefix::User, &text), None);
    }
    let good = id(Prefix::Key, &[0x5a; 16]);
    for bad in [
        "",
        "key-",
        &good[1..],
        &good[..good.len() - 1],
        &format!("{good}0"),
        &format!("{good}-"),
        &good.to_uppercase(),
        &good.replacen('-', "", 2),
        &format!("{}v", &good[..good.len() - 1]),
        &good.replace('b', "w"),
        "key-aaaaa-aaaaa-aaaaaaaaaaaaaaéé",
    ] {
        assert_eq!(parse(Prefix::Key, bad), None, "{bad}");
    }
}

#[test]
fn identifiers_with_a_time_sort_by_it() {
    let at = |ms| id(Prefix::Log, &timed_from(UnixMillis(ms)));
    let times = [0, 1, 31, 32, 1 << 20, 1_776_643_200_000, 1_776_643_200_001, (1 << 48) - 1];
    assert!(times.map(at).is_sorted());
}

#[test]
fn bodies_are_equal_by_value() {
    let groups: [&[&str]; 9] = [
        &["", "  \n", "{}", " { } "],
        &[
            r#"{"a":1,"b":"x"}"#,
            r#"{ "b" : "x" , "a" : 1 }"#,
            r#"{"b":"x","a":1.0}"#,
            r#"{"a":1e0,"b":"x"}"#,
        ],
        &[r#"{"name":"café"}"#, r#"{"name":"caf\u00e9"}"#],
        &[r#"{"a":"1"}"#],
        &[r#"{"a":1}"#],
        &[r#"{"a":null}"#],
        &[r#"{"a":[1,2]}"#, r#"{"a":[1.0,2]}"#],
        &[r#"{"a":[2,1]}"#],
        &[r#"{"a":{"x":0.5,"y":-0.0}}"#, r#"{"a":{"y":0,"x":5e-1}}"#],
    ];
    let texts = groups.map(|group| {
        let texts: Vec<String> =
            group.iter().map(|text| canonical(text.as_bytes()).unwrap()).collect();
        assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{texts:?}");
        texts[0].clone()
    });
    for (at, text) in texts.iter().enumerate() {
        assert!(!texts[at + 1..].contains(text), "{text}");
    }
    for bad in ["{", "x", "{}{}", "{\"a\":}", "'{}'", "\u{feff}{}"] {
        assert!(canonical(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(canonical(b"\xff").is_err());
}
