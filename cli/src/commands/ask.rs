//! A question before something that can't be undone.

use std::io::{self, BufRead, IsTerminal};

use anyhow::bail;

use crate::output::Output;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
}

/// Asks whoever sits there.
///
/// # Errors
/// Nobody does; the error says which option does without. `what`: `to drop 3 dead letters of web`.
pub(crate) fn ask(output: &Output, what: &str, question: &str) -> anyhow::Result<Answer> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        bail!("nobody is here to be asked whether {what}; --yes does it without asking");
    }
    output.say(question);
    Ok(if confirmed(&mut io::stdin().lock())? { Answer::Yes } else { Answer::No })
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
