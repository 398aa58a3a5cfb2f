//! Tries the connection of a job to its Logstore, changing nothing: who is there, whether the keys are taken, whether
//! what the job will ask is allowed.
//!
//! Promises: every refusal names what to look at, with the service's own words and the id of the request; no group is
//! made or joined; it ends within the timeouts of its few calls. Does not read logs.

use super::client::{Client, ShardInfo};
use super::error::{SlsError, Verdict};
use crate::plan::{SlsGroup, SlsPlan};

/// Why a Logstore can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nobody answered; the text is the network's.
    Unreachable(String),
    /// `step` names what is to be looked at: `settings`, `keys`, `permission`, …
    Refused { step: &'static str, reason: String },
}

/// What there is, a line each.
///
/// # Errors
/// The first thing that is in the way.
pub(crate) async fn probe(plan: &SlsPlan) -> Result<Vec<String>, Trouble> {
    let client = {
        let own = plan.clone();
        let made = tokio::task::spawn_blocking(move || Client::new(&own)).await;
        let stopped = |_| SlsError::Setting("the agent is stopping".to_owned());
        made.map_err(stopped).and_then(|made| made).map_err(|error| told(plan, &error, ""))?
    };
    // A clock that is wrong is learnt by asking.
    let listed = match client.shards().await {
        Err(error) if error.verdict() == Verdict::Skewed => client.shards().await,
        listed => listed,
    };
    let shards = listed.map_err(|error| told(plan, &error, "list shards"))?;
    let mut found = vec![shards_in_words(&shards)];
    if let Some(shard) = shards.first() {
        let readable = client.cursor(shard.number, "end").await;
        readable.map_err(|error| told(plan, &error, "read logs"))?;
    }
    if let Some(group) = &plan.group {
        found.push(look_at_group(plan, &client, group).await?);
    }
    let skew = client.seconds_ahead();
    if skew != 0 {
        found.push(format!("the service's clock is {skew} s ahead of this machine's; its time is used"));
    }
    Ok(found)
}

fn shards_in_words(shards: &[ShardInfo]) -> String {
    let open = shards.iter().filter(|shard| !shard.readonly()).count();
    match shards.len() {
        1 => "1 shard".to_owned(),
        all if all == open => format!("{all} shards"),
        all => format!("{all} shards, {open} of them written to"),
    }
}

async fn look_at_group(plan: &SlsPlan, client: &Client, group: &SlsGroup) -> Result<String, Trouble> {
    let name = &group.name;
    let groups = client.groups().await.map_err(|error| told(plan, &error, "list consumer groups"))?;
    let Some(there) = groups.into_iter().find(|there| there.name == *name) else {
        return Ok(format!("the consumer group {name} is not there yet: the job makes it"));
    };
    let marks = client.checkpoints(name, None).await;
    let marks = marks.map_err(|error| told(plan, &error, "read the group's checkpoints"))?;
    let (timeout, count) = (there.timeout, marks.len());
    Ok(format!("the consumer group {name} is there, with a timeout of {timeout} s and checkpoints of {count} shards"))
}

/// A failure in words for whoever can help: with advice, if only he can.
pub(super) fn explained(plan: &SlsPlan, error: &SlsError) -> String {
    let stuck = matches!(error.verdict(), Verdict::Login | Verdict::Fatal);
    match told(plan, error, "do that") {
        Trouble::Refused { reason, .. } if stuck => reason,
        _ => error.to_string(),
    }
}

/// What a failure of `call` means to whoever has set the job up.
fn told(plan: &SlsPlan, error: &SlsError, call: &str) -> Trouble {
    let (code, message) = match error {
        SlsError::Unreachable(text) => return Trouble::Unreachable(text.clone()),
        SlsError::Setting(text) => return Trouble::Refused { step: "settings", reason: text.clone() },
        SlsError::Unusable(_) => ("", ""),
        SlsError::Refused { code, message, .. } => (code.as_str(), message.as_str()),
    };
    let SlsPlan { project, logstore, reach, .. } = plan;
    let of_region = match &reach.region {
        Some(region) => format!(", or \"{region}\" is not the region of {}", reach.endpoint),
        None => String::new(),
    };
    let (step, advice) = match code.to_ascii_lowercase().as_str() {
        "signaturenotmatch" => {
            ("keys", format!("the access key secret does not belong to the access key id{of_region}"))
        }
        "securitytokenexpired" => ("keys", "the temporary credentials have expired: get new ones".to_owned()),
        "invalidsecuritytoken" => ("keys", "the security token does not belong to the access key".to_owned()),
        "unauthorized" if message.to_ascii_lowercase().contains("denied") => {
            ("permission", format!("the access key may not {call}: add the action to its RAM policy"))
        }
        "unauthorized" | "invalidaccesskeyid" => ("keys", "the service does not know the access key id".to_owned()),
        "projectforbidden" => ("permission", format!("the project {project} is closed to this access key")),
        "projectnotexist" | "projectnotexists" => {
            ("project", format!("there is no project {project} at {}: is it one of another region?", reach.endpoint))
        }
        "logstorenotexist" => ("logstore", format!("the project {project} has no Logstore {logstore}")),
        "requesttimetooskewed" => ("clock", "this machine's clock is wrong".to_owned()),
        _ => match error.verdict() {
            Verdict::Retry => ("service", "it answers, but not well: try again".to_owned()),
            Verdict::Quota => ("quota", "the project's quota is used up: try again".to_owned()),
            Verdict::Login => ("keys", "the service does not let the access key in".to_owned()),
            _ => ("service", format!("it does not let us {call}")),
        },
    };
    Trouble::Refused { step, reason: format!("{advice} ({error})") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Secret, SlsReach};

    #[test]
    fn each_refusal_names_what_to_look_at() {
        let reach = SlsReach::new("http://cn-x.example.org", Secret::literal("ak"), Secret::literal("hush"));
        let mut plan = SlsPlan::new(reach, "proj", "ls");
        plan.reach.region = Some("cn-y".to_owned());
        for (status, code, message, step, says) in [
            (401, "SignatureNotMatch", "no", "keys", "\"cn-y\" is not the region"),
            (401, "Unauthorized", "AccessKeyId not found: ak", "keys", "does not know the access key id"),
            (401, "Unauthorized", "denied by sts or ram, action: log:ListShards", "permission", "may not list shards"),
            (401, "SecurityTokenExpired", "expired", "keys", "have expired"),
            (404, "ProjectNotExist", "no", "project", "another region"),
            (404, "LogStoreNotExist", "no", "logstore", "no Logstore ls"),
            (403, "ProjectQuotaExceed", "no", "quota", "try again"),
            (502, "no error of Log Service", "<html>", "service", "<html>"),
        ] {
            let (code, message) = (code.to_owned(), message.to_owned());
            let error = SlsError::Refused { status, code, message, request: "R1".to_owned() };
            let Trouble::Refused { step: found, reason } = told(&plan, &error, "list shards") else { panic!() };
            assert_eq!(found, step, "{reason}");
            assert!(reason.contains(says) && reason.contains("R1") && !reason.contains("hush"), "{reason}");
        }
    }
}
