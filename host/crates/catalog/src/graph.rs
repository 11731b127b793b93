//! The lineage graph as data: assets, edges between neighbours with their role, and the routes that
//! a plugin declares. Sorted and without duplicates, so that equal inventories give equal graphs.

use serde::Serialize;

use super::Asset;

/// What flows from where to where: assets, and edges between neighbours.
///
/// Both are sorted and have no doubles, so that the same streams give the same
/// graph.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Graph {
    /// The nodes.
    pub assets: Vec<Asset>,
    /// What leads from one to the next.
    pub edges: Vec<Edge>,
}

/// That data flows from an asset to the next one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Edge {
    /// The position of the asset that it comes from.
    pub from: usize,
    /// The position of the asset that it goes to.
    pub to: usize,
    /// Why it does.
    pub role: EdgeRole,
    /// More about it for a person, such as a condition of the plugin's.
    pub note: Option<String>,
}

/// Why data flows from one asset to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeRole {
    /// The plugin sends events there.
    Routed,
    /// It feeds the next one.
    Feeds,
    /// Records end up there.
    Delivered,
    /// Copies, or what failed, are kept there.
    Backup,
    /// Columns are taken from there.
    Schema,
}

/// What a plugin says that it sends where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventRoute {
    /// The events' message type; none for all.
    pub message_type: Option<String>,
    /// The events' name; none for all.
    pub name: Option<String>,
    /// What else must hold, in the plugin's words.
    pub condition: Option<String>,
    /// The delivery stream, or a pattern with `*` that covers it.
    pub stream: String,
}
