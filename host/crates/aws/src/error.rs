//! Why there is no access to AWS, what to change, and whether waiting can help.

use std::env;
use std::error::Error;
use std::io;
use std::path::PathBuf;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use rustls::pki_types::pem;
use thiserror::Error as ThisError;

use super::{
    AwsRole, AwsSettings, advice_of_failure, advice_of_refusal, error_chain, is_skewed,
    is_without_login,
};
use standpipe_core::error_sources;
use standpipe_core::secret::UnresolvedSecret;

/// Certificates cannot be used.
#[derive(Debug, ThisError)]
pub enum CertificatesError {
    /// Their file cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is not in PEM.
    #[error(transparent)]
    Pem(#[from] pem::Error),
    /// One of them is none.
    #[error(transparent)]
    Certificate(#[from] rustls::Error),
    /// It has none.
    #[error("the file has no certificate")]
    None,
}

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
        "no usable AWS credentials were found: {}: set `profile`, or `access_key_id` and `secret_access_key`, \
         under [aws], or AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; or use --local DIR, which \
         needs none",
        error_chain(.0)
    )]
    NoCredentials(#[source] CredentialsError),
    /// Nobody has logged in to IAM Identity Center, or the login has expired.
    #[error(
        "no valid login to AWS IAM Identity Center (SSO): {}: run `aws sso login{}`, and start again",
        error_chain(cause),
        profile.as_ref().map(|profile| format!(" --profile {profile}")).unwrap_or_default()
    )]
    SsoLogin {
        /// The profile, unless it is the default one.
        profile: Option<String>,
        /// What is wrong with the login.
        #[source]
        cause: CredentialsError,
    },
    /// The profile has no credentials.
    #[error(
        "failed to use the profile {profile:?} of the shared AWS files: {}: check `profile` under [aws]",
        profile_problem(cause)
    )]
    Profile {
        /// The profile.
        profile: String,
        /// Why not.
        #[source]
        cause: CredentialsError,
    },
    /// The role cannot be assumed.
    #[error("failed to assume the role {arn}: {}: {advice}", error_chain(cause))]
    Role {
        /// The role.
        arn: String,
        /// Why.
        #[source]
        cause: CredentialsError,
        /// What to change.
        advice: &'static str,
    },
    /// It may work a little later, without anybody changing a setting.
    #[error(transparent)]
    Transient(Box<ConnectError>),
    /// A secret cannot be resolved.
    #[error(transparent)]
    Secret(#[from] UnresolvedSecret),
    /// The proxy is none. Its URL may hold a password, and is not shown.
    #[error(
        "{} is not the URL of a proxy: write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT",
        if *is_set { "`proxy` under [aws]" } else { "HTTPS_PROXY" }
    )]
    Proxy {
        /// Whether it stands in the settings, and not in the environment.
        is_set: bool,
    },
    /// The certificates cannot be used.
    #[error("failed to use the certificates of {}: {problem}: check {place}", path.display())]
    CaBundle {
        /// The file.
        path: PathBuf,
        /// What names it.
        place: &'static str,
        /// What is wrong with it.
        #[source]
        problem: CertificatesError,
    },
}

impl ConnectError {
    /// Whether it may work a little later, without anybody changing a setting.
    pub fn is_transient(&self) -> bool {
        match self {
            ConnectError::Transient(_) => true,
            ConnectError::Secret(unresolved) => unresolved.is_transient,
            _ => false,
        }
    }

    pub(super) fn no_credentials(settings: &AwsSettings, error: CredentialsError) -> Self {
        if let Some(unresolved) = find_unresolved(&error) {
            return ConnectError::Secret(unresolved);
        }
        // Keys of the settings take precedence over the profile.
        let profile = settings.profile.as_ref().filter(|_| settings.keys.is_none());
        if is_without_login(&error) {
            let own = || env::var("AWS_PROFILE").ok().filter(|profile| !profile.is_empty());
            return ConnectError::SsoLogin { profile: profile.cloned().or_else(own), cause: error };
        }
        match profile {
            Some(profile) => ConnectError::Profile { profile: profile.clone(), cause: error },
            None => ConnectError::NoCredentials(error),
        }
    }

    pub(super) fn role_failure(role: &AwsRole, error: CredentialsError) -> Self {
        if let Some(unresolved) = find_unresolved(&error) {
            return ConnectError::Secret(unresolved);
        }
        let refusal = error_sources(&error)
            .find_map(|source| source.downcast_ref::<SdkError<AssumeRoleError>>());
        let code = refusal.and_then(ProvideErrorMetadata::code);
        let message = refusal.and_then(ProvideErrorMetadata::message).unwrap_or_default();
        let is_skewed = refusal.and_then(SdkError::raw_response).is_some_and(is_skewed);
        let advice = match code {
            // Whatever is wrong with the trust is called so, and nothing else.
            Some("AccessDenied") | None => None,
            Some(code) => advice_of_refusal(code, message, is_skewed),
        };
        let unreached = || if code.is_none() { advice_of_unreached(&error) } else { None };
        let advice = advice
            .or_else(unreached)
            .unwrap_or("check `role_arn`, `external_id` under [aws], and the role's trust policy");
        ConnectError::Role { arn: role.arn.clone(), cause: error, advice }
    }
}

/// What is wrong with a profile of the shared files.
pub(super) fn profile_problem(cause: &CredentialsError) -> String {
    match cause {
        CredentialsError::CredentialsNotLoaded(_) => {
            "the profile is unknown, or has no credentials".to_owned()
        }
        cause => error_chain(cause),
    }
}

fn find_unresolved(error: &CredentialsError) -> Option<UnresolvedSecret> {
    error_sources(error).find_map(|source| source.downcast_ref::<UnresolvedSecret>()).cloned()
}

fn advice_of_unreached(error: &CredentialsError) -> Option<&'static str> {
    let base = error_sources(error).skip(1).any(<dyn Error>::is::<CredentialsError>);
    if base {
        return Some(
            "check the credentials that it is assumed with: `profile` or `access_key_id` under [aws]",
        );
    }
    advice_of_failure(error)
}
