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

/// How far long work has got, on a terminal at standard error; silent without one.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    unit: &'static str,
    /// Drawn again when so much more is done.
    step: u64,
    next: u64,
    is_drawn: bool,
    is_shown: bool,
}

impl Progress {
    /// Counts mebibytes.
    pub(crate) fn bytes(what: &'static str) -> Self {
        Self::new(what, "MiB", 1_048_576)
    }

    /// Counts rows by the thousand.
    pub(crate) fn rows(what: &'static str) -> Self {
        Self::new(what, "thousand rows", 1_000)
    }

    fn new(what: &'static str, unit: &'static str, step: u64) -> Self {
        let is_shown = io::stderr().is_terminal();
        Self { what, unit, step, next: step, is_drawn: false, is_shown }
    }

    /// So much is done.
    pub(crate) fn at(&mut self, done: u64) {
        if !self.is_shown || done < self.next {
            return;
        }
        self.next = done.saturating_add(self.step);
        self.is_drawn = true;
        // Progress that cannot be shown is not worth failing for.
        let _shown = write!(io::stderr(), "\r{} {} {}", self.what, done / self.step, self.unit);
    }

    /// The work is through.
    pub(crate) fn end(&self) {
        if self.is_drawn {
            let _shown = writeln!(io::stderr());
        }
    }
}
