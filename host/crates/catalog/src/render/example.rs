//! The inventory of the README's picture, and larger ones.

use std::collections::BTreeMap;

use crate::lineage::{LineageOptions, build_lineage};
use crate::{
    Arn, Destination, EventRoute, Graph, IndexRotation, Inventory, S3Location, SearchEngine, Sink,
    StreamDescription, StreamOrigin, TableName,
};

/// Streams of a shop.
pub(crate) fn inventory() -> Inventory {
    let changes = arn("kinesis", "stream/order-changes");
    let streams = vec![
        stream("orders", StreamOrigin::DirectPut, redshift("sales.orders")),
        stream(
            "web-pages",
            StreamOrigin::DirectPut,
            s3("shop-events", "pages/dt=!{timestamp:yyyy-MM-dd}/"),
        ),
        stream("searches", StreamOrigin::DirectPut, search()),
        stream("signups", StreamOrigin::DirectPut, snowflake()),
        stream("everything-else", StreamOrigin::DirectPut, s3("shop-events", "other/")),
        stream("campaigns", StreamOrigin::DirectPut, http()),
        stream(
            "order-changes",
            StreamOrigin::Kinesis { arn: changes.clone() },
            s3("shop-lake", "changes/!{partitionKeyFromQuery:table}/"),
        ),
        stream("payments", payments(), iceberg(&["payments", "refunds"])),
    ];
    let tables = ["Orders", "Customers"].map(|name| arn("dynamodb", &format!("table/{name}")));
    Inventory {
        account: Some("123456789012".to_owned()),
        region: "eu-west-1".to_owned(),
        streams,
        is_complete: true,
        tables: BTreeMap::from([(changes, tables.to_vec())]),
        ..Inventory::default()
    }
}

/// The routes of the plugin to these streams.
pub(crate) fn routes() -> Vec<EventRoute> {
    let route = |message_type: Option<&str>, name: Option<&str>, stream: &str| EventRoute {
        message_type: message_type.map(str::to_owned),
        name: name.map(str::to_owned),
        condition: None,
        stream: stream.to_owned(),
    };
    let mut routes = vec![
        route(Some("track"), Some("Order Completed"), "orders"),
        route(Some("track"), Some("Order Refunded"), "orders"),
        route(Some("track"), Some("Order Completed"), "campaigns"),
        route(Some("track"), Some("Products Searched"), "searches"),
        route(Some("identify"), None, "signups"),
        route(Some("page"), None, "web-pages"),
        route(None, None, "everything-else"),
    ];
    routes[2].condition = Some("context.campaign.name exists".to_owned());
    routes
}

pub(crate) fn graph() -> Graph {
    build_lineage(&inventory(), &routes(), LineageOptions::default()).graph
}

/// Creates this number of streams of all kinds. Some of them share sources and destinations.
pub(crate) fn large(streams: usize) -> Graph {
    let example = inventory();
    let mut inventory = Inventory { is_complete: true, ..example.clone() };
    let mut routes = Vec::new();
    inventory.streams = (0..streams)
        .map(|number| {
            let mut stream = example.streams[number % example.streams.len()].clone();
            stream.name = format!("{}-{number:04}", stream.name);
            stream.arn.resource = format!("deliverystream/{}", stream.name);
            if number % 3 > 0 {
                stream.destinations[0].sink = s3("lake", &format!("raw/{}/", number / 4)).sink;
            }
            if number % 8 == 6 {
                let kinesis = arn("kinesis", &format!("stream/changes-{:04}", number / 16));
                stream.origin = StreamOrigin::Kinesis { arn: kinesis.clone() };
                let table = arn("dynamodb", &format!("table/table-{}", number / 8));
                inventory.tables.entry(kinesis).or_default().push(table);
            }
            for event in
                [number, if number % 10 == 9 { number * 7 % streams } else { number / 3 * 3 }]
            {
                routes.push(EventRoute {
                    message_type: Some("track".to_owned()),
                    name: Some(format!("Event {event}")),
                    condition: (event % 5 == 0).then(|| format!("properties.value > {event}")),
                    stream: stream.name.clone(),
                });
            }
            stream
        })
        .collect();
    build_lineage(&inventory, &routes, LineageOptions::default()).graph
}

pub(crate) fn arn(service: &str, resource: &str) -> Arn {
    Arn::parse(&format!("arn:aws:{service}:eu-west-1:123456789012:{resource}")).unwrap()
}

pub(crate) fn stream(
    name: &str,
    origin: StreamOrigin,
    destination: Destination,
) -> StreamDescription {
    let kind = match origin {
        StreamOrigin::Kinesis { .. } => "KinesisStreamAsSource",
        StreamOrigin::Kafka { .. } => "MSKAsSource",
        StreamOrigin::Database { .. } => "DatabaseAsSource",
        _ => "DirectPut",
    };
    StreamDescription {
        arn: arn("firehose", &format!("deliverystream/{name}")),
        kind: kind.to_owned(),
        origin,
        ..StreamDescription::stand_in(name, vec![destination])
    }
}

pub(crate) fn destination(key: &str, sink: Sink) -> Destination {
    let key = format!("{key}DestinationDescription");
    Destination::bare("destinationId-000000000001", &key, sink)
}

pub(crate) fn s3(bucket: &str, prefix: &str) -> Destination {
    let place = S3Location { bucket: bucket.to_owned(), prefix: prefix.to_owned() };
    destination("ExtendedS3", Sink::S3(place))
}

fn redshift(table: &str) -> Destination {
    let host = "shop.abc123xyz789.eu-west-1.redshift.amazonaws.com".to_owned();
    let url = format!("jdbc:redshift://{host}:5439/dev");
    let database = Some("dev".to_owned());
    destination("Redshift", Sink::Redshift { url, host, database, table: table.to_owned() })
}

fn search() -> Destination {
    let sink = Sink::Search {
        engine: SearchEngine::OpenSearch,
        domain: Some(arn("es", "domain/shop")),
        endpoint: Some("https://search-shop-abc.eu-west-1.es.amazonaws.com".to_owned()),
        index: "searches".to_owned(),
        rotation: IndexRotation::Day,
    };
    destination("Amazonopensearchservice", sink)
}

fn snowflake() -> Destination {
    let table = TableName {
        database: Some("SHOP".to_owned()),
        schema: Some("PUBLIC".to_owned()),
        name: "SIGNUPS".to_owned(),
    };
    let account = "https://acme-shop.snowflakecomputing.com".to_owned();
    destination("Snowflake", Sink::Snowflake { account, table })
}

fn http() -> Destination {
    let name = Some("Campaigns".to_owned());
    let url = "https://intake.campaigns.example/v1/events".to_owned();
    destination("HttpEndpoint", Sink::Http { name, url })
}

pub(crate) fn iceberg(tables: &[&str]) -> Destination {
    let table = |name: &&str| TableName {
        database: None,
        schema: Some("finance".to_owned()),
        name: (*name).to_owned(),
    };
    let catalog = Some(arn("glue", "catalog"));
    destination("Iceberg", Sink::Iceberg { catalog, tables: tables.iter().map(table).collect() })
}

fn payments() -> StreamOrigin {
    let cluster = arn("kafka", "cluster/shop/0a1b2c3d-0000-4000-8000-000000000000-2");
    StreamOrigin::Kafka { cluster, topic: "payments".to_owned() }
}
