//! The trait by which references become secrets, and why one could not be resolved; secrets are
//! named in errors and never shown.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::{Secret, SecretReference, SecretSetting};

/// A secret on its way.
pub type ResolvingSecret<'a> =
    Pin<Box<dyn Future<Output = Result<Secret, UnresolvedSecret>> + Send + 'a>>;

/// Asks a manager of secrets for what references name.
pub trait SecretResolver: Debug + Send + Sync {
    /// Ask for a secret, every time anew.
    fn resolve<'a>(&'a self, reference: &'a SecretReference) -> ResolvingSecret<'a>;

    /// How long a secret may be used before it is asked for again.
    fn refresh(&self) -> Duration;
}

impl dyn SecretResolver + '_ {
    /// The secret of a setting, however it was written.
    ///
    /// # Errors
    ///
    /// It is a reference, and its manager does not give the secret.
    pub async fn value(&self, setting: &SecretSetting) -> Result<Secret, UnresolvedSecret> {
        match setting {
            SecretSetting::Value(secret) => Ok(secret.clone()),
            SecretSetting::Reference(reference) => self.resolve(reference).await,
        }
    }

    /// The same for a setting that may be missing.
    ///
    /// # Errors
    ///
    /// As for [`value`](#method.value).
    pub async fn optional(
        &self,
        setting: Option<&SecretSetting>,
    ) -> Result<Option<Secret>, UnresolvedSecret> {
        match setting {
            Some(setting) => self.value(setting).await.map(Some),
            None => Ok(None),
        }
    }
}

/// A secret that could not be had. It is named, and never shown.
#[derive(Debug, Clone, Error)]
#[error("the secret {reference} could not be had: {cause}")]
pub struct UnresolvedSecret {
    /// Which one.
    pub reference: SecretReference,
    /// Why, and what to change.
    #[source]
    pub cause: Arc<dyn std::error::Error + Send + Sync>,
    /// Whether it may be had a little later, without anybody changing a setting.
    pub is_transient: bool,
}

/// Where no manager of secrets is set, no reference is resolved.
#[derive(Debug, Clone, Copy, Error)]
#[error("no manager of secrets is set: set `manager` under [secrets]")]
pub struct NoSecretManager;

impl SecretResolver for NoSecretManager {
    fn resolve<'a>(&'a self, reference: &'a SecretReference) -> ResolvingSecret<'a> {
        let (reference, cause) = (reference.clone(), Arc::new(NoSecretManager));
        let unresolved = UnresolvedSecret { reference, cause, is_transient: false };
        Box::pin(std::future::ready(Err(unresolved)))
    }

    fn refresh(&self) -> Duration {
        Duration::MAX
    }
}
