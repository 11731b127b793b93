//! Managers of secrets: what `secret:NAME` in the settings stands for is asked of
//! them, when the program starts and now and then while it runs.
//!
//! A secret that cannot be had stops the start; later on the one that was had
//! before is used on, and a warning tells of it. What a manager itself is reached
//! with is never a secret that it keeps.

mod amazon;
mod files;
mod settings;

pub use settings::{Manager, RawSecrets, SecretsSettings};

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
use crate::{AwsError, ConnectError, error_chain};
use amazon::{Parameters, SecretsManager};
use standpipe_core::secret::{
    ResolvingSecret, Secret, SecretReference, SecretResolver, UnresolvedSecret,
};

/// Bytes of a secret: the most that Secrets Manager keeps. The parameter store keeps 8 KiB at most.
const SECRET_BYTES_MAX: u64 = 65536;

/// A manager of secrets at work.
#[derive(Debug)]
pub struct Secrets {
    keeper: Keeper,
    prefix: String,
    refresh: Duration,
    /// What each reference stood for when it was asked for last.
    last: Mutex<HashMap<SecretReference, Secret>>,
}

#[derive(Debug)]
enum Keeper {
    SecretsManager(Box<SecretsManager>),
    Parameters(Box<Parameters>),
    Files(files::Files),
    Environment,
}

/// A manager of secrets cannot be asked.
#[derive(Debug, Error)]
#[error(
    "the manager of secrets, {manager:?}: {}: it is asked with the credentials of `profile` under [secrets], or \
     of AWS's default chain, and never with the keys under [aws], which it may keep itself",
    self.problem()
)]
pub struct OpenSecretsError {
    manager: &'static str,
    /// Why there is no way to it.
    #[source]
    pub error: ConnectError,
}

/// A secret that a manager does not give, and what to change.
#[derive(Debug, Error)]
enum SecretError {
    /// AWS refuses, or is not reached.
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error("it is binary, and must be text")]
    Binary,
    #[error("it is empty")]
    Empty,
    #[error("it has more than {SECRET_BYTES_MAX} bytes")]
    TooLong,
    #[error("it is no JSON object, so remove what stands after # in the reference")]
    NotAnObject,
    #[error("it has no such field, or one that is no string")]
    NoField,
    #[error("the variable {0} is not set: set it, or check `prefix` under [secrets]")]
    VariableNotSet(String),
    #[error("the variable {0} is not UTF-8")]
    VariableNotUtf8(String),
    #[error(
        "the name leaves `directory` under [secrets]: write one without / at its start and without .."
    )]
    OutsideDirectory,
    #[error("read {}: {error}: check `directory` and `prefix` under [secrets]", path.display())]
    File {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("read {}: the file is not UTF-8", .0.display())]
    FileNotUtf8(PathBuf),
}

impl SecretError {
    /// Whether the manager may give it a little later.
    fn is_transient(&self) -> bool {
        // What answers with something else than AWS will go on doing so.
        matches!(self, SecretError::Aws(error) if error.is_passing && error.code != "InvalidAnswer")
    }
}

impl OpenSecretsError {
    fn new(manager: &Manager, error: ConnectError) -> Self {
        OpenSecretsError { manager: manager.name(), error }
    }

    /// Whether it may be asked a little later, without anybody changing a setting.
    pub fn is_transient(&self) -> bool {
        self.error.is_transient()
    }

    /// What is wrong, without what does not hold here: what it says of [aws].
    fn problem(&self) -> String {
        let error = match &self.error {
            ConnectError::Transient(error) => error,
            error => error,
        };
        match error {
            ConnectError::Profile { profile, cause } => {
                let cause = profile_problem(cause);
                format!("use the profile {profile:?} of the shared files of AWS: {cause}")
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

impl Secrets {
    /// Be ready to ask a manager. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// There is no way to it.
    pub async fn open(settings: &SecretsSettings) -> Result<Self, OpenSecretsError> {
        let failed = |error| OpenSecretsError::new(&settings.manager, error);
        let keeper = match &settings.manager {
            Manager::SecretsManager(aws) => {
                Keeper::SecretsManager(Box::new(SecretsManager::open(aws).await.map_err(failed)?))
            }
            Manager::Parameters(aws) => {
                Keeper::Parameters(Box::new(Parameters::open(aws).await.map_err(failed)?))
            }
            Manager::Files(directory) => Keeper::Files(files::Files::new(directory.clone())),
            Manager::Environment => Keeper::Environment,
        };
        let SecretsSettings { prefix, refresh, .. } = settings;
        Ok(Secrets { keeper, prefix: prefix.clone(), refresh: *refresh, last: Mutex::default() })
    }

    async fn ask(&self, reference: &SecretReference) -> Result<Secret, SecretError> {
        let name = format!("{}{}", self.prefix, reference.name());
        let whole = match &self.keeper {
            Keeper::SecretsManager(manager) => manager.get(&name).await,
            Keeper::Parameters(manager) => manager.get(&name).await,
            Keeper::Files(files) => files.read(&name),
            Keeper::Environment => variable(&name),
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

    /// Keep what was had, or give what was had before.
    fn remember(
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
                tracing::warn!("{unresolved}: the one that was had before is used on");
                Ok(secret.clone())
            }
        }
    }
}

impl SecretResolver for Secrets {
    fn resolve<'a>(&'a self, reference: &'a SecretReference) -> ResolvingSecret<'a> {
        Box::pin(async { self.remember(reference, self.ask(reference).await) })
    }

    fn refresh(&self) -> Duration {
        self.refresh
    }
}

fn variable(name: &str) -> Result<Secret, SecretError> {
    match env::var(name) {
        Ok(value) => Ok(Secret::new(value)),
        Err(env::VarError::NotPresent) => Err(SecretError::VariableNotSet(name.to_owned())),
        Err(env::VarError::NotUnicode(_)) => Err(SecretError::VariableNotUtf8(name.to_owned())),
    }
}

/// A field of a secret that is a JSON object. The parser's own errors would show
/// parts of it.
fn field_of(secret: &Secret, field: &str) -> Result<Secret, SecretError> {
    let object: Option<Value> = serde_json::from_str(secret.expose()).ok();
    let object = object.filter(Value::is_object).ok_or(SecretError::NotAnObject)?;
    let value = object.get(field).and_then(Value::as_str).ok_or(SecretError::NoField)?;
    Ok(Secret::new(value.to_owned()))
}

#[cfg(test)]
mod tests;
