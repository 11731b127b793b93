//! Builds the graph: converts the inventory and the plugin's routes to assets and edges.
//!
//! This module does no I/O and never fails: unexpected parts become an [`Asset::Unsupported`] or a
//! warning, so that one unusual stream does not affect others.

mod builder;
mod destinations;
mod origins;
mod routing;

use super::{Arn, Asset, EdgeRole, EventRoute, Graph, Inventory, StreamDescription};
use builder::LineageBuilder;

/// What the graph contains in addition to the path of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineageOptions {
    /// Whether buckets for copies and failed records are included, as [`EdgeRole::Backup`]. They
    /// are not part of the lineage.
    pub backups: bool,
    /// Whether tables whose columns are used are included, as [`EdgeRole::Schema`]. No records come
    /// from them.
    pub schemas: bool,
}

/// A graph with warnings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The graph.
    pub graph: Graph,
    /// Warnings about missing parts, sorted. Those of the inventory are not repeated.
    pub warnings: Vec<String>,
}

/// Builds the graph of an inventory and of the plugin's routes.
///
/// It contains every stream that was read, even without edges. The order of the input does not
/// affect the result.
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

/// The Glue catalog of a stream's account and region, unless others are named.
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
