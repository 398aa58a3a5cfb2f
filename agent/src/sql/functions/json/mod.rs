//! JSON functions. The clauses of SQL come as further arguments, all literals:
//! `JSON_VALUE(input, path, type, on empty, its default, on error, its default)`,
//! `JSON_QUERY(input, path, type, wrapper, on empty, on error)`, `JSON_EXISTS(input, path, on error)`,
//! `JSON_OBJECT(on null, key, value, …)`, `JSON_ARRAY(on null, value, …)`.

mod path;
mod write;

use serde_json::value::RawValue;

use super::signature::{Function, f, special};
use super::{Args, OnNull, Site, call, case, rows, rows_with, texts, texts_with};
use crate::record::{Data, Type, Value};
use crate::sql::cast::{self, Strictness};
use crate::sql::expr::{Expr, ExprKind, Kernel};
use crate::sql::plan::Settings;
use path::{Found, Path};
pub(crate) use write::string as write_json_text;

pub(super) const TABLE: &[Function] = &[
    special("JSON_VALUE", "STRING, path", value),
    f("JSON_QUERY", "STRING, STRING [, STRING, STRING, STRING, STRING] -> STRING", query),
    f("JSON_EXISTS", "STRING, STRING [, STRING] -> BOOLEAN", exists),
    special("JSON_OBJECT", "KEY key VALUE value, …", object),
    special("JSON_ARRAY", "value, …", array),
    special("JSON_STRING", "ANY", json_string),
    f("JSON_QUOTE", "STRING -> STRING", |_| {
        Ok(texts(|args, out| {
            write::string(args.text(0), out);
            Some(())
        }))
    }),
    f("JSON_UNQUOTE", "STRING -> STRING", |_| {
        Ok(texts(|args, out| {
            let text = args.text(0);
            let plain = if path::parse(text).is_some() { path::unquoted(text.trim()) } else { text.into() };
            out.extend_from_slice(plain.as_bytes());
            Some(())
        }))
    }),
    f("IS JSON", "STRING -> BOOLEAN", |_| Ok(is_json(|_| true, true))),
    f("IS JSON VALUE", "STRING -> BOOLEAN", |_| Ok(is_json(|_| true, true))),
    f("IS JSON OBJECT", "STRING -> BOOLEAN", |_| Ok(is_json(|json| json.get().starts_with('{'), true))),
    f("IS JSON ARRAY", "STRING -> BOOLEAN", |_| Ok(is_json(|json| json.get().starts_with('['), true))),
    f("IS JSON SCALAR", "STRING -> BOOLEAN", |_| Ok(is_json(is_scalar, true))),
    f("IS NOT JSON", "STRING -> BOOLEAN", |_| Ok(is_json(|_| true, false))),
];

fn is_scalar(json: &RawValue) -> bool {
    !json.get().starts_with(['{', '['])
}

fn is_json(is: fn(&RawValue) -> bool, wanted: bool) -> Kernel {
    rows_with(OnNull::Call, move |args| Some((!args.is_null(0) && path::parse(args.text(0)).is_some_and(is)) == wanted))
}

/// A path: compiled once if it is a literal.
struct Given(Option<Path>);

impl Given {
    fn new(site: &Site<'_>, i: usize) -> Result<Given, String> {
        Ok(Given(site.literal_text(i).map(Path::new).transpose()?))
    }

    /// Runs the path; the second says whether it is strict. `None`: path or text are wrong.
    fn find<'a>(&self, args: &Args<'a>) -> Option<(Found<'a>, bool)> {
        let json = path::parse(args.text(0))?;
        match &self.0 {
            Some(path) => Some((path.find(json), path.strict)),
            None => {
                let path = args.memo(args.text(1), |text| Path::new(text).ok());
                path.as_ref().as_ref().map(|path| (path.find(json), path.strict))
            }
        }
    }
}

/// How a search for a scalar (or a structure) ended.
enum Outcome<T> {
    Value(T),
    Empty,
    Error,
}

/// The text of a scalar.
fn scalar<'a>(given: &Given, args: &Args<'a>) -> Outcome<std::borrow::Cow<'a, str>> {
    match given.find(args) {
        None => Outcome::Error,
        Some((Found::One(json), _)) if json.get() == "null" => Outcome::Empty,
        Some((Found::One(json), _)) if is_scalar(json) => Outcome::Value(number_or_text(json.get())),
        Some((_, true)) => Outcome::Error,
        Some(_) => Outcome::Empty,
    }
}

/// A string's text; numbers with a fraction or exponent are written as Java writes doubles.
fn number_or_text(json: &str) -> std::borrow::Cow<'_, str> {
    let floating = json.starts_with(|c: char| c.is_ascii_digit() || c == '-') && json.contains(['.', 'e', 'E']);
    if !floating {
        return path::unquoted(json);
    }
    let mut out = Vec::new();
    match json.parse() {
        Ok(number) => cast::text::write_double(number, &mut out),
        Err(_) => return json.into(),
    }
    String::from_utf8_lossy(&out).into_owned().into()
}

/// A literal word among the arguments; the first of `words` if it was not given.
fn word<'s>(args: &'s [Expr], i: usize, words: &[&'s str]) -> Result<&'s str, String> {
    match args.get(i).map(|arg| arg.as_literal()) {
        None => words.first().copied().ok_or_else(String::new),
        Some(Some(Value::Text(text))) if words.contains(&&**text) => Ok(text),
        Some(_) => Err(String::new()),
    }
}

/// What ON EMPTY and ON ERROR say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    Null,
    Error,
    Default,
}

fn otherwise(args: &[Expr], i: usize) -> Result<Otherwise, String> {
    Ok(match word(args, i, &["NULL", "ERROR", "DEFAULT"])? {
        "ERROR" => Otherwise::Error,
        "DEFAULT" => Otherwise::Default,
        _ => Otherwise::Null,
    })
}

const TYPES: &[(&str, Type)] = &[
    ("STRING", Type::STRING),
    ("BOOLEAN", Type::Boolean),
    ("INT", Type::Int),
    ("BIGINT", Type::BigInt),
    ("DOUBLE", Type::Double),
];

/// The text of the scalar, cast to the type; where there is a default, a CASE around it.
fn value(name: &'static str, args: Vec<Expr>, settings: &Settings) -> Result<Expr, String> {
    if args.len() != 2 && args.len() != 7 {
        return Err(String::new());
    }
    let ty = match args.get(2).map(|arg| arg.as_literal()) {
        None => Type::STRING,
        Some(Some(Value::Text(written))) => {
            let known = TYPES.iter().find(|(name, _)| *name == &**written);
            known.map(|(_, ty)| ty.clone()).ok_or_else(|| {
                format!("JSON_VALUE … RETURNING {written} is not supported: STRING, BOOLEAN, INT, BIGINT or DOUBLE")
            })?
        }
        Some(_) => return Err(String::new()),
    };
    let (on_empty, on_error) = (otherwise(&args, 3)?, otherwise(&args, 5)?);
    let mut subject = args.iter().take(2).cloned().map(|arg| cast::implicit(arg, &Type::STRING));
    let subject = vec![subject.next().ok_or_else(String::new)??, subject.next().ok_or_else(String::new)??];
    let found = found(name, &subject, on_empty, on_error)?;
    let found =
        cast::cast(found, &ty, if on_error == Otherwise::Error { Strictness::Strict } else { Strictness::Lenient })?;
    let mut branches = Vec::new();
    for (wanted, otherwise, at) in [(1, on_empty, 4), (2, on_error, 6)] {
        let Some(default) = args.get(at).filter(|_| otherwise == Otherwise::Default) else { continue };
        let default =
            cast::implicit(default.clone(), &ty).or_else(|_| cast::cast(default.clone(), &ty, Strictness::Lenient))?;
        let ended = how_it_ended(&subject)?;
        let wanted = Expr::literal(Value::Int(wanted), Type::Int);
        branches.push((super::resolve("=", vec![ended, wanted], settings)?, default));
    }
    if branches.is_empty() { Ok(found) } else { case(branches, Some(found)) }
}

fn found(name: &'static str, subject: &[Expr], on_empty: Otherwise, on_error: Otherwise) -> Result<Expr, String> {
    let given = Given::new(&Site { args: subject }, 1)?;
    let kernel = texts(move |args, out| match scalar(&given, args) {
        Outcome::Value(text) => {
            out.extend_from_slice(text.as_bytes());
            Some(())
        }
        Outcome::Empty if on_empty == Otherwise::Error => args.fail("JSON_VALUE found nothing"),
        Outcome::Error if on_error == Otherwise::Error => args.fail("JSON_VALUE failed"),
        _ => None,
    });
    // The name tells calls with other clauses apart.
    let name = match (on_empty, on_error) {
        (Otherwise::Error, Otherwise::Error) => "JSON_VALUE ERROR ON EMPTY ERROR ON ERROR",
        (Otherwise::Error, _) => "JSON_VALUE ERROR ON EMPTY",
        (_, Otherwise::Error) => "JSON_VALUE ERROR ON ERROR",
        _ => name,
    };
    Ok(call(name, subject.to_vec(), Type::STRING, kernel))
}

/// 0: a value, 1: nothing, 2: an error.
fn how_it_ended(subject: &[Expr]) -> Result<Expr, String> {
    let given = Given::new(&Site { args: subject }, 1)?;
    let kernel = rows(move |args| {
        Some(match scalar(&given, args) {
            Outcome::Value(_) => 0_i64,
            Outcome::Empty => 1,
            Outcome::Error => 2,
        })
    });
    Ok(call("JSON_VALUE END", subject.to_vec(), Type::Int, kernel))
}

fn query(site: &Site<'_>) -> Result<Kernel, String> {
    let given = Given::new(site, 1)?;
    if site.args.len() > 2 && site.literal_text(2) != Some("STRING") {
        return Err("RETURNING another type than STRING is not supported".to_owned());
    }
    let words = ["NULL", "ERROR", "EMPTY ARRAY", "EMPTY OBJECT"];
    let wrong = |_| "this combination of clauses is not supported".to_owned();
    let wrapper = word(site.args, 3, &["WITHOUT", "CONDITIONAL", "UNCONDITIONAL"]).map_err(wrong)?.to_owned();
    let on_empty = word(site.args, 4, &words).map_err(wrong)?.to_owned();
    let on_error = word(site.args, 5, &words).map_err(wrong)?.to_owned();
    Ok(texts(move |args, out| {
        let written = match structure(&given, args, &wrapper) {
            Outcome::Value(text) => {
                out.extend_from_slice(&text);
                return Some(());
            }
            Outcome::Empty => &on_empty,
            Outcome::Error => &on_error,
        };
        match written.as_str() {
            "EMPTY ARRAY" => out.extend_from_slice(b"[]"),
            "EMPTY OBJECT" => out.extend_from_slice(b"{}"),
            "ERROR" => return args.fail("JSON_QUERY found no array or object"),
            _ => return None,
        }
        Some(())
    }))
}

/// The text of an array or object.
fn structure(given: &Given, args: &Args<'_>, wrapper: &str) -> Outcome<Vec<u8>> {
    let Some((found, strict)) = given.find(args) else { return Outcome::Error };
    let mut text = Vec::new();
    let is_list = match &found {
        Found::Nothing => return if strict { Outcome::Error } else { Outcome::Empty },
        Found::One(json) if json.get() == "null" => return Outcome::Empty,
        Found::One(json) => {
            path::compact(json.get(), &mut text);
            json.get().starts_with('[')
        }
        Found::Many(all) => {
            text.push(b'[');
            for (i, json) in all.iter().enumerate() {
                if i > 0 {
                    text.push(b',');
                }
                path::compact(json.get(), &mut text);
            }
            text.push(b']');
            true
        }
    };
    if wrapper == "UNCONDITIONAL" || (wrapper == "CONDITIONAL" && !is_list) {
        text.insert(0, b'[');
        text.push(b']');
    }
    match (text.first(), strict) {
        (Some(b'[' | b'{'), _) => Outcome::Value(text),
        (_, true) => Outcome::Error,
        _ => Outcome::Empty,
    }
}

fn exists(site: &Site<'_>) -> Result<Kernel, String> {
    let given = Given::new(site, 1)?;
    let on_error = word(site.args, 2, &["FALSE", "TRUE", "UNKNOWN", "ERROR"]);
    let on_error = on_error.map_err(|_| "this clause is not supported".to_owned())?.to_owned();
    Ok(rows(move |args| match given.find(args) {
        Some((Found::Nothing, false)) => Some(false),
        Some((Found::One(json), _)) => Some(json.get() != "null"),
        Some((Found::Many(_), _)) => Some(true),
        None | Some((Found::Nothing, true)) => match on_error.as_str() {
            "TRUE" => Some(true),
            "FALSE" => Some(false),
            "ERROR" => args.fail("JSON_EXISTS failed"),
            _ => None,
        },
    }))
}

/// Writes one argument; what is JSON already (of JSON_OBJECT and the like) stays as it is.
fn writer(arg: &Expr, i: usize) -> impl Fn(&Args<'_>, &mut Vec<u8>) + Send + Sync + use<> {
    let json = matches!(&arg.kind, ExprKind::Call(call) if matches!(call.name, "JSON_OBJECT" | "JSON_ARRAY"));
    let ty = arg.ty.clone();
    move |args, out| {
        if json && !args.is_null(i) {
            out.extend_from_slice(args.bytes(i));
        } else {
            write::value(&args.value(i), &ty, out);
        }
    }
}

fn object(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    let absent = word(&args, 0, &["NULL", "ABSENT"])? == "ABSENT";
    if args.len().is_multiple_of(2) {
        return Err(String::new());
    }
    let writers: Vec<_> = args.iter().enumerate().skip(1).map(|(i, arg)| writer(arg, i)).collect();
    let kernel = texts_with(OnNull::Call, Data::Text, move |args, out| {
        // Members come in order of their keys; the last of two equal keys wins.
        let mut members = std::collections::BTreeMap::new();
        for (pair, both) in writers.chunks(2).enumerate() {
            let [_, value] = both else { continue };
            let at = 1 + 2 * pair;
            if args.is_null(at) || (absent && args.is_null(at + 1)) {
                continue;
            }
            let mut written = Vec::new();
            value(args, &mut written);
            members.insert(args.text(at), written);
        }
        out.push(b'{');
        for (number, (key, value)) in members.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            write::string(key, out);
            out.push(b':');
            out.extend_from_slice(value);
        }
        out.push(b'}');
        Some(())
    });
    Ok(call(name, args, Type::STRING, kernel))
}

fn array(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    let absent = word(&args, 0, &["ABSENT", "NULL"])? == "ABSENT";
    let writers: Vec<_> = args.iter().enumerate().skip(1).map(|(i, arg)| writer(arg, i)).collect();
    let kernel = texts_with(OnNull::Call, Data::Text, move |args, out| {
        out.push(b'[');
        let from = out.len();
        for (number, write) in writers.iter().enumerate() {
            if absent && args.is_null(number + 1) {
                continue;
            }
            if out.len() > from {
                out.push(b',');
            }
            write(args, out);
        }
        out.push(b']');
        Some(())
    });
    Ok(call(name, args, Type::STRING, kernel))
}

fn json_string(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    let [arg] = args.as_slice() else { return Err(String::new()) };
    let write = writer(arg, 0);
    let kernel = texts(move |args, out| {
        write(args, out);
        Some(())
    });
    Ok(call(name, args, Type::STRING, kernel))
}
