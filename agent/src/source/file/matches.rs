//! What a glob finds at this moment, for the warnings of `check`, of a start and of the doctor. Looks at a bounded number of entries.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

/// Entries looked at per glob; a tree larger than that is not searched to its end.
const MOST_ENTRIES: usize = 20_000;
/// Unreadable places named per glob.
const MOST_NAMED: usize = 3;

#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) matching: usize,
    /// A folder has this very name: its files are meant, most likely.
    pub(crate) is_folder: bool,
    /// The first few files and folders that can't be read.
    pub(crate) unreadable: Vec<(PathBuf, io::Error)>,
    /// There was too much to look at.
    pub(crate) gave_up: bool,
}

/// `glob` and `exclude` as in a plan: the glob absolute, excludes without `/` for names only.
pub(crate) fn look(glob: &str, exclude: &[String]) -> Seen {
    look_for(usize::MAX, glob, exclude)
}

/// Why a glob finds no file now; `None`: it does, or it could not be looked to the end. Ends at the first file.
pub(crate) fn why_nothing(glob: &str, exclude: &[String]) -> Option<String> {
    look_for(1, glob, exclude).why_nothing(glob)
}

/// Looks until `enough` files are found.
fn look_for(enough: usize, glob: &str, exclude: &[String]) -> Seen {
    let mut seen = Seen { is_folder: Path::new(glob).is_dir(), ..Seen::default() };
    let Some(wanted) = matcher(glob) else { return seen };
    let excluded: Vec<(bool, GlobMatcher)> =
        exclude.iter().filter_map(|pattern| Some((pattern.contains('/'), matcher(pattern)?))).collect();
    let is_excluded = |path: &Path| {
        let name = Path::new(path.file_name().unwrap_or_default());
        excluded.iter().any(|(whole, glob)| glob.is_match(if *whole { path } else { name }))
    };
    let root = literal_folder(glob);
    let depth = if glob.contains("**") || glob.contains('{') {
        usize::MAX
    } else {
        glob.matches('/').count() - root.to_string_lossy().trim_end_matches('/').matches('/').count()
    };
    let mut folders = vec![(root, depth)];
    let mut looked_at = 0;
    while let Some((folder, depth)) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => {
                seen.refused(folder, e);
                continue;
            }
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if seen.matching >= enough {
                return seen;
            }
            looked_at += 1;
            if looked_at > MOST_ENTRIES {
                seen.gave_up = true;
                return seen;
            }
            let meta = std::fs::metadata(&path);
            // A link to a folder is not followed: links may go in circles.
            if meta.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
                if depth > 1 && !path.is_symlink() {
                    folders.push((path, depth - 1));
                }
            } else if wanted.is_match(&path) && !is_excluded(&path) {
                seen.matching += 1;
                let refused = match meta {
                    Ok(meta) => meta.is_file().then(|| File::open(&path).err()).flatten(),
                    Err(error) => Some(error),
                };
                // A link to nowhere, or a file that has gone meanwhile, is no file.
                if let Some(e) = refused.filter(|e| e.kind() != io::ErrorKind::NotFound) {
                    seen.refused(path, e);
                }
            }
        }
    }
    seen
}

impl Seen {
    /// What a reader of all files would have missed, in words: files that can't be opened, or the folder of all.
    pub(crate) fn missed(&self, glob: &str) -> Vec<String> {
        if self.matching == 0 {
            return self.why_nothing(glob).filter(|_| !self.unreadable.is_empty()).into_iter().collect();
        }
        let files = self.unreadable.iter().filter(|(path, _)| !path.is_dir());
        files.map(|(path, error)| format!("{}: {error}", path.display())).collect()
    }

    /// Why `glob` finds no file; `None`: it does, or there was too much to look at.
    pub(crate) fn why_nothing(&self, glob: &str) -> Option<String> {
        if self.matching > 0 || self.gave_up {
            return None;
        }
        Some(match self.unreadable.first() {
            Some((folder, error)) => format!("no file matches \"{glob}\": {} can't be read: {error}", folder.display()),
            None if self.is_folder => format!("\"{glob}\" is a folder; write \"{glob}/*\" for the files in it"),
            None => format!("no file matches \"{glob}\" now"),
        })
    }

    fn refused(&mut self, path: PathBuf, error: io::Error) {
        if self.unreadable.len() < MOST_NAMED {
            self.unreadable.push((path, error));
        }
    }
}

fn matcher(glob: &str) -> Option<GlobMatcher> {
    let glob = GlobBuilder::new(glob).literal_separator(true).build().ok()?;
    Some(glob.compile_matcher())
}

/// The folders in front of the first component that is not literal.
pub(crate) fn literal_folder(glob: &str) -> PathBuf {
    let special = glob.find(['*', '?', '[', '{', '\\']).unwrap_or(glob.len());
    let literal = glob.get(..special).unwrap_or_default();
    let (folder, _) = literal.rsplit_once('/').unwrap_or_default();
    if folder.is_empty() { PathBuf::from("/") } else { PathBuf::from(folder) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_counts_what_it_finds_now() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display().to_string();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        for name in ["x.log", "y.log", "y.tmp.log", "a/z.log", "a/b/deep.log", "a/other"] {
            std::fs::write(folder.path().join(name), "line\n").unwrap();
        }
        let none = [];
        let tmp = ["*.tmp.log".to_owned()];
        for (glob, exclude, expected) in [
            ("*.log", &none[..], 3),
            ("*.log", &tmp[..], 2),
            ("x.log", &none[..], 1),
            ("*/*.log", &none[..], 1),
            ("**/*.log", &none[..], 5),
            ("{a,a/b}/*.log", &none[..], 2),
            ("nothing*", &none[..], 0),
            ("absent/*.log", &none[..], 0),
        ] {
            let seen = look(&format!("{root}/{glob}"), exclude);
            assert_eq!(seen.matching, expected, "{glob}");
            assert!(seen.unreadable.is_empty() && !seen.gave_up, "{glob}");
            assert_eq!(why_nothing(&format!("{root}/{glob}"), exclude).is_none(), expected > 0, "{glob}");
        }
        let why = why_nothing(&format!("{root}/a"), &none).unwrap();
        assert_eq!(why, format!("\"{root}/a\" is a folder; write \"{root}/a/*\" for the files in it"));
    }
}
