//! The settings of secret stores: `[secrets]`.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AwsSettings, Endpoints};
use standpipe_core::settings::{SecretManager, TableChecker, is_default};

/// The default of `refresh`.
pub(super) const REFRESH: Duration = Duration::from_secs(5 * 60);

/// The minimum of `refresh`.
const REFRESH_MIN: Duration = Duration::from_secs(1);

/// The maximum of `refresh`.
const REFRESH_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

const MANAGERS: &str = "write \"aws-secretsmanager\", \"aws-ssm\", \"files\" or \"env\"";

/// Where Standpipe reads the secrets that the settings refer to as `secret:NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSecrets {
    /// Manager of the secrets: `"aws-secretsmanager"`, `"aws-ssm"`, `"files"` or `"env"`. Default:
    /// none.
    #[schemars(example = &"aws-secretsmanager")]
    pub manager: Option<String>,
    /// Directory of the files, required with `manager = "files"`. A relative path starts at the
    /// directory of the settings file.
    pub directory: Option<PathBuf>,
    /// Text that Standpipe puts before each NAME. Default: empty.
    pub prefix: Option<String>,
    /// Time after which Standpipe reads a secret again, `"1s"` to `"7d"`. Default: `"5m"`.
    #[schemars(example = &"5m")]
    pub refresh: Option<String>,
    /// Region of AWS Secrets Manager or SSM. Default: the value in `[aws]`.
    pub region: Option<String>,
    /// Profile of the shared AWS configuration files for requests to AWS Secrets Manager or SSM.
    /// Default: as in the AWS SDKs.
    pub profile: Option<String>,
}

/// The checked settings of the secret store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretStoreSettings {
    /// The backend that holds the secrets.
    pub manager: SecretBackend,
    /// The text before each name.
    pub prefix: String,
    /// The time after which a secret is resolved again.
    pub refresh: Duration,
}

/// The backend that holds the secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretBackend {
    /// AWS Secrets Manager.
    SecretsManager(Box<AwsSettings>),
    /// The parameter store of AWS Systems Manager.
    Parameters(Box<AwsSettings>),
    /// A directory with one file for each secret, as Kubernetes mounts them.
    Files(PathBuf),
    /// Environment variables.
    Environment,
}

impl SecretBackend {
    /// The value of `manager` for the backend.
    pub fn name(&self) -> &'static str {
        match self {
            SecretBackend::SecretsManager(_) => "aws-secretsmanager",
            SecretBackend::Parameters(_) => "aws-ssm",
            SecretBackend::Files(_) => "files",
            SecretBackend::Environment => "env",
        }
    }
}

impl RawSecrets {
    /// The kind of manager that resolves references to secrets.
    pub fn secret_manager(&self) -> SecretManager {
        match &self.manager {
            None => SecretManager::None,
            Some(manager) if manager.starts_with("aws-") => SecretManager::Aws,
            Some(_) => SecretManager::Local,
        }
    }

    /// Checks the settings of the secret store. Requests to AWS use the endpoints and the transport
    /// of `aws`, but other credentials.
    pub fn check(
        &self,
        aws: &AwsSettings,
        check: &mut TableChecker<'_>,
    ) -> Option<SecretStoreSettings> {
        let Some(manager) = &self.manager else {
            if !is_default(self) {
                check.add_mistake(format_args!("has no manager: {MANAGERS}"));
            }
            return None;
        };
        let is_of_aws = self.secret_manager() == SecretManager::Aws;
        for (key, value) in [("region", &self.region), ("profile", &self.profile)] {
            if !is_of_aws && value.is_some() {
                check
                    .add_mistake(format_args!("{key} is only used with AWS's managers: remove it"));
            }
        }
        if manager != "files" && self.directory.is_some() {
            check.add_mistake("directory is only used with manager = \"files\": remove it");
        }
        let manager = self.check_manager(manager, aws, check);
        let refresh = self.refresh.as_deref();
        let refresh = check.duration("refresh", refresh, REFRESH, Duration::ZERO..=REFRESH_MAX);
        if refresh < REFRESH_MIN {
            check.add_mistake("refresh is shorter than a second: write \"1s\" or more");
        }
        Some(SecretStoreSettings {
            manager,
            prefix: self.prefix.clone().unwrap_or_default(),
            refresh,
        })
    }

    fn check_manager(
        &self,
        manager: &str,
        aws: &AwsSettings,
        check: &mut TableChecker<'_>,
    ) -> SecretBackend {
        match (manager, &self.directory) {
            ("aws-secretsmanager", _) => SecretBackend::SecretsManager(self.own_aws(aws)),
            ("aws-ssm", _) => SecretBackend::Parameters(self.own_aws(aws)),
            ("env", _) => SecretBackend::Environment,
            ("files", Some(directory)) => SecretBackend::Files(check.path(directory)),
            ("files", None) => {
                check.add_mistake(
                    "manager is \"files\": set directory to the directory of the files",
                );
                SecretBackend::Environment
            }
            (other, _) => {
                check.add_mistake(format_args!("manager is {other:?}: {MANAGERS}"));
                SecretBackend::Environment
            }
        }
    }

    /// Settings for requests to the manager, without the static credentials and the role of
    /// `[aws]`: these may be references that the manager resolves.
    fn own_aws(&self, aws: &AwsSettings) -> Box<AwsSettings> {
        Box::new(AwsSettings {
            region: self.region.clone().or_else(|| aws.region.clone()),
            profile: self.profile.clone(),
            endpoints: Endpoints {
                secretsmanager: aws.endpoints.secretsmanager.clone(),
                ssm: aws.endpoints.ssm.clone(),
                ..Endpoints::default()
            },
            use_fips: aws.use_fips,
            use_dual_stack: aws.use_dual_stack,
            transport: aws.transport.clone(),
            ..AwsSettings::default()
        })
    }
}
