//! The table of logins.

use lethe_crypto::SystemEntropy;
use lethe_types::{CredentialId, PrincipalId, SecretVec, UnixMillis};

use crate::sessions::{Sessions, Who, draw, draw_token, hash_of, hash_text, parse_hash};
use crate::settings::{Settings, TokenRotation};

fn who(number: u8) -> Who {
    Who {
        principal: PrincipalId([number; 16]),
        credential: CredentialId([number; 16]),
        api_key: (PrincipalId([200; 16]), CredentialId([200; 16])),
    }
}

fn token(text: &str) -> SecretVec {
    SecretVec::copy_from(text.as_bytes())
}

fn table(token_rotation: TokenRotation) -> Sessions {
    Sessions::new(&Settings { token_rotation, ..Settings::default() })
}

const MINUTE: u64 = 60_000;

#[test]
fn a_login_ends_when_idle_and_at_the_end_of_its_life() {
    let sessions = table(TokenRotation::Off);
    sessions.begin(who(1), &token("a"), UnixMillis(0));
    let is_good = |minutes: u64| sessions.find(b"a", UnixMillis(minutes * MINUTE)).is_some();
    for minutes in [1, 60, 119, 178] {
        assert!(is_good(minutes), "{minutes}");
    }
    assert!(!is_good(238));
    assert!(!is_good(178), "what ended stays ended");
    sessions.begin(who(1), &token("a"), UnixMillis(0));
    for minutes in (0..720).step_by(30) {
        assert!(is_good(minutes), "{minutes}");
    }
    assert!(!is_good(720));
    assert!(sessions.find(b"", UnixMillis(0)).is_none());
}

#[test]
fn a_stored_login_comes_back_and_never_lives_longer() {
    let sessions = table(TokenRotation::Off);
    sessions.begin(who(1), &token("a"), UnixMillis(0));
    let hash = hash_of(b"a");
    assert!(!sessions.find(b"a", UnixMillis(9 * MINUTE)).unwrap().is_stale);
    assert!(sessions.find(b"a", UnixMillis(10 * MINUTE)).unwrap().is_stale);
    let stored = sessions.to_store(&hash).unwrap();
    let check = |minutes: u64, rotation| {
        let other = table(rotation);
        let now = UnixMillis(minutes * MINUTE);
        let is_back = other.restore(hash, &stored, now);
        assert_eq!(other.find(b"a", now).is_some(), is_back);
        is_back
    };
    assert!(check(69, TokenRotation::Off));
    assert!(!check(70, TokenRotation::Off));
    assert!(!check(11, TokenRotation::Strict));
    assert!(!check(11, TokenRotation::Grace));
    assert_eq!(parse_hash(&hash_text(&hash)), Some(hash));
    for wrong in ["", "00", &"g".repeat(64), &"0".repeat(63), &"é".repeat(32)] {
        assert_eq!(parse_hash(wrong), None);
    }
}

#[test]
fn replaced_tokens_end_at_once_or_after_their_grace() {
    let now = UnixMillis(1_000);
    for (rotation, is_good_at_once, is_good_later) in
        [(TokenRotation::Strict, false, false), (TokenRotation::Grace, true, false)]
    {
        let sessions = table(rotation);
        sessions.begin(who(1), &token("a"), now);
        let login = sessions.find(b"a", now).unwrap();
        let next = sessions.rotate(&login, &SystemEntropy, now).unwrap().expect("a token");
        assert_eq!(sessions.find(b"a", now).is_some(), is_good_at_once);
        assert_eq!(sessions.find(b"a", UnixMillis(61_000)).is_some(), is_good_later);
        assert!(sessions.find(next.expose(), UnixMillis(61_000)).is_some());
        // Who still had the old one when it was replaced got a good one too.
        let other = sessions.rotate(&login, &SystemEntropy, now).unwrap().expect("a token");
        assert!(sessions.find(other.expose(), now).is_some());
        sessions.end(login.id);
        assert!(sessions.find(next.expose(), now).is_none());
        assert!(sessions.rotate(&login, &SystemEntropy, now).unwrap().is_none());
    }
    let sessions = table(TokenRotation::Off);
    sessions.begin(who(1), &token("a"), now);
    let login = sessions.find(b"a", now).unwrap();
    assert!(sessions.rotate(&login, &SystemEntropy, now).unwrap().is_none());
}

#[test]
fn a_user_has_a_bounded_number_of_logins_and_a_login_of_tokens() {
    let sessions = table(TokenRotation::Off);
    for number in 0..64_u64 {
        let ended = sessions.begin(who(1), &token(&number.to_string()), UnixMillis(number));
        assert!(ended.is_empty());
    }
    sessions.begin(who(2), &token("other"), UnixMillis(0));
    let ended = sessions.begin(who(1), &token("last"), UnixMillis(100));
    assert_eq!(ended, [hash_of(b"0")]);
    let is_good = |text: &str| sessions.find(text.as_bytes(), UnixMillis(100)).is_some();
    assert!(!is_good("0") && is_good("1") && is_good("last") && is_good("other"));
    assert_eq!(sessions.end_of(PrincipalId([1; 16])).len(), 64);
    assert!(!is_good("1") && is_good("other"));
    assert_eq!(sessions.end_of(PrincipalId([200; 16])).len(), 1, "by the key of the application");

    let sessions = table(TokenRotation::Grace);
    let now = UnixMillis(0);
    sessions.begin(who(1), &token("a"), now);
    let first = sessions.find(b"a", now).unwrap();
    let mut tokens = Vec::new();
    for _ in 0..200 {
        tokens.push(sessions.rotate(&first, &SystemEntropy, now).unwrap().expect("a token"));
    }
    let newest = tokens.last().expect("there are some");
    assert!(sessions.find(newest.expose(), now).is_some());
}

#[test]
fn tokens_are_letters_and_digits_and_all_of_them_come() {
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let token = draw_token(&SystemEntropy).unwrap();
        assert_eq!(token.len(), 36);
        assert!(token.expose().iter().all(u8::is_ascii_alphanumeric));
        seen.extend(token.expose().iter().copied());
    }
    assert_eq!(seen.len(), 62);
    assert_eq!(draw(0, b"ab", &SystemEntropy).unwrap().len(), 0);
}
