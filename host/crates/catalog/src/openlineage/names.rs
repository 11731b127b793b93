//! The names of jobs and datasets in OpenLineage.
//!
//! | what | namespace | name |
//! |---|---|---|
//! | delivery stream (a job) | `arn:{partition}:firehose:{region}:{account}` | `deliverystream/{name}` |
//! | Kinesis stream | `arn:{partition}:kinesis:{region}:{account}` | `stream/{name}` |
//! | DynamoDB table | `arn:{partition}:dynamodb:{region}:{account}` | `table/{name}` |
//! | topic of MSK | `arn:{partition}:kafka:{region}:{account}` | `topic/{cluster}/{id}/{topic}` |
//! | S3 | `s3://{bucket}` | the static prefix, `/` for the bucket |
//! | Redshift | `redshift://{cluster}.{region}:{port}` | `{database}.{schema}.{table}` |
//! | Snowflake | `snowflake://{account}` | `{database}.{schema}.{table}` |
//! | Glue, Iceberg | `arn:{partition}:glue:{region}:{account}` | `table/{database}/{table}` |
//! | MySQL, PostgreSQL | `mysql://{host}:{port}`, `postgres://{host}:{port}` | `{database}.{table}` |
//! | OpenSearch, Elasticsearch | `opensearch://{host}`, `elasticsearch://{host}` | `{index}` |
//! | Splunk | `splunk://{host}` | `collector` |
//! | HTTP | `{scheme}://{host}` | the path |
//! | events | `standpipe://{service}`, with `-` for blanks and the like | `track/Order Completed`, `page`, `*` |
//! | not supported | that of the job | `deliverystream/{name}/{word}` |
//!
//! S3, Redshift, Snowflake, Glue, MySQL and PostgreSQL get the names of OpenLineage's own table.
//! The table does not contain Kinesis, DynamoDB, search engines, Splunk, HTTP and Firehose: their
//! name is their ARN, split after the account as the table splits Glue's, or their address. Spark
//! names Kinesis streams `kinesis://{endpoint}` and `{name}`, which becomes a symlink. The name of
//! a Kafka topic should start with a broker's address, which Firehose does not provide: a setting
//! can provide it, and the ARN is then the symlink.
//!
//! Unknown parts are left out of a name and not invented. The name of a rotated index has no date,
//! and the name of a pattern of tables is the pattern.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::asset::table_name;
use crate::url_parts::UrlParts;
use crate::{Arn, Asset, SearchEngine, TableName};

/// The default port of Redshift.
const REDSHIFT_PORT: u16 = 5439;

/// A name in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LineageName {
    /// The namespace of the name.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// The context of a name besides the asset.
pub(super) struct NamingContext<'event> {
    /// The delivery stream.
    pub(super) stream: &'event Arn,
    /// The service name for events.
    pub(super) service: &'event str,
    /// Kafka brokers, by the ARN of their cluster.
    pub(super) brokers: &'event BTreeMap<String, String>,
    /// Ports of Redshift, by host.
    pub(super) ports: &'event BTreeMap<String, u16>,
}

/// The part of an ARN before the resource, and the resource.
pub(super) fn arn_name(arn: &Arn) -> LineageName {
    let Arn { partition, service, region, account, resource } = arn;
    make_name(format!("arn:{partition}:{service}:{region}:{account}"), resource.clone())
}

fn make_name(namespace: String, name: String) -> LineageName {
    LineageName { namespace: legal_namespace(namespace), name }
}

/// A namespace that servers accept. Marquez only accepts letters, digits and `_@+-:=;/.`, and other
/// servers parse it as a URI. All other characters become `-`, such as the space in the name of a
/// service.
fn legal_namespace(namespace: String) -> String {
    let is_legal =
        |character: char| character.is_ascii_alphanumeric() || "_@+-:=;/.".contains(character);
    match namespace.chars().all(is_legal) {
        true => namespace,
        false => namespace.chars().map(|it| if is_legal(it) { it } else { '-' }).collect(),
    }
}

/// The name of a dataset, and its name in other tools, if there is one. `None` for an asset that is
/// a job.
pub(super) fn dataset_names(
    asset: &Asset,
    context: &NamingContext<'_>,
) -> Option<(LineageName, Option<LineageName>)> {
    let own = match asset {
        Asset::DeliveryStream { .. } => return None,
        Asset::KinesisStream { arn } => {
            return Some((arn_name(arn), Some(spark_name(arn))));
        }
        Asset::KafkaTopic { cluster, topic } => return Some(topic_names(cluster, topic, context)),
        Asset::DynamoTable { arn } => arn_name(arn),
        Asset::Events { label } => {
            make_name(format!("standpipe://{}", context.service), events_name(label))
        }
        Asset::DatabaseTables { engine, host, port, database, table } => {
            let is_postgres = engine.to_ascii_lowercase().starts_with("postgres");
            let scheme = if is_postgres { "postgres" } else { "mysql" };
            make_name(format!("{scheme}://{host}:{port}"), format!("{database}.{table}"))
        }
        Asset::Objects { bucket, prefix, .. } => {
            let key = if prefix.is_empty() { "/" } else { prefix };
            make_name(format!("s3://{bucket}"), key.to_owned())
        }
        Asset::RedshiftTable { host, table } => {
            let port = context.ports.get(host).copied().unwrap_or(REDSHIFT_PORT);
            make_name(format!("redshift://{}:{port}", redshift_cluster(host)), table_name(table))
        }
        Asset::SnowflakeTable { account, table } => {
            make_name(format!("snowflake://{}", snowflake_account(account)), table_name(table))
        }
        Asset::IcebergTable { catalog, table } => glue_table_name(catalog.as_ref(), table, context),
        Asset::GlueTable { catalog, table } => glue_table_name(Some(catalog), table, context),
        Asset::SearchIndex { engine, place, index, .. } => search_index_name(*engine, place, index),
        Asset::Splunk { endpoint } => {
            let (_, host, _) = split_address(endpoint);
            make_name(format!("splunk://{host}"), "collector".to_owned())
        }
        Asset::HttpEndpoint { url, .. } => {
            let (scheme, host, path) = split_address(url);
            make_name(format!("{scheme}://{host}"), path.to_owned())
        }
        Asset::Unsupported { stream: _, what } => {
            let LineageName { namespace, name: stream } = arn_name(context.stream);
            make_name(namespace, format!("{stream}/{what}"))
        }
    };
    Some((own, None))
}

/// The name that Spark uses. Spark jobs are the most frequent readers of Kinesis.
fn spark_name(arn: &Arn) -> LineageName {
    let suffix = if arn.partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
    make_name(format!("kinesis://kinesis.{}.{suffix}", arn.region), arn.name().to_owned())
}

/// The ARN of a topic is the ARN of its cluster with another resource type and the topic.
fn topic_names(
    cluster: &Arn,
    topic: &str,
    context: &NamingContext<'_>,
) -> (LineageName, Option<LineageName>) {
    let resource = format!("topic/{}/{topic}", cluster.name());
    let by_arn = arn_name(&Arn { resource, ..cluster.clone() });
    match context.brokers.get(&cluster.to_string()) {
        None => (by_arn, None),
        Some(broker) => (make_name(format!("kafka://{broker}"), topic.to_owned()), Some(by_arn)),
    }
}

/// The label of events as a path: `track "Order Completed"` becomes `track/Order Completed`.
fn events_name(label: &str) -> String {
    let quoted = label.strip_suffix('"').and_then(|label| label.split_once('"'));
    match quoted {
        Some(("", name)) => format!("*/{name}"),
        Some((kind, name)) => format!("{}/{name}", kind.trim_end()),
        None if label == "all others" => "*".to_owned(),
        None => label.to_owned(),
    }
}

/// `CLUSTER.REGION` for a host of AWS, or any other host unchanged: the name behind a private link
/// has other parts.
fn redshift_cluster(host: &str) -> String {
    let parts: Vec<_> = host.split('.').collect();
    match parts[..] {
        [cluster, _, region, "redshift" | "redshift-serverless", "amazonaws", "com"]
        | [cluster, _, region, "redshift" | "redshift-serverless", "amazonaws", "com", "cn"] => {
            format!("{cluster}.{region}")
        }
        _ => host.to_owned(),
    }
}

/// The part before `.snowflakecomputing.com`, without the suffix of a private link.
fn snowflake_account(url: &str) -> String {
    let (_, host, _) = split_address(url);
    let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let account = host.split_once(".snowflakecomputing.").map_or(&*host, |(account, _)| account);
    account.strip_suffix(".privatelink").unwrap_or(account).to_owned()
}

/// The name of a Glue table. If the catalog is not the account's default one, the name includes the
/// path of the catalog.
fn glue_table_name(
    catalog: Option<&Arn>,
    table: &TableName,
    context: &NamingContext<'_>,
) -> LineageName {
    let stream = context.stream;
    let Arn { partition, region, account, resource, .. } = catalog.unwrap_or(stream);
    let path = catalog.and(resource.strip_prefix("catalog/")).map(|path| format!("{path}/"));
    let (path, schema) = (path.unwrap_or_default(), table.schema.as_deref().unwrap_or_default());
    let namespace = format!("arn:{partition}:glue:{region}:{account}");
    make_name(namespace, format!("table/{path}{schema}/{}", table.name))
}

fn search_index_name(engine: SearchEngine, place: &str, index: &str) -> LineageName {
    if let Some(domain) = Arn::parse(place) {
        let domain = arn_name(&domain);
        return make_name(domain.namespace, format!("{}/{index}", domain.name));
    }
    let scheme = match engine {
        SearchEngine::OpenSearch | SearchEngine::OpenSearchServerless => "opensearch",
        SearchEngine::Elasticsearch => "elasticsearch",
    };
    make_name(format!("{scheme}://{place}"), index.to_owned())
}

/// Scheme, host with its port, and path of a URL.
fn split_address(url: &str) -> (&str, &str, &str) {
    let UrlParts { scheme, host, path } = UrlParts::of(url);
    (scheme.unwrap_or("https"), host, if path.is_empty() { "/" } else { path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_name(asset: &Asset) -> String {
        let stream = Arn::parse("arn:aws:firehose:eu-west-1:1:deliverystream/s").unwrap();
        let (brokers, ports) = (BTreeMap::new(), BTreeMap::from([("h".to_owned(), 5555)]));
        let context =
            NamingContext { stream: &stream, service: "shop", brokers: &brokers, ports: &ports };
        let (LineageName { namespace, name }, _) = dataset_names(asset, &context).unwrap();
        format!("{namespace} {name}")
    }

    fn table_named(name: &str) -> TableName {
        TableName {
            database: Some("d".to_owned()),
            schema: Some("s".to_owned()),
            name: name.to_owned(),
        }
    }

    #[test]
    fn events_are_called_by_type_and_name() {
        let table = [
            (r#"track "Order Completed""#, "track/Order Completed"),
            (r#""Order Completed""#, "*/Order Completed"),
            (r#"track "a "b"""#, r#"track/a "b""#),
            ("page", "page"),
            ("all others", "*"),
            ("\"", "\""),
        ];
        for (label, expected) in table {
            let name = own_name(&Asset::Events { label: label.to_owned() });
            assert_eq!(name, format!("standpipe://shop {expected}"));
        }
    }

    #[test]
    fn namespaces_hold_nothing_that_servers_refuse() {
        let stream = Arn::parse("arn:aws:firehose:eu-west-1:1:deliverystream/s").unwrap();
        let (brokers, ports) = (BTreeMap::new(), BTreeMap::new());
        for (service, expected) in [
            ("My Service", "standpipe://My-Service"),
            ("prod/eu.west-1", "standpipe://prod/eu.west-1"),
            ("größe\t\n", "standpipe://gr--e--"),
            ("100%?", "standpipe://100--"),
        ] {
            let context =
                NamingContext { stream: &stream, service, brokers: &brokers, ports: &ports };
            let events = Asset::Events { label: "track \"Order Completed\"".to_owned() };
            let (LineageName { namespace, name }, _) = dataset_names(&events, &context).unwrap();
            assert_eq!((&*namespace, &*name), (expected, "track/Order Completed"));
        }
        let place = "host with blank".to_owned();
        for asset in [
            Asset::Splunk { endpoint: format!("https://{place}/x") },
            Asset::HttpEndpoint { name: None, url: format!("https://{place}/x") },
            Asset::SnowflakeTable { account: place.clone(), table: table_named("a b") },
        ] {
            let name = own_name(&asset);
            assert!(!name.split_once("://").unwrap().1.starts_with("host with"), "{name}");
        }
    }

    #[test]
    fn redshift_is_called_by_cluster_and_region() {
        let hosts = [
            ("c.x1.eu-west-1.redshift.amazonaws.com", "c.eu-west-1:5439"),
            ("w.123.eu-west-1.redshift-serverless.amazonaws.com", "w.eu-west-1:5439"),
            ("c.x1.cn-north-1.redshift.amazonaws.com.cn", "c.cn-north-1:5439"),
            (
                "vpce-0-a.c.x1.eu-west-1.redshift.amazonaws.com",
                "vpce-0-a.c.x1.eu-west-1.redshift.amazonaws.com:5439",
            ),
            ("h", "h:5555"),
        ];
        for (host, expected) in hosts {
            let name =
                own_name(&Asset::RedshiftTable { host: host.to_owned(), table: table_named("t") });
            assert_eq!(name, format!("redshift://{expected} d.s.t"));
        }
    }

    #[test]
    fn snowflake_is_called_by_its_account() {
        let accounts = [
            ("https://Org-Account.snowflakecomputing.com", "org-account"),
            ("https://xy1.eu-central-1.aws.snowflakecomputing.com/", "xy1.eu-central-1.aws"),
            ("xy1.eu-central-1.privatelink.snowflakecomputing.com:443", "xy1.eu-central-1"),
            ("https://x.snowflakecomputing.cn", "x"),
        ];
        for (account, expected) in accounts {
            let asset =
                Asset::SnowflakeTable { account: account.to_owned(), table: table_named("t") };
            assert_eq!(own_name(&asset), format!("snowflake://{expected} d.s.t"));
        }
    }

    #[test]
    fn others_are_called_by_arn_or_address() {
        let arn = |text| Arn::parse(text).unwrap();
        let catalog = arn("arn:aws:glue:eu-west-1:2:catalog/s3tablescatalog/lake");
        let objects = |prefix: &str| Asset::Objects {
            bucket: "b".to_owned(),
            prefix: prefix.to_owned(),
            written: prefix.to_owned(),
        };
        let cluster = arn("arn:aws:kafka:eu-west-1:1:cluster/c/0-1");
        let url = "https://h.example:8088/services/collector".to_owned();
        let odd = Asset::Unsupported { stream: "s".to_owned(), what: "New".to_owned() };
        let table = [
            (objects(""), "s3://b /"),
            (objects("raw/a"), "s3://b raw/a"),
            (
                Asset::KafkaTopic { cluster, topic: "t".to_owned() },
                "arn:aws:kafka:eu-west-1:1 topic/c/0-1/t",
            ),
            (
                Asset::IcebergTable { catalog: Some(catalog), table: table_named("t") },
                "arn:aws:glue:eu-west-1:2 table/s3tablescatalog/lake/s/t",
            ),
            (
                Asset::IcebergTable { catalog: None, table: table_named("t") },
                "arn:aws:glue:eu-west-1:1 table/s/t",
            ),
            (Asset::Splunk { endpoint: url.clone() }, "splunk://h.example:8088 collector"),
            (Asset::HttpEndpoint { name: None, url }, "https://h.example:8088 /services/collector"),
            (odd, "arn:aws:firehose:eu-west-1:1 deliverystream/s/New"),
        ];
        for (asset, expected) in table {
            assert_eq!(own_name(&asset), expected);
        }
    }
}
