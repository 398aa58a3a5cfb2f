//! The tables and views of a script by name: which dialect they are in, which are read, which are written.

use splashdam_api::words::plural;
use sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Spanned};

use crate::sql::script::{Name, Table};

use super::scope::Relation;
use super::{Binder, Bound, Reported, did_you_mean};

/// What a name in FROM stands for.
#[derive(Clone, Copy)]
pub(super) enum Named {
    Table(usize),
    View(usize),
}

/// Declared in the legacy dialect: `type = '…'` instead of `'connector' = '…'`.
pub(super) fn is_legacy(table: &Table) -> bool {
    let has = |key: &str| table.options.iter().any(|option| option.key.text.eq_ignore_ascii_case(key));
    has("type") && !has("connector")
}

/// A name as an identifier of a query.
pub(super) fn ident(name: &Name) -> Ident {
    let mut ident = Ident::new(&name.text);
    ident.quote_style = name.quoted.then_some('`');
    ident
}

impl Binder<'_> {
    /// Refuses names that are declared twice, and tables that are both read from and written to.
    pub(super) fn check_names(&mut self) {
        let script = self.script;
        let names: Vec<&Name> =
            script.tables.iter().map(|t| &t.name).chain(script.views.iter().map(|v| &v.name)).collect();
        for (i, name) in names.iter().enumerate() {
            if names.iter().take(i).any(|before| self.is_name(&ident(name), &before.text)) {
                self.refuse_name::<()>(name, format!("'{}' is declared twice", name.text)).unwrap_or_default();
            }
        }
        for table in &script.tables {
            for (i, column) in table.columns.iter().enumerate() {
                let before = table.columns.iter().take(i).any(|b| self.is_name(&ident(&column.name), &b.name.text));
                if before {
                    let message =
                        format!("column '{}' is declared twice in table '{}'", column.name.text, table.name.text);
                    self.refuse_name::<()>(&column.name, message).unwrap_or_default();
                }
            }
        }
    }

    /// The table or view of a name.
    pub(super) fn named(&mut self, name: &ObjectName) -> Bound<Named> {
        let parts: Vec<&Ident> = name.0.iter().filter_map(ObjectNamePart::as_ident).collect();
        let Some((last, catalog)) = parts.split_last().filter(|_| parts.len() == name.0.len()) else {
            return self.refuse(name.span(), format!("'{name}' is no table"));
        };
        let default = ["default_catalog", "default_database"];
        if let Some(other) = catalog.iter().find(|part| !default.contains(&part.value.as_str())) {
            let message = format!("there is no catalog or database '{}': name the table alone", other.value);
            return self.refuse(name.span(), message);
        }
        self.table_or_view(last)
    }

    fn table_or_view(&mut self, name: &Ident) -> Bound<Named> {
        let script = self.script;
        let tables = script.tables.iter().enumerate().map(|(i, table)| (table.name.text.as_str(), Named::Table(i)));
        let views = script.views.iter().enumerate().map(|(i, view)| (view.name.text.as_str(), Named::View(i)));
        let all = tables.chain(views);
        match self.find(name, all.clone()) {
            Ok(found) => return Ok(found),
            // That it is declared twice has been said.
            Err(several) if !several.is_empty() => return Err(Reported),
            Err(_) => {}
        }
        let known: Vec<&str> = all.map(|(name, _)| name).collect();
        let hint = match known.iter().find(|known| known.eq_ignore_ascii_case(&name.value)) {
            Some(other) => format!("; did you mean {other}? Table names are case-sensitive"),
            None => did_you_mean(&name.value, known),
        };
        self.refuse(name.span, format!("table or view '{}' not found{hint}", name.value))
    }

    /// What is read from a table or view, bound once.
    pub(super) fn relation(&mut self, name: &ObjectName) -> Bound<Relation> {
        if let [ObjectNamePart::Identifier(only)] = name.0.as_slice() {
            let cte = self.ctes.iter().rev().find(|(cte, _)| self.is_name(only, &cte.value));
            if let Some((_, bound)) = cte {
                return bound.clone();
            }
        }
        let named = self.named(name)?;
        let (known, emission) = match named {
            Named::Table(i) => (self.script.tables.get(i).map(|table| &table.name), None),
            Named::View(i) => (self.script.views.get(i).map(|view| &view.name), self.emission),
        };
        let Some(known) = known else { return Err(Reported) };
        let text = known.text.clone();
        if let Some((_, _, bound)) = self.relations.iter().find(|(n, e, _)| *n == text && *e == emission) {
            return bound.clone();
        }
        let bound = match named {
            Named::Table(i) => self.check_not_written(i, name).and_then(|()| self.source(i)),
            Named::View(i) => self.deeper(name.span(), |binder| binder.view(i, name)),
        };
        self.relations.push((text, emission, bound.clone()));
        bound
    }

    fn check_not_written(&mut self, table: usize, name: &ObjectName) -> Bound<()> {
        let Some(declared) = self.script.tables.get(table) else { return Err(Reported) };
        let written =
            self.script.inserts.iter().any(|insert| self.is_name(&ident(&insert.target), &declared.name.text));
        if !written {
            return Ok(());
        }
        let message = format!(
            "table '{}' is written by an INSERT and cannot be read here too: read from what the INSERT reads, \
             or put its query into a view",
            declared.name.text
        );
        self.refuse(name.span(), message)
    }

    fn view(&mut self, view: usize, name: &ObjectName) -> Bound<Relation> {
        let Some(view) = self.script.views.get(view) else { return Err(Reported) };
        if self.expanding.contains(&view.name.text) {
            return self.refuse(name.span(), format!("view '{}' is defined by itself", view.name.text));
        }
        self.refuse_hints(&view.hints);
        self.expanding.push(view.name.text.clone());
        let place = std::mem::replace(&mut self.place, view.name.place);
        let ctes = std::mem::take(&mut self.ctes);
        let bound = self.query(&view.query);
        self.ctes = ctes;
        self.place = place;
        self.expanding.pop();
        let mut relation = bound?;
        if !view.columns.is_empty() {
            if view.columns.len() != relation.columns.len() {
                let message = format!(
                    "view '{}' names {}, its query has {}",
                    view.name.text,
                    plural(view.columns.len() as u64, "column"),
                    relation.columns.len()
                );
                return self.refuse_name(&view.name, message);
            }
            relation.columns.iter_mut().zip(&view.columns).for_each(|(column, name)| column.name = name.text.clone());
        }
        Ok(relation.named(Some(&view.name.text)))
    }

    /// Says what is wrong with views that no INSERT uses.
    pub(super) fn check_unused_views(&mut self) {
        let script = self.script;
        for view in &script.views {
            let used = self.relations.iter().any(|(name, _, _)| *name == view.name.text);
            if !used {
                let name = ObjectName::from(vec![ident(&view.name)]);
                drop(self.relation(&name));
            }
        }
    }
}
