//! The reasons why a run cannot start, and whether waiting can help.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::functions::SourceFunctionError;
use crate::admin::InvalidToken;
use crate::source::InputError;
use standpipe_aws::ConnectError;
use standpipe_aws::secret_store::OpenSecretStoreError;
#[cfg(feature = "collector")]
use standpipe_collector::DuplicateWriteKey;
use standpipe_core::secret::{SecretReference, UnresolvedSecret};
use standpipe_http::{BindError, TlsError};
use standpipe_plugin_host::cases::CasesError;
use standpipe_plugin_host::swap::RejectedCandidate;
use standpipe_plugin_host::web::NetworkAccessError;
use standpipe_plugin_host::{EngineError, LoadError};
#[cfg(feature = "queue")]
use standpipe_queue::ConnectQueueError;
#[cfg(feature = "queue")]
use standpipe_queue::fleet::JoinError;
use standpipe_spool as spool;

/// Why a run cannot start.
#[derive(Debug, Error)]
#[error(transparent)]
pub enum RunError {
    /// An input cannot be read.
    Input(#[from] InputError),
    /// The plugin's file cannot be read.
    #[error("failed to read the plugin {}: {error}: check --plugin, or `script` or `path` under [plugin]", path.display())]
    PluginFile {
        /// The file.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// The plugin cannot be loaded.
    #[error("failed to load {plugin}: {error}")]
    Plugin {
        /// The plugin's file, or a description of the built-in plugin.
        plugin: String,
        /// The error.
        error: LoadError,
    },
    /// The plugin, a canary or a shadow was rejected.
    #[error("failed to load {plugin}: {refused}")]
    Refused {
        /// The plugin's role and file.
        plugin: String,
        /// The rejection.
        #[source]
        refused: RejectedCandidate,
    },
    /// The function of a source cannot be loaded.
    #[error("failed to load the function of the source {name:?}: {error}")]
    SourceFunction {
        /// The source's name.
        name: String,
        /// The error.
        error: Box<SourceFunctionError>,
    },
    /// The cases that plugins must pass cannot be read.
    #[error("[plugin] cases: {0}")]
    Cases(CasesError),
    /// The WebAssembly engine cannot start.
    Engine(#[from] EngineError),
    /// Plugins cannot reach what the settings allow.
    Network(#[from] NetworkAccessError),
    /// The local directory for records cannot be used.
    #[error("failed to use the directory {} for records: {error}: choose another one with --local", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// AWS cannot be reached, or has no credentials.
    Aws(#[from] ConnectError),
    /// A source's role cannot be assumed.
    #[error("source {name:?}: {error}")]
    SourceRole {
        /// The source's name.
        name: String,
        /// The error.
        error: Box<ConnectError>,
    },
    /// The secret store cannot be opened.
    Secrets(#[from] OpenSecretStoreError),
    /// A secret cannot be resolved.
    Secret(#[from] UnresolvedSecret),
    /// A secret is not a valid write key.
    #[error("secret {0} is not a valid write key: it is too long or contains control characters")]
    InvalidWriteKey(SecretReference),
    /// The token of the admin API is not valid.
    InvalidToken(#[from] InvalidToken),
    /// Two sources have the same write key.
    #[cfg(feature = "collector")]
    DuplicateWriteKey(#[from] DuplicateWriteKey),
    /// The queue of `[queue]` cannot be used.
    #[cfg(feature = "queue")]
    Queue(#[from] ConnectQueueError),
    /// The fleet of `[fleet]` cannot be joined.
    #[cfg(feature = "queue")]
    Fleet(#[from] JoinError),
    /// The spool cannot be opened.
    Spool(#[from] spool::SpoolOpenError),
    /// An address cannot be listened on.
    Bind(#[from] BindError),
    /// The limit of open files is too low for `max_connections`.
    #[error(
        "invalid [http] max_connections: expected at most {room}, found {connections}: the limit \
         of open files, {limit}, does not allow more, because delivery and files also need some: \
         raise it to {needed} (`ulimit -n`, or LimitNOFILE= of a systemd unit), or lower \
         max_connections"
    )]
    Descriptors {
        /// The connections of the settings.
        connections: usize,
        /// The number of connections that the limit permits.
        room: usize,
        /// The limit of open files.
        limit: u64,
        /// The limit that the connections need.
        needed: u64,
    },
    /// The certificate or its key cannot be used.
    Tls(#[from] TlsError),
    /// The system refuses a thread.
    #[error("failed to start a thread: {0}: check the limit of processes (`ulimit -u`)")]
    Thread(io::Error),
}

impl RunError {
    /// Whether the run may start later without a changed setting.
    pub fn is_transient(&self) -> bool {
        match self {
            RunError::Aws(error) => error.is_transient(),
            RunError::SourceRole { error, .. } => error.is_transient(),
            RunError::Secrets(error) => error.is_transient(),
            RunError::Secret(error) => error.is_transient,
            #[cfg(feature = "queue")]
            RunError::Queue(error) => error.is_transient(),
            #[cfg(feature = "queue")]
            RunError::Fleet(error) => error.is_transient(),
            _ => false,
        }
    }
}
