//! Draws the edges of an SVG picture. The ends at one side of a box are ordered by their other
//! ends, so that edges do not cross there.

use std::fmt::{self, Write};

use super::*;
use crate::Edge;

/// The distance between the ends of edges at one side of a box, if there is space.
const END_DISTANCE: f64 = 9.0;

/// The distance between the corner of a box and the ends of edges.
const END_MARGIN: f64 = 9.0;

/// An edge, with its start and end.
pub(super) struct EdgeLine<'graph> {
    edge: &'graph Edge,
    from: (f64, f64),
    to: (f64, f64),
}

/// A side of a box: the asset, and whether it is the right side.
type Side = (usize, bool);

impl<'graph> Painter<'graph> {
    /// All edges. At each side of a box, they are ordered by their other ends, so that they do not
    /// cross there.
    pub(super) fn ordered_edges(&self) -> Vec<EdgeLine<'graph>> {
        let sides: Vec<_> = self.graph.edges.iter().map(|edge| self.edge_sides(edge)).collect();
        let mut ends: Vec<(Side, f64, usize, bool)> = Vec::new();
        for (number, (from, to)) in sides.iter().enumerate() {
            ends.push((*from, self.layout.rows[to.0], number, true));
            ends.push((*to, self.layout.rows[from.0], number, false));
        }
        ends.sort_by(|one, other| {
            one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)).then(one.2.cmp(&other.2))
        });
        let nowhere = |edge| EdgeLine { edge, from: (0.0, 0.0), to: (0.0, 0.0) };
        let mut lines: Vec<_> = self.graph.edges.iter().map(nowhere).collect();
        for side in ends.chunk_by(|one, other| one.0 == other.0) {
            for (place, (at, _, number, is_from)) in side.iter().enumerate() {
                let point = self.edge_end(*at, place, side.len());
                let line = &mut lines[*number];
                *(if *is_from { &mut line.from } else { &mut line.to }) = point;
            }
        }
        lines
    }

    /// The sides of the boxes at which an edge starts and ends. An edge to the left uses the
    /// opposite sides.
    fn edge_sides(&self, edge: &Edge) -> (Side, Side) {
        let is_back = self.layout.columns[edge.from] > self.layout.columns[edge.to];
        ((edge.from, !is_back), (edge.to, is_back))
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn edge_end(&self, (asset, is_right): Side, place: usize, of: usize) -> (f64, f64) {
        let (left, top, width) = self.box_of(asset);
        let room = BOX_HEIGHT - 2.0 * END_MARGIN;
        let distance = END_DISTANCE.min(room / (of.max(2) - 1) as f64);
        let from_middle = (place as f64 - (of - 1) as f64 / 2.0) * distance;
        let x = if is_right { left + width } else { left };
        (x, top + BOX_HEIGHT / 2.0 + from_middle)
    }

    pub(super) fn paint_edge(
        &self,
        line: &EdgeLine<'_>,
        words: &[AssetLabel],
        to: &mut String,
    ) -> fmt::Result {
        let EdgeLine { edge, from, to: end } = line;
        let (class, verb, _) = role_style(edge.role);
        let is_back = end.0 < from.0;
        // Arrowheads do not touch the boxes.
        let end_x = if is_back { end.0 + 2.0 } else { end.0 - 2.0 };
        let middle = round_length(f64::midpoint(from.0, end_x));
        let [x, y, end_x, end_y] = [from.0, from.1, end_x, end.1].map(round_length);
        let condition = match (&edge.note, edge.role) {
            (Some(_), EdgeRole::Routed) => " some",
            _ => "",
        };
        write!(
            to,
            r##"<path class="edge {class}{condition}" marker-end="url(#{class})" d="M{x} {y}C{middle} {y} {middle} {end_y} {end_x} {end_y}"><title>{} → {}: {verb}"##,
            xml_text(&words[edge.from].title),
            xml_text(&words[edge.to].title),
        )?;
        if let Some(note) = &edge.note {
            write!(to, ", if {}", xml_text(&clean_text(note, limits::PICTURE_TEXT_CHARS_MAX)))?;
        }
        to.write_str("</title></path>\n")
    }
}
