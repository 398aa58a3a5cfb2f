//! `splashctl dead-letters drop`: forget them for good, after a yes.

use std::io::{self, BufRead, IsTerminal};

use anyhow::bail;
use splashdam_api::words::plural;
use splashdam_api::{Changed, Client, Which};

use super::must_be_there;
use crate::exit::Exit;
use crate::output::Output;

pub(crate) async fn run(
    pipeline: &str,
    which: Which,
    yes: bool,
    client: &Client,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    must_be_there(pipeline, &which, client).await?;
    if !yes {
        let what = match &which {
            Which::All => "all dead letters".to_owned(),
            Which::Numbers(numbers) => plural(numbers.len() as u64, "dead letter"),
        };
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            bail!("nobody is here to be asked whether to drop {what} of {pipeline}; --yes does it without asking");
        }
        output.say(&format!("Drop {what} of {pipeline} for good? [y/N]"));
        if !confirmed(&mut io::stdin().lock())? {
            output.say("Nothing was dropped.");
            return Ok(Exit::NotConfirmed);
        }
    }
    let dead_letters = client.drop_dead_letters(pipeline, which).await?;
    let dropped = plural(dead_letters, "dead letter");
    output.show(&Changed { dead_letters }, |_| format!("{dropped} of {pipeline} dropped\n"))?;
    Ok(Exit::Done)
}

/// Only a clear yes is one; the end of input is none.
fn confirmed(answer: &mut impl BufRead) -> io::Result<bool> {
    let mut line = String::new();
    answer.read_line(&mut line)?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        for (answer, want) in
            [("y\n", true), (" YES \n", true), ("n\n", false), ("\n", false), ("", false), ("yo\n", false)]
        {
            assert_eq!(confirmed(&mut answer.as_bytes()).unwrap(), want, "{answer:?}");
        }
    }
}
