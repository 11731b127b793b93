//! Checks `[secrets]`, and tells references from secrets that stand in the settings. A reference
//! without a manager is a mistake.

use std::path::Path;
use std::time::Duration;

use super::check::duration;
use super::error::Mistakes;
use super::{ConfigError, RawSecrets};
use standpipe_aws::secret_store::{Manager, SecretsSettings};
use standpipe_aws::{AwsSettings, Endpoints};
use standpipe_core::secret::{Secret, SecretSetting};

const MANAGERS: &str = "write \"aws-secretsmanager\", \"aws-ssm\", \"files\" or \"env\"";
const REFRESH_MIN: Duration = Duration::from_secs(1);
const REFRESH_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Whether secrets can be written as references, which is to be known before any
/// is looked at.
pub(super) struct References {
    manager: Option<String>,
}

impl References {
    pub(super) fn new(secrets: &RawSecrets) -> Self {
        References { manager: secrets.manager.clone() }
    }

    /// Whether the manager is one of AWS's.
    pub(super) fn are_of_aws(&self) -> bool {
        self.manager.as_deref().is_some_and(|manager| manager.starts_with("aws-"))
    }

    /// Tell a reference from a secret that stands in the settings.
    pub(super) fn check(&self, place: &str, written: Secret) -> Result<SecretSetting, ConfigError> {
        let setting = SecretSetting::parse(written)
            .map_err(|error| ConfigError::new(format!("{place} {error}")))?;
        match setting.reference() {
            Some(reference) if self.manager.is_none() => Err(ConfigError::new(format!(
                "{place} is a reference, {reference}, and no manager of secrets is set: set `manager` under \
                 [secrets], or write the secret itself"
            ))),
            _ => Ok(setting),
        }
    }

    pub(super) fn optional(
        &self,
        place: &str,
        written: Option<Secret>,
    ) -> Result<Option<SecretSetting>, ConfigError> {
        written.map(|written| self.check(place, written)).transpose()
    }
}

pub(super) fn check_secrets(
    secrets: RawSecrets,
    aws: &AwsSettings,
    directory: &Path,
) -> Result<Option<SecretsSettings>, ConfigError> {
    let RawSecrets { manager, directory: files, prefix, refresh, region, profile } = secrets;
    let Some(manager) = manager else {
        let is_set = files.is_some() || region.is_some() || profile.is_some();
        return match is_set || prefix.is_some() || refresh.is_some() {
            true => Err(ConfigError::new(format!("[secrets] has no manager: {MANAGERS}"))),
            false => Ok(None),
        };
    };
    let mut mistakes = Mistakes::default();
    let is_of_aws = manager.starts_with("aws-");
    for (key, value) in [("region", &region), ("profile", &profile)] {
        if !is_of_aws && value.is_some() {
            mistakes.add(ConfigError::new(format!(
                "[secrets] {key} has a meaning only with a manager of AWS's: remove it"
            )));
        }
    }
    if manager != "files" && files.is_some() {
        mistakes.add(ConfigError::new(
            "[secrets] directory has a meaning only with manager = \"files\": remove it",
        ));
    }
    // With credentials of its own: the keys and the role of [aws] may be what it
    // is asked for.
    let own_aws = || {
        let (secretsmanager, ssm) =
            (aws.endpoints.secretsmanager.clone(), aws.endpoints.ssm.clone());
        Box::new(AwsSettings {
            region: region.clone().or_else(|| aws.region.clone()),
            profile: profile.clone(),
            endpoints: Endpoints { secretsmanager, ssm, ..Endpoints::default() },
            use_fips: aws.use_fips,
            use_dual_stack: aws.use_dual_stack,
            transport: aws.transport.clone(),
            ..AwsSettings::default()
        })
    };
    let manager = match (manager.as_str(), files) {
        ("aws-secretsmanager", _) => Manager::SecretsManager(own_aws()),
        ("aws-ssm", _) => Manager::Parameters(own_aws()),
        ("env", _) => Manager::Environment,
        ("files", Some(files)) => Manager::Files(directory.join(files)),
        ("files", None) => {
            mistakes.add(ConfigError::new(
                "[secrets] manager is \"files\": set directory to where they are",
            ));
            Manager::Environment
        }
        (other, _) => {
            mistakes.add(ConfigError::new(format!("[secrets] manager is {other:?}: {MANAGERS}")));
            Manager::Environment
        }
    };
    let usual = standpipe_aws::limits::SECRET_REFRESH;
    let refresh = duration("[secrets] refresh", refresh.as_deref(), usual, REFRESH_MAX);
    let refresh = mistakes.or(refresh, usual);
    if refresh < REFRESH_MIN {
        mistakes.add(ConfigError::new("[secrets] refresh is shorter than a second: write more"));
    }
    mistakes.end(Some(SecretsSettings { manager, prefix: prefix.unwrap_or_default(), refresh }))
}
