//! Rows of text in aligned columns. External names are escaped, so that they can neither start a
//! line nor control a terminal.

use crate::escape::one_line;

/// Formats rows in columns with a header. Empty without rows.
pub fn render_table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut all = vec![header.map(str::to_owned)];
    all.extend(rows);
    if all.len() == 1 { String::new() } else { align_columns(&all) }
}

/// Aligns rows in columns. The last column is not padded.
pub fn align_columns<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<_> = rows.iter().map(|row| row.each_ref().map(|cell| one_line(cell))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<_> = (0..N).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_one_another() {
        let rows = [["name", "what"], ["a\u{1b}", ""], ["long name", "x"]];
        let text = align_columns(&rows.map(|row| row.map(str::to_owned)));
        assert_eq!(text, "name       what\na\\u{1b}\nlong name  x\n");
    }
}
