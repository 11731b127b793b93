//! Converts `source.serviceConnection.config`: the access to AWS.

use super::section::Section;
use super::source::read_patterns;
use super::{Workflow, WorkflowError};
use standpipe_catalog::discovery::{ServiceUrls, region_of_zone, share_endpoint};

const CONNECTION: &[&str] = &["KinesisFirehose"];
/// The vendor's program uses this name for its sessions.
const SESSION_NAME: &str = "OpenMetadataSession";

impl Workflow {
    pub(super) fn read_connection(&mut self, mut config: Section) -> Result<(), WorkflowError> {
        config.word("type", CONNECTION)?;
        self.aws_config(config.section("awsConfig")?)?;
        self.lineage().messaging_service =
            config.text("messagingServiceName")?.filter(|name| !name.is_empty());
        if let Some((include, exclude)) = read_patterns(&mut config)? {
            (self.catalog().include, self.catalog().exclude) = (include, exclude);
        }
        if config.flag("supportsMetadataExtraction")? == Some(false) {
            return Err(config.error_at_key(
                "supportsMetadataExtraction",
                "the connection is disabled: write true, or omit it",
            ));
        }
        config.end()
    }

    fn aws_config(&mut self, mut config: Section) -> Result<(), WorkflowError> {
        let region = config.required_text("awsRegion", "eu-west-1")?;
        if let Some(whole) = region_of_zone(&region) {
            return Err(config.error_at_key(
                "awsRegion",
                &format!("{region:?} is an availability zone: write its region, {whole}"),
            ));
        }
        let url = config.text("endPointURL")?.filter(|url| !url.is_empty());
        let (urls, warning) = share_endpoint(url.as_deref(), ServiceUrls::default());
        if let Some(warning) = warning {
            self.add_notice(format!("{}: {warning}", config.path_of("endPointURL")));
        }
        let aws = &mut self.settings.aws;
        aws.region = Some(region);
        aws.endpoints.firehose = urls.firehose;
        aws.endpoints.dynamodb = urls.dynamodb;
        aws.endpoints.sts = urls.sts;
        aws.access_key_id = config.text("awsAccessKeyId")?.filter(|id| !id.is_empty());
        let some = |secret: &standpipe_core::secret::Secret| !secret.expose().is_empty();
        aws.secret_access_key = config.secret("awsSecretAccessKey")?.filter(some);
        aws.session_token = config.secret("awsSessionToken")?.filter(some);
        aws.profile = config.text("profileName")?.filter(|name| !name.is_empty());
        let role = config.text("assumeRoleArn")?.filter(|arn| !arn.is_empty());
        let session = config.text("assumeRoleSessionName")?;
        let identity = config.text("assumeRoleSourceIdentity")?.filter(|name| !name.is_empty());
        if role.is_some() {
            aws.session_name = session.or_else(|| Some(SESSION_NAME.to_owned()));
            aws.source_identity = identity;
        }
        aws.role_arn = role;
        self.ignore_key(
            &mut config,
            "enabled",
            "the keys of awsConfig that are set are always used",
        );
        config.end()
    }
}
