//! The label of an asset for people, in reports and on the terminal.

use crate::asset::{Asset, table_name};

/// Returns the label of an asset for people.
pub fn asset_label(asset: &Asset) -> String {
    match asset {
        Asset::Events { label } => label.clone(),
        Asset::DeliveryStream { name, .. } => name.clone(),
        Asset::KinesisStream { arn } | Asset::DynamoTable { arn } => arn.to_string(),
        Asset::KafkaTopic { cluster, topic } => format!("{topic} of {}", cluster.name()),
        Asset::DatabaseTables { engine, host, port, database, table } => {
            format!("{engine} {host}:{port} {database}.{table}")
        }
        Asset::Objects { bucket, written, .. } => format!("s3://{bucket}/{written}"),
        Asset::RedshiftTable { host, table } => format!("Redshift {host} {}", table_name(table)),
        Asset::SnowflakeTable { account, table } => {
            format!("Snowflake {account} {}", table_name(table))
        }
        Asset::IcebergTable { table, .. } => format!("Iceberg {}", table_name(table)),
        Asset::GlueTable { table, .. } => format!("Glue {}", table_name(table)),
        Asset::SearchIndex { place, index, .. } => format!("{place} {index}"),
        Asset::Splunk { endpoint } => format!("Splunk {endpoint}"),
        Asset::HttpEndpoint { name: Some(name), url } => format!("{name} {url}"),
        Asset::HttpEndpoint { name: None, url } => url.clone(),
        Asset::Unsupported { what, .. } => what.clone(),
    }
}
