//! Assumes a role with STS, with an external id, session tags and a source identity. Rejects
//! incomplete responses, because the SDK would fill in empty texts and the year 1970.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::Region;
use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::Client;
use aws_sdk_sts::operation::assume_role::AssumeRoleOutput;
use aws_sdk_sts::types::{Credentials, Tag};
use thiserror::Error;

use super::{AwsAccess, AwsClock, AwsSession};
use crate::limits;
use standpipe_core::secret::{SecretResolver, SecretSetting};

/// The default name of a role session.
const SESSION_NAME: &str = "standpipe";

/// A role to assume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsRole {
    /// The role's ARN.
    pub arn: String,
    /// The external id that the role's trust policy requires.
    pub external_id: Option<SecretSetting>,
    /// The session's name.
    pub session_name: Option<String>,
    /// The source identity of the session, for CloudTrail.
    pub source_identity: Option<String>,
    /// The duration of a session. Default: one hour.
    pub session_duration: Option<Duration>,
    /// Tags of the session.
    pub session_tags: BTreeMap<String, String>,
}

/// Creates a source of role sessions. It assumes the role with the credentials of `base`.
pub(super) fn role_session(role: &AwsRole, base: &AwsAccess) -> AwsSession {
    let client = sts_client(base);
    let (secrets, clock) = (Arc::clone(&base.secrets), base.clock.clone());
    let source = Arc::new(RoleSource { role: role.clone(), client, secrets, clock });
    let assume = move || Arc::clone(&source).assume();
    AwsSession::new(provide_credentials_fn(assume), limits::CREDENTIALS_RELOAD, &base.clock)
}

/// Creates an STS client for the endpoint in the settings.
pub(super) fn sts_client(access: &AwsAccess) -> Client {
    let mut config = aws_sdk_sts::config::Builder::from(&access.config);
    if let Some(region) = &access.sts_region {
        config = config.region(Region::new(region.clone()));
    }
    if let Some(url) = &access.sts_endpoint_url {
        config = config.endpoint_url(url);
    }
    Client::from_conf(config.build())
}

/// Assumes a role with STS. The SDK's provider is not used: it does not support a source identity,
/// and never reads the external id again.
struct RoleSource {
    role: AwsRole,
    client: Client,
    secrets: Arc<dyn SecretResolver>,
    clock: AwsClock,
}

impl RoleSource {
    async fn assume(self: Arc<Self>) -> provider::Result {
        let AwsRole { arn, session_name, source_identity, session_duration, session_tags, .. } =
            &self.role;
        let external_id = self.secrets.resolve_optional(self.role.external_id.as_ref()).await;
        let external_id = external_id.map_err(CredentialsError::provider_error)?;
        let seconds = |duration: Duration| i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
        let tags: Vec<_> =
            session_tags.iter().map(|(key, value)| session_tag(key, value)).collect();
        let request = self
            .client
            .assume_role()
            .role_arn(arn)
            .set_external_id(external_id.map(|id| id.expose().to_owned()))
            .role_session_name(session_name.as_deref().unwrap_or(SESSION_NAME))
            .set_source_identity(source_identity.clone())
            .set_duration_seconds(session_duration.map(seconds))
            .set_tags((!tags.is_empty()).then_some(tags));
        let correction = self.clock.correction_seconds();
        let assumed = match request.clone().send().await {
            // STS rejected the request because of its time, and the response has just corrected the
            // clock.
            Err(_) if self.clock.correction_seconds() != correction => request.send().await,
            assumed => assumed,
        };
        read_session(assumed.map_err(CredentialsError::provider_error)?)
    }
}

fn session_tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().expect("a key and a value are all it needs")
}

/// Reads the credentials from a response and checks that they are complete. The SDK fills in
/// missing values with empty texts and the year 1970.
fn read_session(assumed: AssumeRoleOutput) -> provider::Result {
    let credentials = assumed.credentials.ok_or(IncompleteStsResponse("Credentials"))?;
    let Credentials { access_key_id, secret_access_key, session_token, expiration, .. } =
        credentials;
    for (text, member) in [
        (&access_key_id, "AccessKeyId"),
        (&secret_access_key, "SecretAccessKey"),
        (&session_token, "SessionToken"),
    ] {
        if text.is_empty() {
            return Err(IncompleteStsResponse(member).into());
        }
    }
    let expiry = SystemTime::try_from(expiration).ok();
    let expiry = expiry.filter(|expiry| *expiry > SystemTime::UNIX_EPOCH);
    let expiry = expiry.ok_or(IncompleteStsResponse("Expiration"))?;
    Ok(aws_credential_types::Credentials::new(
        access_key_id,
        secret_access_key,
        Some(session_token),
        Some(expiry),
        "AssumeRole",
    ))
}

/// An STS response that lacks a required value.
#[derive(Debug, Error)]
#[error(
    "the response has no {0}, so it is not a complete response of STS: check `sts_endpoint_url` under [aws], and the \
     proxies in between"
)]
pub struct IncompleteStsResponse(pub(super) &'static str);

impl From<IncompleteStsResponse> for CredentialsError {
    fn from(incomplete: IncompleteStsResponse) -> Self {
        CredentialsError::provider_error(incomplete)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sts::primitives::DateTime;
    use aws_sdk_sts::types::builders::CredentialsBuilder;

    use super::*;

    fn complete() -> CredentialsBuilder {
        let builder = Credentials::builder().access_key_id("ASIA").secret_access_key("key");
        builder.session_token("token").expiration(DateTime::from_secs(1_900_000_000))
    }

    #[test]
    fn a_session_is_complete_or_none() {
        let read = |credentials: Option<CredentialsBuilder>| {
            let credentials = credentials.map(|builder| builder.build().unwrap());
            read_session(AssumeRoleOutput::builder().set_credentials(credentials).build())
        };
        let session = read(Some(complete())).unwrap();
        assert_eq!((session.access_key_id(), session.session_token()), ("ASIA", Some("token")));
        for (credentials, missing) in [
            (None, "no Credentials"),
            (Some(complete().access_key_id("")), "no AccessKeyId"),
            (Some(complete().secret_access_key("")), "no SecretAccessKey"),
            (Some(complete().session_token("")), "no SessionToken"),
            (Some(complete().expiration(DateTime::from_secs(0))), "no Expiration"),
        ] {
            let error = super::super::error_chain(&read(credentials).unwrap_err());
            assert!(error.contains(missing) && error.contains("`sts_endpoint_url`"), "{error}");
            assert!(!error.contains("token"), "{error}");
        }
    }
}
