//! The workspace's sources, and what of them is code.

use std::path::{Path, PathBuf};

/// One `.rs` file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the workspace, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The same text with the inside of comments and strings blanked; line breaks stay.
    pub(crate) code: String,
    /// The first line (from 0) of the trailing `#[cfg(test)] mod …`; the number of lines where there is none.
    pub(crate) tests_from: usize,
    /// Declared behind `#[cfg(test)]` somewhere: only compiled for tests.
    test: bool,
}

impl Source {
    /// Lines of code with their numbers from 1, without tests.
    pub(crate) fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().take(self.tests_from).enumerate().map(|(number, line)| (number + 1, line))
    }

    /// A file that is only compiled for tests or benches: it or a folder of it is called so.
    pub(crate) fn is_test(&self) -> bool {
        let words = self.path.trim_end_matches(".rs").split('/');
        self.test || words.into_iter().any(|word| word == "tests" || word == "benches" || word.ends_with("_tests"))
    }
}

pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// All `.rs` files of all packages.
pub(crate) fn all() -> Vec<Source> {
    let mut paths = Vec::new();
    for package in ["agent", "cli", "packaging", "tests"] {
        collect(&workspace().join(package), &mut paths);
    }
    paths.sort();
    let mut sources: Vec<Source> = paths.iter().map(|path| read(path)).collect();
    let declared: Vec<String> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        source.test = declared
            .iter()
            .any(|module| source.path == format!("{module}.rs") || source.path.starts_with(&format!("{module}/")));
    }
    sources
}

/// Modules that a file declares for tests only, as paths without `.rs`.
fn test_modules(source: &Source) -> Vec<String> {
    let stem = source.path.trim_end_matches(".rs");
    let parent = stem.rsplit_once('/').map_or("", |(folder, _)| folder);
    let own = ["mod", "lib", "main"].iter().any(|name| stem.ends_with(&format!("/{name}")));
    let folder = if own { parent } else { stem };
    let lines: Vec<&str> = source.code.lines().collect();
    let pairs = lines.windows(2).filter(|pair| pair[0].trim() == "#[cfg(test)]");
    let names = pairs.filter_map(|pair| pair[1].trim().strip_suffix(';')?.rsplit_once("mod ").map(|(_, name)| name));
    names.map(|name| format!("{folder}/{name}")).collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() && !entry.ends_with("target") {
            collect(&entry, into);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            into.push(entry);
        }
    }
}

fn read(path: &Path) -> Source {
    let text = std::fs::read_to_string(path).unwrap();
    let code = blank(&text);
    let lines: Vec<&str> = code.lines().collect();
    // `mod tests;` only names a file; what follows it is still the product.
    let opens_tests = |line: &&str| line.trim_start().starts_with("mod ") && line.trim_end().ends_with('{');
    let is_tests = |at: usize| lines[at].trim() == "#[cfg(test)]" && lines.get(at + 1).is_some_and(opens_tests);
    let tests_from = (0..lines.len()).find(|at| is_tests(*at)).unwrap_or(lines.len());
    let path = path.strip_prefix(workspace()).unwrap().to_string_lossy().into_owned();
    Source { path, text, code, tests_from, test: false }
}

/// Blanks the inside of comments, strings and character literals.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match opaque_end(bytes, at) {
            Some(end) => end,
            None => {
                let sign = text[at..].chars().next().unwrap();
                out.push(sign);
                at += sign.len_utf8();
                continue;
            }
        };
        out.extend(text[at..end].chars().map(|sign| if sign == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// Where the comment, string or character that begins at `at` ends; `None` if none begins there.
fn opaque_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let until = |mark: &[u8], from: usize| {
        memchr::memmem::find(&rest[from..], mark).map_or(bytes.len(), |found| at + from + found + mark.len())
    };
    if rest.starts_with(b"//") {
        return Some(memchr::memchr(b'\n', rest).map_or(bytes.len(), |end| at + end));
    }
    if rest.starts_with(b"/*") {
        return Some(until(b"*/", 2));
    }
    let after_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    let raw = rest.strip_prefix(b"br").or_else(|| rest.strip_prefix(b"r")).filter(|_| !after_word);
    if let Some(raw) = raw {
        let hashes = raw.iter().take_while(|b| **b == b'#').count();
        if raw.get(hashes) == Some(&b'"') {
            let mut mark = b"\"".to_vec();
            mark.extend(std::iter::repeat_n(b'#', hashes));
            return Some(until(&mark, rest.len() - raw.len() + hashes + 1));
        }
    }
    if rest[0] == b'"' {
        return Some(at + quoted(rest, b'"'));
    }
    // 'x' and '\n', not the lifetime 'a.
    let character = rest[0] == b'\'' && (rest.get(1) == Some(&b'\\') || closes_soon(rest));
    character.then(|| at + quoted(rest, b'\''))
}

fn closes_soon(rest: &[u8]) -> bool {
    rest.iter().skip(2).take(4).position(|b| *b == b'\'').is_some_and(|found| found == 0 || rest[1] >= 0x80)
}

/// The length of the literal that begins and ends with `mark`.
fn quoted(rest: &[u8], mark: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != mark {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

#[test]
fn strings_comments_and_characters_are_no_code() {
    let text = "a(\"x // \\\" y\"); // z\nlet c = '\"'; let r = r#\"un\"wrap\"#; fn f<'a>(x: &'a str) {} /* q */ b";
    let code = blank(text);
    for gone in ["x", "z", "wrap", "q", "\""] {
        assert!(!code.replace("x: &", "").contains(gone), "{gone} is still in {code}");
    }
    assert!(code.contains("fn f<'a>(x: &'a str)") && code.ends_with("b") && code.lines().count() == 2, "{code}");
}
