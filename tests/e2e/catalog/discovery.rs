//! `list`, `show` and `lineage`.

use standpipe_tests::catalog::{REGION, refusal};
use standpipe_tests::{Endpoint, moto};

use super::{account, amazon, catalog, json_of, settings, stdout};

#[test]
fn streams_are_listed_and_shown() {
    let amazon = amazon(account());
    let settings = settings(&amazon.url(), "exclude = [\"test-\"]\n");
    let ran = catalog("list").settings(&settings).run().exits(0);
    let text = stdout(&ran);
    assert!(text.contains("prod-clicks  ACTIVE  Kinesis clicks  s3://lake/clicks/"), "{text}");
    assert!(
        text.ends_with("2 delivery streams in eu-west-2 of 123456789012; 1 excluded by patterns\n"),
        "{text}"
    );
    assert!(!ran.stderr.contains("host:"), "{}", ran.stderr);

    let ran = catalog("list").settings(&settings).args(["--json"]).run().exits(0);
    assert_eq!(json_of(&ran)["streams"][1]["name"], "prod-orders");

    let ran = catalog("show").args(["prod-clicks"]).settings(&settings).run().exits(0);
    let text = stdout(&ran);
    assert!(
        text.contains("DynamoDB table orders") && text.contains("KinesisStreamAsSource"),
        "{text}"
    );
    let ran = catalog("show").args(["prod-clicks", "--json"]).settings(&settings).run().exits(0);
    assert_eq!(json_of(&ran)["origin"]["kind"], "kinesis");
    let show = |name: &str| catalog("show").args([name]).settings(&settings).run().exits(1);
    show("test-orders").says(&["the patterns of the settings exclude it"]);
    show("nothing").says(&["not found in this region"]);
}

#[test]
fn what_cannot_be_read_is_told_and_no_success() {
    let account = account();
    let amazon = Endpoint::start(move |asked| match asked.body.contains("prod-orders") {
        true => refusal(400, "AccessDeniedException"),
        false => account.answer(asked),
    });
    let ran = catalog("list").settings(&settings(&amazon.url(), "")).run().exits(1);
    assert!(stdout(&ran).contains("2 delivery streams"), "{}", stdout(&ran));
    ran.says(&["failed to describe prod-orders", "AccessDeniedException"]);
}

#[test]
fn lineage_has_every_form() {
    let amazon = amazon(account());
    let settings = settings(&amazon.url(), "");
    for (format, words) in [
        ("text", &["table/orders", "feeds", "delivers to"][..]),
        ("json", &["\"version\": 1", "delivery_stream"]),
        ("svg", &["<svg", "prod-clicks", "</svg>"]),
        ("mermaid", &["flowchart", "prod-clicks"]),
        ("dot", &["digraph", "prod-clicks"]),
        ("openlineage", &["\"eventTime\"", "deliverystream/prod-clicks"]),
    ] {
        let ran = catalog("lineage").args(["--format", format]).settings(&settings).run().exits(0);
        let text = stdout(&ran);
        for word in words {
            assert!(text.contains(word), "{format}: {word}: {text}");
        }
        let ran = catalog("lineage")
            .args(["--format", format, "--output", "out"])
            .settings(&settings)
            .run()
            .exits(0);
        assert!(ran.stdout.is_empty());
        let written = std::fs::read_to_string(ran.path("out")).expect("a file");
        if format != "openlineage" {
            assert_eq!(written, text, "the same streams give the same {format}");
        }
    }
}

#[test]
fn events_of_the_mapping_are_drawn() {
    let amazon = amazon(account());
    let mapping =
        "[[plugin.settings.mappings]]\nevent = \"Order Completed\"\nstream = \"prod-orders\"\n";
    let settings = settings(&amazon.url(), mapping);
    let ran = catalog("lineage").args(["--events"]).settings(&settings).run().exits(0);
    let text = stdout(&ran);
    assert!(text.contains("Order Completed") && text.contains("routed to"), "{text}");
}

#[test]
fn streams_of_moto_are_all_there() {
    let moto = moto::server();
    let names: Vec<_> = (0..120).map(|number| format!("catalog-{number:03}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    moto.create("catalog-lake", &names);
    let settings = settings(moto.url(), "include = [\"catalog-\"]\n").replace(REGION, moto::REGION);
    let ran = catalog("list").args(["--json"]).settings(&settings).run().exits(0);
    let listed = json_of(&ran);
    let streams = listed["streams"].as_array().expect("streams").iter();
    let listed: Vec<_> = streams.map(|stream| stream["name"].as_str().expect("a name")).collect();
    assert_eq!(listed, names);
}
