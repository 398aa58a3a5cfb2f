//! Every metric's name, in one table. Rooms count; `control` renders.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    pipeline: String,
}

type Counts = Family<Labels, Counter>;
type Levels = Family<Labels, Gauge>;

/// A metric's name, its help text, and where its cell is among a pipeline's.
type Row<C> = (&'static str, &'static str, fn(&mut PipelineMetrics) -> &mut C);

/// The agent's registry; hands out one set of counters for each pipeline.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    counts: Vec<(&'static str, Counts)>,
    levels: Vec<(&'static str, Levels)>,
    /// Segment files of the store, and their bytes.
    pub(crate) segments: Gauge,
    pub(crate) disk_bytes: Gauge,
}

/// One pipeline's counters. Cheap to clone; a clone counts into the same cells.
#[derive(Clone, Debug, Default)]
pub(crate) struct PipelineMetrics {
    pub(crate) read_bytes: Counter,
    pub(crate) read_records: Counter,
    /// Bytes that a source had and that can't be read any more.
    pub(crate) gap_bytes: Counter,
    /// Files that were deleted before it was known what was last written to them.
    pub(crate) vanished_files: Counter,
    pub(crate) nul_bytes: Counter,
    /// Log groups that Log Service deleted before they were read.
    pub(crate) expired_groups: Counter,
    pub(crate) deleted_shards: Counter,
    /// Waits of a shard because a quota of Log Service was used up.
    pub(crate) quota_waits: Counter,
    pub(crate) long_lines: Counter,
    pub(crate) partial_lines: Counter,
    pub(crate) invalid_utf8_records: Counter,
    pub(crate) undecodable_records: Counter,
    pub(crate) untimed_records: Counter,
    /// Fields of records that are NULL because they can't be read as their column's type.
    pub(crate) null_fields: Counter,
    /// Rows that a query dropped for NULL in a time or a NOT NULL column.
    pub(crate) null_rows: Counter,
    /// Rows that came too late for all their windows, since the query's state began: it is kept with that.
    pub(crate) late_rows: Counter,
    pub(crate) committed_records: Counter,
    pub(crate) committed_bytes: Counter,
    pub(crate) dropped_records: Counter,
    /// Records whose stored bytes were found damaged.
    pub(crate) quarantined_records: Counter,
    pub(crate) acknowledged_records: Counter,
    /// Acknowledged because the index had them already (409 on a resend).
    pub(crate) duplicate_records: Counter,
    pub(crate) dead_letters: Counter,
    pub(crate) requests: Counter,
    pub(crate) request_bytes: Counter,
    pub(crate) retries: Counter,
    pub(crate) rejected_429: Counter,
    /// Documents of which the index had a version that we never issued.
    pub(crate) foreign_version: Counter,
    /// Bytes that sources have ready and that are not read yet.
    pub(crate) lag_bytes: Gauge,
    pub(crate) files: Gauge,
    pub(crate) owed_bytes: Gauge,
    pub(crate) owed_records: Gauge,
    pub(crate) in_flight: Gauge,
    pub(crate) parked_lanes: Gauge,
    /// A query's state in memory, and its groups.
    pub(crate) state_bytes: Gauge,
    pub(crate) groups: Gauge,
    /// Commits of a query with a state, bases of that state, and how long the last ones took, in microseconds.
    pub(crate) query_commits: Counter,
    pub(crate) bases: Counter,
    pub(crate) commit_micros: Gauge,
    pub(crate) base_micros: Gauge,
    /// Unix seconds of the last acknowledgement.
    pub(crate) last_acknowledged_seconds: Gauge,
}

const COUNTS: &[Row<Counter>] = &[
    ("read_bytes", "bytes read from the source", |m| &mut m.read_bytes),
    ("read_records", "records read from the source", |m| &mut m.read_records),
    ("gap_bytes", "bytes the source had that can't be read any more", |m| &mut m.gap_bytes),
    ("vanished_files", "files deleted while not held open, perhaps with lines never seen", |m| &mut m.vanished_files),
    ("expired_groups", "log groups that the service deleted before they were read", |m| &mut m.expired_groups),
    ("deleted_shards", "shards that the service deleted before they were read to their end", |m| &mut m.deleted_shards),
    ("quota_waits", "waits because a quota of the service was used up", |m| &mut m.quota_waits),
    ("nul_bytes", "NUL bytes of holes passed over", |m| &mut m.nul_bytes),
    ("long_lines", "lines longer than max_line_bytes", |m| &mut m.long_lines),
    ("partial_lines", "lines shipped before their newline was seen", |m| &mut m.partial_lines),
    ("invalid_utf8_records", "records with invalid UTF-8, replaced", |m| &mut m.invalid_utf8_records),
    ("undecodable_records", "records that are not of the declared format", |m| &mut m.undecodable_records),
    ("untimed_records", "records whose time can't be read", |m| &mut m.untimed_records),
    ("null_fields", "fields that can't be read as their column's type", |m| &mut m.null_fields),
    ("null_rows", "rows dropped for NULL in a time or NOT NULL column", |m| &mut m.null_rows),
    ("late_rows", "rows that came after all their windows were closed, since the state began", |m| &mut m.late_rows),
    ("query_commits", "commits of a query's state", |m| &mut m.query_commits),
    ("bases", "times that a query's whole state was written", |m| &mut m.bases),
    ("committed_records", "records made durable on the local disk", |m| &mut m.committed_records),
    ("committed_bytes", "compressed bytes made durable", |m| &mut m.committed_bytes),
    ("dropped_records", "records dropped by when_full", |m| &mut m.dropped_records),
    ("quarantined_records", "records whose stored bytes were found damaged", |m| &mut m.quarantined_records),
    ("acknowledged_records", "records that Elasticsearch has taken", |m| &mut m.acknowledged_records),
    ("duplicate_records", "acknowledged records that the index had already", |m| &mut m.duplicate_records),
    ("dead_letters", "records refused for good, kept as dead letters", |m| &mut m.dead_letters),
    ("requests", "bulk requests sent", |m| &mut m.requests),
    ("request_bytes", "compressed bytes sent", |m| &mut m.request_bytes),
    ("retries", "bulk requests sent again", |m| &mut m.retries),
    ("foreign_version", "documents of which the index had a later version than ours", |m| &mut m.foreign_version),
    ("rejected_429", "answers or items with status 429", |m| &mut m.rejected_429),
];

const LEVELS: &[Row<Gauge>] = &[
    ("lag_bytes", "bytes ready in the source and not read yet", |m| &mut m.lag_bytes),
    ("files", "files followed", |m| &mut m.files),
    ("owed_bytes", "compressed bytes committed and not acknowledged", |m| &mut m.owed_bytes),
    ("owed_records", "records committed and not acknowledged", |m| &mut m.owed_records),
    ("in_flight", "bulk requests without an answer yet", |m| &mut m.in_flight),
    ("parked_lanes", "indices that wait for an operator or the cluster", |m| &mut m.parked_lanes),
    ("state_bytes", "bytes of a query's state in memory", |m| &mut m.state_bytes),
    ("groups", "groups in a query's state", |m| &mut m.groups),
    ("commit_micros", "from the making of a query's last durable commit to its sync", |m| &mut m.commit_micros),
    ("base_micros", "from the first to the last byte of a query's last whole state", |m| &mut m.base_micros),
    ("last_acknowledged_seconds", "unix time of the last acknowledgement", |m| &mut m.last_acknowledged_seconds),
];

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let mut registry = Registry::with_prefix("splashdam");
        let mut counts = Vec::new();
        for (name, help, _) in COUNTS {
            let family = Counts::default();
            registry.register(*name, *help, family.clone());
            counts.push((*name, family));
        }
        let mut levels = Vec::new();
        for (name, help, _) in LEVELS {
            let family = Levels::default();
            registry.register(*name, *help, family.clone());
            levels.push((*name, family));
        }
        let (segments, disk_bytes) = (Gauge::default(), Gauge::default());
        registry.register("segments", "segment files of the store", segments.clone());
        registry.register("disk_bytes", "bytes of the store's segment files", disk_bytes.clone());
        Metrics { registry, counts, levels, segments, disk_bytes }
    }

    /// The counters of pipeline `id`, made on first use.
    pub(crate) fn pipeline(&self, id: &str) -> PipelineMetrics {
        let labels = Labels { pipeline: id.to_owned() };
        let mut cells = PipelineMetrics::default();
        for ((_, family), (_, _, cell)) in self.counts.iter().zip(COUNTS) {
            *cell(&mut cells) = family.get_or_create(&labels).clone();
        }
        for ((_, family), (_, _, cell)) in self.levels.iter().zip(LEVELS) {
            *cell(&mut cells) = family.get_or_create(&labels).clone();
        }
        cells
    }

    /// Pipeline `id` is no more: its counters are not shown any longer.
    pub(crate) fn forget(&self, id: &str) {
        let labels = Labels { pipeline: id.to_owned() };
        self.counts.iter().for_each(|(_, family)| {
            family.remove(&labels);
        });
        self.levels.iter().for_each(|(_, family)| {
            family.remove(&labels);
        });
    }

    /// Prometheus text.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => format!("# {error}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_one_pipeline_are_shared_and_rendered_under_its_name() {
        let metrics = Metrics::new();
        metrics.pipeline("a").read_records.inc_by(2);
        metrics.pipeline("a").read_records.inc();
        metrics.pipeline("b").owed_bytes.set(7);
        let text = metrics.render();
        assert!(text.contains("splashdam_read_records_total{pipeline=\"a\"} 3"), "{text}");
        assert!(text.contains("splashdam_owed_bytes{pipeline=\"b\"} 7"), "{text}");
        metrics.forget("a");
        let text = metrics.render();
        assert!(!text.contains("pipeline=\"a\"") && text.contains("pipeline=\"b\""), "{text}");
    }
}
