//! Tests streams as pipelines in OpenMetadata: they are created once and updated if they differ,
//! and users' texts are kept.

use serde_json::json;
use standpipe_catalog::openmetadata::ServiceNames;
use standpipe_catalog::{Asset, EdgeRole, Processor};
use standpipe_tests::openmetadata::{InjectedFault, ServerTraits};

use super::world::MetadataWorld;

#[test]
fn streams_become_pipelines_and_a_second_run_writes_nothing() {
    let world = MetadataWorld::new(ServerTraits::default(), &["orders", "page.views"]);
    let outcome = world.run_well();
    // Names with dots are quoted, both of services and streams.
    let names = ["\"my.firehose\".\"page.views\"", "\"my.firehose\".orders"];
    assert_eq!(world.server.pipelines(), names);
    let pipeline = &world.server.entities("pipelines")[names[1]];
    assert_eq!(pipeline["state"], "Active");
    assert_eq!(pipeline["startDate"], "2026-01-01T00:00:00.000Z");
    assert_eq!(
        pipeline["sourceUrl"],
        "https://eu-west-1.console.aws.amazon.com/firehose/home?region=eu-west-1#/details/orders"
    );
    assert_eq!(pipeline["tasks"][0]["downstreamTasks"], json!(["destination-1"]));
    assert_eq!(pipeline["tasks"][1]["taskType"], "ExtendedS3");
    assert_eq!(world.server.edges().len(), 2);
    assert_eq!(outcome.report.unresolved(), 0);
    assert_eq!((outcome.steps[0].records, outcome.steps[1].records), (2, 4));
    assert_eq!(world.run_and_list_writes(), [""; 0]);
}

#[test]
fn the_service_is_made_once_with_its_account_and_without_credentials() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &["a"]);
    world.settings.assume_role_arn = Some("arn:aws:iam::123456789012:role/r".to_owned());
    world.settings.services =
        ServiceNames { kafka: Some("local_kafka".to_owned()), ..ServiceNames::default() };
    world.run_well();
    let services = world.server.entities("pipelineServices");
    let service = &services["\"my.firehose\""];
    assert_eq!(service["serviceType"], "KinesisFirehose");
    assert_eq!(
        service["connection"]["config"],
        json!({
            "type": "KinesisFirehose",
            "awsConfig": {"awsRegion": "eu-west-1", "assumeRoleArn": "arn:aws:iam::123456789012:role/r"},
            "messagingServiceName": "local_kafka",
        })
    );
    assert!(
        service["description"]
            .as_str()
            .unwrap()
            .ends_with("standpipe-scope: 123456789012/eu-west-1")
    );
    assert_eq!(world.server.writes()[0], "PUT /api/v1/services/pipelineServices");
}

#[test]
fn a_service_may_have_no_connection() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &["a"]);
    world.settings.store_service_connection = false;
    world.run_well();
    let services = world.server.entities("pipelineServices");
    assert_eq!(services["\"my.firehose\""].get("connection"), None);
}

#[test]
fn changes_are_written_and_manual_edits_are_kept() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &["a", "b"]);
    world.run_well();
    let name = "\"my.firehose\".a";
    world.server.edit_entity(name, "description", json!("by hand"));
    world.inventory.streams[0].status.word = "DELETING".to_owned();
    world.server.forget_requests();
    let outcome = world.run_well();
    assert_eq!(outcome.steps[1].updated, 1);
    assert_eq!(world.server.writes(), ["PUT /api/v1/pipelines/bulk"]);
    let pipeline = world.server.entities("pipelines")[name].clone();
    assert_eq!(
        (&pipeline["state"], &pipeline["description"]),
        (&json!("Inactive"), &json!("by hand"))
    );
    assert_eq!(world.run_and_list_writes(), [""; 0]);
    // The settings can require overwriting.
    world.settings.override_metadata = true;
    assert_eq!(world.run_and_list_writes(), ["PUT /api/v1/pipelines/bulk"]);
    let pipeline = world.server.entities("pipelines")[name].clone();
    assert!(pipeline["description"].as_str().unwrap().contains("deliverystream/a"));
    assert_eq!(world.run_and_list_writes(), [""; 0]);
}

#[test]
fn events_and_functions_are_tasks() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &["a"]);
    let stream = world.inventory.streams[0].clone();
    let own = Asset::DeliveryStream { name: stream.name, arn: None };
    world.graph.assets.clear();
    world.graph.edges.clear();
    world.add_edge(
        &Asset::Events { label: "track \"Order Completed\"".to_owned() },
        &own,
        EdgeRole::Routed,
    );
    world.inventory.streams[0].destinations[0].processors =
        vec![Processor { kind: "Lambda".to_owned(), lambda: None, splits_at: None }];
    world.run_well();
    let pipeline = &world.server.entities("pipelines")["\"my.firehose\".a"];
    let tasks = pipeline["tasks"].as_array().unwrap().iter();
    let tasks: Vec<_> =
        tasks.map(|task| (task["name"].as_str().unwrap(), &task["downstreamTasks"])).collect();
    assert_eq!(
        tasks,
        [
            ("events-1", &json!(["source"])),
            ("source", &json!(["destination-1-step-1"])),
            ("destination-1-step-1", &json!(["destination-1"])),
            ("destination-1", &json!([])),
        ]
    );
    assert_eq!(pipeline["tasks"][0]["displayName"], "track \"Order Completed\"");
    assert_eq!(world.run_and_list_writes(), [""; 0]);
}

#[test]
fn old_server_versions_get_only_known_fields() {
    let traits = ServerTraits {
        version: "1.2.0".to_owned(),
        has_firehose: false,
        has_new_keys: false,
        has_bulk: false,
        has_delete_stale: false,
        ..ServerTraits::default()
    };
    let mut world = MetadataWorld::new(traits, &["a", "b", "c"]);
    world.run_well();
    assert_eq!(world.server.pipelines().len(), 3);
    let services = world.server.entities("pipelineServices");
    assert_eq!(services["\"my.firehose\""]["serviceType"], "CustomPipeline");
    assert_eq!(world.run_and_list_writes(), [""; 0]);
    world.server.edit_entity("\"my.firehose\".a", "description", json!("by hand"));
    world.settings.override_metadata = true;
    let writes = world.run_and_list_writes();
    assert!(writes.last().unwrap().starts_with("PATCH /api/v1/pipelines/"), "{writes:?}");
    assert_eq!(world.run_and_list_writes(), [""; 0]);
    world.remove_stream("c");
    let writes = world.run_and_list_writes();
    assert_eq!(writes.len(), 2, "{writes:?}");
    assert_eq!(world.server.pipelines().len(), 2);
}

#[test]
fn entities_refused_in_bulk_are_written_one_by_one() {
    let world = MetadataWorld::new(ServerTraits::default(), &["a", "b", "c"]);
    world.server.inject_fault(InjectedFault {
        method: "BULK",
        path: "b",
        times: 1,
        status: 400,
        retry_after: None,
    });
    world.run_well();
    assert_eq!(world.server.pipelines().len(), 3);
    let writes = world.server.writes();
    assert_eq!(writes[1..3], ["PUT /api/v1/pipelines/bulk", "PUT /api/v1/pipelines"]);
}

#[test]
fn a_dry_run_prints_changes_and_writes_nothing() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &["a", "b"]);
    world.options.is_dry = true;
    let outcome = world.run_well();
    assert_eq!(world.server.writes(), [""; 0]);
    assert_eq!(outcome.report.totals().written, 2);
    world.options.is_dry = false;
    world.run_well();
    world.remove_stream("b");
    world.options.is_dry = true;
    world.server.forget_requests();
    let outcome = world.run_well();
    assert_eq!(outcome.removal.pipelines, ["\"my.firehose\".b"]);
    assert!(outcome.summary(&world.options).contains("1 pipelines would be marked as deleted"));
    assert_eq!(world.server.writes(), [""; 0]);
    assert_eq!(world.server.pipelines().len(), 2);
}
