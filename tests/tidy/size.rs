//! Files of at most 500 lines, functions of at most 70.

use crate::sources::{self, Source};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

#[test]
fn no_file_is_longer_than_500_lines() {
    let long: Vec<String> = sources::all()
        .iter()
        .map(|source| (source.text.lines().count(), &source.path))
        .filter(|(lines, _)| *lines > FILE_LINES)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn no_function_is_longer_than_70_lines() {
    let long: Vec<String> = sources::all().iter().flat_map(long_functions).collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// Functions of a file whose body has more lines than allowed.
fn long_functions(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    // (name, line of its opening brace, depth outside of it); `None` while the signature goes on.
    let mut open: Vec<(String, usize, usize)> = Vec::new();
    let mut waiting: Option<String> = None;
    let mut depth = 0_usize;
    for (number, line) in source.code.lines().enumerate() {
        if let Some(name) = function_name(line) {
            waiting = Some(name);
        }
        for sign in line.chars() {
            match sign {
                '{' => {
                    if let Some(name) = waiting.take() {
                        open.push((name, number, depth));
                    }
                    depth += 1;
                }
                '}' => {
                    depth = depth.saturating_sub(1);
                    if let Some((name, from, _)) = open.pop_if(|(_, _, outside)| *outside == depth) {
                        let lines = number.saturating_sub(from + 1);
                        if lines > FUNCTION_LINES {
                            found.push(format!("{}:{}: fn {name} has {lines} lines", source.path, from + 1));
                        }
                    }
                }
                ';' if depth_of_signature(&waiting) => waiting = None,
                _ => {}
            }
        }
    }
    found
}

/// A semicolon ends a signature without a body.
fn depth_of_signature(waiting: &Option<String>) -> bool {
    waiting.is_some()
}

fn function_name(line: &str) -> Option<String> {
    let at = line.find("fn ")?;
    let before = line[..at].chars().next_back();
    let name: String = line[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (before.is_none_or(|c| c == ' ' || c == '(') && !name.is_empty()).then_some(name)
}
