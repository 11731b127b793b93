//! Tests OpenMetadata's workflow files: the vendor's example, every key, mistakes with their lines,
//! and environment values that never appear in errors.

use proptest::prelude::*;

use super::*;
use crate::config::Overrides;
use standpipe_aws::secret_store::RawSecrets;

/// The unchanged example of the vendor.
const EXAMPLE: &str = r#"
source:
  type: kinesisfirehose
  serviceName: aws_firehose
  serviceConnection:
    config: {type: KinesisFirehose, awsConfig: {awsRegion: eu-west-1}, messagingServiceName: local_kafka}
  sourceConfig:
    config:
      type: PipelineMetadata
      includeLineage: true
      markDeletedPipelines: true
      pipelineFilterPattern: {includes: ["prod-.*"], excludes: ["test-.*"]}
      lineageInformation: {dbServiceNames: [dynamo, redshift], storageServiceNames: [s3], messagingServiceNames: []}
sink: {type: metadata-rest, config: {}}
workflowConfig:
  loggerLevel: INFO
  openMetadataServerConfig:
    hostPort: http://localhost:8585/api
    authProvider: openmetadata
    securityConfig: {jwtToken: "${OM_JWT}"}
"#;

fn nothing(_: &str) -> Option<String> {
    None
}

fn read(text: &str) -> Result<Workflow, WorkflowError> {
    read_workflow(text, WorkflowFormat::Yaml, nothing)
}

/// The example with one part replaced.
fn changed(from: &str, to: &str) -> Result<Workflow, WorkflowError> {
    assert!(EXAMPLE.contains(from), "{from}");
    read(&EXAMPLE.replace(from, to))
}

fn fails(from: &str, to: &str) -> String {
    changed(from, to).unwrap_err().to_string()
}

fn catalog(workflow: &Workflow) -> &RawCatalog {
    workflow.settings.catalog.as_ref().unwrap()
}

#[test]
fn the_vendors_example_is_taken_as_it_is() {
    let variable = |name: &str| (name == "OM_JWT").then(|| "eyJ".to_owned());
    let workflow = read_workflow(EXAMPLE, WorkflowFormat::Yaml, variable).unwrap();
    assert_eq!(workflow.notices, [""; 0]);
    assert_eq!(workflow.settings.aws.region.as_deref(), Some("eu-west-1"));
    let catalog = catalog(&workflow);
    assert_eq!(catalog.service_name.as_deref(), Some("aws_firehose"));
    assert_eq!(catalog.include, Some(vec!["prod-.*".to_owned()]));
    assert_eq!(catalog.exclude, Some(vec!["test-.*".to_owned()]));
    let lineage = &catalog.lineage;
    assert_eq!(lineage.database_services, Some(vec!["dynamo".to_owned(), "redshift".to_owned()]));
    assert_eq!(lineage.messaging_service.as_deref(), Some("local_kafka"));
    assert_eq!((lineage.include, &lineage.messaging_services), (Some(true), &Some(Vec::new())));
    let server = catalog.openmetadata.as_ref().unwrap();
    assert_eq!(server.url.as_deref(), Some("http://localhost:8585/api"));
    assert_eq!(server.token.as_ref().unwrap().expose(), "eyJ");
    assert_eq!(server.mark_deleted, Some(true));
}

#[test]
fn what_is_not_set_in_the_environment_stays() {
    let workflow = read(EXAMPLE).unwrap();
    let token = catalog(&workflow).openmetadata.as_ref().unwrap().token.clone().unwrap();
    assert_eq!(token.expose(), "${OM_JWT}");
}

#[test]
fn json_says_the_same() {
    let text = r#"{"source": {"type": "KinesisFirehose", "serviceName": "a", "serviceConnection": {"config":
        {"awsConfig": {"awsRegion": "eu-west-1"}}}}, "sink": {"type": "file", "config": {"filename": "out.json"}},
        "workflowConfig": {"successThreshold": 50, "raiseOnError": false}}"#;
    let workflow = read_workflow(text, WorkflowFormat::Json, nothing).unwrap();
    assert_eq!(workflow, read(text).unwrap());
    assert_eq!(catalog(&workflow).files.json, Some("out.json".into()));
    assert_eq!(catalog(&workflow).openmetadata, None);
    let error = read_workflow("{\"a\": secret", WorkflowFormat::Json, nothing).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn every_key_of_the_connection_has_its_meaning() {
    let aws = "awsConfig: {awsRegion: eu-west-1}";
    let all = "awsConfig: {awsRegion: cn-north-1, awsAccessKeyId: AK, awsSecretAccessKey: SK, awsSessionToken: ST, \
        endPointURL: 'http://localhost:4566', profileName: p, assumeRoleArn: 'arn:aws:iam::123456789012:role/r', \
        assumeRoleSourceIdentity: me, enabled: true}";
    let workflow = changed(aws, all).unwrap();
    let aws = &workflow.settings.aws;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    assert_eq!(text(&aws.access_key_id) + &text(&aws.profile), "AKp");
    assert_eq!(text(&aws.session_name) + &text(&aws.source_identity), "OpenMetadataSessionme");
    let url = Some("http://localhost:4566".to_owned());
    assert_eq!([&aws.endpoints.firehose, &aws.endpoints.dynamodb, &aws.endpoints.sts], [&url; 3]);
    assert!(
        workflow.notices[0].contains("awsConfig.enabled has no effect"),
        "{:?}",
        workflow.notices
    );
    let of_firehose =
        "awsConfig: {awsRegion: a, endPointURL: 'https://firehose.us-east-1.amazonaws.com'}";
    let endpoints =
        changed("awsConfig: {awsRegion: eu-west-1}", of_firehose).unwrap().settings.aws.endpoints;
    assert!(
        endpoints.firehose.is_some() && endpoints.dynamodb.is_none() && endpoints.sts.is_none()
    );
}

#[test]
fn older_and_other_places_are_taken_with_a_notice() {
    let older = changed("lineageInformation: {dbServiceNames: [dynamo, redshift], storageServiceNames: [s3], messagingServiceNames: []}", "dbServiceNames: [dynamo]").unwrap();
    assert_eq!(catalog(&older).lineage.database_services, Some(vec!["dynamo".to_owned()]));
    assert!(older.notices[0].contains("lineageInformation"), "{:?}", older.notices);
    let text = EXAMPLE.replace(
        "      pipelineFilterPattern: {includes: [\"prod-.*\"], excludes: [\"test-.*\"]}\n",
        "",
    );
    let text =
        text.replace("messagingServiceName: local_kafka", "pipelineFilterPattern: {includes: [a]}");
    let connection = read(&text).unwrap();
    assert_eq!(catalog(&connection).include, Some(vec!["a".to_owned()]));
    assert!(connection.notices[0].contains("would read all streams"), "{:?}", connection.notices);
}

#[test]
fn what_has_no_meaning_here_is_taken_with_a_notice() {
    let text = format!(
        "{EXAMPLE}processor: {{type: x, config: {{a: [1]}}}}\nstage: {{}}\nbulkSink: {{}}\npipelineRunId: a\n"
    );
    let notices = read(&text).unwrap().notices;
    assert_eq!(notices.len(), 4, "{notices:?}");
    let workflow =
        changed("includeLineage: true", "includeTags: true\n      statusLookbackDays: 1").unwrap();
    assert_eq!(workflow.notices.len(), 2);
}

#[test]
fn unknown_keys_are_told_with_line_and_path() {
    for (from, to, expected) in [
        (
            "includeLineage",
            "includeLinage",
            "line 10: source.sourceConfig.config.includeLinage: this key is unknown: did you mean `includeLineage`?",
        ),
        (
            "awsRegion: eu-west-1",
            "awsRegion: eu-west-1, secret_key: x",
            "source.serviceConnection.config.awsConfig.secret_key",
        ),
        ("sink:", "sinks: 1\nsink:", "line 14: sinks: this key is unknown: did you mean `sink`?"),
        ("config: {}", "config: {batch: 1}", "sink.config.batch"),
        (
            "jwtToken:",
            "token: x, jwtToken:",
            "workflowConfig.openMetadataServerConfig.securityConfig.token",
        ),
        (
            "includes: [",
            "include: [a], includes: [",
            "pipelineFilterPattern.include: this key is unknown",
        ),
    ] {
        assert!(fails(from, to).contains(expected), "{}", fails(from, to));
    }
}

#[test]
fn what_cannot_be_done_is_told() {
    for (from, to, expected) in [
        (
            "type: kinesisfirehose",
            "type: kinesis",
            "source.type: only kinesisfirehose is supported",
        ),
        ("awsRegion: eu-west-1", "awsRegion: eu-west-1a", "write its region, eu-west-1"),
        ("  serviceName: aws_firehose\n", "", "source.serviceName: this is missing"),
        ("8585/api", "8585", "which ends in /api"),
        ("includeLineage: true", "includeLineage: [1]", "write true or false"),
        ("loggerLevel: INFO", "loggerLevel: LOUD", "one of DEBUG, INFO"),
        ("type: metadata-rest", "type: kafka", "write metadata-rest or file"),
        ("loggerLevel: INFO", "successThreshold: 101", "from 0 to 100"),
        ("includes: [\"prod-.*\"]", "includes: a", "write a list"),
    ] {
        assert!(fails(from, to).contains(expected), "{}", fails(from, to));
    }
    let text = EXAMPLE.split("  openMetadataServerConfig").next().unwrap();
    assert!(read(text).unwrap_err().message.contains("openMetadataServerConfig: this is missing"));
}

#[test]
fn references_are_resolved_by_a_manager_or_not_at_all() {
    let (token, host) = ("\"${OM_JWT}\"", "hostPort: http");
    let with = |provider: &str| {
        let text = EXAMPLE.replace(token, "secret:/om/token");
        read(&text.replace(
            host,
            &format!(
                "secretsManagerProvider: {provider}\n    secretsManagerLoader: noop\n    {host}"
            ),
        ))
    };
    for (provider, manager) in [
        ("aws", "aws-secretsmanager"),
        ("managed-aws", "aws-secretsmanager"),
        ("aws-ssm", "aws-ssm"),
    ] {
        assert_eq!(with(provider).unwrap().settings.secrets.manager.as_deref(), Some(manager));
    }
    for provider in ["db", "gcp", "kubernetes", "azure-kv"] {
        let error = with(provider).unwrap_err().to_string();
        assert!(error.contains("jwtToken is a reference") && error.contains("${NAME}"), "{error}");
    }
    let unused = changed(host, &format!("secretsManagerProvider: gcp\n    {host}")).unwrap();
    assert!(unused.notices[0].contains("gcp is not supported"), "{:?}", unused.notices);
    let text = EXAMPLE.replace(
        host,
        &format!("secretsManagerProvider: aws\n    secretsManagerLoader: env\n    {host}"),
    );
    let variable = |name: &str| (name == "AWS_DEFAULT_REGION").then(|| "us-east-2".to_owned());
    let secrets = read_workflow(&text, WorkflowFormat::Yaml, variable).unwrap().settings.secrets;
    let manager = Some("aws-secretsmanager".to_owned());
    assert_eq!(
        secrets,
        RawSecrets { manager, region: Some("us-east-2".to_owned()), ..RawSecrets::default() }
    );
}

#[test]
fn certificates_are_those_that_are_named() {
    let verify = |text: &str| {
        let host = "hostPort: http";
        let workflow = changed(host, &format!("{text}\n    {host}")).unwrap();
        catalog(&workflow).openmetadata.as_ref().unwrap().verify.clone()
    };
    assert_eq!(verify("verifySSL: no-ssl"), None);
    assert_eq!(verify("verifySSL: ignore").as_deref(), Some("nothing"));
    assert_eq!(
        verify("verifySSL: validate\n    sslConfig: {caCertificate: /ca.pem}").as_deref(),
        Some("/ca.pem")
    );
}

#[test]
fn what_the_check_says_is_told_in_the_words_of_the_file() {
    let role = changed("awsRegion: eu-west-1", "awsRegion: eu-west-1, assumeRoleArn: x").unwrap();
    let checked = role.settings.check_catalog(Path::new(""), &Overrides::default());
    let error = translate_to_workflow_keys(&checked.unwrap_err().to_string());
    assert!(error.starts_with("awsConfig: assumeRoleArn \"x\" is not the ARN"), "{error}");
}

#[test]
fn a_form_is_told_by_the_files_name() {
    assert_eq!(WorkflowFormat::of(Path::new("a/b.yml")), Some(WorkflowFormat::Yaml));
    assert_eq!(WorkflowFormat::of(Path::new("b.json")), Some(WorkflowFormat::Json));
    assert_eq!(WorkflowFormat::of(Path::new("b.toml")), None);
    assert_eq!(WorkflowFormat::of(Path::new("yaml")), None);
}

#[test]
fn variables_may_not_make_it_huge() {
    let long = |_: &str| Some("x".repeat(100_000));
    let error = read_workflow(&"$A ".repeat(100), WorkflowFormat::Yaml, long).unwrap_err();
    assert!(error.message.contains("bytes"), "{error}");
}

proptest! {
    #[test]
    fn no_change_of_the_example_makes_it_panic(place in 0..EXAMPLE.len(), length in 0..40_usize, put in "[a-z:{}\\[\\], \n&*\"$-]{0,12}") {
        let mut text = EXAMPLE.to_owned();
        let end = (place + length).min(text.len());
        text.replace_range(place..end, &put);
        let _ = read(&text);
    }

    #[test]
    fn no_json_makes_it_panic(text in "\\PC{0,80}") {
        let _ = read_workflow(&text, WorkflowFormat::Json, nothing);
    }
}

#[test]
fn values_of_the_environment_are_never_shown() {
    for value in [
        "hush4711",
        "a: b\nhush4711: c",
        "x\n    hush4711: y",
        "hush4711\n- [",
        "'hush4711",
        "{hush4711",
        "[a, hush4711",
    ] {
        for text in [
            EXAMPLE.replace("\"${OM_JWT}\"", "${OM_JWT}"),
            EXAMPLE.replace("serviceName: aws_firehose", "serviceName: a\n  ${OM_JWT}: b"),
            EXAMPLE.replace("type: metadata-rest", "type: ${OM_JWT}"),
            EXAMPLE.replace("includeLineage: true", "includeLineage: ${OM_JWT}"),
            EXAMPLE.replace("loggerLevel: INFO", "loggerLevel: ${OM_JWT}"),
        ] {
            let variable = |name: &str| (name == "OM_JWT").then(|| value.to_owned());
            for form in [WorkflowFormat::Yaml, WorkflowFormat::Json] {
                let Err(error) = read_workflow(&text, form, variable) else { continue };
                assert!(!error.to_string().contains("hush4711"), "{value:?}: {error}");
            }
        }
    }
}
