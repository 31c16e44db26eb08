//! The screen of the demo: numbered steps, each with the time it took, no line too wide.

use core::time::Duration;
use std::io::{self, Write as _};

use crate::failure::Failure;
use crate::output::printable;

/// Widest line, in characters: an ordinary terminal shows it without wrapping.
pub(super) const COLUMNS_MAX: usize = 98;

/// Where the text of a step begins.
const INDENT: &str = "   ";

/// The screen.
#[derive(Debug)]
pub(super) struct Screen {
    clock: fn() -> Duration,
    started: Duration,
    step: u32,
}

impl Screen {
    /// An empty screen; `clock` never goes back.
    pub(super) fn new(clock: fn() -> Duration) -> Self {
        Self { clock, started: clock(), step: 0 }
    }

    /// The step that is shown now.
    pub(super) fn step(&self) -> u32 {
        self.step
    }

    /// Time since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        (self.clock)().saturating_sub(self.started)
    }

    /// Time of the clock, to measure a part.
    pub(super) fn now(&self) -> Duration {
        (self.clock)()
    }

    /// Begins the next step.
    pub(super) fn begin(&mut self, title: &str) -> Result<(), Failure> {
        self.step += 1;
        write(&format!("\n{}. {title}", self.step))
    }

    /// A sentence at the left edge, wrapped where needed.
    pub(super) fn say(&self, text: &str) -> Result<(), Failure> {
        wrap(text, COLUMNS_MAX).iter().try_for_each(|line| write(line))
    }

    /// A sentence of the step, wrapped where needed.
    pub(super) fn tell(&self, text: &str) -> Result<(), Failure> {
        let lines = wrap(text, COLUMNS_MAX - INDENT.len());
        lines.iter().try_for_each(|line| write(&format!("{INDENT}{line}")))
    }
}

fn write(line: &str) -> Result<(), Failure> {
    // At once: the newcomer sees each step when it happens.
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(Failure::Output)
}

/// `text` in lines of at most `columns` characters, broken at spaces; a longer word is cut.
/// Lines after the first are indented as the first one, and two more.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let text = printable(text);
    let indent = text.chars().take_while(|character| *character == ' ').count();
    let mut lines = Vec::new();
    let mut line = " ".repeat(indent);
    let mut used = indent;
    let mut is_empty = true;
    // A run of spaces is kept where no line ends: columns are made of them.
    for piece in text.trim_start().split_inclusive(' ') {
        let word = piece.trim_end_matches(' ').chars().count();
        if !is_empty && used + word > columns {
            lines.push(line.trim_end().to_owned());
            line = " ".repeat(indent + 2);
            used = indent + 2;
        }
        for character in piece.chars() {
            if used >= columns && character != ' ' {
                lines.push(line.trim_end().to_owned());
                line = " ".repeat(indent + 2);
                used = indent + 2;
            }
            line.push(character);
            used += 1;
        }
        is_empty = false;
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// The first digits of an id, for a screen that also must be read.
pub(super) fn short(id: &str) -> String {
    match id.get(..8) {
        Some(start) => format!("{start}…"),
        None => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_at_spaces() {
        #[track_caller]
        fn check(text: &str, columns: usize, expected: &[&str]) {
            assert_eq!(wrap(text, columns), expected);
        }
        check("", 10, &[""]);
        check("a b c", 10, &["a b c"]);
        check("aaaa bbbb", 9, &["aaaa bbbb"]);
        check("aaaa bbbbb", 9, &["aaaa", "  bbbbb"]);
        check("  aa   bb cc", 9, &["  aa   bb", "    cc"]);
        check("aaaaaaaaaaaa", 5, &["aaaaa", "  aaa", "  aaa", "  a"]);
        check("a\u{1b}[2J", 20, &[r"a\u{1b}[2J"]);
        check("ää öö üü", 5, &["ää öö", "  üü"]);
    }

    #[test]
    fn steps_count_and_time_runs() {
        let mut screen = Screen::new(|| Duration::from_secs(7));
        assert_eq!(screen.step(), 0);
        screen.begin("first").unwrap();
        assert_eq!((screen.step(), screen.elapsed()), (1, Duration::ZERO));
        assert_eq!(short("0123456789abcdef"), "01234567…");
        assert_eq!(short("0123"), "0123");
    }
}
