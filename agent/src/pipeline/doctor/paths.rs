//! Whether the files of a job can be read, and if not, where the way to them ends. Blocking.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use splashdam_api::words::plural;
use splashdam_api::{Check, Verdict, group_name, user_name};

use super::{advised, check};
use crate::plan::{FilePlan, JobPlan, SourcePlan};
use crate::source::file::matches;

/// Files that are named singly.
const MOST_NAMED: usize = 3;

pub(super) fn look(job: &JobPlan) -> Vec<Check> {
    let files = job.sources().into_iter().filter_map(|source| match source {
        SourcePlan::File(files) => Some(files),
        SourcePlan::Stdin(_) | SourcePlan::Sls(_) => None,
    });
    files.flat_map(|files| files.paths.iter().map(|glob| of_glob(job.id(), glob, files))).collect()
}

fn of_glob(job: &str, glob: &str, plan: &FilePlan) -> Check {
    let told = |verdict, found: String| check(Some(job), "paths", verdict, found);
    if let Some(barrier) = barrier(&matches::literal_folder(glob)) {
        return advised(told(Verdict::Bad, format!("{glob}: {}", barrier.found)), &barrier.advice);
    }
    let seen = matches::look(glob, &plan.exclude);
    let unreadable: Vec<&PathBuf> = seen.unreadable.iter().map(|(path, _)| path).collect();
    if let Some(first) = unreadable.first() {
        let named: Vec<String> = unreadable.iter().take(MOST_NAMED).map(|path| owned(path)).collect();
        let found = format!("{glob}: can't be read: {}", named.join(", "));
        return advised(told(Verdict::Bad, found), &way_in(first, first.is_dir()));
    }
    if seen.gave_up {
        return told(
            Verdict::Warn,
            format!(
                "{glob}: a tree too large to be looked at to its end; {} seen",
                plural(seen.matching as u64, "file")
            ),
        );
    }
    match seen.why_nothing(glob) {
        Some(why) => advised(told(Verdict::Warn, why), "right if the files are still to come; else mend the path"),
        None => told(Verdict::Ok, format!("{glob}: {}, all can be read", plural(seen.matching as u64, "file"))),
    }
}

struct Barrier {
    found: String,
    advice: String,
}

/// The first component on the way to `folder` that does not let us pass.
fn barrier(folder: &Path) -> Option<Barrier> {
    let mut way: Vec<&Path> = folder.ancestors().collect();
    way.reverse();
    for part in way {
        match std::fs::metadata(part) {
            Ok(meta) if !meta.is_dir() => {
                let found = format!("{} is no folder", part.display());
                return Some(Barrier { found, advice: "mend the path".to_owned() });
            }
            // Asked for what is in it, by the rights that count when files are opened (`access` passes capabilities over).
            Ok(_) if std::fs::metadata(part.join(".")).is_err() => {
                let found = format!("{} can't be passed", owned(part));
                return Some(Barrier { found, advice: way_in(part, true) });
            }
            Ok(_) => {}
            // What is missing is found by the glob that finds nothing.
            Err(_) => return None,
        }
    }
    None
}

/// What lets the agent's user in.
fn way_in(path: &Path, is_folder: bool) -> String {
    let user = user_name(rustix::process::geteuid().as_raw());
    let rights = if is_folder { "rx" } else { "r" };
    format!(
        "setfacl -m u:{user}:{rights} {} (or the group's right to read it); the packaged service may read all",
        path.display()
    )
}

/// `/var/log/app.log (root:adm, mode 0640)`
fn owned(path: &Path) -> String {
    match std::fs::metadata(path) {
        Ok(meta) => {
            let mode = meta.mode() & 0o7777;
            format!("{} ({}:{}, mode {mode:04o})", path.display(), user_name(meta.uid()), group_name(meta.gid()))
        }
        Err(error) => format!("{} ({error})", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(glob: &Path) -> Check {
        of_glob("web", glob.to_str().unwrap(), &FilePlan::default())
    }

    #[test]
    fn globs_that_find_nothing_and_files_in_the_way_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.log");
        std::fs::write(&file, "x\n").unwrap();
        assert_eq!(looked(&folder.path().join("*.log")).verdict, Verdict::Ok);
        let nothing = looked(&folder.path().join("*.txt"));
        assert!(nothing.verdict == Verdict::Warn && nothing.found.contains("no file matches"), "{nothing:?}");
        let through = looked(&file.join("*.log"));
        assert!(through.verdict == Verdict::Bad && through.found.contains("a.log is no folder"), "{through:?}");
        assert_eq!(looked(&folder.path().join("gone/*.log")).verdict, Verdict::Warn);
    }
}
