//! Renders the DOT format of Graphviz, for other layouts and formats.

use std::fmt::{self, Write};

use super::asset_label::asset_label;
use super::column::{AssetColumn, asset_colour, assign_columns};
use super::text::clean_text;
use super::{TooLarge, render_graph};
use crate::limits;
use crate::{Edge, EdgeRole, Graph};

const HEAD: &str = "\
digraph catalog {
  graph [rankdir=LR, ranksep=1.2, nodesep=0.15, fontname=\"Helvetica\"]
  node [shape=box, style=rounded, fontname=\"Helvetica\", fontsize=11]
  edge [color=\"#64748b\", arrowsize=0.7, fontname=\"Helvetica\", fontsize=9]
";

/// Renders a graph in the DOT format of Graphviz.
///
/// # Errors
///
/// Fails if the graph is too large.
pub fn render_dot(graph: &Graph) -> Result<String, TooLarge> {
    render_graph(graph, write_to)
}

fn write_to(graph: &Graph, to: &mut String) -> fmt::Result {
    to.write_str(HEAD)?;
    let columns = assign_columns(graph);
    for column in AssetColumn::ALL {
        let own = (0..graph.assets.len()).filter(|asset| columns[*asset] == column);
        // Assets of the same kind are in one column.
        to.write_str("  { rank=same\n")?;
        for asset in own {
            let words = asset_label(&graph.assets[asset]);
            writeln!(
                to,
                "    n{asset} [label=\"{}\\n{}\", tooltip=\"{}\", color=\"{}\"]",
                dot_text(&words.title),
                dot_text(&words.detail),
                dot_text(&words.full),
                asset_colour(&graph.assets[asset]),
            )?;
        }
        to.write_str("  }\n")?;
    }
    for Edge { from, to: end, role, note } in &graph.edges {
        let style = match role {
            EdgeRole::Routed | EdgeRole::Feeds | EdgeRole::Delivered => "solid",
            EdgeRole::Backup => "dashed",
            EdgeRole::Schema => "dotted",
        };
        write!(to, "  n{from} -> n{end} [style={style}")?;
        if let Some(note) = note {
            let note = clean_text(note, limits::PICTURE_TEXT_CHARS_MAX);
            write!(to, ", tooltip=\"if {}\"", dot_text(&note))?;
        }
        to.write_str("]\n")?;
    }
    to.write_str("}\n")
}

/// Escapes text in quotes. Graphviz supports escapes with `\` and HTML entities.
fn dot_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;")
}
