//! Converts `workflowConfig`: the criteria for a failed run, and the OpenMetadata server.

use super::section::Section;
use super::{Workflow, WorkflowError};
use standpipe_aws::secret_store::RawSecrets;
use standpipe_catalog::RawOpenMetadata;
use standpipe_core::secret::{Secret, SecretSetting};

const LEVELS: &[&str] = &["DEBUG", "INFO", "WARN", "ERROR"];
const VERIFY: &[&str] = &["no-ssl", "ignore", "validate"];
const AUTHENTICATION: &[&str] = &[
    "openmetadata",
    "basic",
    "no-auth",
    "azure",
    "google",
    "okta",
    "auth0",
    "aws-cognito",
    "custom-oidc",
    "ldap",
    "saml",
];
const LOADERS: &[&str] = &["noop", "airflow", "env"];

/// Keys of the server's configuration that only matter for other kinds of workflows.
const MEANINGLESS: &[&str] = &[
    "type",
    "clusterName",
    "includeTopics",
    "includeTables",
    "includeDashboards",
    "includePipelines",
    "includeMlModels",
    "includeUsers",
    "includeTeams",
    "includeGlossaryTerms",
    "includeTags",
    "includePolicy",
    "includeMessagingServices",
    "includeDatabaseServices",
    "includePipelineServices",
    "limitRecords",
    "elasticsSearch",
    "supportsDataInsightExtraction",
];

impl Workflow {
    pub(super) fn workflow_config(
        &mut self,
        mut config: Section,
        needs_server: bool,
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<(), WorkflowError> {
        let level = config.word("loggerLevel", LEVELS)?;
        self.catalog().log_level = level.map(str::to_ascii_lowercase);
        self.catalog().raise_on_error = config.flag("raiseOnError")?;
        self.catalog().success_threshold = config.number("successThreshold", 100)?;
        self.ignore_key(&mut config, "config", "it configures nothing here");
        match config.optional_section("openMetadataServerConfig")? {
            Some(server) => self.read_server(server, needs_server, variable)?,
            None if needs_server => {
                return Err(config.error_at_key(
                    "openMetadataServerConfig",
                    "this is missing: write it with hostPort and securityConfig",
                ));
            }
            None => {}
        }
        if !needs_server {
            self.catalog().openmetadata = None;
        }
        self.check_references(&config)?;
        config.end()
    }

    fn read_server(
        &mut self,
        mut server: Section,
        needs_server: bool,
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<(), WorkflowError> {
        let url = server.required_text("hostPort", "http://localhost:8585/api")?;
        if !url.trim_end_matches('/').ends_with("/api") {
            return Err(server.error_at_key("hostPort", "this must be the address of the API, which ends in /api, such as http://localhost:8585/api"));
        }
        let authentication = server.word("authProvider", AUTHENTICATION)?;
        let mut security = server.section("securityConfig")?;
        let token = security.secret("jwtToken")?.filter(|token| !token.expose().is_empty());
        security.end()?;
        if token.is_none() && needs_server {
            self.add_notice(match authentication {
                Some("no-auth") | None => "requests to the OpenMetadata server carry no token".to_owned(),
                Some(other) => format!(
                    "requests to the OpenMetadata server carry no token: authProvider {other} needs jwtToken under {}",
                    server.path_of("securityConfig")
                ),
            });
        }
        let verify = read_verification(&mut server)?;
        let version = server.text("apiVersion")?;
        let (check_version, store_connection) =
            (server.flag("enableVersionValidation")?, server.flag("storeServiceConnection")?);
        let overwrite = server.flag("forceEntityOverwriting")?;
        let headers = server.section("extraHeaders")?.into_texts()?;
        self.secrets_manager(&mut server, variable)?;
        let ignored = MEANINGLESS.iter().filter(|key| server.take(key).is_some());
        let ignored: Vec<_> = ignored.copied().collect();
        if ignored.iter().any(|key| *key != "type") {
            self.add_notice(format!("{} have no effect on reading pipelines", ignored.join(", ")));
        }
        let known = self.catalog().openmetadata.take().unwrap_or_default();
        self.catalog().openmetadata = Some(RawOpenMetadata {
            url: Some(url),
            token,
            api_version: version,
            verify,
            headers: headers.into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
            check_version,
            store_connection,
            overwrite: overwrite.filter(|overwrite| *overwrite).or(known.overwrite),
            ..known
        });
        server.end()
    }

    fn secrets_manager(
        &mut self,
        server: &mut Section,
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<(), WorkflowError> {
        let loader = server.word("secretsManagerLoader", LOADERS)?;
        let Some(provider) = server.text("secretsManagerProvider")? else { return Ok(()) };
        let manager = match &*provider {
            "db" | "noop" | "" => return Ok(()),
            "aws" | "managed-aws" => "aws-secretsmanager",
            "aws-ssm" | "managed-aws-ssm" => "aws-ssm",
            "azure-kv" | "managed-azure-kv" | "gcp" | "kubernetes" | "in-memory" => {
                self.add_notice(format!(
                    "{} {provider} is not supported",
                    server.path_of("secretsManagerProvider")
                ));
                return Ok(());
            }
            _ => {
                return Err(
                    server.error_at_key("secretsManagerProvider", "write aws, aws-ssm or db")
                );
            }
        };
        let region = (loader == Some("env")).then(|| variable("AWS_DEFAULT_REGION")).flatten();
        self.settings.secrets =
            RawSecrets { manager: Some(manager.to_owned()), region, ..RawSecrets::default() };
        Ok(())
    }

    /// Rejects references to secrets that no manager resolves.
    fn check_references(&self, config: &Section) -> Result<(), WorkflowError> {
        if self.settings.secrets.manager.is_some() {
            return Ok(());
        }
        let server =
            self.settings.catalog.as_ref().and_then(|catalog| catalog.openmetadata.as_ref());
        let aws = &self.settings.aws;
        for (key, secret) in [
            ("awsSecretAccessKey", aws.secret_access_key.as_ref()),
            ("awsSessionToken", aws.session_token.as_ref()),
            ("jwtToken", server.and_then(|server| server.token.as_ref())),
        ] {
            let is_reference = |secret: &Secret| {
                !matches!(SecretSetting::parse(secret.clone()), Ok(SecretSetting::Value(_)))
            };
            if secret.is_some_and(is_reference) {
                return Err(config.error_at_key(
                    "openMetadataServerConfig.secretsManagerProvider",
                    &format!(
                        "{key} is a reference to a secret, and no secret manager that this program \
                         supports is set: write aws (Secrets Manager) or aws-ssm (Systems \
                         Manager); or replace the reference by ${{NAME}}, and put the secret into \
                         that variable of the environment"
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// Reads which certificates are trusted.
fn read_verification(server: &mut Section) -> Result<Option<String>, WorkflowError> {
    let word = server.word("verifySSL", VERIFY)?;
    let mut files = server.section("sslConfig")?;
    let authority = files.text("caCertificate")?.filter(|file| !file.is_empty());
    for key in ["sslCertificate", "sslKey"] {
        if files.take(key).is_some() {
            return Err(files.error_at_key(
                key,
                "certificates of clients are not supported: remove it, and give jwtToken",
            ));
        }
    }
    files.end()?;
    Ok(match (word, authority) {
        (Some("ignore"), _) => Some("nothing".to_owned()),
        (Some("validate"), Some(file)) => Some(file),
        _ => None,
    })
}
