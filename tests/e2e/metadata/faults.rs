//! Tests an OpenMetadata server that fails, throttles, is down, is another program, or rejects the
//! token.

use std::time::{Duration, Instant};

use standpipe_catalog::openmetadata::{OpenMetadata, OpenMetadataError};
use standpipe_core::secret::{NoSecretManager, Secret, SecretSetting};
use standpipe_tests::openmetadata::{InjectedFault, ServerTraits};

use super::world::MetadataWorld;

#[test]
fn temporary_failures_are_retried() {
    for status in [429, 502, 503, 504] {
        let world = MetadataWorld::new(ServerTraits::default(), &["a", "b"]);
        for (method, path) in [
            ("GET", "version"),
            ("PUT", "bulk"),
            ("PUT", "lineage"),
            ("GET", "search"),
            ("GET", "name"),
        ] {
            world.server.inject_fault(InjectedFault {
                method,
                path,
                times: 2,
                status,
                retry_after: None,
            });
        }
        world.run_well();
        assert_eq!(world.server.edges().len(), 2, "{status}");
    }
}

#[test]
fn retry_after_of_the_server_is_respected() {
    let world = MetadataWorld::new(ServerTraits::default(), &["a"]);
    world.server.inject_fault(InjectedFault {
        method: "PUT",
        path: "bulk",
        times: 1,
        status: 429,
        retry_after: Some(1),
    });
    let start = Instant::now();
    world.run_well();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn permanent_failures_are_reported_and_the_rest_is_done() {
    let world = MetadataWorld::new(ServerTraits::default(), &["a", "b", "c"]);
    world.server.inject_fault(InjectedFault {
        method: "PUT",
        path: "/lineage",
        times: 4,
        status: 503,
        retry_after: None,
    });
    let outcome = world.run();
    assert_eq!(outcome.report.totals().failed, 1);
    assert_eq!(outcome.report.unresolved(), 1);
    assert_eq!(world.server.edges().len(), 2);
    // 5 of 6 is less than 90 %.
    assert!(outcome.has_failed(&world.options));
    let summary = outcome.summary(&world.options);
    assert!(summary.contains("Errors: 1") && summary.contains("Success %: 83.33"), "{summary}");
    // The next run writes the missing pipelines.
    world.run_well();
    assert_eq!(world.server.edges().len(), 3);
}

#[test]
fn an_html_page_is_not_taken_for_the_api() {
    for page in ["<!DOCTYPE html><title>Sign in</title>", "x"] {
        let world = MetadataWorld::new(
            ServerTraits { page: Some(page.to_owned()), ..ServerTraits::default() },
            &["a"],
        );
        let outcome = world.run();
        let cause = outcome.aborted.clone().unwrap();
        assert!(cause.contains("ends in /api"), "{cause}");
        assert!(outcome.has_failed(&world.options));
        assert_eq!(world.server.writes(), [""; 0]);
    }
}

#[test]
fn a_wrong_token_is_reported_and_never_shown() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &["a"]);
    let token = "an-0ld-t0ken";
    world.settings.token = Some(SecretSetting::Value(Secret::new(token.to_owned())));
    let outcome = world.run();
    let cause = outcome.aborted.clone().unwrap();
    assert!(cause.contains("check the token") && !cause.contains(token), "{cause}");
    assert_eq!(world.server.writes(), [""; 0]);
}

#[test]
fn an_unresolved_reference_or_empty_token_stops_the_run() {
    let world = MetadataWorld::new(ServerTraits::default(), &["a"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (written, expected) in [("secret:/om/token", "secret:/om/token"), ("", "is empty")] {
        let mut settings = world.settings.clone();
        settings.token = Some(SecretSetting::parse(Secret::new(written.to_owned())).unwrap());
        let error: OpenMetadataError =
            runtime.block_on(OpenMetadata::new(settings, &NoSecretManager)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(world.server.requests().len(), 0);
}

#[test]
fn unknown_server_versions_are_refused_unless_allowed() {
    let mut world = MetadataWorld::new(
        ServerTraits { version: "3.0.1".to_owned(), ..ServerTraits::default() },
        &["a"],
    );
    let cause = world.run().aborted.unwrap();
    assert!(cause.contains("3.0.1") && cause.contains("enableVersionValidation"), "{cause}");
    world.settings.version_validation = false;
    let outcome = world.run_well();
    assert!(outcome.steps[1].warnings[0].contains("3.0.1"));
}

#[test]
fn an_unreachable_server_is_reported() {
    let mut world = MetadataWorld::new(ServerTraits::default(), &["a"]);
    world.settings.host_port = "http://127.0.0.1:1/api".to_owned();
    let cause = world.run().aborted.unwrap();
    assert!(cause.contains("failed to reach"), "{cause}");
}

#[test]
fn pipelines_that_cannot_be_written_are_not_deleted() {
    let world = MetadataWorld::new(ServerTraits::default(), &["a", "b"]);
    world.run_well();
    let mut world = world;
    world.inventory.streams[0].status.word = "DELETING".to_owned();
    world.server.inject_fault(InjectedFault {
        method: "PUT",
        path: "/pipelines",
        times: 100,
        status: 500,
        retry_after: None,
    });
    let outcome = world.run();
    assert_eq!(outcome.steps[1].failures.len(), 1);
    assert_eq!(world.server.pipelines().len(), 2);
}
