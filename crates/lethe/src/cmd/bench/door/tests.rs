use clap::Parser as _;

use super::*;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    door: Door,
}

fn parse(arguments: &[&str]) -> Result<Door, String> {
    let line = Line::try_parse_from(["x"].iter().chain(arguments));
    line.map(|line| line.door).map_err(|error| error.to_string())
}

#[test]
fn what_is_asked_for_is_understood_or_refused() {
    let door = parse(&["ncloud", "--keys", "10", "--connections", "4,8", "--only", "encrypt"]);
    let door = door.unwrap();
    assert_eq!((door.name, door.keys, door.connections), (Name::Ncloud, 10, vec![4, 8]));
    assert_eq!(parse(&["altostrat"]).unwrap().name, Name::Altostrat);
    #[track_caller]
    fn refused(arguments: &[&str], expected: &str) {
        let why = parse(arguments).unwrap_err();
        assert!(why.contains(expected), "{why}");
    }
    refused(&[], "required");
    refused(&["other"], "there are: altostrat, ncloud");
    refused(&["ncloud", "--keys", "0"], "1..=10000000");
    refused(&["ncloud", "--keys", "10000001"], "1..=10000000");
    refused(&["ncloud", "--seconds", "61"], "1..=60");
}

#[test]
fn requests_are_whole() {
    let target = Target::of("http://127.0.0.1:1").unwrap();
    let written = |what, body: &str| {
        let mut out = Vec::new();
        write_request(&mut out, &target, what, &[("A", "b")], body);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        written(("POST", "/x"), "{}"),
        "POST /x HTTP/1.1\r\nHost: 127.0.0.1:1\r\nA: b\r\nContent-Length: 2\r\n\r\n{}"
    );
    assert_eq!(
        written(("GET", "/x?y"), ""),
        "GET /x?y HTTP/1.1\r\nHost: 127.0.0.1:1\r\nA: b\r\n\r\n"
    );
}

#[test]
fn keys_come_in_turn() {
    let (turn, keys) = (Turn::default(), ["a".to_owned(), "b".to_owned()]);
    let taken: String = (0..5).map(|_| turn.of(&keys)).collect();
    assert_eq!(taken, "ababa");
    assert_eq!(turn.of(&[]), "");
}

#[test]
fn texts_are_found_in_answers() {
    let find = |body: &str| text_after(body.as_bytes(), b"\"a\":\"");
    assert_eq!(find(r#"{"b":1,"a":"x y","c":"z"}"#).as_deref(), Some("x y"));
    for none in ["", "{}", r#"{"a":"#, r#"{"a":"x"#, r#"{"a":""}"#, r#"{"a":"\n"}"#] {
        assert_eq!(find(none), None, "{none}");
    }
}
