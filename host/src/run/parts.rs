//! The parts of a run: opened before the first event, and then started.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::admin_token::{self, ResolvedToken};
#[cfg(feature = "catalog")]
use super::catalog_scheduler::{self, CatalogScheduler};
use super::clients::Clients;
use super::collector::{BoundCollector, RunningCollector, dead_letter_durability};
use super::dead_letter_forwarder::DeadLetterForwarder;
use super::options::RunOptions;
use super::patience::patiently;
use super::plugin_secrets::PluginSecrets;
use super::plugins::Companions;
use super::preparation::Preparation;
use super::reloadable::ReloadableParts;
use super::secrets::open_secrets;
use super::{Addresses, CACHE, Run, RunError};
use crate::admin::{Admin, AdminView};
use crate::config::Settings;
use crate::limits;
use crate::pipeline::{SourceIdentities, Worker, WorkerContext};
use crate::source::{
    Chunker, InputReader, Progress, ReadReport, ReplayCompactor, SubmissionReader,
};
use crate::stop::{OnDrop, StopTokens};
use standpipe_aws::{AwsStatus, OnUnreachable};
use standpipe_core::event::Chunk;
use standpipe_core::private;
use standpipe_core::secret::SecretResolver;
use standpipe_delivery::dead_letters::{DeadLetterDirectory, DeadLetterWriter};
use standpipe_delivery::{Delivery, DeliverySettings, RecordAccumulator};
use standpipe_plugin_host::swap::Swapper;

/// The parts of a run before the first event.
pub(crate) struct RunParts {
    pub(super) settings: Settings,
    pub(super) swapper: Swapper,
    pub(super) stop: StopTokens,
    pub(super) secrets: Arc<dyn SecretResolver>,
    pub(super) companions: Companions,
    pub(super) delivery: Delivery,
    pub(super) identities: SourceIdentities,
    pub(super) aws: AwsStatus,
    pub(crate) dead_letters: Arc<DeadLetterWriter>,
    pub(super) forwarder: Option<DeadLetterForwarder>,
    pub(super) bound_collector: Option<BoundCollector>,
    pub(super) admin: Option<(Admin, Option<ResolvedToken>)>,
    pub(super) options: RunOptions,
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
        let known = patiently!(
            unreached,
            PluginSecrets::resolve(settings.all_plugin_settings(), &secrets).await
        );
        // Compiling and plugin code would block the runtime's threads.
        let prepare = move || {
            let cache = settings.data_dir.join(CACHE);
            (Preparation::new(&settings, &known, Some(&cache)).into_prepared(), settings)
        };
        let prepared = runtime.spawn_blocking(prepare).await;
        let (prepared, settings) = prepared.expect("loading a plugin does not panic");
        let (swapper, tls) = prepared?;
        let clients = match options.firehose_client.take() {
            Some(client) => Clients::shared(client),
            None => {
                let (to, roles) = (&settings.destination, &settings.source_roles);
                patiently!(unreached, Clients::open(to, roles, &secrets, unreached).await)
            }
        };
        let Clients { firehose_clients, identities, start_rate, aws } = clients;
        let dead_letters =
            Arc::new(open_dead_letters(&settings, options.embedded_source.is_some())?);
        let how = DeliverySettings { start_rate, ..settings.delivery.clone() };
        let stop = StopTokens::default();
        // Each delivery can be aborted separately: copies after events are delivered, and events if
        // a stream is held.
        let deliver = |abort| {
            let (firehose_clients, how, dead_letters) =
                (firehose_clients.clone(), how.clone(), Arc::clone(&dead_letters));
            Delivery::new(firehose_clients, how, dead_letters, runtime.clone(), abort)
        };
        let forwarder = settings.dead_letter_stream.as_ref().map(|stream| {
            let abort = stop.delivery_abort.child_token();
            DeadLetterForwarder::start(
                Arc::clone(&dead_letters),
                deliver(abort.clone()),
                abort,
                stream,
            )
        });
        let forwarder = forwarder.transpose().map_err(RunError::Thread)?;
        let delivery = deliver(stop.delivery_abort.child_token());
        let bound_collector = match settings.collect.clone() {
            Some(collect) => {
                let secrets = Arc::clone(&secrets);
                Some(BoundCollector::bind(collect, tls, secrets, unreached, runtime).await?)
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
        let companions = Companions::of(&settings);
        Ok(RunParts {
            settings,
            swapper,
            stop,
            secrets,
            companions,
            delivery,
            identities,
            aws,
            dead_letters,
            forwarder,
            bound_collector,
            admin,
            options,
        })
    }

    /// Starts the parts in the reverse order of the events' path, so that each part finds the next
    /// one running.
    pub(super) fn launch(mut self, runtime: &Handle) -> io::Result<Run> {
        let progress = Progress::default();
        let chunks_max = self.settings.workers.get() * limits::CHUNKS_QUEUED_PER_WORKER;
        let (chunker, chunks, buffers) = Chunker::new(chunks_max, progress.clone());
        let addresses = self.addresses();
        self.stop_with_intake(runtime);
        self.stop_on_failures();
        let workers = self.spawn_workers(chunks, buffers)?;
        let (collector, spool_reader) = self.start_collector(&chunker, runtime)?.unzip();
        let reloadable = self.reloadable_parts(collector.clone());
        let submissions = self.read_submissions(&chunker)?;
        let admin_stop = CancellationToken::new();
        self.serve_admin(&progress, collector.as_ref(), &admin_stop, runtime);
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
            admin_stop,
            compactor,
            #[cfg(feature = "catalog")]
            catalog_scheduler,
            reader,
            feeders: spool_reader.into_iter().chain(submissions).collect(),
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
        if self.settings.fail_fast {
            let stop = self.stop.clone();
            self.delivery.fail_fast(move |why| stop.end_early(why));
        }
    }

    /// Spawns the workers. The queue of chunks closes with the last one.
    fn spawn_workers(
        &mut self,
        chunks: Receiver<Chunk>,
        buffers: Sender<Vec<u8>>,
    ) -> io::Result<Vec<JoinHandle<()>>> {
        let swapper = self.swapper.clone();
        // A rejection has been logged.
        let shared = WorkerContext {
            chunks,
            buffers,
            roles: Arc::clone(self.swapper.roles()),
            dead_letters: Arc::clone(&self.dead_letters),
            identities: Arc::new(std::mem::take(&mut self.identities)),
            on_failure: self.settings.hosting.on_failure.clone(),
            renew_plugin: Arc::new(move || drop(swapper.renew())),
            stop: self.stop.clone(),
        };
        let spawn = |number| {
            let worker = Worker::new(shared.clone(), RecordAccumulator::new(&self.delivery));
            thread::Builder::new().name(format!("worker-{number}")).spawn(|| worker.run())
        };
        (0..self.settings.workers.get()).map(spawn).collect()
    }

    fn start_collector(
        &mut self,
        chunker: &Chunker,
        runtime: &Handle,
    ) -> io::Result<Option<(RunningCollector, JoinHandle<()>)>> {
        let Some(bound_collector) = self.bound_collector.take() else { return Ok(None) };
        let sources = self.settings.source_names.clone();
        bound_collector.start(chunker.clone(), sources, &self.stop, runtime).map(Some)
    }

    fn reloadable_parts(&mut self, collector: Option<RunningCollector>) -> ReloadableParts {
        let copies = self.forwarder.iter().map(|forwarder| &forwarder.delivery);
        let deliveries = [&self.delivery].into_iter().chain(copies).map(Delivery::downgrade);
        let set_log_filter = self.options.set_log_filter.take();
        ReloadableParts::new(&self.settings, collector, deliveries.collect(), set_log_filter)
    }

    /// Reads the events of an embedding program until its source is closed.
    fn read_submissions(&mut self, chunker: &Chunker) -> io::Result<Option<JoinHandle<()>>> {
        let Some(embedded_source) = self.options.embedded_source.take() else { return Ok(None) };
        let reader = SubmissionReader::new(embedded_source.submissions, embedded_source.source);
        chunker.clone().spawn("submissions", reader, CancellationToken::new()).map(Some)
    }

    fn serve_admin(
        &mut self,
        progress: &Progress,
        collector: Option<&RunningCollector>,
        admin_stop: &CancellationToken,
        runtime: &Handle,
    ) {
        let Some((admin, token)) = self.admin.take() else { return };
        let view = AdminView {
            progress: progress.clone(),
            delivery: self.delivery.clone(),
            aws: self.aws.clone(),
            dead_letters: Arc::clone(&self.dead_letters),
            #[cfg(feature = "collector")]
            collector: collector.map(|collector| Arc::clone(&collector.collector)),
            spool: collector.map(|collector| collector.spool().clone()),
            #[cfg(feature = "collector")]
            held: collector.map(|collector| Arc::clone(&collector.held)),
            swapper: self.swapper.clone(),
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
        let routes = catalog_scheduler::active_routes(Arc::clone(self.swapper.roles()));
        CatalogScheduler::start(*settings, routes, self.stop.intake_stop.child_token()).map(Some)
    }
}

/// Opens the writer of dead letters. In a long-lived run, dead letters wait while the disk is full.
fn open_dead_letters(settings: &Settings, is_embedded: bool) -> Result<DeadLetterWriter, RunError> {
    let directory = DeadLetterDirectory::of_data_dir(&settings.data_dir).path().to_owned();
    private::narrow_existing(&directory);
    if settings.collect.is_none() && !is_embedded {
        return Ok(DeadLetterWriter::bounded(directory, settings.dead_letters));
    }
    let durability = dead_letter_durability(settings.collect.as_ref());
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
