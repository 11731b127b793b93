//! The lineage graph as data: assets, edges between neighbours with their role, and the routes of a
//! plugin. It is sorted and without duplicates, so equal inventories result in equal graphs.

use serde::Serialize;

use super::Asset;

/// A graph of data flows: assets, and edges between neighbours.
///
/// Both are sorted and without duplicates, so the same streams always result in the same graph.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Graph {
    /// The nodes.
    pub assets: Vec<Asset>,
    /// The edges between nodes.
    pub edges: Vec<Edge>,
}

/// A data flow from an asset to the next one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Edge {
    /// The position of the source asset.
    pub from: usize,
    /// The position of the target asset.
    pub to: usize,
    /// The reason of the flow.
    pub role: EdgeRole,
    /// Details for people, such as a condition of the plugin.
    pub note: Option<String>,
}

/// Why data flows from one asset to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeRole {
    /// The plugin sends events to the target.
    Routed,
    /// The source feeds the target.
    Feeds,
    /// Records are delivered to the target.
    Delivered,
    /// Copies, or failed records, are kept in the target.
    Backup,
    /// The columns come from the target.
    Schema,
}

/// A route that a plugin reports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventRoute {
    /// The events' message type, or `None` for all types.
    pub message_type: Option<String>,
    /// The events' name, or `None` for all names.
    pub name: Option<String>,
    /// A further condition, as the plugin describes it.
    pub condition: Option<String>,
    /// The delivery stream, or a pattern with `*`.
    pub stream: String,
}
