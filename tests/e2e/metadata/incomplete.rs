//! Tests incomplete responses: they are errors, and never mean that nothing exists.

use standpipe_tests::openmetadata::{ReplacedResponse, ServerTraits};

use super::world::MetadataWorld;

const VERSION: &str = "/system/version";
const SERVICE: &str = "/services/pipelineServices/name/";
const PIPELINES: &str = "/v1/pipelines";
const SEARCH: &str = "/search/fieldQuery";
const EDGE: &str = "/lineage/getLineageEdge/";

#[test]
fn an_incomplete_response_changes_nothing() {
    let world = MetadataWorld::new(ServerTraits::default(), &["a", "b"]);
    world.run_well();
    let bodies = ["", "{}", "null", "[]", "{\"data\":[", "404 page not found"];
    let paths = [VERSION, SERVICE, PIPELINES, SEARCH, EDGE];
    let all = paths.iter().flat_map(|path| bodies.iter().map(move |body| (*path, 200, *body)));
    let others = [
        (SERVICE, 404, "404 page not found"),
        (PIPELINES, 404, "unknown host"),
        (PIPELINES, 200, "{\"data\":[]}"),
        (PIPELINES, 200, "{\"data\":[],\"paging\":[]}"),
        (PIPELINES, 200, "{\"data\":[{}],\"paging\":{\"total\":1}}"),
        (PIPELINES, 200, "{\"data\":[{\"id\":\"1\"}],\"paging\":{\"total\":1}}"),
        (PIPELINES, 200, "{\"data\":[],\"paging\":{\"after\":7}}"),
        (PIPELINES, 200, "{\"data\":[],\"paging\":{\"after\":\"x\"}}"),
        (SEARCH, 200, "{\"hits\":{}}"),
        (SEARCH, 200, "{\"hits\":{\"hits\":[{}]}}"),
        (SEARCH, 200, "{\"hits\":{\"hits\":[{\"_source\":{\"id\":\"1\"}}]}}"),
        (EDGE, 404, "unknown host"),
        (EDGE, 200, "{\"edge\":null}"),
    ];
    for (path, status, body) in all.chain(others) {
        world.server.replace_responses(Some(ReplacedResponse {
            method: "GET",
            path,
            status,
            body,
        }));
        world.server.forget_requests();
        let outcome = world.run();
        let has_failed = outcome.aborted.is_some()
            || outcome.steps.iter().any(|step| !step.failures.is_empty())
            || outcome.report.totals().failed > 0;
        assert!(has_failed, "{path} {status} {body:?}: {outcome:#?}");
        assert_eq!(world.server.writes(), [""; 0], "{path} {status} {body:?}");
    }
    world.server.replace_responses(None);
    assert_eq!(world.run_and_list_writes(), [""; 0]);
}

#[test]
fn an_incomplete_service_response_is_an_error() {
    for body in ["", "{}", "null", "[]"] {
        let world = MetadataWorld::new(ServerTraits::default(), &["a"]);
        let path = "/services/pipelineServices";
        world.server.replace_responses(Some(ReplacedResponse {
            method: "PUT",
            path,
            status: 200,
            body,
        }));
        let outcome = world.run();
        let cause = outcome.aborted.expect(body);
        assert!(
            cause.contains("PUT /services/pipelineServices") && cause.contains("no `id`"),
            "{cause}"
        );
    }
}
