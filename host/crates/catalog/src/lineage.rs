//! Builds the graph: from the inventory and the plugin's routes, to assets and the edges
//! between them.
//!
//! There is no I/O here, and nothing fails: what does not fit becomes
//! an [`Asset::Unsupported`] or a warning, so that one odd stream spoils nothing.

mod builder;
mod destinations;
mod origins;
mod routing;

use super::{Arn, Asset, EdgeRole, EventRoute, Graph, Inventory, StreamDescription};
use builder::LineageBuilder;

/// What is drawn besides the way of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineageOptions {
    /// Whether buckets for copies and failed records are, as [`EdgeRole::Backup`]: no lineage
    /// leads there.
    pub backups: bool,
    /// Whether tables that columns are taken from are, as [`EdgeRole::Schema`]: no record comes
    /// from there.
    pub schemas: bool,
}

/// A graph, and what a person should know about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The graph.
    pub graph: Graph,
    /// What it lacks, sorted; those of the inventory are not repeated.
    pub warnings: Vec<String>,
}

/// Builds the graph of an inventory and of what the plugin sends where.
///
/// Every stream that was read is in it, even one that nothing leads to or from.
/// The order of what comes in does not show in what goes out.
pub fn build_lineage(
    inventory: &Inventory,
    routes: &[EventRoute],
    options: LineageOptions,
) -> Lineage {
    let mut builder = LineageBuilder::default();
    for stream in &inventory.streams {
        add_stream(&mut builder, inventory, stream, options);
    }
    routing::add_routes(&mut builder, inventory, routes);
    builder.finish()
}

fn add_stream(
    builder: &mut LineageBuilder,
    inventory: &Inventory,
    stream: &StreamDescription,
    options: LineageOptions,
) {
    let node = stream_asset(stream);
    builder.add_asset(node.clone());
    origins::add_origins(builder, inventory, stream, &node);
    for destination in &stream.destinations {
        for place in destinations::destination_assets(builder, stream, destination) {
            builder.add_edge(node.clone(), place, EdgeRole::Delivered, None);
        }
        if let Some(backup) = destination.backup.as_ref().filter(|_| options.backups) {
            let objects = destinations::objects_asset(backup);
            builder.add_edge(node.clone(), objects, EdgeRole::Backup, None);
        }
        if let Some(schema) = destination.schema.as_ref().filter(|_| options.schemas) {
            let table = destinations::schema_table(stream, schema);
            builder.add_edge(table, node.clone(), EdgeRole::Schema, None);
        }
    }
    if stream.destinations.is_empty() {
        builder.add_warning(format!("stream {}: its description has no destination", stream.name));
    }
}

fn stream_asset(stream: &StreamDescription) -> Asset {
    Asset::DeliveryStream { name: stream.name.clone(), arn: Some(stream.arn.clone()) }
}

/// The catalog of Glue of a stream's account and region, unless others are named.
fn glue_catalog(stream: &StreamDescription, account: Option<&str>, region: Option<&str>) -> Arn {
    let Arn { partition, region: own_region, account: own_account, .. } = &stream.arn;
    Arn {
        partition: partition.clone(),
        service: "glue".to_owned(),
        region: region.unwrap_or(own_region).to_owned(),
        account: account.unwrap_or(own_account).to_owned(),
        resource: "catalog".to_owned(),
    }
}

#[cfg(test)]
mod tests;
