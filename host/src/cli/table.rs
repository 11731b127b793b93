//! Rows of text in aligned columns; control characters are escaped.

use std::fmt::Write as _;

use standpipe_core::escape::one_line;

/// Rows of text in columns, the first one being their heads. Neither a name nor a
/// message can steer a terminal.
pub(super) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| row.each_ref().map(|cell| one_line(cell).into_owned())).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column).unwrap_or_default();
            let _ = write!(line, "{cell:width$}  ");
        }
        text += line.trim_end();
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
        let text = table(&rows.map(|row| row.map(str::to_owned)));
        assert_eq!(text, "name       what\na\\u{1b}\nlong name  x\n");
    }
}
