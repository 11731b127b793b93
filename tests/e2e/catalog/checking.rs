//! `check`: each permission on its own.

use standpipe_tests::Endpoint;
use standpipe_tests::catalog::{operation, refusal};
use standpipe_tests::openmetadata::{OpenMetadataServer, Traits};

use super::{account, amazon, catalog, json_of, settings, stdout};

#[test]
fn everything_that_is_allowed_is_granted() {
    let amazon = amazon(account());
    let server = OpenMetadataServer::start(Traits::default());
    let more =
        format!("service_name = \"a\"\n[catalog.openmetadata]\nurl = \"{}\"\n", server.url());
    let ran = catalog("check").settings(&settings(&amazon.url(), &more)).run().exits(0);
    let text = stdout(&ran);
    assert_eq!(text.lines().filter(|line| line.starts_with("granted")).count(), 8, "{text}");
    assert_eq!(server.writes(), [""; 0]);
}

#[test]
fn what_is_denied_is_named() {
    for (denied, action, exit) in [
        ("ListDeliveryStreams", "firehose:ListDeliveryStreams", 1),
        ("DescribeDeliveryStream", "firehose:DescribeDeliveryStream", 0),
        ("ListTables", "dynamodb:ListTables", 0),
        ("DescribeKinesisStreamingDestination", "dynamodb:DescribeKinesisStreamingDestination", 0),
    ] {
        let account = account();
        let amazon = Endpoint::start(move |asked| match operation(asked) == denied {
            true => refusal(400, "AccessDeniedException"),
            false => account.answer(asked),
        });
        let ran = catalog("check").args(["--json"]).settings(&settings(&amazon.url(), "")).run();
        let told = json_of(&ran);
        let probes = told["probes"].as_array().expect("probes");
        let probe = probes.iter().find(|probe| probe["action"] == action).expect("the probe");
        assert_eq!(probe["outcome"]["outcome"], "denied", "{told:#}");
        assert_eq!(told["is_good"], exit == 0, "{told:#}");
        ran.exits(exit);
    }
}

#[test]
fn an_openmetadata_that_is_none_is_told() {
    let amazon = amazon(account());
    let page = Some("<html><body>Sign in</body></html>".to_owned());
    let server = OpenMetadataServer::start(Traits { page, ..Traits::default() });
    let more =
        format!("service_name = \"a\"\n[catalog.openmetadata]\nurl = \"{}\"\n", server.url());
    let ran = catalog("check").settings(&settings(&amazon.url(), &more)).run().exits(1);
    let text = stdout(&ran);
    assert!(text.contains("failed") && text.contains("an HTML page"), "{text}");
}
