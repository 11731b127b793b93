use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_sdk_sts::Client;
use aws_sdk_sts::operation::assume_role::AssumeRoleOutput;
use aws_sdk_sts::types::Tag;

use super::{Session, StsSettings};
use crate::limits;
use crate::secret::{Resolve, SecretSetting};

/// The session name under which a role is assumed, unless another is set.
const SESSION_NAME: &str = "standpipe";

/// A role to assume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// The external id that its trust policy asks for.
    pub external_id: Option<SecretSetting>,
    /// The session's name.
    pub session_name: Option<String>,
    /// Who is behind the session, for CloudTrail.
    pub source_identity: Option<String>,
    /// How long a session lasts; an hour if it is not said.
    pub session_duration: Option<Duration>,
    /// Tags of the session.
    pub session_tags: BTreeMap<String, String>,
}

/// Sessions of a role, begun with the credentials of `base`.
pub(super) fn session(
    role: &Role,
    base: &SdkConfig,
    sts: &StsSettings,
    secrets: &Arc<dyn Resolve>,
) -> Session {
    let client = sts_client(base, sts);
    let source = RoleSource { role: role.clone(), client, secrets: Arc::clone(secrets) };
    Session::new(source, limits::CREDENTIALS_RELOAD)
}

/// STS, wherever the settings have it.
pub(super) fn sts_client(base: &SdkConfig, sts: &StsSettings) -> Client {
    let mut config = aws_sdk_sts::config::Builder::from(base);
    if let Some(region) = &sts.region {
        config = config.region(Region::new(region.clone()));
    }
    if let Some(url) = &sts.endpoint_url {
        config = config.endpoint_url(url);
    }
    Client::from_conf(config.build())
}

/// Asks STS. By hand, since the provider of AWS's own crate knows no source
/// identity, and keeps an external id for ever.
#[derive(Debug)]
struct RoleSource {
    role: Role,
    client: Client,
    secrets: Arc<dyn Resolve>,
}

impl RoleSource {
    async fn assume(&self) -> provider::Result {
        let Role { arn, session_name, source_identity, session_duration, session_tags, .. } =
            &self.role;
        let external_id = self.secrets.optional(self.role.external_id.as_ref()).await;
        let external_id = external_id.map_err(CredentialsError::provider_error)?;
        let seconds = |duration: Duration| i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
        let tags: Vec<_> = session_tags.iter().map(|(key, value)| tag(key, value)).collect();
        let assumed = self
            .client
            .assume_role()
            .role_arn(arn)
            .set_external_id(external_id.map(|id| id.expose().to_owned()))
            .role_session_name(session_name.as_deref().unwrap_or(SESSION_NAME))
            .set_source_identity(source_identity.clone())
            .set_duration_seconds(session_duration.map(seconds))
            .set_tags((!tags.is_empty()).then_some(tags))
            .send()
            .await;
        read(assumed.map_err(CredentialsError::provider_error)?)
    }
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().expect("a key and a value are all it needs")
}

fn read(assumed: AssumeRoleOutput) -> provider::Result {
    let credentials = assumed
        .credentials
        .ok_or_else(|| CredentialsError::unhandled("STS answered without credentials"))?;
    let expiry = SystemTime::try_from(credentials.expiration);
    let expiry =
        expiry.map_err(|_| CredentialsError::unhandled("STS answered without an expiry"))?;
    Ok(Credentials::new(
        credentials.access_key_id,
        credentials.secret_access_key,
        Some(credentials.session_token),
        Some(expiry),
        "AssumeRole",
    ))
}

impl ProvideCredentials for RoleSource {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}
