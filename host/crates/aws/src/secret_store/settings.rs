//! Checked settings of secret managers: which one, a prefix of names, and how long a secret is
//! used.

use std::path::PathBuf;
use std::time::Duration;

use crate::AwsSettings;

/// How secrets are managed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretsSettings {
    /// Who keeps them.
    pub manager: Manager,
    /// What stands before each name.
    pub prefix: String,
    /// How long a secret is used before it is asked for again.
    pub refresh: Duration,
}

/// Who keeps secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manager {
    /// AWS Secrets Manager.
    SecretsManager(Box<AwsSettings>),
    /// The parameter store of AWS Systems Manager.
    Parameters(Box<AwsSettings>),
    /// A file for each secret in a directory, as Kubernetes mounts them.
    Files(PathBuf),
    /// Variables of the environment.
    Environment,
}

impl Manager {
    /// The word for it in the settings.
    pub fn name(&self) -> &'static str {
        match self {
            Manager::SecretsManager(_) => "aws-secretsmanager",
            Manager::Parameters(_) => "aws-ssm",
            Manager::Files(_) => "files",
            Manager::Environment => "env",
        }
    }
}
