//! Which windows a time belongs to. Times with a zone (TIMESTAMP_LTZ) are windowed by the clock on the wall.

use std::collections::BTreeMap;

use crate::record::{Column, Data, Type};
use crate::sql::expr::Context;
use crate::sql::plan::{Node, Window, WindowKind};

use super::flow::{self, Flow};
use super::groups::Span;

/// Flink's smallest distance between two times: a window's last moment is its end less this.
pub(super) const MILLISECOND: i64 = 1_000;

/// Turns instants into wall-clock times and back; without a zone both are the same.
#[derive(Clone, Debug)]
pub(super) struct Wall {
    zone: Option<jiff::tz::TimeZone>,
    /// The last quarter of an hour asked for, and its offset (offsets change at quarters only).
    last: (i64, i64),
}

const QUARTER: i64 = 15 * 60 * 1_000_000;

impl Wall {
    /// For times of this type, in the session's zone.
    pub(super) fn new(ty: Option<&Type>, zone: &jiff::tz::TimeZone) -> Wall {
        let zoned = matches!(ty, Some(Type::TimestampLtz(_))) && *zone != jiff::tz::TimeZone::UTC;
        Wall { zone: zoned.then(|| zone.clone()), last: (i64::MIN, 0) }
    }

    /// The time on the wall at an instant.
    pub(super) fn local(&mut self, instant: i64) -> i64 {
        let Some(zone) = &self.zone else { return instant };
        let quarter = instant.div_euclid(QUARTER);
        if self.last.0 != quarter {
            let at = jiff::Timestamp::from_microsecond(instant).unwrap_or_default();
            self.last = (quarter, i64::from(zone.to_offset(at).seconds()) * 1_000_000);
        }
        instant.saturating_add(self.last.1)
    }

    /// The instant at which the wall shows this; the later one of two.
    pub(super) fn instant(&self, local: i64) -> i64 {
        let Some(zone) = &self.zone else { return local };
        let Ok(shown) = jiff::Timestamp::from_microsecond(local) else { return local };
        let shown = jiff::tz::Offset::UTC.to_datetime(shown);
        zone.to_ambiguous_timestamp(shown).later().map_or(local, |at| at.as_microsecond())
    }

    /// The watermark that closes a window with this end.
    pub(super) fn closes_at(&self, end: i64) -> i64 {
        self.instant(end.saturating_sub(MILLISECOND))
    }
}

/// Times with the same number are in the same windows.
fn slice(window: &Window, time: i64) -> i64 {
    let unit = match window.kind {
        WindowKind::Tumble { size } => size,
        WindowKind::Hop { slide, size } => divisor(slide, size),
        WindowKind::Cumulate { step, size } => divisor(step, size),
        WindowKind::Session { .. } | WindowKind::Given { .. } => 1,
    };
    (time - window.offset).div_euclid(unit.max(1))
}

fn divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { divisor(b, a % b) }
}

/// The windows that a time on the wall is in. (A session's is the one that its row alone would make.)
pub(super) fn spans(window: &Window, time: i64, spans: &mut Vec<Span>) {
    let floor = |unit: i64| time - (time - window.offset).rem_euclid(unit.max(1));
    match window.kind {
        WindowKind::Tumble { size } => spans.push((floor(size), floor(size) + size)),
        WindowKind::Hop { slide, size } => {
            let mut start = floor(slide);
            while start > time - size {
                spans.push((start, start + size));
                start -= slide.max(1);
            }
        }
        WindowKind::Cumulate { step, size } => {
            let start = floor(size);
            let mut end = start + (time - start).div_euclid(step.max(1)) * step + step;
            while end < start + size {
                spans.push((start, end));
                end += step.max(1);
            }
            spans.push((start, start + size));
        }
        WindowKind::Session { gap } => spans.push((time, time + gap)),
        WindowKind::Given { .. } => {}
    }
}

/// The rows of each window, in their order.
pub(super) fn buckets(window: &Window, wall: &mut Wall, flow: &Flow) -> BTreeMap<Span, Vec<u32>> {
    let ints = |column: usize| match flow.batch.columns.get(column).map(|column| &column.data) {
        Some(Data::Int(values)) => values.as_slice(),
        _ => &[],
    };
    let mut buckets: BTreeMap<Span, Vec<u32>> = BTreeMap::new();
    if let WindowKind::Given { start, end } = window.kind {
        for (row, span) in ints(start).iter().zip(ints(end)).enumerate() {
            buckets.entry((*span.0, *span.1)).or_default().push(row as u32);
        }
        return buckets;
    }
    let null = |row: usize| flow.batch.columns.get(window.time).is_none_or(|column| column.is_null(row));
    let has_null = flow.batch.columns.get(window.time).is_none_or(|column| column.nulls.is_some());
    let mut slices: Vec<(i64, i64, Vec<u32>)> = Vec::new();
    let mut places: BTreeMap<i64, usize> = BTreeMap::new();
    let mut last = 0;
    for (row, time) in ints(window.time).iter().enumerate() {
        if has_null && null(row) {
            continue;
        }
        let time = wall.local(*time);
        let number = slice(window, time);
        if slices.get(last).is_none_or(|slice| slice.0 != number) {
            last = *places.entry(number).or_insert_with(|| {
                slices.push((number, time, Vec::new()));
                slices.len() - 1
            });
        }
        slices[last].2.push(row as u32);
    }
    let mut found = Vec::new();
    for (_, time, rows) in slices {
        found.clear();
        spans(window, time, &mut found);
        for span in &found {
            let bucket = buckets.entry(*span).or_default();
            let sorted = bucket.is_empty();
            bucket.extend_from_slice(&rows);
            if !sorted {
                bucket.sort_unstable();
            }
        }
    }
    buckets
}

/// Each row once for each of its windows, with the window's start, end and time behind its columns.
pub(super) fn spread(flow: Flow, window: &Window, node: &Node, cx: &Context) -> Flow {
    let mut wall = Wall::new(node.fields.get(window.time).map(|field| &field.ty), &cx.zone);
    let mut of_row: Vec<Vec<Span>> = vec![Vec::new(); flow.batch.rows];
    for (span, rows) in buckets(window, &mut wall, &flow) {
        rows.iter().for_each(|row| of_row[*row as usize].push(span));
    }
    let rows: Vec<u32> =
        of_row.iter().enumerate().flat_map(|(row, spans)| spans.iter().map(move |_| row as u32)).collect();
    let counts: Vec<u32> = of_row.iter().map(|spans| spans.len() as u32).collect();
    let mut spread = flow::repeat(&flow, &rows, &counts);
    let spans: Vec<Span> = of_row.into_iter().flatten().collect();
    let types: Vec<&Type> = node.fields.iter().rev().take(3).rev().map(|field| &field.ty).collect();
    spread.batch.columns.extend(columns(&spans, &wall, &types));
    spread
}

/// The columns start, end and time of windows, of these types.
pub(super) fn columns(spans: &[Span], wall: &Wall, types: &[&Type]) -> Vec<Column> {
    let of: [fn(&Span) -> i64; 3] = [|span| span.0, |span| span.1, |span| span.1 - MILLISECOND];
    let column = |(of, ty): (&fn(&Span) -> i64, &&Type)| {
        let shown = spans.iter().map(of);
        let values = match ty {
            Type::TimestampLtz(_) => shown.map(|local| wall.instant(local)).collect(),
            _ => shown.collect(),
        };
        Column { data: Data::Int(values), nulls: None }
    };
    of.iter().zip(types).map(column).collect()
}
