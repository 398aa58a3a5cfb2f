//! Index names and templates: `logs-nginx`, `logs-%{service}-%Y.%m.%d`. Pure.
//!
//! A template begins with a literal prefix, so that no line can choose an index outside it. `%{field}` is a field
//! of the document (dotted for a nested one), `%Y` and its kin are the event's time in UTC. No name may hold a `%`.

use crate::plan::{IndexPart, IndexPlan};

/// Letters behind `%` that stand for a date, as strftime has them.
const DATE_LETTERS: &str = "YymdHMjGVu";
const LONGEST: usize = 255;

/// What is wrong, as the end of a sentence that begins with the name in quotes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IndexError {
    #[error("has upper-case letters; index names are lower-case")]
    UpperCase,
    #[error("has a {0:?}; index names have none of \\ / * ? \" < > | , # : and no spaces")]
    Forbidden(char),
    #[error("begins with {0:?}; index names don't begin with _ - + or a dot")]
    Start(char),
    #[error("is {0} bytes long; index names have at most 255")]
    TooLong(usize),
    #[error("is empty")]
    Empty,
    #[error(
        "begins with a variable part; begin with literal text, such as \"logs-%…\", so that no line can choose an index outside it"
    )]
    NoPrefix,
    #[error("has a \"%{{\" without its \"}}\"")]
    UnclosedField,
    #[error("has a \"%{{}}\" with no field's name in it, or with one that begins or ends with a dot")]
    BadField,
    #[error("has {0:?}; the date parts are %Y %y %m %d %H %M %j %G %V %u, fields are %{{name}}")]
    UnknownPart(String),
}

/// Checks a literal name.
pub(crate) fn check_name(name: &str) -> Result<(), IndexError> {
    match name.chars().next() {
        None => return Err(IndexError::Empty),
        Some(c @ ('_' | '-' | '+' | '.')) => return Err(IndexError::Start(c)),
        Some(_) => {}
    }
    check_characters(name)?;
    if name.len() > LONGEST {
        return Err(IndexError::TooLong(name.len()));
    }
    Ok(())
}

fn check_characters(text: &str) -> Result<(), IndexError> {
    let forbidden = |c: &char| c.is_control() || c.is_whitespace() || "\\/*?\"<>|,#:%".contains(*c);
    if let Some(c) = text.chars().find(forbidden) {
        return Err(IndexError::Forbidden(c));
    }
    if text.chars().any(char::is_uppercase) {
        return Err(IndexError::UpperCase);
    }
    Ok(())
}

/// `fallback` is where documents go whose name can't be had; by default the prefix with "fallback" behind it.
pub(crate) fn parse_index(text: &str, fallback: Option<&str>) -> Result<IndexPlan, IndexError> {
    let parts = parse_parts(text)?;
    match parts.as_slice() {
        [] => Err(IndexError::Empty),
        [IndexPart::Literal(name)] => {
            check_name(name)?;
            Ok(IndexPlan::Literal(name.clone()))
        }
        [IndexPart::Literal(prefix), ..] => {
            check_name(prefix)?;
            let prefix = prefix.clone();
            let fallback = fallback.map_or_else(|| fallback_of(&prefix), str::to_owned);
            Ok(IndexPlan::Template { parts, prefix, fallback })
        }
        _ => Err(IndexError::NoPrefix),
    }
}

fn fallback_of(prefix: &str) -> String {
    let separator = if prefix.ends_with(char::is_alphanumeric) { "-" } else { "" };
    format!("{prefix}{separator}fallback")
}

/// Neighbouring date letters and the literal text between them are one part.
fn parse_parts(text: &str) -> Result<Vec<IndexPart>, IndexError> {
    let mut parts: Vec<IndexPart> = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('%') {
        let (literal, from) = rest.split_at(start);
        if !literal.is_empty() {
            check_characters(literal)?;
            parts.push(IndexPart::Literal(literal.to_owned()));
        }
        let behind = from.get(1..).unwrap_or_default();
        if let Some(field) = behind.strip_prefix('{') {
            let (name, behind) = field.split_once('}').ok_or(IndexError::UnclosedField)?;
            if name.split('.').any(str::is_empty) || name.trim() != name {
                return Err(IndexError::BadField);
            }
            parts.push(IndexPart::Field(name.to_owned()));
            rest = behind;
            continue;
        }
        let letter: String = behind.chars().take(1).collect();
        if letter == "%" {
            return Err(IndexError::Forbidden('%'));
        }
        if letter.is_empty() || !DATE_LETTERS.contains(&letter) {
            return Err(IndexError::UnknownPart(format!("%{letter}")));
        }
        push_date(&mut parts, &letter);
        rest = behind.get(letter.len()..).unwrap_or_default();
    }
    if !rest.is_empty() {
        check_characters(rest)?;
        parts.push(IndexPart::Literal(rest.to_owned()));
    }
    Ok(parts)
}

fn push_date(parts: &mut Vec<IndexPart>, letter: &str) {
    let between = match parts.as_mut_slice() {
        [.., IndexPart::Date(_), IndexPart::Literal(between)] => Some(std::mem::take(between)),
        _ => None,
    };
    if between.is_some() {
        parts.pop();
    }
    match parts.last_mut() {
        Some(IndexPart::Date(pattern)) => {
            pattern.push_str(&between.unwrap_or_default());
            pattern.push('%');
            pattern.push_str(letter);
        }
        _ => parts.push(IndexPart::Date(format!("%{letter}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> IndexPart {
        IndexPart::Literal(text.to_owned())
    }
    fn date(text: &str) -> IndexPart {
        IndexPart::Date(text.to_owned())
    }
    fn field(text: &str) -> IndexPart {
        IndexPart::Field(text.to_owned())
    }

    #[test]
    fn a_template_is_cut_into_its_parts() {
        for (text, expected, fallback) in [
            ("logs-%Y.%m.%d", vec![literal("logs-"), date("%Y.%m.%d")], "logs-fallback"),
            (
                "logs-%{service.name}-%Y.%m.%d",
                vec![literal("logs-"), field("service.name"), literal("-"), date("%Y.%m.%d")],
                "logs-fallback",
            ),
            (
                "a%Y%m-x-%{f}-%j-tail",
                vec![
                    literal("a"),
                    date("%Y%m"),
                    literal("-x-"),
                    field("f"),
                    literal("-"),
                    date("%j"),
                    literal("-tail"),
                ],
                "a-fallback",
            ),
        ] {
            let Ok(IndexPlan::Template { parts, fallback: found, .. }) = parse_index(text, None) else {
                panic!("{text} is no template")
            };
            assert_eq!(parts, expected, "{text}");
            assert_eq!(found, fallback, "{text}");
        }
        assert_eq!(parse_index("logs-nginx", None), Ok(IndexPlan::Literal("logs-nginx".to_owned())));
    }

    #[test]
    fn a_name_that_elasticsearch_would_refuse_is_refused_here() {
        let long = "x".repeat(256);
        for (text, error) in [
            ("Logs", IndexError::UpperCase),
            ("logs-Ä", IndexError::UpperCase),
            ("lo gs", IndexError::Forbidden(' ')),
            ("logs/x", IndexError::Forbidden('/')),
            ("logs:x", IndexError::Forbidden(':')),
            ("logs-*", IndexError::Forbidden('*')),
            ("logs-100%%", IndexError::Forbidden('%')),
            ("-logs", IndexError::Start('-')),
            ("_logs", IndexError::Start('_')),
            ("+logs", IndexError::Start('+')),
            (".logs", IndexError::Start('.')),
            ("..", IndexError::Start('.')),
            ("", IndexError::Empty),
            (&long, IndexError::TooLong(256)),
            ("%{service}-logs", IndexError::NoPrefix),
            ("%Y", IndexError::NoPrefix),
            ("-%Y", IndexError::Start('-')),
            ("logs-%{service", IndexError::UnclosedField),
            ("logs-%{}", IndexError::BadField),
            ("logs-%{a..b}", IndexError::BadField),
            ("logs-%Q", IndexError::UnknownPart("%Q".to_owned())),
            ("logs-%", IndexError::UnknownPart("%".to_owned())),
            ("logs-%{x}-Y/%m", IndexError::Forbidden('/')),
        ] {
            assert_eq!(parse_index(text, None), Err(error), "{text}");
        }
    }
}
