//! Real files: where relative paths start, which file names are jobs, what a broken datasource says.

use super::*;
use crate::plan::{Auth, SecretSource, SourcePlan};

fn load(path: &Path) -> Result<JobPlan, Problems> {
    let (plan, problems) = super::load(path, &super::NO_VARS);
    problems.refuse_or(plan)
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn ship(job: Result<JobPlan, Problems>) -> Plan {
    match job {
        Ok(JobPlan::Ship(plan)) => *plan,
        other => panic!("{other:?}"),
    }
}

#[test]
fn relative_paths_start_from_the_job_files_folder() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "key", "hunter2\n");
    let text = SMALLEST.replace("/var/log/nginx/", "logs/") + "api_key = \"${file:key}\"\n";
    let plan = ship(load(&write(folder.path(), "web.toml", &text)));
    assert_eq!(plan.id, "web");
    let SourcePlan::File(files) = plan.source else { panic!("a file source") };
    assert_eq!(files.paths, [format!("{}/logs/*.log", folder.path().display())]);
    let Auth::ApiKey(key) = plan.sink.auth else { panic!("an API key") };
    assert!(key.from == SecretSource::File(folder.path().join("key")));
}

#[test]
fn a_file_of_another_dialect_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.json", "a.properties", "a"] {
        let problems = load(&write(folder.path(), name, SMALLEST)).unwrap_err();
        let expected = format!(
            "{}/{name}: this version runs native TOML jobs (*.toml) and Flink SQL (*.sql)\n",
            folder.path().display()
        );
        assert_eq!(problems.to_string(), expected);
    }
}

#[test]
fn a_job_takes_its_connection_from_the_datasources_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let named = SMALLEST.replace("endpoint = \"http://127.0.0.1:9200\"", "datasource = \"prod\"");
    let job = write(folder.path(), "web.toml", &named);
    let problems = load(&job).unwrap_err().to_string();
    assert!(problems.contains("unknown datasource \"prod\"; there is no datasources.toml"), "{problems}");

    let good = "[prod]\ntype = \"elasticsearch\"\nendpoint = \"https://es:9200\"\nuser = \"u\"\npassword = \"p\"\n";
    write(folder.path(), "datasources.toml", good);
    let plan = ship(load(&job));
    assert_eq!(plan.sink.endpoints, ["https://es:9200"]);
    assert!(matches!(plan.sink.auth, Auth::Basic { .. }));

    write(folder.path(), "datasources.toml", &good.replace("[prod]", "[prd]"));
    let problems = load(&job).unwrap_err().to_string();
    assert!(problems.contains("unknown datasource \"prod\"; did you mean \"prd\"?"), "{problems}");

    for (bad, expected) in [
        (good.replace("endpoint", "endpiont"), "unknown key \"endpiont\" in [prod]; did you mean \"endpoint\"?"),
        (good.replace("\"p\"", "p"), "datasources.toml:5:12: not TOML: a string must stand in quotes"),
        (format!("{good}ca_file = \"x\"\n"), "it belongs in [NAME.tls]"),
    ] {
        write(folder.path(), "datasources.toml", &bad);
        let problems = load(&job).unwrap_err().to_string();
        assert!(problems.contains(expected), "{expected} is not in:\n{problems}");
        assert!(problems.contains("\"prod\" is refused for what is wrong in "), "{problems}");
    }
}

#[test]
fn a_file_that_is_none_is_refused_without_waiting_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo.toml");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let problems = load(&fifo).unwrap_err().to_string();
    assert!(problems.ends_with("fifo.toml: is no regular file\n"), "{problems}");
}

#[test]
fn a_job_in_a_folder_that_no_path_can_name_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join(std::ffi::OsStr::from_bytes(b"odd\xff"));
    std::fs::create_dir(&odd).unwrap();
    let problems = load(&write(&odd, "web.toml", SMALLEST)).unwrap_err().to_string();
    assert!(problems.contains("lies in a folder whose name is not UTF-8"), "{problems}");
}

#[test]
fn a_huge_file_is_not_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.toml");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let problems = load(&path).unwrap_err().to_string();
    assert!(problems.contains("can't be read: longer than 1 MiB"), "{problems}");
}
