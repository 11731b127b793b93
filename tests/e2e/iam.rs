//! Tests IAM policies for the host, and compares them with the results of other programs.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use standpipe_tests::{FinishedRun, Program, linter, misbehaving_plugin, moto};

const ACCOUNT: &[&str] = &["--account", "111122223333"];
const SETTINGS: &str = "
[aws]
region = 'eu-central-1'
role_arn = 'arn:aws:iam::111122223333:role/firehose-writer'
external_id = 'my-workspace'
[delivery]
aggregate = 'auto'
[dead_letters]
stream = 'dead-letters'
[streams.orders]
aggregate = 'off'
[[plugin.settings.mappings]]
event = 'Order Completed'
stream = 'orders'
[[plugin.settings.mappings]]
event = '*'
stream = 'rest'
";
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// The shapes that a policy can have, as arguments after the account.
const SHAPES: &[&[&str]] = &[
    &["--region=us-east-1", "--map=a=orders"],
    &["--region=cn-north-1", "--map=a=orders", "--describe", "--list"],
    &["--region=us-gov-west-1", "--stream=tenant-*", "--stream=orders", "--describe"],
    &["--region=eu-central-1", "--stream=*", "--kms-key", KEY],
    &["--region=eu-central-1", "--catalog"],
    &["--region=cn-northwest-1", "--map=a=orders", "--describe", "--list", "--catalog"],
    &["--region=us-east-1", "--partition=aws-us-gov", "--map=a=orders"],
    &["--config=settings.toml"],
    &["--config=settings.toml", "--base"],
];

#[test]
fn a_policy_covers_the_streams_of_the_mapping() {
    let ran = run_policy(&["--config=settings.toml", "--map=extra=more"]).expect_exit(0);
    let arn =
        |name: &str| format!("arn:aws:firehose:eu-central-1:111122223333:deliverystream/{name}");
    let expected = json!({"Version": "2012-10-17", "Statement": [
        {
            "Sid": "WriteRecords",
            "Effect": "Allow",
            "Action": ["firehose:PutRecord", "firehose:PutRecordBatch"],
            "Resource": (["dead-letters", "more", "orders", "rest"].map(arn)),
        },
        {
            "Sid": "DescribeStreams",
            "Effect": "Allow",
            "Action": ["firehose:DescribeDeliveryStream"],
            "Resource": (["dead-letters", "more", "rest"].map(arn)),
        },
    ]});
    assert_eq!(parse_document(&ran), expected);
    ran.expect_stderr(&["role/firehose-writer", "--base"]);
    let ran = run_policy(&["--stream=s", "--region=made-up", "--partition=aws-cn"]).expect_exit(0);
    assert!(
        stdout_text(&ran).contains("arn:aws-cn:firehose:made-up:111122223333:deliverystream/s")
    );
}

#[test]
fn patterns_of_a_plugin_become_wildcards() {
    let plugin = misbehaving_plugin();
    let settings = "[aws]\nregion = 'us-east-1'\n[streams.tenant-a]\naggregate = 'auto'\n\
                    [streams.elsewhere]\naggregate = 'auto'\n";
    let program = Program::new().args(["iam", "policy"]).args(ACCOUNT).settings(settings);
    let ran = program.args(["--plugin".as_ref(), plugin.as_os_str()]).run().expect_exit(0);
    assert_eq!(statement_streams(&parse_document(&ran), "WriteRecords"), ["good", "tenant-*"]);
    assert_eq!(statement_streams(&parse_document(&ran), "DescribeStreams"), ["tenant-a"]);
}

#[test]
fn linters_find_nothing_in_policies() {
    for shape in SHAPES {
        let text = stdout_text(&run_policy(shape).expect_exit(0));
        assert!(
            linter::lint_policy(&text).is_empty(),
            "{shape:?}: {:?}",
            linter::lint_policy(&text)
        );
        let kept = moto::shared_server().create_iam_document("policy", &text);
        assert_eq!(kept, Ok(serde_json::from_str(&text).unwrap()), "{shape:?}");
    }
}

/// Shows that the linters of the test above find mistakes.
#[test]
fn linters_find_mistakes_in_policies() {
    let good = stdout_text(&run_policy(SHAPES[1]).expect_exit(0));
    for (right, wrong, finding) in [
        ("PutRecordBatch", "PutRecords", "UNKNOWN_ACTION"),
        (":deliverystream/", ":stream/", "RESOURCE_MISMATCH"),
        ("\"*\"", "\"arn:aws:firehose:::x\"", "RESOURCE_MISMATCH"),
    ] {
        let findings = linter::lint_policy(&good.replace(right, wrong));
        assert!(findings.iter().any(|found| found == finding), "{wrong}: {findings:?}");
    }
    for (right, wrong) in
        [("Allow", "Permit"), ("DescribeStreams", "WriteRecords"), ("2012-10-17", "2012")]
    {
        let kept = moto::shared_server().create_iam_document("policy", &good.replace(right, wrong));
        assert!(kept.unwrap_err().contains("MalformedPolicyDocument"), "{wrong}");
    }
}

#[test]
fn terraform_output_matches_the_policy() {
    for shape in SHAPES {
        let made = linter::read_terraform(&stdout_text(
            &run_policy(&[shape, &["--terraform"][..]].concat()).expect_exit(0),
        ));
        assert_eq!(
            made["policies"]["standpipe"],
            parse_document(&run_policy(shape).expect_exit(0)),
            "{shape:?}"
        );
        let attached = &made["resources"]["aws_iam_policy"]["standpipe"]["policy"];
        assert_eq!(attached, "${data.aws_iam_policy_document.standpipe.json}");
    }
}

#[test]
fn roles_of_sources_are_assumed_too() {
    let source = |name: &str, more: &str| {
        format!(
            "[[sources]]\nname = '{name}'\ndialect = 'segment'\nwrite_keys = ['{name}']\nrole_arn = \
             'arn:aws:iam::444455556666:role/{name}'\n{more}"
        )
    };
    let settings = format!("{SETTINGS}{}{}", source("shop", ""), source("app", ""));
    let arns = |document: &Value, sid: &str| {
        let statements = document["Statement"].as_array().unwrap();
        let found = statements.iter().find(|statement| statement["Sid"] == sid);
        found.map(|statement| statement["Resource"].clone()).unwrap_or_default()
    };
    let base = |settings: &str| {
        let program = Program::new().args(["iam", "policy", "--base"]).settings(settings);
        parse_document(&program.run().expect_exit(0))
    };
    let roles = json!([
        "arn:aws:iam::111122223333:role/firehose-writer",
        "arn:aws:iam::444455556666:role/app",
        "arn:aws:iam::444455556666:role/shop",
    ]);
    assert_eq!(arns(&base(&settings), "AssumeRole"), roles);
    // The same without a default role.
    let alone = format!(
        "{}[plugin.settings]\nmappings = [{{ event = '*', stream = 's' }}]\n",
        source("shop", "")
    );
    assert_eq!(arns(&base(&alone), "AssumeRole"), json!(["arn:aws:iam::444455556666:role/shop"]));
    let marked = settings
        .replace("external_id", "session_tags = { a = 'b' }\nsource_identity = 'me'\nexternal_id");
    assert_eq!(arns(&base(&marked), "TagSession"), roles);
    assert_eq!(arns(&base(&marked), "SetSourceIdentity"), roles);
    let marked_base = base(&marked).to_string();
    assert!(
        linter::lint_policy(&marked_base).is_empty(),
        "{:?}",
        linter::lint_policy(&marked_base)
    );

    let trust = Program::new().args(["iam", "trust", "--principal=444455556666"]).settings(&marked);
    let text = stdout_text(&trust.run().expect_exit(0));
    assert!(text.contains("sts:TagSession") && text.contains("sts:SetSourceIdentity"), "{text}");
    assert!(linter::lint_trust_policy(&text).is_empty(), "{:?}", linter::lint_trust_policy(&text));

    let program = Program::new().args(["iam", "policy"]).args(ACCOUNT).settings(&settings);
    program
        .run()
        .expect_exit(0)
        .expect_stderr(&["the source \"shop\" writes with arn:aws:iam::444455556666:role/shop"]);
}

#[test]
fn a_policy_covers_every_resource_that_events_reach() {
    let settings = "[aws]\nregion = 'us-east-1'\n[plugin]\non_failure = 'pass_through'\npass_through_stream = 'raw'\n\
                    [plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]\n[plugin.canary.settings]\n\
                    mappings = [{ event = '*', stream = 'tried' }]\n[plugin.shadow.settings]\n\
                    mappings = [{ event = '*', stream = 'never' }]\n";
    let program = Program::new().args(["iam", "policy"]).args(ACCOUNT).settings(settings);
    let document = parse_document(&program.run().expect_exit(0));
    assert_eq!(statement_streams(&document, "WriteRecords"), ["all", "raw", "tried"]);
}

#[test]
fn trust_policies_name_who_may_assume_the_role() {
    let role = "--principal=arn:aws:iam::777788889999:role/collector";
    let ran =
        run_trust(&["--principal=444455556666", role, "--config=settings.toml"]).expect_exit(0);
    let expected = json!({"Version": "2012-10-17", "Statement": [{
        "Sid": "AssumeRole",
        "Effect": "Allow",
        "Principal": {"AWS": [
            "arn:aws:iam::444455556666:root",
            "arn:aws:iam::777788889999:role/collector",
        ]},
        "Action": ["sts:AssumeRole"],
        "Condition": {"StringEquals": {"sts:ExternalId": ["my-workspace"]}},
    }]});
    assert_eq!(parse_document(&ran), expected);
    assert_eq!(ran.stderr, "");
}

#[test]
fn linters_find_nothing_in_trust_policies() {
    let shapes: &[&[&str]] = &[
        &["--principal=444455556666", "--external-id=two", "--external-id=one"],
        &["--principal=444455556666", "--partition=aws-cn"],
        &["--principal=arn:aws:iam::444455556666:user/a", "--external-id=-x:/y"],
    ];
    for shape in shapes {
        let ran = run_trust(shape).expect_exit(0);
        let has_id = shape.iter().any(|argument| argument.starts_with("--external-id"));
        assert_eq!(ran.stderr.contains("no external id"), !has_id, "{}", ran.stderr);
        let text = stdout_text(&ran);
        assert!(
            linter::lint_trust_policy(&text).is_empty(),
            "{shape:?}: {:?}",
            linter::lint_trust_policy(&text)
        );
        assert_eq!(
            moto::shared_server().create_iam_document("trust", &text),
            Ok(parse_document(&ran)),
            "{shape:?}"
        );
        let wrong = text.replace("sts:AssumeRole", "sts:AssumeAnything");
        assert_eq!(linter::lint_trust_policy(&wrong), ["UNKNOWN_ACTION"]);
        assert!(moto::shared_server().create_iam_document("trust", &wrong).is_err());

        let made = linter::read_terraform(&stdout_text(&run_trust(
            &[shape, &["--terraform"][..]].concat(),
        )));
        assert_eq!(made["policies"]["standpipe_trust"], parse_document(&ran), "{shape:?}");
        let role = &made["resources"]["aws_iam_role"]["standpipe"]["assume_role_policy"];
        assert_eq!(role, "${data.aws_iam_policy_document.standpipe_trust.json}");
    }
}

#[test]
fn long_policies_are_split_on_request() {
    let names: BTreeSet<_> = (0..200).map(|number| format!("app-events-{number}")).collect();
    let arguments: Vec<_> = names.iter().map(|name| format!("--stream={name}")).collect();
    let arguments = || arguments.iter().map(String::as_str).chain(["--region=us-east-1"]);
    let with = |more: &[&'static str]| {
        run_policy(&arguments().chain(more.iter().copied()).collect::<Vec<_>>())
    };

    let ran = with(&[]).expect_exit(2);
    assert!(ran.stdout.is_empty());
    ran.expect_stderr(&["IAM accepts 6144", "--stream 'app-events-*' covers 200 of", "--split"]);
    let ran = with(&["--stream=app-events-*"]).expect_exit(0);
    assert_eq!(statement_streams(&parse_document(&ran), "WriteRecords"), ["app-events-*"]);

    let documents = parse_document(&with(&["--split"]).expect_exit(0));
    let documents = documents.as_array().expect("an array");
    assert_eq!(documents.len(), 3);
    let mut written = Vec::new();
    for document in documents {
        let text = document.to_string();
        assert!(text.len() <= 6144, "{}", text.len());
        assert!(linter::lint_policy(&text).is_empty());
        written.extend(statement_streams(document, "WriteRecords"));
    }
    assert_eq!(written, Vec::from_iter(names));

    let made =
        linter::read_terraform(&stdout_text(&with(&["--split", "--terraform"]).expect_exit(0)));
    for (index, document) in documents.iter().enumerate() {
        let name = format!("standpipe_{}", index + 1);
        assert_eq!(&made["policies"][&name], document);
        let policy = format!("${{data.aws_iam_policy_document.{name}.json}}");
        assert_eq!(made["resources"]["aws_iam_policy"][&name]["policy"], policy);
    }
}

#[test]
fn missing_or_wrong_arguments_are_reported_with_a_fix() {
    let role = "[aws]\nrole_arn = 'arn:aws:iam::111122223333:role/r'\n";
    for (arguments, words) in [
        (&["policy", "--stream=s", "--account=111122223333"][..], "set --region"),
        (&["policy", "--stream=s", "--region=us-east-1"], "set --account"),
        (&["policy", "--stream=s", "--account=1111-2222-3333"], "12 digits"),
        (&["policy", "--stream=a/b"], "1 to 64"),
        (&["policy", "--kms-key=alias/mine"], "key/ID"),
        (&["policy", "--config=role.toml", "--region=us-east-1"], "refuses its settings"),
        (&["policy", "--account=111122223333", "--region=us-east-1"], "no delivery stream"),
        (&["policy", "--account=111122223333", "--region=us-east-1b", "--list"], "us-east-1"),
        (&["policy", "--base"], "role_arn"),
        (&["policy", "--base", "--describe"], "cannot be used with"),
        (&["trust"], "--principal"),
        (&["trust", "--principal=*"], "wildcard"),
        (&["trust", "--principal=firehose.amazonaws.com"], "12 digits of an account"),
        (&["trust", "--principal=111122223333", "--external-id=a b"], "2 to 1224"),
    ] {
        let program = Program::new().file("role.toml", role.as_bytes()).args(["iam"]);
        let ran = program.args(arguments).run().expect_exit(2).expect_stderr(&[words]);
        assert!(ran.stdout.is_empty(), "{arguments:?}");
        assert!(!ran.stderr.contains("a b"), "an external id is shown");
    }
}

#[test]
fn the_documentation_matches_the_output() {
    let page = standpipe_tests::workspace_directory().join("host/docs/iam.md");
    let page = fs::read_to_string(page).unwrap();
    let ran = Program::new().args(["iam", "policy", "--map", "Order Completed=orders"]);
    let ran = ran
        .args(["--map", "*=rest", "--region", "eu-central-1"])
        .args(ACCOUNT)
        .run()
        .expect_exit(0);
    assert!(page.contains(&stdout_text(&ran)), "host/docs/iam.md shows another policy");
    let ran = run_trust(&["--principal=444455556666", "--external-id=shop", "--external-id=blog"]);
    assert!(
        page.contains(&stdout_text(&ran.expect_exit(0))),
        "host/docs/iam.md shows another trust policy"
    );
}

fn run_policy(arguments: &[&str]) -> FinishedRun {
    let program = Program::new().file("settings.toml", SETTINGS.as_bytes());
    program.args(["iam", "policy"]).args(ACCOUNT).args(arguments).run()
}

fn run_trust(arguments: &[&str]) -> FinishedRun {
    let program = Program::new().file("settings.toml", SETTINGS.as_bytes());
    program.args(["iam", "trust"]).args(arguments).run()
}

fn stdout_text(ran: &FinishedRun) -> String {
    String::from_utf8(ran.stdout.clone()).expect("UTF-8")
}

fn parse_document(ran: &FinishedRun) -> Value {
    serde_json::from_slice(&ran.stdout).expect("JSON")
}

/// The stream names in a statement of a document.
fn statement_streams(document: &Value, sid: &str) -> Vec<String> {
    let statements = document["Statement"].as_array().expect("statements");
    let found = statements.iter().find(|statement| statement["Sid"] == sid).expect(sid);
    let resources = found["Resource"].as_array().expect("resources").iter();
    resources
        .map(|arn| {
            arn.as_str().unwrap().split_once(":deliverystream/").expect("a stream").1.to_owned()
        })
        .collect()
}
