//! `splashdam.toml`, the service's config, and the jobs that belong to it. Parsing is pure (`parse`); `load` and
//! `load_all` read files and nothing else: whether a folder exists or can be written is found by who uses it.
//!
//! Relative paths start from the config's folder; `${env:NAME}` and the like work as in jobs.
//!
//! | key | default | what |
//! |---|---|---|
//! | `data_dir` | `/var/lib/splashdam` | positions and what is owed |
//! | `jobs_dir` | `jobs.d` beside the config | every `*.toml` in it is a job |
//! | `datasources` | `datasources.toml` beside the config | named connections |
//! | `agent_id` | minted with the data folder | part of every `_id`: `[A-Za-z0-9_-]`, 1 to 64 characters |
//! | `durability` | `"group"` | `"group"`: a sync every 50 ms; `"always"`; `"os"`: not exact in a power cut |
//! | `control_socket` | `/run/splashdam/control.sock` | where `splashctl` finds the agent |
//! | `http_listen` | none | a loopback address for `/metrics`, `/healthz` and a page to look at, e.g. `"127.0.0.1:9600"` |
//! | `log_level` | `"info"` | `"error"`, `"warn"`, `"info"`, `"debug"`, `"trace"` |
//! | `[vars]` | none | what `${name}` stands for in the jobs' scripts |
//! | **`[buffer]`** | | |
//! | `max_bytes` | no limit but the jobs' | owed on disk by all jobs together; at least 16 MiB |

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use toml_edit::Document;

use crate::job::{
    self, Datasources, Dialect, Files, JobFile, OWN_VIEW, Outside, Problem, Problems, Reader, Section, Vars, View,
    Written, syntax_problem, with_file,
};
use crate::plan::{Durability, JobPlan};

const DIALECT: &Dialect = &[
    (
        "",
        &[
            "data_dir",
            "jobs_dir",
            "datasources",
            "agent_id",
            "durability",
            "control_socket",
            "http_listen",
            "log_level",
            "buffer",
            "vars",
        ],
    ),
    ("buffer", &["max_bytes"]),
];

/// The service's settings, checked; all paths absolute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) jobs_dir: PathBuf,
    /// Need not exist.
    pub(crate) datasources: PathBuf,
    /// `None`: minted with the data folder.
    pub(crate) agent_id: Option<String>,
    pub(crate) durability: Durability,
    pub(crate) control_socket: PathBuf,
    /// Where to be looked at over HTTP, by this machine only.
    pub(crate) http_listen: Option<SocketAddr>,
    pub(crate) log_level: LogLevel,
    /// Owed bytes of all jobs together. `None`: only the jobs' own limits.
    pub(crate) buffer_max_bytes: Option<u64>,
    /// What `${name}` stands for in scripts.
    pub(crate) vars: Vars,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

impl Config {
    /// All by default, for a config in `folder`.
    pub(crate) fn in_folder(folder: &Path) -> Config {
        Config {
            data_dir: PathBuf::from("/var/lib/splashdam"),
            jobs_dir: folder.join("jobs.d"),
            datasources: folder.join("datasources.toml"),
            agent_id: None,
            durability: Durability::Group,
            control_socket: PathBuf::from("/run/splashdam/control.sock"),
            http_listen: None,
            log_level: LogLevel::Info,
            buffer_max_bytes: None,
            vars: Vars::new(),
        }
    }

    /// The settings that hold where the file says nothing.
    pub(crate) fn in_words(&self) -> Vec<(&'static str, Json)> {
        let path = |path: &Path| Json::from(path.display().to_string());
        let durability = match self.durability {
            Durability::Group => "group",
            Durability::Always => "always",
            Durability::Os => "os",
        };
        let mut settings = vec![
            ("data_dir", path(&self.data_dir)),
            ("jobs_dir", path(&self.jobs_dir)),
            ("datasources", path(&self.datasources)),
            ("durability", Json::from(durability)),
            ("control_socket", path(&self.control_socket)),
            ("log_level", Json::from(self.log_level.as_str())),
        ];
        settings.extend(self.http_listen.map(|address| ("http_listen", Json::from(address.to_string()))));
        settings.extend(self.buffer_max_bytes.map(|bytes| ("buffer.max_bytes", job::size_in_words(bytes))));
        settings
    }

    pub(crate) fn load(path: &Path) -> Result<Config, Problems> {
        let (config, problems) = Config::examine(path, OWN_VIEW);
        problems.refuse_or(config)
    }

    /// As `load`, with the warnings, and seen as `view` does.
    pub(crate) fn examine(path: &Path, view: View<'_>) -> (Option<Config>, Problems) {
        let name = path.display().to_string();
        with_file(path, view, |text, outside| Config::parse(text, &name, outside))
            .unwrap_or_else(|problems| (None, problems))
    }

    pub(crate) fn parse(text: &str, file: &str, outside: &Outside<'_>) -> (Option<Config>, Problems) {
        let document = match Document::parse(text) {
            Ok(document) => document,
            Err(e) => return (None, syntax_problem(file, text, DIALECT, &e).into()),
        };
        let (mut reader, root) = Reader::new(file, &document, outside, DIALECT);
        let config = read(&mut reader, &root);
        let problems = reader.finish();
        ((!problems.has_errors()).then_some(config), problems)
    }
}

fn read<'d>(reader: &mut Reader<'d>, root: &Section<'d>) -> Config {
    let default = Config::in_folder(reader.outside.folder);
    let durabilities = &[("group", Durability::Group), ("always", Durability::Always), ("os", Durability::Os)];
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace]
        .map(|level| (level.as_str(), level));
    let buffer = reader.section(root, "buffer");
    let limits = 16 << 20..=1 << 60;
    Config {
        data_dir: reader.path(root, "data_dir").unwrap_or(default.data_dir),
        jobs_dir: reader.path(root, "jobs_dir").unwrap_or(default.jobs_dir),
        datasources: reader.path(root, "datasources").unwrap_or(default.datasources),
        agent_id: read_agent_id(reader, root),
        durability: reader.choice(root, "durability", durabilities).unwrap_or(default.durability),
        control_socket: reader.path(root, "control_socket").unwrap_or(default.control_socket),
        http_listen: read_http_listen(reader, root),
        log_level: reader.choice(root, "log_level", &levels).unwrap_or(default.log_level),
        buffer_max_bytes: buffer.and_then(|buffer| reader.size(&buffer, "max_bytes", limits)),
        vars: read_vars(reader, root),
    }
}

fn read_http_listen<'d>(reader: &mut Reader<'d>, root: &Section<'d>) -> Option<SocketAddr> {
    let text = reader.text(root, "http_listen")?;
    let why = match text.value.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => return Some(address),
        Ok(_) => "this machine's loopback with a port: others are let in by a proxy that knows who they are",
        Err(_) => "an address and a port",
    };
    let message = format!("\"http_listen\" must be {why}, for example \"127.0.0.1:9600\", found {}", text.quoted());
    reader.refuse(text.at, "http_listen", message);
    None
}

fn read_vars<'d>(reader: &mut Reader<'d>, root: &Section<'d>) -> Vars {
    let Some((table, names)) = reader.open_free(root, "vars") else { return Vars::new() };
    let given = names.into_iter().filter_map(|name| Some((name.to_owned(), reader.text(&table, name)?.value)));
    given.collect()
}

fn read_agent_id<'d>(reader: &mut Reader<'d>, root: &Section<'d>) -> Option<String> {
    let text = reader.text(root, "agent_id")?;
    let of_id = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if text.value.len() <= 64 && text.value.bytes().all(of_id) {
        return Some(text.value);
    }
    let message =
        format!("\"agent_id\" must be 1 to 64 of the letters A-Z a-z, digits and _ -, found {}", text.quoted());
    reader.refuse(text.at, "agent_id", message);
    None
}

/// The service's files as they are written, for who wants to see what runs. `found`: its jobs, with their `problems`.
pub(crate) fn files_of(path: &Path, config: &Config, found: &[Found], problems: &Problems) -> Files {
    let job = |found: &Found| {
        let stem = || found.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        JobFile {
            id: found.plan.as_ref().map_or_else(stem, |plan| plan.id().to_owned()),
            refused: found.plan.is_none().then(|| problems.refusal_of(&found.file.display().to_string())),
            written: written(&found.file),
        }
    };
    Files {
        service: Some((written(path), config.in_words())),
        jobs: found.iter().map(job).collect(),
        datasources: vec![written(&config.datasources)],
    }
}

/// The same of job files that are named one by one.
pub(crate) fn files_of_jobs(files: &[PathBuf], jobs: &[JobPlan]) -> Files {
    let beside: BTreeSet<PathBuf> = files.iter().map(|file| Datasources::beside(file)).collect();
    let job =
        |(file, job): (&PathBuf, &JobPlan)| JobFile { id: job.id().to_owned(), refused: None, written: written(file) };
    Files {
        service: None,
        jobs: files.iter().zip(jobs).map(job).collect(),
        datasources: beside.iter().map(|file| written(file)).collect(),
    }
}

/// Of what can't be read the name alone.
fn written(file: &Path) -> Written {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let read = job::read_file(&file).ok().and_then(|text| Written::of(&file, &text));
    read.unwrap_or_else(|| Written { file, ..Written::default() })
}

/// One job file of the service, as found.
pub(crate) struct Found {
    pub(crate) file: PathBuf,
    /// `None`: refused.
    pub(crate) plan: Option<JobPlan>,
}

/// All jobs of `jobs_dir`, and everything that is wrong with those that have no plan, or with `datasources.toml`.
pub(crate) fn load_all(config: &Config) -> (Vec<Found>, Problems) {
    examine_all(config, OWN_VIEW)
}

/// As `load_all`, with the files, and seen as `view` does. In the order of the files' names.
pub(crate) fn examine_all(config: &Config, view: View<'_>) -> (Vec<Found>, Problems) {
    let view = View { vars: &config.vars, ..view };
    let (datasources, mut problems) = Datasources::load(&config.datasources, view);
    let files = match list_jobs(config) {
        Ok(files) => files,
        Err(more) => {
            problems.extend(more);
            return (Vec::new(), problems);
        }
    };
    let mut found: Vec<Found> = Vec::new();
    for file in files {
        let (plan, more) = job::examine(&file, &datasources, view);
        problems.extend(more);
        found.push(Found { file, plan });
    }
    refuse_doubles(&mut found, &mut problems);
    (found, problems)
}

/// The plans of the given job files with the warnings about them, or everything that is wrong with any of them.
pub(crate) fn load_files(files: &[PathBuf], vars: &Vars) -> Result<(Vec<JobPlan>, Problems), Problems> {
    let mut problems = Problems::default();
    let mut found = Vec::new();
    for file in files {
        let (plan, more) = job::load(file, vars);
        problems.extend(more);
        found.push(Found { file: file.clone(), plan });
    }
    refuse_doubles(&mut found, &mut problems);
    if problems.has_errors() {
        return Err(problems);
    }
    Ok((found.into_iter().filter_map(|found| found.plan).collect(), problems))
}

/// Every `*.toml` and `*.sql` of the folder but hidden ones and the datasources, by name.
fn list_jobs(config: &Config) -> Result<Vec<PathBuf>, Problems> {
    let refusal = |e: std::io::Error| {
        let folder = config.jobs_dir.display().to_string();
        Problems::from(Problem::of_file(folder, format!("the folder of the jobs (jobs_dir) can't be read: {e}")))
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&config.jobs_dir).map_err(refusal)? {
        let path = entry.map_err(refusal)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // What only looks like a job (a folder, a link to nowhere) is examined too: that is told, not passed over.
        let is_job = (name.ends_with(".toml") || name.ends_with(".sql")) && !name.starts_with('.');
        if is_job && path != config.datasources {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Two jobs of one id would share positions and ids of documents: both are refused.
pub(crate) fn refuse_doubles(found: &mut [Found], problems: &mut Problems) {
    let mut by_id: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (n, job) in found.iter().enumerate() {
        if let Some(plan) = &job.plan {
            by_id.entry(plan.id().to_owned()).or_default().push(n);
        }
    }
    for (id, jobs) in by_id.into_iter().filter(|(_, jobs)| jobs.len() > 1) {
        let names: Vec<String> =
            jobs.iter().filter_map(|n| found.get(*n)).map(|job| job.file.display().to_string()).collect();
        let (first, others) = names.split_first().map_or((String::new(), Vec::new()), |(f, o)| (f.clone(), o.to_vec()));
        let place = |n: &usize| found.get(*n).and_then(|job| std::path::absolute(&job.file).ok());
        let message = if jobs.iter().all(|n| place(n) == jobs.first().and_then(place)) {
            "is named more than once".to_owned()
        } else {
            format!("the job id \"{id}\" is also that of {}; give one of them another id = \"…\"", others.join(", "))
        };
        problems.push(Problem::of_file(first, message));
        for n in jobs {
            if let Some(job) = found.get_mut(n) {
                job.plan = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("splashdam.toml");
        std::fs::write(&path, text).unwrap();
        let in_folder = |text: String| text.replace(&folder.path().display().to_string(), "F");
        Config::load(&path).map_err(|problems| in_folder(problems.to_string())).map(|mut config| {
            for path in
                [&mut config.data_dir, &mut config.jobs_dir, &mut config.datasources, &mut config.control_socket]
            {
                *path = PathBuf::from(in_folder(path.display().to_string()));
            }
            config
        })
    }

    #[test]
    fn an_empty_config_is_a_good_one() {
        assert_eq!(load(""), Ok(Config::in_folder(Path::new("F"))));
    }

    #[test]
    fn every_key_reaches_the_config() {
        let text = "data_dir = \"data\"\njobs_dir = \"/srv/jobs\"\ndatasources = \"named.toml\"\nagent_id = \"web-1\"\n\
            durability = \"always\"\nhttp_listen = \"[::1]:9600\"\ncontrol_socket = \"c.sock\"\nlog_level = \"debug\"\n[buffer]\nmax_bytes = \"20 GiB\"\n[vars]\nindex = \"x\"\n";
        let expected = Config {
            data_dir: PathBuf::from("F/data"),
            jobs_dir: PathBuf::from("/srv/jobs"),
            datasources: PathBuf::from("F/named.toml"),
            agent_id: Some("web-1".to_owned()),
            durability: Durability::Always,
            control_socket: PathBuf::from("F/c.sock"),
            http_listen: Some(SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 9600))),
            log_level: LogLevel::Debug,
            buffer_max_bytes: Some(20 << 30),
            vars: Vars::from([("index".to_owned(), "x".to_owned())]),
        };
        assert_eq!(load(text), Ok(expected));
    }

    #[test]
    fn the_packages_own_file_names_every_key_and_no_other() {
        let text = include_str!("../../packaging/etc/splashdam.toml");
        let (mut named, mut section) = (Vec::new(), String::new());
        for line in text.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| !line.starts_with(' ')) {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
                named.push((String::new(), section.clone()));
            } else {
                let key = line.split_once('=').unwrap_or_else(|| panic!("neither a remark nor a setting: {line}")).0;
                named.push((section.clone(), key.trim().to_owned()));
            }
        }
        // What stands in [vars] has whatever name people give it.
        named.retain(|(section, _)| section != "vars");
        let mut known: Vec<(String, String)> = Vec::new();
        for (section, keys) in DIALECT {
            known.extend(keys.iter().map(|key| ((*section).to_owned(), (*key).to_owned())));
        }
        named.sort();
        known.sort();
        assert_eq!(named, known);
        // As it is installed it says nothing, so all is by default.
        assert_eq!(load(text), Ok(Config::in_folder(Path::new("F"))));
    }

    #[test]
    fn a_bad_value_is_told_what_is_expected() {
        for (text, expected) in [
            ("data-dir = \"x\"", "F/splashdam.toml:1:1: unknown key \"data-dir\"; did you mean \"data_dir\"?"),
            (
                "durability = \"allways\"",
                "must be one of \"group\", \"always\", \"os\", found \"allways\"; did you mean",
            ),
            (
                "agent_id = \"a.b\"",
                "\"agent_id\" must be 1 to 64 of the letters A-Z a-z, digits and _ -, found \"a.b\"",
            ),
            ("log_level = 3", "\"log_level\" must be a string, found the integer 3"),
            (
                "http_listen = \"0.0.0.0:9600\"",
                "must be this machine's loopback with a port: others are let in by a proxy that knows who they are, for example",
            ),
            ("http_listen = \"9600\"", "must be an address and a port, for example \"127.0.0.1:9600\", found \"9600\""),
            ("jobs_dir = \"\"", "\"jobs_dir\" is empty"),
            ("control_socket = []", "\"control_socket\" must be a string, found a list"),
            ("datasources = { a = 1 }", "\"datasources\" must be a string, found a table"),
            ("buffer = 5", "[buffer] must be a section, found an integer"),
            ("[buffer]\nmax_bytes = \"1 MiB\"", "must be from 16 MiB to"),
            ("max_bytes = \"1 GiB\"", "unknown key \"max_bytes\"; it belongs in [buffer]"),
        ] {
            let problems = load(text).unwrap_err();
            assert!(problems.contains(expected), "{text} should say\n  {expected}\nbut says\n{problems}");
        }
    }

    #[test]
    fn good_jobs_are_loaded_beside_bad_ones() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::in_folder(folder.path());
        let (plans, problems) = load_all(&config);
        assert!(plans.is_empty() && problems.to_string().contains("the folder of the jobs (jobs_dir) can't be read"));
        std::fs::create_dir(&config.jobs_dir).unwrap();
        let job = "[source]\ntype = \"stdin\"\n[sink]\ntype = \"elasticsearch\"\nendpoint = \"http://es:9200\"\nindex = \"x\"\n";
        for (name, text) in [("b.toml", job), ("a.toml", job), ("bad.toml", "x"), ("notes.txt", "x"), ("a.toml~", "x")]
        {
            std::fs::write(config.jobs_dir.join(name), text).unwrap();
        }
        let (plans, problems) = load_all(&config);
        assert_eq!(
            plans.iter().filter_map(|found| found.plan.as_ref()).map(JobPlan::id).collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert_eq!(problems.errors(), 1, "{problems}");
        std::fs::create_dir(config.jobs_dir.join("folder.toml")).unwrap();
        std::os::unix::fs::symlink("nowhere", config.jobs_dir.join("link.toml")).unwrap();
        let problems = load_all(&config).1.to_string();
        assert!(
            problems.contains("folder.toml: is a folder") && problems.contains("link.toml: can't be read"),
            "{problems}"
        );
    }

    #[test]
    fn a_job_that_is_named_twice_is_told_apart_from_two_of_one_id() {
        let folder = tempfile::tempdir().unwrap();
        let job = "id = \"a\"\n[source]\ntype = \"stdin\"\n[sink]\ntype = \"elasticsearch\"\nendpoint = \"http://es:9200\"\nindex = \"x\"\n";
        let [one, two] = ["one.toml", "two.toml"].map(|name| folder.path().join(name));
        for file in [&one, &two] {
            std::fs::write(file, job).unwrap();
        }
        let problems =
            load_files(&[one.clone(), folder.path().join("./one.toml")], &Vars::new()).unwrap_err().to_string();
        assert!(problems.ends_with("one.toml: is named more than once\n"), "{problems}");
        let problems = load_files(&[one, two], &Vars::new()).unwrap_err().to_string();
        assert!(problems.contains("the job id \"a\" is also that of"), "{problems}");
    }
}
