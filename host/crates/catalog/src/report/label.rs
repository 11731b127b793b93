//! The label of an asset for people, in reports and on the terminal.

use crate::{Asset, Table};

/// An asset, as people call it.
pub fn label(asset: &Asset) -> String {
    match asset {
        Asset::Events { label } => label.clone(),
        Asset::DeliveryStream { name, .. } => name.clone(),
        Asset::KinesisStream { arn } | Asset::DynamoTable { arn } => arn.to_string(),
        Asset::KafkaTopic { cluster, topic } => format!("{topic} of {}", cluster.name()),
        Asset::DatabaseTables { engine, host, port, database, table } => {
            format!("{engine} {host}:{port} {database}.{table}")
        }
        Asset::Objects { bucket, written, .. } => format!("s3://{bucket}/{written}"),
        Asset::RedshiftTable { host, table } => format!("Redshift {host} {}", full(table)),
        Asset::SnowflakeTable { account, table } => format!("Snowflake {account} {}", full(table)),
        Asset::IcebergTable { table, .. } => format!("Iceberg {}", full(table)),
        Asset::GlueTable { table, .. } => format!("Glue {}", full(table)),
        Asset::SearchIndex { place, index, .. } => format!("{place} {index}"),
        Asset::Splunk { endpoint } => format!("Splunk {endpoint}"),
        Asset::HttpEndpoint { name: Some(name), url } => format!("{name} {url}"),
        Asset::HttpEndpoint { name: None, url } => url.clone(),
        Asset::Unsupported { what, .. } => what.clone(),
    }
}

fn full(table: &Table) -> String {
    let parts = [table.database.as_deref(), table.schema.as_deref(), Some(&*table.name)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(".")
}
