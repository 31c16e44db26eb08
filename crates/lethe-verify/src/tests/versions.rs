//! Receipts of one version: what is proven is its end, and nothing about its key.

use lethe_log::{Actor, EntryType, VersionDetail};
use lethe_types::{PrincipalId, UnixMillis};

use super::fixture::{Parts, approved, issue, log_key, parts, signer};
use crate::{Extent, VerifyError, verify};

fn of_version() -> Parts {
    let mut parts = parts();
    parts.entry.entry_type = EntryType::KeyVersionDestroyed;
    parts.detail.versions =
        vec![VersionDetail { created: UnixMillis(1_780_000_000_000), version: 3 }];
    parts
}

#[test]
fn the_receipt_of_a_version_holds_and_says_that_the_key_goes_on() {
    let receipt = issue(&of_version(), &signer(1));
    for form in [receipt.to_proof(), receipt.to_header(), receipt.to_json()] {
        let verified = verify(form.unwrap().as_bytes(), &log_key()).unwrap();
        assert_eq!(verified.extent, Extent::Version(3));
        let text = verified.explain();
        assert!(text.starts_with("Version 3 of key c3c3"), "{text}");
        assert!(text.contains("the key went on with its others"), "{text}");
        assert!(text.contains("Nobody can recover it since"), "{text}");
    }
    let whole = issue(&parts(), &signer(1));
    let verified = verify(whole.to_proof().unwrap().as_bytes(), &log_key()).unwrap();
    assert_eq!(verified.extent, Extent::Key);
    // The same particulars under the other type are the end of a whole key: the type decides.
    let json = receipt.to_json().unwrap();
    let lied = json.replacen("key.version_destroyed", "key.destroyed", 1);
    assert!(verify(lied.as_bytes(), &log_key()).is_err(), "the statement is checked");
}

#[test]
fn particulars_that_no_version_has_are_refused() {
    type Change = fn(&mut Parts);
    let changes: &[Change] = &[
        |parts| parts.detail.versions.clear(),
        |parts| {
            let other = VersionDetail { created: UnixMillis(1_780_000_000_001), version: 4 };
            parts.detail.versions.push(other);
        },
        |parts| parts.detail.evidence = approved().detail.evidence,
        |parts| parts.detail.revoked.push(PrincipalId([1; 16])),
        |parts| {
            let by = Actor { id: PrincipalId([1; 16]), name: "Eve".to_owned() };
            parts.detail.scheduled_by = Some(by);
        },
    ];
    for change in changes {
        let mut parts = of_version();
        change(&mut parts);
        let receipt = issue(&parts, &signer(1)).to_proof().unwrap();
        let refused = verify(receipt.as_bytes(), &log_key());
        assert_eq!(refused.unwrap_err(), VerifyError::VersionDetail);
    }
}
