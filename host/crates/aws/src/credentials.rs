//! Where credentials come from before any role: keys of the settings, a named profile, or the
//! default chain of the AWS SDK. Every search is made anew, so that rotated shared files are read
//! again.

use std::sync::Arc;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};

use super::{AwsHttp, AwsSettings, Keys, Session};
use crate::limits;
use standpipe_core::secret::SecretResolver;

/// The credentials before any role: the first of keys, profile, and default chain
/// that is set.
pub(super) fn base(
    settings: &AwsSettings,
    config: &SdkConfig,
    http: &AwsHttp,
    secrets: &Arc<dyn SecretResolver>,
) -> Session {
    if let Some(keys) = &settings.keys {
        let reload = secrets.refresh().min(limits::CREDENTIALS_RELOAD);
        let secrets = Arc::clone(secrets);
        return Session::new(KeysSource { keys: keys.clone(), secrets }, reload, &http.clock);
    }
    let surroundings = Surroundings {
        region: config.region().cloned(),
        use_fips: config.use_fips(),
        use_dual_stack: config.use_dual_stack(),
        http: http.clone(),
    };
    let reload = limits::CREDENTIALS_RELOAD;
    match &settings.profile {
        Some(profile) => {
            let profile = profile.clone();
            Session::new(ProfileSource { profile, surroundings }, reload, &http.clock)
        }
        None => Session::new(ChainSource { surroundings }, reload, &http.clock),
    }
}

/// Keys of the settings, some of which may be kept elsewhere.
#[derive(Debug)]
struct KeysSource {
    keys: Keys,
    secrets: Arc<dyn SecretResolver>,
}

/// A profile of the shared files. By its own source, since the default chain
/// would prefer keys of the environment to the profile that was asked for.
#[derive(Debug)]
struct ProfileSource {
    profile: String,
    surroundings: Surroundings,
}

/// Wherever every AWS SDK looks: environment, shared files, web identity,
/// container, instance.
#[derive(Debug)]
struct ChainSource {
    surroundings: Surroundings,
}

/// What a search for credentials needs besides files and environment.
#[derive(Debug)]
struct Surroundings {
    region: Option<Region>,
    use_fips: Option<bool>,
    use_dual_stack: Option<bool>,
    http: AwsHttp,
}

impl KeysSource {
    async fn load(&self) -> provider::Result {
        let Keys { access_key_id, secret_access_key, session_token } = &self.keys;
        let id = self.secrets.value(access_key_id).await;
        let id = id.map_err(CredentialsError::provider_error)?;
        let key = self.secrets.value(secret_access_key).await;
        let key = key.map_err(CredentialsError::provider_error)?;
        let token = self.secrets.optional(session_token.as_ref()).await;
        let token = token.map_err(CredentialsError::provider_error)?;
        let token = token.map(|token| token.expose().to_owned());
        Ok(Credentials::new(id.expose(), key.expose(), token, None, "standpipe settings"))
    }
}

impl ProfileSource {
    async fn load(&self) -> provider::Result {
        let builder = ProfileFileCredentialsProvider::builder().profile_name(&self.profile);
        builder.configure(&self.surroundings.fresh()).build().provide_credentials().await
    }
}

impl ChainSource {
    async fn load(&self) -> provider::Result {
        let builder = DefaultCredentialsChain::builder().configure(self.surroundings.fresh());
        builder.region(self.surroundings.region.clone()).build().await.provide_credentials().await
    }
}

impl Surroundings {
    /// Made anew for each search: what is kept, or only cloned, has read the shared
    /// files once and would not see that they have been rotated.
    fn fresh(&self) -> ProviderConfig {
        ProviderConfig::without_region()
            .with_region(self.region.clone())
            .with_use_fips(self.use_fips)
            .with_use_dual_stack(self.use_dual_stack)
            .with_http_client(self.http.client.clone())
            .with_time_source(self.http.clock.clone())
    }
}

impl ProvideCredentials for KeysSource {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}

impl ProvideCredentials for ProfileSource {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}

impl ProvideCredentials for ChainSource {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}
