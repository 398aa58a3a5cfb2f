//! `'format' = 'json' | 'csv' | 'raw'` of a source, with Flink's options.
//!
//! | option | default | what |
//! |---|---|---|
//! | `json.fail-on-missing-field` | false | a missing field is refused, else NULL |
//! | `json.ignore-parse-errors` | false | what can't be read is NULL or passed over, else a dead letter |
//! | `json.timestamp-format.standard` | `SQL` | or `ISO-8601` |
//! | `csv.field-delimiter` | `,` | one character |
//! | `csv.quote-character`, `csv.disable-quote-character` | `"`, false | |
//! | `csv.escape-character` | none | |
//! | `csv.header` | false | the first line of each file names the columns and is passed over (not Flink's) |
//! | `csv.allow-comments` | false | lines that begin with `#` are passed over |
//! | `csv.ignore-parse-errors` | false | as for json |
//! | `csv.null-literal` | none | a field with this text is NULL |
//! | `csv.array-element-delimiter` | `;` | |
//! | `raw.charset` | `UTF-8` | no other |

use super::options::Options;
use crate::plan::{CsvFormat, JsonFormat, TableFormat};
use crate::record::Type;
use crate::sql::script::ColumnKind;

pub(super) const KEYS: &[&str] = &[
    "format",
    "json.fail-on-missing-field",
    "json.ignore-parse-errors",
    "json.timestamp-format.standard",
    "csv.field-delimiter",
    "csv.quote-character",
    "csv.disable-quote-character",
    "csv.escape-character",
    "csv.header",
    "csv.allow-comments",
    "csv.ignore-parse-errors",
    "csv.null-literal",
    "csv.array-element-delimiter",
    "raw.charset",
];

/// Formats and options of formats that Flink has and this version has not.
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("json.map-null-key.mode", "it is for writing"),
    ("json.map-null-key.literal", "it is for writing"),
    ("json.encode.decimal-as-plain-number", "it is for writing"),
    ("json.encode.ignore-null-fields", "it is for writing"),
    ("json.decode.json-parser.enabled", "lines are decoded in one way"),
    ("csv.write-bigdecimal-in-scientific-notation", "it is for writing"),
    ("raw.endianness", "a line is text or bytes"),
];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Json,
    Csv,
    Raw,
}

pub(super) fn read(options: &mut Options<'_, '_>) -> Option<TableFormat> {
    if !options.has("format") {
        options.missing("format", "'format' = 'json'");
        return None;
    }
    let kind = options.choice("format", &[("json", Kind::Json), ("csv", Kind::Csv), ("raw", Kind::Raw)]);
    let json = read_json(options);
    let csv = read_csv(options);
    let utf8 = options.choice("raw.charset", &[("UTF-8", ()), ("UTF8", ())]);
    let kind = kind?;
    for (prefix, of) in [("json.", Kind::Json), ("csv.", Kind::Csv), ("raw.", Kind::Raw)] {
        let given: Vec<&str> = KEYS.iter().copied().filter(|key| key.starts_with(prefix) && options.has(key)).collect();
        for key in given.into_iter().filter(|_| kind != of) {
            let format = prefix.trim_end_matches('.');
            options.refuse_value(key, format!("{key} is for 'format' = '{format}', which this table has not"));
        }
    }
    match kind {
        Kind::Json => Some(TableFormat::Json(json)),
        Kind::Csv => Some(TableFormat::Csv(csv)),
        Kind::Raw => {
            utf8.or((!options.has("raw.charset")).then_some(()))?;
            read_raw(options)
        }
    }
}

fn read_json(options: &mut Options<'_, '_>) -> JsonFormat {
    let fail_on_missing_field = options.boolean("json.fail-on-missing-field").unwrap_or(false);
    let ignore_parse_errors = options.boolean("json.ignore-parse-errors").unwrap_or(false);
    if fail_on_missing_field && ignore_parse_errors {
        let message = "json.fail-on-missing-field and json.ignore-parse-errors exclude each other; keep one";
        options.refuse_value("json.ignore-parse-errors", message.to_owned());
    }
    let standards = &[("SQL", false), ("ISO-8601", true)];
    let iso_timestamps = options.choice("json.timestamp-format.standard", standards).unwrap_or(false);
    JsonFormat { fail_on_missing_field, ignore_parse_errors, iso_timestamps }
}

fn read_csv(options: &mut Options<'_, '_>) -> CsvFormat {
    let default = CsvFormat::default();
    let quote = options.character("csv.quote-character");
    let unquoted = options.boolean("csv.disable-quote-character").unwrap_or(false);
    if unquoted && quote.is_some() {
        let message = "csv.disable-quote-character and csv.quote-character exclude each other; keep one";
        options.refuse_value("csv.disable-quote-character", message.to_owned());
    }
    CsvFormat {
        delimiter: options.character("csv.field-delimiter").unwrap_or(default.delimiter),
        quote: if unquoted { None } else { quote.or(default.quote) },
        escape: options.character("csv.escape-character"),
        header: options.boolean("csv.header").unwrap_or(default.header),
        allow_comments: options.boolean("csv.allow-comments").unwrap_or(default.allow_comments),
        ignore_parse_errors: options.boolean("csv.ignore-parse-errors").unwrap_or(default.ignore_parse_errors),
        null_literal: options.any_text("csv.null-literal"),
        element_delimiter: options
            .text("csv.array-element-delimiter")
            .map_or(default.element_delimiter, |(text, _)| text),
    }
}

fn read_raw(options: &mut Options<'_, '_>) -> Option<TableFormat> {
    let physical: Vec<&Type> = options
        .table
        .columns
        .iter()
        .filter_map(|column| match &column.kind {
            ColumnKind::Physical(ty) => Some(ty),
            _ => None,
        })
        .collect();
    let right = match physical.as_slice() {
        [only] => matches!(only, Type::Varchar(_) | Type::Char(_) | Type::Varbinary(_) | Type::Binary(_)),
        _ => false,
    };
    if right {
        return Some(TableFormat::Raw);
    }
    let message = "'format' = 'raw' gives a line as one column, STRING or BYTES; declare just that one (others may be METADATA or computed)";
    options.refuse_value("format", message.to_owned());
    None
}
