//! Which files the jobs of an agent come from, told to the agent for who asks it.

use std::path::Path;

use crate::config::Found;
use crate::job::Problems;
use crate::pipeline::JobFile;

/// The files of a folder of jobs, also those that are refused.
pub(super) fn of(found: &[Found], problems: &Problems) -> Vec<JobFile> {
    let known = |found: &Found| match &found.plan {
        Some(plan) => named(&found.file, plan.id()),
        None => JobFile {
            refused: Some(problems.refusal_of(&found.file.display().to_string())),
            ..named(&found.file, &found.file.file_stem().unwrap_or_default().to_string_lossy())
        },
    };
    found.iter().map(known).collect()
}

/// The file of a good job.
pub(super) fn named(file: &Path, id: &str) -> JobFile {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    JobFile { file, id: id.to_owned(), refused: None }
}
