//! The collector as a part of a run: it listens, writes to the spool, and sends events from the
//! spool to the workers. It applies changes of sources and certificate at run time.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::functions::SourceFunctions;
use super::patience::patiently;
use super::plugin_secrets::PluginSecrets;
use super::write_keys::StoredWriteKeys;
use super::{Addresses, CollectorSummary, RunError};
use crate::config::Settings;
use crate::limits;
use crate::source::{ChunkSource, Chunker};
use crate::stop::{OnDrop, StopTokens};
use standpipe_aws::OnUnreachable;
use standpipe_collector::{CollectSettings, Collector, HeldEvents, SpoolReader};
use standpipe_core::event::{NextChunk, SourceNames};
use standpipe_core::limits::STOP_POLL;
use standpipe_core::secret::SecretResolver;
use standpipe_delivery::dead_letters::DeadLetterDurability;
use standpipe_http::{ConnectionLimits, ConnectionStats, Descriptors, Server, Tls};
use standpipe_spool::{Consumer, Durability, Recovered, Spool};

/// A collector that listens, but does not respond yet.
pub(super) struct BoundCollector {
    /// `None` if an embedding program passes on the requests.
    server: Option<Server>,
    tls: Option<Tls>,
    collector: Arc<Collector>,
    functions: SourceFunctions,
    keys: Arc<StoredWriteKeys>,
    spool: Spool,
    consumer: Consumer,
}

/// A collector that responds to requests. Clones share one collector.
#[derive(Debug, Clone)]
pub(super) struct RunningCollector {
    pub(super) collector: Arc<Collector>,
    functions: Arc<SourceFunctions>,
    spool: Spool,
    /// `None` if an embedding program passes on the requests.
    connections: Option<ConnectionStats>,
    /// Events whose source is not in the settings.
    pub(super) held: Arc<HeldEvents>,
    keys: Arc<StoredWriteKeys>,
    source_names: Arc<ArcSwap<SourceNames>>,
    tls: Option<Tls>,
}

impl BoundCollector {
    /// Opens the spool, and listens.
    pub(super) async fn bind(
        settings: CollectSettings,
        functions: SourceFunctions,
        tls: Option<Tls>,
        secrets: Arc<dyn SecretResolver>,
        unreached: OnUnreachable,
        runtime: &Handle,
    ) -> Result<Self, RunError> {
        let connections = connection_limits(&settings)?;
        let CollectSettings { address, sources, referenced_keys, .. } = settings;
        let open = runtime.spawn_blocking(move || Spool::open(settings.spool));
        let (spool, consumer, recovered) = open.await.expect("opening a spool does not panic")?;
        log_recovery(&recovered);
        let collector = Collector::new(sources, settings.body_bytes_max, spool.clone())
            .with_shares(settings.body_bytes_per_peer_max)
            .with_proxies(settings.http.trusted_proxies, settings.public_url);
        collector.set_functions(functions.current());
        let keys = Arc::new(StoredWriteKeys::new(referenced_keys, secrets));
        patiently!(unreached, keys.apply_to(&collector).await);
        let server = match address {
            Some(address) => Some(Server::bind(address, tls.clone(), connections).await?),
            None => None,
        };
        let collector = Arc::new(collector);
        Ok(BoundCollector { server, tls, collector, functions, keys, spool, consumer })
    }

    pub(super) fn addresses(&self) -> Addresses {
        let collector = self.server.as_ref().map(Server::address);
        Addresses { collector, is_encrypted: self.tls.is_some(), admin: None }
    }

    /// Responds to requests until the intake is stopped, and starts the thread that reads the
    /// spool. `sources` are the known sources of events.
    pub(super) fn start(
        self,
        chunker: Chunker,
        sources: Arc<ArcSwap<SourceNames>>,
        stop: &StopTokens,
        runtime: &Handle,
    ) -> io::Result<(RunningCollector, JoinHandle<()>)> {
        let BoundCollector { server, tls, collector, functions, keys, spool, consumer } = self;
        let held = Arc::<HeldEvents>::default();
        let reader = SpoolReader::new(
            consumer,
            spool.clone(),
            chunker.totals(),
            Arc::clone(&sources),
            Arc::clone(&held),
        );
        // A spool in memory is read to its end, because it disappears with the process.
        let abort = match spool.is_durable() {
            true => stop.mapping_abort.child_token(),
            false => CancellationToken::new(),
        };
        let reader = chunker.spawn("spool-reader", reader, abort)?;
        let running = RunningCollector {
            collector: Arc::clone(&collector),
            functions: Arc::new(functions),
            spool: spool.clone(),
            connections: server.as_ref().map(Server::stats),
            held,
            keys: Arc::clone(&keys),
            source_names: sources,
            tls: tls.clone(),
        };
        let closing = OnDrop(move || spool.close());
        let intake_stop = stop.intake_stop.clone();
        runtime.spawn(async move {
            tokio::select! {
                () = serve(server, Arc::clone(&collector), intake_stop) => {}
                () = reload_certificate(tls) => unreachable!("it never ends"),
                () = keys.refresh(collector) => unreachable!("it never ends"),
            }
            drop(closing);
        });
        Ok((running, reader))
    }
}

/// Responds to requests until the intake is stopped. Without a server, an embedding program passes
/// on the requests.
async fn serve(server: Option<Server>, collector: Arc<Collector>, intake_stop: CancellationToken) {
    let Some(server) = server else { return intake_stop.cancelled().await };
    let answer = move |request, peer| {
        let collector = Arc::clone(&collector);
        async move { collector.handle(request, peer).await }
    };
    server.serve(answer, intake_stop).await;
}

async fn reload_certificate(tls: Option<Tls>) {
    match tls {
        Some(tls) => tls.reload().await,
        None => std::future::pending().await,
    }
}

impl ChunkSource for SpoolReader {
    fn next_chunk(&mut self, chunker: &Chunker) -> NextChunk {
        let next = self.read_chunk(STOP_POLL, || chunker.take_buffer());
        if let NextChunk::Chunk(chunk) = &next {
            chunker.count_read(chunk.bytes.len(), 0);
        }
        next
    }
}

impl RunningCollector {
    /// Replaces the sources.
    ///
    /// # Errors
    ///
    /// Fails if a write key cannot be resolved, or if two sources have the same key. Nothing
    /// changes then.
    pub(super) async fn set_sources(
        &self,
        settings: &CollectSettings,
        names: &SourceNames,
    ) -> Result<(), RunError> {
        let CollectSettings { sources, referenced_keys, .. } = settings;
        // The names are set before an event of a new source can reach the spool.
        let before = self.source_names.swap(Arc::new(names.clone()));
        let replaced =
            self.keys.replace(&self.collector, sources.clone(), referenced_keys.clone()).await;
        if replaced.is_err() {
            self.source_names.store(before);
        }
        replaced
    }

    /// The functions of sources.
    pub(super) fn functions(&self) -> &SourceFunctions {
        &self.functions
    }

    /// Loads changed functions of sources. A function that cannot be loaded is logged and counted,
    /// and the one in use stays.
    pub(super) fn reload_functions(&self, settings: &Settings, secrets: &PluginSecrets) {
        for error in self.functions.apply(settings, secrets) {
            self.collector.count_function_load_failure();
            tracing::error!("{error}; a function in use stays");
        }
        self.collector.set_functions(self.functions.current());
    }

    /// Replaces the certificate. Returns `None` if TLS would have to be turned on or off.
    pub(super) fn set_certificate(&self, settings: &CollectSettings) -> Result<(), RunError> {
        match (&self.tls, &settings.http.certificate) {
            (Some(tls), Some(files)) => Ok(tls.use_files(files.clone())?),
            _ => Ok(()),
        }
    }

    pub(super) fn spool(&self) -> &Spool {
        &self.spool
    }

    pub(super) fn connections(&self) -> Option<&ConnectionStats> {
        self.connections.as_ref()
    }

    /// Returns the collector's part of the summary.
    pub(super) fn summary(&self) -> CollectorSummary {
        let status = self.spool.status();
        CollectorSummary {
            accepted: self.collector.accepted(),
            unknown_keys: self.collector.unknown_keys(),
            // The senders of other events have them.
            waiting: if self.spool.is_on_disk() { status.items_waiting } else { 0 },
            held: self.held.events(),
            unknown_sources: self.held.sources(),
            corrupt: status.corrupt_items,
            unreadable: status.items_unreadable,
        }
    }
}

/// Limits of connections, within the limit of open files.
pub(super) fn connection_limits(settings: &CollectSettings) -> Result<ConnectionLimits, RunError> {
    let descriptors = Descriptors::of_process();
    let room = descriptors.connections_max();
    let connections_max = match (settings.http.connections_max, descriptors.limit()) {
        (None, _) => limits::HTTP_CONNECTIONS_MAX.min(room).max(1),
        (Some(connections), Some(limit)) if connections > room && settings.address.is_some() => {
            let needed = Descriptors::needed_for(connections);
            return Err(RunError::Descriptors { connections, room, limit, needed });
        }
        (Some(connections), _) => connections,
    };
    Ok(ConnectionLimits {
        connections_max,
        per_peer_max: settings.http.connections_per_peer_max.unwrap_or(connections_max.div_ceil(2)),
        keep_alive: settings.http.keep_alive,
        trusted: settings.http.trusted_proxies.clone(),
    })
}

fn log_recovery(recovered: &Recovered) {
    if recovered.items_waiting > 0 {
        tracing::info!(
            events = recovered.items_waiting,
            bytes = recovered.bytes,
            "found undelivered events from a previous run; delivering them first"
        );
    }
    if recovered.torn_bytes > 0 {
        tracing::info!(
            bytes = recovered.torn_bytes,
            "removed an incomplete entry at the end of the spool; its request was not answered"
        );
    }
    if recovered.acks_corrupt > 0 {
        tracing::error!(
            blocks = recovered.acks_corrupt,
            "corrupt acknowledgements in the spool; some events are delivered again"
        );
    }
}

/// A dead letter must be as durable as the spool that its event leaves.
pub(super) fn dead_letter_durability(collect: Option<&CollectSettings>) -> DeadLetterDurability {
    match collect.map(|collect| collect.spool.durability) {
        Some(Durability::Fsync | Durability::Acknowledged) => DeadLetterDurability::Synced,
        Some(Durability::Os | Durability::Memory) | None => DeadLetterDurability::Written,
    }
}
