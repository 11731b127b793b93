//! Builds a host inside another program: settings from text or a file, destination, bounds of what
//! waits; and starts it on a runtime of the program's or of its own.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::{Host, StartError};
use crate::config::{self, ConfigError, Destination, Overrides, Settings};
use crate::run::{Embedding, Entrance, Run, StartError as RunError};
use crate::source::{Input, Room, Submitter};
use standpipe_delivery::Firehose;

/// Threads of a runtime that a host has of its own: they send and receive, which is
/// little beside what the workers do.
const OWN_RUNTIME_THREADS: usize = 2;

/// How events are called that nobody called otherwise.
const SOURCE: &str = "gateway";

/// A host that is to be started.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// use standpipe::Builder;
///
/// let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
/// let builder = Builder::from_toml(settings, directory)?
///     .source("shop")
///     .events_max(100_000)
///     .bytes_max(16 * 1024 * 1024)
///     .into_directory(directory.join("records"));
/// # let _ = builder;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "it does nothing until it is started"]
pub struct Builder {
    settings: Settings,
    /// Where they are from, if they are read again when that changes.
    file: Option<PathBuf>,
    port: Option<Arc<dyn Firehose>>,
    source: String,
    room: Room,
}

impl Builder {
    /// A host with the settings of a settings file's text. Relative paths in it start
    /// at `directory`, and so does the data directory where the text names none.
    ///
    /// Where it says `listen`, the host listens there; `listen = "off"` has
    /// `[[sources]]` be there for [`Host::answer`] alone.
    ///
    /// # Errors
    ///
    /// A setting is wrong; the error names it.
    pub fn from_toml(text: &str, directory: &Path) -> Result<Self, ConfigError> {
        Ok(Self::new(check(text, directory)?))
    }

    /// A host with the settings of a file, whose directory is where relative paths
    /// start. When the file changes, the plugin is taken with the settings that it
    /// then has; [`Host::reload`] does so too.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// use standpipe::{Builder, EventOutcome};
    ///
    /// let file = directory.path().join("settings.toml");
    /// std::fs::write(&file, "[plugin.settings]\nmappings = [{ event = 'a', stream = 'all' }]")?;
    /// let builder = Builder::from_file(&file)?.into_directory(directory.path().join("records"));
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
    /// The file cannot be read, or a setting is wrong.
    pub fn from_file(file: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let file = file.into();
        let settings = read(&file)?;
        Ok(Builder { file: Some(file), ..Self::new(settings) })
    }

    /// A host with settings that have been checked. Standard input is not read, which
    /// is what they say where they name no other input.
    pub fn new(mut settings: Settings) -> Self {
        settings.inputs.retain(|input| *input != Input::Stdin);
        let source = SOURCE.to_owned();
        Builder { settings, file: None, port: None, source, room: Room::default() }
    }

    /// Write records into files of this directory, one for each stream, in place of
    /// the settings' destination. One host at a time uses a directory.
    pub fn into_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.settings.destination = Destination::Directory(directory.into());
        self
    }

    /// Write records through a port of the program's own, in place of the settings'
    /// destination.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path();
    /// use std::sync::Arc;
    ///
    /// use standpipe::firehose::{Faulty, Injection};
    /// use standpipe::Builder;
    ///
    /// let port = Arc::new(Faulty::new(|_, _, _| Injection::None));
    /// let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// let builder = Builder::from_toml(settings, directory)?.port(port.clone());
    /// let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// host.submit("{}").await?;
    /// assert_eq!(port.accepted().len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn port(mut self, port: Arc<dyn Firehose>) -> Self {
        self.port = Some(port);
        self
    }

    /// What the events are called for the plugin, in dead letters, and for roles of
    /// sources. It is `gateway` otherwise.
    pub fn source(mut self, name: impl Into<String>) -> Self {
        self.source = name.into();
        self
    }

    /// How many events may have been accepted and not be settled;
    /// [`SUBMITTED_EVENTS_MAX`](crate::limits::SUBMITTED_EVENTS_MAX) otherwise.
    pub fn events_max(mut self, events: usize) -> Self {
        self.room.events = events;
        self
    }

    /// How many bytes of events may wait for a worker;
    /// [`SUBMITTED_BYTES_MAX`](crate::limits::SUBMITTED_BYTES_MAX) otherwise, and never less than
    /// [`standpipe_core::limits::EVENT_BYTES_MAX`].
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        self.room.bytes = bytes;
        self
    }

    /// Start the host on a runtime of the program's.
    ///
    /// Where the settings name files for the plugin, and do not say `watch = "off"`
    /// under `[plugin]`, it is taken anew when one of them changes.
    ///
    /// # Errors
    ///
    /// The plugin, a directory, an address or the way to AWS cannot be used.
    pub async fn start(self, runtime: &Handle) -> Result<Host, StartError> {
        let (submitter, submissions) = Submitter::new(self.room);
        let entrance = Entrance {
            source: self.source.as_str().into(),
            submitter: submitter.clone(),
            submissions,
        };
        let embedding =
            Embedding { port: self.port, entrance: Some(entrance), ..Embedding::default() };
        let (settings, file, own) = (self.settings, self.file, runtime.clone());
        // Whoever awaits this may be on another runtime, or on none.
        let started = runtime.spawn(async move {
            let (kept, from) = (settings.clone(), file.clone());
            let run = Run::start_embedded(settings, embedding, &own).await?;
            let read_again = move || match &from {
                Some(file) => Ok(read(file)?),
                None => Ok(kept.clone()),
            };
            let reloader = run.watch(file, read_again).await;
            Ok((run, reloader))
        });
        let started: Result<_, RunError> = started.await?;
        let (run, reloader) = started?;
        Ok(Host::new(run, reloader, submitter, runtime.clone()))
    }

    /// Start the host on a runtime of its own, of two threads, and wait until it is there. Its futures can be awaited anywhere.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path();
    /// use standpipe::Builder;
    ///
    /// let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// let builder = Builder::from_toml(settings, directory)?;
    /// let host = builder.into_directory(directory.join("records")).start_alone()?;
    /// host.runtime().block_on(host.submit("{}"))?;
    /// assert_eq!(host.runtime().block_on(host.stop()).delivered, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Builder::start`], or the system grants no threads.
    ///
    /// # Panics
    ///
    /// It is called within a runtime, whose threads must not wait.
    pub fn start_alone(self) -> Result<Host, StartError> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(OWN_RUNTIME_THREADS).enable_all();
        let runtime = runtime.thread_name("host").build()?;
        let host = runtime.block_on(self.start(runtime.handle()))?;
        host.keep(runtime);
        Ok(host)
    }
}

/// Checked settings of a file's text.
fn check(text: &str, directory: &Path) -> Result<Settings, ConfigError> {
    config::parse(text)?.check(directory, Overrides::default())
}

fn read(file: &Path) -> Result<Settings, ConfigError> {
    let text = fs::read_to_string(file).map_err(|error| {
        ConfigError::new(format!("read the settings file {}: {error}", file.display()))
    })?;
    check(&text, file.parent().unwrap_or(Path::new("")))
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("source", &self.source)
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}
