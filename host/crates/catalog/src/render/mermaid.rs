//! Mermaid's flowcharts, which pages and documents of many tools draw.

use std::fmt::{self, Display, Write};

use super::asset_label::asset_label;
use super::column::{Column, asset_colour, assign_columns};
use super::text::{clean_text, fit_text};
use super::{TooLarge, render_graph};
use crate::limits;
use crate::{Edge, EdgeRole, Graph};

/// How wide conditions on edges are at most, in units of the font's size: longer ones
/// push everything apart.
const CONDITION_WIDTH_MAX: f64 = 24.0;

/// Draw a graph as a flowchart of Mermaid.
///
/// # Errors
///
/// It is too large.
pub fn render_mermaid(graph: &Graph) -> Result<String, TooLarge> {
    render_graph(graph, write_to)
}

fn write_to(graph: &Graph, to: &mut String) -> fmt::Result {
    to.write_str("flowchart LR\n")?;
    let columns = assign_columns(graph);
    for column in Column::ALL {
        let own: Vec<_> = (0..graph.assets.len()).filter(|it| columns[*it] == column).collect();
        if own.is_empty() {
            continue;
        }
        writeln!(to, "  subgraph c{}[\"{}\"]", column as usize, column.heading())?;
        for asset in own {
            let words = asset_label(&graph.assets[asset]);
            let (title, detail) = (MermaidText(&words.title), MermaidText(&words.detail));
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
        _ => note.as_ref().map(|note| format!("if {}", fit_text(note, CONDITION_WIDTH_MAX))),
    };
    match words {
        Some(words) => writeln!(to, "  n{from} {arrow}|\"{}\"| n{end}", MermaidText(&words)),
        None => writeln!(to, "  n{from} {arrow} n{end}"),
    }
}

/// Text between quotes, with what means something to Mermaid or to HTML as the
/// number of the character.
struct MermaidText<'text>(&'text str);

impl Display for MermaidText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in clean_text(self.0, limits::PICTURE_TEXT_CHARS_MAX).chars() {
            match character {
                ' ' | '-' | '_' | '.' | '/' | '(' | ')' => f.write_char(character)?,
                other if other.is_alphanumeric() => f.write_char(other)?,
                other => write!(f, "#{};", u32::from(other))?,
            }
        }
        Ok(())
    }
}
