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
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use thiserror::Error;

use crate::{AwsError, ConnectError};
use amazon::{Parameters, SecretsManager};
use standpipe_core::secret::{Reference, Resolve, Resolving, Secret, Unresolved};

/// Bytes of a secret: the most that Secrets Manager keeps. The parameter store keeps 8 KiB at most.
const SECRET_BYTES_MAX: u64 = 65536;

/// A manager of secrets at work.
#[derive(Debug)]
pub struct Secrets {
    keeper: Keeper,
    prefix: String,
    refresh: Duration,
    /// What each reference stood for when it was asked for last.
    last: Mutex<HashMap<Reference, Secret>>,
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
    "the manager of secrets, {manager:?}: {problem}: it is asked with the credentials of `profile` under [secrets], or \
     of AWS's default chain, and never with the keys under [aws], which it may keep itself"
)]
pub struct OpenSecretsError {
    manager: &'static str,
    problem: String,
    /// Whether it may be asked a little later, without anybody changing a setting.
    pub is_transient: bool,
}

/// A secret that a manager does not give.
#[derive(Debug)]
struct Failure {
    cause: String,
    /// Whether it may give it a little later.
    is_transient: bool,
}

impl Failure {
    fn lasting(cause: impl Into<String>) -> Self {
        Failure { cause: cause.into(), is_transient: false }
    }
}

impl From<AwsError> for Failure {
    fn from(error: AwsError) -> Self {
        // What answers with something else than AWS will go on doing so.
        let is_transient = error.is_passing && error.code != "InvalidAnswer";
        Failure { cause: error.to_string(), is_transient }
    }
}

impl OpenSecretsError {
    fn new(manager: &Manager, error: &ConnectError) -> Self {
        let is_transient = error.is_transient();
        let error = match error {
            ConnectError::Transient(error) => error,
            error => error,
        };
        // What these say of [aws] does not hold here.
        let problem = match error {
            ConnectError::Profile { profile, cause } => {
                format!("use the profile {profile:?} of the shared files of AWS: {cause}")
            }
            ConnectError::NoCredentials(cause) => {
                format!("no usable AWS credentials were found: {cause}")
            }
            ConnectError::NoRegion => {
                "no AWS region was found: set `region` under [secrets]".to_owned()
            }
            other => other.to_string(),
        };
        OpenSecretsError { manager: manager.name(), problem, is_transient }
    }
}

impl Secrets {
    /// Be ready to ask a manager. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// There is no way to it.
    pub async fn open(settings: &SecretsSettings) -> Result<Self, OpenSecretsError> {
        let failed = |error| OpenSecretsError::new(&settings.manager, &error);
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

    async fn ask(&self, reference: &Reference) -> Result<Secret, Failure> {
        let name = format!("{}{}", self.prefix, reference.name());
        let whole = match &self.keeper {
            Keeper::SecretsManager(manager) => manager.get(&name).await,
            Keeper::Parameters(manager) => manager.get(&name).await,
            Keeper::Files(files) => files.read(&name).map_err(Failure::lasting),
            Keeper::Environment => variable(&name).map_err(Failure::lasting),
        }?;
        let secret = match reference.field() {
            Some(field) => field_of(&whole, field).map_err(Failure::lasting)?,
            None => whole,
        };
        match secret.expose().len() as u64 {
            0 => Err(Failure::lasting("it is empty")),
            1..=SECRET_BYTES_MAX => Ok(secret),
            _ => Err(Failure::lasting(too_long())),
        }
    }

    /// Keep what was had, or give what was had before.
    fn remember(
        &self,
        reference: &Reference,
        found: Result<Secret, Failure>,
    ) -> Result<Secret, Unresolved> {
        let mut last = self.last.lock();
        match found {
            Ok(secret) => {
                last.insert(reference.clone(), secret.clone());
                Ok(secret)
            }
            Err(Failure { cause, is_transient }) => {
                let unresolved = Unresolved { reference: reference.clone(), cause, is_transient };
                let Some(secret) = last.get(reference) else { return Err(unresolved) };
                tracing::warn!("{unresolved}: the one that was had before is used on");
                Ok(secret.clone())
            }
        }
    }
}

impl Resolve for Secrets {
    fn resolve<'a>(&'a self, reference: &'a Reference) -> Resolving<'a> {
        Box::pin(async { self.remember(reference, self.ask(reference).await) })
    }

    fn refresh(&self) -> Duration {
        self.refresh
    }
}

fn too_long() -> String {
    format!("it has more than {SECRET_BYTES_MAX} bytes")
}

fn variable(name: &str) -> Result<Secret, String> {
    match env::var(name) {
        Ok(value) => Ok(Secret::new(value)),
        Err(env::VarError::NotPresent) => Err(format!(
            "the variable {name} is not set: set it, or check `prefix` under [secrets]"
        )),
        Err(env::VarError::NotUnicode(_)) => Err(format!("the variable {name} is not UTF-8")),
    }
}

/// A field of a secret that is a JSON object. The parser's own errors would show
/// parts of it.
fn field_of(secret: &Secret, field: &str) -> Result<Secret, String> {
    let object: Option<Value> = serde_json::from_str(secret.expose()).ok();
    let object = object.filter(Value::is_object);
    let object =
        object.ok_or("it is no JSON object, so remove what stands after # in the reference")?;
    let value = object.get(field).and_then(Value::as_str);
    let value = value.ok_or("it has no such field, or one that is no string")?;
    Ok(Secret::new(value.to_owned()))
}

#[cfg(test)]
mod tests;
