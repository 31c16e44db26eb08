//! Why a command did not do what was asked, in words, and its exit code.

use std::io;

use lethe_server::ServeError;
use serde_json::{Value, json};

use crate::output::printable;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The settings of the connection are wrong.
    Configuration(String),
    /// A data directory is not what it should be.
    Data(String),
    /// Anything else.
    Failed(String),
    /// The result could not be written.
    Output(io::Error),
    /// The server said no.
    Refused(Box<Problem>),
    /// The server of this command did not start or not end well.
    Serve(ServeError),
    /// The command line is wrong.
    Usage(String),
    /// What was checked does not hold, and the output has said so.
    Told,
}

impl Failure {
    /// See the help text of the command line.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) | Self::Output(_) | Self::Refused(_) | Self::Told => 1,
            Self::Usage(_) => 2,
            Self::Configuration(_) => 3,
            Self::Data(_) => 4,
            Self::Serve(error) => error.exit_code(),
        }
    }

    /// Says on standard error what went wrong.
    pub(crate) fn report(&self, as_json: bool) {
        let Some(text) = self.text() else { return };
        if as_json {
            eprintln!("{}", self.json(&text));
            return;
        }
        eprintln!("lethe: {text}");
        if let Some(remedy) = self.remedy() {
            eprintln!("       To go on: {remedy}");
        }
    }

    /// What would let the same request pass, if the server says so; on one line.
    fn remedy(&self) -> Option<String> {
        match self {
            Self::Refused(problem) => problem.member("remedy").map(printable),
            Self::Configuration(_)
            | Self::Data(_)
            | Self::Failed(_)
            | Self::Output(_)
            | Self::Serve(_)
            | Self::Told
            | Self::Usage(_) => None,
        }
    }

    /// What went wrong, on one line; `None` if there is nothing to say.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Configuration(text)
            | Self::Data(text)
            | Self::Failed(text)
            | Self::Usage(text) => Some(printable(text)),
            Self::Refused(problem) => Some(printable(&problem.text())),
            Self::Serve(error) => Some(printable(&error.chain())),
            // Whoever reads our output has gone, as `head` does: not worth a word.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Self::Output(error) => Some(format!("cannot write the output: {error}")),
            Self::Told => None,
        }
    }

    fn json(&self, text: &str) -> Value {
        let problem = match self {
            Self::Refused(problem) => Some(&problem.body),
            Self::Configuration(_)
            | Self::Data(_)
            | Self::Failed(_)
            | Self::Output(_)
            | Self::Serve(_)
            | Self::Told
            | Self::Usage(_) => None,
        };
        json!({ "error": text, "exit_code": self.exit_code(), "problem": problem })
    }
}

/// A refusal of the server (RFC 9457).
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// The status of the answer.
    pub(crate) status: u16,
    /// The problem document; `null` if the answer held none.
    pub(crate) body: Value,
}

impl Problem {
    /// The refusal in an answer that is not a success.
    pub(crate) fn of(status: u16, body: &[u8]) -> Self {
        let body = serde_json::from_slice(body).ok().filter(Value::is_object);
        Self { status, body: body.unwrap_or(Value::Null) }
    }

    /// The stable name of the kind of problem, as in `object-destroyed`.
    pub(crate) fn code(&self) -> Option<&str> {
        self.member("type")?.strip_prefix("/problems/")
    }

    /// The server's explanation.
    pub(crate) fn detail(&self) -> Option<&str> {
        // The door for API keys says `message`.
        self.member("detail").or_else(|| self.member("title")).or_else(|| self.member("message"))
    }

    fn member(&self, name: &str) -> Option<&str> {
        self.body.get(name)?.as_str()
    }

    fn text(&self) -> String {
        let Self { status, .. } = self;
        let Some(detail) = self.detail() else {
            return format!("the server answered {status} without an explanation");
        };
        let mut text = match self.code() {
            Some(code) => format!("refused: {detail} ({status} {code}"),
            None => format!("refused: {detail} ({status}"),
        };
        if let Some(request) = self.member("request_id") {
            text.push_str("; request ");
            text.push_str(request);
        }
        text.push(')');
        if *status == 401 {
            text.push_str("; is LETHE_TOKEN the right one for this server?");
        }
        text
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, expected: &str) {
        let failure = Failure::from(Problem::of(status, body.as_bytes()));
        assert_eq!(failure.text().as_deref(), Some(expected));
        assert_eq!(failure.exit_code(), 1);
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_server() {
        check(
            410,
            r#"{"type":"/problems/object-destroyed","title":"Gone","detail":"key 1 is destroyed",
                "request_id":"ab"}"#,
            "refused: key 1 is destroyed (410 object-destroyed; request ab)",
        );
        check(
            401,
            r#"{"type":"/problems/a","title":"No"}"#,
            "refused: No (401 a); is LETHE_TOKEN the right one for this server?",
        );
        check(400, r#"{"detail":"why"}"#, "refused: why (400)");
    }

    #[test]
    fn an_answer_without_a_problem_is_told_by_its_status() {
        check(502, "<html>", "the server answered 502 without an explanation");
        check(500, "[]", "the server answered 500 without an explanation");
        check(500, r#"{"detail":7}"#, "the server answered 500 without an explanation");
        check(500, "", "the server answered 500 without an explanation");
    }

    #[test]
    fn a_refusal_by_a_rule_says_what_would_satisfy_it() {
        let text = br#"{"detail":"key 1 is held","rule":"held","remedy":"lift every\nhold"}"#;
        let failure = Failure::from(Problem::of(409, text));
        assert_eq!(failure.remedy().as_deref(), Some(r"lift every\nhold"));
        assert_eq!(Failure::from(Problem::of(409, b"{}")).remedy(), None);
        assert_eq!(Failure::Failed("x".to_owned()).remedy(), None);
    }

    #[test]
    fn a_server_cannot_draw_on_the_terminal() {
        check(400, r#"{"detail":"a\u001b[2Jb\nc"}"#, r"refused: a\u{1b}[2Jb\nc (400)");
    }

    #[test]
    fn every_failure_has_its_exit_code_and_its_json() {
        #[track_caller]
        fn check(failure: &Failure, exit_code: u8, text: Option<&str>) {
            assert_eq!((failure.exit_code(), failure.text().as_deref()), (exit_code, text));
        }
        check(&Failure::Usage("a".to_owned()), 2, Some("a"));
        check(&Failure::Configuration("a".to_owned()), 3, Some("a"));
        check(&Failure::Data("a".to_owned()), 4, Some("a"));
        check(&Failure::Failed("a".to_owned()), 1, Some("a"));
        check(&Failure::Told, 1, None);
        check(&Failure::Output(io::ErrorKind::BrokenPipe.into()), 1, None);
        let full = Failure::Output(io::ErrorKind::StorageFull.into());
        check(&full, 1, Some("cannot write the output: no storage space"));

        let refused = Failure::from(Problem::of(400, br#"{"detail":"why"}"#));
        let expected = json!({
            "error": "x", "exit_code": 1, "problem": { "detail": "why" },
        });
        assert_eq!(refused.json("x"), expected);
        assert_eq!(Failure::Told.json("x")["problem"], Value::Null);
    }
}
