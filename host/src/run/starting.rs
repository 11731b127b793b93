//! Starts a run: delivery, dead letters, collector, plugin, threads. Nothing flows before
//! everything has been made, and compiling never runs on the runtime's threads.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

#[cfg(feature = "catalog")]
use super::cataloging::{self, Cataloging};
use super::collecting::{Collecting, Listening, Way};
use super::copier::Copier;
use super::embedding::{Embedding, Entrance};
use super::keys::{self, KeptToken};
use super::patience::patiently;
use super::plugin_secrets::PluginSecrets;
use super::preparation::{Preparation, Prepared};
use super::reach::{self, Ways};
use super::reloading::{ReloadableParts, SetLogFilter};
use super::watching::Basis;
use super::{Addresses, CACHE, Run, StartError, Stopper};
use crate::admin::{Admin, View};
use crate::config::Settings;
use crate::limits;
use crate::pipeline::{Halt, Renewal, Shared, SourceIdentities, Worker};
use crate::source::{Gatherer, Reader, Retirement, Stop};
use standpipe_aws::secret_store::{Secrets, SecretsSettings};
use standpipe_aws::{AwsStatus, Unreached};
use standpipe_collector::CollectSettings;
use standpipe_core::event::Totals;
use standpipe_core::private;
use standpipe_core::secret::{NoManager, Resolve};
use standpipe_delivery::dead::{Folder, LetterDurability, Letters};
use standpipe_delivery::{Delivery, DeliverySettings};
use standpipe_http::Shutdown;
use standpipe_plugin_host::swap::Swapper;
use standpipe_spool::Durability;

/// What a run is made of before anything flows.
struct Parts {
    basis: Basis,
    delivery: Delivery,
    identities: SourceIdentities,
    aws: AwsStatus,
    letters: Arc<Letters>,
    copier: Option<Copier>,
    listening: Option<Listening>,
    admin: Option<(Admin, Option<KeptToken>)>,
    entrance: Option<Entrance>,
    set_log_filter: Option<SetLogFilter>,
    log_lines_dropped: Option<Arc<AtomicU64>>,
}

impl Run {
    /// The same as a part of a program.
    ///
    /// # Errors
    ///
    /// As for [`Run::start`].
    pub async fn start_embedded(
        settings: Settings,
        embedding: Embedding,
        runtime: &Handle,
    ) -> Result<Self, StartError> {
        let Embedding { port, entrance, set_log_filter, log_lines_dropped } = embedding;
        for input in &settings.inputs {
            input.check()?;
        }
        let unreached = if settings.fail_fast { Unreached::Fail } else { Unreached::Continue };
        let secrets = patiently!(unreached, open_secrets(settings.secrets.as_ref()).await);
        let known =
            patiently!(unreached, PluginSecrets::ask(settings.plugins_settings(), &secrets).await);
        // Neither compiling nor the plugin's own code may run on the threads
        // that drive input and output.
        let prepare = move || {
            let cache = settings.data_dir.join(CACHE);
            (Preparation::new(&settings, &known, Some(&cache)).into_prepared(), settings)
        };
        let prepared = runtime.spawn_blocking(prepare).await;
        let (prepared, settings) = prepared.expect("loading a plugin does not panic");
        let Prepared { swapper, tls } = prepared?;
        let ways = match port {
            Some(port) => Ways::one(port),
            None => {
                let (to, roles) = (&settings.destination, &settings.source_roles);
                patiently!(unreached, reach::open(to, roles, &secrets, unreached).await)
            }
        };
        let Ways { ports, identities, start_rate, aws } = ways;
        let dead = Folder::of_data_dir(&settings.data_dir).path().to_owned();
        private::narrow_existing(&dead);
        let is_lasting = settings.collect.is_some() || entrance.is_some();
        let letters = match is_lasting {
            true => {
                let durability = letter_durability(settings.collect.as_ref());
                let letters = Letters::waiting(dead, settings.dead_letters, durability);
                letters.map_err(StartError::Thread)?
            }
            false => Letters::bounded(dead, settings.dead_letters),
        };
        let letters = Arc::new(letters);
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
                Some(Listening::start(collect, tls, secrets, unreached, runtime).await?)
            }
            None => None,
        };
        let admin = match settings.admin {
            Some(address) => {
                let token = settings.admin_token.clone();
                let open = || KeptToken::open(token.clone(), Arc::clone(&secrets));
                let token = patiently!(unreached, open().await);
                warn_of_clear_token(address, token.is_some());
                Some((Admin::bind(address).await?, token))
            }
            None => None,
        };
        let basis = Basis::new(&settings, secrets);
        let parts = Parts {
            basis,
            delivery,
            identities,
            aws,
            letters,
            copier,
            listening,
            admin,
            entrance,
            set_log_filter,
            log_lines_dropped,
        };
        Self::spawn(settings, swapper, parts, runtime).map_err(StartError::Thread)
    }

    fn spawn(
        settings: Settings,
        swapper: Swapper,
        parts: Parts,
        runtime: &Handle,
    ) -> io::Result<Self> {
        let Parts {
            basis,
            delivery,
            identities,
            aws,
            letters,
            copier,
            listening,
            admin,
            entrance,
            ..
        } = parts;
        let connections = listening.as_ref().and_then(Listening::connections);
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
        let end = stopper.clone();
        letters.on_refusal(move || end.stop());
        let halted = Arc::new(Mutex::new(None));
        let abandoned = Arc::<AtomicBool>::default();
        let renewing = swapper.clone();
        // What is refused has been logged.
        let renewal = Renewal::new(move || drop(renewing.renew()));
        let shared = Shared {
            chunks: chunks_out,
            buffers: buffers_in,
            roles: Arc::clone(swapper.roles()),
            letters: Arc::clone(&letters),
            identities: Arc::new(identities),
            on_failure: settings.hosting.on_failure.clone(),
            renewal: Arc::new(renewal),
            halt: Arc::new(Halt::new(ender(
                stopper.clone(),
                Arc::clone(&halted),
                Arc::clone(&abandoned),
            ))),
            abandoned: Arc::clone(&abandoned),
        };
        if settings.fail_fast {
            let end = ender(stopper.clone(), Arc::clone(&halted), Arc::clone(&abandoned));
            delivery.fail_fast(end);
        }
        for session in aws.sessions().filter(|session| session.problem().is_some()) {
            let (waiting, shutdown) = (session.clone().wait_for_credentials(), shutdown.clone());
            runtime.spawn(async move {
                tokio::select! {
                    () = waiting => {}
                    () = shutdown.requested() => {}
                }
            });
        }
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
                sources: settings.source_names.clone(),
            };
            listening.collect(way, &shutdown, runtime)
        });
        let collecting = collecting.transpose()?;
        let copies = copier.iter().map(Copier::delivery);
        let reloadable = ReloadableParts::new(
            &settings,
            collecting.as_ref().map(Collecting::replaceable),
            [&delivery].into_iter().chain(copies).map(Delivery::downgrade).collect(),
            parts.set_log_filter,
        );
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
                aws,
                letters: Arc::clone(&letters),
                collector: collector.map(|collecting| Arc::clone(&collecting.collector)),
                spool: collector.map(|collecting| collecting.spool.clone()),
                held: collector.map(|collecting| Arc::clone(&collecting.held)),
                swapper: swapper.clone(),
                shutdown: shutdown.clone(),
                connections,
                log_lines_dropped: parts.log_lines_dropped,
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
        #[cfg(feature = "catalog")]
        let catalog = settings.catalog.map(|catalog| {
            // It stops as soon as no more is read, and has the time of the drain.
            let routes = cataloging::routes_in_use(Arc::clone(swapper.roles()));
            Cataloging::start(*catalog, routes, shutdown.clone())
        });
        Ok(Run {
            started: Instant::now(),
            totals,
            bytes_read,
            stopper,
            halted,
            abandoned,
            swapper,
            basis,
            reloadable,
            addresses,
            collecting,
            admin: told,
            drain_timeout: settings.drain_timeout,
            delivery,
            letters,
            copier,
            retirement,
            #[cfg(feature = "catalog")]
            cataloging: catalog.transpose()?,
            reader,
            gatherer,
            workers,
        })
    }
}

/// A dead letter outlives what the spool lets its event go for.
fn letter_durability(collect: Option<&CollectSettings>) -> LetterDurability {
    match collect.map(|collect| collect.spool.durability) {
        Some(Durability::Fsync) => LetterDurability::Synced,
        Some(Durability::Os | Durability::Memory) | None => LetterDurability::Written,
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

/// Ends a run for a reason, where the settings ask for that: its plugin fails, or a stream
/// accepts nothing. Workers take no more events, so the spool hands none out.
fn ender(
    stopper: Stopper,
    halted: Arc<Mutex<Option<String>>>,
    abandoned: Arc<AtomicBool>,
) -> impl Fn(String) + Send + Sync + 'static {
    move |why| {
        tracing::error!("{why}");
        *halted.lock() = Some(why);
        abandoned.store(true, Ordering::Release);
        stopper.stop();
    }
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
