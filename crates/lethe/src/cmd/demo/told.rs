//! What the demo and its attacks say of servers and of steps that go otherwise than they should.

use std::borrow::Cow;

use lethe_types::SecretVec;
use serde::Deserialize;

use crate::client::{Client, Member, object};
use crate::failure::Failure;
use crate::files::from_base64;
use crate::local::{ChildProcess, Ended, NotReady};

#[derive(Deserialize)]
struct Decrypted<'a> {
    #[serde(borrow)]
    plaintext: Cow<'a, str>,
}

/// What `key` makes of a ciphertext in base64.
pub(super) fn decrypt(client: &Client, key: &str, ciphertext: &str) -> Result<String, Failure> {
    let ciphertext = from_base64("the ciphertext", ciphertext.as_bytes())?;
    let body = object(&[("ciphertext", Member::Bytes(ciphertext.expose()))]);
    let answer = client.post(&format!("/v1/keys/{key}/decrypt"), &body)?;
    let decrypted: Decrypted<'_> = answer.parse()?;
    let text: SecretVec = from_base64("the plaintext", decrypted.plaintext.as_bytes())?;
    Ok(String::from_utf8_lossy(text.expose()).into_owned())
}

/// Ends a process, which must end well.
pub(super) fn end(process: ChildProcess, what: &str) -> Result<(), Failure> {
    match process.terminate() {
        Ended::Well => Ok(()),
        how @ (Ended::Badly(_) | Ended::Late) => {
            Err(unexpected(&format!("{what} did not end well: {how:?}")))
        }
    }
}

/// A server that had to start and did not.
pub(super) fn not_ready(what: &str, refused: &NotReady) -> Failure {
    unexpected(&format!("{what} did not start: {}", last_line(&refused.said)))
}

/// What a process said last, without its own name before it.
pub(super) fn last_line(said: &str) -> &str {
    let line = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
    line.strip_prefix("lethe: ").unwrap_or(line)
}

/// A step that must be so.
pub(super) fn expect(what: &str, holds: bool) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(unexpected(&format!("not so: {what}"))) }
}

/// A step that went otherwise than it should.
pub(super) fn unexpected(what: &str) -> Failure {
    Failure::Failed(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_reason() {
        #[track_caller]
        fn check(said: &str, expected: &str) {
            assert_eq!(last_line(said), expected);
        }
        check("", "nothing");
        check("\n \n", "nothing");
        check("lethe: no slot\n", "no slot");
        check("warning\nlethe: no slot\n\n", "no slot");
        check("no name", "no name");
    }

    #[test]
    fn a_step_that_goes_otherwise_is_a_failure() {
        assert!(expect("a", true).is_ok());
        let failure = expect("b", false).unwrap_err();
        assert_eq!((failure.exit_code(), failure.text().as_deref()), (1, Some("not so: b")));
        let refused = NotReady { exit_code: Some(4), said: "lethe: why\n".to_owned() };
        let text = not_ready("it", &refused).text().unwrap();
        assert_eq!(text, "it did not start: why");
    }
}
