//! Pictures of a graph for people: SVG, Mermaid and Graphviz.
//!
//! All show the same labels of the same assets, and each escapes them in its own way: names are
//! untrusted, and must not break out of a label. The SVG needs no other program, font or file: its
//! text is sized to fit with any font, and its order comes from `layout`.
//!
//! A graph that is too large to read is rejected. Mermaid itself renders at most 500 edges, unless
//! the page permits more (`maxEdges`, `maxTextSize`).

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

/// Maximum assets in a picture: those of 5,000 streams, with a source and two kinds of events each.
/// Nobody reads a larger picture, and few browsers display it.
const PICTURE_ASSETS_MAX: usize = 25_000;

/// Maximum edges in a picture, for the same reason: events that go to every stream multiply edges.
const PICTURE_EDGES_MAX: usize = 50_000;

/// A graph that cannot be rendered.
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

/// Renders a graph with this function, unless it is too large.
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
