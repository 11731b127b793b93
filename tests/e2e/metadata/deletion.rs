//! Tests pipelines whose stream was deleted: soft deletion, and every reason not to delete.

use serde_json::json;
use standpipe_catalog::UnreadableStream;
use standpipe_catalog::openmetadata::RemovalSkipped;
use standpipe_tests::openmetadata::{InjectedFault, ServerTraits};

use super::world::MetadataWorld;

const STREAMS: &[&str] = &["a", "b", "c", "d"];

#[test]
fn a_removed_stream_is_soft_deleted_and_restored() {
    let mut world = MetadataWorld::new(ServerTraits::default(), STREAMS);
    world.run_well();
    world.remove_stream("b");
    world.server.forget_requests();
    let outcome = world.run_well();
    assert_eq!(outcome.removal.pipelines, ["\"my.firehose\".b"]);
    assert_eq!(world.server.writes(), ["DELETE /api/v1/pipelines/deleteStale"]);
    assert_eq!(world.server.pipelines().len(), 3);
    assert_eq!(world.server.entities("pipelines").len(), 4);
    assert_eq!(world.run_and_list_writes(), [""; 0]);
    world.add_stream("b2");
    let b = MetadataWorld::new(ServerTraits::default(), &["b"]).inventory.streams.remove(0);
    world.inventory.streams.push(b);
    world.run_well();
    assert_eq!(world.server.pipelines().len(), 5);
}

#[test]
fn servers_without_bulk_deletion_get_single_requests() {
    let mut world = MetadataWorld::new(
        ServerTraits { has_delete_stale: false, ..ServerTraits::default() },
        STREAMS,
    );
    world.run_well();
    world.remove_stream("b");
    world.remove_stream("c");
    world.server.forget_requests();
    world.run_well();
    let writes = world.server.writes();
    assert_eq!(writes.len(), 3, "{writes:?}");
    assert_eq!(world.server.pipelines(), ["\"my.firehose\".a", "\"my.firehose\".d"]);
}

#[test]
fn an_incomplete_list_deletes_nothing() {
    let mut world = MetadataWorld::new(ServerTraits::default(), STREAMS);
    world.run_well();
    world.remove_stream("b");
    world.inventory.is_complete = false;
    let fails_without_writing = |world: &MetadataWorld| {
        world.server.forget_requests();
        let outcome = world.run();
        assert_eq!(world.server.writes(), [""; 0]);
        assert_eq!(outcome.steps[0].failures[0].entity, "the list of delivery streams");
        assert!(outcome.has_failed(&world.options));
        outcome
    };
    let outcome = fails_without_writing(&world);
    assert_eq!(outcome.removal.untouched, Some(RemovalSkipped::Incomplete));
    world.inventory.streams.clear();
    fails_without_writing(&world);
    world.inventory.is_complete = true;
    assert_eq!(world.run_and_list_writes(), [""; 0]);
    assert_eq!(world.run().removal.untouched, Some(RemovalSkipped::Empty));
}

#[test]
fn unread_streams_are_not_deleted() {
    let mut world = MetadataWorld::new(ServerTraits::default(), STREAMS);
    world.run_well();
    for name in ["a", "b", "c"] {
        world.remove_stream(name);
    }
    world.inventory.filtered = vec!["a".to_owned()];
    world.inventory.unread =
        vec![UnreadableStream { name: "b".to_owned(), cause: "denied".to_owned() }];
    world.inventory.vanished = vec!["c".to_owned()];
    world.server.forget_requests();
    let outcome = world.run();
    assert_eq!(world.server.writes(), [""; 0]);
    assert_eq!(outcome.steps[0].failures.len(), 1);
    // One of two pipelines failed.
    assert!(outcome.has_failed(&world.options));
    assert!(outcome.summary(&world.options).contains("Filtered: 1"));
    // The settings can require deleting pipelines that the patterns exclude.
    world.inventory.unread.clear();
    world.inventory.vanished.push("b".to_owned());
    world.settings.deletion.prunes_filtered = true;
    world.run_well();
    assert_eq!(world.server.pipelines().len(), 3);
}

#[test]
fn most_of_a_service_is_not_deleted_at_once() {
    let mut world = MetadataWorld::new(ServerTraits::default(), STREAMS);
    world.run_well();
    for name in ["a", "b", "c"] {
        world.remove_stream(name);
    }
    world.server.forget_requests();
    let outcome = world.run();
    assert_eq!(world.server.writes(), [""; 0]);
    let why = RemovalSkipped::TooMany { stale: 3, all: 4, percent: 50 };
    assert_eq!(outcome.removal.untouched, Some(why));
    assert_eq!(outcome.steps[1].failures.len(), 1);
    assert!(outcome.summary(&world.options).contains("3 of 4 pipelines would be deleted"));
    world.settings.deletion.ratio_max = 0.75;
    world.run_well();
    assert_eq!(world.server.pipelines().len(), 1);
}

#[test]
fn another_account_or_region_is_refused_before_anything_is_written() {
    let mut world = MetadataWorld::new(ServerTraits::default(), STREAMS);
    world.run_well();
    world.server.forget_requests();
    for (account, region) in [("999999999999", "eu-west-1"), ("123456789012", "us-east-1")] {
        world.inventory.account = Some(account.to_owned());
        world.inventory.region = region.to_owned();
        world.inventory.streams.truncate(1);
        let outcome = world.run();
        let cause = outcome.aborted.clone().unwrap();
        assert!(cause.contains("123456789012 in eu-west-1") && cause.contains(account), "{cause}");
        assert!(outcome.has_failed(&world.options));
    }
    assert_eq!(world.server.writes(), [""; 0]);
}

#[test]
fn a_foreign_service_is_kept_until_it_is_adopted() {
    let mut world = MetadataWorld::new(ServerTraits::default(), STREAMS);
    let service = json!({"serviceType": "KinesisFirehose", "description": "Made by hand."});
    world.server.add_entity("pipelineServices", "\"my.firehose\"", &service);
    world.run_well();
    world.remove_stream("b");
    assert_eq!(world.run_and_list_writes(), [""; 0]);
    let line = "standpipe-scope: 123456789012/eu-west-1";
    let untouched = world.run().removal.untouched;
    assert_eq!(untouched, Some(RemovalSkipped::Unmarked { line: line.to_owned() }));
    world.settings.adopt_service = true;
    world.run_well();
    assert_eq!(world.server.pipelines().len(), 3);
    let services = world.server.entities("pipelineServices");
    assert_eq!(services["\"my.firehose\""]["description"], format!("Made by hand.\n\n{line}"));
    assert_eq!(world.run_and_list_writes(), [""; 0]);
}

#[test]
fn deletion_can_be_disabled_and_its_failures_are_reported() {
    let mut world = MetadataWorld::new(
        ServerTraits { has_delete_stale: false, ..ServerTraits::default() },
        STREAMS,
    );
    world.run_well();
    world.remove_stream("b");
    world.settings.deletion.is_on = false;
    assert_eq!(world.run_and_list_writes(), [""; 0]);
    world.settings.deletion.is_on = true;
    world.server.inject_fault(InjectedFault {
        method: "DELETE",
        path: "/pipelines/0",
        times: 1,
        status: 500,
        retry_after: None,
    });
    let outcome = world.run();
    assert_eq!(outcome.steps[1].failures[0].entity, "\"my.firehose\".b");
    world.run_well();
    assert_eq!(world.server.pipelines().len(), 3);
}
