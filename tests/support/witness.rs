//! The official SDKs of Aliyun Log Service: Python's, which `tests/witness/python.sh` installs where it lacks, and Go's.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::binaries::workspace;
use crate::logstore::Logstore;
use crate::services;

/// What the script ends with where the SDK can't be had.
const LACKS: i32 = 77;

/// `tests/witness/python.sh` with these arguments and the test Logstore as its HTTP proxy.
pub fn python(logstore: &Logstore, arguments: &[&str]) -> Command {
    let mut command = Command::new(workspace().join("tests/witness/python.sh"));
    // The proxy must also serve hosts that a user's no_proxy would exempt.
    command.args(arguments).current_dir(workspace()).env_remove("no_proxy").env_remove("NO_PROXY");
    command.env("http_proxy", logstore.url()).env("HTTP_PROXY", logstore.url());
    command
}

/// Runs it to its end, which must be a good one: what it printed. `None`, after a skip line: the SDK can't be had.
pub fn run_python(logstore: &Logstore, arguments: &[&str]) -> Option<String> {
    let Output { status, stdout, stderr } = python(logstore, arguments).output().expect("the script starts");
    let said = String::from_utf8_lossy(&stderr);
    if status.code() == Some(LACKS) {
        services::skip("the Python SDK of Log Service", said.trim());
        return None;
    }
    assert!(status.success(), "{arguments:?}: {status:?}\n{said}");
    Some(String::from_utf8_lossy(&stdout).into_owned())
}

/// Builds `tests/witness/sls-go` into `folder`. `None`, after a skip line: it can't be had.
pub fn go(folder: &Path) -> Option<PathBuf> {
    let program = folder.join("sls-go");
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&program).arg(".").current_dir(workspace().join("tests/witness/sls-go"));
    match build.output() {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => {
            services::skip("the Go SDK of Log Service", String::from_utf8_lossy(&output.stderr).trim());
            None
        }
        Err(error) => {
            services::skip("the Go SDK of Log Service", &error.to_string());
            None
        }
    }
}
