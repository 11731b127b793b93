//! The assets that a stream connects: its sources and its destinations. Backups and schemas are
//! neither.

use std::collections::BTreeSet;

use crate::{Asset, EdgeRole, Graph, Inventory, StreamDescription, StreamOrigin};

/// A connection from one asset to another through a stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamLink {
    /// The stream.
    pub stream: String,
    /// The source. `None` if only direct writers feed the stream.
    pub from: Option<Asset>,
    /// The start of the edge if OpenMetadata does not know `from`: the Kinesis stream that a table
    /// feeds.
    pub instead: Option<Asset>,
    /// The destination of the records.
    pub to: Asset,
    /// Whether columns of the same name are the same column. They are not if a function transforms
    /// records, or if records are changes of a table.
    pub keeps_columns: bool,
}

/// The links of all streams that were read, sorted.
///
/// If DynamoDB tables feed a Kinesis stream, they replace it: the edges start at the tables, as in
/// OpenMetadata's own connector, or at the Kinesis stream if OpenMetadata does not know the tables.
pub fn stream_links(inventory: &Inventory, graph: &Graph) -> Vec<StreamLink> {
    let mut links = BTreeSet::new();
    for stream in &inventory.streams {
        let Some(at) = stream_position(stream, graph) else { continue };
        let sinks =
            graph.edges.iter().filter(|edge| edge.from == at && edge.role == EdgeRole::Delivered);
        let sinks: Vec<&Asset> = sinks.filter_map(|edge| graph.assets.get(edge.to)).collect();
        let origins = stream_origins(graph, at);
        for to in sinks {
            let link = |from: Option<&Asset>, instead: Option<&Asset>| StreamLink {
                stream: stream.name.clone(),
                from: from.cloned(),
                instead: instead.cloned(),
                to: to.clone(),
                keeps_columns: !stream.has_function()
                    && !matches!(from, Some(Asset::DynamoTable { .. }) | None),
            };
            if origins.is_empty() && stream.origin == StreamOrigin::DirectPut {
                links.insert(link(None, None));
            }
            links.extend(origins.iter().map(|(from, instead)| link(Some(from), *instead)));
        }
    }
    links.into_iter().collect()
}

fn stream_position(stream: &StreamDescription, graph: &Graph) -> Option<usize> {
    graph.assets.iter().position(|asset| is_stream(asset, stream))
}

/// Whether an asset is this delivery stream.
pub(super) fn is_stream(asset: &Asset, stream: &StreamDescription) -> bool {
    match asset {
        Asset::DeliveryStream { name, arn } => {
            *name == stream.name && arn.as_ref().is_none_or(|arn| *arn == stream.arn)
        }
        _ => false,
    }
}

/// The sources of a stream, each with the asset between the two.
fn stream_origins(graph: &Graph, stream: usize) -> Vec<(&Asset, Option<&Asset>)> {
    let mut origins = Vec::new();
    for (at, asset) in feeding_assets(graph, stream) {
        let tables = feeding_assets(graph, at)
            .filter(|(_, asset)| matches!(asset, Asset::DynamoTable { .. }));
        let tables: Vec<&Asset> = tables.map(|(_, asset)| asset).collect();
        if tables.is_empty() || !matches!(asset, Asset::KinesisStream { .. }) {
            origins.push((asset, None));
        }
        origins.extend(tables.into_iter().map(|table| (table, Some(asset))));
    }
    origins
}

fn feeding_assets(graph: &Graph, to: usize) -> impl Iterator<Item = (usize, &Asset)> {
    let edges =
        graph.edges.iter().filter(move |edge| edge.to == to && edge.role == EdgeRole::Feeds);
    edges.filter_map(|edge| Some((edge.from, graph.assets.get(edge.from)?)))
}
