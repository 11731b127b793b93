//! Why access to AWS failed, what to change, and whether waiting can help.

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

/// Why certificates cannot be used.
#[derive(Debug, ThisError)]
pub enum CertificatesError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The file is not in PEM format.
    #[error(transparent)]
    Pem(#[from] pem::Error),
    /// A certificate is invalid.
    #[error(transparent)]
    Certificate(#[from] rustls::Error),
    /// The file contains no certificate.
    #[error("the file has no certificate")]
    None,
}

/// Why AWS cannot be used.
#[derive(Debug, ThisError)]
pub enum ConnectError {
    /// The region is missing.
    #[error(
        "no AWS region was found: set `region` under [aws], --region or AWS_REGION; or use --local DIR, which \
         needs none"
    )]
    NoRegion,
    /// No credentials were found.
    #[error(
        "no usable AWS credentials were found: {}: set `profile`, or `access_key_id` and `secret_access_key`, \
         under [aws], or AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; or use --local DIR, which \
         needs none",
        error_chain(.0)
    )]
    NoCredentials(#[source] CredentialsError),
    /// There is no login to IAM Identity Center, or it has expired.
    #[error(
        "no valid login to AWS IAM Identity Center (SSO): {}: run `aws sso login{}`, and start again",
        error_chain(cause),
        profile.as_ref().map(|profile| format!(" --profile {profile}")).unwrap_or_default()
    )]
    SsoLogin {
        /// The profile, unless it is the default profile.
        profile: Option<String>,
        /// The problem of the login.
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
        /// The error.
        #[source]
        cause: CredentialsError,
    },
    /// The role cannot be assumed.
    #[error("failed to assume the role {arn}: {}: {advice}", error_chain(cause))]
    Role {
        /// The role.
        arn: String,
        /// The error.
        #[source]
        cause: CredentialsError,
        /// The solution.
        advice: &'static str,
    },
    /// A later attempt may succeed without a change of settings.
    #[error(transparent)]
    Transient(Box<ConnectError>),
    /// A secret cannot be resolved.
    #[error(transparent)]
    Secret(#[from] UnresolvedSecret),
    /// The proxy setting is not a URL. It may contain a password, so it is not shown.
    #[error(
        "{} is not the URL of a proxy: write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT",
        if *is_set { "`proxy` under [aws]" } else { "HTTPS_PROXY" }
    )]
    Proxy {
        /// Whether the proxy is from the settings, and not from the environment.
        is_set: bool,
    },
    /// The certificates cannot be used.
    #[error("failed to use the certificates of {}: {problem}: check {place}", path.display())]
    CaBundle {
        /// The file.
        path: PathBuf,
        /// The setting or variable with the file.
        place: &'static str,
        /// The problem of the file.
        #[source]
        problem: CertificatesError,
    },
}

impl ConnectError {
    /// Whether a later attempt may succeed without a change of settings.
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
        // Keys in the settings override the profile.
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
            // STS reports all problems of the trust policy with this code, and no others.
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

/// The problem of a profile in the shared files.
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
