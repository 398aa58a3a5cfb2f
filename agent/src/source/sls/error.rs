//! What can go wrong with a request, and what is to be done about it: one table, here and nowhere else.
//!
//! Promises: an answer that is not understood is never taken for a success and never passes over data.

use std::time::Duration;

/// Why a request brought no answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SlsError {
    /// No connection, no answer in time, or one that was cut.
    #[error("{0}")]
    Unreachable(String),
    /// An answer that is not what it says: cut, of the wrong size, not to be decompressed or read.
    #[error("the answer can't be used: {0}")]
    Unusable(String),
    /// The service refused.
    #[error("{status} {code}: {message} (request {request})")]
    Refused { status: u16, code: String, message: String, request: String },
    /// Access keys, certificates or addresses that can't be read or make no sense.
    #[error("{0}")]
    Setting(String),
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Ask again, later and later.
    Retry,
    /// The quota is used up: this shard waits, the others need not.
    Quota,
    /// The two clocks differ: ask again by the service's.
    Skewed,
    /// Not let in: read the access keys again; if they are the same, wait for an operator.
    Login,
    /// The cursor means nothing to the service (any more): begin again, and say so.
    Reset,
    /// There is no such shard (any more).
    ShardGone,
    /// The shard is another consumer's now.
    Lost,
    /// The group does not know us (any more): begin without shards.
    Expelled,
    /// There is no such group.
    GroupMissing,
    /// There is such a group already.
    GroupExists,
    /// Only an operator can help: wait for one, asking again rarely.
    Fatal,
}

impl SlsError {
    /// The one table of verdicts. Codes match whatever their case.
    pub(crate) fn verdict(&self) -> Verdict {
        let (status, code, message) = match self {
            SlsError::Unreachable(_) | SlsError::Unusable(_) => return Verdict::Retry,
            SlsError::Setting(_) => return Verdict::Fatal,
            SlsError::Refused { status, code, message, .. } => (*status, code.to_ascii_lowercase(), message),
        };
        match code.as_str() {
            "requesttimetooskewed" | "requesttimeexpired" => Verdict::Skewed,
            "invalidcursor" => Verdict::Reset,
            "parameterinvalid" if message.to_ascii_lowercase().contains("cursor") => Verdict::Reset,
            "logstorewithoutshard" => Verdict::Retry,
            "shardnotexist" | "shardnotexsit" => Verdict::ShardGone,
            "consumernotmatch" | "consumernotexist" | "consumernotexsit" => Verdict::Lost,
            "notexistconsumerwithbody" => Verdict::Expelled,
            "consumergroupnotexist" => Verdict::GroupMissing,
            "consumergroupalreadyexist" => Verdict::GroupExists,
            "signaturenotmatch"
            | "unauthorized"
            | "invalidaccesskeyid"
            | "securitytokenexpired"
            | "invalidsecuritytoken" => Verdict::Login,
            "projectforbidden" => Verdict::Fatal,
            "internalservererror" | "requesttimeout" | "serverbusy" => Verdict::Retry,
            _ => by_status(status, &code),
        }
    }
}

fn by_status(status: u16, code: &str) -> Verdict {
    match status {
        401 => Verdict::Login,
        403 if code.contains("quota") || code.contains("exceed") => Verdict::Quota,
        429 => Verdict::Quota,
        408 => Verdict::Retry,
        // whatever else the service does not like will not be liked the next time
        400..=499 => Verdict::Fatal,
        _ => Verdict::Retry,
    }
}

/// How long to wait before asking again.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    least: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(least: Duration, most: Duration) -> Backoff {
        Backoff { least, most, next: least }
    }

    /// Twice as long each time, of which a random half is left out so that many do not come at once.
    /// `random` is from 0 to 1.
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.most);
        wait.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str, message: &str) -> Verdict {
        let (code, message, request) = (code.to_owned(), message.to_owned(), "r".to_owned());
        SlsError::Refused { status, code, message, request }.verdict()
    }

    #[test]
    fn every_refusal_has_its_verdict() {
        for (status, code, verdict) in [
            (400, "RequestTimeTooSkewed", Verdict::Skewed),
            (400, "InvalidCursor", Verdict::Reset),
            (400, "LogStoreWithoutShard", Verdict::Retry),
            (404, "ShardNotExist", Verdict::ShardGone),
            (400, "ShardNotExsit", Verdict::ShardGone),
            (400, "ConsumerNotMatch", Verdict::Lost),
            (404, "consumernotexist", Verdict::Lost),
            (400, "NotExistConsumerWithBody", Verdict::Expelled),
            (404, "ConsumerGroupNotExist", Verdict::GroupMissing),
            (400, "ConsumerGroupAlreadyExist", Verdict::GroupExists),
            (401, "SignatureNotMatch", Verdict::Login),
            (401, "Unauthorized", Verdict::Login),
            (403, "ReadQuotaExceed", Verdict::Quota),
            (403, "ShardReadQuotaExceed", Verdict::Quota),
            (403, "Read QPS Exceed", Verdict::Quota),
            (403, "ProjectForbidden", Verdict::Fatal),
            (404, "ProjectNotExist", Verdict::Fatal),
            (404, "ProjectNotExists", Verdict::Fatal),
            (404, "LogStoreNotExist", Verdict::Fatal),
            (400, "InvalidAPIVersion", Verdict::Fatal),
            (500, "InternalServerError", Verdict::Retry),
            (503, "ServerBusy", Verdict::Retry),
            (502, "", Verdict::Retry),
            (200, "", Verdict::Retry),
        ] {
            assert_eq!(refused(status, code, ""), verdict, "{status} {code}");
        }
        assert_eq!(refused(400, "ParameterInvalid", "Invalid cursor abc"), Verdict::Reset);
        assert_eq!(refused(400, "ParameterInvalid", "count"), Verdict::Fatal);
        assert_eq!(SlsError::Unusable("cut".to_owned()).verdict(), Verdict::Retry);
    }

    #[test]
    fn waits_double_up_to_their_limit_and_begin_again() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        let waits: Vec<u64> = (0..7).map(|_| backoff.next(0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        backoff.reset();
        assert_eq!(backoff.next(1.0), Duration::from_millis(500));
    }
}
