//! The admin server: health checks for orchestrators, metrics for Prometheus, and the plugin API,
//! on a separate address.
//!
//! | path | response |
//! |---|---|
//! | `/health/live` | 200 as long as the process can answer |
//! | `/health/ready` | 200 if events are accepted, with a list of problems; 503 with the reason if not, or if dead letters cannot be written |
//! | `/metrics` | all metrics, as OpenMetrics text |
//! | `/openapi.json` | a description of this API |
//! | `/plugin` and below | with the token: what [`Swapper`](standpipe_plugin_host::swap::Swapper) does |
//!
//! This module counts nothing: it creates each response from the counts of other modules at the
//! time of the request.

mod metrics;
mod openapi;
mod plugin_api;
mod query;
mod response;
mod route;
mod settings;
mod signature_header;
mod token;

pub use query::canary_settings;
pub use settings::RawAdmin;
pub use signature_header::{InvalidSignatureHeader, parse_signature_header};
pub use token::{AdminToken, InvalidToken, parse_bearer_token};

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use hyper::StatusCode;
use hyper::header::{EXPECT, HeaderValue};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::source::Progress;
use plugin_api::PluginApi;
use response::{json_text, response_with, text_response};
use route::{AdminRoute, find_route};
use standpipe_aws::AwsStatus;
#[cfg(feature = "collector")]
use standpipe_collector::{Collector, HeldEvents};
use standpipe_core::escape::OneLine;
use standpipe_delivery::Delivery;
use standpipe_delivery::dead_letters::{DeadLetterReport, DeadLetterWriter};
use standpipe_http::{
    self as http, BindError, ConnectionLimits, ConnectionStats, Peer, Request, Response, Server,
    TrustedProxies,
};
use standpipe_plugin_host::Health;
use standpipe_plugin_host::swap::Swapper;
#[cfg(feature = "queue")]
use standpipe_queue::QueueMonitor;
#[cfg(feature = "queue")]
use standpipe_queue::fleet::FleetMonitor;
use standpipe_spool::Spool;

/// The parts of a run from which responses are created.
#[derive(Debug, Clone)]
pub struct AdminView {
    /// Counts of events that were read, and their outcomes.
    pub progress: Progress,
    /// The parts that map and deliver events. None if the run publishes events to a queue.
    pub mapping: Option<MappingView>,
    /// The credentials and the clock for delivery.
    pub aws: AwsStatus,
    /// The queue between collectors and mappers.
    #[cfg(feature = "queue")]
    pub queue: Option<QueueMonitor>,
    /// The fleet that decides which plugin is active.
    #[cfg(feature = "queue")]
    pub fleet: Option<FleetMonitor>,
    /// Dead letters.
    pub dead_letters: Arc<DeadLetterWriter>,
    /// The collector, if there is one.
    #[cfg(feature = "collector")]
    pub collector: Option<Arc<Collector>>,
    /// The collector's spool.
    pub spool: Option<Spool>,
    /// Events of the spool whose source is not in the settings.
    #[cfg(feature = "collector")]
    pub held: Option<Arc<HeldEvents>>,
    /// Cancelled once no more events are accepted.
    pub intake_stop: CancellationToken,
    /// Counts of the collector's connections.
    pub connections: Option<ConnectionStats>,
    /// Dropped lines of the log, if the program counts them.
    pub log_lines_dropped: Option<Arc<AtomicU64>>,
}

/// The parts of a run that map and deliver events.
#[derive(Debug, Clone)]
pub struct MappingView {
    /// Delivery by stream.
    pub delivery: Delivery,
    /// The plugins.
    pub swapper: Swapper,
}

/// An admin server that is listening.
#[derive(Debug)]
pub struct Admin(Server);

/// The handler of all requests.
#[derive(Debug)]
struct AdminService {
    view: AdminView,
    plugin_api: PluginApi,
    /// The metrics of all crates.
    registry: Registry,
}

impl Admin {
    /// Listens on an address. Port 0 means any free port.
    ///
    /// # Errors
    ///
    /// Fails if the address is in use, or does not belong to this machine.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        // The limits are separate, so that many connections to the collector do not lock out an
        // orchestrator. Peers are not distinguished: an idle connection makes room for the next one
        // in any case.
        let limits = ConnectionLimits {
            connections_max: limits::ADMIN_CONNECTIONS_MAX,
            per_peer_max: limits::ADMIN_CONNECTIONS_MAX,
            keep_alive: standpipe_http::KEEP_ALIVE,
            trusted: TrustedProxies::default(),
        };
        Server::bind(address, None, limits).await.map(Admin)
    }

    /// The address of the server, with its actual port.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Serves until `stop` is cancelled. Without a token, the plugin API is off.
    pub async fn serve(self, view: AdminView, token: Option<AdminToken>, stop: CancellationToken) {
        let swapper = view.mapping.as_ref().map(|mapping| mapping.swapper.clone());
        let plugin_api = PluginApi::new(swapper, token);
        let registry = metrics::build_registry(&view, self.0.stats());
        let service = Arc::new(AdminService { view, plugin_api, registry });
        let answer = move |request: Request, peer| {
            let service = Arc::clone(&service);
            async move { service.handle(request, peer).await }
        };
        self.0.serve(answer, stop).await;
    }
}

impl AdminService {
    fn metrics_response(&self) -> Response {
        let content_type = HeaderValue::from_static(metrics::CONTENT_TYPE);
        response_with(StatusCode::OK, content_type, metrics::encode_metrics(&self.registry))
    }

    async fn handle(&self, request: Request, peer: Peer) -> Response {
        let (parts, mut body) = request.into_parts();
        let answer = match find_route(&parts.method, parts.uri.path()) {
            Ok(AdminRoute::Live) => Ok(text_response(StatusCode::OK, "live\n")),
            Ok(AdminRoute::Ready) => Ok(self.view.readiness_response()),
            Ok(AdminRoute::Metrics) => Ok(self.metrics_response()),
            Ok(AdminRoute::Document) => Ok(json_text(StatusCode::OK, openapi::DOCUMENT)),
            Ok(AdminRoute::Plugin(command)) => {
                self.plugin_api.handle(command, &parts, &mut body, peer).await
            }
            Err(failure) => Err(failure),
        };
        let answer = answer.unwrap_or_else(|failure| failure.to_response());
        // A client that has stopped sending, or waits for a 100 response, sends no body.
        let is_sending =
            answer.status() != StatusCode::REQUEST_TIMEOUT && !parts.headers.contains_key(EXPECT);
        if is_sending {
            http::discard_body(&mut body).await;
        }
        answer
    }
}

impl AdminView {
    /// Responds to a readiness check. The state of the plugin does not affect it: events are still
    /// accepted, and `on_failure` handles failing events. So an orchestrator would gain nothing by
    /// sending them elsewhere.
    fn readiness_response(&self) -> Response {
        if let Some(why) = self.why_not_ready() {
            return text_response(StatusCode::SERVICE_UNAVAILABLE, why);
        }
        let notes = self.plugin_note().into_iter().chain(self.held_note()).chain(self.queue_note());
        let notes: Vec<_> = notes.chain(self.delivery_problems()).collect();
        match notes.is_empty() {
            true => text_response(StatusCode::OK, "ready\n"),
            false => text_response(StatusCode::OK, format!("ready, but {}\n", notes.join("; "))),
        }
    }

    /// Why the program is not ready. While dead letters cannot be written, events are still
    /// accepted as long as there is room, but are better sent elsewhere.
    fn why_not_ready(&self) -> Option<String> {
        if self.intake_stop.is_cancelled() {
            return Some("stopping: no more events are accepted\n".to_owned());
        }
        if self.spool.as_ref().is_some_and(|spool| spool.status().is_failing) {
            return Some("the spool cannot be written: see the log\n".to_owned());
        }
        let DeadLetterReport { trouble, waiting, .. } = self.dead_letters.report();
        if let Some(trouble) = trouble {
            return Some(format!("{waiting} dead letters wait: failed to {trouble}\n"));
        }
        if let Some(problem) = self.queue_problem() {
            return Some(format!("{}\n", OneLine(&problem)));
        }
        // A spool accepts events regardless of the streams. A client that is rejected would have to
        // keep the events itself.
        let problems = if self.spool.is_none() { self.delivery_problems() } else { Vec::new() };
        (!problems.is_empty()).then(|| format!("{}\n", problems.join("; ")))
    }

    /// Problems of delivery: missing credentials, and held streams.
    fn delivery_problems(&self) -> Vec<String> {
        let mapping = self.mapping.as_ref();
        let held = mapping.map(|mapping| mapping.delivery.held_streams()).unwrap_or_default();
        let others = held.len().saturating_sub(limits::READINESS_STREAMS_SHOWN);
        let held = held.into_iter().take(limits::READINESS_STREAMS_SHOWN).map(|(name, problem)| {
            let problem = problem.unwrap_or_else(|| "see the log".to_owned());
            format!("the stream {name} is held, and its events are kept: {problem}")
        });
        let more = (others > 0).then(|| format!("{others} more streams are held"));
        let problems = self.aws.problems().into_iter().chain(held).chain(more);
        problems.map(|problem| OneLine(&problem).to_string()).collect()
    }

    fn plugin_note(&self) -> Option<String> {
        let roles = self.mapping.as_ref()?.swapper.roles().load();
        if roles.active.is_unavailable() {
            let note = "no instance of the plugin can be started, and its events wait: see the log";
            return Some(note.to_owned());
        }
        let note = match roles.active.breaker().health(Instant::now()) {
            Health::Healthy => return None,
            Health::Degraded => "the plugin is degraded: it fails on many events of a source",
            Health::Open => "the plugin is off for a source: it fails on nearly all of its events",
        };
        Some(note.to_owned())
    }

    #[cfg(feature = "queue")]
    fn queue_problem(&self) -> Option<String> {
        let fleet = self.fleet.as_ref().and_then(FleetMonitor::problem);
        fleet.or_else(|| self.queue.as_ref()?.problem())
    }

    #[cfg(feature = "queue")]
    fn queue_note(&self) -> Option<String> {
        let problem = self.queue.as_ref()?.spool_problem()?;
        Some(format!("events wait in the spool: {}", OneLine(&problem)))
    }

    #[cfg(not(feature = "queue"))]
    fn queue_problem(&self) -> Option<String> {
        None
    }

    #[cfg(not(feature = "queue"))]
    fn queue_note(&self) -> Option<String> {
        None
    }

    #[cfg(not(feature = "collector"))]
    fn held_note(&self) -> Option<String> {
        None
    }

    #[cfg(feature = "collector")]
    fn held_note(&self) -> Option<String> {
        let held = self.held.as_ref().filter(|held| held.events() > 0)?;
        let (events, sources) = (held.events(), held.sources());
        Some(format!(
            "{events} events are held in the spool, because no [[sources]] has the name of their \
             source: {sources:?}"
        ))
    }
}
