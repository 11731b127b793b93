use std::error::Error;
use std::path::PathBuf;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use thiserror::Error as ThisError;

use super::{AwsSettings, Role, advice_of_code, advice_of_failure, error_chain};
use crate::secret::Unresolved;

/// AWS cannot be used.
#[derive(Debug, ThisError)]
pub enum ConnectError {
    /// There is no region.
    #[error(
        "no AWS region was found: set `region` under [aws], --region or AWS_REGION; or use --local DIR, which \
         needs none"
    )]
    NoRegion,
    /// There are no credentials.
    #[error(
        "no usable AWS credentials were found: {0}: set `profile`, or `access_key_id` and `secret_access_key`, \
         under [aws], or AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; or use --local DIR, which \
         needs none"
    )]
    NoCredentials(String),
    /// The profile has no credentials.
    #[error(
        "use the profile {profile:?} of the shared files of AWS: {cause}: check `profile` under [aws]"
    )]
    Profile {
        /// The profile.
        profile: String,
        /// Why not.
        cause: String,
    },
    /// The role cannot be assumed.
    #[error("the role {arn} could not be assumed: {cause}: {advice}")]
    Role {
        /// The role.
        arn: String,
        /// Why.
        cause: String,
        /// What to change.
        advice: &'static str,
    },
    /// A secret is not to be had.
    #[error(transparent)]
    Secret(#[from] Unresolved),
    /// The proxy is none. Its URL may hold a password, and is not shown.
    #[error(
        "{} is no URL of a proxy: write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT",
        if *is_set { "`proxy` under [aws]" } else { "HTTPS_PROXY" }
    )]
    Proxy {
        /// Whether it stands in the settings, and not in the environment.
        is_set: bool,
    },
    /// The certificates cannot be used.
    #[error("use the certificates of {}: {problem}: check {place}", path.display())]
    CaBundle {
        /// The file.
        path: PathBuf,
        /// What names it.
        place: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl ConnectError {
    pub(super) fn no_credentials(settings: &AwsSettings, error: &CredentialsError) -> Self {
        if let Some(unresolved) = unresolved(error) {
            return ConnectError::Secret(unresolved);
        }
        // Keys of the settings go before the profile.
        let profile = settings.profile.as_ref().filter(|_| settings.keys.is_none());
        match (profile, error) {
            (Some(profile), CredentialsError::CredentialsNotLoaded(_)) => {
                let cause = "it is not in them, or has no credentials there".to_owned();
                ConnectError::Profile { profile: profile.clone(), cause }
            }
            (Some(profile), error) => {
                ConnectError::Profile { profile: profile.clone(), cause: error_chain(error) }
            }
            (None, error) => ConnectError::NoCredentials(error_chain(error)),
        }
    }

    pub(super) fn role(role: &Role, error: &CredentialsError) -> Self {
        if let Some(unresolved) = unresolved(error) {
            return ConnectError::Secret(unresolved);
        }
        let refusal =
            sources(error).find_map(|source| source.downcast_ref::<SdkError<AssumeRoleError>>());
        let code = refusal.and_then(ProvideErrorMetadata::code);
        let advice = match code {
            // Whatever is wrong with the trust is called so, and nothing else.
            Some("AccessDenied") | None => None,
            Some(code) => advice_of_code(code),
        };
        let unreached = || if code.is_none() { advice_of_unreached(error) } else { None };
        let advice = advice
            .or_else(unreached)
            .unwrap_or("check `role_arn`, `external_id` under [aws], and the role's trust policy");
        ConnectError::Role { arn: role.arn.clone(), cause: error_chain(error), advice }
    }
}

fn unresolved(error: &CredentialsError) -> Option<Unresolved> {
    sources(error).find_map(|source| source.downcast_ref::<Unresolved>()).cloned()
}

fn advice_of_unreached(error: &CredentialsError) -> Option<&'static str> {
    let base = sources(error).skip(1).any(<dyn Error>::is::<CredentialsError>);
    if base {
        return Some(
            "check the credentials that it is assumed with: `profile` or `access_key_id` under [aws]",
        );
    }
    advice_of_failure(error)
}

fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
