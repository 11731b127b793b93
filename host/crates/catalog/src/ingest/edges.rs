//! Writes the edges of a run, and reports each of them.

use std::collections::BTreeSet;

use super::{IngestStep, Ingestion, SINK};
use crate::openmetadata::{
    AssetResolver, EdgeWrite, EdgeWriter, Entity, ExistingPipelines, Resolution, RestError,
    StreamLink, stream_links,
};
use crate::report::{EdgeOutcome, EdgeReport, LineageReport, asset_label};
use crate::{Asset, Graph, Inventory};

/// Reports edges that are not looked up on a server.
pub(super) fn report_without_server(inventory: &Inventory, graph: &Graph) -> LineageReport {
    let lines = stream_links(inventory, graph).into_iter().map(|link| {
        let unknown = |asset: &&Asset| matches!(asset, Asset::Unsupported { .. });
        let unsupported = link.from.iter().chain([&link.to]).find(unknown);
        let fate = match (unsupported, &link.from) {
            (Some(asset), _) => {
                let why = "it is not supported".to_owned();
                EdgeOutcome::Unsupported { end: asset_label(asset), why }
            }
            (None, None) => EdgeOutcome::DirectPut,
            (None, Some(_)) => EdgeOutcome::Drawn,
        };
        edge_report(&link, fate)
    });
    LineageReport { lines: lines.collect() }
}

fn edge_report(link: &StreamLink, fate: EdgeOutcome) -> EdgeReport {
    let (from, to) = (link.from.as_ref().map(asset_label), asset_label(&link.to));
    EdgeReport { stream: link.stream.clone(), from, to, fate }
}

impl Ingestion<'_> {
    /// Writes all edges. `before` contains the pipelines as found at the start.
    pub(super) async fn write_edges(
        &self,
        before: &ExistingPipelines,
        existing: &ExistingPipelines,
        sink: &mut IngestStep,
    ) -> LineageReport {
        let ids = before.values().chain(existing.values()).map(|one| one.entity.id.clone());
        let ours: BTreeSet<String> = ids.collect();
        let mut edges = EdgeWriter::new(self.server, ours, self.options.is_dry);
        let mut resolver = AssetResolver::new(self.server);
        for stream in &self.inventory.streams {
            let pipeline = existing.get(&stream.name).map(|one| &one.entity);
            if let Err(error) = edges.delete_overridden(pipeline).await {
                sink.add_failure(SINK, &stream.name, &error);
            }
        }
        let mut lines = Vec::new();
        for link in stream_links(self.inventory, self.graph) {
            let pipeline = existing.get(&link.stream).map(|one| &one.entity);
            let fate = self.write_edge(&link, pipeline, &mut resolver, &mut edges).await;
            let fate =
                fate.unwrap_or_else(|error| EdgeOutcome::Failed { error: error.to_string() });
            let line = edge_report(&link, fate);
            match &line.fate {
                EdgeOutcome::Resolved { written: EdgeWrite::Updated, .. } => sink.updated += 1,
                EdgeOutcome::Resolved { .. } => sink.records += 1,
                EdgeOutcome::Failed { error } => {
                    let entity = format!("{}: an edge to {}", line.stream, line.to);
                    sink.add_failure(SINK, &entity, error);
                }
                EdgeOutcome::NotFound { .. } | EdgeOutcome::Ambiguous { .. } => {
                    let (word, details) = (line.fate.word(), line.fate.details());
                    sink.warnings.push(format!("{}: {word}: {details}", line.stream));
                }
                EdgeOutcome::Drawn | EdgeOutcome::Unsupported { .. } | EdgeOutcome::DirectPut => (),
            }
            lines.push(line);
        }
        LineageReport { lines }
    }

    async fn write_edge(
        &self,
        link: &StreamLink,
        pipeline: Option<&Entity>,
        resolver: &mut AssetResolver<'_>,
        edges: &mut EdgeWriter<'_>,
    ) -> Result<EdgeOutcome, RestError> {
        let from = match &link.from {
            Some(from) => Some(find_origin(from, link.instead.as_ref(), resolver).await?),
            None if self.server.settings().direct_put_edges => None,
            None => return Ok(EdgeOutcome::DirectPut),
        };
        if let Some(Err(fate @ EdgeOutcome::Unsupported { .. })) = from {
            return Ok(fate);
        }
        let (from, to) = match (from, find_end(&link.to, resolver).await?) {
            // An unsupported end is reported before a missing one.
            (_, Err(fate @ EdgeOutcome::Unsupported { .. })) => return Ok(fate),
            (Some(Err(fate)), _) | (_, Err(fate)) => return Ok(fate),
            (Some(Ok(from)), Ok(to)) => (Some(from), to),
            (None, Ok(to)) => (None, to),
        };
        if pipeline.is_none() && !self.options.is_dry {
            let error = "failed to write its pipeline".to_owned();
            return Ok(EdgeOutcome::Failed { error });
        }
        let matched = from.iter().chain([&to]).filter_map(|end| end.matched.clone()).collect();
        let begin = from.as_ref().map(|from| &from.entity).or(pipeline);
        let written = match begin {
            Some(begin) => {
                edges
                    .put_edge(&link.stream, pipeline, begin, &to.entity, link.keeps_columns)
                    .await?
            }
            None => EdgeWrite::Would,
        };
        Ok(EdgeOutcome::Resolved { written, matched })
    }
}

/// A found end of an edge.
struct EdgeEnd {
    entity: Entity,
    matched: Option<String>,
}

/// Finds the start of an edge or, if that does not exist, its replacement.
async fn find_origin(
    from: &Asset,
    instead: Option<&Asset>,
    resolver: &mut AssetResolver<'_>,
) -> Result<Result<EdgeEnd, EdgeOutcome>, RestError> {
    let found = find_end(from, resolver).await?;
    let (Err(EdgeOutcome::NotFound { end, tried }), Some(instead)) = (&found, instead) else {
        return Ok(found);
    };
    Ok(match find_end(instead, resolver).await? {
        Ok(other) => {
            let matched = format!(
                "{}, since {end} is not in OpenMetadata (tried {})",
                asset_label(instead),
                tried.join(", ")
            );
            Ok(EdgeEnd { matched: Some(matched), ..other })
        }
        Err(EdgeOutcome::NotFound { tried: more, .. }) => {
            let tried = tried.iter().cloned().chain(more).collect();
            Err(EdgeOutcome::NotFound { end: format!("{end}, or {}", asset_label(instead)), tried })
        }
        // The outcome of the other end is more specific.
        Err(fate @ EdgeOutcome::Ambiguous { .. }) => Err(fate),
        Err(_) => found,
    })
}

/// Finds an end. If it does not exist, returns the outcome of the edge.
async fn find_end(
    asset: &Asset,
    resolver: &mut AssetResolver<'_>,
) -> Result<Result<EdgeEnd, EdgeOutcome>, RestError> {
    let end = asset_label(asset);
    Ok(match resolver.resolve(asset).await? {
        Resolution::Found { entity, matched } => Ok(EdgeEnd { entity, matched }),
        Resolution::NotFound { tried } => Err(EdgeOutcome::NotFound { end, tried }),
        Resolution::Ambiguous { candidates } => Err(EdgeOutcome::Ambiguous { end, candidates }),
        Resolution::Unsupported { why } => Err(EdgeOutcome::Unsupported { end, why }),
    })
}
