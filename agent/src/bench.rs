//! Doors for `agent/benches` and nothing else: the steps that cost the most, callable with plain bytes.

use std::path::Path;
use std::time::Duration;

use crate::decode::{ColumnDecoder, Decoder, records};
use crate::deliver::{self, Answer, Reply, Sent, Verdict};
use crate::encode::{Encoder, Scratch};
use crate::plan::{
    BufferPlan, ColumnFrom, DecodePlan, Durability, ElasticsearchPlan, FilePlan, Format, JsonFormat, SourcePlan,
    TableColumn, TableFormat, TablePlan,
};
use crate::record::{Chunk, Member, Piece, SourceId, Timestamp, Type};
use crate::store::{self, Commit, Options, Store, StoreError};

/// Renders and compresses one chunk of lines; returns the compressed bytes.
///
/// # Errors
/// Only what compressing into memory can fail with.
pub fn encode(lines: Vec<u8>, json: bool) -> std::io::Result<usize> {
    let format = if json { Format::Json } else { Format::Raw };
    let decoder = Decoder::new(&DecodePlan { format, ..DecodePlan::default() }, "host");
    let encoder = Encoder::new("bench", "0123456789", &ElasticsearchPlan::new("http://localhost", "logs"));
    let chunk =
        Chunk { source: SourceId(1), path: "/var/log/a.log".into(), offset: 0, data: lines, piece: Piece::Lines };
    let mut scratch = Scratch::default();
    let mut encoding = encoder.begin(&mut scratch);
    encoding.source(chunk.source);
    let decoding = decoder.begin(&chunk, Timestamp(0));
    for record in records(&chunk) {
        encoding.document(record.offset, |out| decoding.document(&record, out).time_ms)?;
    }
    Ok(encoding.finish()?.iter().map(|member| member.gzip.len()).sum())
}

/// JSON lines that are decoded into columns: the named fields of them, texts, or BIGINT where the name begins with `n`.
pub struct Columns {
    decoder: ColumnDecoder,
    chunk: Chunk,
}

impl Columns {
    #[must_use]
    pub fn new(lines: Vec<u8>, fields: &[&str]) -> Columns {
        let column = |(i, name): (usize, &&str)| TableColumn {
            name: (*name).to_owned(),
            ty: if name.starts_with('n') { Type::BigInt } else { Type::STRING },
            from: ColumnFrom::Field(i),
        };
        let plan = TablePlan {
            name: "bench".to_owned(),
            source: SourcePlan::File(FilePlan::default()),
            format: TableFormat::Json(JsonFormat::default()),
            columns: fields.iter().enumerate().map(column).collect(),
            physical: fields.len(),
            host: None,
        };
        let chunk =
            Chunk { source: SourceId(1), path: "/var/log/a.log".into(), offset: 0, data: lines, piece: Piece::Lines };
        Columns { decoder: ColumnDecoder::new(&plan, "host"), chunk }
    }

    /// Decodes all lines; returns how many rows there are.
    #[must_use]
    pub fn decode(&self) -> usize {
        self.decoder.decode(&self.chunk, Timestamp(0)).0.rows
    }
}

/// An open store with one pipeline, to append frames to.
pub struct Log {
    store: Store,
    door: store::Pipeline,
}

impl Log {
    /// # Errors
    /// If the store can't be opened in `dir`.
    pub fn open(dir: &Path) -> Result<Log, String> {
        let options = Options {
            dir: dir.to_owned(),
            durability: Durability::Group,
            segment_bytes: 64 << 20,
            rewind: crate::source::Source::rewind,
            min_free_bytes: 0,
            ballast_bytes: 0,
            agent_id: None,
            machine: String::new(),
        };
        let text = |e: StoreError| e.to_string();
        let store = Store::open(options).map_err(text)?;
        let door =
            store.pipeline("bench", &BufferPlan { max_bytes: 1 << 40, ..BufferPlan::default() }).map_err(text)?;
        Ok(Log { store, door })
    }

    /// Appends one frame with one member and waits until it is durable.
    ///
    /// # Errors
    /// If the store has stopped.
    pub fn append(&self, gzip: Vec<u8>) -> Result<(), String> {
        let member = Member { index: "logs".into(), items: 1, raw_len: 1, gzip, sent_before: false };
        let commit = Commit { members: vec![member], rows: Vec::new(), dead: Vec::new() };
        let receipt = self.door.commit(commit).map_err(|e| e.to_string())?;
        receipt.blocking_recv().map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }

    /// # Errors
    /// If the last frames could not be made durable.
    pub fn close(self) -> Result<(), String> {
        self.store.close(Duration::from_secs(5)).map_err(|e| e.to_string())
    }
}

/// Judges a bulk answer; returns how many documents are done.
#[must_use]
pub fn judge(answer: &[u8], items: u32) -> usize {
    let reply = Reply { status: 200, body: answer.to_vec(), ..Reply::default() };
    match deliver::judge(&reply, &[Sent { items, before: false }], Timestamp(0)) {
        Answer::AllDone => items as usize,
        Answer::Items(verdicts) => verdicts.iter().filter(|verdict| **verdict == Verdict::Done).count(),
        Answer::Whole(_) => 0,
    }
}
