//! Tests `ingest`: the vendor's workflow file, and its results.

use serde_json::json;
use standpipe_tests::catalog::{error_response, input_of, operation_of};
use standpipe_tests::openmetadata::{OpenMetadataServer, ServerTraits};
use standpipe_tests::{Endpoint, Program};

use super::{
    catalog_command, catalog_settings, json_of, sample_account, start_aws_api, stdout_text,
};

const TOKEN: &str = "t0ken-of-a-bot";

/// Writes the vendor's example, with the addresses of a test.
fn write_workflow(amazon: &str, server: &str) -> String {
    format!(
        r#"
source:
  type: kinesisfirehose
  serviceName: aws_firehose
  serviceConnection:
    config: {{type: KinesisFirehose, awsConfig: {{awsRegion: eu-west-2, endPointURL: "{amazon}"}}, messagingServiceName: local_kafka}}
  sourceConfig:
    config:
      type: PipelineMetadata
      includeLineage: true
      markDeletedPipelines: true
      pipelineFilterPattern: {{includes: ["prod-.*"], excludes: ["test-.*"]}}
      lineageInformation: {{dbServiceNames: [dynamo, redshift], storageServiceNames: [s3], messagingServiceNames: []}}
sink: {{type: metadata-rest, config: {{}}}}
workflowConfig:
  loggerLevel: INFO
  openMetadataServerConfig:
    hostPort: {server}
    authProvider: openmetadata
    securityConfig: {{jwtToken: "${{OM_JWT}}"}}
"#
    )
}

fn ingest_command(workflow: &str) -> Program {
    let program = catalog_command("ingest").file("firehose.yaml", workflow.as_bytes());
    program.args(["-c", "firehose.yaml"]).env("OM_JWT", TOKEN)
}

/// A server with the entities of both ends.
fn start_openmetadata() -> OpenMetadataServer {
    let server = OpenMetadataServer::start(ServerTraits {
        token: Some(TOKEN.to_owned()),
        ..ServerTraits::default()
    });
    server.add_entity("tables", "dynamo.default.default.orders", &json!({}));
    server.add_entity(
        "containers",
        "s3.lake.clicks",
        &json!({"fullPath": "s3://lake/clicks", "serviceType": "S3"}),
    );
    server
}

#[test]
fn the_vendor_workflow_runs_unchanged() {
    let (amazon, server) = (start_aws_api(sample_account()), start_openmetadata());
    let workflow = write_workflow(&amazon.url(), &server.url());
    let ran = ingest_command(&workflow).run().expect_exit(0);
    let text = stdout_text(&ran);
    assert!(text.contains("Workflow aws_firehose Summary:"), "{text}");
    assert_eq!(server.pipelines(), ["aws_firehose.prod-clicks", "aws_firehose.prod-orders"]);
    let edge = (
        "dynamo.default.default.orders".to_owned(),
        "s3.lake.clicks".to_owned(),
        Some("aws_firehose.prod-clicks".to_owned()),
    );
    assert!(server.edges().contains(&edge), "{:?}\n{text}", server.edges());
    assert_eq!(server.violations(), [""; 0]);
    assert!(!text.contains(TOKEN) && !ran.stderr.contains(TOKEN));

    server.forget_requests();
    ingest_command(&workflow).run().expect_exit(0);
    assert_eq!(server.writes(), [""; 0], "a second run writes nothing");
}

#[test]
fn a_removed_stream_is_marked_and_a_dry_run_only_reports_it() {
    let server = start_openmetadata();
    let all = start_aws_api(sample_account());
    ingest_command(&write_workflow(&all.url(), &server.url())).run().expect_exit(0);
    let mut less = sample_account();
    less.streams.remove("prod-orders");
    let amazon = start_aws_api(less);
    let workflow = write_workflow(&amazon.url(), &server.url());
    server.forget_requests();
    let ran = ingest_command(&workflow).args(["--dry-run"]).run().expect_exit(0);
    assert!(stdout_text(&ran).contains("would be marked as deleted"), "{}", stdout_text(&ran));
    assert_eq!(server.writes(), [""; 0]);
    assert!(!ran.path("standpipe-data/catalog").exists(), "a dry run is not remembered");
    let ran = ingest_command(&workflow).args(["--json"]).run().expect_exit(0);
    assert_eq!(json_of(&ran)["removal"]["pipelines"], json!(["aws_firehose.prod-orders"]));
    assert_eq!(server.pipelines(), ["aws_firehose.prod-clicks"]);
}

#[test]
fn missing_lineage_is_reported_and_fails_in_strict_mode() {
    let amazon = start_aws_api(sample_account());
    let server = OpenMetadataServer::start(ServerTraits {
        token: Some(TOKEN.to_owned()),
        ..ServerTraits::default()
    });
    let workflow = write_workflow(&amazon.url(), &server.url());
    let text = stdout_text(&ingest_command(&workflow).run().expect_exit(0));
    assert!(text.contains("not found") && text.contains("tried"), "{text}");
    ingest_command(&workflow).args(["--strict"]).run().expect_exit(1);
}

#[test]
fn an_unresolved_reference_stops_the_run_before_any_request() {
    let (amazon, server) = (start_aws_api(sample_account()), start_openmetadata());
    let written = write_workflow(&amazon.url(), &server.url());
    let reference = written.replace("\"${OM_JWT}\"", "secret:/om/token");
    let ran = ingest_command(&reference).run().expect_exit(2);
    ran.expect_stderr(&["jwtToken is a reference", "secretsManagerProvider"]);
    assert!(amazon.requests().is_empty() && server.requests().is_empty());

    let refuses =
        Endpoint::start(|_| (400, "{\"__type\":\"ResourceNotFoundException\"}".to_owned()));
    let reference = reference.replace("hostPort:", "secretsManagerProvider: aws\n    hostPort:");
    let ran = ingest_command(&reference)
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", refuses.url())
        .run()
        .expect_exit(1);
    assert!(stdout_text(&ran).contains("/om/token"), "{}", stdout_text(&ran));
    assert!(amazon.requests().is_empty() && server.requests().is_empty());
}

#[test]
fn an_unknown_key_is_reported_with_its_path() {
    let written = write_workflow("http://127.0.0.1:1", "http://127.0.0.1:1/api");
    let ran =
        ingest_command(&written.replace("includeLineage", "includeLinage")).run().expect_exit(2);
    ran.expect_stderr(&[
        "firehose.yaml: line 10",
        "source.sourceConfig.config.includeLinage",
        "`includeLineage`",
    ]);
    let role = written.replace("awsRegion: eu-west-2", "awsRegion: eu-west-2, assumeRoleArn: x");
    ingest_command(&role).run().expect_exit(2).expect_stderr(&["awsConfig: assumeRoleArn"]);
}

#[test]
fn without_a_server_files_are_written() {
    let amazon = start_aws_api(sample_account());
    let lineage = Endpoint::start(|_| (201, String::new()));
    let more = format!(
        "[catalog.files]\njson = \"a.json\"\nsvg = \"a.svg\"\nmermaid = \"a.mmd\"\ndot = \"a.dot\"\n\
         [catalog.openlineage]\nfile = \"a.ndjson\"\nurl = \"{}\"\n",
        lineage.url()
    );
    let ran = catalog_command("ingest")
        .settings(&catalog_settings(&amazon.url(), &more))
        .run()
        .expect_exit(0);
    for file in ["a.json", "a.svg", "a.mmd", "a.dot", "a.ndjson"] {
        assert!(ran.path(file).exists(), "{file}");
    }
    let events = std::fs::read_to_string(ran.path("a.ndjson")).expect("events");
    assert_eq!(events.lines().count(), lineage.requests().len());
    assert!(lineage.requests().iter().all(|asked| asked.line == "POST /api/v1/lineage HTTP/1.1"));
}

#[test]
fn a_server_that_is_down_fails_the_run_and_deletes_nothing() {
    let (amazon, server) = (start_aws_api(sample_account()), start_openmetadata());
    let workflow = write_workflow(&amazon.url(), &server.url());
    server.change_traits(|traits| traits.page = Some("<html>maintenance</html>".to_owned()));
    let ran = ingest_command(&workflow).run().expect_exit(1);
    let text = stdout_text(&ran);
    assert!(text.contains("Aborted: OpenMetadata"), "{text}");
    assert!(text.contains("Workflow Success %: 0.00"), "nothing was written: {text}");
    assert!(server.entities("pipelines").is_empty());
}

/// If a page of the list is rejected, an unknown number of streams is missing.
#[test]
fn an_incomplete_list_fails_the_run() {
    let mut account = sample_account();
    account.page = 1;
    let amazon = Endpoint::start(move |asked| {
        let goes_on = !input_of(asked)["ExclusiveStartDeliveryStreamName"].is_null();
        match operation_of(asked) {
            "ListDeliveryStreams" if goes_on => error_response(400, "AccessDeniedException"),
            _ => account.answer_request(asked),
        }
    });
    let server = start_openmetadata();
    let workflow = write_workflow(&amazon.url(), &server.url());
    let text = stdout_text(&ingest_command(&workflow).run().expect_exit(1));
    assert!(text.contains("the list of delivery streams"), "{text}");
    let source = text.split_once("Source:").unwrap().1.split_once("Sink:").unwrap().0;
    assert!(source.contains("Errors: 1") && !source.contains("100.00"), "{text}");
    let ran = ingest_command(&workflow).args(["--json"]).run().expect_exit(1);
    let judged = json_of(&ran);
    assert_eq!(judged["is_good"], false);
    assert_eq!(judged["steps"][0]["is_cut_off"], true);
    assert!(judged["success_percent"].as_f64().unwrap() < 100.0);
    let lenient = workflow.replace("loggerLevel: INFO", "loggerLevel: INFO\n  raiseOnError: false");
    ingest_command(&lenient).run().expect_exit(0);
}

/// Without access to DynamoDB, the catalog still has the lineage of Kinesis streams.
#[test]
fn without_the_table_lineage_begins_at_the_topic() {
    let amazon = start_aws_api(sample_account());
    let server = OpenMetadataServer::start(ServerTraits {
        token: Some(TOKEN.to_owned()),
        ..ServerTraits::default()
    });
    server.add_entity("topics", "kinesis.clicks", &json!({}));
    server.add_entity(
        "containers",
        "s3.lake.clicks",
        &json!({"fullPath": "s3://lake/clicks", "serviceType": "S3"}),
    );
    let workflow = write_workflow(&amazon.url(), &server.url());
    let text = stdout_text(&ingest_command(&workflow).run().expect_exit(0));
    let edge = (
        "kinesis.clicks".to_owned(),
        "s3.lake.clicks".to_owned(),
        Some("aws_firehose.prod-clicks".to_owned()),
    );
    assert!(server.edges().contains(&edge), "{:?}\n{text}", server.edges());
    assert!(text.contains("table/orders is not in OpenMetadata"), "{text}");
    server.forget_requests();
    ingest_command(&workflow).run().expect_exit(0);
    assert_eq!(server.writes(), [""; 0], "a second run writes nothing");
    // Once the table is known, the lineage starts at the table.
    server.add_entity("tables", "dynamo.default.default.orders", &json!({}));
    ingest_command(&workflow).run().expect_exit(0);
    let edge = ("dynamo.default.default.orders".to_owned(), edge.1, edge.2);
    assert!(server.edges().contains(&edge), "{:?}", server.edges());
}
