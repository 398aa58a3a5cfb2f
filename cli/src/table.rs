//! Columns: text to the left, numbers to the right, remarks under a row.

use crate::output::{Tone, harmless, paint};

pub(crate) struct Table {
    heads: Vec<Column>,
    rows: Vec<Row>,
}

#[derive(Clone, Copy)]
pub(crate) enum Column {
    Left(&'static str),
    Right(&'static str),
}

struct Row {
    cells: Vec<(String, Tone)>,
    remarks: Vec<(String, Tone)>,
}

impl Table {
    pub(crate) fn new(heads: &[Column]) -> Table {
        Table { heads: heads.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<(String, Tone)>) {
        let cells = cells.into_iter().map(|(text, tone)| (harmless(&text), tone)).collect();
        self.rows.push(Row { cells, remarks: Vec::new() });
    }

    /// A line under the last row, set in by as much as the first column is not.
    pub(crate) fn remark(&mut self, text: &str, tone: Tone) {
        if let Some(row) = self.rows.last_mut() {
            row.remarks.push((harmless(text), tone));
        }
    }

    pub(crate) fn render(&self, colour: bool) -> String {
        let widths: Vec<usize> = (0..self.heads.len())
            .map(|at| {
                let cells = self.rows.iter().filter_map(|row| row.cells.get(at)).map(|(text, _)| text.chars().count());
                cells.max().unwrap_or(0).max(self.heads[at].name().len())
            })
            .collect();
        let heads: Vec<(String, Tone)> = self.heads.iter().map(|head| (head.name().to_owned(), Tone::Faint)).collect();
        let mut text = self.line(&heads, &widths, colour);
        for row in &self.rows {
            text.push_str(&self.line(&row.cells, &widths, colour));
            for (remark, tone) in &row.remarks {
                text.push_str(&format!("    {}\n", paint(remark, *tone, colour)));
            }
        }
        text
    }

    fn line(&self, cells: &[(String, Tone)], widths: &[usize], colour: bool) -> String {
        let mut line = String::new();
        for (at, ((text, tone), column)) in cells.iter().zip(&self.heads).enumerate() {
            let padding = " ".repeat(widths[at].saturating_sub(text.chars().count()));
            let painted = paint(text, *tone, colour);
            let last = at + 1 == cells.len();
            match column {
                Column::Left(_) if last => line.push_str(&painted),
                Column::Left(_) => line.push_str(&format!("{painted}{padding}  ")),
                Column::Right(_) => line.push_str(&format!("{padding}{painted}{}", if last { "" } else { "  " })),
            }
        }
        line.push('\n');
        line
    }
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Column::Left(name) | Column::Right(name) => name,
        }
    }
}
