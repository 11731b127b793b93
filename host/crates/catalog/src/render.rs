//! Pictures of a graph for people: SVG, and the languages of Mermaid and Graphviz.
//!
//! All show the same words of the same assets, and each escapes them in its own
//! way: names are others' words, and none may end a label. The SVG needs no other
//! program, font or file: its text is measured so that it fits whatever font it is
//! shown in, and its order is that of `layout`.
//!
//! A graph that is too large for any person to read is refused. Mermaid itself draws
//! 500 edges and no more, unless the page allows it (`maxEdges`, `maxTextSize`).

mod asset_label;
mod column;
mod dot;
mod layout;
mod mermaid;
mod svg;
mod text;

pub use dot::render_dot;
pub use mermaid::render_mermaid;
pub use svg::render_svg;

use std::fmt;

use thiserror::Error;

use super::Graph;

/// Assets of a picture: those of 5,000 streams with a source and two kinds of events
/// each. More than that no person reads and few browsers show.
const PICTURE_ASSETS_MAX: usize = 25_000;

/// Edges of a picture, for the same reason: events that are sent to every stream
/// multiply.
const PICTURE_EDGES_MAX: usize = 50_000;

/// A graph that cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "failed to render {assets} assets and {edges} edges: a picture has at most {} and {}: select fewer streams with `include`, or use the format json",
    PICTURE_ASSETS_MAX,
    PICTURE_EDGES_MAX
)]
pub struct TooLarge {
    assets: usize,
    edges: usize,
}

/// Draws a graph with this function, unless it is too large.
fn render_graph(
    graph: &Graph,
    write: impl FnOnce(&Graph, &mut String) -> fmt::Result,
) -> Result<String, TooLarge> {
    let (assets, edges) = (graph.assets.len(), graph.edges.len());
    if assets > PICTURE_ASSETS_MAX || edges > PICTURE_EDGES_MAX {
        return Err(TooLarge { assets, edges });
    }
    let mut text = String::new();
    write(graph, &mut text).expect("a string takes all text");
    Ok(text)
}

#[cfg(test)]
pub(super) mod example;
#[cfg(test)]
mod tests;
