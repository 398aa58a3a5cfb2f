//! `splashctl reload`: the service takes up its configuration as it is now. Refused (exit code 1) it runs on as before.

use splashdam_api::words::plural;
use splashdam_api::{Client, Reloaded};

use crate::exit::Exit;
use crate::output::{Output, harmless};

pub(crate) async fn run(client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let reloaded = client.reload().await?;
    for warning in &reloaded.warnings {
        output.say(&harmless(warning));
    }
    for job in &reloaded.failed {
        output.say(&format!("splashctl: job {}: {}", harmless(&job.id), job.why));
    }
    output.show(&reloaded, |_| render(&reloaded))?;
    Ok(if reloaded.failed.is_empty() { Exit::Done } else { Exit::Failed })
}

fn render(reloaded: &Reloaded) -> String {
    let of = |what: &str, ids: &[String], note: &str| match ids {
        [] => String::new(),
        ids => format!("{what}: {}{note}\n", ids.join(", ")),
    };
    let told = [
        of("started", &reloaded.started, ""),
        of("changed", &reloaded.changed, ""),
        of("stopped", &reloaded.stopped, " (what is owed is kept)"),
    ];
    let told: String = told.concat();
    let as_before = plural(reloaded.unchanged.len() as u64, "job");
    match told.is_empty() {
        true => format!("nothing has changed: {as_before}\n"),
        false => format!("{told}unchanged: {as_before}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_each_job_is_said() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let reloaded =
            Reloaded { unchanged: ids(&["a"]), started: ids(&["b", "c"]), stopped: ids(&["d"]), ..Reloaded::default() };
        let told = "started: b, c\nstopped: d (what is owed is kept)\nunchanged: 1 job\n";
        assert_eq!(render(&reloaded), told);
        assert_eq!(render(&Reloaded::default()), "nothing has changed: 0 jobs\n");
    }
}
