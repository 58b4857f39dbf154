//! Tables in Markdown.

use std::fmt;

/// A table that prints as Markdown.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new(columns: &[&str]) -> Self {
        let mut table = Self::default();
        table.row(columns.iter().map(ToString::to_string));
        table.row(columns.iter().map(|_| "---".to_owned()));
        table
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))
    }
}

/// A number with this many decimals, a dash where there is none.
pub(super) fn cell(value: Option<f64>, decimals: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_prints_as_markdown() {
        let mut table = Table::new(&["net", "s"]);
        table.row(["cifar".to_owned(), cell(Some(1.23456), 2)]);
        table.row(["fashion".to_owned(), cell(None, 2)]);
        assert_eq!(
            table.to_string(),
            "| net | s |\n| --- | --- |\n| cifar | 1.23 |\n| fashion | - |\n"
        );
    }
}
