//! `splashdam check [FILE…]`: everything that is wrong with the given jobs, or without a file with the service's
//! config, datasources and all its jobs. Problems and warnings go to stderr, one line per good job to stdout.
//! It reads files and looks at what globs match now; it writes nothing, and opens no connection unless asked to try them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use splashdam_api::words::plural;

use super::{Exit, connections, summary};
use crate::config::{self, Config, Found};
use crate::job::{self, Datasources, OWN_VIEW, Problem, Problems, Vars, View};
use crate::plan::{JobPlan, SourcePlan};
use crate::source::file::matches;

const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// Stands for the folder of credentials where it can't be known.
const UNSEEN: &str = "/run/credentials/splashdam.service";

/// 0 if all is well (warnings may be), else 1. `connect`: the jobs' connections are tried as well.
pub(crate) fn check(files: &[PathBuf], config: &Path, vars: &Vars, connect: bool) -> Exit {
    let mut out = io::stdout().lock();
    let mut err = io::stderr().lock();
    let mut jobs = Vec::new();
    let checked = check_into(files, config, vars, &mut jobs, &mut out, &mut err);
    match checked {
        Ok(good) if connect => match (connections::all_connectable(&jobs, &mut out), good) {
            (Ok(true), true) => Exit::Ok,
            _ => Exit::Problems,
        },
        Ok(true) => Exit::Ok,
        // Nobody is left to tell when the output is closed.
        Ok(false) | Err(_) => Exit::Problems,
    }
}

/// What was examined: jobs, other good files with a word about them, and all that is wrong.
#[derive(Default)]
struct Examined {
    jobs: Vec<Found>,
    others: Vec<(PathBuf, String)>,
    problems: Problems,
}

/// Whether all is well; the good jobs.
fn check_into(
    files: &[PathBuf],
    config: &Path,
    vars: &Vars,
    plans: &mut Vec<JobPlan>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<bool> {
    let mut examined = Examined::default();
    if files.is_empty() {
        examined.service(config);
    } else {
        examined.files(files, vars);
    }
    let Examined { jobs, others, mut problems } = examined;
    let good = || jobs.iter().filter_map(|job| Some((&job.file, job.plan.as_ref()?)));
    for (file, plan) in good() {
        problems.extend(look_at_sources(file, plan));
    }
    write!(err, "{problems}")?;
    for (file, words) in &others {
        writeln!(out, "{}: ok: {words}", file.display())?;
    }
    for (file, plan) in good() {
        writeln!(out, "{}: ok: {}", file.display(), summary::of(plan))?;
        plans.push(plan.clone());
    }
    let errors = problems.errors();
    if files.is_empty() && !config.exists() {
        writeln!(
            err,
            "\nNo file was named, so this was about the service; `splashdam check JOB.toml` is about a job."
        )?;
    }
    if errors > 0 {
        writeln!(err, "\n{}", plural(errors as u64, "problem"))?;
    }
    Ok(errors == 0)
}

impl Examined {
    /// The service's config and all that belongs to it.
    fn service(&mut self, path: &Path) {
        if (OWN_VIEW.env)(CREDENTIALS).is_some() {
            return self.service_as(path, OWN_VIEW);
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
        self.service_as(path, View { env: &env, read: &read, ..OWN_VIEW });
        let taken: Vec<String> = taken.into_inner().into_iter().collect();
        if !taken.is_empty() {
            let names = taken.join(", ");
            let message = format!("only the service can see its credentials, so these were not looked at: {names}");
            self.problems.push(Problem::of_file(path.display().to_string(), message).warning());
        }
    }

    fn service_as(&mut self, path: &Path, view: View<'_>) {
        let (config, problems) = Config::examine(path, view);
        self.problems.extend(problems);
        let Some(config) = config else { return };
        let (jobs, problems) = config::examine_all(&config, view);
        self.problems.extend(problems);
        let count = jobs.len() as u64;
        let words = format!("data in {}, {}", config.data_dir.display(), plural(count, "job"));
        self.others.push((path.to_owned(), words));
        self.jobs.extend(jobs);
    }

    /// Jobs; the two other files that people have beside them are known by name.
    fn files(&mut self, files: &[PathBuf], vars: &Vars) {
        let mut known: BTreeMap<PathBuf, (Datasources, bool)> = BTreeMap::new();
        for file in files {
            if file.file_name().is_some_and(|name| name == "splashdam.toml") {
                self.service(file);
                continue;
            }
            let is_datasources = file.file_name().is_some_and(|name| name == "datasources.toml");
            let beside = if is_datasources { file.clone() } else { Datasources::beside(file) };
            let (datasources, good) = known.entry(beside).or_insert_with_key(|beside| {
                let (datasources, problems) = Datasources::load(beside, OWN_VIEW);
                let good = !problems.has_errors();
                self.problems.extend(problems);
                (datasources, good)
            });
            if is_datasources {
                if *good && datasources.file().is_none() {
                    let message = "there is no such file";
                    self.problems.push(Problem::of_file(file.display().to_string(), message));
                } else if *good {
                    let words = plural(datasources.names().count() as u64, "datasource");
                    self.others.push((file.clone(), words));
                }
                continue;
            }
            let (plan, problems) = job::examine(file, datasources, View { vars, ..OWN_VIEW });
            self.problems.extend(problems);
            self.jobs.push(Found { file: file.clone(), plan });
        }
        config::refuse_doubles(&mut self.jobs, &mut self.problems);
    }
}

/// What the job's globs find now: worth a warning each, since files may still come.
fn look_at_sources(file: &Path, job: &JobPlan) -> Problems {
    let warn = |message: String| Problem::of_file(file.display().to_string(), message).warning();
    let mut problems = Problems::default();
    for source in job.sources() {
        let SourcePlan::File(files) = source else { continue };
        for glob in &files.paths {
            let seen = matches::look(glob, &files.exclude);
            if let Some(why) = seen.why_nothing(glob) {
                problems.push(warn(why));
                continue;
            }
            for (path, error) in seen.unreadable {
                problems.push(warn(format!("{} can't be read: {error}", path.display())));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const JOB: &str = "[source]\ntype = \"file\"\npaths = [\"logs/*.log\", \"none/*.log\"]\n[sink]\n\
        type = \"elasticsearch\"\nendpoint = \"http://127.0.0.1:9200\"\nindex = \"logs-%{app}-%Y.%m\"\n";

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("jobs.d/logs")).unwrap();
        std::fs::write(folder.path().join("jobs.d/logs/a.log"), "line\n").unwrap();
        folder
    }

    /// (all is well, stdout, stderr), the folder written as `F`.
    fn run(folder: &Path, files: &[&str], config: &str) -> (bool, String, String) {
        let files: Vec<PathBuf> = files.iter().map(|name| folder.join(name)).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let well = check_into(&files, &folder.join(config), &Vars::new(), &mut Vec::new(), &mut out, &mut err).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap().replace(&folder.display().to_string(), "F");
        (well, text(out), text(err))
    }

    fn write(folder: &Path, name: &str, text: &str) {
        std::fs::write(folder.join(name), text).unwrap();
    }

    #[test]
    fn a_good_job_is_one_line_and_an_empty_glob_a_warning() {
        let folder = folder();
        write(folder.path(), "jobs.d/nginx.toml", JOB);
        let (well, out, err) = run(folder.path(), &["jobs.d/nginx.toml"], "absent");
        assert!(well, "{err}");
        assert_eq!(out, "F/jobs.d/nginx.toml: ok: 2 paths → http://127.0.0.1:9200 index logs-%{app}-%Y.%m\n");
        assert_eq!(err, "F/jobs.d/nginx.toml: warning: no file matches \"F/jobs.d/none/*.log\" now\n");
    }

    #[test]
    fn all_problems_of_all_files_come_at_once() {
        let folder = folder();
        write(folder.path(), "jobs.d/a.toml", "[sorce]\n");
        write(folder.path(), "jobs.d/b.toml", &JOB.replace("index", "indx"));
        write(folder.path(), "jobs.d/c.toml", "id = \"same\"\n".to_owned().as_str());
        let files = ["jobs.d/a.toml", "jobs.d/b.toml", "jobs.d/c.json", "jobs.d/absent.toml"];
        let (well, out, err) = run(folder.path(), &files, "absent");
        assert!(!well);
        assert_eq!(out, "");
        for expected in [
            "F/jobs.d/a.toml:1:2: unknown section [sorce]; did you mean \"source\"?",
            "F/jobs.d/a.toml: the section [sink] is missing;",
            "F/jobs.d/b.toml:7:1: unknown key \"indx\" in [sink]; did you mean \"index\"?",
            "F/jobs.d/c.json: this version runs native TOML jobs (*.toml) and Flink SQL (*.sql)",
            "F/jobs.d/absent.toml: can't be read: No such file",
            "\n6 problems\n",
        ] {
            assert!(err.contains(expected), "{expected} is not in:\n{err}");
        }
    }

    #[test]
    fn a_script_is_checked_like_any_job() {
        let folder = folder();
        let script = "CREATE TABLE s (a INT) WITH ('connector'='filesystem', 'path'='/x', 'format'='json');\n\
            CREATE TABLE t (a INT) WITH ('connector'='print');\nINSERT INTO t SELECT a FROM s";
        write(folder.path(), "jobs.d/good.sql", script);
        write(folder.path(), "jobs.d/bad.sql", &script.replace("FROM", "FORM"));
        let (well, out, err) = run(folder.path(), &["jobs.d/good.sql", "jobs.d/bad.sql"], "absent");
        assert!(!well && out.contains("good.sql: ok: s (1 path) → t (standard output)"), "{out}{err}");
        assert!(err.contains("bad.sql:3:24: FORM is not understood here; did you mean FROM?"), "{err}");
    }

    #[test]
    fn without_files_the_service_is_checked_with_its_jobs_and_datasources() {
        let folder = folder();
        write(folder.path(), "splashdam.toml", "data_dir = \"data\"\n");
        let named = JOB.replace("endpoint = \"http://127.0.0.1:9200\"", "datasource = \"prod\"");
        write(folder.path(), "jobs.d/one.toml", &named);
        write(folder.path(), "jobs.d/.hidden.toml", "nonsense");
        write(
            folder.path(),
            "datasources.toml",
            "[prod]\ntype = \"elasticsearch\"\nendpoints = [\"https://es:9200\"]\napi_key = \"${credential:es-key}\"\n",
        );
        let (well, out, err) = run(folder.path(), &[], "splashdam.toml");
        assert!(well, "{err}");
        assert_eq!(
            out,
            "F/splashdam.toml: ok: data in F/data, 1 job\n\
             F/jobs.d/one.toml: ok: 2 paths → https://es:9200 index logs-%{app}-%Y.%m\n"
        );
        assert!(err.contains("these were not looked at: es-key"), "{err}");
        // The same by naming the config, and the datasources by their name.
        assert_eq!(run(folder.path(), &["splashdam.toml"], "absent").1, out);
    }

    #[test]
    fn who_has_no_service_is_told_how_a_job_is_checked() {
        let folder = folder();
        let (well, _, err) = run(folder.path(), &[], "absent.toml");
        assert!(!well && err.contains("absent.toml: can't be read: No such file"), "{err}");
        assert!(err.contains("`splashdam check JOB.toml` is about a job"), "{err}");
    }

    #[test]
    fn two_jobs_of_one_id_are_refused_and_both_files_named() {
        let folder = folder();
        write(folder.path(), "splashdam.toml", "");
        write(folder.path(), "jobs.d/one.toml", JOB);
        write(folder.path(), "jobs.d/two.toml", &format!("id = \"one\"\n{JOB}"));
        let (well, out, err) = run(folder.path(), &[], "splashdam.toml");
        assert!(!well);
        assert_eq!(out, "F/splashdam.toml: ok: data in /var/lib/splashdam, 2 jobs\n");
        let expected = "F/jobs.d/one.toml: the job id \"one\" is also that of F/jobs.d/two.toml; \
            give one of them another id = \"…\"";
        assert!(err.contains(expected), "{err}");
    }

    #[test]
    fn a_password_that_everybody_can_read_is_a_warning_with_the_way_out() {
        let folder = folder();
        let job = JOB.replace("index =", "user = \"u\"\npassword = \"hunter2\"\nindex =");
        write(folder.path(), "jobs.d/nginx.toml", &job);
        let path = folder.path().join("jobs.d/nginx.toml");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let (well, _, err) = run(folder.path(), &["jobs.d/nginx.toml"], "absent");
        assert!(well && err.contains("write password = \"${file:PATH}\""), "{err}");
        assert!(!err.contains("hunter2"), "{err}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (_, _, err) = run(folder.path(), &["jobs.d/nginx.toml"], "absent");
        assert!(!err.contains("password"), "{err}");
    }

    #[test]
    fn a_file_that_is_no_text_is_refused_with_its_line() {
        let folder = folder();
        std::fs::write(folder.path().join("bad.toml"), b"id = \"x\"\n\xff\n").unwrap();
        let (well, _, err) = run(folder.path(), &["bad.toml", "jobs.d"], "absent");
        assert!(!well);
        assert!(err.contains("F/bad.toml: can't be read: not UTF-8 in line 2"), "{err}");
        assert!(err.contains("F/jobs.d: is a folder; name the jobs in it, as in F/jobs.d/*.toml"), "{err}");
    }
}
