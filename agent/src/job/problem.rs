//! What is wrong with a file that somebody wrote, said so that they can put it right: file, line, column, key,
//! what was found, what was expected, the nearest known thing, and the line itself with a caret.
//! No text of a secret is ever in here: excerpts arrive masked (`excerpt.rs`), messages never quote a secret value.

use std::fmt;

/// All that is wrong, or worth a warning, in one file or in many.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Problems {
    list: Vec<Problem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The job or config is refused.
    Error,
    /// It runs, but probably not as meant.
    Warning,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    /// The file as the operator named it.
    pub(crate) file: String,
    /// `None` when the file as a whole is meant.
    pub(crate) place: Option<Place>,
    /// Dotted path of the key, such as `sink.index`; empty when no key is meant.
    pub(crate) key: String,
    pub(crate) message: String,
}

/// A place in a file and the line to show for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// The line as it may be shown: secrets masked, comments cut off, tabs as spaces.
    pub(crate) shown: String,
    /// Where the caret stands in `shown`, and how many characters it underlines, in characters.
    pub(crate) caret: (usize, usize),
}

impl Problem {
    /// A problem of a file as a whole.
    pub(crate) fn of_file(file: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem {
            severity: Severity::Error,
            file: file.into(),
            place: None,
            key: String::new(),
            message: message.into(),
        }
    }

    pub(crate) fn warning(self) -> Problem {
        Problem { severity: Severity::Warning, ..self }
    }
}

impl Problems {
    pub(crate) fn push(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    pub(crate) fn extend(&mut self, more: Problems) {
        self.list.extend(more.list);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many of them refuse the file.
    pub(crate) fn errors(&self) -> usize {
        self.list.iter().filter(|p| p.severity == Severity::Error).count()
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// What refuses a file, in a line: the first mistake in it, and how many more there are.
    pub(crate) fn refusal_of(&self, file: &str) -> String {
        let mut errors = self.list.iter().filter(|p| p.severity == Severity::Error && p.file == file);
        let Some(first) = errors.next() else {
            return "because of another file: `splashdam check` says why".to_owned();
        };
        let place = first.place.as_ref().map_or_else(String::new, |place| format!("{}:{}: ", place.line, place.column));
        let message: Vec<&str> = first.message.lines().map(str::trim).collect();
        let more = match errors.count() {
            0 => String::new(),
            more => format!(" (and {more} more; `splashdam check` shows all)"),
        };
        format!("{place}{}{more}", message.join(" "))
    }

    /// The value if nothing refuses it, else all problems.
    pub(crate) fn refuse_or<T>(self, value: Option<T>) -> Result<T, Problems> {
        match value {
            Some(value) if !self.has_errors() => Ok(value),
            _ => Err(self),
        }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems { list: vec![problem] }
    }
}

impl FromIterator<Problem> for Problems {
    fn from_iter<I: IntoIterator<Item = Problem>>(problems: I) -> Problems {
        Problems { list: problems.into_iter().collect() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(place) = &self.place {
            write!(f, "{}:{}:", place.line, place.column)?;
        }
        if self.severity == Severity::Warning {
            write!(f, " warning:")?;
        }
        write!(f, " {}", self.message)?;
        let Some(place) = &self.place else { return Ok(()) };
        let number = place.line.to_string();
        let (start, length) = place.caret;
        write!(f, "\n{number:>5} | {}", place.shown)?;
        write!(f, "\n      | {:start$}{}", "", "^".repeat(length.max(1)))
    }
}

/// One problem after the other, each ending in a newline, an empty line between two.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.list.iter().enumerate() {
            let gap = if n > 0 { "\n" } else { "" };
            writeln!(f, "{gap}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
