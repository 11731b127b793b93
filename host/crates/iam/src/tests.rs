//! Tests policies and trust documents: the statements for each option, invalid names, the Terraform
//! output, and that a split policy permits the same.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use standpipe_core::event::covers;

fn place(region: &str) -> StreamLocation {
    let region = region.parse().unwrap();
    StreamLocation {
        partition: Partition::of_region(&region),
        region,
        account: "111122223333".parse().unwrap(),
    }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn writer(written: BTreeSet<String>) -> PolicyGrants {
    PolicyGrants {
        place: place("eu-central-1"),
        written,
        described: BTreeSet::new(),
        lists: false,
        catalog: false,
        keys: BTreeSet::new(),
        queue: None,
    }
}

fn value(document: &PolicyDocument) -> Value {
    serde_json::to_value(document).unwrap()
}

fn sids(document: &PolicyDocument) -> Vec<&str> {
    document.statements.iter().map(|statement| statement.sid).collect()
}

fn role(arn: &str) -> AssumedRole {
    AssumedRole { arn: arn.to_owned(), is_tagged: false, has_source_identity: false }
}

#[test]
fn all_roles_may_be_assumed_and_marked_as_they_are() {
    let tagged = AssumedRole { is_tagged: true, ..role("b") };
    let named = AssumedRole { has_source_identity: true, ..role("a") };
    let document = assume_roles_policy([tagged.clone(), named, role("a"), tagged]);
    assert_eq!(sids(&document), ["AssumeRole", "SetSourceIdentity", "TagSession"]);
    let resources: Vec<_> = document.statements.iter().map(|it| it.resources.clone()).collect();
    assert_eq!(resources, [vec!["a", "b"], vec!["a"], vec!["b"]]);
    assert_eq!(sids(&assume_roles_policy([role("a")])), ["AssumeRole"]);
}

#[test]
fn a_writer_may_write_to_its_streams() {
    let document = writer(names(&["rest", "orders", "tenant-*"])).document();
    let expected = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "WriteRecords",
            "Effect": "Allow",
            "Action": ["firehose:PutRecord", "firehose:PutRecordBatch"],
            "Resource": [
                "arn:aws:firehose:eu-central-1:111122223333:deliverystream/orders",
                "arn:aws:firehose:eu-central-1:111122223333:deliverystream/rest",
                "arn:aws:firehose:eu-central-1:111122223333:deliverystream/tenant-*",
            ],
        }],
    });
    assert_eq!(value(&document), expected);
    let text = serde_json::to_string(&document).unwrap();
    assert!(text.starts_with("{\"Version\":"), "{text}");
    assert!(text.contains("{\"Sid\":\"WriteRecords\",\"Effect\":\"Allow\",\"Action\":"), "{text}");
    assert_eq!(document.character_count(), text.len());
}

#[test]
fn what_else_is_wanted_has_statements_of_its_own() {
    let key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let mut grants = writer(names(&["orders", "rest"]));
    grants.described = names(&["rest"]);
    grants.lists = true;
    grants.keys = [key.parse().unwrap()].into();
    let document = grants.document();
    assert_eq!(
        sids(&document),
        ["WriteRecords", "EncryptRecords", "DescribeStreams", "ListStreams"]
    );
    assert_eq!(document.statements[1].actions, ["kms:Decrypt", "kms:GenerateDataKey"]);
    assert_eq!(document.statements[1].resources, [key]);
    let described = &document.statements[2].resources;
    assert_eq!(described, &["arn:aws:firehose:eu-central-1:111122223333:deliverystream/rest"]);
    assert_eq!(document.statements[3].resources, ["*"]);
}

#[test]
fn collectors_send_and_mappers_receive() {
    let policy = |sends, receives, manages| {
        let mut grants = writer(BTreeSet::new());
        let (place, name) = (place("cn-north-1"), "standpipe".to_owned());
        grants.queue = Some(QueueGrants { place, name, sends, receives, manages });
        grants.document()
    };
    let collector = policy(true, false, false);
    assert_eq!(sids(&collector), ["SendMessages"]);
    assert_eq!(collector.statements[0].actions, ["sqs:SendMessage"]);
    let arn = "arn:aws-cn:sqs:cn-north-1:111122223333:standpipe";
    assert_eq!(collector.statements[0].resources, [arn]);
    let mapper = policy(false, true, false);
    assert_eq!(sids(&mapper), ["ReceiveMessages"]);
    assert!(!serde_json::to_string(&mapper).unwrap().contains("SendMessage"));
    assert_eq!(sids(&policy(true, true, true)), ["SendMessages", "ReceiveMessages", "ManageQueue"]);
    assert!(policy(false, false, false).statements.is_empty());
}

#[test]
fn a_catalog_reads_all_and_writes_nothing() {
    let mut grants = writer(BTreeSet::new());
    grants.catalog = true;
    let catalog = ["ListStreams", "CatalogStreams", "ListTables", "CatalogTables"];
    assert_eq!(sids(&grants.document()), catalog);
    assert!(!serde_json::to_string(&grants.document()).unwrap().contains("Put"));

    grants.lists = true;
    grants.described = names(&["orders"]);
    assert_eq!(sids(&grants.document()), catalog, "nothing is allowed twice");
}

#[test]
fn the_region_tells_the_partition() {
    for (region, partition) in [
        ("us-east-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("eusc-de-east-1", "aws-eusc"),
        ("us-iso-east-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
    ] {
        let region: Region = region.parse().unwrap();
        assert_eq!(Partition::of_region(&region).as_str(), partition);
        assert_eq!(partition.parse(), Ok(Partition::of_region(&region)));
    }
    assert_eq!(
        Partition::of_arn("arn:aws-cn:iam::111122223333:role/r").unwrap().as_str(),
        "aws-cn"
    );
    assert_eq!(Partition::of_arn("arn:other:iam::111122223333:role/r"), None);
}

#[test]
fn wrong_names_are_refused_with_what_to_write() {
    let refused = |result: Result<(), InvalidName>, words: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    refused("eu central".parse::<Region>().map(drop), "us-east-1");
    refused("".parse::<Region>().map(drop), "us-east-1");
    refused("eu-central-1a".parse::<Region>().map(drop), "write its region, eu-central-1");
    refused("1111-2222-3333".parse::<AccountId>().map(drop), "12 digits");
    refused("aws-moon".parse::<Partition>().map(drop), "aws-us-gov");
    for key in [
        "1234abcd",
        "arn:aws:kms:eu-central-1:111122223333:alias/a",
        "arn:aws:kms:eu-central-1:111122223333:key/*",
        "arn:aws:s3:eu-central-1:111122223333:key/a",
        "arn:aws:kms:::key/a",
    ] {
        refused(key.parse::<KeyArn>().map(drop), "key/ID");
    }
    for id in ["a", "a b", "ä-ö", &"x".repeat(1225)] {
        let error = id.parse::<ExternalId>().unwrap_err().to_string();
        assert!(error.contains("2 to 1224"), "{error}");
    }
}

#[test]
fn principals_are_accounts_users_roles_and_sessions() {
    for good in [
        "111122223333",
        "arn:aws:iam::111122223333:root",
        "arn:aws-cn:iam::111122223333:role/path/to/name",
        "arn:aws:iam::111122223333:user/some.body@example",
        "arn:aws:sts::111122223333:assumed-role/name/session",
        "arn:aws:sts::111122223333:federated-user/name",
    ] {
        assert!(good.parse::<Principal>().is_ok(), "{good}");
    }
    for bad in [
        "",
        "11112222333",
        "firehose.amazonaws.com",
        "arn:aws:iam::111122223333:group/g",
        "arn:aws:iam::111122223333:role/",
        "arn:aws:iam::1111:role/r",
        "arn:aws:iam:us-east-1:111122223333:role/r",
        "arn:moon:iam::111122223333:role/r",
        "arn:aws:sts::111122223333:assumed-role/name",
        "arn:aws:iam::111122223333:role/${x}",
    ] {
        let error = bad.parse::<Principal>().unwrap_err().to_string();
        assert!(error.contains("arn:aws:iam::ACCOUNT:role/NAME"), "{error}");
    }
    for bad in ["*", "arn:aws:iam::111122223333:role/*"] {
        let error = bad.parse::<Principal>().unwrap_err().to_string();
        assert!(error.contains("wildcard"), "{error}");
    }
}

#[test]
fn trust_names_who_and_the_external_ids() {
    let parse = |text: &&str| text.parse().unwrap();
    let role = "arn:aws-cn:iam::444455556666:role/collector";
    let principals: Vec<Principal> = [role, "444455556666"].iter().map(parse).collect();
    let ids: BTreeSet<ExternalId> =
        ["two", "one", "two"].iter().map(|id| id.parse().unwrap()).collect();
    let china = Partition::of_region(&"cn-north-1".parse().unwrap());
    let expected = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "AssumeRole",
            "Effect": "Allow",
            "Principal": {"AWS": [role, "arn:aws-cn:iam::444455556666:root"]},
            "Action": ["sts:AssumeRole"],
            "Condition": {"StringEquals": {"sts:ExternalId": ["one", "two"]}},
        }],
    });
    assert_eq!(
        value(&trust_policy(&principals, &ids, china, SessionAttributes::default())),
        expected
    );
    let marks = SessionAttributes { are_tagged: true, have_source_identity: true };
    let marked = trust_policy(&principals, &ids, china, marks);
    assert_eq!(sids(&marked), ["AssumeRole", "MarkSession"]);
    assert_eq!(marked.statements[1].actions, ["sts:SetSourceIdentity", "sts:TagSession"]);
    assert_eq!(marked.statements[1].principals, marked.statements[0].principals);
    let open =
        value(&trust_policy(&principals, &BTreeSet::new(), china, SessionAttributes::default()));
    assert_eq!(open["Statement"][0].get("Condition"), None);
}

#[test]
fn an_external_id_is_not_shown() {
    let id: ExternalId = "workspace-7".parse().unwrap();
    assert!(!format!("{id:?}").contains("workspace"));
    assert!(!"work space".parse::<ExternalId>().unwrap_err().to_string().contains("space\""));
}

#[test]
fn names_that_a_pattern_stands_for_need_no_mention() {
    for (pattern, name, covered) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "a", true),
        ("a*a", "a", false),
        ("*", "", true),
        ("a*b*c", "a1b2b3c", true),
        ("a*b*c", "a1c", false),
        ("*-*", "a-b", true),
        ("a**b", "ab", true),
        ("a*", "a*b", true),
        ("a*b", "a*", false),
    ] {
        assert_eq!(covers(pattern, name), covered, "{pattern} {name}");
    }
    let all = names(&["a-1", "a-2", "a-*", "b", "a-*-c"]);
    assert_eq!(remove_covered(all), names(&["a-*", "b"]));
    assert_eq!(remove_covered(names(&["b", "*"])), names(&["*"]));
}

#[test]
fn the_beginning_of_most_names_is_found() {
    let all = names(&["app-eu-1", "app-eu-2", "app-us-1", "other-1", "plain"]);
    assert_eq!(most_common_prefix(&all), Some(("app-", 3)));
    let longer = names(&["app-eu-1", "app-eu-2", "plain"]);
    assert_eq!(most_common_prefix(&longer), Some(("app-eu-", 2)));
    assert_eq!(most_common_prefix(&names(&["a-1", "b-1", "c"])), None);
}

#[test]
fn terraform_has_the_same_in_its_own_words() {
    let document = writer(names(&["orders"])).document();
    let expected = r#"data "aws_iam_policy_document" "standpipe" {
  statement {
    sid    = "WriteRecords"
    effect = "Allow"

    actions = [
      "firehose:PutRecord",
      "firehose:PutRecordBatch",
    ]

    resources = [
      "arn:aws:firehose:eu-central-1:111122223333:deliverystream/orders",
    ]
  }
}

resource "aws_iam_policy" "standpipe" {
  name   = "standpipe"
  policy = data.aws_iam_policy_document.standpipe.json
}
"#;
    assert_eq!(terraform_policies(&[document]), expected);
    let quoted = terraform_role(&assume_roles_policy([role("a\"${b}\\%{c}")]));
    assert!(quoted.contains(r#""a\"$${b}\\%%{c}","#), "{quoted}");
}

proptest! {
    #[test]
    fn a_divided_document_allows_the_same(
        written in prop::collection::btree_set("[a-z]{1,40}", 0..60),
        described in prop::collection::btree_set("[a-z]{1,40}", 0..60),
        lists: bool,
        chars_max in 400_usize..3000,
    ) {
        let grants = PolicyGrants { described, lists, ..writer(written) };
        let whole = grants.document();
        let parts = split_document(&whole, chars_max);
        let allowed = |documents: &[PolicyDocument]| -> Vec<_> {
            let statements = documents.iter().flat_map(|document| &document.statements);
            statements
                .flat_map(|one| one.resources.iter().map(|on| (one.sid, one.actions.clone(), on.clone())))
                .collect()
        };
        prop_assert_eq!(allowed(&parts), allowed(&[whole]));
        for part in &parts {
            prop_assert!(part.character_count() <= chars_max, "{} characters", part.character_count());
            let sids: BTreeSet<_> = sids(part).into_iter().collect();
            prop_assert_eq!(sids.len(), part.statements.len());
        }
        for pair in parts.windows(2) {
            let next = &pair[1].statements[0];
            let resource = next.resources[0].clone();
            let mut longer = pair[0].clone();
            match longer.statements.last_mut() {
                Some(last) if last.sid == next.sid => last.resources.push(resource),
                _ => longer.statements.push(PolicyStatement { resources: vec![resource], ..next.clone() }),
            }
            prop_assert!(longer.character_count() > chars_max, "one more would have fitted");
        }
    }

    #[test]
    fn no_name_makes_parsing_panic(text in "\\PC*|arn:aws:(iam|sts|kms):[a-z0-9-]*:[0-9]*:[a-z/*]*") {
        let _ = text.parse::<Principal>();
        let _ = text.parse::<KeyArn>();
        let _ = text.parse::<Region>();
        let _ = text.parse::<AccountId>();
        let _ = text.parse::<Partition>();
        let _ = text.parse::<ExternalId>();
        let _ = AccountId::of_arn(&text);
        let _ = Partition::of_arn(&text);
    }

    /// The definition of a pattern in its simplest form.
    #[test]
    fn covering_agrees_with_its_definition(pattern in "[ab*]{0,8}", name in "[ab*]{0,10}") {
        prop_assert_eq!(covers(&pattern, &name), fits(pattern.as_bytes(), name.as_bytes()));
    }
}

fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match pattern {
        [] => name.is_empty(),
        [b'*', rest @ ..] => (0..=name.len()).any(|skipped| fits(rest, &name[skipped..])),
        [first, rest @ ..] => name.first() == Some(first) && fits(rest, &name[1..]),
    }
}
