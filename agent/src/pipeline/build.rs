//! A job becomes a pipeline: its source, what is done to its records, its doors to the store. Nothing runs yet.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::agent::{Settings, StartError};
use super::codec::{Codec, Pool, Work};
use super::ingest::{Ingest, Signals};
use super::lane_status::Delivery;
use super::places::Places;
use super::query_codec::QueryCodec;
use super::query_door::QueryDoor;
use super::query_outputs::{Outputs, Sinks, lane_prefix};
use super::query_stage::{QueryError, QueryStage};
use super::resets::Overwrites;
use super::state_log::StateLog;
use super::status::held;
use super::trial::program_of;
use super::upserts::Upserts;
use super::versions::{Clock, Versions, is_own, outlives_reset, step_of};
use crate::encode::SHARED;
use crate::metrics::{Metrics, PipelineMetrics};
use crate::plan::{BufferPlan, ElasticsearchPlan, JobPlan, Plan, QueryPlan, SinkTarget, SourcePlan, UpdateMode};
use crate::record::{Row, Timestamp};
use crate::source::{Reader, Source};
use crate::store::{self, Commit, Room, Store, StoreError};

/// Where a script sends nothing to a cluster, rows wait as long as they do by default.
const LINGER: Duration = Duration::from_millis(200);

/// A pipeline before it runs.
pub(super) struct Built {
    pub(super) job: JobPlan,
    pub(super) ingest: Ingest,
    pub(super) sinks: Vec<BuiltSink>,
    pub(super) upserts: Option<Arc<Upserts>>,
}

/// One connection of a pipeline.
pub(super) struct BuiltSink {
    pub(super) plan: ElasticsearchPlan,
    pub(super) delivery: Arc<Delivery>,
    pub(super) door: SinkDoor,
}

pub(super) enum SinkDoor {
    Store(store::Pipeline),
    Query(QueryDoor),
}

/// What all pipelines of an agent share.
pub(super) struct Site<'a> {
    pub(super) settings: &'a Settings,
    pub(super) store: &'a Store,
    pub(super) metrics: &'a Metrics,
    pub(super) pool: &'a Arc<Pool>,
    pub(super) workers: usize,
    pub(super) host: &'a str,
}

type Rows = Vec<(u64, Box<[u8]>)>;

impl Site<'_> {
    /// # Errors
    /// A source that can't be opened, a query that can't go on from what is stored.
    pub(super) fn build(&self, job: JobPlan) -> Result<Built, StartError> {
        let metrics = self.metrics.pipeline(job.id());
        match &job {
            JobPlan::Ship(plan) => self.ship(plan, &job, metrics),
            JobPlan::Query(plan) => self.query(plan, &job, metrics),
        }
    }

    /// The job's place in the store, with all in it that a former run of it in this process had handed out (a query's
    /// state always is) and may not have given back.
    fn door(&self, job: &JobPlan) -> Result<store::Pipeline, StartError> {
        let door = self.store.pipeline(job.id(), job.buffer())?;
        door.reclaim();
        Ok(door)
    }

    /// What is wrong with a query, with the advice for this way of running it.
    fn advised(&self, error: &QueryError, job: &str) -> String {
        let said = error.to_string();
        if self.settings.service { said.replace("--reset-state", &format!("--begin-anew {job}")) } else { said }
    }

    fn ship(&self, plan: &Plan, job: &JobPlan, metrics: PipelineMetrics) -> Result<Built, StartError> {
        let door = self.door(job)?;
        if self.settings.begin_anew.contains(&plan.id) {
            begin_anew(&plan.id, &door)?;
        }
        let agent = self.store.agent_id();
        let reader = Reader { agent: &agent, job: &plan.id };
        let (own, rows): (Rows, Rows) = door.rows().into_iter().partition(|(key, _)| is_own(*key));
        let opened = Source::open(&plan.source, rows, self.settings.once, reader, metrics.clone());
        let source = opened.map_err(|error| StartError::Source { job: plan.id.clone(), error })?;
        let work = Work::Lines(Box::new(Codec::new(plan, &self.store.agent_id(), self.host, metrics.clone())));
        let once = self.settings.once || plan.source.ends();
        let sink = BuiltSink {
            plan: plan.sink.clone(),
            delivery: Arc::new(self.remembered(&plan.id, None)?),
            door: SinkDoor::Store(door.clone()),
        };
        let versions = Versions::default();
        let overwrites = Overwrites::new(&own, sink.delivery.filling.clone());
        let parts = Parts { door, source, work, query: None, versions, overwrites, sinks: Sinks::default(), once };
        let ingest = self.ingest(&plan.id, parts, plan.sink.bulk.linger, &plan.buffer, metrics);
        Ok(Built { job: job.clone(), ingest, sinks: vec![sink], upserts: None })
    }

    fn query(&self, plan: &QueryPlan, job: &JobPlan, metrics: PipelineMetrics) -> Result<Built, StartError> {
        let refused =
            |error: QueryError| StartError::Query { said: self.advised(&error, &plan.id), job: plan.id.clone() };
        let door = self.door(job)?;
        if self.settings.reset_state || self.settings.begin_anew.contains(&plan.id) {
            reset(&door, plan.tables.len())?;
        }
        let (places, changed) =
            Places::open(&plan.id, &plan.tables, &door.rows()).map_err(|error| refused(QueryError::Tables(error)))?;
        // One that has lost its rows reads nothing until it is begun anew.
        if !matches!(door.room(), Room::Parked(_)) {
            keep(&door, changed)?;
        }
        let (own, rows): (Rows, Rows) = door.rows().into_iter().partition(|(key, _)| is_own(*key));
        let program = program_of(plan).map_err(|why| refused(QueryError::Unsupported(why)))?;
        let program = Arc::new(program);
        let outputs = Arc::new(Outputs::new(plan, &reader_of(plan, &self.store.agent_id())));
        let stage = if program.stateful() {
            let opened = QueryStage::open(
                plan,
                places.clone(),
                program.clone(),
                outputs.clone(),
                &door,
                (Source::has_positions(&rows), step_of(&own)),
                metrics.clone(),
            );
            Some(Box::new(opened.map_err(refused)?))
        } else {
            None
        };
        if stage.is_none() && mixes(plan) {
            let why = "a Logstore with a consumer group is in one script with tables that only this agent reads: without a state their rows can't be told apart by others of the group; write two scripts";
            return Err(refused(QueryError::Unsupported(why.to_owned())));
        }
        let upserts = stage.as_ref().map(|stage| stage.upserts());
        let mut sources = places.sources(&plan.tables);
        if stage.is_some() {
            sources.iter_mut().for_each(|(_, source)| source.keep_whole());
        }
        let agent = self.store.agent_id();
        let reader = Reader { agent: &agent, job: &plan.id };
        let source = Source::open_all(&sources, rows, self.settings.once, reader, metrics.clone())
            .map_err(|error| StartError::Source { job: plan.id.clone(), error })?;
        // The rows of a state have their versions in its own log.
        let keyed = stage.is_none() && plan.sinks.iter().any(|sink| !sink.rows.key.is_empty());
        let versions = Versions::new(keyed, &own);
        let once = self.settings.once || sources.iter().all(|(_, source)| source.ends());
        let work = Work::Query(Box::new(QueryCodec::new(plan, places, program, outputs, self.host, metrics.clone())));
        let clock = upserts.as_ref().map_or_else(|| versions.clock(), |upserts| upserts.clock());
        let sinks = self.query_sinks(plan, &door, upserts.as_ref(), &clock)?;
        let linger = sinks.iter().map(|sink| sink.plan.bulk.linger).min().unwrap_or(LINGER);
        let names = Sinks::of(plan);
        for lane in door.lanes() {
            if let Some(sink) = names.gone(&lane.index) {
                tracing::warn!(job = %plan.id, "{}", held(&sink, &lane));
            }
        }
        let overwrites = Overwrites::default();
        let parts = Parts { door, source, work, query: stage, versions, overwrites, sinks: names, once };
        let ingest = self.ingest(&plan.id, parts, linger, &plan.buffer, metrics);
        Ok(Built { job: job.clone(), ingest, sinks, upserts })
    }

    fn query_sinks(
        &self,
        plan: &QueryPlan,
        door: &store::Pipeline,
        upserts: Option<&Arc<Upserts>>,
        clock: &Arc<Clock>,
    ) -> Result<Vec<BuiltSink>, StartError> {
        let mut sinks = Vec::new();
        for sink in &plan.sinks {
            let SinkTarget::Elasticsearch(to) = &sink.target else { continue };
            let mut to = ElasticsearchPlan::clone(to);
            if sink.rows.update == UpdateMode::Inc {
                // Partial updates have no version: their order is all they have.
                (to.bulk.ordered, to.bulk.max_in_flight) = (true, 1);
            }
            let door = QueryDoor {
                store: door.clone(),
                upserts: upserts.cloned(),
                prefix: lane_prefix(&sink.name).into(),
                clock: clock.clone(),
                seen: AtomicU64::new(0),
            };
            let delivery = Arc::new(self.remembered(&plan.id, Some(&sink.name))?);
            sinks.push(BuiltSink { plan: to, delivery, door: SinkDoor::Query(door) });
        }
        Ok(sinks)
    }

    /// What was seen of a sink's cluster. `sink`: its name, where a script has given it one.
    fn remembered(&self, job: &str, sink: Option<&str>) -> Result<Delivery, StartError> {
        Delivery::open(&self.settings.data_dir.join("sinks"), job, sink)
            .map_err(|error| StartError::Remembered { job: job.to_owned(), error })
    }

    fn ingest(
        &self,
        id: &str,
        parts: Parts,
        linger: Duration,
        buffer: &BufferPlan,
        metrics: PipelineMetrics,
    ) -> Ingest {
        let signals = Signals { watches: parts.source.watches(), ..Signals::default() };
        Ingest {
            job: id.to_owned(),
            source: parts.source,
            door: parts.door,
            work: Arc::new(parts.work),
            query: parts.query,
            versions: parts.versions,
            overwrites: parts.overwrites,
            sinks: parts.sinks,
            pool: self.pool.clone(),
            linger,
            once: parts.once,
            max_waiting: self.workers + 1,
            buffer: buffer.clone(),
            signals: Arc::new(signals),
            metrics,
        }
    }
}

/// Whether some tables are shared with other agents and some are not.
fn mixes(plan: &QueryPlan) -> bool {
    let shared = |source: &SourcePlan| matches!(source, SourcePlan::Sls(plan) if plan.group.is_some());
    let of_logstore = |source: &SourcePlan| matches!(source, SourcePlan::Sls(_));
    let mut sources = plan.tables.iter().map(|table| &table.source);
    sources.clone().any(shared) && !sources.all(of_logstore)
}

/// Who stands in the ids of rows that have no key: nobody, where several agents read the same.
fn reader_of(plan: &QueryPlan, agent: &str) -> String {
    let shared = plan.tables.iter().all(|table| matches!(table.source, SourcePlan::Sls(_)));
    if shared { SHARED.to_owned() } else { agent.to_owned() }
}

struct Parts {
    door: store::Pipeline,
    source: Source,
    work: Work,
    query: Option<Box<QueryStage>>,
    versions: Versions,
    overwrites: Overwrites,
    sinks: Sinks,
    once: bool,
}

/// Forgets state and positions: the job begins anew, and what it reads gets ids that it never gave out.
fn reset(door: &store::Pipeline, tables: usize) -> Result<(), StoreError> {
    let anew = Source::anew(Timestamp::now(), 0..tables);
    if door.begin_anew(anew.clone())? {
        return StateLog::forget(door);
    }
    StateLog::forget(door)?;
    let known = door.rows();
    if known.is_empty() {
        return Ok(());
    }
    let gone = known.into_iter().filter(|(key, _)| !outlives_reset(*key)).map(|(key, _)| (key, None));
    let rows: HashMap<u64, Option<Box<[u8]>>> =
        gone.chain(anew.into_iter().map(|(key, row)| (key, Some(row)))).collect();
    keep(door, rows.into_iter().map(|(key, value)| Row { key, value }).collect())
}

/// Commits rows and waits until they are durable.
fn keep(door: &store::Pipeline, rows: Vec<Row>) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    store::wait(door.commit(Commit { rows, ..Commit::default() })?)
}

/// Lets a job go on that has lost its positions.
fn begin_anew(job: &str, door: &store::Pipeline) -> Result<(), StoreError> {
    if door.begin_anew(Source::anew(Timestamp::now(), [0]))? {
        tracing::warn!(%job, "it begins anew: what its sources have is read under new ids");
    } else {
        tracing::warn!(%job, "it has its positions, and goes on from them: --begin-anew is for jobs that have lost them");
    }
    Ok(())
}
