//! The report of edges as a table with totals.

use super::LineageReport;
use standpipe_core::text_table;

/// The report for people: a table, and totals below it.
pub fn report_table(report: &LineageReport) -> String {
    let rows = report.lines.iter().map(|line| {
        let from = line.from.clone().unwrap_or_else(|| "(Direct PUT)".to_owned());
        let (word, details) = (line.fate.word().to_owned(), line.fate.details());
        [line.stream.clone(), from, line.to.clone(), word, details]
    });
    let mut text = text_table::render_table(["Stream", "From", "To", "Outcome", "Details"], rows);
    let totals = report.totals();
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
