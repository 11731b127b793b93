//! A ready configuration for AWS clients: region, credentials, endpoints.
//!
//! Nothing here knows what the clients are for.

mod caller;

pub use caller::{Caller, caller};

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls;
use thiserror::Error;

use crate::secret::Secret;

/// The session name under which a role is assumed, unless another is set.
const SESSION_NAME: &str = "standpipe";

/// What is set about AWS. Everything is optional: what is missing is looked for
/// where every AWS SDK looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsSettings {
    /// The region of the delivery streams.
    pub region: Option<String>,
    /// A profile of the shared configuration files.
    pub profile: Option<String>,
    /// Keys that stand in the settings themselves.
    pub keys: Option<Keys>,
    /// A role to assume with whatever credentials there are.
    pub role: Option<Role>,
    /// Where the role is assumed, in place of the region's STS.
    pub sts_endpoint_url: Option<String>,
}

/// Static credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// The session token of temporary credentials.
    pub session_token: Option<Secret>,
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// The external id that its trust policy asks for.
    pub external_id: Option<String>,
    /// The session's name.
    pub session_name: Option<String>,
}

/// AWS cannot be used.
#[derive(Debug, Error)]
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
    /// The role cannot be assumed.
    #[error(
        "the role {arn} could not be assumed: {cause}: check `role_arn` and `external_id` under [aws], and the \
         role's trust policy"
    )]
    Role {
        /// The role.
        arn: String,
        /// Why.
        cause: String,
    },
}

/// Find region and credentials, and try the credentials once.
///
/// # Errors
///
/// One of them is missing, or does not work.
pub async fn connect(settings: &AwsSettings) -> Result<SdkConfig, ConnectError> {
    let base = loader(settings).load().await;
    if base.region().is_none() {
        return Err(ConnectError::NoRegion);
    }
    let base_credentials = base.credentials_provider();
    let base_credentials =
        base_credentials.ok_or_else(|| ConnectError::NoCredentials("no provider".to_owned()))?;
    if let Err(error) = base_credentials.provide_credentials().await {
        return Err(ConnectError::NoCredentials(error_chain(&error)));
    }
    let Some(role) = &settings.role else { return Ok(base) };
    let provider = assume(role, settings, &base).await;
    if let Err(error) = provider.provide_credentials().await {
        return Err(ConnectError::Role { arn: role.arn.clone(), cause: error_chain(&error) });
    }
    Ok(base.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build())
}

fn loader(settings: &AwsSettings) -> ConfigLoader {
    let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    let http = aws_smithy_http_client::Builder::new().tls_provider(tls).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(keys) = &settings.keys {
        let token = keys.session_token.as_ref().map(|token| token.expose().to_owned());
        let secret = keys.secret_access_key.expose();
        loader = loader.credentials_provider(Credentials::new(
            &keys.access_key_id,
            secret,
            token,
            None,
            "standpipe settings",
        ));
    }
    loader
}

async fn assume(role: &Role, settings: &AwsSettings, base: &SdkConfig) -> AssumeRoleProvider {
    let sts = match &settings.sts_endpoint_url {
        Some(url) => base.to_builder().endpoint_url(url).build(),
        None => base.clone(),
    };
    let session_name = role.session_name.as_deref().unwrap_or(SESSION_NAME);
    let mut builder =
        AssumeRoleProvider::builder(&role.arn).configure(&sts).session_name(session_name);
    if let Some(external_id) = &role.external_id {
        builder = builder.external_id(external_id);
    }
    builder.build().await
}

/// An error and its causes, without repeating any.
pub(crate) fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in std::iter::successors(Some(error), |&error| error.source()) {
        let part = cause.to_string();
        if !parts.iter().any(|earlier| earlier.contains(&part)) {
            parts.push(part);
        }
    }
    parts.join(": ")
}
