//! Tests `list`, `show` and `lineage`.

use standpipe_tests::catalog::{REGION, error_response};
use standpipe_tests::{Endpoint, moto};

use super::{
    catalog_command, catalog_settings, json_of, sample_account, start_aws_api, stdout_text,
};

#[test]
fn streams_are_listed_and_shown() {
    let amazon = start_aws_api(sample_account());
    let settings = catalog_settings(&amazon.url(), "exclude = [\"test-\"]\n");
    let ran = catalog_command("list").settings(&settings).run().expect_exit(0);
    let text = stdout_text(&ran);
    assert!(text.contains("prod-clicks  ACTIVE  Kinesis clicks  s3://lake/clicks/"), "{text}");
    assert!(
        text.ends_with("2 delivery streams in eu-west-2 of 123456789012; 1 excluded by patterns\n"),
        "{text}"
    );
    assert!(!ran.stderr.contains("host:"), "{}", ran.stderr);

    let ran = catalog_command("list").settings(&settings).args(["--json"]).run().expect_exit(0);
    assert_eq!(json_of(&ran)["streams"][1]["name"], "prod-orders");

    let ran =
        catalog_command("show").args(["prod-clicks"]).settings(&settings).run().expect_exit(0);
    let text = stdout_text(&ran);
    assert!(
        text.contains("DynamoDB table orders") && text.contains("KinesisStreamAsSource"),
        "{text}"
    );
    let ran = catalog_command("show")
        .args(["prod-clicks", "--json"])
        .settings(&settings)
        .run()
        .expect_exit(0);
    assert_eq!(json_of(&ran)["origin"]["kind"], "kinesis");
    let show =
        |name: &str| catalog_command("show").args([name]).settings(&settings).run().expect_exit(1);
    show("test-orders").expect_stderr(&["the patterns of the settings exclude it"]);
    show("nothing").expect_stderr(&["not found in this region"]);
}

#[test]
fn unreadable_streams_are_reported_and_fail_the_command() {
    let account = sample_account();
    let amazon = Endpoint::start(move |asked| match asked.body.contains("prod-orders") {
        true => error_response(400, "AccessDeniedException"),
        false => account.answer_request(asked),
    });
    let ran =
        catalog_command("list").settings(&catalog_settings(&amazon.url(), "")).run().expect_exit(1);
    assert!(stdout_text(&ran).contains("2 delivery streams"), "{}", stdout_text(&ran));
    ran.expect_stderr(&["failed to describe prod-orders", "AccessDeniedException"]);
}

#[test]
fn lineage_has_every_form() {
    let amazon = start_aws_api(sample_account());
    let settings = catalog_settings(&amazon.url(), "");
    for (format, words) in [
        ("text", &["table/orders", "feeds", "delivers to"][..]),
        ("json", &["\"version\": 1", "delivery_stream"]),
        ("svg", &["<svg", "prod-clicks", "</svg>"]),
        ("mermaid", &["flowchart", "prod-clicks"]),
        ("dot", &["digraph", "prod-clicks"]),
        ("openlineage", &["\"eventTime\"", "deliverystream/prod-clicks"]),
    ] {
        let ran = catalog_command("lineage")
            .args(["--format", format])
            .settings(&settings)
            .run()
            .expect_exit(0);
        let text = stdout_text(&ran);
        for word in words {
            assert!(text.contains(word), "{format}: {word}: {text}");
        }
        let ran = catalog_command("lineage")
            .args(["--format", format, "--output", "out"])
            .settings(&settings)
            .run()
            .expect_exit(0);
        assert!(ran.stdout.is_empty());
        let written = std::fs::read_to_string(ran.path("out")).expect("a file");
        if format != "openlineage" {
            assert_eq!(written, text, "the same streams give the same {format}");
        }
    }
}

#[test]
fn lineage_includes_events_of_the_mapping() {
    let amazon = start_aws_api(sample_account());
    let mapping =
        "[[plugin.settings.mappings]]\nevent = \"Order Completed\"\nstream = \"prod-orders\"\n";
    let settings = catalog_settings(&amazon.url(), mapping);
    let ran =
        catalog_command("lineage").args(["--events"]).settings(&settings).run().expect_exit(0);
    let text = stdout_text(&ran);
    assert!(text.contains("Order Completed") && text.contains("routed to"), "{text}");
}

#[test]
fn all_streams_of_moto_are_listed() {
    let moto = moto::shared_server();
    let names: Vec<_> = (0..120).map(|number| format!("catalog-{number:03}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    moto.create_streams("catalog-lake", &names);
    let settings =
        catalog_settings(moto.url(), "include = [\"catalog-\"]\n").replace(REGION, moto::REGION);
    let ran = catalog_command("list").args(["--json"]).settings(&settings).run().expect_exit(0);
    let listed = json_of(&ran);
    let streams = listed["streams"].as_array().expect("streams").iter();
    let listed: Vec<_> = streams.map(|stream| stream["name"].as_str().expect("a name")).collect();
    assert_eq!(listed, names);
}
