//! Why a host failed to start, by what has to be changed.

use std::error::Error;
use std::io;

use thiserror::Error as ThisError;
use tokio::task::JoinError;

use crate::run::RunError;
use standpipe_aws::ConnectError;
use standpipe_plugin_host::EngineError;
use standpipe_plugin_host::swap::SwapStep;
use standpipe_spool::SpoolOpenError;

/// The host failed to start. Nothing is running then.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// use standpipe::{Builder, StartError};
///
/// let settings = "[plugin]\npath = 'missing.wasm'";
/// let builder = Builder::from_toml(settings, directory)?.local_directory(directory.join("records"));
/// let Err(error) = builder.start(&tokio::runtime::Handle::current()).await else {
///     panic!("the file does not exist");
/// };
/// assert!(matches!(error, StartError::PluginRejected { step: "read", .. }), "{error}");
/// assert!(!error.is_transient());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, ThisError)]
#[error("failed to start the host: {0}")]
#[non_exhaustive]
pub enum StartError {
    /// AWS credentials were not found or were rejected: those of the host, or of a source's role.
    Credentials(#[source] StartErrorCause),
    /// A secret that the settings refer to, or its secret store, could not be read.
    Secrets(#[source] StartErrorCause),
    /// The plugin, a canary or a shadow cannot be read, or was rejected.
    #[error("failed to start the host: {cause}")]
    PluginRejected {
        /// The step that failed, as in [`SwapError`](super::SwapError).
        step: &'static str,
        /// Why it failed.
        #[source]
        cause: StartErrorCause,
    },
    /// A setting is invalid, which only a start can detect: the region is missing, a proxy or CA
    /// certificates for AWS cannot be used, a token, write key or case is invalid, or there are
    /// more connections than the system has file descriptors for.
    Settings(#[source] StartErrorCause),
    /// The host cannot listen on an address, or use its certificate.
    Listener(#[source] StartErrorCause),
    /// A directory or file cannot be used: for data, the spool, compiled plugins or records, or an
    /// input.
    Disk(#[source] StartErrorCause),
    /// The system cannot create threads, or cannot run WebAssembly.
    System(#[source] StartErrorCause),
}

/// What failed, why, and what to do.
#[derive(Debug, ThisError)]
#[error(transparent)]
pub struct StartErrorCause(Box<dyn Error + Send + Sync>);

impl StartError {
    /// Returns whether a later start may succeed without any change: a secret store or AWS was not
    /// reachable.
    pub fn is_transient(&self) -> bool {
        let cause = self.source().and_then(|cause| cause.downcast_ref::<StartErrorCause>());
        let error = cause.and_then(|cause| cause.0.downcast_ref());
        error.is_some_and(RunError::is_transient)
    }
}

impl From<RunError> for StartError {
    fn from(error: RunError) -> Self {
        let rejected_at = match &error {
            RunError::PluginFile { .. } => Some(SwapStep::Read),
            RunError::Refused { refused, .. } => Some(refused.step),
            _ => None,
        };
        let variant = variant_of(&error);
        let cause = StartErrorCause(Box::new(error));
        match rejected_at {
            Some(step) => StartError::PluginRejected { step: step.word(), cause },
            None => variant(cause),
        }
    }
}

/// Returns the variant for an error that is not about the plugin.
fn variant_of(error: &RunError) -> fn(StartErrorCause) -> StartError {
    match error {
        RunError::Aws(error) => variant_of_connection(error),
        RunError::SourceRole { error, .. } => variant_of_connection(error),
        RunError::Secrets(_) | RunError::Secret(_) | RunError::InvalidWriteKey(_) => {
            StartError::Secrets
        }
        RunError::Bind(_) | RunError::Tls(_) => StartError::Listener,
        RunError::Input(_)
        | RunError::Directory { .. }
        | RunError::Engine(EngineError::CacheDirectory { .. }) => StartError::Disk,
        RunError::Spool(SpoolOpenError::Thread(_)) | RunError::Thread(_) | RunError::Engine(_) => {
            StartError::System
        }
        RunError::Spool(_) => StartError::Disk,
        _ => StartError::Settings,
    }
}

fn variant_of_connection(error: &ConnectError) -> fn(StartErrorCause) -> StartError {
    match error {
        ConnectError::Transient(error) => variant_of_connection(error),
        ConnectError::Secret(_) => StartError::Secrets,
        ConnectError::NoRegion | ConnectError::Proxy { .. } | ConnectError::CaBundle { .. } => {
            StartError::Settings
        }
        ConnectError::NoCredentials(_)
        | ConnectError::SsoLogin { .. }
        | ConnectError::Profile { .. }
        | ConnectError::Role { .. } => StartError::Credentials,
    }
}

/// The runtime ended before the start was complete.
impl From<JoinError> for StartError {
    fn from(error: JoinError) -> Self {
        StartError::System(StartErrorCause(Box::new(error)))
    }
}

/// The host's own runtime cannot be started.
impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        StartError::System(StartErrorCause(Box::new(error)))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;

    use tokio::runtime::Handle;

    use super::*;
    use crate::gateway::Builder;
    use standpipe_aws::CredentialsError;

    async fn refused(settings: &str, directory: &Path) -> StartError {
        let builder = Builder::from_toml(settings, directory).unwrap();
        let builder = builder.local_directory(directory.join("records"));
        builder.start(&Handle::current()).await.expect_err("it cannot be started")
    }

    #[tokio::test]
    async fn what_has_to_be_changed_can_be_matched_on() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let error = refused("[plugin]\npath = 'missing.wasm'", directory).await;
        assert!(matches!(error, StartError::PluginRejected { step: "read", .. }), "{error:?}");
        assert!(
            error.to_string().starts_with("failed to start the host: failed to read the plugin "),
            "{error}"
        );
        let error = refused("[plugin.settings]\nmappings = 1", directory).await;
        assert!(matches!(error, StartError::PluginRejected { step: "configure", .. }), "{error:?}");

        let sources = "sources = [{ name = 'web', dialect = 'segment', write_keys = ['key'] }]\n\
            plugin.settings.mappings = [{ event = '*', stream = 'all' }]";
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = refused(&format!("listen = '{address}'\n{sources}"), directory).await;
        assert!(matches!(error, StartError::Listener(_)), "{error:?}");
        assert!(!error.is_transient());

        std::fs::write(directory.join("file"), "").unwrap();
        let settings = format!("listen = 'off'\ndata_dir = 'file'\n{sources}");
        let error = refused(&settings, directory).await;
        assert!(matches!(error, StartError::Disk(_)), "{error:?}");
    }

    #[test]
    fn each_way_to_fail_with_amazon_is_told_apart() {
        let of = |error: ConnectError| StartError::from(RunError::Aws(error));
        let error = of(ConnectError::NoCredentials(CredentialsError::not_loaded("none")));
        assert!(matches!(error, StartError::Credentials(_)) && !error.is_transient(), "{error:?}");
        let passing = ConnectError::NoCredentials(CredentialsError::not_loaded("none yet"));
        let error = of(ConnectError::Transient(Box::new(passing)));
        assert!(matches!(error, StartError::Credentials(_)) && error.is_transient(), "{error:?}");
        assert!(matches!(of(ConnectError::NoRegion), StartError::Settings(_)));
    }
}
