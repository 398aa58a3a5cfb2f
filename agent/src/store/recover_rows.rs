//! Where each pipeline's rows come from at open: sled if it is not behind the newest base, else that base;
//! the frames behind either do the rest.
//!
//! Promises: rows are never taken from something older than the log that is left can complete; if both sources
//! are gone the pipeline is parked, not begun anew.

use std::io;

use super::frame::Head;
use super::recover::Recovery;
use super::{base, view};

impl Recovery<'_> {
    /// Which bases there are. Each is proof that its sequence was durable.
    pub(super) fn list_bases(&mut self) -> io::Result<()> {
        for name in self.fs.list(&self.dirs.bases)? {
            match base::parse_name(&name) {
                Some((pipeline, began)) => {
                    self.bases.entry(pipeline.to_owned()).or_default().push(began);
                    self.frontier = self.frontier.max(began);
                }
                None => self.fs.unlink(&self.dirs.bases.join(name))?,
            }
        }
        Ok(())
    }

    /// Each pipeline's rows as the view or its newest base has them, whichever is later.
    pub(super) fn choose_rows(&mut self, mut seen: view::Content, head: &Head) -> io::Result<()> {
        let named = seen.rows.keys().chain(self.bases.keys()).chain(head.bases.iter().map(|(name, _)| name));
        for name in named {
            self.state.pipeline(name);
        }
        for number in 0..self.state.pipelines.len() as u32 {
            let Some(name) = self.state.of(number).map(|p| p.name.clone()) else { continue };
            let began = self.bases.get(&*name).and_then(|all| all.iter().max().copied());
            let needed = head.bases.iter().find(|(of, _)| **of == *name).map_or(0, |(_, began)| *began);
            let by_view =
                !seen.large.contains(&*name) && seen.applied > 0 && seen.applied >= began.unwrap_or(0).max(needed);
            let rows = seen.rows.remove(&*name).unwrap_or_default();
            let stale = !by_view && !rows.is_empty();
            let (rows, start) = if by_view { (rows, seen.applied) } else { (Vec::new(), 0) };
            self.take_rows(number, rows, start);
            if by_view || self.take_base(number, &name, began, needed)? || stale {
                if !by_view {
                    self.repair.rewrite_view.push(number);
                }
                if by_view && let Some(began) = began {
                    let size = self.fs.open(&self.dirs.bases.join(base::name(&name, began)))?.len()?;
                    self.state.pipelines[number as usize].base = Some((began, size));
                }
            }
        }
        Ok(())
    }

    fn take_rows(&mut self, number: u32, rows: Vec<(u64, Box<[u8]>)>, start: u64) {
        self.start.insert(number, start);
        if let Some(pipeline) = self.state.of(number) {
            pipeline.rows = rows.into_iter().collect();
        }
    }

    /// Rows from the newest base; parks the pipeline if the base it needs can't be read.
    fn take_base(&mut self, number: u32, name: &str, began: Option<u64>, needed: u64) -> io::Result<bool> {
        let read = match began {
            Some(began) => base::read(self.fs, &self.dirs.bases.join(base::name(name, began)))?,
            None => None,
        };
        match read.filter(|base| base.pipeline == name && base.began >= needed) {
            Some(base) => {
                self.take_rows(number, base.rows, base.began);
                self.state.pipelines[number as usize].base = Some((base.began, base.bytes));
                Ok(true)
            }
            None if began.is_some() || needed > 0 => {
                let why = format!(
                    "the positions of {name} are lost: their base and sled are both damaged or gone. What is owed is \
                     shipped, nothing more is read. To read again what its sources have, as its `start` says and under \
                     new ids, start the agent once with --begin-anew {name}"
                );
                self.state.damage.push(why.clone());
                let pipeline = &mut self.state.pipelines[number as usize];
                pipeline.lost = Some(why);
                // Later heads name it as well, so that nobody takes what the log has for all rows.
                pipeline.base = Some((needed.max(began.unwrap_or(0)), 0));
                Ok(true)
            }
            None => Ok(false),
        }
    }
}
