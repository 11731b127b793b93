//! The parts of a run: opened before the first event, and then started.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::admin_token::{self, ResolvedToken};
#[cfg(feature = "catalog")]
use super::catalog_scheduler::{self, CatalogScheduler};
use super::clients::Clients;
use super::collector::{BoundCollector, RunningCollector, dead_letter_durability};
use super::dead_letter_forwarder::DeadLetterForwarder;
use super::fleet::{JoinedFleet, RunningFleet};
use super::options::RunOptions;
use super::patience::patiently;
use super::plugin_secrets::PluginSecrets;
use super::plugins::Companions;
use super::preparation::{Preparation, PreparedRun};
use super::queue::{ConnectedQueue, RunningQueue};
use super::reloadable::ReloadableParts;
use super::secrets::open_secrets;
use super::{Addresses, CACHE, Run, RunError};
use crate::admin::{Admin, AdminView, MappingView};
use crate::config::Settings;
use crate::limits;
use crate::pipeline::{SourceIdentities, Worker, WorkerContext};
use crate::source::{
    Chunker, InputReader, Progress, ReadReport, ReplayCompactor, SubmissionReader,
};
use crate::stop::{OnDrop, StopTokens};
use standpipe_aws::{AwsStatus, OnUnreachable};
use standpipe_core::event::{Chunk, SourceNames, StreamName};
use standpipe_core::private;
use standpipe_core::secret::SecretResolver;
use standpipe_delivery::dead_letters::{
    DeadLetterDirectory, DeadLetterDurability, DeadLetterWriter,
};
use standpipe_delivery::{Delivery, DeliverySettings, FirehoseClients, RecordAccumulator};
use standpipe_plugin_host::plugin_thread;
use standpipe_plugin_host::swap::Swapper;

/// The parts of a run before the first event.
pub(crate) struct RunParts {
    pub(super) settings: Settings,
    /// None if the run publishes events to a queue, and maps none.
    pub(super) mapping: Option<MappingParts>,
    /// Delivers copies of dead letters.
    pub(super) forwarder: Option<DeadLetterForwarder>,
    pub(super) aws: AwsStatus,
    pub(super) queue: Option<ConnectedQueue>,
    pub(super) fleet: Option<JoinedFleet>,
    pub(super) stop: StopTokens,
    pub(super) secrets: Arc<dyn SecretResolver>,
    pub(crate) dead_letters: Arc<DeadLetterWriter>,
    pub(super) bound_collector: Option<BoundCollector>,
    pub(super) admin: Option<(Admin, Option<ResolvedToken>)>,
    pub(super) options: RunOptions,
}

/// The parts that map and deliver events.
pub(super) struct MappingParts {
    pub(super) swapper: Swapper,
    pub(super) companions: Companions,
    pub(super) delivery: Delivery,
    pub(super) identities: SourceIdentities,
}

/// Starts deliveries with the clients of a run. Each delivery can be aborted separately: copies of dead letters after
/// events are delivered, and events if a stream is held.
struct DeliveryStarter {
    clients: FirehoseClients,
    settings: DeliverySettings,
    dead_letters: Arc<DeadLetterWriter>,
    runtime: Handle,
}

impl DeliveryStarter {
    fn start(&self, abort: CancellationToken) -> Delivery {
        let DeliveryStarter { clients, settings, dead_letters, runtime } = self;
        let dead_letters = Arc::clone(dead_letters);
        Delivery::new(clients.clone(), settings.clone(), dead_letters, runtime.clone(), abort)
    }

    /// Starts to copy dead letters to this stream.
    fn forward_dead_letters(
        &self,
        stream: &StreamName,
        abort: CancellationToken,
    ) -> io::Result<DeadLetterForwarder> {
        let delivery = self.start(abort.clone());
        DeadLetterForwarder::start(Arc::clone(&self.dead_letters), delivery, abort, stream)
    }
}

impl RunParts {
    /// Opens the parts: plugin, delivery streams, dead letters, listeners. Nothing is read.
    ///
    /// # Errors
    ///
    /// Fails if a setting does not work.
    pub(super) async fn open(
        settings: Settings,
        mut options: RunOptions,
        runtime: &Handle,
    ) -> Result<Self, RunError> {
        for input in &settings.inputs {
            input.check()?;
        }
        for warning in &settings.warnings {
            tracing::warn!("settings: {warning}");
        }
        let unreached =
            if settings.fail_fast { OnUnreachable::Fail } else { OnUnreachable::Continue };
        let secrets = patiently!(unreached, open_secrets(settings.secrets.as_ref()).await);
        let known = patiently!(unreached, PluginSecrets::resolve_all(&settings, &secrets).await);
        // Compiling and plugin code would block the runtime's threads.
        let prepare = move || {
            let cache = settings.data_dir.join(CACHE);
            (Preparation::new(&settings, &known, Some(&cache)).into_prepared(), settings)
        };
        let prepared = runtime.spawn_blocking(prepare).await;
        let (prepared, settings) = prepared.expect("loading a plugin does not panic");
        let PreparedRun { swapper, functions, tls } = prepared?;
        let dead_letters =
            Arc::new(open_dead_letters(&settings, options.embedded_source.is_some())?);
        let stop = StopTokens::default();
        let (mut mapping, mut forwarder, mut aws) = (None, None, AwsStatus::default());
        // A collector of a queue delivers only copies of dead letters.
        if swapper.is_some() || settings.dead_letter_stream.is_some() {
            let clients = match options.firehose_client.take() {
                Some(client) => Clients::shared(client),
                None => {
                    let (to, roles) = (&settings.destination, &settings.source_roles);
                    patiently!(unreached, Clients::open(to, roles, &secrets, unreached).await)
                }
            };
            aws = clients.aws;
            let deliveries = DeliveryStarter {
                clients: clients.firehose_clients,
                settings: DeliverySettings {
                    start_rate: clients.start_rate,
                    ..settings.delivery.clone()
                },
                dead_letters: Arc::clone(&dead_letters),
                runtime: runtime.clone(),
            };
            let abort = || stop.delivery_abort.child_token();
            if let Some(stream) = &settings.dead_letter_stream {
                let started = deliveries.forward_dead_letters(stream, abort());
                forwarder = Some(started.map_err(RunError::Thread)?);
            }
            mapping = swapper.map(|swapper| MappingParts {
                swapper,
                companions: Companions::of(&settings),
                delivery: deliveries.start(abort()),
                identities: clients.identities,
            });
        }
        let fleet = match (&settings.fleet, &mapping) {
            (Some(fleet), Some(MappingParts { swapper, .. })) => {
                let join = || JoinedFleet::join(fleet, swapper, &secrets);
                Some(patiently!(unreached, join().await))
            }
            // A collector maps nothing.
            _ => None,
        };
        let mut queue = match settings.queue.clone() {
            Some(queue) => {
                Some(ConnectedQueue::connect(queue, &secrets, unreached, &stop, runtime).await?)
            }
            None => None,
        };
        if let (Some(queue), Some(fleet)) = (&mut queue, &fleet) {
            queue.wait_for_fleet(fleet);
        }
        let bound_collector = match settings.collect.clone() {
            Some(collect) => {
                let secrets = Arc::clone(&secrets);
                let functions = functions.expect("a collector has functions, perhaps none");
                let bind =
                    BoundCollector::bind(collect, functions, tls, secrets, unreached, runtime);
                Some(bind.await?)
            }
            None => None,
        };
        let admin = match settings.admin {
            Some(address) => {
                let token = settings.admin_token.clone();
                let open = || ResolvedToken::open(token.clone(), Arc::clone(&secrets));
                let token = patiently!(unreached, open().await);
                warn_of_clear_token(address, token.is_some());
                Some((Admin::bind(address).await?, token))
            }
            None => None,
        };
        Ok(RunParts {
            settings,
            mapping,
            forwarder,
            aws,
            queue,
            fleet,
            stop,
            secrets,
            dead_letters,
            bound_collector,
            admin,
            options,
        })
    }

    /// Starts the parts in the reverse order of the events' path, so that each part finds the next
    /// one running.
    pub(super) fn launch(mut self, runtime: &Handle) -> io::Result<Run> {
        let progress = Progress::default();
        let addresses = self.addresses();
        self.stop_with_intake(runtime);
        self.stop_on_failures();
        let (chunker, queued_chunker, workers) = self.spawn_consumers(&progress)?;
        let sources = Arc::new(ArcSwap::from_pointee(self.settings.source_names.clone()));
        let (queue, queue_reader) = self.start_queue(queued_chunker, &sources, runtime)?;
        let (collector, spool_reader) = self.start_collector(&chunker, &sources, runtime)?.unzip();
        let reloadable = self.reloadable_parts(collector.clone());
        let submissions = self.read_submissions(&chunker)?;
        let admin_stop = CancellationToken::new();
        let fleet = self.fleet.take().map(|fleet| fleet.start(runtime));
        let machines = (queue.as_ref(), fleet.as_ref());
        self.serve_admin(&progress, collector.as_ref(), machines, &admin_stop, runtime);
        let compactor = ReplayCompactor::start(Arc::clone(&self.dead_letters))?;
        let reader = self.read_inputs(chunker, &compactor)?;
        #[cfg(feature = "catalog")]
        let catalog_scheduler = self.start_catalog_scheduler()?;
        Ok(Run {
            started: Instant::now(),
            progress,
            parts: self,
            reloadable,
            addresses,
            collector,
            queue,
            fleet,
            admin_stop,
            compactor,
            #[cfg(feature = "catalog")]
            catalog_scheduler,
            reader,
            feeders: spool_reader.into_iter().chain(submissions).chain(queue_reader).collect(),
            workers,
        })
    }

    fn addresses(&self) -> Addresses {
        let admin = self.admin.as_ref().map(|(admin, _)| admin.address());
        let collector = self.bound_collector.as_ref().map(BoundCollector::addresses);
        Addresses { admin, ..collector.unwrap_or_default() }
    }

    /// Stops parts that have no stop token: the source of an embedding program, and the wait for
    /// credentials.
    fn stop_with_intake(&self, runtime: &Handle) {
        let intake_stop = &self.stop.intake_stop;
        if let Some(embedded_source) = &self.options.embedded_source {
            let (submitter, intake_stop) = (embedded_source.submitter.clone(), intake_stop.clone());
            let closing = OnDrop(move || submitter.close());
            runtime.spawn(async move {
                intake_stop.cancelled().await;
                drop(closing);
            });
        }
        for session in self.aws.sessions().filter(|session| session.problem().is_some()) {
            let waiting = session.clone().wait_for_credentials();
            runtime.spawn(intake_stop.clone().run_until_cancelled_owned(waiting));
        }
    }

    /// Lets a held stream, and dead letters that cannot be written, end the run.
    fn stop_on_failures(&self) {
        let intake_stop = self.stop.intake_stop.clone();
        self.dead_letters.on_refusal(move || intake_stop.cancel());
        if self.settings.fail_fast
            && let Some(mapping) = &self.mapping
        {
            let stop = self.stop.clone();
            mapping.delivery.fail_fast(move |why| stop.end_early(why));
        }
    }

    /// Spawns the threads that process chunks: workers, and those that publish chunks to the queue. Returns the chunker
    /// of the run's own sources, and that of chunks from the queue.
    fn spawn_consumers(
        &mut self,
        progress: &Progress,
    ) -> io::Result<(Chunker, Option<Chunker>, Vec<JoinHandle<()>>)> {
        let threads = self.settings.workers.get();
        let chunks_max = threads * limits::CHUNKS_QUEUED_PER_WORKER;
        let (chunker, chunks, buffers) = Chunker::new(chunks_max, progress.clone());
        let mut consumers = Vec::new();
        if self.mapping.is_some() {
            consumers.extend(self.spawn_workers(chunks.clone(), buffers.clone())?);
        }
        match &self.queue {
            Some(queue) if self.settings.publishes() => {
                let is_mapper = self.mapping.is_some();
                // Events that are published and then received again count once: where they are mapped.
                let (intake, chunks, buffers) = match is_mapper {
                    true => Chunker::new(chunks_max, Progress::default()),
                    false => (chunker.clone(), chunks, buffers),
                };
                let ends = (chunks, buffers);
                consumers.extend(queue.spawn_publishers(threads, ends, &self.dead_letters)?);
                Ok((intake, is_mapper.then_some(chunker), consumers))
            }
            Some(_) => Ok((chunker.clone(), Some(chunker), consumers)),
            None => Ok((chunker, None, consumers)),
        }
    }

    fn start_queue(
        &mut self,
        chunker: Option<Chunker>,
        sources: &Arc<ArcSwap<SourceNames>>,
        runtime: &Handle,
    ) -> io::Result<(Option<RunningQueue>, Option<JoinHandle<()>>)> {
        let Some(queue) = self.queue.take() else { return Ok((None, None)) };
        let (queue, reader) = queue.start(chunker, Arc::clone(sources), &self.stop, runtime)?;
        Ok((Some(queue), reader))
    }

    /// Spawns the workers. The queue of chunks closes with the last one.
    fn spawn_workers(
        &mut self,
        chunks: Receiver<Chunk>,
        buffers: Sender<Vec<u8>>,
    ) -> io::Result<Vec<JoinHandle<()>>> {
        let mapping = self.mapping.as_mut().expect("only a run with a plugin has workers");
        let swapper = mapping.swapper.clone();
        // A rejection has been logged.
        let shared = WorkerContext {
            chunks,
            buffers,
            roles: Arc::clone(mapping.swapper.roles()),
            dead_letters: Arc::clone(&self.dead_letters),
            identities: Arc::new(std::mem::take(&mut mapping.identities)),
            on_failure: self.settings.hosting.on_failure.clone(),
            renew_plugin: Arc::new(move || drop(swapper.renew())),
            stop: self.stop.clone(),
        };
        let spawn = |number| {
            let worker = Worker::new(shared.clone(), RecordAccumulator::new(&mapping.delivery));
            plugin_thread(format!("worker-{number}")).spawn(|| worker.run())
        };
        (0..self.settings.workers.get()).map(spawn).collect()
    }

    fn start_collector(
        &mut self,
        chunker: &Chunker,
        sources: &Arc<ArcSwap<SourceNames>>,
        runtime: &Handle,
    ) -> io::Result<Option<(RunningCollector, JoinHandle<()>)>> {
        let Some(bound_collector) = self.bound_collector.take() else { return Ok(None) };
        let sources = Arc::clone(sources);
        bound_collector.start(chunker.clone(), sources, &self.stop, runtime).map(Some)
    }

    fn reloadable_parts(&mut self, collector: Option<RunningCollector>) -> ReloadableParts {
        let events = self.mapping.iter().map(|mapping| &mapping.delivery);
        let copies = self.forwarder.iter().map(|forwarder| &forwarder.delivery);
        let deliveries = events.chain(copies).map(Delivery::downgrade).collect();
        let set_log_filter = self.options.set_log_filter.take();
        ReloadableParts::new(&self.settings, collector, deliveries, set_log_filter)
    }

    /// Reads the events of an embedding program until its source is closed.
    fn read_submissions(&mut self, chunker: &Chunker) -> io::Result<Option<JoinHandle<()>>> {
        let Some(embedded_source) = self.options.embedded_source.take() else { return Ok(None) };
        let reader = SubmissionReader::new(embedded_source.submissions, embedded_source.source);
        chunker.clone().spawn("submissions", reader, CancellationToken::new()).map(Some)
    }

    #[cfg_attr(
        not(feature = "queue"),
        expect(unused_variables, reason = "without the feature, no run has a queue")
    )]
    fn serve_admin(
        &mut self,
        progress: &Progress,
        collector: Option<&RunningCollector>,
        (queue, fleet): (Option<&RunningQueue>, Option<&RunningFleet>),
        admin_stop: &CancellationToken,
        runtime: &Handle,
    ) {
        let Some((admin, token)) = self.admin.take() else { return };
        let view = AdminView {
            progress: progress.clone(),
            mapping: self.mapping.as_ref().map(|mapping| MappingView {
                delivery: mapping.delivery.clone(),
                swapper: mapping.swapper.clone(),
            }),
            aws: self.aws.clone(),
            #[cfg(feature = "queue")]
            queue: queue.map(|queue| queue.monitor.clone()),
            #[cfg(feature = "queue")]
            fleet: fleet.map(|fleet| fleet.monitor.clone()),
            dead_letters: Arc::clone(&self.dead_letters),
            #[cfg(feature = "collector")]
            collector: collector.map(|collector| Arc::clone(&collector.collector)),
            spool: collector.map(|collector| collector.spool().clone()),
            #[cfg(feature = "collector")]
            held: collector.map(|collector| Arc::clone(&collector.held)),
            intake_stop: self.stop.intake_stop.clone(),
            connections: collector.and_then(|collector| collector.connections().cloned()),
            log_lines_dropped: self.options.log_lines_dropped.take(),
        };
        let served =
            admin.serve(view, token.as_ref().map(|kept| kept.token.clone()), admin_stop.clone());
        runtime.spawn(async move {
            tokio::select! {
                () = served => {}
                () = admin_token::refresh_token(token) => unreachable!("it never ends"),
            }
        });
    }

    fn read_inputs(
        &mut self,
        chunker: Chunker,
        compactor: &ReplayCompactor,
    ) -> io::Result<JoinHandle<ReadReport>> {
        let reader = InputReader {
            inputs: std::mem::take(&mut self.settings.inputs),
            chunker,
            removals: compactor.removals(),
            intake_stop: self.stop.intake_stop.clone(),
        };
        thread::Builder::new().name("reader".to_owned()).spawn(|| reader.run())
    }

    /// Starts the catalog's scheduler. Its runs stop with the intake, and have the time of the
    /// drain to finish.
    #[cfg(feature = "catalog")]
    fn start_catalog_scheduler(&mut self) -> io::Result<Option<CatalogScheduler>> {
        let Some(settings) = self.settings.catalog.take() else { return Ok(None) };
        let mapping = self.mapping.as_ref().expect("the settings of a collector have no schedule");
        let routes = catalog_scheduler::active_routes(Arc::clone(mapping.swapper.roles()));
        CatalogScheduler::start(*settings, routes, self.stop.intake_stop.child_token()).map(Some)
    }
}

/// Opens the writer of dead letters. In a long-lived run, dead letters wait while the disk is full.
fn open_dead_letters(settings: &Settings, is_embedded: bool) -> Result<DeadLetterWriter, RunError> {
    let directory = DeadLetterDirectory::of_data_dir(&settings.data_dir).path().to_owned();
    private::narrow_existing(&directory);
    if settings.collect.is_none() && settings.queue.is_none() && !is_embedded {
        return Ok(DeadLetterWriter::bounded(directory, settings.dead_letters));
    }
    let durability = match settings.queue {
        // As durable as the message that it leaves.
        Some(_) => DeadLetterDurability::Synced,
        None => dead_letter_durability(settings.collect.as_ref()),
    };
    DeadLetterWriter::waiting(directory, settings.dead_letters, durability)
        .map_err(RunError::Thread)
}

/// Warns if the token is sent in the clear, because anyone who can read the network can read the
/// token.
fn warn_of_clear_token(address: SocketAddr, has_token: bool) {
    if has_token && !address.ip().is_loopback() {
        tracing::warn!(
            "[admin] listen = \"{address}\" is reachable from other machines, and the token of [admin] is sent \
             unencrypted: listen on 127.0.0.1, or put a proxy with TLS in front"
        );
    }
}
