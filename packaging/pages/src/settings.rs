//! The page splashdam.toml(5), made of the tables of keys in the README: one place says what there is.
//!
//! Knows just as much of Markdown as stands in these tables: bold sections, code between backticks.

/// A table of keys.
struct Table {
    /// The rows as (key, default, what); a section's row has neither default nor what.
    rows: Vec<(String, String, String)>,
}

const HEADER: &str = "| key | default | what |";

/// The page, as roff.
///
/// # Errors
/// If the README does not have exactly the two tables: of a job, then of the service.
pub(crate) fn page(readme: &str) -> Result<String, String> {
    let tables = tables(readme);
    let [job, service] = tables.as_slice() else {
        return Err(format!("the README has {} tables of keys, not those of a job and of the service", tables.len()));
    };
    let mut page = String::from(
        ".TH splashdam.toml 5 \"\" splashdam \"File formats\"\n\
         .SH NAME\nsplashdam.toml \\- the settings of the Splashdam service and of its jobs\n\
         .SH SYNOPSIS\n/etc/splashdam/splashdam.toml\n.br\n/etc/splashdam/jobs.d/*.toml, *.sql\n.br\n\
         /etc/splashdam/datasources.toml\n\
         .SH DESCRIPTION\nTOML. Relative paths start from the folder of the file they stand in. Any string may hold \
         ${env:NAME}, ${file:PATH} or ${credential:NAME} (a systemd credential). Sizes are \"64 MiB\", \"10MB\" or bytes, \
         durations \"200ms\" or \"1m 30s\". Unknown keys are errors that name the nearest known one.\n.PP\n\
         .B splashdam check\nsays all that is wrong with the files,\n.B splashctl reload\nhas the service take them up: \
         with a mistake in any of them nothing changes.\n",
    );
    page.push_str(".SH THE SERVICE\n/etc/splashdam/splashdam.toml; every key may be left out.\n");
    rows(service, &mut page);
    page.push_str(
        ".SH A JOB\nA file in /etc/splashdam/jobs.d. Its name without .toml is its id, unless it says another. A *.sql file \
         is a Flink SQL script.\n",
    );
    rows(job, &mut page);
    page.push_str(
        ".SH FILES\n/usr/share/doc/splashdam/examples has jobs to begin with.\n\
         .SH SEE ALSO\n.BR splashdam (1),\n.BR splashctl (1)\n",
    );
    Ok(page)
}

fn tables(readme: &str) -> Vec<Table> {
    let mut tables = Vec::new();
    let mut lines = readme.lines();
    while lines.by_ref().any(|line| line == HEADER) {
        let cells = lines.by_ref().skip(1).take_while(|line| line.starts_with('|')).filter_map(cells);
        tables.push(Table { rows: cells.collect() });
    }
    tables
}

fn cells(line: &str) -> Option<(String, String, String)> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    // A | within a cell is escaped.
    let inner = inner.replace("\\|", "\u{1}");
    let mut cells = inner.splitn(3, '|').map(|cell| cell.trim().replace('\u{1}', "|"));
    Some((cells.next()?, cells.next()?, cells.next()?))
}

fn rows(table: &Table, page: &mut String) {
    for (key, default, what) in &table.rows {
        if let Some(section) = key.strip_prefix("**") {
            page.push_str(&format!(".SS {}\n", text(section.trim_end_matches("**"))));
            continue;
        }
        page.push_str(&format!(".TP\n{}\n{}", text(key), text(what)));
        let default =
            if default == "required" { "Required.".to_owned() } else { format!("Default: {}.", text(default)) };
        page.push_str(&format!(" {default}\n"));
    }
}

/// Markdown of a cell as roff: code is bold, what roff would take for its own is escaped.
fn text(markdown: &str) -> String {
    let plain = markdown.replace('\\', "\\e").replace('-', "\\-");
    let parts = plain.split('`').enumerate();
    let text: String =
        parts.map(|(n, part)| if n % 2 == 1 { format!("\\fB{part}\\fR") } else { part.to_owned() }).collect();
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_readme_is_in_the_page() {
        let readme = include_str!("../../../README.md");
        let page = page(readme).unwrap_or_else(|error| panic!("{error}"));
        for table in tables(readme) {
            assert!(table.rows.len() > 5);
            for (key, _, _) in table.rows {
                assert!(page.contains(&text(key.trim_matches('*'))), "{key} is missing");
            }
        }
    }

    #[test]
    fn what_roff_would_take_for_its_own_is_escaped() {
        assert_eq!(text("`a-b` is \\d, not"), "\\fBa\\-b\\fR is \\ed, not");
        assert_eq!(text(".x"), "\\&.x");
    }
}
