//! Tests edges in OpenMetadata: which entities are connected, which names are ambiguous or missing,
//! and that edges of other tools stay.

use serde_json::json;
use standpipe_catalog::openmetadata::{EdgeWrite, ServiceNames};
use standpipe_catalog::report::EdgeOutcome;
use standpipe_catalog::{Asset, EdgeRole, IndexRotation, SearchEngine, TableName};
use standpipe_tests::openmetadata::ServerTraits;

use super::world::{MetadataWorld, bucket_asset, kinesis_asset, make_arn, world_topic};

#[test]
fn edges_join_assets_through_the_pipeline() {
    let world = MetadataWorld::new(ServerTraits::default(), &["a"]);
    world.run_well();
    let expected = (
        "kinesis.a-in".to_owned(),
        "s3.lake.\"a.objects\"".to_owned(),
        Some("\"my.firehose\".a".to_owned()),
    );
    assert_eq!(world.server.edges(), [expected]);
    assert_eq!(world.server.edge_details()[0]["source"], "PipelineLineage");
}

#[test]
fn a_pipeline_that_the_server_drops_is_added_again() {
    let world = MetadataWorld::new(
        ServerTraits { drops_pipeline: true, ..ServerTraits::default() },
        &["a"],
    );
    let outcome = world.run_well();
    assert_eq!(outcome.report.totals().written, 1);
    assert_eq!(world.server.edges()[0].2.as_deref(), Some("\"my.firehose\".a"));
    assert_eq!(world.run_and_list_writes(), [""; 0]);
}

#[test]
fn dynamodb_tables_replace_the_stream_that_they_feed() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &[]);
    let (table, stream) = (
        Asset::DynamoTable { arn: make_arn("dynamodb", "table/Orders") },
        kinesis_asset("changes"),
    );
    world.server.add_entity(
        "tables",
        "dynamo.default.default.Orders",
        &json!({"serviceType": "DynamoDB"}),
    );
    world_topic(&world.server, "changes");
    world.server.add_entity("containers", "s3.lake", &json!({"fullPath": "s3://lake"}));
    world.add_stream_between(
        "a",
        std::slice::from_ref(&stream),
        &[bucket_asset("lake", "raw/orders")],
    );
    world.add_edge(&table, &stream, EdgeRole::Feeds);
    let outcome = world.run_well();
    assert_eq!(world.server.edges()[0].0, "dynamo.default.default.Orders");
    assert_eq!(world.server.edges().len(), 1);
    // The bucket is the nearest known entity, and the report says so.
    let EdgeOutcome::Resolved { matched, .. } = &outcome.report.lines[0].fate else { panic!() };
    assert_eq!(*matched, ["s3://lake"]);
    // If the service is named, the table's name is known, and no search is necessary.
    world.settings.services = ServiceNames {
        database: vec!["redshift".to_owned(), "dynamo".to_owned()],
        storage: vec!["s3".to_owned()],
        ..ServiceNames::default()
    };
    world.server.change_traits(|traits| traits.search_lags = true);
    assert_eq!(world.run_and_list_writes(), [""; 0]);
}

#[test]
fn ambiguous_entities_are_not_joined() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &["a"]);
    world.server.add_entity("containers", "other.lake.x", &json!({"fullPath": "s3://lake/a/"}));
    let outcome = world.run_well();
    assert_eq!(world.server.edges().len(), 0);
    let EdgeOutcome::Ambiguous { candidates, .. } = &outcome.report.lines[0].fate else { panic!() };
    assert_eq!(*candidates, ["other.lake.x", "s3.lake.\"a.objects\""]);
    assert_eq!(outcome.report.unresolved(), 1);
    // Naming the service makes the name unique.
    world.settings.services.storage = vec!["s3".to_owned()];
    world.run_well();
    assert_eq!(world.server.edges().len(), 1);
}

#[test]
fn missing_entities_are_reported_with_the_names_tried() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &[]);
    let table = TableName { database: Some("dev".into()), schema: None, name: "Orders".into() };
    let to = Asset::RedshiftTable { host: "h".to_owned(), table };
    world_topic(&world.server, "in");
    world.add_stream_between("a", &[kinesis_asset("in")], std::slice::from_ref(&to));
    world.settings.services.database = vec!["rs".to_owned()];
    let outcome = world.run_well();
    let EdgeOutcome::NotFound { tried, .. } = &outcome.report.lines[0].fate else { panic!() };
    assert_eq!(*tried, ["rs.dev.public.orders", "rs.dev.public.Orders"]);
    assert!(
        standpipe_catalog::report::report_table(&outcome.report)
            .contains("tried rs.dev.public.orders")
    );
    world.server.add_entity("tables", "rs.dev.public.orders", &json!({}));
    assert_eq!(world.run_well().report.unresolved(), 0);
}

#[test]
fn direct_put_streams_have_no_edge_unless_configured() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &[]);
    world.server.add_entity("containers", "s3.lake", &json!({"fullPath": "s3://lake"}));
    world.add_stream_between("a", &[], &[bucket_asset("lake", "")]);
    let outcome = world.run_well();
    assert_eq!(outcome.report.lines[0].fate, EdgeOutcome::DirectPut);
    assert_eq!((outcome.report.unresolved(), world.server.edges().len()), (0, 0));
    world.settings.direct_put_edges = true;
    world.run_well();
    assert_eq!(
        world.server.edges(),
        [("\"my.firehose\".a".to_owned(), "s3.lake".to_owned(), None)]
    );
    assert_eq!(world.run_and_list_writes(), [""; 0]);
}

#[test]
fn assets_unknown_to_openmetadata_are_unsupported() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &[]);
    world.add_stream_between(
        "a",
        &[kinesis_asset("in")],
        &[Asset::Splunk { endpoint: "https://splunk:8088".to_owned() }],
    );
    let outcome = world.run_well();
    assert!(matches!(outcome.report.lines[0].fate, EdgeOutcome::Unsupported { .. }));
    assert_eq!(outcome.report.unresolved(), 0);
}

#[test]
fn topics_are_those_of_their_service() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &[]);
    let cluster = make_arn("kafka", "cluster/c/1");
    world.server.add_entity("containers", "s3.lake", &json!({"fullPath": "s3://lake"}));
    world.server.add_entity(
        "topics",
        "local_kafka.\"shop.orders\"",
        &json!({"serviceType": "Kafka"}),
    );
    world.server.add_entity(
        "topics",
        "kinesis.\"shop.orders\"",
        &json!({"serviceType": "Kinesis"}),
    );
    world.add_stream_between(
        "a",
        &[Asset::KafkaTopic { cluster, topic: "shop.orders".into() }],
        &[bucket_asset("lake", "")],
    );
    // A Kinesis stream of this name is not a Kafka topic.
    world.run_well();
    assert_eq!(world.server.edges()[0].0, "local_kafka.\"shop.orders\"");
    world.settings.services.kafka = Some("other".to_owned());
    let outcome = world.run_well();
    let EdgeOutcome::NotFound { tried, .. } = &outcome.report.lines[0].fate else { panic!() };
    assert_eq!(*tried, ["other.\"shop.orders\""]);
}

#[test]
fn a_rotated_index_maps_to_the_newest_one() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &[]);
    for name in ["orders-2026-01", "orders-2026-02", "orders-old-2026-03", "orders-2026-02-03"] {
        world.server.add_entity("searchIndexes", &format!("os.{name}"), &json!({}));
    }
    world_topic(&world.server, "in");
    let to = Asset::SearchIndex {
        engine: SearchEngine::OpenSearch,
        place: "p".to_owned(),
        index: "orders".to_owned(),
        rotation: IndexRotation::Month,
    };
    world.add_stream_between("a", &[kinesis_asset("in")], &[to]);
    let outcome = world.run_well();
    assert_eq!(world.server.edges()[0].1, "os.orders-2026-02");
    let details = outcome.report.lines[0].fate.details();
    assert!(details.contains("the newest of 2"), "{details}");
}

#[test]
fn an_edge_of_another_tool_keeps_its_pipeline() {
    let world = MetadataWorld::new(ServerTraits::default(), &["a", "b"]);
    let id = |kind: &str, name: &str| {
        world.server.entities(kind)[name]["id"].as_str().unwrap().to_owned()
    };
    let (from, to) = (id("topics", "kinesis.a-in"), id("containers", "s3.lake.\"a.objects\""));
    let glue = world.server.add_entity("pipelines", "glue.job", &json!({}));
    let details = json!({"source": "PipelineLineage", "pipeline": {"id": glue, "type": "pipeline"}, "sqlQuery": "x"});
    world.server.add_edge(&from, &to, details.clone());
    let (from, to) = (id("topics", "kinesis.b-in"), id("containers", "s3.lake.\"b.objects\""));
    world.server.add_edge(&from, &to, json!({"source": "Manual", "columnsLineage": []}));
    let outcome = world.run_well();
    let pipelines: Vec<_> = world.server.edges().into_iter().filter_map(|edge| edge.2).collect();
    assert_eq!(pipelines, ["glue.job", "\"my.firehose\".b"]);
    assert!(world.server.edge_details().contains(&details));
    let kept = EdgeWrite::Kept { pipeline: glue };
    assert_eq!(
        outcome.report.lines[0].fate,
        EdgeOutcome::Resolved { written: kept, matched: vec![] }
    );
    assert_eq!(world.run_and_list_writes(), [""; 0]);
}

#[test]
fn two_streams_share_one_edge() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &["a"]);
    world.add_stream_between("b", &[kinesis_asset("a-in")], &[bucket_asset("lake", "a")]);
    world.run_well();
    assert_eq!(world.server.edges()[0].2.as_deref(), Some("\"my.firehose\".a"));
    assert_eq!(world.run_and_list_writes(), [""; 0]);
    // When the first stream is deleted, the second one gets the edge.
    world.remove_stream("a");
    world.run_well();
    assert_eq!(world.server.edges()[0].2.as_deref(), Some("\"my.firehose\".b"));
}

#[test]
fn obsolete_edges_are_deleted_if_configured() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &["a"]);
    world.run_well();
    world.graph.edges.clear();
    assert_eq!(world.run_and_list_writes(), [""; 0]);
    assert_eq!(world.server.edges().len(), 1);
    world.settings.override_lineage = true;
    world.run_well();
    assert_eq!(world.server.edges().len(), 0);
}

#[test]
fn columns_of_the_same_name_are_joined_if_configured() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &[]);
    let columns = |table: &str, names: &[&str]| {
        let column =
            |name: &&str| json!({"name": name, "fullyQualifiedName": format!("{table}.{name}")});
        names.iter().map(column).collect::<Vec<_>>()
    };
    world.server.add_entity(
        "topics",
        "kafka.t",
        &json!({
            "messageSchema": {"schemaFields": columns("kafka.t", &["Id", "other"])},
        }),
    );
    world.server.add_entity(
        "tables",
        "sf.DB.S.T",
        &json!({"columns": columns("sf.DB.S.T", &["ID", "MORE"])}),
    );
    let table =
        TableName { database: Some("db".into()), schema: Some("s".into()), name: "t".into() };
    let from =
        Asset::KafkaTopic { cluster: make_arn("kafka", "cluster/c/1"), topic: "t".to_owned() };
    world.add_stream_between(
        "a",
        &[from],
        &[Asset::SnowflakeTable { account: "x".to_owned(), table }],
    );
    world.settings.services.database = vec!["sf".to_owned()];
    world.run_well();
    assert_eq!(world.server.edge_details()[0]["columnsLineage"], json!([]));
    world.settings.column_lineage = true;
    world.run_well();
    let expected = json!([{"fromColumns": ["kafka.t.Id"], "toColumn": "sf.DB.S.T.ID"}]);
    assert_eq!(world.server.edge_details()[0]["columnsLineage"], expected);
    assert_eq!(world.run_and_list_writes(), [""; 0]);
}

#[test]
fn tables_are_searched_in_all_services_by_default() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &[]);
    let table = |database: Option<&str>, schema: &str, name: &str| TableName {
        database: database.map(str::to_owned),
        schema: Some(schema.to_owned()),
        name: name.to_owned(),
    };
    world_topic(&world.server, "in");
    world.server.add_entity(
        "tables",
        "glue.123456789012.lake.\"a.b\"",
        &json!({"serviceType": "Glue"}),
    );
    world.server.add_entity(
        "tables",
        "glue.123456789012.lake.other",
        &json!({"serviceType": "Glue"}),
    );
    world.server.add_entity("tables", "rs.dev.sales.orders", &json!({"serviceType": "Redshift"}));
    world.server.add_entity("tables", "pg.dev.sales.orders", &json!({"serviceType": "Postgres"}));
    let iceberg = Asset::IcebergTable { catalog: None, table: table(None, "lake", "a.b") };
    let redshift = |database| Asset::RedshiftTable {
        host: "h".to_owned(),
        table: table(database, "Sales", "Orders"),
    };
    world.add_stream_between("a", &[kinesis_asset("in")], &[iceberg, redshift(Some("dev"))]);
    world.add_stream_between("b", &[kinesis_asset("in")], &[redshift(None)]);
    let outcome = world.run_well();
    let ends: Vec<_> = world.server.edges().into_iter().map(|edge| edge.1).collect();
    // PostgreSQL has a table of the same name, but is not Redshift.
    assert_eq!(ends, ["glue.123456789012.lake.\"a.b\"", "rs.dev.sales.orders"]);
    assert_eq!(outcome.report.unresolved(), 0);
    // Two streams share one edge: the second stream reports the owner of the edge.
    let kept = EdgeWrite::Kept { pipeline: "a".to_owned() };
    let fate = &outcome.report.lines.iter().find(|line| line.stream == "b").unwrap().fate;
    assert_eq!(*fate, EdgeOutcome::Resolved { written: kept, matched: vec![] });
    assert_eq!(world.run_and_list_writes(), [""; 0]);
}
