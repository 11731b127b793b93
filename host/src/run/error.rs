//! Why a run cannot be started, one variant for each cause, and whether waiting alone can help.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::admin::BadToken;
use crate::source::InputError;
use standpipe_aws::ConnectError;
use standpipe_aws::secret_store::OpenSecretStoreError;
#[cfg(feature = "collector")]
use standpipe_collector::DuplicateWriteKey;
use standpipe_core::secret::{SecretReference, UnresolvedSecret};
use standpipe_http::{BindError, TlsError};
use standpipe_plugin_host::cases::CasesError;
use standpipe_plugin_host::swap::Refused;
use standpipe_plugin_host::{EngineError, LoadError};
use standpipe_spool as spool;

/// A run cannot be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// An input cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The plugin's file cannot be read.
    #[error("read the plugin {}: {error}: check --plugin, or `path` under [plugin]", path.display())]
    PluginFile {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// The plugin is not loaded.
    #[error("load {plugin}: {error}")]
    Plugin {
        /// The plugin's file, or words for the one that is built in.
        plugin: String,
        /// What is wrong with it.
        error: LoadError,
    },
    /// The plugin, or a canary, is not taken.
    #[error("load {plugin}: {}", refused.cause)]
    Refused {
        /// Where it is from.
        plugin: String,
        /// What is wrong with it.
        #[source]
        refused: Refused,
    },
    /// The cases that a plugin must pass cannot be used.
    #[error("[plugin] cases: {0}")]
    Cases(CasesError),
    /// WebAssembly cannot be run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The local directory cannot be used.
    #[error("use the directory {} for records: {error}: give another one with --local", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// There is no way to AWS.
    #[error(transparent)]
    Aws(#[from] ConnectError),
    /// The role of a source cannot be assumed.
    #[error("the source {name:?}: {error}")]
    SourceRole {
        /// The source's name.
        name: String,
        /// Why.
        error: Box<ConnectError>,
    },
    /// There is no way to the manager of secrets.
    #[error(transparent)]
    Secrets(#[from] OpenSecretStoreError),
    /// A secret is not to be had.
    #[error(transparent)]
    Secret(#[from] UnresolvedSecret),
    /// A secret was had, and can be no write key.
    #[error(
        "the secret {0} can be no write key: it is too long, or has characters that control a terminal"
    )]
    NoWriteKey(SecretReference),
    /// The token of the admin API can be none.
    #[error(transparent)]
    BadToken(#[from] BadToken),
    /// A write key is there twice.
    #[cfg(feature = "collector")]
    #[error(transparent)]
    DuplicateWriteKey(#[from] DuplicateWriteKey),
    /// The spool cannot be used.
    #[error(transparent)]
    Spool(#[from] spool::SpoolOpenError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The limit of open files is too low for the connections that are set.
    #[error(
        "invalid [http] max_connections: expected at most {room}, found {connections}: the limit of open files, \
         {limit}, has no room for more beside delivery and files: raise it to {needed} (`ulimit -n`, or LimitNOFILE= \
         of a systemd unit), or lower max_connections"
    )]
    Descriptors {
        /// The connections that are set.
        connections: usize,
        /// Those that there is room for.
        room: usize,
        /// The limit of open files.
        limit: u64,
        /// The limit that the connections ask for.
        needed: u64,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system grants no threads.
    #[error("start a thread: {0}: check the limit of processes")]
    Thread(io::Error),
}

impl StartError {
    /// Whether the run may start a little later, without anybody changing a setting.
    pub fn is_transient(&self) -> bool {
        match self {
            StartError::Aws(error) => error.is_transient(),
            StartError::SourceRole { error, .. } => error.is_transient(),
            StartError::Secrets(error) => error.is_transient(),
            StartError::Secret(error) => error.is_transient,
            _ => false,
        }
    }
}
