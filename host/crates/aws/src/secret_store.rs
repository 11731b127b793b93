//! Secret managers, which resolve `secret:NAME` in the settings when the program starts, and at
//! intervals while it runs.
//!
//! If a secret cannot be resolved, the program does not start. Later, it keeps the last known value
//! and logs a warning. The credentials of a manager are never secrets of the same manager.

mod amazon;
mod files;
mod settings;

pub use settings::{RawSecrets, SecretBackend, SecretStoreSettings};

use std::collections::HashMap;
use std::env;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use thiserror::Error;

use crate::error::profile_problem;
use crate::{AwsError, ConnectError, JsonClient, error_chain};
use standpipe_core::secret::{
    ResolvingSecret, Secret, SecretReference, SecretResolver, UnresolvedSecret,
};

/// Maximum bytes of a secret, which is the limit of Secrets Manager. The parameter store's limit is
/// 8 KiB.
const SECRET_BYTES_MAX: u64 = 65536;

/// An open secret manager.
#[derive(Debug)]
pub struct SecretStore {
    keeper: Keeper,
    prefix: String,
    refresh: Duration,
    /// The last known value of each reference.
    last: Mutex<HashMap<SecretReference, Secret>>,
}

#[derive(Debug)]
enum Keeper {
    SecretsManager(Box<JsonClient>),
    Parameters(Box<JsonClient>),
    Files(PathBuf),
    Environment,
}

/// A secret manager cannot be opened.
#[derive(Debug, Error)]
#[error(
    "the secret manager {manager:?}: {}: it is opened with the credentials of `profile` under \
     [secrets] or of AWS's default chain, never with the keys under [aws], which may be stored in \
     it",
    self.problem()
)]
pub struct OpenSecretStoreError {
    manager: &'static str,
    /// Why the manager cannot be reached.
    #[source]
    pub error: ConnectError,
}

/// Why a secret cannot be resolved, and what to change.
#[derive(Debug, Error)]
enum SecretError {
    /// AWS returned an error, or cannot be reached.
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error("it is binary: store it as text")]
    Binary,
    #[error("it is empty")]
    Empty,
    #[error("it has more than {SECRET_BYTES_MAX} bytes")]
    TooLong,
    #[error("it is not a JSON object: remove the part after # from the reference")]
    NotAnObject,
    #[error("it has no text field of that name")]
    NoField,
    #[error("the variable {0} is not set: set it, or check `prefix` under [secrets]")]
    VariableNotSet(String),
    #[error("the variable {0} is not UTF-8")]
    VariableNotUtf8(String),
    #[error(
        "the name leads out of `directory` under [secrets]: remove the / at its start, and each .."
    )]
    OutsideDirectory,
    #[error("failed to read {}: {error}: check `directory` and `prefix` under [secrets]", path.display())]
    File {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("failed to read {}: the file is not UTF-8", .0.display())]
    FileNotUtf8(PathBuf),
}

impl SecretError {
    /// Whether a later attempt may succeed.
    fn is_transient(&self) -> bool {
        // If something other than AWS responded, it will continue to do so.
        matches!(self, SecretError::Aws(error) if error.is_passing && error.code != "InvalidAnswer")
    }
}

impl OpenSecretStoreError {
    /// Whether a later attempt may succeed without a change of settings.
    pub fn is_transient(&self) -> bool {
        self.error.is_transient()
    }

    /// The problem, without advice about [aws] that does not apply here.
    fn problem(&self) -> String {
        let error = match &self.error {
            ConnectError::Transient(error) => error,
            error => error,
        };
        match error {
            ConnectError::Profile { profile, cause } => {
                let cause = profile_problem(cause);
                format!("failed to use the profile {profile:?} of the shared AWS files: {cause}")
            }
            ConnectError::NoCredentials(cause) => {
                format!("no usable AWS credentials were found: {}", error_chain(cause))
            }
            ConnectError::NoRegion => {
                "no AWS region was found: set `region` under [secrets]".to_owned()
            }
            other => other.to_string(),
        }
    }
}

impl SecretStore {
    /// Opens a secret manager, without any request.
    ///
    /// # Errors
    ///
    /// Fails if the manager has no usable credentials, region or proxy.
    pub async fn open(settings: &SecretStoreSettings) -> Result<Self, OpenSecretStoreError> {
        let failed = |error| OpenSecretStoreError { manager: settings.manager.name(), error };
        let keeper = match &settings.manager {
            SecretBackend::SecretsManager(aws) => {
                let url = aws.endpoints.secretsmanager.as_deref();
                let client = amazon::open_client(aws, amazon::SECRETS_MANAGER, url).await;
                Keeper::SecretsManager(Box::new(client.map_err(failed)?))
            }
            SecretBackend::Parameters(aws) => {
                let url = aws.endpoints.ssm.as_deref();
                let client = amazon::open_client(aws, amazon::PARAMETERS, url).await;
                Keeper::Parameters(Box::new(client.map_err(failed)?))
            }
            SecretBackend::Files(directory) => Keeper::Files(directory.clone()),
            SecretBackend::Environment => Keeper::Environment,
        };
        let prefix = settings.prefix.clone();
        Ok(SecretStore { keeper, prefix, refresh: settings.refresh, last: Mutex::default() })
    }

    async fn fetch_secret(&self, reference: &SecretReference) -> Result<Secret, SecretError> {
        let name = format!("{}{}", self.prefix, reference.name());
        let whole = match &self.keeper {
            Keeper::SecretsManager(client) => amazon::secret_value(client, &name).await,
            Keeper::Parameters(client) => amazon::parameter_value(client, &name).await,
            Keeper::Files(directory) => files::read_file(directory, &name),
            Keeper::Environment => environment_secret(&name),
        }?;
        let secret = match reference.field() {
            Some(field) => field_of(&whole, field)?,
            None => whole,
        };
        match secret.expose().len() as u64 {
            0 => Err(SecretError::Empty),
            1..=SECRET_BYTES_MAX => Ok(secret),
            _ => Err(SecretError::TooLong),
        }
    }

    /// Stores a resolved secret, or returns the last known one.
    fn keep_last_known(
        &self,
        reference: &SecretReference,
        found: Result<Secret, SecretError>,
    ) -> Result<Secret, UnresolvedSecret> {
        let mut last = self.last.lock();
        match found {
            Ok(secret) => {
                last.insert(reference.clone(), secret.clone());
                Ok(secret)
            }
            Err(error) => {
                let (is_transient, cause) = (error.is_transient(), Arc::new(error));
                let unresolved =
                    UnresolvedSecret { reference: reference.clone(), cause, is_transient };
                let Some(secret) = last.get(reference) else { return Err(unresolved) };
                tracing::warn!("{unresolved}; keeping the last known value");
                Ok(secret.clone())
            }
        }
    }
}

impl SecretResolver for SecretStore {
    fn resolve<'a>(&'a self, reference: &'a SecretReference) -> ResolvingSecret<'a> {
        Box::pin(async { self.keep_last_known(reference, self.fetch_secret(reference).await) })
    }

    fn refresh(&self) -> Duration {
        self.refresh
    }
}

fn environment_secret(name: &str) -> Result<Secret, SecretError> {
    match env::var(name) {
        Ok(value) => Ok(Secret::new(value)),
        Err(env::VarError::NotPresent) => Err(SecretError::VariableNotSet(name.to_owned())),
        Err(env::VarError::NotUnicode(_)) => Err(SecretError::VariableNotUtf8(name.to_owned())),
    }
}

/// Returns a field of a secret that is a JSON object. The parser's own errors would show parts of
/// the secret.
fn field_of(secret: &Secret, field: &str) -> Result<Secret, SecretError> {
    let object: Option<Value> = serde_json::from_str(secret.expose()).ok();
    let object = object.filter(Value::is_object).ok_or(SecretError::NotAnObject)?;
    let value = object.get(field).and_then(Value::as_str).ok_or(SecretError::NoField)?;
    Ok(Secret::new(value.to_owned()))
}

#[cfg(test)]
mod tests;
