//! The terminal, if there is one: questions, and how wide a line may be.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use crate::failure::Failure;

/// Longest answer to a question, in bytes.
const ANSWER_BYTES_MAX: u64 = 1_024;
/// Columns of a terminal that does not say how many it has.
const COLUMNS_DEFAULT: usize = 80;

/// The answer to `question`, which must be printable already, without the end of its line.
///
/// # Errors
/// [`Failure::Usage`] if there is nobody to ask; the command then needs `--yes`.
pub(crate) fn ask(question: &str) -> Result<String, Failure> {
    let mut input = io::stdin().lock();
    if !input.is_terminal() {
        return Err(Failure::Usage(
            "there is no terminal to ask on, and destroying is for good: say --yes".to_owned(),
        ));
    }
    let mut screen = io::stderr().lock();
    let failed = |error: io::Error| Failure::Failed(format!("cannot ask: {error}"));
    write!(screen, "{question}").and_then(|()| screen.flush()).map_err(failed)?;
    let mut answer = String::new();
    input.by_ref().take(ANSWER_BYTES_MAX).read_line(&mut answer).map_err(failed)?;
    answer.truncate(answer.trim_end_matches(['\r', '\n']).len());
    Ok(answer)
}

/// Whether there is somebody to ask.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// The columns of the terminal at standard error; `None` if there is none.
pub(crate) fn columns() -> Option<usize> {
    let screen = io::stderr();
    if !screen.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&screen).ok();
    let columns = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
    Some(columns.unwrap_or(COLUMNS_DEFAULT))
}
