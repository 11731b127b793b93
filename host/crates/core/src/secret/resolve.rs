//! The trait that resolves references to secrets, and the error if that fails. Errors contain the
//! names of secrets and never their values.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::{Secret, SecretReference, SecretSetting};

/// The future of a resolved secret.
pub type ResolvingSecret<'a> =
    Pin<Box<dyn Future<Output = Result<Secret, UnresolvedSecret>> + Send + 'a>>;

/// Resolves references with a secret manager.
pub trait SecretResolver: Debug + Send + Sync {
    /// Requests a secret from the manager. Nothing is cached.
    fn resolve<'a>(&'a self, reference: &'a SecretReference) -> ResolvingSecret<'a>;

    /// The time after which a secret is requested again.
    fn refresh(&self) -> Duration;
}

impl dyn SecretResolver + '_ {
    /// Returns the secret of a setting, which is either a value or a reference.
    ///
    /// # Errors
    ///
    /// Fails if the setting is a reference, and its manager does not return the secret.
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
    /// Fails in the same cases as [`resolve_setting`](#method.resolve_setting).
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

/// A secret that could not be resolved. The error contains its name and never its value.
#[derive(Debug, Clone, Error)]
#[error("could not resolve {reference}: {cause}")]
pub struct UnresolvedSecret {
    /// The reference to the secret.
    pub reference: SecretReference,
    /// The reason, and the solution.
    #[source]
    pub cause: Arc<dyn std::error::Error + Send + Sync>,
    /// Whether a later attempt may succeed without a change of settings.
    pub is_transient: bool,
}

/// Replaces a secret manager if none is set. It resolves no references.
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
