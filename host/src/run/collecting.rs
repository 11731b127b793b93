//! The collector as a part of a run: listening, from its clients through the spool to the
//! workers, and what of it follows the settings.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::patience::patiently;
use super::write_keys::KeptKeys;
use super::{Collected, StartError};
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

/// A collector that listens, and has not been asked anything yet.
pub(super) struct Listening {
    /// None where the program that this is part of brings the requests.
    server: Option<Server>,
    tls: Option<Tls>,
    collector: Arc<Collector>,
    keys: Arc<KeptKeys>,
    spool: Spool,
    consumer: Consumer,
}

/// A collector at work: from its clients through the spool to the workers.
#[derive(Debug)]
pub(super) struct Collecting {
    pub(super) collector: Arc<Collector>,
    spool: Spool,
    /// What became of its connections; none where the program that this is part of brings
    /// the requests.
    connections: Option<ConnectionStats>,
    reader: thread::JoinHandle<()>,
    /// Events of sources that the settings do not have.
    pub(super) held: Arc<HeldEvents>,
    replaceable: Replaceable,
}

/// What of a collector follows its settings without a restart.
#[derive(Debug, Clone)]
pub(super) struct Replaceable {
    collector: Arc<Collector>,
    keys: Arc<KeptKeys>,
    source_names: Arc<ArcSwap<SourceNames>>,
    tls: Option<Tls>,
}

impl Listening {
    /// Open the spool, and listen.
    pub(super) async fn start(
        settings: CollectSettings,
        tls: Option<Tls>,
        secrets: Arc<dyn SecretResolver>,
        unreached: OnUnreachable,
        runtime: &Handle,
    ) -> Result<Self, StartError> {
        let connections = connection_limits(&settings)?;
        let CollectSettings { address, sources, referenced_keys, .. } = settings;
        let open = runtime.spawn_blocking(move || Spool::open(settings.spool));
        let (spool, consumer, recovered) = open.await.expect("opening a spool does not panic")?;
        tell(&recovered);
        let collector = Collector::new(sources, settings.body_bytes_max, spool.clone())
            .with_shares(settings.body_bytes_per_peer_max)
            .with_proxies(settings.http.trusted_proxies, settings.public_url);
        let keys = Arc::new(KeptKeys::new(referenced_keys, secrets));
        patiently!(unreached, keys.hand_to(&collector).await);
        let server = match address {
            Some(address) => Some(Server::bind(address, tls.clone(), connections).await?),
            None => None,
        };
        let collector = Arc::new(collector);
        Ok(Listening { server, tls, collector, keys, spool, consumer })
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(Server::address)
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Answer clients until the intake is stopped, and hand out what is in the spool. The
    /// events may be of these sources.
    pub(super) fn collect(
        self,
        chunker: Chunker,
        sources: SourceNames,
        stop: &StopTokens,
        runtime: &Handle,
    ) -> io::Result<Collecting> {
        let Listening { server, tls, collector, keys, spool, consumer } = self;
        let held = Arc::<HeldEvents>::default();
        let source_names = Arc::new(ArcSwap::from_pointee(sources));
        let reader = SpoolReader::new(
            consumer,
            spool.clone(),
            chunker.totals(),
            Arc::clone(&source_names),
            Arc::clone(&held),
        );
        // What is in memory alone is handed out whatever comes of it.
        let abort = match spool.is_durable() {
            true => stop.mapping_abort.child_token(),
            false => CancellationToken::new(),
        };
        let reader = chunker.spawn("spool-reader", reader, abort)?;
        let connections = server.as_ref().map(Server::stats);
        let replaceable = Replaceable {
            collector: Arc::clone(&collector),
            keys: Arc::clone(&keys),
            source_names,
            tls: tls.clone(),
        };
        let (answered, closed) = (Arc::clone(&collector), spool.clone());
        let closing = OnDrop(move || closed.close());
        let intake_stop = stop.intake_stop.clone();
        runtime.spawn(async move {
            tokio::select! {
                () = serve_clients(server, Arc::clone(&answered), intake_stop) => {}
                () = reload_certificate(tls) => unreachable!("it looks for ever"),
                () = keys.refresh(answered) => unreachable!("it asks for ever"),
            }
            drop(closing);
        });
        Ok(Collecting { collector, spool, connections, reader, held, replaceable })
    }
}

/// Answer clients until the intake is stopped; where the program that this is part of brings
/// the requests, that is all there is to wait for.
async fn serve_clients(
    server: Option<Server>,
    collector: Arc<Collector>,
    intake_stop: CancellationToken,
) {
    let Some(server) = server else { return intake_stop.cancelled().await };
    let handle = move |request, peer| {
        let collector = Arc::clone(&collector);
        async move { collector.handle(request, peer).await }
    };
    server.serve(handle, intake_stop).await;
}

async fn reload_certificate(tls: Option<Tls>) {
    match tls {
        Some(tls) => tls.reload().await,
        None => std::future::pending().await,
    }
}

impl ChunkSource for SpoolReader {
    fn next_chunk(&mut self, chunker: &Chunker) -> NextChunk {
        let next = self.read_chunk(STOP_POLL, || chunker.buffer());
        if let NextChunk::Chunk(chunk) = &next {
            chunker.count_read(chunk.bytes.len(), 0);
        }
        next
    }
}

impl Replaceable {
    /// Take events from other sources.
    ///
    /// # Errors
    ///
    /// A write key cannot be resolved, or is there twice. Nothing changes then.
    pub(super) async fn set_sources(
        &self,
        settings: &CollectSettings,
        names: &SourceNames,
    ) -> Result<(), StartError> {
        let CollectSettings { sources, referenced_keys, .. } = settings;
        // Before any event of a new source can reach the spool.
        let before = self.source_names.swap(Arc::new(names.clone()));
        let replaced =
            self.keys.replace(&self.collector, sources.clone(), referenced_keys.clone()).await;
        if replaced.is_err() {
            self.source_names.store(before);
        }
        replaced
    }

    /// Use another certificate. None where TLS would have to be turned on or off.
    pub(super) fn set_certificate(
        &self,
        settings: &CollectSettings,
    ) -> Option<Result<(), StartError>> {
        let (tls, files) = (self.tls.as_ref()?, settings.http.certificate.as_ref()?);
        Some(tls.use_files(files.clone()).map_err(StartError::from))
    }
}

/// What can report a collector once it has ended.
pub(super) struct Remaining {
    collector: Arc<Collector>,
    spool: Spool,
    held: Arc<HeldEvents>,
}

impl Remaining {
    /// What was collected, for the summary.
    pub(super) fn collected(&self) -> Collected {
        let Remaining { collector, spool, held } = self;
        let status = spool.status();
        Collected {
            accepted: collector.accepted(),
            unknown_keys: collector.unknown_keys(),
            waiting: status.items_waiting,
            held: held.events(),
            unknown_sources: held.sources(),
            corrupt: status.corrupt_items,
            unreadable: status.items_unreadable,
        }
    }
}

impl Collecting {
    pub(super) fn spool(&self) -> &Spool {
        &self.spool
    }

    pub(super) fn connections(&self) -> Option<&ConnectionStats> {
        self.connections.as_ref()
    }

    pub(super) fn replaceable(&self) -> Replaceable {
        self.replaceable.clone()
    }

    /// What has to end, and what can tell of it afterwards.
    pub(super) fn part(self) -> (thread::JoinHandle<()>, Remaining) {
        let Collecting { collector, spool, reader, held, .. } = self;
        (reader, Remaining { collector, spool, held })
    }
}

/// How many connections there may be, which the limit of open files has a say in.
pub(super) fn connection_limits(
    settings: &CollectSettings,
) -> Result<ConnectionLimits, StartError> {
    let descriptors = Descriptors::of_process();
    let room = descriptors.connections_max();
    let connections_max = match (settings.http.connections_max, descriptors.limit()) {
        (None, _) => limits::HTTP_CONNECTIONS_MAX.min(room).max(1),
        (Some(connections), Some(limit)) if connections > room && settings.address.is_some() => {
            let needed = Descriptors::needed_for(connections);
            return Err(StartError::Descriptors { connections, room, limit, needed });
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

fn tell(recovered: &Recovered) {
    if recovered.items_waiting > 0 {
        tracing::info!(
            events = recovered.items_waiting,
            bytes = recovered.bytes,
            "the spool holds events of before, which are delivered first"
        );
    }
    if recovered.torn_bytes > 0 {
        tracing::info!(
            bytes = recovered.torn_bytes,
            "cut off the end of the spool, which was being written when the process ended: of requests that were not answered"
        );
    }
    if recovered.acks_corrupt > 0 {
        tracing::error!(
            blocks = recovered.acks_corrupt,
            "the spool has lost what it knew of delivered events: some are delivered again"
        );
    }
}

/// A dead letter outlives what the spool lets its event go for.
pub(super) fn dead_letter_durability(collect: Option<&CollectSettings>) -> DeadLetterDurability {
    match collect.map(|collect| collect.spool.durability) {
        Some(Durability::Fsync) => DeadLetterDurability::Synced,
        Some(Durability::Os | Durability::Memory) | None => DeadLetterDurability::Written,
    }
}
