//! Which paths a job wants: globs with `**`, and excludes.
//!
//! Says of a path whether it is wanted and of a folder whether wanted files may lie below it, so that nothing
//! is listed in vain. Does no I/O.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use crate::source::SourceError;

#[derive(Debug)]
pub(super) struct Globs {
    wanted: GlobSet,
    excluded_paths: GlobSet,
    excluded_names: GlobSet,
    shapes: Vec<Shape>,
}

/// A glob's folders, to decide how deep to look.
#[derive(Debug)]
struct Shape {
    root: PathBuf,
    /// What follows the root, without the file's name.
    folders: Vec<Folder>,
}

#[derive(Debug)]
enum Folder {
    Any,
    Named(GlobMatcher),
}

impl Globs {
    pub(super) fn compile(paths: &[String], exclude: &[String]) -> Result<Globs, SourceError> {
        let mut shapes = Vec::new();
        for pattern in paths {
            if !pattern.starts_with('/') {
                return Err(SourceError::Relative { pattern: pattern.clone() });
            }
            shapes.push(shape(pattern)?);
        }
        let (names, whole): (Vec<_>, Vec<_>) = exclude.iter().partition(|pattern| !pattern.contains('/'));
        Ok(Globs {
            wanted: set(paths.iter())?,
            excluded_paths: set(whole.into_iter())?,
            excluded_names: set(names.into_iter())?,
            shapes,
        })
    }

    /// A file at `path` is to be followed.
    pub(super) fn wants(&self, path: &Path) -> bool {
        self.wanted.is_match(path) && !self.excludes(path)
    }

    /// Wanted files may lie in or below the folder `path`.
    pub(super) fn descends(&self, path: &Path) -> bool {
        !self.excluded_paths.is_match(path) && self.shapes.iter().any(|shape| shape.reaches(path))
    }

    /// The folders to begin with.
    pub(super) fn roots(&self) -> impl Iterator<Item = &Path> {
        self.shapes.iter().map(|shape| shape.root.as_path())
    }

    fn excludes(&self, path: &Path) -> bool {
        self.excluded_paths.is_match(path)
            || path.file_name().is_some_and(|name| self.excluded_names.is_match(Path::new(name)))
    }
}

impl Shape {
    fn reaches(&self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(&self.root) else {
            return self.root.starts_with(path);
        };
        let mut folders = self.folders.iter();
        for component in below.components() {
            match folders.next() {
                Some(Folder::Any) => return true,
                Some(Folder::Named(glob)) if glob.is_match(Path::new(component.as_os_str())) => {}
                _ => return false,
            }
        }
        true
    }
}

fn shape(pattern: &str) -> Result<Shape, SourceError> {
    let mut root = PathBuf::new();
    let mut folders = Vec::new();
    // A group may hold slashes (`{a/b,c}`); then everything below the literal beginning is looked at.
    let slash_in_group = pattern.split('{').skip(1).any(|rest| rest.split('}').next().is_some_and(|g| g.contains('/')));
    let path = Path::new(pattern);
    let parent = path.parent().unwrap_or(path);
    for component in parent.components() {
        let literal = !component.as_os_str().as_bytes().iter().any(|byte| b"*?[{\\".contains(byte));
        if literal && folders.is_empty() {
            root.push(component);
        } else if component.as_os_str() == OsStr::new("**") || slash_in_group {
            folders.push(Folder::Any);
        } else if let Component::Normal(name) = component {
            folders.push(Folder::Named(glob(&name.to_string_lossy())?));
        }
    }
    if slash_in_group {
        folders.insert(0, Folder::Any);
    }
    Ok(Shape { root, folders })
}

fn glob(pattern: &str) -> Result<GlobMatcher, SourceError> {
    build(pattern).map(|glob| glob.compile_matcher())
}

fn set<'a>(patterns: impl Iterator<Item = &'a String>) -> Result<GlobSet, SourceError> {
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        builder.add(build(pattern)?);
    }
    builder.build().map_err(|error| SourceError::Glob { pattern: String::new(), reason: error.to_string() })
}

fn build(pattern: &str) -> Result<globset::Glob, SourceError> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .map_err(|error| SourceError::Glob { pattern: pattern.to_owned(), reason: error.kind().to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(paths: &[&str], exclude: &[&str]) -> Globs {
        let own = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        Globs::compile(&own(paths), &own(exclude)).unwrap()
    }

    #[test]
    fn globs_want_files_and_excludes_take_some_away() {
        let globs = globs(&["/var/log/*.log", "/srv/**/app.log", "/opt/{a,b}/x"], &["*.tmp.log", "/srv/old/**"]);
        for (path, wanted) in [
            ("/var/log/a.log", true),
            ("/var/log/sub/a.log", false),
            ("/var/log/a.tmp.log", false),
            ("/srv/app.log", true),
            ("/srv/x/y/app.log", true),
            ("/srv/old/y/app.log", false),
            ("/opt/b/x", true),
        ] {
            assert_eq!(globs.wants(Path::new(path)), wanted, "{path}");
        }
    }

    #[test]
    fn only_folders_that_may_hold_wanted_files_are_entered() {
        let globs = globs(&["/var/log/*/x.log", "/srv/**/app.log", "/g/{a/b,c}/*.log"], &[]);
        assert_eq!(globs.roots().collect::<Vec<_>>(), [Path::new("/var/log"), Path::new("/srv"), Path::new("/g")]);
        for (path, enters) in [
            ("/var/log", true),
            ("/var", true),
            ("/var/log/one", true),
            ("/var/log/one/two", false),
            ("/srv/1/2/3", true),
            ("/g/a/b", true),
            ("/etc", false),
        ] {
            assert_eq!(globs.descends(Path::new(path)), enters, "{path}");
        }
    }

    #[test]
    fn a_broken_or_relative_glob_is_refused_by_name() {
        let refused = |pattern: &str| Globs::compile(&[pattern.to_owned()], &[]).unwrap_err().to_string();
        assert!(refused("/var/[a").contains("\"/var/[a\""), "{}", refused("/var/[a"));
        assert!(refused("logs/*.log").contains("absolute"));
    }
}
