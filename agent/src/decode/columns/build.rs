//! A batch's columns while rows are added to them.

use super::scalar::Got;
use crate::plan::TableColumn;
use crate::record::{Column, Data, Type, Value};

/// One column being filled.
#[derive(Debug)]
pub(super) struct Builder {
    ty: Type,
    data: Data,
    nulls: Vec<bool>,
    some_null: bool,
}

impl Builder {
    pub(super) fn new(column: &TableColumn, capacity: usize) -> Builder {
        let data = Data::of(&column.ty, capacity);
        Builder { ty: column.ty.clone(), data, nulls: Vec::with_capacity(capacity), some_null: false }
    }

    /// Adds what `append` appends, or a NULL. False if it was wrong: then nothing is added.
    pub(super) fn add(&mut self, append: impl FnOnce(&mut Data, &Type) -> Got) -> bool {
        match append(&mut self.data, &self.ty) {
            Got::Value => self.nulls.push(false),
            Got::Null => self.null(),
            Got::Wrong => return false,
        }
        true
    }

    pub(super) fn null(&mut self) {
        self.data.push(&Value::Null);
        self.nulls.push(true);
        self.some_null = true;
    }

    /// Forgets the values from this row on.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.data.truncate(rows);
        self.nulls.truncate(rows);
    }

    pub(super) fn finish(self) -> Column {
        let nulls = (self.some_null && self.nulls.contains(&true)).then_some(self.nulls);
        Column { data: self.data, nulls }
    }
}
