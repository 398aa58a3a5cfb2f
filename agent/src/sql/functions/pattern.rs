//! Java's regular expressions on the `regex` crate: what means the same is passed on, what has another meaning is
//! rewritten (`\d` is ASCII, `\<` is a sign), what the crate lacks is refused by name. It never backtracks, so no
//! pattern takes more than linear time.

use regex::{Regex, RegexBuilder};

/// Compiles a pattern of `java.util.regex`.
pub(super) fn java(text: &str) -> Result<Regex, String> {
    build(&rewritten(text)?, text, false)
}

fn build(rewritten: &str, text: &str, dot_all: bool) -> Result<Regex, String> {
    let built = RegexBuilder::new(rewritten).size_limit(4 << 20).dot_matches_new_line(dot_all).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("the pattern '{text}' is too large"),
        error => {
            let said = error.to_string();
            let reason = said.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("the pattern '{text}' is wrong: {reason}")
        }
    })
}

fn rewritten(text: &str) -> Result<String, String> {
    let refused = |what: &str| Err(format!("the pattern '{text}' has {what}, which is not supported"));
    let mut out = String::with_capacity(text.len() + 16);
    let mut depth = 0_usize;
    let mut rest = text.chars().peekable();
    let mut quantified = false;
    while let Some(c) = rest.next() {
        let was_quantified = std::mem::replace(&mut quantified, false);
        match c {
            '\\' => {
                let Some(next) = rest.next() else { return refused("a lone backslash at its end") };
                if next == 'Q' {
                    quote(&mut rest, &mut out);
                    continue;
                }
                match class_escape(next, depth > 0) {
                    Some(class) => out.push_str(class),
                    None => match escape(next, &mut rest) {
                        Ok(escaped) => out.push_str(&escaped),
                        Err(what) => return refused(what),
                    },
                }
            }
            '[' => {
                depth += 1;
                out.push(c);
            }
            ']' => {
                depth = depth.saturating_sub(1);
                out.push(c);
            }
            '(' if depth == 0 && rest.peek() == Some(&'?') => {
                out.push(c);
                rest.next();
                out.push('?');
                match rest.peek() {
                    Some('=' | '!') => return refused("look-ahead"),
                    Some('>') => return refused("an atomic group"),
                    Some('<') => {
                        rest.next();
                        match rest.peek() {
                            Some('=' | '!') => return refused("look-behind"),
                            _ => out.push('<'),
                        }
                    }
                    _ => {}
                }
            }
            '+' if depth == 0 && was_quantified => return refused("a possessive quantifier"),
            '*' | '+' | '?' | '}' if depth == 0 => {
                quantified = !was_quantified;
                out.push(c);
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

/// `\Q…\E`: taken literally.
fn quote(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    let mut literal = String::new();
    while let Some(c) = rest.next() {
        if c == '\\' && rest.peek() == Some(&'E') {
            rest.next();
            break;
        }
        literal.push(c);
    }
    out.push_str(&regex::escape(&literal));
}

/// The predefined classes are ASCII in Java.
fn class_escape(c: char, inside: bool) -> Option<&'static str> {
    Some(match (c, inside) {
        ('d', false) => "[0-9]",
        ('d', true) => "0-9",
        ('D', _) => "[^0-9]",
        ('w', false) => "[a-zA-Z0-9_]",
        ('w', true) => "a-zA-Z0-9_",
        ('W', _) => "[^a-zA-Z0-9_]",
        ('s', false) => r"[ \t\n\x0B\f\r]",
        ('s', true) => r" \t\n\x0B\f\r",
        ('S', _) => r"[^ \t\n\x0B\f\r]",
        ('h', false) => r"[ \t\u{A0}\u{1680}\u{180e}\u{2000}-\u{200a}\u{202f}\u{205f}\u{3000}]",
        ('R', false) => r"(?:\r\n|[\n\x0B\f\r\u{85}\u{2028}\u{2029}])",
        ('e', _) => r"\x1B",
        ('Z', false) => r"(?:\n?\z)",
        _ => return None,
    })
}

/// Any other escape; the error is what it is called.
fn escape(c: char, rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, &'static str> {
    match c {
        '1'..='9' => Err("a back-reference"),
        'k' => Err("a back-reference"),
        'G' => Err(r"\G"),
        'X' => Err(r"\X"),
        '0' => Err("an octal escape"),
        'c' => Err("a control escape"),
        '<' | '>' => Ok(c.to_string()),
        'p' | 'P' if rest.peek() == Some(&'{') => {
            let name: String = rest.by_ref().skip(1).take_while(|c| *c != '}').collect();
            let posix = match name.as_str() {
                "Lower" => "[a-z]",
                "Upper" => "[A-Z]",
                "Alpha" => "[a-zA-Z]",
                "Digit" => "[0-9]",
                "Alnum" => "[a-zA-Z0-9]",
                "Punct" => "[[:punct:]]",
                "Space" => r"[ \t\n\x0B\f\r]",
                "XDigit" => "[0-9a-fA-F]",
                "Blank" => r"[ \t]",
                "ASCII" => r"[\x00-\x7F]",
                _ => {
                    let name = name.strip_prefix("Is").unwrap_or(&name);
                    return Ok(format!("\\{c}{{{name}}}"));
                }
            };
            Ok(if c == 'p' { posix.to_owned() } else { format!("[^{posix}]") })
        }
        c if c.is_ascii_alphanumeric() || c.is_ascii_punctuation() => Ok(format!("\\{c}")),
        c => Ok(c.to_string()),
    }
}

/// Compiles a SIMILAR TO pattern: `%` and `_` as in LIKE, the rest is a regular expression; it must match all.
pub(super) fn similar(text: &str, escape: Option<char>) -> Result<Regex, String> {
    let mut java = String::with_capacity(text.len() + 8);
    let mut rest = text.chars();
    let mut inside = false;
    while let Some(c) = rest.next() {
        match c {
            _ if Some(c) == escape => match rest.next() {
                Some(next) => java.push_str(&regex::escape(next.encode_utf8(&mut [0; 4]))),
                None => return Err(format!("the pattern '{text}' ends with the escape character")),
            },
            '[' => {
                inside = true;
                java.push(c);
            }
            ']' => {
                inside = false;
                java.push(c);
            }
            '%' if !inside => java.push_str("(?:.*)"),
            '_' if !inside => java.push('.'),
            c => java.push(c),
        }
    }
    for (name, class) in CLASSES {
        java = java.replace(name, class);
    }
    build(&format!("^(?:{})$", rewritten(&java)?), text, true)
}

/// SQL's names of character classes, in upper case as the standard has them.
const CLASSES: &[(&str, &str)] = &[
    ("[:ALPHA:]", "a-zA-Z"),
    ("[:alpha:]", "a-zA-Z"),
    ("[:UPPER:]", "A-Z"),
    ("[:upper:]", "A-Z"),
    ("[:LOWER:]", "a-z"),
    ("[:lower:]", "a-z"),
    ("[:DIGIT:]", "0-9"),
    ("[:digit:]", "0-9"),
    ("[:SPACE:]", " "),
    ("[:space:]", " "),
    ("[:WHITESPACE:]", " \\t\\n\\r\\f\\x0B"),
    ("[:whitespace:]", " \\t\\n\\r\\f\\x0B"),
    ("[:ALNUM:]", "a-zA-Z0-9"),
    ("[:alnum:]", "a-zA-Z0-9"),
];
