//! The columns of the picture, and the colors of their assets.

use crate::{Asset, Edge, EdgeRole, Graph};

/// The columns from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AssetColumn {
    Tables,
    Sources,
    Streams,
    Destinations,
}

impl AssetColumn {
    pub(super) const ALL: [Self; 4] =
        [Self::Tables, Self::Sources, Self::Streams, Self::Destinations];

    pub(super) fn heading(self) -> &'static str {
        match self {
            AssetColumn::Tables => "Tables",
            AssetColumn::Sources => "Events and sources",
            AssetColumn::Streams => "Delivery streams",
            AssetColumn::Destinations => "Destinations",
        }
    }
}

/// The column of each asset.
pub(super) fn assign_columns(graph: &Graph) -> Vec<AssetColumn> {
    let mut is_destination = vec![false; graph.assets.len()];
    for Edge { to, role, .. } in &graph.edges {
        is_destination[*to] |= matches!(role, EdgeRole::Delivered | EdgeRole::Backup);
    }
    let column = |(asset, is_destination): (&Asset, bool)| match asset {
        Asset::DynamoTable { .. } => AssetColumn::Tables,
        Asset::DeliveryStream { .. } => AssetColumn::Streams,
        _ if is_destination => AssetColumn::Destinations,
        _ => AssetColumn::Sources,
    };
    graph.assets.iter().zip(is_destination).map(column).collect()
}

/// The color of an asset's kind, which its label also names.
pub(super) fn asset_colour(asset: &Asset) -> &'static str {
    match asset {
        Asset::Events { .. } => "#4f46e5",
        Asset::DeliveryStream { arn: Some(_), .. } => "#c2410c",
        Asset::DeliveryStream { arn: None, .. } | Asset::Unsupported { .. } => "#b91c1c",
        Asset::KinesisStream { .. } | Asset::KafkaTopic { .. } => "#7e22ce",
        Asset::DynamoTable { .. } | Asset::DatabaseTables { .. } => "#1d4ed8",
        Asset::Objects { .. } => "#15803d",
        Asset::RedshiftTable { .. } => "#6d28d9",
        Asset::SnowflakeTable { .. } => "#0369a1",
        Asset::IcebergTable { .. } | Asset::GlueTable { .. } => "#0e7490",
        Asset::SearchIndex { .. } => "#a21caf",
        Asset::Splunk { .. } => "#be185d",
        Asset::HttpEndpoint { .. } => "#475569",
    }
}
