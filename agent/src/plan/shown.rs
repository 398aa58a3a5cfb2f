//! Plans as a person who wrote them knows them: places, indices, kinds. No secret is part of it.

use super::{IndexPart, IndexPlan, JobPlan, RowIndex, RowIndexPart, SinkPlan, SinkTarget, SourcePlan};

impl JobPlan {
    /// `file`, `stdin`, `logstore` or `SQL`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            JobPlan::Query(_) => "SQL",
            JobPlan::Ship(plan) => match plan.source {
                SourcePlan::File(_) => "file",
                SourcePlan::Stdin(_) => "stdin",
                SourcePlan::Sls(_) => "logstore",
            },
        }
    }

    /// Where it reads.
    pub(crate) fn sources(&self) -> Vec<&SourcePlan> {
        match self {
            JobPlan::Ship(plan) => vec![&plan.source],
            JobPlan::Query(plan) => plan.tables.iter().map(|table| &table.source).collect(),
        }
    }

    /// The indices that it writes to, as it has them.
    pub(crate) fn targets(&self) -> Vec<String> {
        match self {
            JobPlan::Ship(plan) => vec![plan.sink.index.shown()],
            JobPlan::Query(plan) => plan.sinks.iter().map(SinkPlan::shown).collect(),
        }
    }
}

impl SourcePlan {
    /// Paths, or `project/logstore`.
    pub(crate) fn shown(&self) -> Vec<String> {
        match self {
            SourcePlan::File(files) => files.paths.clone(),
            SourcePlan::Stdin(_) => vec!["standard input".to_owned()],
            SourcePlan::Sls(plan) => vec![format!("{}/{}", plan.project, plan.logstore)],
        }
    }
}

impl IndexPlan {
    /// `logs-%{service}-%Y.%m.%d`
    pub(crate) fn shown(&self) -> String {
        let part = |part: &IndexPart| match part {
            IndexPart::Literal(text) | IndexPart::Date(text) => text.clone(),
            IndexPart::Field(name) => format!("%{{{name}}}"),
        };
        match self {
            IndexPlan::Literal(name) => name.clone(),
            IndexPlan::Template { parts, .. } => parts.iter().map(part).collect(),
        }
    }
}

impl SinkPlan {
    /// Its index, as `logs-{service}-{ts|yyyy-MM-dd}`, or where its rows go else.
    fn shown(&self) -> String {
        match self.target {
            SinkTarget::Elasticsearch(_) => {}
            SinkTarget::Print => return "standard output".to_owned(),
            SinkTarget::Blackhole => return "nowhere".to_owned(),
        }
        let column = |at: &usize| self.rows.columns.get(*at).map_or("?", |(name, _)| name.as_str());
        let part = |part: &RowIndexPart| match part {
            RowIndexPart::Literal(text) => text.clone(),
            RowIndexPart::Column(at) => format!("{{{}}}", column(at)),
            RowIndexPart::Date { column: at, pattern, .. } => format!("{{{}|{pattern}}}", column(at)),
            RowIndexPart::Now { pattern, .. } => format!("{{now()|{pattern}}}"),
        };
        match &self.rows.index {
            RowIndex::Literal(name) => name.clone(),
            RowIndex::Template { parts, .. } => parts.iter().map(part).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_shown_as_it_was_written() {
        let parts = vec![
            IndexPart::Literal("logs-".to_owned()),
            IndexPart::Field("service".to_owned()),
            IndexPart::Date("-%Y.%m".to_owned()),
        ];
        let template = IndexPlan::Template { parts, prefix: "logs-".to_owned(), fallback: "logs-fallback".to_owned() };
        assert_eq!(template.shown(), "logs-%{service}-%Y.%m");
        assert_eq!(IndexPlan::Literal("logs".to_owned()).shown(), "logs");
    }
}
