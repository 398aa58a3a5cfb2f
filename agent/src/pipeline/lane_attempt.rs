//! One try of one work: read its members, send them, hear the answer, look up what the answer leaves open.
//!
//! Decides nothing about documents (that is `deliver/response.rs`) and changes no lane; it reports an `Outcome`.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::lane_door::Door;
use super::lane_lookup;
use super::lane_status::Delivery;
use super::lane_work::{Key, Piece, Work};
use crate::deliver::{self, Answer, Client, Identity, Indices, Refusal, Sent, Trouble, Verdict, Whole};
use crate::metrics::PipelineMetrics;
use crate::plan::ElasticsearchPlan;
use crate::record::{Bitmap, DeadLetter, Timestamp, gzip};
use crate::store::StoreError;

/// What all attempts of a pipeline share.
pub(super) struct Shared<D> {
    pub(super) door: D,
    pub(super) plan: ElasticsearchPlan,
    pub(super) client: Client,
    pub(super) indices: Indices,
    pub(super) state: Arc<Delivery>,
    pub(super) metrics: PipelineMetrics,
    /// Something was owed when this process began.
    pub(super) owed_at_start: bool,
    pub(super) met: Mutex<Option<Arc<Identity>>>,
}

/// What a try brought.
pub(super) struct Outcome {
    pub(super) index: Arc<str>,
    pub(super) work: Work,
    pub(super) ended: Ended,
    /// Pieces of which documents turned out to have arrived before, and what is left of them.
    pub(super) arrived: Vec<(Piece, Bitmap)>,
    /// Members whose stored bytes are damaged; they are not in `work` any more.
    pub(super) damaged: Vec<Key>,
    /// From sending to the answer.
    pub(super) latency: Duration,
    pub(super) raw_bytes: u64,
    pub(super) wire_bytes: u64,
}

pub(super) enum Ended {
    AllDone,
    /// One verdict per document, and the dead letters of those refused, in order.
    Items {
        verdicts: Vec<Verdict>,
        dead: Vec<DeadLetter>,
    },
    /// All documents as dead letters, in order.
    Buried(Vec<DeadLetter>),
    Whole(Whole),
    /// Nothing left to send: every member was damaged.
    Nothing,
}

/// A request as built from the store.
struct Built {
    body: Bytes,
    raw_bytes: u64,
}

impl Outcome {
    fn new(index: Arc<str>, work: Work) -> Outcome {
        Outcome {
            index,
            work,
            ended: Ended::Nothing,
            arrived: Vec::new(),
            damaged: Vec::new(),
            latency: Duration::ZERO,
            raw_bytes: 0,
            wire_bytes: 0,
        }
    }

    /// Of a try that ended without one.
    pub(super) fn broken(index: Arc<str>, mut work: Work) -> Outcome {
        work.pieces.iter_mut().for_each(|piece| piece.sent = true);
        let reason = "the attempt broke off".to_owned();
        let whole = Whole::Retry { trouble: Trouble::Failed, wait: None, status: 0, reason };
        Outcome { ended: Ended::Whole(whole), ..Outcome::new(index, work) }
    }
}

/// Makes dead letters of all documents of a work.
pub(super) async fn bury<D: Door>(shared: Arc<Shared<D>>, index: Arc<str>, work: Work, refusal: Refusal) -> Outcome {
    let mut outcome = Outcome::new(index, work);
    outcome.ended = match build(&shared, &mut outcome).await {
        Ok(None) => Ended::Nothing,
        Err(whole) => Ended::Whole(whole),
        Ok(Some(built)) => {
            outcome.raw_bytes = built.raw_bytes;
            let verdicts = vec![Verdict::Refused(Box::new(refusal)); outcome.work.count() as usize];
            match items(&shared, &mut outcome, built.body, verdicts).await {
                Ok(Ended::Items { dead, .. }) => Ended::Buried(dead),
                Ok(ended) => ended,
                Err(whole) => Ended::Whole(whole),
            }
        }
    };
    outcome
}

pub(super) async fn attempt<D: Door>(shared: Arc<Shared<D>>, index: Arc<str>, work: Work) -> Outcome {
    let mut outcome = Outcome::new(index, work);
    outcome.ended = match run(&shared, &mut outcome).await {
        Ok(ended) => ended,
        Err(Whole::ParkSink(refusal)) if matches!(refusal.status, 401 | 403) => {
            Ended::Whole(renew(&shared).await.err().unwrap_or(Whole::ParkSink(refusal)))
        }
        Err(whole) => Ended::Whole(whole),
    };
    outcome
}

async fn run<D: Door>(shared: &Arc<Shared<D>>, outcome: &mut Outcome) -> Result<Ended, Whole> {
    let identity = introduce(shared).await?;
    let write_index = shared.indices.prepare(&shared.client, &shared.plan.bootstrap, &identity, &outcome.index).await?;
    if !outcome.work.sent_before() {
        outcome.work.write_index = write_index;
    }
    lane_lookup::take_out_arrived(shared, outcome).await?;
    let Some(built) = build(shared, outcome).await? else { return Ok(Ended::Nothing) };
    outcome.raw_bytes = built.raw_bytes;
    outcome.wire_bytes = built.body.len() as u64;
    shared.metrics.requests.inc();
    shared.metrics.request_bytes.inc_by(outcome.wire_bytes);
    let filling = shared.state.filling.load(Ordering::Relaxed);
    let sent: Vec<Sent> =
        outcome.work.pieces.iter().map(|piece| Sent { items: piece.count(), before: piece.sent || filling }).collect();
    let begun = Instant::now();
    let reply = shared.client.bulk(&outcome.index, &identity, built.body.clone(), outcome.work.count()).await;
    outcome.latency = begun.elapsed();
    let answer = match reply {
        Ok(reply) => deliver::judge(&reply, &sent, Timestamp::now()),
        Err(failure) => Answer::Whole(deliver::judge_failure(&failure)),
    };
    match answer {
        Answer::AllDone => Ok(Ended::AllDone),
        Answer::Whole(whole) => Err(refused(shared, &outcome.index.clone(), &mut outcome.work, whole).await),
        Answer::Items(verdicts) => items(shared, outcome, built.body, verdicts).await,
    }
}

/// Makes sure that the cluster is the one that documents are owed to.
async fn introduce<D: Door>(shared: &Arc<Shared<D>>) -> Result<Arc<Identity>, Whole> {
    let identity = match shared.client.identity().await {
        Ok(identity) => identity,
        Err(failure) => {
            let whole =
                deliver::judge_question(&failure, "asking which cluster this is").err().unwrap_or_else(stopping);
            return Err(whole);
        }
    };
    let before = shared.met.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, &identity)) {
        return Ok(identity);
    }
    let (state, owed, met) = (shared.state.clone(), shared.owed_at_start || before.is_some(), identity.clone());
    let meeting = tokio::task::spawn_blocking(move || state.meet(&met, owed));
    if let Err(stranger) = meeting.await.map_err(|_| stopping())? {
        shared.client.doubt().await; // asked again before the next try
        return Err(Whole::ParkSink(stranger));
    }
    *shared.met.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity.clone());
    Ok(identity)
}

/// After a refused or failed request: who must be asked again, what must be read again.
async fn refused<D: Door>(shared: &Arc<Shared<D>>, index: &str, work: &mut Work, whole: Whole) -> Whole {
    match &whole {
        Whole::Retry { trouble: Trouble::Unreachable, .. } => shared.client.doubt().await,
        Whole::Retry { trouble: Trouble::Failed, .. } => {
            shared.client.doubt().await;
            work.pieces.iter_mut().for_each(|piece| piece.sent = true);
        }
        Whole::Retry { .. } => work.pieces.iter_mut().for_each(|piece| piece.sent = true),
        Whole::ParkLane(refusal) => parked(shared, index, refusal).await,
        _ => {}
    }
    whole
}

/// Reads the secrets again. An `Err` is the verdict for the request that was refused with the old ones: at once
/// again with new ones, or parked because they can't be read.
async fn renew<D: Door>(shared: &Arc<Shared<D>>) -> Result<(), Whole> {
    match shared.client.reload().await {
        Ok(false) => Ok(()),
        Ok(true) => {
            let reason = "refused with the old credentials; new ones were found".to_owned();
            Err(Whole::Retry { trouble: Trouble::Rejected, wait: Some(Duration::ZERO), status: 0, reason })
        }
        Err(failure) => Err(deliver::judge_failure(&failure)),
    }
}

pub(super) fn stopping() -> Whole {
    Whole::Retry { trouble: Trouble::Unreachable, wait: None, status: 0, reason: "stopping".to_owned() }
}

/// Reads the members and cuts out what is not owed. `None`: nothing is left of it.
async fn build<D: Door>(shared: &Arc<Shared<D>>, outcome: &mut Outcome) -> Result<Option<Built>, Whole> {
    let (door, level) = (shared.door.clone(), shared.plan.bulk.compression);
    let (pieces, least) = (outcome.work.pieces.clone(), outcome.work.least_version);
    let read = tokio::task::spawn_blocking(move || {
        let mut body = Vec::new();
        let mut raw_bytes = 0;
        let mut bad: Vec<Key> = Vec::new();
        for piece in &pieces {
            match read_piece(&door, piece, level).and_then(|read| raised(read, piece, level, least)) {
                Ok((bytes, raw)) if body.is_empty() => (body, raw_bytes) = (bytes, raw_bytes + raw),
                Ok((bytes, raw)) => {
                    body.extend_from_slice(&bytes);
                    raw_bytes += raw;
                }
                Err(StoreError::Damaged { .. }) => bad.push(piece.key()),
                Err(error) => return Err(error),
            }
        }
        Ok((body, raw_bytes, bad))
    });
    let failed = |reason| Whole::Retry { trouble: Trouble::Unreachable, wait: None, status: 0, reason };
    let (body, raw_bytes, bad) =
        read.await.map_err(|_| stopping())?.map_err(|error: StoreError| failed(error.to_string()))?;
    for (seq, member) in &bad {
        tracing::error!(index = %outcome.index, seq, member, "stored documents are damaged and can't be sent");
    }
    outcome.work.pieces.retain(|piece| !bad.contains(&piece.key()));
    outcome.damaged = bad;
    Ok((!outcome.work.pieces.is_empty()).then(|| Built { body: Bytes::from(body), raw_bytes }))
}

/// One piece's gzip bytes and raw length.
pub(super) fn read_piece<D: Door>(door: &D, piece: &Piece, level: u32) -> Result<(Vec<u8>, u64), StoreError> {
    let stored = door.read(&piece.owed)?;
    let Some(keep) = &piece.items else { return Ok((stored, u64::from(piece.owed.raw_len))) };
    let damaged = || StoreError::Damaged { seq: piece.owed.seq, member: piece.owed.member };
    let raw = gzip::decompress(&stored, u64::from(piece.owed.raw_len)).map_err(|_| damaged())?;
    let raw = deliver::cut(&raw, keep).map_err(|_| damaged())?;
    let body = gzip::compress(&raw, level).map_err(|_| damaged())?;
    Ok((body, raw.len() as u64))
}

/// The same with versions of at least `least`.
fn raised(
    (body, raw_len): (Vec<u8>, u64),
    piece: &Piece,
    level: u32,
    least: Option<u64>,
) -> Result<(Vec<u8>, u64), StoreError> {
    let Some(least) = least else { return Ok((body, raw_len)) };
    let damaged = || StoreError::Damaged { seq: piece.owed.seq, member: piece.owed.member };
    let raw = gzip::decompress(&body, raw_len).map_err(|_| damaged())?;
    let raw = deliver::raise(&raw, piece.count(), least).map_err(|_| damaged())?;
    Ok((gzip::compress(&raw, level).map_err(|_| damaged())?, raw.len() as u64))
}

/// Later versions in the index: ours, then all is done; somebody else's, then ours are made later still.
fn overtaken<D: Door>(shared: &Arc<Shared<D>>, work: &mut Work, verdicts: &mut [Verdict]) {
    let issued = shared.door.issued();
    for verdict in verdicts {
        let Verdict::Outdated(version) = *verdict else { continue };
        *verdict = if version <= issued {
            Verdict::Duplicate
        } else {
            shared.metrics.foreign_version.inc();
            shared.door.overtake(version + 1);
            work.least_version = work.least_version.max(Some(version + 1));
            Verdict::Retry { rejected: false }
        };
    }
}

/// Finishes an answer that speaks of single documents: what it leaves open is looked up, and dead letters get
/// their documents.
async fn items<D: Door>(
    shared: &Arc<Shared<D>>,
    outcome: &mut Outcome,
    body: Bytes,
    mut verdicts: Vec<Verdict>,
) -> Result<Ended, Whole> {
    overtaken(shared, &mut outcome.work, &mut verdicts);
    if let Err(whole) = lane_lookup::compare(shared, outcome, &body, &mut verdicts).await {
        // The others' verdicts stand; those that could not be compared stay owed.
        tracing::warn!(index = %outcome.index, ?whole, "ids are taken, and by which documents can't be looked up");
        if let Whole::ParkLane(refusal) | Whole::ParkSink(refusal) = whole {
            let open = verdicts.iter_mut().filter(|verdict| **verdict == Verdict::Compare);
            open.for_each(|verdict| *verdict = Verdict::Parked(Box::new(refusal.clone())));
        }
    }
    for verdict in &verdicts {
        if let Verdict::Parked(refusal) = verdict {
            parked(shared, &outcome.index, refusal).await;
            break;
        }
    }
    let (index, count) = (outcome.index.clone(), outcome.work.count());
    let raw_max = outcome.raw_bytes;
    let made = tokio::task::spawn_blocking(move || {
        dead_letters(&index, &body, raw_max, count, &verdicts).map(|dead| (verdicts, dead))
    });
    let unread = |reason| Whole::Retry { trouble: Trouble::Rejected, wait: None, status: 0, reason };
    let (verdicts, dead) = made.await.map_err(|_| stopping())?.map_err(unread)?;
    Ok(Ended::Items { verdicts, dead })
}

/// An index is parked: what might put it right before the next try.
async fn parked<D: Door>(shared: &Arc<Shared<D>>, index: &str, refusal: &Refusal) {
    if refusal.kind == "index_not_found_exception" {
        shared.indices.forget(index).await;
    }
    if matches!(refusal.status, 401 | 403)
        && let Err(error) = shared.client.reload().await
    {
        tracing::warn!(%error, "the credentials can't be read again");
    }
}

/// The refused documents as dead letters, in order.
fn dead_letters(
    index: &str,
    body: &[u8],
    raw_max: u64,
    count: u32,
    verdicts: &[Verdict],
) -> Result<Vec<DeadLetter>, String> {
    if !verdicts.iter().any(|verdict| matches!(verdict, Verdict::Refused(_))) {
        return Ok(Vec::new());
    }
    let raw = gzip::decompress(body, raw_max).map_err(|error| error.to_string())?;
    let items = deliver::items(&raw, count).map_err(|error| error.to_string())?;
    let at_ms = Timestamp::now().0;
    let refused = items.iter().zip(verdicts).filter_map(|(item, verdict)| match verdict {
        Verdict::Refused(refusal) => Some((item, refusal)),
        _ => None,
    });
    Ok(refused.map(|(item, refusal)| dead_letter(index, item, refusal, at_ms)).collect())
}

fn dead_letter(index: &str, item: &deliver::Item<'_>, refusal: &Refusal, at_ms: i64) -> DeadLetter {
    DeadLetter {
        index: index.to_owned(),
        id: item.id(),
        kind: refusal.kind.clone(),
        reason: refusal.reason.clone(),
        status: refusal.status,
        action: item.action.to_vec(),
        document: item.document.to_vec(),
        at_ms,
    }
}
