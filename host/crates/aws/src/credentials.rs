//! The sources of credentials before any role: keys in the settings, a named profile, or the
//! default chain of the AWS SDK. Each search starts again, so that rotated shared files are read
//! again.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials};

use super::{AwsHttp, AwsSession, AwsSettings, StaticKeys};
use crate::limits;
use standpipe_core::secret::SecretResolver;

/// The credentials before any role, from the first of these that is set: keys, profile, default
/// chain.
pub(super) fn base_session(
    settings: &AwsSettings,
    config: &SdkConfig,
    http: &AwsHttp,
    secrets: &Arc<dyn SecretResolver>,
) -> AwsSession {
    if let Some(keys) = &settings.keys {
        let reload = secrets.refresh().min(limits::CREDENTIALS_RELOAD);
        let (keys, secrets) = (keys.clone(), Arc::clone(secrets));
        let load = move || load_keys(keys.clone(), Arc::clone(&secrets));
        return AwsSession::new(provide_credentials_fn(load), reload, &http.clock);
    }
    let profile = settings.profile.clone();
    let config = config.clone();
    let shared_http = http.clone();
    let load = move || load_shared(profile.clone(), config.clone(), shared_http.clone());
    AwsSession::new(provide_credentials_fn(load), limits::CREDENTIALS_RELOAD, &http.clock)
}

/// Loads keys in the settings, some of which may be in a secret store.
async fn load_keys(keys: StaticKeys, secrets: Arc<dyn SecretResolver>) -> provider::Result {
    let StaticKeys { access_key_id, secret_access_key, session_token } = &keys;
    let id = secrets.resolve_setting(access_key_id).await;
    let id = id.map_err(CredentialsError::provider_error)?;
    let key = secrets.resolve_setting(secret_access_key).await;
    let key = key.map_err(CredentialsError::provider_error)?;
    let token = secrets.resolve_optional(session_token.as_ref()).await;
    let token = token.map_err(CredentialsError::provider_error)?;
    let token = token.map(|token| token.expose().to_owned());
    Ok(Credentials::new(id.expose(), key.expose(), token, None, "standpipe settings"))
}

/// Loads credentials from a profile in the shared files or, without a profile, from the usual
/// places of AWS SDKs: environment, shared files, web identity, container, instance. For a named
/// profile, that chain would prefer keys in the environment.
async fn load_shared(
    profile: Option<String>,
    sdk_config: SdkConfig,
    http: AwsHttp,
) -> provider::Result {
    let config = provider_config(&sdk_config, http);
    match profile {
        Some(profile) => {
            let builder = ProfileFileCredentialsProvider::builder().profile_name(profile);
            builder.configure(&config).build().provide_credentials().await
        }
        None => {
            let builder = DefaultCredentialsChain::builder().configure(config);
            let chain = builder.region(sdk_config.region().cloned()).build().await;
            chain.provide_credentials().await
        }
    }
}

/// Creates a new configuration for each search: a cached or cloned one has already read the shared
/// files, and would not notice rotated keys.
fn provider_config(config: &SdkConfig, http: AwsHttp) -> ProviderConfig {
    ProviderConfig::without_region()
        .with_region(config.region().cloned())
        .with_use_fips(config.use_fips())
        .with_use_dual_stack(config.use_dual_stack())
        .with_http_client(http.client)
        .with_time_source(http.clock)
}
