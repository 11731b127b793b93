//! Renders Mermaid flowcharts, which many tools display in pages and documents.

use std::fmt::{self, Write};

use super::asset_label::asset_label;
use super::column::{AssetColumn, asset_colour, assign_columns};
use super::text::{clean_text, fit_text};
use super::{TooLarge, render_graph};
use crate::limits;
use crate::{Edge, EdgeRole, Graph};

/// Maximum width of conditions on edges, in units of the font size. Longer ones would distort the
/// layout.
const CONDITION_WIDTH_MAX: f64 = 24.0;

/// Renders a graph as a Mermaid flowchart.
///
/// # Errors
///
/// Fails if the graph is too large.
pub fn render_mermaid(graph: &Graph) -> Result<String, TooLarge> {
    render_graph(graph, write_to)
}

fn write_to(graph: &Graph, to: &mut String) -> fmt::Result {
    to.write_str("flowchart LR\n")?;
    let columns = assign_columns(graph);
    for column in AssetColumn::ALL {
        let own: Vec<_> = (0..graph.assets.len()).filter(|it| columns[*it] == column).collect();
        if own.is_empty() {
            continue;
        }
        writeln!(to, "  subgraph c{}[\"{}\"]", column as usize, column.heading())?;
        for asset in own {
            let words = asset_label(&graph.assets[asset]);
            let (title, detail) = (mermaid_text(&words.title), mermaid_text(&words.detail));
            writeln!(to, "    n{asset}[\"{title}<br/>{detail}\"]")?;
        }
        to.write_str("  end\n")?;
    }
    for edge in &graph.edges {
        write_edge(edge, to)?;
    }
    for (number, asset) in graph.assets.iter().enumerate() {
        writeln!(to, "  style n{number} stroke:{}", asset_colour(asset))?;
    }
    Ok(())
}

fn write_edge(edge: &Edge, to: &mut String) -> fmt::Result {
    let Edge { from, to: end, role, note } = edge;
    let arrow = match role {
        EdgeRole::Routed | EdgeRole::Feeds | EdgeRole::Delivered => "-->",
        EdgeRole::Backup | EdgeRole::Schema => "-.->",
    };
    let words = match role {
        EdgeRole::Backup => Some("backup".to_owned()),
        EdgeRole::Schema => Some("columns".to_owned()),
        _ => note.as_ref().map(|note| {
            let note = fit_text(note, CONDITION_WIDTH_MAX);
            format!("if {}", clean_text(&note, limits::PICTURE_TEXT_CHARS_MAX))
        }),
    };
    match words {
        Some(words) => writeln!(to, "  n{from} {arrow}|\"{}\"| n{end}", mermaid_text(&words)),
        None => writeln!(to, "  n{from} {arrow} n{end}"),
    }
}

/// Escapes text in quotes: characters with a meaning in Mermaid or HTML become their numbers.
fn mermaid_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_alphanumeric() || " -_./()".contains(character) {
            true => escaped.push(character),
            false => escaped.push_str(&format!("#{};", u32::from(character))),
        }
    }
    escaped
}
