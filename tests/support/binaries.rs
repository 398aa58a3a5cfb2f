//! The binaries under test. `cargo test` does not build those of other packages, so they are built here, once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

pub fn splashdam() -> PathBuf {
    folder().join("splashdam")
}

pub fn splashctl() -> PathBuf {
    folder().join("splashctl")
}

/// A copy of a binary at `to`, which somebody else may run. Made by a process of its own: a program that this one has
/// open for writing, and any child that it makes meanwhile, can't be run.
pub fn copy(program: &Path, to: &Path) {
    assert!(Command::new("cp").arg(program).arg(to).status().expect("cp runs").success(), "{}", to.display());
}

/// The workspace's root folder: what cargo says now, if it is there, since a target folder can serve several clones.
pub fn workspace() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        package.parent().expect("tests/ lies in the workspace").to_owned()
    })
}

/// Where the binaries of this profile are, after a build; or those that `SPLASHDAM_BINARIES` names, as they are.
fn folder() -> &'static Path {
    FOLDER.get_or_init(|| {
        if let Some(folder) = std::env::var_os("SPLASHDAM_BINARIES") {
            return folder.into();
        }
        let folder = profile_folder();
        let mut build = Command::new(env!("CARGO"));
        build.current_dir(workspace()).args(["build", "--quiet", "-p", "splashdam", "-p", "splashctl"]);
        build.arg("--target-dir").arg(folder.parent().expect("the target folder"));
        if folder.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the binaries under test do not build");
        folder
    })
}

/// `target/debug` or `target/release`: the folder of this very program, without `deps`.
fn profile_folder() -> PathBuf {
    let mut folder = std::env::current_exe().expect("own path");
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    folder
}
