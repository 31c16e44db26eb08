use super::{TemporaryDirectory, whole_message};
use crate::seal::{
    CREDENTIALS_VARIABLE, NEW_PASSPHRASE_VARIABLE, PASSPHRASE_VARIABLE, PIN_VARIABLE,
    PassphrasePurpose, PassphraseSource, Surroundings, read_passphrase, read_seal_credential,
};
use PassphrasePurpose::{Create, Open};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;

/// An environment and a terminal for tests.
#[derive(Default)]
struct Scripted {
    /// The variable that is asked for, if it is not that of a passphrase.
    name: Option<&'static str>,
    variable: Option<OsString>,
    answers: VecDeque<&'static str>,
    questions: Vec<String>,
}

impl Surroundings for Scripted {
    fn variable(&self, name: &str) -> Option<OsString> {
        assert_eq!(name, self.name.unwrap_or(PASSPHRASE_VARIABLE));
        self.variable.clone()
    }

    fn ask(&mut self, question: &str) -> io::Result<String> {
        self.questions.push(question.to_owned());
        let no_terminal = || io::Error::new(io::ErrorKind::NotFound, "no terminal");
        self.answers.pop_front().map(str::to_owned).ok_or_else(no_terminal)
    }
}

#[track_caller]
fn check(
    source: &PassphraseSource,
    purpose: PassphrasePurpose,
    surroundings: &mut Scripted,
    expected: Result<&[u8], &str>,
) {
    match (read_passphrase(source, purpose, surroundings), expected) {
        (Ok(passphrase), Ok(expected)) => assert_eq!(passphrase.expose(), expected),
        (Err(error), Err(expected)) => {
            let message = whole_message(&error);
            assert!(message.contains(expected), "{message} should say {expected:?}");
        }
        (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
    }
}

#[test]
fn from_the_environment() {
    let check = |value: Option<&[u8]>, purpose, expected: Result<&[u8], &str>| {
        let variable = value.map(|bytes| OsString::from_vec(bytes.to_vec()));
        let mut surroundings = Scripted { variable, ..Scripted::default() };
        check(&PassphraseSource::Environment, purpose, &mut surroundings, expected);
        assert!(surroundings.questions.is_empty());
    };
    let long = [b'x'; 1_024];
    let too_long = [b'x'; 1_025];
    check(Some(b"correct horse"), Create, Ok(b"correct horse"));
    check(Some(b"twelve bytes"), Create, Ok(b"twelve bytes"));
    check(Some(&long), Create, Ok(&long));
    check(Some(b"not UTF-8 \xff\xfe\xfd"), Create, Ok(b"not UTF-8 \xff\xfe\xfd"));
    check(Some(b"its newline\n"), Create, Ok(b"its newline\n"));
    check(Some(b"short"), Open, Ok(b"short"));
    check(None, Create, Err("`LETHE_PASSPHRASE` is not set"));
    check(None, Open, Err("`LETHE_PASSPHRASE` is not set"));
    check(Some(b""), Create, Err("is empty"));
    check(Some(b""), Open, Err("is empty"));
    check(Some(b"eleven byte"), Create, Err("at least 12 bytes"));
    check(Some(&too_long), Create, Err("more than 1024 bytes"));
    check(Some(&too_long), Open, Err("more than 1024 bytes"));
}

#[test]
fn from_a_file() {
    let directory = TemporaryDirectory::new();
    let check = |content: &str, mode, purpose, expected: Result<&[u8], &str>| {
        let path = directory.file("passphrase", content, mode);
        check(&PassphraseSource::File(path), purpose, &mut Scripted::default(), expected);
    };
    let long = "x".repeat(1_024);
    check("correct horse", 0o600, Create, Ok(b"correct horse"));
    check("correct horse\n", 0o400, Create, Ok(b"correct horse"));
    check("correct horse\n\n", 0o600, Create, Ok(b"correct horse\n"));
    check("correct horse\r\n", 0o600, Create, Ok(b"correct horse\r"));
    check(" correct horse ", 0o600, Create, Ok(b" correct horse "));
    check("short\n", 0o600, Open, Ok(b"short"));
    check(&format!("{long}\n"), 0o600, Open, Ok(long.as_bytes()));
    check(&format!("{long}x"), 0o600, Open, Err("more than 1024 bytes"));
    check(&format!("{long}x\n"), 0o600, Open, Err("more than 1025 bytes"));
    check("", 0o600, Open, Err("is empty"));
    check("\n", 0o600, Open, Err("is empty"));
    check("eleven byte\n", 0o600, Create, Err("at least 12 bytes"));
    for mode in [0o640, 0o604, 0o660, 0o666, 0o620, 0o602] {
        check("correct horse", mode, Open, Err("open to other users"));
    }
}

#[test]
fn a_file_that_is_not_one_is_refused() {
    let directory = TemporaryDirectory::new();
    for (path, why) in
        [(directory.join("none"), "cannot open"), (directory.path().to_owned(), "not a regular")]
    {
        check(&PassphraseSource::File(path), Open, &mut Scripted::default(), Err(why));
    }
}

#[test]
fn from_the_terminal() {
    let check = |answers: &[&'static str], purpose, questions, expected: Result<&[u8], &str>| {
        let answers = answers.iter().copied().collect();
        let mut surroundings = Scripted { answers, ..Scripted::default() };
        check(&PassphraseSource::Prompt, purpose, &mut surroundings, expected);
        assert_eq!(surroundings.questions.len(), questions);
    };
    check(&["correct horse"; 2], Create, 2, Ok(b"correct horse"));
    check(&["x"], Open, 1, Ok(b"x"));
    check(&["correct horse", "correct house"], Create, 2, Err("not the same"));
    check(&["correct horse", ""], Create, 2, Err("not the same"));
    check(&["correct horse", "correct horses"], Create, 2, Err("not the same"));
    check(&["eleven byte"; 2], Create, 2, Err("at least 12 bytes"));
    check(&[""; 2], Create, 2, Err("is empty"));
    check(&[""], Open, 1, Err("is empty"));
    check(&["correct horse"], Create, 2, Err("no terminal"));
    check(&[], Open, 1, Err("without a terminal set `seal.from`"));
}

#[test]
fn no_error_tells_the_passphrase() {
    for passphrase in ["hunter2".to_owned(), "hunter2".repeat(200)] {
        let variable = Some(OsString::from(passphrase));
        let mut surroundings = Scripted { variable, ..Scripted::default() };
        let error = read_passphrase(&PassphraseSource::Environment, Create, &mut surroundings);
        assert!(!format!("{:?} {}", error, error.as_ref().unwrap_err()).contains("hunter2"));
    }
}

#[test]
fn pins_and_new_passphrases_have_variables_of_their_own() {
    for (purpose, name) in [
        (PassphrasePurpose::Pin, PIN_VARIABLE),
        (PassphrasePurpose::Migrate, NEW_PASSPHRASE_VARIABLE),
    ] {
        let variable = Some(OsString::from("correct horse"));
        let mut surroundings = Scripted { name: Some(name), variable, ..Scripted::default() };
        check(&PassphraseSource::Environment, purpose, &mut surroundings, Ok(b"correct horse"));
        surroundings.variable = None;
        check(&PassphraseSource::Environment, purpose, &mut surroundings, Err(name));
        surroundings.variable = Some(OsString::from("1234"));
        let short = if purpose == PassphrasePurpose::Pin { Ok(&b"1234"[..]) } else { Err("12") };
        check(&PassphraseSource::Environment, purpose, &mut surroundings, short);
    }
}

#[test]
fn from_a_descriptor() {
    use std::os::fd::AsRawFd as _;
    let directory = TemporaryDirectory::new();
    let check = |content: &str, expected: Result<&[u8], &str>| {
        let file = std::fs::File::open(directory.file("secret", content, 0o600)).unwrap();
        let number = u32::try_from(file.as_raw_fd()).unwrap();
        let source = PassphraseSource::Descriptor(number);
        check(&source, Open, &mut Scripted::default(), expected);
    };
    check("correct horse", Ok(b"correct horse"));
    check("correct horse\n", Ok(b"correct horse"));
    check("", Err("is empty"));
    check("\n", Err("is empty"));
    check(&"x".repeat(1_026), Err("more than 1024 bytes"));
    check(&"x".repeat(100_000), Err("more than 1024 bytes"));
    let closed = PassphraseSource::Descriptor(60_000);
    super::seal::check(&closed, Open, &mut Scripted::default(), Err("file descriptor 60000"));
}

#[test]
fn from_a_credential() {
    let directory = TemporaryDirectory::new();
    let with = |directory: Option<&std::path::Path>| Scripted {
        name: Some(CREDENTIALS_VARIABLE),
        variable: directory.map(|path| path.as_os_str().to_owned()),
        ..Scripted::default()
    };
    let source = PassphraseSource::Credential("pass".to_owned());
    let check = |content: &str, mode, expected: Result<&[u8], &str>| {
        directory.file("pass", content, mode);
        check(&source, Open, &mut with(Some(directory.path())), expected);
    };
    check("correct horse\n", 0o400, Ok(b"correct horse"));
    check("correct horse", 0o440, Ok(b"correct horse"));
    check("correct horse", 0o600, Ok(b"correct horse"));
    for mode in [0o404, 0o420, 0o460, 0o444, 0o401] {
        check("correct horse", mode, Err("others may use it"));
    }
    check(&"x".repeat(1_026), 0o400, Err("more than"));
    super::seal::check(&source, Open, &mut with(None), Err("`CREDENTIALS_DIRECTORY` is not set"));
    let other = PassphraseSource::Credential("other".to_owned());
    super::seal::check(
        &other,
        Open,
        &mut with(Some(directory.path())),
        Err("no credential `other`"),
    );
    for (length, fits) in [(31, false), (32, true), (33, false), (0, false)] {
        directory.file("seal", &"k".repeat(length), 0o400);
        let read = read_seal_credential("seal", &with(Some(directory.path())));
        assert_eq!(read.is_ok(), fits, "{length}: {read:?}");
    }
}
