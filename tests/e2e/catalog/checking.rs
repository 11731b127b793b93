//! Tests `check`: each permission separately.

use standpipe_tests::Endpoint;
use standpipe_tests::catalog::{error_response, operation_of};
use standpipe_tests::openmetadata::{OpenMetadataServer, ServerTraits};

use super::{
    catalog_command, catalog_settings, json_of, sample_account, start_aws_api, stdout_text,
};

#[test]
fn everything_that_is_allowed_is_granted() {
    let amazon = start_aws_api(sample_account());
    let server = OpenMetadataServer::start(ServerTraits::default());
    let more =
        format!("service_name = \"a\"\n[catalog.openmetadata]\nurl = \"{}\"\n", server.url());
    let ran = catalog_command("check")
        .settings(&catalog_settings(&amazon.url(), &more))
        .run()
        .expect_exit(0);
    let text = stdout_text(&ran);
    assert_eq!(text.lines().filter(|line| line.starts_with("granted")).count(), 8, "{text}");
    assert_eq!(server.writes(), [""; 0]);
}

#[test]
fn denied_permissions_are_named() {
    for (denied, action, exit) in [
        ("ListDeliveryStreams", "firehose:ListDeliveryStreams", 1),
        ("DescribeDeliveryStream", "firehose:DescribeDeliveryStream", 0),
        ("ListTables", "dynamodb:ListTables", 0),
        ("DescribeKinesisStreamingDestination", "dynamodb:DescribeKinesisStreamingDestination", 0),
    ] {
        let account = sample_account();
        let amazon = Endpoint::start(move |asked| match operation_of(asked) == denied {
            true => error_response(400, "AccessDeniedException"),
            false => account.answer_request(asked),
        });
        let ran = catalog_command("check")
            .args(["--json"])
            .settings(&catalog_settings(&amazon.url(), ""))
            .run();
        let report = json_of(&ran);
        let probes = report["probes"].as_array().expect("probes");
        let probe = probes.iter().find(|probe| probe["action"] == action).expect("the probe");
        assert_eq!(probe["outcome"]["outcome"], "denied", "{report:#}");
        assert_eq!(report["is_good"], exit == 0, "{report:#}");
        ran.expect_exit(exit);
    }
}

#[test]
fn an_address_that_is_not_openmetadata_is_reported() {
    let amazon = start_aws_api(sample_account());
    let page = Some("<html><body>Sign in</body></html>".to_owned());
    let server = OpenMetadataServer::start(ServerTraits { page, ..ServerTraits::default() });
    let more =
        format!("service_name = \"a\"\n[catalog.openmetadata]\nurl = \"{}\"\n", server.url());
    let ran = catalog_command("check")
        .settings(&catalog_settings(&amazon.url(), &more))
        .run()
        .expect_exit(1);
    let text = stdout_text(&ran);
    assert!(text.contains("failed") && text.contains("an HTML page"), "{text}");
}
