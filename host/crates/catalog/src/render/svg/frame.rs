//! The frame of an SVG picture: background, lanes with headings, styles and the legend. It loads no
//! fonts and no scripts.

use std::fmt::{self, Write};

use super::*;

/// The style of the classes. Only system fonts are used.
const STYLE: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'DejaVu Sans',sans-serif}\
.ground{fill:#f8fafc;stroke:#cbd5e1}\
.lane{fill:#eef2f7}\
.h{font-size:13px;font-weight:700;letter-spacing:.3px;fill:#334155}\
.t{font-size:13px;font-weight:600;fill:#0f172a}\
.d{font-size:11px;fill:#475569}\
.box{fill:#fff;stroke-opacity:.55}\
.odd{fill:#fef2f2;stroke-dasharray:5 3}\
.edge{fill:none;stroke-width:1.6}\
.routed{stroke:#4f46e5}.feeds{stroke:#7e22ce}.delivered{stroke:#0f766e}\
.backup{stroke:#64748b;stroke-dasharray:6 4}.schema{stroke:#64748b;stroke-dasharray:1.5 4;stroke-linecap:round}\
.some{stroke-dasharray:9 3 2 3}";

const ROLES: [EdgeRole; 5] =
    [EdgeRole::Routed, EdgeRole::Feeds, EdgeRole::Delivered, EdgeRole::Backup, EdgeRole::Schema];

impl Painter<'_> {
    /// Paints the background, lanes with headings, and the legend.
    pub(super) fn paint_frame(&self, to: &mut String) -> fmt::Result {
        let lanes = self.columns.iter().flatten();
        let right = lanes.clone().map(|(left, width)| left + width).reduce(f64::max);
        let width = (right.unwrap_or(BOX_WIDTH_MAX) + MARGIN).max(self.legend_width());
        let lane_height = HEADING_HEIGHT + self.layout.height * ROW_HEIGHT + 8.0;
        let height = MARGIN + lane_height + LEGEND_HEIGHT + 8.0;
        write!(
            to,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="Delivery streams, what feeds them, and where their records end up"><style>{STYLE}</style><defs>"#,
            width = round_length(width),
            height = round_length(height),
        )?;
        for (column, place) in self.columns.iter().enumerate() {
            if let Some((_, width)) = place {
                let width = round_length(width - TEXT_INDENT / 2.0);
                write!(
                    to,
                    r#"<clipPath id="c{column}"><path d="M0 0h{width}v{BOX_HEIGHT}H0z"/></clipPath>"#
                )?;
            }
        }
        for role in ROLES {
            let (class, _, colour) = role_style(role);
            write!(
                to,
                r#"<marker id="{class}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0.5L8 4L0 7.5z" fill="{colour}"/></marker>"#
            )?;
        }
        writeln!(
            to,
            r#"</defs><rect class="ground" x=".5" y=".5" width="{}" height="{}" rx="12"/>"#,
            round_length(width - 1.0),
            round_length(height - 1.0)
        )?;
        for (column, place) in AssetColumn::ALL.into_iter().zip(self.columns) {
            let Some((left, width)) = place else { continue };
            writeln!(
                to,
                r#"<rect class="lane" x="{}" y="{}" width="{}" height="{}" rx="10"/><text class="h" x="{}" y="{}" text-anchor="middle">{}</text>"#,
                round_length(left - 12.0),
                round_length(MARGIN - 12.0),
                round_length(width + 24.0),
                round_length(lane_height + 12.0),
                round_length(left + width / 2.0),
                round_length(MARGIN + 16.0),
                column.heading(),
            )?;
        }
        self.paint_legend(MARGIN + lane_height + 24.0, to)
    }

    fn paint_legend(&self, middle: f64, to: &mut String) -> fmt::Result {
        let mut left = MARGIN;
        for (classes, marker, text) in self.legend_entries() {
            write!(
                to,
                r##"<path class="edge {classes}" d="M{} {}h30" marker-end="url(#{marker})"/><text class="d" x="{}" y="{}">{text}</text>"##,
                round_length(left),
                round_length(middle),
                round_length(left + 38.0),
                round_length(middle + 4.0),
            )?;
            left += entry_width(text);
        }
        to.write_char('\n')
    }

    fn legend_width(&self) -> f64 {
        self.legend_entries().iter().map(|(_, _, text)| entry_width(text)).sum::<f64>() + MARGIN
    }

    /// The legend of the existing roles: classes, colors of the arrow's head, and descriptions.
    fn legend_entries(&self) -> Vec<(String, &'static str, &'static str)> {
        let edges = &self.graph.edges;
        let there = ROLES.into_iter().filter(|role| edges.iter().any(|edge| edge.role == *role));
        let entry = |role| {
            let (class, words, _) = role_style(role);
            (class.to_owned(), class, words)
        };
        let mut legend: Vec<_> = there.map(entry).collect();
        if edges.iter().any(|edge| edge.role == EdgeRole::Routed && edge.note.is_some()) {
            legend.push(("routed some".to_owned(), "routed", "sent under a condition"));
        }
        legend
    }
}

fn entry_width(text: &str) -> f64 {
    38.0 + text_width(text) * DETAIL_SIZE + 22.0
}
