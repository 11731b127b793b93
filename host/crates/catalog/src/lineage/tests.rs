//! Tests whole graphs as text: sources to destinations, patterns, backups, limits, and results that
//! are sorted for any input.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::render::example::{arn, destination, iceberg, inventory, routes, s3, stream};
use crate::{GlueSchema, S3Location, Sink, StreamOrigin, UnreadableStream};

fn found(streams: Vec<StreamDescription>) -> Inventory {
    let region = "eu-west-1".to_owned();
    Inventory { region, streams, is_complete: true, ..Inventory::default() }
}

fn route(name: &str, condition: Option<&str>, stream: &str) -> EventRoute {
    EventRoute {
        message_type: None,
        name: Some(name.to_owned()),
        condition: condition.map(str::to_owned),
        stream: stream.to_owned(),
    }
}

/// The edges as text: kinds of assets, and the note.
fn edges(graph: &Graph) -> Vec<String> {
    let kind = |place: usize| {
        let asset = serde_json::to_value(&graph.assets[place]).unwrap();
        let name = ["label", "name", "topic", "bucket", "what"]
            .into_iter()
            .find_map(|key| asset.get(key).and_then(|name| name.as_str()).map(str::to_owned));
        format!("{} {}", asset["kind"].as_str().unwrap(), name.unwrap_or_default())
    };
    let edge = |edge: &crate::Edge| {
        let note = edge.note.as_ref().map(|note| format!(" if {note}")).unwrap_or_default();
        let (from, to) = (kind(edge.from), kind(edge.to));
        format!("{} -{:?}-> {}{note}", from.trim_end(), edge.role, to.trim_end())
    };
    graph.edges.iter().map(edge).collect()
}

#[test]
fn the_way_runs_from_tables_and_events_to_places() {
    let Lineage { graph, warnings } =
        build_lineage(&inventory(), &routes(), LineageOptions::default());
    assert_eq!((graph.assets.len(), graph.edges.len(), warnings), (27, 20, Vec::new()));
    let edges = edges(&graph);
    for expected in [
        r#"events track "Order Completed" -Routed-> delivery_stream campaigns if context.campaign.name exists"#,
        "dynamo_table -Feeds-> kinesis_stream",
        "kinesis_stream -Feeds-> delivery_stream order-changes",
        "kafka_topic payments -Feeds-> delivery_stream payments",
        "delivery_stream web-pages -Delivered-> objects shop-events",
    ] {
        assert!(edges.iter().any(|edge| edge == expected), "{expected} in {edges:#?}");
    }
}

#[test]
fn a_stream_that_nobody_found_is_drawn_and_told() {
    let mut inventory = found(vec![stream("a", StreamOrigin::DirectPut, s3("b", ""))]);
    inventory.filtered = vec!["left-out".to_owned()];
    inventory.unread =
        vec![UnreadableStream { name: "denied".to_owned(), cause: "denied".to_owned() }];
    inventory.vanished = vec!["gone".to_owned()];
    let routes = ["a", "missing", "left-out", "denied", "gone", "left*", "none-*"]
        .map(|to| route("E", None, to));
    let Lineage { graph, warnings } = build_lineage(&inventory, &routes, LineageOptions::default());
    let missing = |asset: &&Asset| matches!(asset, Asset::DeliveryStream { arn: None, .. });
    assert_eq!(graph.assets.iter().filter(missing).count(), 3);
    assert_eq!(
        warnings,
        [
            r#"the plugin sends "E" to stream denied, which could not be read"#,
            r#"the plugin sends "E" to stream gone, which was deleted meanwhile"#,
            r#"the plugin sends "E" to stream missing, which does not exist here"#,
            r#"the plugin sends "E" to streams none-*, which matches no stream"#,
        ]
    );
    inventory.is_complete = false;
    let warnings = build_lineage(&inventory, &routes[1..2], LineageOptions::default()).warnings;
    assert!(warnings[0].ends_with("not in the incomplete list"));
}

#[test]
fn a_pattern_leads_to_all_that_it_covers_and_conditions_are_joined() {
    let names = ["eu-orders", "us-orders", "pages"];
    let streams = names.map(|name| stream(name, StreamOrigin::DirectPut, s3("b", name)));
    let routes = [
        route("E", Some("x > 1"), "*-orders"),
        route("E", Some("a"), "eu-*"),
        route("E", Some("a"), "pages"),
        route("E", None, "pages"),
    ];
    let graph = build_lineage(&found(streams.into()), &routes, LineageOptions::default()).graph;
    let routed: Vec<_> = edges(&graph).into_iter().filter(|it| it.contains("Routed")).collect();
    assert_eq!(
        routed,
        [
            r#"events "E" -Routed-> delivery_stream eu-orders if a or x > 1"#,
            r#"events "E" -Routed-> delivery_stream pages"#,
            r#"events "E" -Routed-> delivery_stream us-orders if x > 1"#,
        ]
    );
}

#[test]
fn backups_and_schemas_are_drawn_where_they_are_asked_for() {
    let mut to = s3("b", "raw/");
    to.backup = Some(S3Location { bucket: "backup".to_owned(), prefix: "failed/!{x}".to_owned() });
    to.schema = Some(GlueSchema {
        catalog: Some("210987654321".to_owned()),
        database: "lake".to_owned(),
        table: "raw".to_owned(),
        region: Some("us-east-1".to_owned()),
    });
    let inventory = found(vec![stream("a", StreamOrigin::DirectPut, to)]);
    assert_eq!(build_lineage(&inventory, &[], LineageOptions::default()).graph.edges.len(), 1);
    let all = LineageOptions { backups: true, schemas: true };
    let graph = build_lineage(&inventory, &[], all).graph;
    assert_eq!(
        edges(&graph),
        [
            "delivery_stream a -Delivered-> objects b",
            "delivery_stream a -Backup-> objects backup",
            "glue_table -Schema-> delivery_stream a",
        ]
    );
    let catalog = graph.assets.iter().find_map(|asset| match asset {
        Asset::GlueTable { catalog, .. } => Some(catalog.to_string()),
        _ => None,
    });
    assert_eq!(catalog.as_deref(), Some("arn:aws:glue:us-east-1:210987654321:catalog"));
}

#[test]
fn several_none_and_odd_destinations_are_no_failure() {
    let mut none = stream("none", StreamOrigin::DirectPut, s3("b", ""));
    none.destinations.clear();
    let mut both = stream("both", StreamOrigin::DirectPut, s3("b", "x/"));
    both.destinations.push(s3("b", "x/"));
    both.destinations.push(iceberg(&["t", "u", "t"]));
    let what = "Quantum".to_owned();
    let odd = StreamOrigin::Unsupported { what: "Telepathy".to_owned() };
    let odd = stream("odd", odd, destination("Quantum", Sink::Unsupported { what }));
    let empty = stream("empty", StreamOrigin::DirectPut, iceberg(&[]));
    let inventory = found(vec![none, both, odd, empty]);
    let Lineage { graph, warnings } = build_lineage(&inventory, &[], LineageOptions::default());
    assert_eq!(
        edges(&graph),
        [
            "delivery_stream both -Delivered-> objects b",
            "delivery_stream both -Delivered-> iceberg_table",
            "delivery_stream both -Delivered-> iceberg_table",
            "delivery_stream empty -Delivered-> unsupported tables of Iceberg that records name",
            "delivery_stream odd -Delivered-> unsupported Quantum",
            "unsupported Telepathy -Feeds-> delivery_stream odd",
        ]
    );
    assert_eq!(
        warnings,
        [
            "stream empty: its records name their Iceberg tables",
            "stream none: its description has no destination",
            "stream odd: Quantum is not supported",
        ]
    );
}

#[test]
fn tables_of_databases_are_bounded() {
    let names = |count: usize| (0..count).map(|it| it.to_string()).collect::<Vec<_>>();
    let origin = StreamOrigin::Database {
        engine: "MySQL".to_owned(),
        host: "h".to_owned(),
        port: 3306,
        databases: names(100),
        tables: names(100),
    };
    let inventory = found(vec![stream("a", origin, s3("b", ""))]);
    let Lineage { graph, warnings } = build_lineage(&inventory, &[], LineageOptions::default());
    assert_eq!(graph.edges.len(), crate::limits::CATALOG_TABLES_PER_STREAM_MAX + 1);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn ways_of_events_are_bounded() {
    let to_stream = |it: usize| stream(&format!("s{it}"), StreamOrigin::DirectPut, s3("b", ""));
    let inventory = found((0..1000).map(to_stream).collect());
    let routes: Vec<_> = (0..200).map(|it| route(&format!("E{it}"), None, "s*")).collect();
    let Lineage { graph, warnings } = build_lineage(&inventory, &routes, LineageOptions::default());
    assert_eq!(graph.edges.len(), 1000 + crate::limits::CATALOG_ROUTED_EDGES_MAX);
    assert_eq!(
        warnings,
        ["the plugin has more than 100000 routes to streams; the rest is not shown"]
    );
}

#[test]
fn tables_of_another_account_s_stream_do_not_show() {
    let own = arn("kinesis", "stream/s");
    let other = Arn { account: "999999999999".to_owned(), ..own.clone() };
    let mut inventory = found(vec![stream("a", StreamOrigin::Kinesis { arn: other }, s3("b", ""))]);
    inventory.tables = BTreeMap::from([(own, vec![arn("dynamodb", "table/t")])]);
    assert_eq!(build_lineage(&inventory, &[], LineageOptions::default()).graph.edges.len(), 2);
}

proptest! {
    #[test]
    fn graphs_are_sorted_whatever_comes(
        prefixes in prop::collection::vec("\\PC{0,12}", 0..6),
        targets in prop::collection::vec(("[ab*]{0,3}", "\\PC{0,8}"), 0..8),
    ) {
        let to = |(number, prefix): (usize, &String)| {
            stream(&"ab".repeat(number), StreamOrigin::DirectPut, s3("b", prefix))
        };
        let mut inventory = found(prefixes.iter().enumerate().map(to).collect());
        let mut routes: Vec<_> =
            targets.iter().map(|(to, name)| route(name, Some(name), to)).collect();
        let drawing = build_lineage(&inventory, &routes, LineageOptions::default());
        let Graph { assets, edges } = &drawing.graph;
        prop_assert!(assets.is_sorted_by(|one, other| one < other));
        prop_assert!(edges.is_sorted_by(|one, other| one < other));
        prop_assert!(edges.iter().all(|edge| edge.from.max(edge.to) < assets.len()));
        inventory.streams.reverse();
        routes.reverse();
        prop_assert_eq!(build_lineage(&inventory, &routes, LineageOptions::default()), drawing);
    }
}
