//! Before a script is cut into tokens: its variables are filled in, and what no token can be is found: quotes that
//! are never closed, quotes and commas of other alphabets. Keeps which place of the written script each place of
//! the filled-in one comes from.

use sqlparser::tokenizer::{Location, Span, TokenWithSpan};

use super::super::script::{Place, SqlError};

/// A script with its variables filled in.
pub(super) struct Text {
    pub(super) text: String,
    shifts: Vec<Shift>,
    written: String,
}

/// A value in `text` and the variable in the script that it stands for, in bytes.
struct Shift {
    start: usize,
    end: usize,
    from: usize,
    until: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum In {
    Code,
    /// Between these quotes, opened at this offset of the text.
    Quotes(char, usize),
    LineComment,
    BlockComment(usize),
}

/// Marks of other alphabets that editors and web pages put in the place of SQL's.
const FOREIGN: &[(char, char)] = &[
    ('‘', '\''),
    ('’', '\''),
    ('“', '\''),
    ('”', '\''),
    ('´', '\''),
    ('，', ','),
    ('；', ';'),
    ('（', '('),
    ('）', ')'),
    ('＝', '='),
    ('　', ' '),
    ('、', ','),
    ('＇', '\''),
];

/// Fills in `${name}` outside of comments; names with a colon (`${env:X}`) and `$${` are left for whoever reads the
/// options. With errors the text ends before the statement that can't be cut.
pub(super) fn prepare(script: &str, variables: &dyn Fn(&str) -> Option<String>) -> (Text, Vec<SqlError>) {
    let mut errors = Vec::new();
    let mut text = Text::new(script);
    let mut scan = Scan { state: In::Code, suspect: None, ends: Vec::new(), wrong: Vec::new() };
    let mut rest = script.char_indices().peekable();
    let mut escaped = false;
    while let Some((offset, c)) = rest.next() {
        let behind = script.get(offset..).unwrap_or_default();
        let commented = matches!(scan.state, In::LineComment | In::BlockComment(_));
        if !commented
            && !escaped
            && let Some(name) = variable(behind)
        {
            let until = offset + name.len() + 3;
            match variables(name) {
                Some(value) => text.insert(&mut scan, &value, offset, until),
                // The word stands in for it, so that what follows is not blamed.
                None => {
                    errors.push(undefined(script, offset, name));
                    text.insert(&mut scan, "undefined", offset, until);
                }
            }
            while rest.next_if(|(next, _)| *next < until).is_some() {}
            continue;
        }
        escaped = c == '$' && !escaped;
        let meant = scan.step(text.text.len(), c, behind);
        text.push(meant, offset, offset + c.len_utf8());
    }
    let end = scan.finish(&text);
    for (offset, length, message) in scan.wrong.into_iter().take(super::MOST_ERRORS) {
        errors.push(SqlError { place: text.place_of(offset), length, message });
    }
    text.text.truncate(end);
    (text, errors)
}

fn undefined(script: &str, offset: usize, name: &str) -> SqlError {
    let length = u32::try_from(name.chars().count() + 3).unwrap_or(1);
    let message = format!(
        "the variable ${{{name}}} has no value; give it with --var {name}=…, or in [vars] of the service's configuration"
    );
    SqlError { place: place_at(script, &line_starts(script), offset), length, message }
}

/// The name in a `${name}` that `text` begins with.
fn variable(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix("${")?.split_once('}')?;
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
    (!name.is_empty() && name.len() <= 128 && name.chars().all(word)).then_some(name)
}

struct Scan {
    state: In,
    /// The first literal that looks as if its closing quote were another's opening one.
    suspect: Option<(usize, char)>,
    /// Behind each `;` that ends a statement.
    ends: Vec<usize>,
    wrong: Vec<(usize, u32, String)>,
}

impl Scan {
    /// `behind`: `c` and what follows it. Gives the character that was meant.
    fn step(&mut self, offset: usize, c: char, behind: &str) -> char {
        match self.state {
            In::Code if behind.starts_with("--") => self.state = In::LineComment,
            In::Code if behind.starts_with("/*") => self.state = In::BlockComment(offset),
            In::Code if matches!(c, '\'' | '`') => self.state = In::Quotes(c, offset),
            In::Code if c == '"' => {
                let message = "a double quote has no meaning in Flink SQL; write 'x' for a text, `x` for a name";
                self.wrong.push((offset, 1, message.to_owned()));
                self.state = In::Quotes(c, offset);
            }
            In::Code if c == ';' => self.ends.push(offset + 1),
            In::Code => {
                if let Some((_, meant)) = FOREIGN.iter().find(|(foreign, _)| *foreign == c) {
                    let said = if *meant == ' ' { "a blank".to_owned() } else { meant.to_string() };
                    self.wrong.push((offset, 1, format!("\"{c}\" is no mark of SQL; write {said}")));
                    if *meant == '\'' {
                        self.state = In::Quotes('\'', offset);
                    }
                    return *meant;
                }
            }
            // Two in a row are one inside: close and open again does the same.
            In::Quotes(quote, start) if c == quote => {
                let next = behind.chars().nth(1);
                let stuck = next.is_some_and(|next| next.is_alphanumeric() || matches!(next, '<' | '_' | '/' | ':'));
                if stuck {
                    self.suspect.get_or_insert((start, quote));
                }
                self.state = In::Code;
            }
            In::Quotes(quote, start) if c == '\n' => {
                self.suspect.get_or_insert((start, quote));
            }
            In::LineComment if c == '\n' => self.state = In::Code,
            In::BlockComment(start) if behind.starts_with("*/") && offset > start + 1 => self.state = In::Code,
            In::Quotes(..) | In::LineComment | In::BlockComment(_) => {}
        }
        if c == '\u{feff}' { ' ' } else { c }
    }

    /// The end of what can be cut into tokens.
    fn finish(&mut self, text: &Text) -> usize {
        let (start, message) = match self.state {
            In::Code | In::LineComment => return text.text.len(),
            In::Quotes(quote, start) => {
                let (start, quote) = self.suspect.unwrap_or((start, quote));
                (start, format!("this {quote} is never closed; a {quote} inside of the text is written {quote}{quote}"))
            }
            In::BlockComment(start) => (start, "this comment is never closed; write */ at its end".to_owned()),
        };
        self.wrong.push((start, 1, message));
        // Statements before the one with the open quote are whole.
        self.ends.iter().rev().find(|end| **end <= start).copied().unwrap_or(0)
    }
}

impl Text {
    fn new(script: &str) -> Text {
        Text { text: String::with_capacity(script.len()), shifts: Vec::new(), written: script.to_owned() }
    }

    fn insert(&mut self, scan: &mut Scan, value: &str, from: usize, until: usize) {
        let start = self.text.len();
        for (offset, c) in value.char_indices() {
            let meant = scan.step(self.text.len(), c, value.get(offset..).unwrap_or_default());
            self.text.push(meant);
        }
        self.shifts.push(Shift { start, end: self.text.len(), from, until });
    }

    /// One character, which may stand for a longer one.
    fn push(&mut self, c: char, from: usize, until: usize) {
        let start = self.text.len();
        self.text.push(c);
        if c.len_utf8() != until - from {
            self.shifts.push(Shift { start, end: self.text.len(), from, until });
        }
    }

    /// Tokens know their places in the script as written from here on.
    pub(super) fn settle(&self, tokens: &mut [TokenWithSpan]) {
        if self.shifts.is_empty() {
            return;
        }
        let (mut here, mut there) = (Cursor::new(&self.text), Cursor::new(&self.written));
        let mut shifts = self.shifts.iter().peekable();
        let mut last: Option<&Shift> = None;
        for token in tokens {
            let [start, end] = [token.span.start, token.span.end].map(|at| {
                let offset = here.walk_to(at);
                while let Some(shift) = shifts.next_if(|shift| shift.start <= offset) {
                    last = Some(shift);
                }
                there.walk_on_to(original(last, offset))
            });
            token.span = Span::new(start, end);
        }
    }

    /// The place in the script as written of an offset in the text.
    fn place_of(&self, offset: usize) -> Place {
        place_at(&self.written, &line_starts(&self.written), self.original(offset))
    }

    fn original(&self, offset: usize) -> usize {
        let after = self.shifts.partition_point(|shift| shift.start <= offset);
        original(after.checked_sub(1).and_then(|last| self.shifts.get(last)), offset)
    }
}

/// `before`: the last shift that begins at the offset or before it.
fn original(before: Option<&Shift>, offset: usize) -> usize {
    match before {
        None => offset,
        Some(shift) if offset < shift.end => shift.from,
        Some(shift) => shift.until + (offset - shift.end),
    }
}

/// Walks a text once, from place to place.
struct Cursor<'t> {
    rest: std::iter::Peekable<std::str::CharIndices<'t>>,
    length: usize,
    place: Location,
}

impl<'t> Cursor<'t> {
    fn new(text: &'t str) -> Cursor<'t> {
        Cursor { rest: text.char_indices().peekable(), length: text.len(), place: Location { line: 1, column: 1 } }
    }

    fn offset(&mut self) -> usize {
        self.rest.peek().map_or(self.length, |(offset, _)| *offset)
    }

    fn step(&mut self) {
        match self.rest.next() {
            Some((_, '\n')) => self.place = Location { line: self.place.line + 1, column: 1 },
            _ => self.place.column += 1,
        }
    }

    fn walk_to(&mut self, at: Location) -> usize {
        while self.rest.peek().is_some() && (self.place.line, self.place.column) < (at.line, at.column) {
            self.step();
        }
        self.offset()
    }

    fn walk_on_to(&mut self, offset: usize) -> Location {
        while self.offset() < offset.min(self.length) {
            self.step();
        }
        self.place
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

fn place_at(text: &str, lines: &[usize], offset: usize) -> Place {
    let line = lines.partition_point(|start| *start <= offset);
    let start = line.checked_sub(1).and_then(|line| lines.get(line)).copied().unwrap_or(0);
    let column = text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { line: number(line), column: number(column) }
}
