//! The trait that turns references into secrets, and the error if that fails. Errors name secrets and
//! never show them.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::{Secret, SecretReference, SecretSetting};

/// A secret that is being resolved.
pub type ResolvingSecret<'a> =
    Pin<Box<dyn Future<Output = Result<Secret, UnresolvedSecret>> + Send + 'a>>;

/// Asks a manager of secrets for what references name.
pub trait SecretResolver: Debug + Send + Sync {
    /// Asks the manager for a secret. Nothing is cached.
    fn resolve<'a>(&'a self, reference: &'a SecretReference) -> ResolvingSecret<'a>;

    /// How long a secret may be used before it is asked for again.
    fn refresh(&self) -> Duration;
}

impl dyn SecretResolver + '_ {
    /// Returns the secret of a setting, whether it is written there or referenced.
    ///
    /// # Errors
    ///
    /// The setting is a reference, and its manager does not return the secret.
    pub async fn resolve_setting(
        &self,
        setting: &SecretSetting,
    ) -> Result<Secret, UnresolvedSecret> {
        match setting {
            SecretSetting::Value(secret) => Ok(secret.clone()),
            SecretSetting::Reference(reference) => self.resolve(reference).await,
        }
    }

    /// Returns the secret of a setting that may be missing.
    ///
    /// # Errors
    ///
    /// As for [`resolve_setting`](#method.resolve_setting).
    pub async fn resolve_optional(
        &self,
        setting: Option<&SecretSetting>,
    ) -> Result<Option<Secret>, UnresolvedSecret> {
        match setting {
            Some(setting) => self.resolve_setting(setting).await.map(Some),
            None => Ok(None),
        }
    }
}

/// A secret that could not be resolved. The error names it and never shows it.
#[derive(Debug, Clone, Error)]
#[error("could not resolve {reference}: {cause}")]
pub struct UnresolvedSecret {
    /// The reference to the secret.
    pub reference: SecretReference,
    /// Why, and what to change.
    #[source]
    pub cause: Arc<dyn std::error::Error + Send + Sync>,
    /// Whether a later try may succeed without a change of the settings.
    pub is_transient: bool,
}

/// Stands for a secret manager where none is set: it resolves no reference.
#[derive(Debug, Clone, Copy, Error)]
#[error("no secret manager is set: set `manager` under [secrets]")]
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
