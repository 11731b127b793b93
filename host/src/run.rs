//! A run: built from settings, started, drained.
//!
//! ```no_run
//! # async fn example(settings: host::config::Settings) -> Result<(), host::run::StartError> {
//! let run = host::run::Run::start(settings, &tokio::runtime::Handle::current()).await?;
//! let summary = run.finish().await;
//! println!("{summary}");
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here reads the process's arguments, installs a logger or ends the
//! process: the command line is one embedder of it.

mod cataloging;
mod collecting;
mod copier;
mod embedding;
mod keys;
mod plugin_secrets;
mod plugins;
mod reach;
mod summary;
mod watching;

pub(crate) use cataloging::{Cataloging, logged, routes_of};
pub use embedding::{Embedding, Entrance};
pub(crate) use plugin_secrets::resolve_plugin_secrets;
pub(crate) use plugins::load_plugin;
pub use plugins::{DEFAULT_PLUGIN, plugin_bytes, read_plugin};
pub(crate) use reach::reach;
pub use summary::{Collected, Summary, UnreadInput};
pub use watching::Reloader;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::admin::{Admin, BadToken, View};
use crate::aws::ConnectError;
use crate::collector::{Collector, TakenKey};
use crate::config::Settings;
use crate::dead::{Folder, Letters};
use crate::delivery::{Delivery, DeliverySettings, Firehose};
use crate::event::{Totals, TotalsSnapshot};
use crate::http::{BindError, Shutdown, TlsError};
use crate::limits;
use crate::pipeline::{Halt, Shared, SourceIdentities, Worker};
use crate::plugin::cases::CasesError;
use crate::plugin::{EngineError, LoadError};
use crate::secret::{NoManager, Reference, Resolve, Unresolved};
use crate::secrets::{OpenSecretsError, Secrets, SecretsSettings};
use crate::source::{Gatherer, InputError, ReadReport, Reader, Retirement, Stop, Submitter};
use crate::spool;
use crate::swap::{Refused, Swapper};
use collecting::{Collecting, Listening, Way};
use copier::Copier;
use keys::KeptToken;
use reach::Ways;
use watching::Basis;

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
    #[error("load {plugin}: {}", refused.reason)]
    Refused {
        /// Where it is from.
        plugin: String,
        /// What is wrong with it.
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
    Secrets(#[from] OpenSecretsError),
    /// A secret is not to be had.
    #[error(transparent)]
    Secret(#[from] Unresolved),
    /// A secret was had, and can be no write key.
    #[error(
        "the secret {0} can be no write key: it is too long, or has characters that control a terminal"
    )]
    NoWriteKey(Reference),
    /// The token of the admin API can be none.
    #[error(transparent)]
    BadToken(#[from] BadToken),
    /// A write key is there twice.
    #[error(transparent)]
    TakenKey(#[from] TakenKey),
    /// The spool cannot be used.
    #[error(transparent)]
    Spool(#[from] spool::OpenError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system grants no threads.
    #[error("start a thread: {0}: check the limit of processes")]
    Thread(io::Error),
}

/// A run under way.
#[derive(Debug)]
pub struct Run {
    started: Instant,
    totals: Arc<Totals>,
    bytes_read: Arc<AtomicU64>,
    stopper: Stopper,
    /// Why the run was halted, if it was.
    halted: Arc<Mutex<Option<String>>>,
    swapper: Swapper,
    basis: Basis,
    addresses: Addresses,
    collecting: Option<Collecting>,
    /// Ends the answers about health, metrics and the plugin.
    admin: Shutdown,
    drain_timeout: Duration,
    delivery: Delivery,
    letters: Arc<Letters>,
    copier: Option<Copier>,
    retirement: Retirement,
    cataloging: Option<Cataloging>,
    reader: JoinHandle<ReadReport>,
    /// Makes chunks of what an embedder hands in, where there is one.
    gatherer: Option<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
}

/// What a run is made of before anything flows.
struct Parts {
    basis: Basis,
    delivery: Delivery,
    identities: SourceIdentities,
    letters: Arc<Letters>,
    copier: Option<Copier>,
    listening: Option<Listening>,
    admin: Option<(Admin, Option<KeptToken>)>,
    entrance: Option<Entrance>,
}

/// Where a run listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Addresses {
    /// For SDKs.
    pub collector: Option<SocketAddr>,
    /// Whether SDKs must use TLS.
    pub is_encrypted: bool,
    /// For health, metrics and changes of the plugin.
    pub admin: Option<SocketAddr>,
}

/// Asks a run to stop, from wherever.
#[derive(Debug, Clone)]
pub struct Stopper {
    stop: Stop,
    stopped: watch::Sender<bool>,
    shutdown: Shutdown,
    submitter: Option<Submitter>,
}

/// How far a run has got.
#[derive(Debug, Clone)]
pub struct Progress {
    totals: Arc<Totals>,
    bytes_read: Arc<AtomicU64>,
}

impl Run {
    /// Load the plugin, open the way to the streams, and start reading.
    ///
    /// # Errors
    ///
    /// Something of the settings does not work; nothing has been read.
    pub async fn start(settings: Settings, runtime: &Handle) -> Result<Self, StartError> {
        Self::start_embedded(settings, Embedding::default(), runtime).await
    }

    /// The same with a port of the embedder's own; the settings' destination is
    /// not used.
    ///
    /// # Errors
    ///
    /// As for [`Run::start`].
    pub async fn start_with(
        settings: Settings,
        port: Arc<dyn Firehose>,
        runtime: &Handle,
    ) -> Result<Self, StartError> {
        let embedding = Embedding { port: Some(port), ..Embedding::default() };
        Self::start_embedded(settings, embedding, runtime).await
    }

    /// The same as a part of a program.
    ///
    /// # Errors
    ///
    /// As for [`Run::start`].
    pub async fn start_embedded(
        mut settings: Settings,
        embedding: Embedding,
        runtime: &Handle,
    ) -> Result<Self, StartError> {
        let Embedding { port, entrance } = embedding;
        for input in &settings.inputs {
            input.check()?;
        }
        let secrets = open_secrets(settings.secrets.as_ref()).await?;
        plugin_secrets::resolve(&mut settings, &secrets).await?;
        // Neither compiling nor the plugin's own code may run on the threads
        // that drive input and output.
        let (swapper, settings) = runtime
            .spawn_blocking(move || plugins::start(&settings).map(|swapper| (swapper, settings)))
            .await
            .expect("loading a plugin does not panic")?;
        let ways = match port {
            Some(port) => Ways::one(port),
            None => reach::open(&settings.destination, &settings.source_roles, &secrets).await?,
        };
        let Ways { ports, identities, start_rate } = ways;
        let dead = Folder::of_data_dir(&settings.data_dir).path().to_owned();
        let letters = Arc::new(Letters::bounded(dead, settings.dead_letters));
        let how = DeliverySettings { start_rate, ..settings.delivery.clone() };
        let deliver = || {
            let (ports, how, letters) = (ports.clone(), how.clone(), Arc::clone(&letters));
            Delivery::new(ports, how, letters, runtime.clone())
        };
        let copier = settings.dead_letter_stream.as_ref();
        let copier = copier.map(|stream| Copier::start(Arc::clone(&letters), deliver(), stream));
        let copier = copier.transpose().map_err(StartError::Thread)?;
        let delivery = deliver();
        let listening = match settings.collect.clone() {
            Some(collect) => {
                let secrets = Arc::clone(&secrets);
                Some(Listening::start(collect, secrets, runtime).await?)
            }
            None => None,
        };
        let admin = match settings.admin {
            Some(address) => {
                let token = settings.admin_token.clone();
                let token = KeptToken::open(token, Arc::clone(&secrets)).await?;
                warn_of_clear_token(address, token.is_some());
                Some((Admin::bind(address).await?, token))
            }
            None => None,
        };
        let basis = Basis::new(&settings, secrets);
        let parts =
            Parts { basis, delivery, identities, letters, copier, listening, admin, entrance };
        Self::spawn(settings, swapper, parts, runtime).map_err(StartError::Thread)
    }

    fn spawn(
        settings: Settings,
        swapper: Swapper,
        parts: Parts,
        runtime: &Handle,
    ) -> io::Result<Self> {
        let Parts { basis, delivery, identities, letters, copier, listening, admin, entrance } =
            parts;
        let addresses = Addresses {
            collector: listening.as_ref().and_then(Listening::address),
            is_encrypted: listening.as_ref().is_some_and(Listening::is_encrypted),
            admin: admin.as_ref().map(|(admin, _)| admin.address()),
        };
        let queued = settings.workers.get() * limits::CHUNKS_QUEUED_PER_WORKER;
        let (chunks_in, chunks_out) = crossbeam_channel::bounded(queued);
        let (buffers_in, buffers_out) = crossbeam_channel::bounded(queued);
        let (stop, shutdown) = (Stop::default(), Shutdown::default());
        let stopper = Stopper {
            stop: stop.clone(),
            stopped: watch::Sender::new(false),
            shutdown: shutdown.clone(),
            submitter: entrance.as_ref().map(|entrance| entrance.submitter.clone()),
        };
        let halted = Arc::new(Mutex::new(None));
        let abandoned = Arc::<AtomicBool>::default();
        let shared = Shared {
            chunks: chunks_out,
            buffers: buffers_in,
            switch: Arc::clone(swapper.switch()),
            letters: Arc::clone(&letters),
            identities: Arc::new(identities),
            on_failure: settings.hosting.on_failure.clone(),
            halt: Arc::new(halt(stopper.clone(), Arc::clone(&halted), Arc::clone(&abandoned))),
        };
        let spawn_worker = |number| {
            let worker = Worker::new(shared.clone(), delivery.outbox());
            thread::Builder::new().name(format!("worker-{number}")).spawn(|| worker.run())
        };
        let workers = (0..settings.workers.get()).map(spawn_worker).collect::<Result<_, _>>()?;
        // Only workers may hold the queue's end: it closes with the last of them.
        drop(shared);
        let (totals, bytes_read) = (Arc::<Totals>::default(), Arc::<AtomicU64>::default());
        let collecting = listening.map(|listening| {
            let way = Way {
                chunks: chunks_in.clone(),
                buffers: buffers_out.clone(),
                totals: Arc::clone(&totals),
                bytes_read: Arc::clone(&bytes_read),
                abandoned: Arc::clone(&abandoned),
            };
            listening.collect(way, &shutdown, runtime)
        });
        let collecting = collecting.transpose()?;
        let gatherer = entrance.map(|entrance| {
            let gatherer = Gatherer {
                submissions: entrance.submissions,
                source: entrance.source,
                chunks: chunks_in.clone(),
                buffers: buffers_out.clone(),
                totals: Arc::clone(&totals),
                bytes_read: Arc::clone(&bytes_read),
            };
            thread::Builder::new().name("gatherer".to_owned()).spawn(|| gatherer.run())
        });
        let gatherer = gatherer.transpose()?;
        let told = Shutdown::default();
        if let Some((admin, token)) = admin {
            let collector = collecting.as_ref();
            let view = View {
                totals: Arc::clone(&totals),
                bytes_read: Arc::clone(&bytes_read),
                delivery: delivery.clone(),
                letters: Arc::clone(&letters),
                collector: collector.map(|collecting| Arc::clone(&collecting.collector)),
                spool: collector.map(|collecting| collecting.spool.clone()),
                swapper: swapper.clone(),
                shutdown: shutdown.clone(),
            };
            let served = admin.serve(view, token.as_ref().map(KeptToken::token), told.clone());
            runtime.spawn(async move {
                tokio::select! {
                    () = served => {}
                    () = keys::refresh_token(token) => unreachable!("it asks for ever"),
                }
            });
        }
        let retirement = Retirement::start(Arc::clone(&letters))?;
        let reader = Reader {
            inputs: settings.inputs,
            chunks: chunks_in,
            buffers: buffers_out,
            retired: retirement.retired(),
            totals: Arc::clone(&totals),
            bytes_read: Arc::clone(&bytes_read),
            stop: stop.clone(),
        };
        let reader = thread::Builder::new().name("reader".to_owned()).spawn(|| reader.run())?;
        let catalog = settings.catalog.map(|catalog| {
            // It stops as soon as no more is read, and has the time of the drain.
            let routes = cataloging::routes_of_switch(Arc::clone(swapper.switch()));
            Cataloging::start(*catalog, routes, shutdown.clone())
        });
        Ok(Run {
            started: Instant::now(),
            totals,
            bytes_read,
            stopper,
            halted,
            swapper,
            basis,
            addresses,
            collecting,
            admin: told,
            drain_timeout: settings.drain_timeout,
            delivery,
            letters,
            copier,
            retirement,
            cataloging: catalog.transpose()?,
            reader,
            gatherer,
            workers,
        })
    }

    /// Something that can stop the run.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Something that changes the run's plugin.
    pub fn swapper(&self) -> Swapper {
        self.swapper.clone()
    }

    /// Take the plugin anew whenever its file or its settings change, as long as
    /// the run lasts. Settings are read again by `read`; what they say beyond
    /// `[plugin]` is not looked at.
    ///
    /// The answer does so once, when it is asked to.
    pub fn watch(
        &self,
        settings_file: Option<PathBuf>,
        read: impl Fn() -> Result<Settings, String> + Send + Sync + 'static,
    ) -> Reloader {
        let (swapper, basis) = (self.swapper.clone(), self.basis.clone());
        let reloader = Reloader::new(swapper, basis, settings_file, Box::new(read));
        reloader.watch(&self.stopper.shutdown);
        reloader
    }

    /// Where the run listens, with the real ports.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What answers SDKs, where the settings have sources.
    pub fn collector(&self) -> Option<Arc<Collector>> {
        self.collecting.as_ref().map(|collecting| Arc::clone(&collecting.collector))
    }

    /// Something that tells how far the run has got.
    pub fn progress(&self) -> Progress {
        Progress { totals: Arc::clone(&self.totals), bytes_read: Arc::clone(&self.bytes_read) }
    }

    /// Wait until everything that was read has been accounted for. A run that
    /// listens goes on until it is stopped.
    ///
    /// After a stop, delivery goes on for as long as the settings allow; what
    /// is then left counts as not delivered. Copies of dead letters come last, and
    /// are not waited for any longer than that without a stop either.
    pub async fn finish(self) -> Summary {
        let Run { reader, gatherer, workers, delivery, copier, collecting, .. } = self;
        let copies = copier.as_ref().map(|copier| copier.delivery().clone());
        let abandoned = collecting.as_ref().map(|collecting| Arc::clone(&collecting.abandoned));
        let (intake, collected) = collecting.map(Collecting::part).unzip();
        let feeders = intake.into_iter().chain(gatherer).collect();
        let threads = tokio::task::spawn_blocking(move || join(reader, feeders, workers));
        let mut stopped = self.stopper.stopped.subscribe();
        let drained = async {
            let report = threads.await.expect("joining threads does not panic");
            delivery.drain().await;
            match copier {
                Some(copier) => (report, copier.finish(self.drain_timeout).await),
                None => (report, BTreeMap::new()),
            }
        };
        let overdue = async {
            // The sender lives as long as this run, so the wait cannot fail.
            let _ = stopped.wait_for(|&stopped| stopped).await;
            tokio::time::sleep(self.drain_timeout).await;
            delivery.give_up();
            if let Some(abandoned) = &abandoned {
                abandoned.store(true, Ordering::Release);
            }
            if let Some(copies) = &copies {
                copies.give_up();
            }
            std::future::pending::<()>().await;
        };
        let ((read, fault), copies) = tokio::select! {
            report = drained => report,
            () = overdue => unreachable!("it waits for ever"),
        };
        let (letters, retirement) = (Arc::clone(&self.letters), self.retirement);
        let closed = tokio::task::spawn_blocking(move || close(&letters, retirement));
        let not_closed = closed.await.expect("bringing letters to the disk does not panic");
        self.admin.request();
        if let Some(cataloging) = self.cataloging {
            let ended = tokio::task::spawn_blocking(|| cataloging.finish());
            ended.await.expect("waiting for the catalog does not panic");
        }
        let swapper = self.swapper.clone();
        let shadow = tokio::task::spawn_blocking(move || swapper.end_shadow().ok());
        let shadow = shadow.await.expect("ending a shadow does not panic");
        let halted = self.halted.lock().unwrap_or_else(PoisonError::into_inner).take();
        Summary::new(summary::Parts {
            totals: self.totals.snapshot(),
            streams: delivery.report(),
            copies,
            dead: self.letters.report(),
            read,
            collected: collected.map(|(collector, spool)| Collected::new(&collector, &spool)),
            shadow,
            fault: halted.or(fault).or(not_closed),
            elapsed: self.started.elapsed(),
        })
    }
}

impl Stopper {
    /// Stop reading. What has been read goes on its way.
    pub fn stop(&self) {
        if let Some(submitter) = &self.submitter {
            submitter.close();
        }
        self.stop.request();
        self.shutdown.request();
        self.stopped.send_replace(true);
    }
}

impl Progress {
    /// Bytes read so far, after decompression.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// The counts so far.
    pub fn totals(&self) -> TotalsSnapshot {
        self.totals.snapshot()
    }
}

/// Who listens along where the admin API is reached from elsewhere reads the token.
fn warn_of_clear_token(address: SocketAddr, has_token: bool) {
    if has_token && !address.ip().is_loopback() {
        tracing::warn!(
            "[admin] listen is {address}, which others may reach, and the token of [admin] crosses the network \
             unencrypted: listen on 127.0.0.1, or have a proxy with TLS before it"
        );
    }
}

/// Ends a run whose plugin fails, where the settings ask for that. Workers take no
/// more events, so the spool hands none out.
fn halt(stopper: Stopper, halted: Arc<Mutex<Option<String>>>, abandoned: Arc<AtomicBool>) -> Halt {
    Halt::new(move |why| {
        tracing::error!("{why}");
        *halted.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        abandoned.store(true, Ordering::Release);
        stopper.stop();
    })
}

/// The reader's report, and what went wrong with a thread.
fn join(
    reader: JoinHandle<ReadReport>,
    feeders: Vec<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
) -> (ReadReport, Option<String>) {
    let fed = feeders.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
    let failed = workers.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
    let fault =
        (failed > 0).then(|| format!("{failed} worker threads failed: this is a bug of the host"));
    match (reader.join(), fed) {
        (Ok(report), 0) => (report, fault),
        _ => {
            (ReadReport::default(), Some("the reader failed: this is a bug of the host".to_owned()))
        }
    }
}

/// Take the letters that were replayed out of their files, and bring the new ones
/// to the disk. Tells what went wrong.
fn close(letters: &Letters, retirement: Retirement) -> Option<String> {
    let kept = retirement.finish();
    let not_synced = letters.sync().err().map(|error| format!("sync dead letters: {error}"));
    kept.or(not_synced)
}

/// The manager of secrets, if there is one.
pub(crate) async fn open_secrets(
    settings: Option<&SecretsSettings>,
) -> Result<Arc<dyn Resolve>, StartError> {
    match settings {
        Some(settings) => Ok(Arc::new(Secrets::open(settings).await?)),
        None => Ok(Arc::new(NoManager)),
    }
}
