//! Small things that clients ask for.

use std::sync::Arc;

use serde_json::json;

use super::auth::VERSION;
use crate::body::decimal;
use crate::call::{Call, Outcome, Work};
use crate::envelope::{Answer, Field};
use crate::error::Failure;
use crate::sessions::draw;
use crate::state::State;

const DIGITS: &[u8] = b"0123456789";
const HEX: &[u8] = b"0123456789abcdef";
/// Letters, digits and signs that JSON does not escape.
const PASSPHRASE: &[u8] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+,-.:;<=>?@[]^_{|}~";

pub(crate) fn version(_: &Arc<State>, _: &Arc<Call>) -> Work {
    Ok(Answer::ok().info("version", format!("{VERSION}-build0001"))).into()
}

pub(crate) fn status_values(_: &Arc<State>, _: &Arc<Call>) -> Work {
    let bits = json!({
        "userbits": {
            "Read": 0, "Write": 1, "Admin": 2, "Audit": 3, "Escrow": 4, "Changepass": 6,
            "Active": 7, "UG-list": 8,
        },
        "vaultbits": { "Read": 0, "Write": 1, "Admin": 2 },
    });
    Ok(Answer::ok().info("statusbits", bits)).into()
}

pub(crate) fn policies(_: &Arc<State>, _: &Arc<Call>) -> Work {
    let strict = |length: u32| {
        json!({
            "min_length": length, "min_lowercase_chars": 1, "min_uppercase_chars": 1,
            "min_digits": 1, "min_nonalnum_chars": 1,
        })
    };
    let policies = json!([
        { "id": 7, "name": "login/14", "rules": strict(14) },
        { "id": 8, "name": "login/12", "rules": strict(12) },
        { "id": 16, "name": "none", "rules": {} },
    ]);
    Ok(Answer::ok().info("policies", policies)).into()
}

pub(crate) fn generate(state: &Arc<State>, call: &Arc<Call>) -> Work {
    generate_now(state, call).into()
}

fn generate_now(state: &State, call: &Call) -> Outcome {
    let kind = call.query("type").unwrap_or("secure");
    // Each digit of the last kind is half a byte.
    let (alphabet, default, most, of_each) = match kind {
        "secure" => (PASSPHRASE, 40, 1_024, 1),
        "pin" => (DIGITS, 4, 100, 1),
        "bytes" => (HEX, 32, 1_024, 2),
        _ => return Err(Failure::parameter("type")),
    };
    let length = match call.query("length") {
        None => default,
        Some(text) => {
            let length = decimal(text).filter(|length| (1..=most).contains(length));
            length.ok_or_else(|| Failure::parameter("length"))?
        }
    };
    let characters = usize::try_from(length * of_each).map_err(|_| Failure::internal())?;
    let made = draw(characters, alphabet, &*state.entropy).map_err(|_| Failure::unavailable())?;
    Ok(Answer::ok()
        .info("length", length)
        .info("passphrase", Field::Secret(made))
        .info("type", kind))
}
