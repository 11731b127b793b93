//! What a run is made of before anything flows, and how its parts are set to work.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::admin_token::{self, KeptToken};
#[cfg(feature = "catalog")]
use super::cataloging::{self, Cataloging};
use super::collecting::{Collecting, Listening};
use super::dead_letter_forwarder::DeadLetterForwarder;
use super::options::EmbeddedSource;
use super::reloading::{ReloadableParts, SetLogFilter};
use super::watching::ReloadInputs;
use super::{Addresses, Run};
use crate::admin::{Admin, View};
use crate::config::Settings;
use crate::limits;
use crate::pipeline::{Renewal, Shared, SourceIdentities, Worker};
use crate::source::{
    Chunker, InputReader, Progress, ReadReport, ReplayCompactor, SubmissionReader,
};
use crate::stop::{OnDrop, StopTokens};
use standpipe_aws::AwsStatus;
use standpipe_core::event::Chunk;
use standpipe_delivery::dead_letters::DeadLetterWriter;
use standpipe_delivery::{Delivery, RecordAccumulator};
use standpipe_plugin_host::swap::Swapper;

/// What a run is made of before anything flows.
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) swapper: Swapper,
    pub(super) stop: StopTokens,
    pub(super) reload_inputs: ReloadInputs,
    pub(super) delivery: Delivery,
    pub(super) identities: SourceIdentities,
    pub(super) aws: AwsStatus,
    pub(super) letters: Arc<DeadLetterWriter>,
    pub(super) copier: Option<DeadLetterForwarder>,
    pub(super) listening: Option<Listening>,
    pub(super) admin: Option<(Admin, Option<KeptToken>)>,
    pub(super) embedded_source: Option<EmbeddedSource>,
    pub(super) set_log_filter: Option<SetLogFilter>,
    pub(super) log_lines_dropped: Option<Arc<AtomicU64>>,
}

impl Parts {
    /// Sets the parts to work, against the way of events: whoever hands something on finds
    /// somebody who takes it.
    pub(super) fn launch(mut self, runtime: &Handle) -> io::Result<Run> {
        let progress = Progress::default();
        let chunks_max = self.settings.workers.get() * limits::CHUNKS_QUEUED_PER_WORKER;
        let (chunker, chunks, buffers) = Chunker::new(chunks_max, progress.clone());
        let addresses = self.addresses();
        self.stop_with_the_intake(runtime);
        self.stop_where_settings_ask_for_it();
        let workers = self.spawn_workers(chunks, buffers)?;
        let collecting = self.start_collecting(&chunker, runtime)?;
        let reloadable = self.reloadable(collecting.as_ref());
        let submissions = self.read_submissions(&chunker)?;
        let admin_stop = CancellationToken::new();
        self.serve_admin(&progress, collecting.as_ref(), &admin_stop, runtime);
        let compactor = ReplayCompactor::start(Arc::clone(&self.letters))?;
        let reader = self.read_inputs(chunker, &compactor)?;
        #[cfg(feature = "catalog")]
        let cataloging = self.start_catalog()?;
        Ok(Run {
            started: Instant::now(),
            progress,
            stop: self.stop,
            swapper: self.swapper,
            reload_inputs: self.reload_inputs,
            reloadable,
            addresses,
            collecting,
            admin_stop,
            drain_timeout: self.settings.drain_timeout,
            delivery: self.delivery,
            letters: self.letters,
            copier: self.copier,
            compactor,
            #[cfg(feature = "catalog")]
            cataloging,
            reader,
            submissions,
            workers,
        })
    }

    fn addresses(&self) -> Addresses {
        let listening = self.listening.as_ref();
        Addresses {
            collector: listening.and_then(Listening::address),
            is_encrypted: listening.is_some_and(Listening::is_encrypted),
            admin: self.admin.as_ref().map(|(admin, _)| admin.address()),
        }
    }

    /// What takes no token itself: an embedder's way in, and credentials that are waited for.
    fn stop_with_the_intake(&self, runtime: &Handle) {
        let intake_stop = &self.stop.intake_stop;
        if let Some(embedded_source) = &self.embedded_source {
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

    /// Dead letters that are refused, and a stream that is held, can end the run.
    fn stop_where_settings_ask_for_it(&self) {
        let intake_stop = self.stop.intake_stop.clone();
        self.letters.on_refusal(move || intake_stop.cancel());
        if self.settings.fail_fast {
            let stop = self.stop.clone();
            self.delivery.fail_fast(move |why| stop.end_early(why));
        }
    }

    /// Only workers hold the queue's end: it closes with the last of them.
    fn spawn_workers(
        &mut self,
        chunks: Receiver<Chunk>,
        buffers: Sender<Vec<u8>>,
    ) -> io::Result<Vec<JoinHandle<()>>> {
        let swapper = self.swapper.clone();
        // What is refused has been logged.
        let renewal = Renewal::new(move || drop(swapper.renew()));
        let shared = Shared {
            chunks,
            buffers,
            roles: Arc::clone(self.swapper.roles()),
            letters: Arc::clone(&self.letters),
            identities: Arc::new(std::mem::take(&mut self.identities)),
            on_failure: self.settings.hosting.on_failure.clone(),
            renewal: Arc::new(renewal),
            stop: self.stop.clone(),
        };
        let spawn = |number| {
            let worker = Worker::new(shared.clone(), RecordAccumulator::new(&self.delivery));
            thread::Builder::new().name(format!("worker-{number}")).spawn(|| worker.run())
        };
        (0..self.settings.workers.get()).map(spawn).collect()
    }

    fn start_collecting(
        &mut self,
        chunker: &Chunker,
        runtime: &Handle,
    ) -> io::Result<Option<Collecting>> {
        let Some(listening) = self.listening.take() else { return Ok(None) };
        let sources = self.settings.source_names.clone();
        listening.collect(chunker.clone(), sources, &self.stop, runtime).map(Some)
    }

    fn reloadable(&mut self, collecting: Option<&Collecting>) -> ReloadableParts {
        let copies = self.copier.iter().map(DeadLetterForwarder::delivery);
        let deliveries = [&self.delivery].into_iter().chain(copies).map(Delivery::downgrade);
        ReloadableParts::new(
            &self.settings,
            collecting.map(Collecting::replaceable),
            deliveries.collect(),
            self.set_log_filter.take(),
        )
    }

    /// What an embedder hands in is read until its way in is closed.
    fn read_submissions(&mut self, chunker: &Chunker) -> io::Result<Option<JoinHandle<()>>> {
        let Some(embedded_source) = self.embedded_source.take() else { return Ok(None) };
        let reader = SubmissionReader::new(embedded_source.submissions, embedded_source.source);
        chunker.clone().spawn("submissions", reader, CancellationToken::new()).map(Some)
    }

    fn serve_admin(
        &mut self,
        progress: &Progress,
        collecting: Option<&Collecting>,
        admin_stop: &CancellationToken,
        runtime: &Handle,
    ) {
        let Some((admin, token)) = self.admin.take() else { return };
        let view = View {
            progress: progress.clone(),
            delivery: self.delivery.clone(),
            aws: self.aws.clone(),
            letters: Arc::clone(&self.letters),
            #[cfg(feature = "collector")]
            collector: collecting.map(|collecting| Arc::clone(&collecting.collector)),
            spool: collecting.map(|collecting| collecting.spool().clone()),
            #[cfg(feature = "collector")]
            held: collecting.map(|collecting| Arc::clone(&collecting.held)),
            swapper: self.swapper.clone(),
            intake_stop: self.stop.intake_stop.clone(),
            connections: collecting.and_then(|collecting| collecting.connections().cloned()),
            log_lines_dropped: self.log_lines_dropped.take(),
        };
        let served = admin.serve(view, token.as_ref().map(KeptToken::token), admin_stop.clone());
        runtime.spawn(async move {
            tokio::select! {
                () = served => {}
                () = admin_token::refresh_token(token) => unreachable!("it asks for ever"),
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

    /// Its runs stop as soon as no more is read, and have the time of the drain.
    #[cfg(feature = "catalog")]
    fn start_catalog(&mut self) -> io::Result<Option<Cataloging>> {
        let Some(settings) = self.settings.catalog.take() else { return Ok(None) };
        let routes = cataloging::routes_in_use(Arc::clone(self.swapper.roles()));
        Cataloging::start(*settings, routes, self.stop.intake_stop.child_token()).map(Some)
    }
}
