//! The labels of an asset in pictures.

use super::text::clean_text;
use crate::asset::table_name;
use crate::limits;
use crate::{Arn, Asset, IndexRotation, SearchEngine, TableName};

/// The texts of an asset, without characters that pictures must not contain.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AssetLabel {
    /// The asset's name.
    pub(super) title: String,
    /// The asset's kind and owner.
    pub(super) detail: String,
    /// The asset's unique name.
    pub(super) full: String,
}

pub(super) fn asset_label(asset: &Asset) -> AssetLabel {
    let (title, detail, full) = match asset {
        Asset::Events { label } => (label.clone(), "Events".to_owned(), label.clone()),
        Asset::DeliveryStream { name, arn: Some(arn) } => {
            (name.clone(), "Delivery stream".to_owned(), arn.to_string())
        }
        Asset::DeliveryStream { name, arn: None } => {
            let full = format!("{name}: named by the plugin, but not found");
            (name.clone(), "Delivery stream · not found".to_owned(), full)
        }
        Asset::KinesisStream { arn } => arn_label("Kinesis stream", arn),
        Asset::KafkaTopic { cluster, topic } => {
            let name = cluster.name().split('/').next().unwrap_or_default();
            (topic.clone(), join_detail("Kafka topic", name), format!("{topic} of {cluster}"))
        }
        Asset::DynamoTable { arn } => arn_label("DynamoDB table", arn),
        Asset::DatabaseTables { engine, host, port, database, table } => {
            let title = format!("{database}.{table}");
            let full = format!("{title} of {host}:{port}");
            (title, join_detail(engine, host), full)
        }
        Asset::Objects { bucket, prefix, written } => {
            let title =
                if prefix.is_empty() { bucket.clone() } else { format!("{bucket}/{prefix}") };
            // The written prefix is only shown if it contains more.
            let more = if written.trim_end_matches('/') == prefix { "" } else { written };
            (title, join_detail("S3", more), format!("s3://{bucket}/{written}"))
        }
        Asset::RedshiftTable { host, table } => table_label("Redshift", host, table),
        Asset::SnowflakeTable { account, table } => {
            table_label("Snowflake", without_scheme(account), table)
        }
        Asset::IcebergTable { catalog, table } => {
            glue_label("Iceberg table", catalog.as_ref(), table)
        }
        Asset::GlueTable { catalog, table } => glue_label("Glue table", Some(catalog), table),
        Asset::SearchIndex { engine, place, index, rotation } => {
            let title = format!("{index}{}", rotation_suffix(*rotation));
            let full = format!("{title} of {place}");
            (title, join_detail(engine_name(*engine), place), full)
        }
        Asset::Splunk { endpoint } => {
            (without_scheme(endpoint).to_owned(), "Splunk".to_owned(), endpoint.clone())
        }
        Asset::HttpEndpoint { name, url } => {
            let address = without_scheme(url);
            let place = if name.is_some() { address } else { "" };
            let title = name.as_deref().unwrap_or(address).to_owned();
            (title, join_detail("HTTP endpoint", place), url.clone())
        }
        Asset::Unsupported { stream, what } => {
            let full = format!("{what} of {stream}: not supported by this version");
            (what.clone(), "Not supported".to_owned(), full)
        }
    };
    let clean = |text: String| clean_text(&text, limits::PICTURE_TEXT_CHARS_MAX);
    AssetLabel { title: clean(title), detail: clean(detail), full: clean(full) }
}

fn arn_label(kind: &str, arn: &Arn) -> (String, String, String) {
    (arn.name().to_owned(), join_detail(kind, &arn.region), arn.to_string())
}

fn table_label(kind: &str, place: &str, table: &TableName) -> (String, String, String) {
    let title = table_name(table);
    let full = format!("{title} of {place}");
    (title, join_detail(kind, place), full)
}

fn glue_label(kind: &str, catalog: Option<&Arn>, table: &TableName) -> (String, String, String) {
    let title = table_name(table);
    match catalog {
        None => (title.clone(), kind.to_owned(), title),
        Some(arn) => (title.clone(), join_detail(kind, &arn.region), format!("{title} of {arn}")),
    }
}

fn join_detail(kind: &str, place: &str) -> String {
    if place.is_empty() { kind.to_owned() } else { format!("{kind} · {place}") }
}

fn without_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/')
}

fn engine_name(engine: SearchEngine) -> &'static str {
    match engine {
        SearchEngine::OpenSearch => "OpenSearch",
        SearchEngine::OpenSearchServerless => "OpenSearch Serverless",
        SearchEngine::Elasticsearch => "Elasticsearch",
    }
}

/// The suffix that rotation adds to an index's name.
fn rotation_suffix(rotation: IndexRotation) -> &'static str {
    match rotation {
        IndexRotation::None => "",
        IndexRotation::Hour => "-YYYY-MM-DD-HH",
        IndexRotation::Day => "-YYYY-MM-DD",
        IndexRotation::Week => "-YYYY-wWW",
        IndexRotation::Month => "-YYYY-MM",
    }
}
