//! `host catalog lineage`: draws the graph in one of six forms, to standard output or a file.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::list::{complain_about, exit_of};
use super::{CatalogArgs, LogFormat, block_with_progress, fault, print, start_logging, usage};
use crate::cli::{CommandResult, complain};
use standpipe_catalog::document::CatalogDocument;
use standpipe_catalog::openlineage::{EventOptions, job_events};
use standpipe_catalog::render::{render_dot, render_mermaid, render_svg};
use standpipe_catalog::report::asset_label;
use standpipe_catalog::{CatalogSettings, EdgeRole, Graph, Snapshot, StreamOrigin, take_snapshot};
use standpipe_core::clock;
use standpipe_core::text_table::render_table;

#[derive(Debug, Args)]
pub(crate) struct LineageArguments {
    #[command(flatten)]
    given: CatalogArgs,
    /// The format of the lineage.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: LineageFormat,
    /// Write to this file [default: standard output].
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Include the events that the plugin of the settings routes to each stream.
    #[arg(long)]
    events: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LineageFormat {
    /// A table with a row for each edge.
    Text,
    /// Streams and lineage as JSON.
    Json,
    /// A picture as SVG.
    Svg,
    /// A Mermaid flowchart.
    Mermaid,
    /// A Graphviz graph.
    Dot,
    /// OpenLineage events, one per line.
    Openlineage,
}

pub(super) fn run(arguments: &LineageArguments) -> CommandResult {
    start_logging(LogFormat::Human);
    let settings = arguments.given.settings().map_err(usage)?;
    let routes =
        if arguments.events { arguments.given.routes().map_err(usage)? } else { Vec::new() };
    let snapshot =
        block_with_progress(async |report| take_snapshot(&settings, &routes, report).await)?;
    complain_about(&snapshot.inventory);
    for warning in &snapshot.lineage.warnings {
        complain(&format!("note: {warning}"));
    }
    let text = render_format(&snapshot, &settings, arguments.format).map_err(fault)?;
    match &arguments.output {
        Some(path) => write_output(path, &text).map_err(fault)?,
        None => drop(print(&text)?),
    }
    Ok(exit_of(&snapshot.inventory))
}

fn render_format(
    snapshot: &Snapshot,
    settings: &CatalogSettings,
    format: LineageFormat,
) -> anyhow::Result<String> {
    let graph = &snapshot.lineage.graph;
    Ok(match format {
        LineageFormat::Text => for_people(snapshot),
        LineageFormat::Json => {
            CatalogDocument::new(&snapshot.inventory, &snapshot.lineage).to_text()
        }
        LineageFormat::Svg => render_svg(graph)?,
        LineageFormat::Mermaid => render_mermaid(graph)?,
        LineageFormat::Dot => render_dot(graph)?,
        LineageFormat::Openlineage => {
            let (service, brokers) = (settings.service_name().to_owned(), settings.brokers.clone());
            let options = EventOptions { time: clock::now(), service, brokers };
            let events = job_events(&snapshot.inventory, graph, &options);
            let line = |event| serde_json::to_string(event).expect("it has string keys") + "\n";
            events.iter().map(line).collect()
        }
    })
}

#[expect(clippy::disallowed_methods, reason = "a user asked for the file")]
fn write_output(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text)
        .with_context(|| format!("failed to write {}: check --output", path.display()))
}

/// Renders the edges as a table, and the number of streams without a source.
fn for_people(snapshot: &Snapshot) -> String {
    let Graph { assets, edges } = &snapshot.lineage.graph;
    let edge = |edge: &standpipe_catalog::Edge| {
        let role = match edge.role {
            EdgeRole::Routed => "routed to",
            EdgeRole::Feeds => "feeds",
            EdgeRole::Delivered => "delivers to",
            EdgeRole::Backup => "backs up to",
            EdgeRole::Schema => "provides the schema of",
        };
        [
            asset_label(&assets[edge.from]),
            role.to_owned(),
            asset_label(&assets[edge.to]),
            edge.note.clone().unwrap_or_default(),
        ]
    };
    let mut text = render_table(["from", "", "to", "note"], edges.iter().map(edge));
    let writers = snapshot.inventory.streams.iter();
    let writers = writers.filter(|stream| stream.origin == StreamOrigin::DirectPut).count();
    text += &format!(
        "{} edges; {writers} of {} streams are fed by Direct PUT\n",
        edges.len(),
        snapshot.inventory.streams.len()
    );
    text
}
