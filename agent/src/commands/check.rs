//! `splashdam check [FILE…]`: everything that is wrong with the given jobs, or without a file with the service's
//! config, datasources and all its jobs. Problems and warnings go to stderr, one line per good job to stdout.
//! It reads files and looks at what globs match now; it writes nothing and opens no connection.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Exit, matches};
use crate::config::{self, Config, Found};
use crate::job::{OWN_VIEW, Problem, Problems, View};
use crate::plan::{FilePlan, IndexPart, IndexPlan, Plan, SourcePlan};

const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// Stands for the folder of credentials where it can't be known.
const UNSEEN: &str = "/run/credentials/splashdam.service";

/// 0 if all is well (warnings may be), else 1.
pub(crate) fn check(files: &[PathBuf], config: &Path) -> Exit {
    let mut out = io::stdout().lock();
    let mut err = io::stderr().lock();
    match check_into(files, config, &mut out, &mut err) {
        Ok(true) => Exit::Ok,
        // Nobody is left to tell when the output is closed.
        Ok(false) | Err(_) => Exit::Problems,
    }
}

/// Whether all is well.
fn check_into(files: &[PathBuf], config: &Path, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<bool> {
    let (found, mut problems) = if files.is_empty() { examine_service(config) } else { config::examine_files(files) };
    for (file, plan) in found.iter().filter_map(|f| Some((&f.file, f.plan.as_ref()?))) {
        problems.extend(look_at_sources(file, plan));
    }
    write!(err, "{problems}")?;
    for (file, plan) in found.iter().filter_map(|f| Some((&f.file, f.plan.as_ref()?))) {
        writeln!(out, "{}: ok: {}", file.display(), summary(plan))?;
    }
    if files.is_empty() && found.is_empty() && !problems.has_errors() {
        writeln!(out, "{}: ok: no jobs", config.display())?;
    }
    let errors = problems.errors();
    if errors > 0 {
        writeln!(err, "\n{errors} {}", if errors == 1 { "problem" } else { "problems" })?;
    }
    Ok(errors == 0)
}

fn examine_service(path: &Path) -> (Vec<Found>, Problems) {
    if (OWN_VIEW.env)(CREDENTIALS).is_some() {
        return examine_service_as(path, OWN_VIEW);
    }
    // Only the service itself is given its credentials: take them as they will be, and say so.
    let taken = RefCell::new(BTreeSet::new());
    let env = |name: &str| match name {
        CREDENTIALS => Some(UNSEEN.to_owned()),
        _ => (OWN_VIEW.env)(name),
    };
    let read = |file: &Path| match file.strip_prefix(UNSEEN) {
        Ok(name) => {
            taken.borrow_mut().insert(name.display().to_string());
            Ok("unseen".to_owned())
        }
        Err(_) => (OWN_VIEW.read)(file),
    };
    let (found, mut problems) = examine_service_as(path, View { env: &env, read: &read });
    let taken: Vec<String> = taken.into_inner().into_iter().collect();
    if !taken.is_empty() {
        let names = taken.join(", ");
        let message = format!("only the service can see its credentials, so these were not looked at: {names}");
        problems.push(Problem::of_file(path.display().to_string(), message).warning());
    }
    (found, problems)
}

fn examine_service_as(path: &Path, view: View<'_>) -> (Vec<Found>, Problems) {
    let (config, mut problems) = Config::examine(path, view);
    let Some(config) = config else { return (Vec::new(), problems) };
    let (found, more) = config::examine_all(&config, view);
    problems.extend(more);
    (found, problems)
}

fn summary(plan: &Plan) -> String {
    let from = match &plan.source {
        SourcePlan::Stdin(_) => "stdin".to_owned(),
        SourcePlan::File(files) if files.paths.len() == 1 => "1 path".to_owned(),
        SourcePlan::File(files) => format!("{} paths", files.paths.len()),
    };
    let index = match &plan.sink.index {
        IndexPlan::Literal(name) => name.clone(),
        IndexPlan::Template { parts, .. } => parts
            .iter()
            .map(|part| match part {
                IndexPart::Literal(text) | IndexPart::Date(text) => text.clone(),
                IndexPart::Field(name) => format!("%{{{name}}}"),
            })
            .collect(),
    };
    format!("{from} → {} index {index}", plan.sink.endpoints.join(", "))
}

/// What the job's globs find now: worth a warning each, since files may still come.
fn look_at_sources(file: &Path, plan: &Plan) -> Problems {
    let SourcePlan::File(files) = &plan.source else { return Problems::default() };
    let warn = |message: String| Problem::of_file(file.display().to_string(), message).warning();
    let mut problems = Problems::default();
    for glob in &files.paths {
        let seen = matches::look(glob, &files.exclude);
        if seen.matching == 0 && seen.unreadable.is_empty() && !seen.gave_up {
            let message = format!("no file matches \"{glob}\" now");
            problems.push(warn(message));
        }
        for (path, error) in seen.unreadable {
            problems.push(warn(format!("{} can't be read: {error}", path.display())));
        }
    }
    problems
}
