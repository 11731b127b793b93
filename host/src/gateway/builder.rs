//! Builds a host in another program: settings from text or a file, destination, limits; and starts it
//! on the program's runtime or on its own.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::{Host, StartError};
use crate::config::{self, ConfigError, Overrides, RecordDestination, Settings};
use crate::run::{EmbeddedSource, Run, RunError, RunOptions};
use crate::source::{Input, SubmissionLimits, Submitter};
use standpipe_delivery::FirehoseClient;

/// Threads of a host's own runtime. They only send and receive, which is little compared to the
/// work of the workers.
const OWN_RUNTIME_THREADS: usize = 2;

/// The default name of the events' source.
const DEFAULT_SOURCE_NAME: &str = "gateway";

/// Configures a host and starts it.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// use standpipe::Builder;
///
/// let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
/// let builder = Builder::from_toml(settings, directory)?
///     .source_name("shop")
///     .events_max(100_000)
///     .bytes_max(16 * 1024 * 1024)
///     .local_directory(directory.join("records"));
/// # let _ = builder;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing runs until it is started"]
pub struct Builder {
    settings: Settings,
    /// The settings file, which is read again when it changes.
    file: Option<PathBuf>,
    firehose_client: Option<Arc<dyn FirehoseClient>>,
    source: String,
    limits: SubmissionLimits,
}

impl Builder {
    /// Reads settings from the text of a settings file. Relative paths in it, and the default
    /// data directory, are resolved against `directory`.
    ///
    /// With `listen`, the host listens on that address. With `listen = "off"` and `[[sources]]`,
    /// the collector serves the requests that are passed to [`Host::handle`].
    ///
    /// # Errors
    ///
    /// Fails if a setting is invalid. The error contains its name.
    pub fn from_toml(text: &str, directory: &Path) -> Result<Self, ConfigError> {
        Ok(Self::new(check_settings(text, directory)?))
    }

    /// Reads settings from a file. Relative paths in it are resolved against its directory.
    ///
    /// When the file changes, the plugin is reloaded with its new settings, as by
    /// [`Host::reload`].
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// use standpipe::{Builder, EventOutcome};
    ///
    /// let file = directory.path().join("settings.toml");
    /// std::fs::write(&file, "[plugin.settings]\nmappings = [{ event = 'a', stream = 'all' }]")?;
    /// let builder = Builder::from_file(&file)?.local_directory(directory.path().join("records"));
    /// let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// assert_eq!(host.submit(r#"{"event":"b"}"#).await?, EventOutcome::Filtered);
    /// std::fs::write(&file, "[plugin.settings]\nmappings = [{ event = 'b', stream = 'all' }]")?;
    /// host.reload().await?;
    /// assert_eq!(host.submit(r#"{"event":"b"}"#).await?, EventOutcome::Delivered);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, or if a setting is invalid.
    pub fn from_file(file: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let file = file.into();
        let settings = read_settings(&file)?;
        Ok(Builder { file: Some(file), ..Self::new(settings) })
    }

    /// Uses settings that have been checked. Standard input, the default input of settings, is
    /// not read.
    pub fn new(mut settings: Settings) -> Self {
        settings.inputs.retain(|input| *input != Input::Stdin);
        let source = DEFAULT_SOURCE_NAME.to_owned();
        Builder {
            settings,
            file: None,
            firehose_client: None,
            source,
            limits: SubmissionLimits::default(),
        }
    }

    /// Writes records to files in this directory, one for each delivery stream, instead of the
    /// settings' destination. Only one host at a time can use a directory.
    pub fn local_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.settings.destination = RecordDestination::Directory(directory.into());
        self
    }

    /// Writes records through a client of the program, instead of the settings' destination.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path();
    /// use std::sync::Arc;
    ///
    /// use standpipe::firehose::{FaultyClient, InjectedFault};
    /// use standpipe::Builder;
    ///
    /// let firehose_client = Arc::new(FaultyClient::new(|_, _, _| InjectedFault::None));
    /// let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// let builder = Builder::from_toml(settings, directory)?.firehose_client(firehose_client.clone());
    /// let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// host.submit("{}").await?;
    /// assert_eq!(firehose_client.accepted().len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn firehose_client(mut self, client: Arc<dyn FirehoseClient>) -> Self {
        self.firehose_client = Some(client);
        self
    }

    /// Sets the name of the events' source, which plugins, dead letters and the roles of sources
    /// refer to. The default is `gateway`.
    pub fn source_name(mut self, name: impl Into<String>) -> Self {
        self.source = name.into();
        self
    }

    /// Limits the events that are accepted and not settled. The default is
    /// [`SUBMITTED_EVENTS_MAX`](crate::limits::SUBMITTED_EVENTS_MAX).
    pub fn events_max(mut self, events: usize) -> Self {
        self.limits.events = events;
        self
    }

    /// Limits the bytes of events that wait for a worker. The default is
    /// [`SUBMITTED_BYTES_MAX`](crate::limits::SUBMITTED_BYTES_MAX), the minimum
    /// [`standpipe_core::limits::EVENT_BYTES_MAX`].
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// Starts the host on a runtime of the program.
    ///
    /// If the settings name files for the plugin, it is reloaded when one of them changes, unless
    /// `watch = "off"` is set under `[plugin]`.
    ///
    /// # Errors
    ///
    /// Fails if the plugin is rejected, or if a directory, an address or AWS cannot be used.
    pub async fn start(self, runtime: &Handle) -> Result<Host, StartError> {
        let (submitter, submissions) = Submitter::new(self.limits);
        let embedded_source = EmbeddedSource {
            source: self.source.as_str().into(),
            submitter: submitter.clone(),
            submissions,
        };
        let options = RunOptions {
            firehose_client: self.firehose_client,
            embedded_source: Some(embedded_source),
            ..RunOptions::default()
        };
        let (settings, file, own) = (self.settings, self.file, runtime.clone());
        // The caller may await this on another runtime, or without one.
        let started = runtime.spawn(async move {
            let (kept, from) = (settings.clone(), file.clone());
            let run = Run::start(settings, options, &own).await?;
            let read_again = move || match &from {
                Some(file) => Ok(read_settings(file)?),
                None => Ok(kept.clone()),
            };
            let reloader = run.watch(file, read_again).await;
            Ok((run, reloader))
        });
        let started: Result<_, RunError> = started.await?;
        let (run, reloader) = started?;
        Ok(Host::new(run, reloader, submitter, runtime.clone()))
    }

    /// Starts the host on its own runtime with two threads, and waits until it has started. Its
    /// futures can be awaited on any runtime.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path();
    /// use standpipe::Builder;
    ///
    /// let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// let builder = Builder::from_toml(settings, directory)?;
    /// let host = builder.local_directory(directory.join("records")).start_with_own_runtime()?;
    /// host.runtime().block_on(host.submit("{}"))?;
    /// assert_eq!(host.runtime().block_on(host.stop()).delivered, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`Builder::start`], or if the system cannot create threads.
    ///
    /// # Panics
    ///
    /// Panics on a thread of a runtime, which must not block.
    pub fn start_with_own_runtime(self) -> Result<Host, StartError> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(OWN_RUNTIME_THREADS).enable_all();
        let runtime = runtime.thread_name("host").build()?;
        let host = runtime.block_on(self.start(runtime.handle()))?;
        host.keep_runtime(runtime);
        Ok(host)
    }
}

/// Checks the settings of a file's text.
fn check_settings(text: &str, directory: &Path) -> Result<Settings, ConfigError> {
    config::parse(text)?.check(directory, Overrides::default())
}

fn read_settings(file: &Path) -> Result<Settings, ConfigError> {
    let text = fs::read_to_string(file).map_err(|error| {
        ConfigError::new(format!("failed to read the settings file {}: {error}", file.display()))
    })?;
    check_settings(&text, file.parent().unwrap_or(Path::new("")))
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("source", &self.source)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
