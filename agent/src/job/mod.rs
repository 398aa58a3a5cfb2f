//! The scripts people write become plans: `load` reads a job file and gives its `Plan`, or everything that is wrong
//! with it at once. All reading of files and of the environment is here; the rest of the room is pure.
//!
//! Two dialects: the native one (`native.rs` lists its keys) and Flink SQL (`flink.rs`). `datasources.rs` has named connections.
//! `reader.rs`, `values.rs` and the smaller files are what dialects in TOML are read with; the agent's own config uses them as well.

mod connection;
mod datasources;
mod decode;
mod effective;
mod excerpt;
mod flink;
mod index;
mod native;
mod nearest;
mod problem;
mod quantity;
mod reader;
mod sink;
mod sls;
mod source;
#[cfg(test)]
mod tests;
mod values;
mod variables;
mod written;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

pub(crate) use datasources::Datasources;
pub(crate) use effective::{effective, of_buffer, size as size_in_words, size_of};
pub(crate) use nearest::nearest;
pub(crate) use problem::{Problem, Problems};
pub(crate) use quantity::show_size;
pub(crate) use reader::{Dialect, Reader, Section, syntax_problem};
pub(crate) use variables::Outside;
pub(crate) use written::{Files, JobFile, Written};

use crate::plan::JobPlan;

/// Nobody writes a longer one by hand, and `paths = ["/var/log/big.log"]` may end up as an argument by mistake.
const LONGEST_FILE: u64 = 1 << 20;

/// How the environment and other files are seen: by a running agent, or by `check` on behalf of one.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) read: &'a dyn Fn(&Path) -> std::io::Result<String>,
    /// What `${name}` stands for in scripts.
    pub(crate) vars: &'a Vars,
}

/// Values of `${name}` by name.
pub(crate) type Vars = BTreeMap<String, String>;

static NO_VARS: Vars = Vars::new();

/// As this process sees it.
pub(crate) const OWN_VIEW: View<'static> = View { env: &read_env, read: &read_file, vars: &NO_VARS };

/// The plan of a job file with the named connections of the `datasources.toml` beside it, and all that is wrong or
/// worth a warning. Warnings alone don't refuse a job.
pub(crate) fn load(path: &Path, vars: &Vars) -> (Option<JobPlan>, Problems) {
    let view = View { vars, ..OWN_VIEW };
    let (datasources, mut problems) = Datasources::load(&Datasources::beside(path), view);
    let (plan, more) = examine(path, &datasources, view);
    problems.extend(more);
    (plan.filter(|_| !problems.has_errors()), problems)
}

/// As `load`, with the warnings, and seen as `view` does.
pub(crate) fn examine(path: &Path, datasources: &Datasources, view: View<'_>) -> (Option<JobPlan>, Problems) {
    let name = path.display().to_string();
    if path.is_dir() {
        let message = format!("is a folder; name the jobs in it, as in {name}/*.toml");
        return (None, Problem::of_file(name, message).into());
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let examined = match &*extension {
        "toml" => with_file(path, view, |text, outside| {
            let (plan, problems) = native::parse(text, &name, &stem, outside, datasources);
            (plan.map(|plan| JobPlan::Ship(Box::new(plan))), problems)
        }),
        "sql" => with_file(path, view, |text, outside| {
            let (plan, problems) = flink::parse(text, &name, &stem, outside, datasources);
            (plan.map(|plan| JobPlan::Query(Box::new(plan))), problems)
        }),
        _ => {
            let message = "this version runs native TOML jobs (*.toml) and Flink SQL (*.sql)";
            return (None, Problem::of_file(name, message).into());
        }
    };
    examined.unwrap_or_else(|problems| (None, problems))
}

impl Datasources {
    /// The connections of one file. Without the file there are none, which is no problem until a job names one.
    pub(crate) fn load(path: &Path, view: View<'_>) -> (Datasources, Problems) {
        if !path.exists() {
            return (Datasources::default(), Problems::default());
        }
        let name = path.display().to_string();
        with_file(path, view, |text, outside| Datasources::parse(text, &name, outside))
            .unwrap_or_else(|problems| (Datasources::unreadable(&name), problems))
    }

    /// `datasources.toml` in the folder of a job file.
    pub(crate) fn beside(job: &Path) -> PathBuf {
        job.with_file_name("datasources.toml")
    }
}

/// A variable of this process; one that is not UTF-8 counts as not set.
pub(crate) fn read_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Hands `parse` the text of a file and its view of the world.
pub(crate) fn with_file<T>(
    path: &Path,
    view: View<'_>,
    parse: impl FnOnce(&str, &Outside<'_>) -> T,
) -> Result<T, Problems> {
    let refusal = |message: String| Problems::from(Problem::of_file(path.display().to_string(), message));
    let whole = std::path::absolute(path).map_err(|e| refusal(format!("no such place: {e}")))?;
    let folder = whole.parent().unwrap_or(Path::new("/"));
    if folder.to_str().is_none() {
        return Err(refusal("lies in a folder whose name is not UTF-8, from which no path can be made".to_owned()));
    }
    // Others may not end, or wait for ever.
    if std::fs::metadata(&whole).is_ok_and(|meta| !meta.is_file()) {
        return Err(refusal("is no regular file".to_owned()));
    }
    let text = read_file(&whole).map_err(|e| refusal(format!("can't be read: {e}")))?;
    let outside = Outside { folder, env: view.env, read: view.read, vars: view.vars, exposed: is_exposed(&whole) };
    Ok(parse(&text, &outside))
}

pub(crate) fn read_file(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LONGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST_FILE {
        let message = format!("longer than {}", show_size(LONGEST_FILE));
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message));
    }
    String::from_utf8(bytes).map_err(|e| {
        let good = e.as_bytes().get(..e.utf8_error().valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|b| **b == b'\n').count() + 1;
        std::io::Error::new(std::io::ErrorKind::InvalidData, format!("not UTF-8 in line {line}"))
    })
}

fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
}
