//! Which place the numbers of a table's source have (see [`source::place`]), kept in rows of the pipeline's own.
//!
//! Promises: a table keeps its place, and so its positions and ids, by its name, in whatever order a script names its
//! tables and whichever come and go. What a table has read that the script has no more is kept until it comes back,
//! also under another name if it reads the same. A place is never given to another table.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use super::versions::OWN_ROWS;
use crate::plan::{SourcePlan, TablePlan};
use crate::record::{Row, SourceId, Timestamp};
use crate::source::{self, Source};

/// The row of the table at place `n` is this and `n`.
const ROWS: u64 = (OWN_ROWS as u64) << 56 | 0x100;
const VERSION: u8 = 1;

type Rows = [(u64, Box<[u8]>)];

/// The place of each table of a script, in the order of its scans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places(Vec<usize>);

/// What is known of a table that has a place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    name: String,
    /// Stands for what it reads; 0 where that can't be told.
    origin: u64,
}

impl Places {
    /// Places in the order of the tables, for what is kept nowhere.
    pub(super) fn in_order(tables: usize) -> Places {
        Places((0..tables).collect())
    }

    /// `rows`: all of the last commit. Gives the rows to commit before anything is read, too.
    ///
    /// # Errors
    /// Rows of another version, and more tables in the course of time than there are places.
    pub(super) fn open(job: &str, tables: &[TablePlan], rows: &Rows) -> Result<(Places, Vec<Row>), String> {
        let kept = kept(rows)?;
        if kept.is_empty() {
            // A new job, or one of before there were these rows.
            let places = Places::in_order(tables.len());
            let rows = tables.iter().enumerate().map(|(place, table)| row(place, table)).collect();
            return Ok((places, rows));
        }
        let mut places: Vec<Option<usize>> = tables.iter().map(|table| by_name(&kept, table)).collect();
        for (at, table) in tables.iter().enumerate().filter(|(_, table)| origin(table) != 0) {
            if places[at].is_none() {
                let free =
                    |(place, of): &(&usize, &Kept)| of.origin == origin(table) && !places.contains(&Some(**place));
                places[at] = kept.iter().find(free).map(|(place, of)| {
                    tracing::info!(%job, was = %of.name, is = %table.name, "a table has another name; it reads on");
                    *place
                });
            }
        }
        for (_, gone) in kept.iter().filter(|(place, _)| !places.contains(&Some(**place))) {
            tracing::info!(%job, table = %gone.name, "the script does not read this table any more; how far it was read is kept");
        }
        let mut next = kept.keys().last().map_or(0, |last| last + 1);
        let mut new = Vec::new();
        for place in places.iter_mut().filter(|place| place.is_none()) {
            *place = Some(next);
            new.push(next);
            next += 1;
        }
        if next > OWN_ROWS {
            return Err(format!("it has read {next} tables in the course of time, and can tell {OWN_ROWS} apart"));
        }
        let places: Vec<usize> = places.into_iter().flatten().collect();
        let changed = |(place, table): &(&usize, &TablePlan)| kept.get(*place) != Some(&known(table));
        let named = places.iter().zip(tables).filter(changed).map(|(place, table)| row(*place, table));
        // Whatever had the place before the job was begun anew, its numbers are not given out again.
        let counters = Source::anew(Timestamp::now(), new);
        let counters = counters.into_iter().map(|(key, value)| Row { key, value: Some(value) });
        Ok((Places(places.clone()), named.chain(counters).collect()))
    }

    /// The places and what is read there.
    pub(super) fn sources(&self, tables: &[TablePlan]) -> Vec<(usize, SourcePlan)> {
        self.0.iter().copied().zip(tables.iter().map(|table| table.source.clone())).collect()
    }

    /// The scan whose source has this number. `None`: none of this script.
    pub(super) fn scan(&self, source: SourceId) -> Option<usize> {
        let place = source::place(source);
        self.0.iter().position(|of| *of == place)
    }
}

fn by_name(kept: &BTreeMap<usize, Kept>, table: &TablePlan) -> Option<usize> {
    kept.iter().find(|(_, of)| of.name == table.name).map(|(place, _)| *place)
}

fn known(table: &TablePlan) -> Kept {
    Kept { name: table.name.clone(), origin: origin(table) }
}

fn origin(table: &TablePlan) -> u64 {
    if let SourcePlan::File(plan) = &table.source { xxh3_64(plan.paths.join("\n").as_bytes()).max(1) } else { 0 }
}

fn row(place: usize, table: &TablePlan) -> Row {
    let mut value = vec![VERSION];
    value.extend_from_slice(&origin(table).to_le_bytes());
    value.extend_from_slice(table.name.as_bytes());
    Row { key: ROWS + place as u64, value: Some(value.into()) }
}

fn kept(rows: &Rows) -> Result<BTreeMap<usize, Kept>, String> {
    let places = ROWS..ROWS + OWN_ROWS as u64;
    let read = |(key, value): &(u64, Box<[u8]>)| {
        let rest = value.strip_prefix(&[VERSION])?;
        let (origin, name) = rest.split_first_chunk::<8>()?;
        let name = String::from_utf8(name.to_vec()).ok()?;
        Some(((key - ROWS) as usize, Kept { name, origin: u64::from_le_bytes(*origin) }))
    };
    let unreadable = || "which of its tables has read what was kept by another version of this program".to_owned();
    let of_tables = rows.iter().filter(|(key, _)| places.contains(key));
    of_tables.map(|of| read(of).ok_or_else(unreadable)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{FilePlan, TableFormat};

    fn table(name: &str, path: &str) -> TablePlan {
        TablePlan {
            name: name.to_owned(),
            source: SourcePlan::File(FilePlan { paths: vec![path.to_owned()], ..FilePlan::default() }),
            format: TableFormat::Raw,
            columns: Vec::new(),
            physical: 1,
            host: None,
        }
    }

    /// Opens with these tables; gives their places, and brings `rows` up to date.
    fn open(rows: &mut Vec<(u64, Box<[u8]>)>, tables: &[(&str, &str)]) -> Vec<usize> {
        let tables: Vec<TablePlan> = tables.iter().map(|(name, path)| table(name, path)).collect();
        let (places, changed) = Places::open("job", &tables, rows).unwrap();
        for row in changed {
            rows.retain(|(key, _)| *key != row.key);
            rows.extend(row.value.map(|value| (row.key, value)));
        }
        places.0
    }

    #[test]
    fn a_table_keeps_its_place_whichever_others_come_and_go() {
        let mut rows = Vec::new();
        let (a, b, c) = (("a", "/a"), ("b", "/b"), ("c", "/c"));
        assert_eq!(open(&mut rows, &[a, b]), [0, 1]);
        assert_eq!(open(&mut rows, &[b, a]), [1, 0]);
        assert_eq!(open(&mut rows, &[b]), [1]);
        assert_eq!(open(&mut rows, &[c, b]), [2, 1], "the place of one that is gone is not given away");
        assert_eq!(open(&mut rows, &[a, c]), [0, 2]);
        assert_eq!(open(&mut rows, &[("logs", "/a"), c]), [0, 2], "another name for the same files");
        assert_eq!(open(&mut rows, &[("logs", "/other"), c]), [0, 2]);
        let places = Places(vec![2, 0]);
        let number = |place: u64| SourceId(place << 56 | 7);
        assert_eq!([number(0), number(1), number(2)].map(|id| places.scan(id)), [Some(1), None, Some(0)]);
    }

    #[test]
    fn a_table_that_comes_later_gets_numbers_that_none_before_it_can_have_had() {
        let mut rows = Vec::new();
        open(&mut rows, &[("a", "/a")]);
        open(&mut rows, &[("a", "/a"), ("b", "/b")]);
        assert!(rows.iter().any(|(key, _)| *key == 1 << 56), "{rows:?}");
    }
}
