//! `lethe-verify FILE --vkey V [--witness W]…`: checks one receipt and says what it proves.
//!
//! Exit status: 0 if everything holds, 1 if the receipt is refused, 2 if the command or the file
//! cannot be read.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::process::ExitCode;

use lethe_log::{RECEIPT_BYTES_MAX, VerifierKey};
use lethe_verify::verify_witnessed;

const USAGE: &str = "usage: lethe-verify FILE --vkey VKEY [--witness VKEY]...
  FILE       a receipt: .tlog-proof, its base64, or JSON; `-` reads standard input
  --vkey     the public key of the log, as in log.vkey
  --witness  the public key of a witness that must have cosigned; may be repeated
exit status: 0 everything holds, 1 refused, 2 usage or unreadable file
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = match Command::parse(&arguments) {
        Ok(command) => command,
        Err(problem) => return report(&format!("lethe-verify: {problem}\n{USAGE}"), UNREADABLE),
    };
    let bytes = match read(&command.file) {
        Ok(bytes) => bytes,
        Err(source) => {
            let text = format!("lethe-verify: cannot read `{}`: {source}\n", command.file);
            return report(&text, UNREADABLE);
        }
    };
    match verify_witnessed(&bytes, &command.log_key, &command.witnesses) {
        Ok(verified) => {
            let text = format!("The receipt holds.\n{}", verified.explain());
            match io::stdout().write_all(text.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                // Whoever asked did not get the answer, so it must not look like a yes.
                Err(_) => ExitCode::from(UNREADABLE),
            }
        }
        Err(refusal) => report(&format!("refused: {}\n", chain(&refusal)), REFUSED),
    }
}

struct Command {
    file: String,
    log_key: VerifierKey,
    witnesses: Vec<VerifierKey>,
}

impl Command {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let (mut file, mut log_key, mut witnesses) = (None, None, Vec::new());
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                option @ ("--vkey" | "--witness") => {
                    let text = arguments.next().ok_or(format!("{option} needs a key"))?;
                    let key = text.trim().parse().map_err(|why| format!("{option}: {why}"))?;
                    if option == "--witness" {
                        witnesses.push(key);
                    } else if log_key.replace(key).is_some() {
                        return Err("--vkey is given twice".to_owned());
                    }
                }
                option if option.starts_with("--") => {
                    return Err(format!("unknown option `{option}`"));
                }
                path => {
                    if file.replace(path.to_owned()).is_some() {
                        return Err("one file at a time".to_owned());
                    }
                }
            }
        }
        Ok(Self {
            file: file.ok_or("FILE is missing")?,
            log_key: log_key.ok_or("--vkey is missing")?,
            witnesses,
        })
    }
}

/// At most one byte more than a receipt can have; the verifier refuses that.
fn read(file: &str) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(RECEIPT_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    if file == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn report(text: &str, status: u8) -> ExitCode {
    // Nothing is left to do if standard error is closed; the status still says it.
    let _ = io::stderr().write_all(text.as_bytes());
    ExitCode::from(status)
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

const REFUSED: u8 = 1;
const UNREADABLE: u8 = 2;
