//! `pages DIR`: writes the man pages of both programs (`man1/`), that of the settings (`man5/`), and completions for
//! bash, zsh and fish into DIR.
//!
//! Made of the definitions that the programs themselves parse with, and of the README's tables of keys.

mod settings;

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::Shell;

// The companion has no library; this is its command line and nothing else.
#[path = "../../../cli/src/args.rs"]
#[allow(dead_code)]
mod args;

fn main() -> std::io::Result<()> {
    let Some(out) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err(std::io::Error::other("usage: pages DIR"));
    };
    for command in [splashdam::commands::Arguments::command(), args::Args::command()] {
        manual(command.clone(), &out.join("man1"))?;
        completions(command, &out.join("completions"))?;
    }
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md"))?;
    let page = settings::page(&readme).map_err(std::io::Error::other)?;
    std::fs::create_dir_all(out.join("man5"))?;
    std::fs::write(out.join("man5/splashdam.toml.5"), page)
}

/// One page for the program and one for each of its commands.
fn manual(command: Command, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command, folder)
}

fn completions(mut command: Command, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let name = command.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, &name, folder)?;
    }
    Ok(())
}
