//! Headers: what is read is what was written.

use http::header::{ACCEPT, HeaderMap, HeaderValue};

use crate::headers::{decimal, prefers_text, shortened};
use crate::reply::block_on;

#[track_caller]
fn check_accept(values: &[&str], wants_text: bool) {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(ACCEPT, HeaderValue::from_str(value).unwrap());
    }
    assert_eq!(prefers_text(&headers), wants_text, "{values:?}");
}

#[test]
fn text_is_given_only_to_who_prefers_it() {
    check_accept(&["text/plain"], true);
    check_accept(&["Text/Plain; charset=utf-8"], true);
    check_accept(&["text/plain, */*"], true);
    check_accept(&["text/plain;q=0.5"], true);
    check_accept(&["text/plain, application/json"], true);
    check_accept(&["application/json;q=0.8", "text/plain"], true);
    check_accept(&["text/plain;q=0.9, application/json;q=0.85"], true);
    check_accept(&[], false);
    check_accept(&[""], false);
    check_accept(&["*/*"], false);
    check_accept(&["text/*"], false);
    check_accept(&["text/html, */*"], false);
    check_accept(&["application/json"], false);
    check_accept(&["application/json, text/plain"], false);
    check_accept(&["application/json, text/plain, */*"], false);
    check_accept(&["text/plain;q=0"], false);
    check_accept(&["text/plain;q=0.000"], false);
    check_accept(&["text/plain;q=0.8, application/json"], false);
    check_accept(&["text/plain;q=much"], false);
    check_accept(&["text/plain;q=0.1234"], false);
}

#[test]
fn numbers_have_one_spelling() {
    assert_eq!(decimal::<u32>("0"), Some(0));
    assert_eq!(decimal::<u32>("4294967295"), Some(u32::MAX));
    for bad in ["", "00", "01", "+1", "-1", "1.0", " 1", "1e3", "4294967296", "١"] {
        assert_eq!(decimal::<u32>(bad), None, "{bad}");
    }
}

#[test]
fn long_texts_are_cut_between_characters() {
    assert_eq!(shortened("short"), "short");
    assert_eq!(shortened(&"x".repeat(101)).len(), 100);
    assert_eq!(shortened(&format!("x{}", "ä".repeat(100))).len(), 99);
}

#[test]
fn a_thread_waits_for_a_future_that_another_completes() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let other = std::thread::spawn(move || sender.send(7));
    assert_eq!(block_on(receiver), Ok(7));
    assert_eq!(other.join().unwrap(), Ok(()));
}
