use crate::*;

#[track_caller]
fn check(text: &str, decoded: Option<&str>) {
    assert_eq!(percent_decode(text).ok().as_deref(), decoded, "{text:?}");
}

#[test]
fn percent_encoding_is_decoded_once_and_strictly() {
    check("", Some(""));
    check("plain", Some("plain"));
    check("a+b", Some("a+b"));
    check("%41%62", Some("Ab"));
    check("%2f%2F", Some("//"));
    check("%2541", Some("%41"));
    check("%C3%A4", Some("ä"));
    check("%00", Some("\0"));
    for refused in ["%", "%4", "a%", "%zz", "%4z", "%z4", "%+1", "%-1", "% 1", "%%41", "%ä"] {
        check(refused, None);
    }
    // Not UTF-8: a lone byte, an overlong form, a surrogate, a cut sequence.
    for refused in ["%ff", "%C3", "%C0%80", "%ED%A0%80", "%F0%9F%98", "%80abc"] {
        check(refused, None);
    }
}

#[track_caller]
fn check_query(raw: &str, strict: Option<&[(&str, &str)]>, lenient: &[(&str, &str)]) {
    let own = |pairs: Vec<QueryPair<'_>>| -> Vec<(String, String)> {
        pairs.into_iter().map(|p| (p.name.into_owned(), p.value.into_owned())).collect()
    };
    let expect = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    };
    assert_eq!(Query::new(raw).pairs().ok().map(own), strict.map(expect), "{raw:?}");
    assert_eq!(own(Query::new(raw).pairs_lenient()), expect(lenient), "{raw:?}");
}

#[test]
fn queries_are_split_before_they_are_decoded() {
    check_query("", Some(&[]), &[]);
    check_query("a", Some(&[("a", "")]), &[("a", "")]);
    check_query("a=", Some(&[("a", "")]), &[("a", "")]);
    check_query("a=1&&b=2&", Some(&[("a", "1"), ("b", "2")]), &[("a", "1"), ("b", "2")]);
    check_query("a=1&a=2", Some(&[("a", "1"), ("a", "2")]), &[("a", "1"), ("a", "2")]);
    check_query("a=b=c", Some(&[("a", "b=c")]), &[("a", "b=c")]);
    check_query("t=tok%2B1%2F%3D", Some(&[("t", "tok+1/=")]), &[("t", "tok+1/=")]);
    check_query("q=a+b%26c", Some(&[("q", "a b&c")]), &[("q", "a b&c")]);
    check_query("q=100%&r=%41", None, &[("q", "100%"), ("r", "A")]);
    check_query("%ff=1", None, &[("%ff", "1")]);
    check_query("q=%zz+1", None, &[("q", "%zz+1")]);
}
