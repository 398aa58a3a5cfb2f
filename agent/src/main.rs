//! The agent's binary: flags, log, exit code. Everything else is in the library.

use clap::Parser;
use splashdam::commands::{self, Arguments, Exit};

fn main() -> Exit {
    let arguments = Arguments::parse();
    commands::main(arguments)
}
