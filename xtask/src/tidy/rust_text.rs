//! Just enough of Rust's grammar to tell code, literals and comments apart.
//!
//! Not a parser: no macros, no syntax tree. Every view has the length and the line breaks of the
//! text that it was made from, so that an offset in one is the same place in all.

/// A source text seen without what a rule must not look at.
pub(super) struct View {
    /// Comments, and the contents of strings and characters, are spaces.
    pub(super) code: String,
    /// Comments are spaces; literals stay.
    pub(super) code_and_literals: String,
}

impl View {
    pub(super) fn of(text: &str) -> Self {
        let mut scanner = Scanner { rest: text, previous: ' ', view: Self::empty(text.len()) };
        while !scanner.rest.is_empty() {
            scanner.step();
        }
        scanner.view
    }

    /// The same without items marked `#[cfg(test)]`.
    pub(super) fn without_tests(mut self) -> Self {
        let mut from = 0;
        while let Some(start) = self.code[from..].find(TEST_MARK).map(|at| from + at) {
            let after = start + TEST_MARK.len();
            let end = end_of_item(&self.code, after);
            self.code = with_blank(&self.code, start, end);
            self.code_and_literals = with_blank(&self.code_and_literals, start, end);
            from = end;
        }
        self
    }

    fn empty(bytes: usize) -> Self {
        Self { code: String::with_capacity(bytes), code_and_literals: String::with_capacity(bytes) }
    }
}

/// Whether `name` stands in `code` as a word of its own: not as a part of a longer identifier.
pub(super) fn find_word(code: &str, name: &str) -> Option<usize> {
    code.match_indices(name).map(|(at, _)| at).find(|at| {
        let before = code[..*at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        !before.is_some_and(is_identifier) && !after.is_some_and(is_identifier)
    })
}

/// The line, counted from one, of a byte offset.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// The offset just after the item that begins at `from`: after its `;`, or its last brace.
pub(super) fn end_of_item(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    let mut braces = 0_usize;
    for (at, character) in code[from..].char_indices() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '{' => braces += 1,
            '}' if braces <= 1 => return from + at + 1,
            '}' => braces -= 1,
            ';' if depth == 0 && braces == 0 => return from + at + 1,
            _ => {}
        }
    }
    code.len()
}

pub(super) fn is_identifier(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

struct Scanner<'a> {
    rest: &'a str,
    /// The character before `rest`.
    previous: char,
    view: View,
}

impl Scanner<'_> {
    fn step(&mut self) {
        if self.rest.starts_with("//") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            return self.take(end, Kind::Comment);
        }
        if self.rest.starts_with("/*") {
            return self.take(block_comment_bytes(self.rest), Kind::Comment);
        }
        if let Some(bytes) = raw_string_bytes(self.rest, self.previous) {
            return self.take(bytes, Kind::Literal);
        }
        if self.rest.starts_with('"') {
            return self.take(quoted_bytes(self.rest, '"'), Kind::Literal);
        }
        if is_character(self.rest) {
            return self.take(quoted_bytes(self.rest, '\''), Kind::Literal);
        }
        let bytes = self.rest.chars().next().map_or(0, char::len_utf8);
        self.take(bytes, Kind::Code);
    }

    fn take(&mut self, bytes: usize, kind: Kind) {
        let (piece, rest) = self.rest.split_at(bytes);
        let blank = blank(piece);
        self.view.code.push_str(if kind == Kind::Code { piece } else { &blank });
        self.view.code_and_literals.push_str(if kind == Kind::Comment { &blank } else { piece });
        self.previous = piece.chars().next_back().unwrap_or(' ');
        self.rest = rest;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

fn block_comment_bytes(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of a raw string that `text` begins with: `r"…"`, `br#"…"#` and so on.
fn raw_string_bytes(text: &str, previous: char) -> Option<usize> {
    if is_identifier(previous) {
        return None;
    }
    let marked = text.strip_prefix(['b', 'c']).unwrap_or(text).strip_prefix('r')?;
    let hashes = marked.len() - marked.trim_start_matches('#').len();
    let inside = marked[hashes..].strip_prefix('"')?;
    let closing = format!("\"{}", "#".repeat(hashes));
    let opening_bytes = text.len() - inside.len();
    Some(inside.find(&closing).map_or(text.len(), |at| opening_bytes + at + closing.len()))
}

/// Whether a quote begins a character and not a lifetime.
fn is_character(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next() == Some('\'')
        && match characters.next() {
            Some('\\') => true,
            Some(_) => characters.next() == Some('\''),
            None => false,
        }
}

/// The length of a literal from its opening quote to its closing one.
fn quoted_bytes(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return at + quote.len_utf8();
        }
    }
    text.len()
}

/// As many bytes, all spaces but the line breaks.
fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

fn with_blank(text: &str, start: usize, end: usize) -> String {
    format!("{}{}{}", &text[..start], blank(&text[start..end]), &text[end..])
}

const TEST_MARK: &str = "#[cfg(test)]";
