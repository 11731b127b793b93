//! Renders SVG for browsers, pages and documents. The picture has its own background, so it looks
//! the same on dark and on light pages.

mod edges;
mod frame;

use std::fmt::{self, Write};

use super::asset_label::{AssetLabel, asset_label};
use super::column::{AssetColumn, asset_colour};
use super::layout::{Layout, compute_layout};
use super::text::{REGULAR, clean_text, fit_text, text_width};
use super::{TooLarge, render_graph};
use crate::limits;
use crate::{Asset, EdgeRole, Graph};

/// All lengths are pixels at the picture's natural size.
const MARGIN: f64 = 28.0;
const HEADING_HEIGHT: f64 = 34.0;
const ROW_HEIGHT: f64 = 60.0;
const BOX_HEIGHT: f64 = 44.0;
const BOX_WIDTH_MIN: f64 = 150.0;
const BOX_WIDTH_MAX: f64 = 290.0;
const COLUMN_GAP: f64 = 96.0;
const TEXT_INDENT: f64 = 14.0;
const TITLE_SIZE: f64 = 13.0;
/// The font size, and the ratio of regular to bold widths.
const DETAIL_SIZE: f64 = 11.0 * REGULAR;
const LEGEND_HEIGHT: f64 = 34.0;

/// Lookup data for painting.
struct Painter<'graph> {
    graph: &'graph Graph,
    layout: Layout,
    /// The left side and the width of each column. `None` for an empty column.
    columns: [Option<(f64, f64)>; 4],
}

/// Renders a graph as SVG.
///
/// # Errors
///
/// Fails if the picture is too large.
pub fn render_svg(graph: &Graph) -> Result<String, TooLarge> {
    render_graph(graph, |graph, to| {
        let words: Vec<_> = graph.assets.iter().map(asset_label).collect();
        let layout = compute_layout(graph);
        let columns = place_columns(&layout, &words);
        Painter { graph, layout, columns }.paint_picture(&words, to)
    })
}

/// A column is as wide as its widest text, within limits.
fn place_columns(layout: &Layout, words: &[AssetLabel]) -> [Option<(f64, f64)>; 4] {
    let mut left = MARGIN;
    AssetColumn::ALL.map(|column| {
        let own = layout.columns.iter().zip(words).filter(|(of, _)| **of == column);
        let text = own.map(|(_, words)| {
            (text_width(&words.title) * TITLE_SIZE).max(text_width(&words.detail) * DETAIL_SIZE)
        });
        let widest = text.reduce(f64::max)?;
        let width = (widest + 2.0 * TEXT_INDENT).clamp(BOX_WIDTH_MIN, BOX_WIDTH_MAX).ceil();
        let place = (left, width);
        left += width + COLUMN_GAP;
        Some(place)
    })
}

impl Painter<'_> {
    fn paint_picture(&self, words: &[AssetLabel], to: &mut String) -> fmt::Result {
        self.paint_frame(to)?;
        for edge in self.ordered_edges() {
            self.paint_edge(&edge, words, to)?;
        }
        for (asset, words) in words.iter().enumerate() {
            self.paint_asset(asset, words, to)?;
        }
        to.write_str("</svg>\n")
    }

    /// The left side, the top and the width of an asset's box.
    fn box_of(&self, asset: usize) -> (f64, f64, f64) {
        let (left, width) = self.columns[self.layout.columns[asset] as usize]
            .expect("the column of an asset is not empty");
        let top = MARGIN + HEADING_HEIGHT + self.layout.rows[asset] * ROW_HEIGHT;
        (left, top + (ROW_HEIGHT - BOX_HEIGHT) / 2.0, width)
    }

    fn paint_asset(&self, number: usize, words: &AssetLabel, to: &mut String) -> fmt::Result {
        let (left, top, width) = self.box_of(number);
        let asset = &self.graph.assets[number];
        let colour = asset_colour(asset);
        let class = match asset {
            Asset::DeliveryStream { arn: None, .. } | Asset::Unsupported { .. } => "odd",
            _ => "box",
        };
        let room = width - 2.0 * TEXT_INDENT;
        let column = self.layout.columns[number] as usize;
        write!(
            to,
            r##"<g transform="translate({} {})"><title>{}</title><rect class="{class}" width="{}" height="{BOX_HEIGHT}" rx="7" stroke="{colour}"/><path class="bar" fill="{colour}" d="M7 0h-1a6 6 0 0 0-6 6v32a6 6 0 0 0 6 6h1z"/><g clip-path="url(#c{column})"><text class="t" x="{TEXT_INDENT}" y="19">{}</text><text class="d" x="{TEXT_INDENT}" y="35">{}</text></g></g>"##,
            round_length(left),
            round_length(top),
            xml_text(&words.full),
            round_length(width),
            xml_text(&fit_text(&words.title, room / TITLE_SIZE)),
            xml_text(&fit_text(&words.detail, room / DETAIL_SIZE)),
        )?;
        to.write_char('\n')
    }
}

/// Rounds a length to visible digits.
fn round_length(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

/// Escapes text for XML elements and attributes.
fn xml_text(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

/// The class of a role's edges, their description, and their color as in the style: not all viewers
/// apply the style to markers.
fn role_style(role: EdgeRole) -> (&'static str, &'static str, &'static str) {
    match role {
        EdgeRole::Routed => ("routed", "sent by the plugin", "#4f46e5"),
        EdgeRole::Feeds => ("feeds", "feeds", "#7e22ce"),
        EdgeRole::Delivered => ("delivered", "delivered", "#0f766e"),
        EdgeRole::Backup => ("backup", "copies and failed records", "#64748b"),
        EdgeRole::Schema => ("schema", "columns taken from", "#64748b"),
    }
}
