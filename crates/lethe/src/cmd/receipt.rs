//! `lethe receipt verify`: whether a receipt holds, decided offline by `lethe-verify`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lethe_log::{RECEIPT_BYTES_MAX, VerifierKey};
use lethe_verify::{Extent, Signer, Verified, VerifyError, verify_witnessed};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::files::{read_file, read_input};
use crate::output::Output;

/// What to do with receipts.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a receipt with the log's public key alone; exits with 0 only if everything holds
    Verify(Verify),
}

#[derive(Args, Debug)]
struct Verify {
    /// The receipt: a .tlog-proof file, its base64, or the JSON form; - reads standard input
    file: PathBuf,
    #[command(flatten)]
    log: Log,
    /// The public key of a witness that must have cosigned the checkpoint; may be repeated
    #[arg(long, value_name = "KEY")]
    witness: Vec<VerifierKey>,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Log {
    /// The log's public key, the line of log.vkey
    #[arg(long, value_name = "KEY")]
    vkey: Option<VerifierKey>,
    /// The server's data directory, whose log.vkey holds the log's public key
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let Command::Verify(wanted) = arguments.command;
    let log_key = match (wanted.log.vkey, wanted.log.data) {
        (Some(key), _) => key,
        (None, Some(directory)) => log_key_of(&directory)?,
        (None, None) => return Err(Failure::Usage("--vkey or --data is missing".to_owned())),
    };
    let bytes = read_input(&wanted.file, RECEIPT_BYTES_MAX)?;
    match verify_witnessed(bytes.expose(), &log_key, &wanted.witness) {
        Ok(verified) => holds(&verified, output),
        Err(refusal) => Err(does_not_hold(&refusal, output)),
    }
}

/// The public key in `directory/log.vkey`.
///
/// # Errors
/// [`Failure::Data`].
pub(crate) fn log_key_of(directory: &Path) -> Result<VerifierKey, Failure> {
    let path = directory.join("log.vkey");
    let bytes = read_file(&path, KEY_BYTES_MAX).map_err(Failure::Data)?;
    let text = core::str::from_utf8(bytes.expose()).unwrap_or_default();
    let key = text.trim_end().parse();
    key.map_err(|error| Failure::Data(format!("`{}`: {error}", path.display())))
}

fn holds(verified: &Verified, output: &mut Output) -> Result<(), Failure> {
    let explanation = verified.explain();
    if !output.is_json() {
        output.line("The receipt holds.")?;
        return output.bytes(explanation.as_bytes());
    }
    let statement = verified.receipt.statement();
    let statement: Option<Value> = statement.ok().and_then(|text| serde_json::from_str(&text).ok());
    let until = verified.recoverable_from_backups_until().map(|time| time.to_string());
    let witnesses = verified.cosigned_by.iter().map(|signature| signature.key.name().as_str());
    let principal = |signer: &Signer| signer.principal.to_string();
    let approvers = verified.approvals.iter().map(|approval| principal(&approval.signer));
    let requesters = verified.requests.iter().map(|request| principal(&request.signer));
    let version = match verified.extent {
        Extent::Key => None,
        Extent::Version(number) => Some(number),
    };
    output.json(&json!({
        "holds": true,
        "key": verified.key.to_string(),
        "version": version,
        "realm": verified.realm.to_string(),
        "irrecoverable_since": verified.erasure.irrecoverable_since.to_string(),
        "recoverable_from_backups_until": until,
        "cosigned_by": witnesses.collect::<Vec<_>>(),
        "approved_by": approvers.collect::<Vec<_>>(),
        "asked_by": requesters.collect::<Vec<_>>(),
        "statement": statement,
        "explanation": explanation.lines().collect::<Vec<_>>(),
    }))
}

fn does_not_hold(refusal: &VerifyError, output: &mut Output) -> Failure {
    let why = reasons(refusal);
    if output.is_json() {
        return match output.json(&json!({ "holds": false, "error": why })) {
            Ok(()) => Failure::Told,
            Err(failure) => failure,
        };
    }
    Failure::Failed(format!("the receipt is refused: {why}"))
}

/// The failed check and its causes.
pub(crate) fn reasons(error: &dyn core::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

const KEY_BYTES_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::fs;

    use base64::Engine as _;

    use super::*;
    use crate::local::Scratch;

    const KEY: &str = include_str!("../../../lethe-verify/testdata/log.vkey");
    const RECEIPT: &str = include_str!("../../../lethe-verify/testdata/receipt.tlog-proof");
    const APPROVED: &str = include_str!("../../../lethe-verify/testdata/approved.tlog-proof");
    const OTHER: &str = "witness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";

    fn verify(receipt: &[u8], log: Log, witness: Vec<VerifierKey>) -> Result<(), Failure> {
        let scratch = Scratch::new(None).unwrap();
        let file = scratch.path().join("receipt");
        fs::write(&file, receipt).unwrap();
        let command = Command::Verify(Verify { file, log, witness });
        run(Arguments { command }, &mut Output::new(false))
    }

    fn by_key(key: &str) -> Log {
        Log { vkey: Some(key.trim().parse().unwrap()), data: None }
    }

    #[track_caller]
    fn refused(result: Result<(), Failure>, exit_code: u8, expected: &str) {
        let failure = result.unwrap_err();
        let text = failure.text().unwrap();
        assert_eq!(failure.exit_code(), exit_code, "{text}");
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_receipt_that_holds_is_told_so() {
        verify(RECEIPT.as_bytes(), by_key(KEY), Vec::new()).unwrap();
        verify(APPROVED.as_bytes(), by_key(KEY), Vec::new()).unwrap();
        let base64 = base64::engine::general_purpose::STANDARD.encode(RECEIPT);
        verify(base64.as_bytes(), by_key(KEY), Vec::new()).unwrap();
        let scratch = Scratch::new(None).unwrap();
        fs::write(scratch.path().join("log.vkey"), KEY).unwrap();
        let data = Some(scratch.path().to_owned());
        verify(RECEIPT.as_bytes(), Log { vkey: None, data }, Vec::new()).unwrap();
    }

    #[test]
    fn everything_else_is_refused() {
        let altered = RECEIPT.replacen("index 3", "index 4", 1);
        refused(verify(altered.as_bytes(), by_key(KEY), Vec::new()), 1, "not in the log");
        refused(verify(b"", by_key(KEY), Vec::new()), 1, "cannot be read");
        refused(verify(RECEIPT.as_bytes(), by_key(OTHER), Vec::new()), 1, "not signed by");
        let large = vec![b'A'; RECEIPT_BYTES_MAX + 1];
        refused(verify(&large, by_key(KEY), Vec::new()), 1, "more than 1048576 bytes");
        let witness = vec![OTHER.parse().unwrap()];
        refused(verify(RECEIPT.as_bytes(), by_key(KEY), witness), 1, "has not cosigned");
    }

    #[test]
    fn a_directory_without_a_usable_key_is_a_fault_of_the_directory() {
        let check = |content: Option<&[u8]>, expected: &str| {
            let scratch = Scratch::new(None).unwrap();
            if let Some(content) = content {
                fs::write(scratch.path().join("log.vkey"), content).unwrap();
            }
            refused(log_key_of(scratch.path()).map(drop), 4, expected);
        };
        check(None, "cannot read");
        check(Some(b""), "log.vkey`: ");
        check(Some(b"\xff"), "log.vkey`: ");
        check(Some(b"a+b+c\n"), "log.vkey`: ");
        check(Some(&[b'a'; KEY_BYTES_MAX + 1]), "more than 4096 bytes");
        check(Some(format!("{KEY}\n{OTHER}").as_bytes()), "log.vkey`: ");
    }
}
