//! A script's text becomes its statements: Flink SQL, the legacy (Blink) and the current dialect, in one grammar.
//!
//! | statement | |
//! |---|---|
//! | `SET 'key' = 'value'`, `SET key = value` | |
//! | `CREATE [TEMPORARY] TABLE [IF NOT EXISTS] … WITH (…)` | both dialects, `LIKE` is copied |
//! | `CREATE [TEMPORARY] VIEW … AS SELECT …` | |
//! | `INSERT INTO t [(a, b)] SELECT … [EMIT …]` | |
//! | `BEGIN STATEMENT SET; INSERT …; END;`, `EXECUTE STATEMENT SET BEGIN … END;` | the same as the INSERTs alone |
//!
//! All other statements are refused by name. sqlparser does expressions and queries (`dialect.rs` says what its trees
//! look like where Flink differs), the rest is read here. Promises: all that is wrong is found at once (after an
//! error reading goes on at the next `;`, inside of CREATE TABLE at the next comma), every text ends in a script or
//! in errors, and no text in quotes is repeated in a message. Names are not resolved here; that is `bind`'s.

mod dialect;
mod emit;
mod errors;
mod json;
mod like;
mod options;
mod statement;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod tokens;
mod types;
mod words;

use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

pub(crate) use types::type_of;

use super::script::{Place, Script, SqlError};
use dialect::Flink;
use errors::at;
use tokens::Raw;
use words::{eat, is, is_word};

/// Nobody writes a longer one by hand.
const LONGEST_SCRIPT: usize = 1 << 20;
/// sqlparser's own count of nested calls; the cap on brackets in `tokens.rs` comes first for what people write.
const DEPTH: usize = 120;
/// More errors than anyone reads.
const MOST_ERRORS: usize = 100;

/// Reads a script. `variables` gives the values of `${name}`; `${env:X}` and the like are left as they are for who
/// reads the options.
pub(crate) fn parse(text: &str, variables: &dyn Fn(&str) -> Option<String>) -> Result<Script, Vec<SqlError>> {
    if text.len() > LONGEST_SCRIPT {
        let message = format!("the script is longer than {LONGEST_SCRIPT} bytes");
        return Err(vec![SqlError { place: Place { line: 1, column: 1 }, length: 0, message }]);
    }
    let (text, mut errors) = text::prepare(text, variables);
    let mut tokens = match Tokenizer::new(&Flink::new(false), &text.text).tokenize_with_location() {
        Ok(tokens) => tokens,
        Err(e) => {
            errors.push(SqlError { place: errors::place(e.location), length: 0, message: e.message });
            return Err(errors);
        }
    };
    text.settle(&mut tokens);
    let tokens = tokens::split_shifts(tokens);
    let dialect = Flink::new(is_legacy(&tokens));
    let legacy = is_legacy(&tokens);
    let mut reader =
        Reader { dialect: &dialect, legacy, script: Script { legacy, ..Script::default() }, errors, set: None };
    let blanks: Vec<&[TokenWithSpan]> = tokens.split(|token| token.token == Token::SemiColon).collect();
    for (raw, blanks) in blanks.iter().map(|part| (tokens::statement(part, &dialect), part)) {
        if raw.tokens.len() > 1 || !raw.errors.is_empty() {
            reader.statement(raw, blanks);
        }
    }
    reader.finish()
}

/// The legacy dialect is known by its tables' option `type`; the current one has `'connector'`.
fn is_legacy(tokens: &[TokenWithSpan]) -> bool {
    let solid: Vec<&Token> =
        tokens.iter().map(|token| &token.token).filter(|token| !matches!(token, Token::Whitespace(_))).collect();
    let has = |key: &str| {
        solid.windows(4).any(|window| {
            let [before, word, Token::Eq, Token::SingleQuotedString(_) | Token::Word(_)] = window else { return false };
            let named = match word {
                Token::SingleQuotedString(text) => text.eq_ignore_ascii_case(key),
                Token::Word(word) => word.value.eq_ignore_ascii_case(key),
                _ => false,
            };
            named && matches!(before, Token::LParen | Token::Comma)
        })
    };
    has("type") && !has("connector")
}

struct Reader<'d> {
    dialect: &'d Flink,
    legacy: bool,
    script: Script,
    errors: Vec<SqlError>,
    /// Inside of a STATEMENT SET that began with this token.
    set: Option<TokenWithSpan>,
}

impl Reader<'_> {
    fn statement(&mut self, mut raw: Raw, blanks: &[TokenWithSpan]) {
        if !raw.errors.is_empty() {
            self.errors.append(&mut raw.errors);
            return;
        }
        let begins = |raw: &Raw, words: &[&str]| {
            words.iter().enumerate().all(|(i, word)| raw.tokens.get(i).is_some_and(|token| is_word(&token.token, word)))
        };
        let opening: &[&str] = if begins(&raw, &["EXECUTE", "STATEMENT", "SET"]) {
            &["EXECUTE", "STATEMENT", "SET", "BEGIN"]
        } else {
            &["BEGIN", "STATEMENT", "SET"]
        };
        if begins(&raw, opening) {
            let first = raw.tokens.drain(..opening.len()).next();
            if let (Some(_), Some(first)) = (&self.set, &first) {
                self.errors.push(at(first.span, "a STATEMENT SET inside of another; is END missing above?"));
            }
            self.set = first;
            if raw.tokens.len() <= 1 {
                return;
            }
        }
        if begins(&raw, &["END"]) && raw.tokens.len() <= 2 {
            if self.set.take().is_none() {
                self.errors.push(at(options::span_of(&raw.tokens), "this END ends nothing; take it out"));
            }
            return;
        }
        if let Err(e) = self.read(&raw, blanks) {
            self.errors.push(e);
        }
        // A hook's refusal that another way of parsing got around is none.
        self.dialect.take_refused();
    }

    fn read(&mut self, raw: &Raw, blanks: &[TokenWithSpan]) -> Result<(), SqlError> {
        let tokens = raw.tokens.clone();
        let mut parser = Parser::new(self.dialect).with_tokens_with_locations(tokens).with_recursion_limit(DEPTH);
        let inserts = is(&parser, 0, "INSERT");
        if self.set.is_some() && !inserts {
            let span = options::span_of(&raw.tokens);
            return Err(at(span, "a STATEMENT SET holds INSERTs alone; is END; missing before this?"));
        }
        if inserts {
            self.script.inserts.push(statement::insert(self.dialect, raw)?);
            return Ok(());
        }
        if eat(&mut parser, &["SET"]) {
            self.script.settings.push(options::set(&mut parser, blanks)?);
            return Ok(());
        }
        if !eat(&mut parser, &["CREATE"]) {
            return Err(statement::unknown(&raw.tokens));
        }
        eat(&mut parser, &["TEMPORARY"]);
        if eat(&mut parser, &["VIEW"]) {
            self.script.views.push(statement::view(self.dialect, parser, raw)?);
            return Ok(());
        }
        if !eat(&mut parser, &["TABLE"]) {
            return Err(statement::unknown_object(&parser));
        }
        let context = table::Context { dialect: self.dialect, legacy: self.legacy, tokens: &raw.tokens };
        let table::Created { mut table, like } = table::create(&mut parser, context, &mut self.errors)?;
        if let Some(like) = like {
            like.apply(&mut table, &self.script.tables)?;
            table::check_names(&table, &mut self.errors);
        }
        self.script.tables.push(table);
        Ok(())
    }

    fn finish(mut self) -> Result<Script, Vec<SqlError>> {
        if let Some(begin) = &self.set {
            self.errors.push(at(begin.span, "this STATEMENT SET has no END; write END; behind its last INSERT"));
        }
        if self.errors.is_empty() {
            return Ok(self.script);
        }
        self.errors.sort_by_key(|error| error.place);
        self.errors.dedup();
        self.errors.truncate(MOST_ERRORS);
        Err(self.errors)
    }
}
