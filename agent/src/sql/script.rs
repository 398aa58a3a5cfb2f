//! A script as it was written: statements with their places, names and types read, nothing resolved yet.
//! `front` makes it, `bind` reads it.

use crate::record::Type;
use sqlparser::ast;

/// A place in the script, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// One thing that is wrong with a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SqlError {
    pub(crate) place: Place,
    /// How many characters from `place` on it is about; 0 if that is not known.
    pub(crate) length: u32,
    /// What is wrong, what was expected, the nearest right thing: one sentence or two, no trailing full stop.
    pub(crate) message: String,
}

/// A name with its place. `quoted` ones keep their case also in the legacy dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) quoted: bool,
    pub(crate) place: Place,
}

/// All statements of a script, by kind, each in the order written. Variables are filled in, `LIKE` is copied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// The legacy (Blink) dialect, told by its tables' option `type`: unquoted names match whatever their case.
    pub(crate) legacy: bool,
    pub(crate) settings: Vec<Setting>,
    pub(crate) tables: Vec<Table>,
    pub(crate) views: Vec<View>,
    pub(crate) inserts: Vec<Insert>,
}

/// `SET 'key' = 'value'`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) key: Name,
    pub(crate) value: Name,
}

/// `CREATE [TEMPORARY] TABLE`.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: Name,
    pub(crate) columns: Vec<TableColumn>,
    pub(crate) watermark: Option<Watermark>,
    pub(crate) primary_key: Vec<Name>,
    pub(crate) partitioned_by: Vec<Name>,
    /// The WITH clause: key and value, as written.
    pub(crate) options: Vec<Setting>,
    /// The place of the word WITH, or the table's name if there is none.
    pub(crate) options_at: Place,
}

#[derive(Clone, Debug)]
pub(crate) struct TableColumn {
    pub(crate) name: Name,
    pub(crate) kind: ColumnKind,
    pub(crate) not_null: bool,
}

#[derive(Clone, Debug)]
// There are a few of them for each script: room does not matter.
#[allow(clippy::large_enum_variant)]
pub(crate) enum ColumnKind {
    Physical(Type),
    /// `name AS expression`.
    Computed(ast::Expr),
    /// `METADATA [FROM 'key'] [VIRTUAL]` and `HEADER`; without FROM the key is the column's name.
    Metadata {
        ty: Type,
        key: String,
        is_virtual: bool,
    },
}

/// `WATERMARK [name] FOR column AS expression`; `withOffset(column, ms)` stays a function call here.
#[derive(Clone, Debug)]
pub(crate) struct Watermark {
    pub(crate) column: Name,
    pub(crate) expression: ast::Expr,
    pub(crate) place: Place,
}

/// `CREATE [TEMPORARY] VIEW`.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) name: Name,
    /// The view's own column names, if it has a list of them.
    pub(crate) columns: Vec<Name>,
    pub(crate) query: Box<ast::Query>,
    /// As in [`Insert`].
    pub(crate) hints: Vec<Hint>,
}

/// `INSERT INTO target [(columns)] query [EMIT …]`.
#[derive(Clone, Debug)]
pub(crate) struct Insert {
    pub(crate) target: Name,
    pub(crate) columns: Vec<Name>,
    pub(crate) query: Box<ast::Query>,
    pub(crate) emit: Option<Emit>,
    /// `/*+ OPTIONS('k'='v') */` and the like, by the table they follow (empty: the statement as a whole).
    pub(crate) hints: Vec<Hint>,
    pub(crate) place: Place,
}

/// `EMIT WITH DELAY '1' MINUTE BEFORE WATERMARK, WITHOUT DELAY AFTER WATERMARK`: delays in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Emit {
    pub(crate) before_watermark: Option<i64>,
    pub(crate) after_watermark: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) table: String,
    /// `OPTIONS`, `STATE_TTL`, … in upper case.
    pub(crate) name: String,
    pub(crate) values: Vec<Setting>,
    pub(crate) place: Place,
}
