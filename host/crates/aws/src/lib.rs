//! The configuration of AWS clients: region, credentials, endpoints.
//!
//! Credentials are found once, tested, and renewed before they expire. All clients of an
//! [`AwsAccess`] share them. The crate also contains requests that several other crates need: the
//! description of a delivery stream ([`StreamInspector`]).

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

mod advice;
mod arn;
mod aws_error;
mod caller;
mod clock;
mod credentials;
mod error;
mod fields;
mod firehose;
mod http;
mod invalid_response;
mod json;
pub mod limits;
mod role;
pub mod secret_store;
mod session;
mod settings;
mod status;
mod stream_description;
mod transient;

use advice::is_without_login;
pub use advice::{advice_of_code, advice_of_failure, advice_of_refusal};
pub use arn::Arn;
pub use aws_credential_types::provider::error::CredentialsError;
pub use aws_error::{AwsError, INVALID_RESPONSE, refuses_credentials, truncate_detail};
pub use caller::{CallerError, CallerIdentity};
pub use clock::{AwsClock, is_skewed};
pub use error::{CertificatesError, ConnectError};
pub use fields::JsonFields;
pub use firehose::{StreamInspector, firehose_client, send_with_reader};
pub use http::{
    AwsHttp, ResponseReader, ResponseTooLong, check_ca_bundle, http_client, http_connector,
    read_ca_bundle, read_certificates,
};
pub use invalid_response::{InvalidResponse, ResponseDefect};
pub use json::{JsonClient, JsonService};
pub use role::{AwsRole, IncompleteStsResponse};
pub use session::AwsSession;
pub use settings::{
    AwsOverrides, AwsSettings, Endpoints, RawAws, RawEndpoints, StaticKeys, TransportSettings,
    check_proxy_url, is_role_arn,
};
pub use status::AwsStatus;
pub use stream_description::{
    Destination, DestinationKind, GlueSchema, IndexRotation, Processor, RecordSplit, S3Location,
    SearchEngine, Sink, StreamDescription, StreamOrigin, StreamStatus, TableName, read_description,
};

use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_firehose::config::IdentityCache;

use standpipe_core::error_chain;
use standpipe_core::secret::SecretResolver;

/// Access to AWS with tested credentials.
#[derive(Debug, Clone)]
pub struct AwsAccess {
    /// The configuration from which clients are created.
    pub config: SdkConfig,
    /// The credentials.
    pub session: AwsSession,
    /// The clock for signing requests.
    pub clock: AwsClock,
    /// The region of STS, if it differs from the default region.
    sts_region: Option<String>,
    /// A URL that replaces the endpoint of STS.
    sts_endpoint_url: Option<String>,
    secrets: Arc<dyn SecretResolver>,
}

/// What to do if loading credentials fails for a transient reason, such as an unreachable STS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnreachable {
    /// Return an error.
    Fail,
    /// Log it. The next request for credentials tries again.
    Continue,
}

/// Finds region and credentials, assumes the role if there is one, and tests both once. `secrets`
/// resolves references to secrets.
///
/// # Errors
///
/// Fails if one of them is missing or does not work.
pub async fn connect(
    settings: &AwsSettings,
    http: &AwsHttp,
    secrets: &Arc<dyn SecretResolver>,
    unreached: OnUnreachable,
) -> Result<AwsAccess, ConnectError> {
    let base = connect_base(settings, http, secrets, unreached).await?;
    match &settings.role {
        Some(role) => base.assume(role, unreached).await,
        None => Ok(base),
    }
}

/// Finds region and credentials like [`connect`], but does not assume the role, because several
/// roles can be assumed with these credentials.
///
/// # Errors
///
/// Fails in the same cases as [`connect`].
pub async fn connect_base(
    settings: &AwsSettings,
    http: &AwsHttp,
    secrets: &Arc<dyn SecretResolver>,
    unreached: OnUnreachable,
) -> Result<AwsAccess, ConnectError> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http.client.clone())
        .time_source(http.clock.clone())
        // The session already caches the credentials for all clients and all roles.
        .identity_cache(IdentityCache::no_cache())
        .no_credentials();
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(use_fips) = settings.use_fips {
        loader = loader.use_fips(use_fips);
    }
    if let Some(use_dual_stack) = settings.use_dual_stack {
        loader = loader.use_dual_stack(use_dual_stack);
    }
    let config = loader.load().await;
    if config.region().is_none() {
        return Err(ConnectError::NoRegion);
    }
    let session = credentials::base_session(settings, &config, http, secrets);
    try_session(&session, unreached, |error| ConnectError::no_credentials(settings, error)).await?;
    Ok(AwsAccess {
        config: with_session(&config, &session),
        session,
        clock: http.clock.clone(),
        sts_region: settings.sts_region.clone(),
        sts_endpoint_url: settings.endpoints.sts.clone(),
        secrets: Arc::clone(secrets),
    })
}

impl AwsAccess {
    /// Creates access with a role, which is assumed with these credentials.
    ///
    /// # Errors
    ///
    /// Fails if the role cannot be assumed.
    pub async fn assume(
        &self,
        role: &AwsRole,
        unreached: OnUnreachable,
    ) -> Result<AwsAccess, ConnectError> {
        let session = role::role_session(role, self);
        try_session(&session, unreached, |error| ConnectError::role_failure(role, error)).await?;
        let config = with_session(&self.config, &session);
        Ok(AwsAccess { config, session, ..self.clone() })
    }
}

/// Loads credentials once.
async fn try_session(
    session: &AwsSession,
    unreached: OnUnreachable,
    in_words: impl FnOnce(CredentialsError) -> ConnectError,
) -> Result<(), ConnectError> {
    let Err(error) = session.try_once().await else { return Ok(()) };
    let is_transient = transient::is_transient(&error);
    let error = in_words(error);
    match (is_transient, unreached) {
        (false, _) => Err(error),
        (true, OnUnreachable::Fail) => Err(ConnectError::Transient(Box::new(error))),
        (true, OnUnreachable::Continue) => {
            tracing::warn!("waiting for AWS credentials; nothing is delivered until then: {error}");
            Ok(())
        }
    }
}

fn with_session(config: &SdkConfig, session: &AwsSession) -> SdkConfig {
    let provider = SharedCredentialsProvider::new(session.clone());
    config.to_builder().credentials_provider(provider).build()
}
