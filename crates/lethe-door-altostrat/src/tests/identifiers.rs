use lethe_crypto::SystemEntropy;
use lethe_types::UnixMillis;

use crate::identifiers::{
    crc32, is_key_id, is_secret, ksuid_bytes, ksuid_text, new_client_id, new_key_id, new_secret,
    secret_of, time_of,
};

#[test]
fn ksuids_are_those_of_the_reference() {
    let check = |text: &str, stamp: u32, payload: u8| {
        let mut bytes = [payload; 20];
        bytes[..4].copy_from_slice(&stamp.to_be_bytes());
        assert_eq!(ksuid_text(&bytes), text);
        assert_eq!(ksuid_bytes(text), Some(bytes));
    };
    check("3Cb93712hJYeAq1fEudxrX0gb4a", 376_643_200, 0);
    check("3Cb93Eo6jWp0GJhQz4R6eQ7wIgh", 376_643_200, 255);
    check("aWgEPTl1tmebfsQzFP4bxwgy80V", u32::MAX, 255);
    check("000000000000000000000000000", 0, 0);
    let known = "api_key_0ujtsYcgvSTl8PAuAdqWYSMnLOv";
    assert_eq!(time_of(known), Some(UnixMillis(1_507_608_047_000)));
}

#[test]
fn what_is_no_ksuid_has_no_time() {
    let check = |text: &str| assert_eq!(ksuid_bytes(text), None, "{text:?}");
    check("aWgEPTl1tmebfsQzFP4bxwgy80W");
    check(&"z".repeat(27));
    check(&"0".repeat(26));
    check(&"0".repeat(28));
    check("3Cb93712hJYeAq1fEudxrX0gb4-");
    check("");
    assert!(is_key_id(&format!("api_key_{}", "z".repeat(27))), "but the form of an id it has");
    assert!(!is_key_id("api_key_2m3h5n7k9j8g7f6e5d4c3b2a"), "the public sample is too short");
}

#[test]
fn a_new_id_says_when_it_was_made() {
    let now = UnixMillis(1_776_643_200_999);
    let id = new_key_id(&SystemEntropy, now).expect("entropy");
    assert!(is_key_id(&id));
    assert_eq!(time_of(&id), Some(UnixMillis(1_776_643_200_000)));
}

#[test]
fn checksums_are_those_of_the_vectors() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    let check = |random: &[u8; 42], whole: &str| {
        assert_eq!(secret_of(random).expose(), whole.as_bytes());
        assert!(is_secret(whole));
    };
    check(
        b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef",
        "alto_sk_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef2P40Ol",
    );
    check(
        b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJabcdefghijkl",
        "alto_sk_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJabcdefghijkl06MnIZ",
    );
    check(
        b"000000000000000000000000000000000000000000",
        "alto_sk_0000000000000000000000000000000000000000001CtB1C",
    );
}

#[test]
fn what_is_no_secret_is_seen_without_a_look_up() {
    let check = |text: &str| assert!(!is_secret(text), "{text:?}");
    check("");
    check("alto_sk_");
    check("alto_sk_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef2P40Om");
    check("alto_sk_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdeg2P40Ol");
    check("alto_sk_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef2P40O");
    check("alto_sk_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef2P40Ol0");
    check("alto_pk_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef2P40Ol");
    check("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef2P40Ol");
    // The sample of the public page has no checksum.
    check("alto_sk_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV");
}

#[test]
fn ten_thousand_are_all_different_and_use_the_whole_alphabet() {
    let mut all = std::collections::BTreeSet::new();
    let mut characters = std::collections::BTreeSet::new();
    for _ in 0..10_000 {
        let secret = new_secret(&SystemEntropy).expect("entropy");
        assert_eq!(secret.len(), 56);
        characters.extend(secret.expose()[8..50].iter().copied());
        all.insert(secret.expose().to_vec());
        let client = new_client_id(&SystemEntropy).expect("entropy");
        assert_eq!(client.len(), 20);
        all.insert(client.into_bytes());
        all.insert(new_key_id(&SystemEntropy, UnixMillis(0)).expect("entropy").into_bytes());
    }
    assert_eq!((all.len(), characters.len()), (30_000, 62));
}
