//! A receipt that holds in its three forms, and everything that must not.

mod altered;
mod evidence;
mod fixture;
mod forged;
mod ordered;
mod versions;

use fixture::{approved, issue, log_key, receipt, signer};

/// The files that `tests/cli.rs` uses; they also show if the format of receipts ever changes.
#[test]
fn the_receipts_in_testdata_are_those_of_these_tests() {
    assert_eq!(include_str!("../testdata/log.vkey"), format!("{}\n", log_key()));
    assert_eq!(include_str!("../testdata/receipt.tlog-proof"), receipt().to_proof().unwrap());
    let approved = issue(&approved(), &signer(1)).to_proof().unwrap();
    assert_eq!(include_str!("../testdata/approved.tlog-proof"), approved);
}
