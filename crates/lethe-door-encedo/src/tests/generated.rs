//! Generated input to what reads tokens, messages and scopes: nothing panics, and nothing opens
//! that was not made so.

use lethe_types::SecretVec;
use proptest::prelude::*;
use serde_json::json;

use super::support::signed;
use crate::b64;
use crate::ejwt::Ejwt;
use crate::kid::Kid;
use crate::scope::Scope;

const HEADER: &str = r#"{"ecdh":"x25519","alg":"HS256"}"#;
const KEY: [u8; 32] = [7; 32];

fn is_good(text: &str) -> bool {
    let key = SecretVec::copy_from(&KEY);
    Ejwt::parse(text).is_some_and(|message| message.is_keyed_by(&key))
}

proptest! {
    #[test]
    fn any_text_is_read_without_harm(text in ".{0,300}") {
        prop_assert!(!is_good(&text));
        let _ = (Scope::parse(&text), Kid::parse(&text), b64::decode(&text));
    }

    #[test]
    fn any_parts_are_read_without_harm(
        header in ".{0,60}",
        claims in ".{0,120}",
        tag in ".{0,60}",
    ) {
        let part = |text: &str| b64::encode_url(text.as_bytes());
        let texts = [
            [part(&header), part(&claims), part(&tag)].join("."),
            [part(HEADER), part(&claims), tag].join("."),
        ];
        for text in texts {
            let is_good = is_good(&text);
            prop_assert!(!is_good);
        }
    }

    #[test]
    fn an_altered_message_is_another_one(
        claim in "[ -~]{0,40}",
        place in any::<prop::sample::Index>(),
        character in proptest::char::range('!', '~'),
    ) {
        let good = signed(HEADER, &json!({ "jti": claim }), &KEY);
        prop_assert!(is_good(&good));
        let mut altered: Vec<char> = good.chars().collect();
        let place = place.index(altered.len());
        altered[place] = character;
        let altered: String = altered.into_iter().collect();
        prop_assert_eq!(is_good(&altered), altered == good);
        prop_assert!(!is_good(&good[..place]));
    }

    #[test]
    fn a_scope_opens_what_it_begins_with_at_a_boundary(
        scope in "[a-z:#]{1,40}",
        required in "[a-z:]{1,20}",
    ) {
        let scope = Scope::parse(&scope).expect("a scope");
        if scope.opens(&required) {
            prop_assert!(scope.as_str().starts_with(&required));
        }
        prop_assert!(scope.opens(scope.as_str()));
        let more = Scope::bounded(&format!("{}x", scope.as_str()), 200).expect("a scope");
        prop_assert!(!more.opens(scope.as_str()));
    }

    #[test]
    fn bytes_come_back_in_either_alphabet(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        prop_assert_eq!(b64::decode(&b64::encode(&bytes)), Some(bytes.clone()));
        prop_assert_eq!(b64::decode(&b64::encode_url(&bytes)), Some(bytes.clone()));
        prop_assert_eq!(b64::decode_url(&b64::encode_url(&bytes)), Some(bytes));
    }
}
