//! A receipt that holds in its three forms, and everything that must not.

mod altered;
mod fixture;
mod forged;

use fixture::{log_key, receipt};

/// The files that `tests/cli.rs` uses; they also show if the format of receipts ever changes.
#[test]
fn the_receipt_in_testdata_is_the_one_of_these_tests() {
    assert_eq!(include_str!("../testdata/log.vkey"), format!("{}\n", log_key()));
    assert_eq!(include_str!("../testdata/receipt.tlog-proof"), receipt().to_proof().unwrap());
}
