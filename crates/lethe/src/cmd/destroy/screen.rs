//! How far it came: a bar on a terminal, now and then a line elsewhere. On standard error, so that
//! standard output holds the result and nothing else.

use core::time::Duration;
use std::io::{self, Write as _};

use crate::console::columns;
use crate::local::monotonic;
use crate::output::thousands;

/// Where there is no terminal, a line is written no more often.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Columns of the bar, and the fewest that are worth drawing.
const BAR_COLUMNS_MAX: usize = 30;
const BAR_COLUMNS_MIN: usize = 5;

/// Where progress is drawn.
#[derive(Debug)]
pub(super) struct Screen {
    title: &'static str,
    is_silent: bool,
    started: Duration,
    /// What was done already when it was first looked at.
    first: Option<u64>,
    last_line: Option<Duration>,
    is_drawn: bool,
}

impl Screen {
    /// A screen; one that is silent shows nothing.
    pub(super) fn new(title: &'static str, is_silent: bool) -> Self {
        let started = monotonic();
        Self { title, is_silent, started, first: None, last_line: None, is_drawn: false }
    }

    /// Shows that `done` of `total` are done.
    pub(super) fn draw(&mut self, done: u64, total: u64) {
        if self.is_silent {
            return;
        }
        let first = *self.first.get_or_insert(done);
        let elapsed = monotonic().saturating_sub(self.started);
        let pace = Pace { since_first: done.saturating_sub(first), elapsed };
        match columns() {
            Some(columns) => {
                // The last column stays free: some terminals wrap when it is written.
                let line = bar(self.title, done, total, pace, columns.saturating_sub(1));
                put(&format!("\r\u{1b}[2K{line}"));
                self.is_drawn = true;
            }
            None => {
                let now = monotonic();
                let is_due = self.last_line.is_none_or(|last| now - last >= LINE_EVERY);
                if is_due {
                    self.last_line = Some(now);
                    put(&format!("{}\n", text(self.title, done, total, pace)));
                }
            }
        }
    }

    /// Says something in words; the bar comes back with the next draw.
    pub(super) fn say(&mut self, text: &str) {
        if !self.is_silent {
            self.clear();
            put(&format!("lethe: {text}\n"));
        }
    }

    /// Takes the bar away.
    pub(super) fn clear(&mut self) {
        if core::mem::take(&mut self.is_drawn) {
            put("\r\u{1b}[2K");
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
    }
}

fn put(text: &str) {
    // Progress that cannot be shown is not worth failing for.
    let mut screen = io::stderr().lock();
    let _ = screen.write_all(text.as_bytes()).and_then(|()| screen.flush());
}

/// How fast it went since it was first looked at.
#[derive(Clone, Copy, Debug)]
struct Pace {
    since_first: u64,
    elapsed: Duration,
}

impl Pace {
    /// In one second; nothing while it is too early to say.
    fn per_second(self) -> Option<u64> {
        let milliseconds = u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX);
        let rate = self.since_first.saturating_mul(1_000) / milliseconds.max(1);
        (milliseconds >= 500 && rate > 0).then_some(rate)
    }
}

/// As in `1,024 of 2,000  8,453/s  1 s left`.
fn counts(done: u64, total: u64, pace: Pace) -> String {
    let mut text = format!("{} of {}", thousands(done), thousands(total));
    if let Some(rate) = pace.per_second() {
        let left = total.saturating_sub(done).div_ceil(rate);
        text.push_str(&format!("  {}/s", thousands(rate)));
        if left > 0 {
            text.push_str(&format!("  {} left", left_text(left)));
        }
    }
    text
}

fn left_text(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3_600)),
    }
}

fn percent(done: u64, total: u64) -> u64 {
    done.saturating_mul(100).checked_div(total).unwrap_or(100).min(100)
}

fn text(title: &str, done: u64, total: u64, pace: Pace) -> String {
    format!("{title}: {} % ({})", percent(done, total), counts(done, total, pace))
}

fn bar(title: &str, done: u64, total: u64, pace: Pace, columns: usize) -> String {
    let percent = percent(done, total);
    let after = format!("{percent:>3} %  {}", counts(done, total, pace));
    let used = title.chars().count() + after.chars().count() + 4;
    let width = columns.saturating_sub(used).min(BAR_COLUMNS_MAX);
    let line = if width < BAR_COLUMNS_MIN {
        format!("{title}  {after}")
    } else {
        let full = usize::try_from(percent).unwrap_or(0) * width / 100;
        format!("{title}  {}{}  {after}", "█".repeat(full), "░".repeat(width - full))
    };
    line.chars().take(columns).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(since_first: u64, seconds: u64) -> Pace {
        Pace { since_first, elapsed: Duration::from_secs(seconds) }
    }

    #[test]
    fn a_bar_fits_its_line() {
        #[track_caller]
        fn check(columns: usize, expected: &str) {
            let line = bar("destroying", 1_000, 2_000, pace(500, 1), columns);
            assert_eq!(line, expected);
            assert!(line.chars().count() <= columns);
        }
        let half = "█".repeat(15) + &"░".repeat(15);
        check(100, &format!("destroying  {half}   50 %  1,000 of 2,000  500/s  2 s left"));
        check(60, "destroying  ████░░░░   50 %  1,000 of 2,000  500/s  2 s left");
        check(50, "destroying   50 %  1,000 of 2,000  500/s  2 s left");
        check(20, "destroying   50 %  1");
        check(0, "");
    }

    #[test]
    fn a_line_tells_what_is_known() {
        #[track_caller]
        fn check(done: u64, total: u64, pace: Pace, expected: &str) {
            assert_eq!(text("destroying", done, total, pace), expected);
        }
        check(0, 10, pace(0, 0), "destroying: 0 % (0 of 10)");
        check(0, 0, pace(0, 10), "destroying: 100 % (0 of 0)");
        check(10, 10, pace(10, 1), "destroying: 100 % (10 of 10  10/s)");
        check(1, 1_000, pace(1, 1), "destroying: 0 % (1 of 1,000  1/s  17 min left)");
        check(1, 100_000, pace(1, 1), "destroying: 0 % (1 of 100,000  1/s  28 h left)");
    }

    #[test]
    fn a_silent_screen_shows_nothing() {
        let mut screen = Screen::new("x", true);
        screen.draw(1, 2);
        screen.say("words");
        assert!(!screen.is_drawn && screen.first.is_none());
    }
}
