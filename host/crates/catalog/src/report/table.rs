//! The report of edges as an aligned table with totals. Names from outside are escaped, so none
//! begins a line or steers a terminal.

use super::Report;
use standpipe_core::escape;

/// The report for people: a table, and totals below it.
pub fn table(report: &Report) -> String {
    let header = ["Stream", "From", "To", "Outcome", "Details"].map(str::to_owned);
    let rows = report.lines.iter().map(|line| {
        let from = line.from.clone().unwrap_or_else(|| "(writers)".to_owned());
        [&line.stream, &from, &line.to, line.fate.word(), &line.fate.details()].map(one_line)
    });
    let totals = report.totals();
    let mut text =
        if report.lines.is_empty() { String::new() } else { aligned(header, rows.collect()) };
    text.push_str(&format!(
        "resolved: {}, of these written: {}, not found: {}, ambiguous: {}, unsupported: {}, direct put: {}, failed: {}\n",
        totals.resolved,
        totals.written,
        totals.not_found,
        totals.ambiguous,
        totals.unsupported,
        totals.direct_put,
        totals.failed,
    ));
    text
}

/// Rows in columns; the last one is as wide as it is.
pub(crate) fn aligned<const N: usize>(header: [String; N], rows: Vec<[String; N]>) -> String {
    let rows: Vec<_> = [header].into_iter().chain(rows).collect();
    let widths: Vec<usize> = (0..N)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
        .collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// No name of Amazon's or a server's starts a line of its own, or speaks to a
/// terminal.
pub(crate) fn one_line(text: &str) -> String {
    escape::one_line(text).into_owned()
}
