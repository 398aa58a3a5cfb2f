//! The fault script: what goes wrong with which call.
//!
//! A fault either takes the call's place (nothing is done) or spoils the answer of a call that was done. The script is asked after the
//! request was read and before it is judged, so a refused fault needs no valid signature.

use std::time::Duration;

use super::action::Action;
use super::refusal::Refusal;
use super::request::Request;

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Refused instead of done.
    Refuse(Refusal),
    /// Not done; an answer that is not the service's, as a proxy gives it.
    Foreign { status: u16, body: String },
    /// Not done; the connection is cut without an answer.
    Cut,
    /// Done, but the connection is cut before the answer.
    LoseAnswer,
    /// Done, but the connection is cut in the middle of the answer's body.
    CutBody,
    /// Done, but the answer comes so much later.
    Slow(Duration),
    /// Done, but the answer's body comes a byte at a time with such pauses.
    Trickle(Duration),
    /// Not done, and no answer for an hour.
    Hang,
    /// `x-log-bodyrawsize` is wrong by so much.
    RawSizeOff(i64),
    /// `x-log-count` is wrong by so much.
    CountOff(i64),
    /// The packed body lacks its last bytes; the HTTP message is whole.
    Truncate(usize),
    /// A byte in the middle of the packed body is another one.
    Garble,
    /// A header of the answer is missing …
    WithoutHeader(&'static str),
    /// … or says something else.
    Header(&'static str, String),
}

impl Fault {
    pub fn refuse(status: u16, code: &str, message: &str) -> Fault {
        Fault::Refuse(Refusal::new(status, code, message))
    }

    /// 403: read too often or too much.
    pub fn read_quota() -> Fault {
        Fault::refuse(403, "ShardReadQuotaExceed", "shard read quota exceeded")
    }

    pub fn write_quota() -> Fault {
        Fault::refuse(403, "ShardWriteQuotaExceed", "shard write quota exceeded")
    }

    pub fn busy() -> Fault {
        Fault::refuse(503, "ServerBusy", "the server is busy, please try again later")
    }

    pub fn internal() -> Fault {
        Fault::refuse(500, "InternalServerError", "internal server error")
    }

    pub fn invalid_cursor() -> Fault {
        Fault::refuse(400, "InvalidCursor", "Invalid cursor")
    }
}

type Script = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

struct Rule {
    action: Option<Action>,
    shard: Option<u32>,
    /// How often still; `None` for ever.
    left: Option<usize>,
    fault: Fault,
}

/// All that is to go wrong. Rules are asked in order, then the script.
#[derive(Default)]
pub(super) struct Faults {
    rules: Vec<Rule>,
    script: Option<Script>,
    /// How many calls were spoilt.
    pub(super) spoilt: usize,
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Faults").field("rules", &self.rules.len()).field("spoilt", &self.spoilt).finish()
    }
}

impl Faults {
    pub(super) fn add(&mut self, action: Option<Action>, shard: Option<u32>, left: Option<usize>, fault: Fault) {
        self.rules.push(Rule { action, shard, left, fault });
    }

    pub(super) fn set_script(&mut self, script: Script) {
        self.script = Some(script);
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
        self.script = None;
    }

    /// What goes wrong with this call, if anything.
    pub(super) fn of(&mut self, request: &Request) -> Option<Fault> {
        let (action, shard) = (request.action(), request.shard());
        let fits = |rule: &Rule| {
            rule.left != Some(0)
                && (rule.action.is_none() || rule.action == action)
                && (rule.shard.is_none() || rule.shard == shard)
        };
        let fault = match self.rules.iter_mut().find(|rule| fits(rule)) {
            Some(rule) => {
                rule.left = rule.left.map(|left| left - 1);
                Some(rule.fault.clone())
            }
            None => self.script.as_mut().and_then(|script| script(request)),
        };
        self.rules.retain(|rule| rule.left != Some(0));
        self.spoilt += usize::from(fault.is_some());
        fault
    }
}
