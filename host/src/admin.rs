//! Health and metrics, for orchestrators and for Prometheus, and changing the
//! plugin while events flow, on an address of their own.
//!
//! | path | answer |
//! |---|---|
//! | `/health/live` | 200 as long as the process can answer |
//! | `/health/ready` | 200 where events are taken, and what is wrong all the same; 503 and why where they are not, or dead letters cannot be written |
//! | `/metrics` | all metrics, in the text form of OpenMetrics |
//! | `/openapi.json` | what else can be asked |
//! | `/plugin` and below | for whoever knows the token: what [`Swapper`](standpipe_plugin_host::swap::Swapper) does |
//!
//! Nothing is counted here: each answer is made of what the other modules count
//! anyway, at the moment of the question.

mod answer;
mod desk;
mod metrics;
mod openapi;
mod query;
mod route;
mod seal;
mod settings;
mod token;

pub use query::canary_settings;
pub use seal::{BadSeal, seal};
pub use settings::RawAdmin;
pub use token::{BadToken, Token, bearer};

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
use answer::{json_text, text, whole};
use desk::Desk;
use route::{Route, route};
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
use standpipe_spool::Spool;

/// What the answers are made of.
#[derive(Debug, Clone)]
pub struct View {
    /// What became of events, and how much was read.
    pub progress: Progress,
    /// What went to which stream.
    pub delivery: Delivery,
    /// The credentials and the clock that it writes with.
    pub aws: AwsStatus,
    /// Dead letters.
    pub letters: Arc<DeadLetterWriter>,
    /// What SDKs sent, where they are listened to.
    #[cfg(feature = "collector")]
    pub collector: Option<Arc<Collector>>,
    /// Where it waits.
    pub spool: Option<Spool>,
    /// What of it waits since the settings do not have its source.
    #[cfg(feature = "collector")]
    pub held: Option<Arc<HeldEvents>>,
    /// The plugin.
    pub swapper: Swapper,
    /// Cancelled once no more events are taken.
    pub intake_stop: CancellationToken,
    /// What became of the collector's connections.
    pub connections: Option<ConnectionStats>,
    /// How many lines of the log were dropped, where the program counts them.
    pub log_lines_dropped: Option<Arc<AtomicU64>>,
}

/// A server that listens.
#[derive(Debug)]
pub struct Admin(Server);

/// Who answers.
#[derive(Debug)]
struct Office {
    view: View,
    desk: Desk,
    /// What the crates count.
    registry: Registry,
}

impl Admin {
    /// Listen on an address; port 0 is any free one.
    ///
    /// # Errors
    ///
    /// The address is taken, or is not one of this machine.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        // Its own, so that a crowd at the collector keeps no orchestrator away. Peers are
        // not distinguished: one idle connection makes room for the next in any case.
        let limits = ConnectionLimits {
            connections_max: limits::ADMIN_CONNECTIONS_MAX,
            per_peer_max: limits::ADMIN_CONNECTIONS_MAX,
            keep_alive: standpipe_http::KEEP_ALIVE,
            trusted: TrustedProxies::default(),
        };
        Server::bind(address, None, limits).await.map(Admin)
    }

    /// The address that is listened on, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Answer until `stop` is cancelled. Without a token the plugin is not spoken of.
    pub async fn serve(self, view: View, token: Option<Token>, stop: CancellationToken) {
        let desk = Desk::new(view.swapper.clone(), token);
        let registry = metrics::registry(&view, self.0.stats());
        let office = Arc::new(Office { view, desk, registry });
        let answer = move |request: Request, peer| {
            let office = Arc::clone(&office);
            async move { office.answer(request, peer).await }
        };
        self.0.serve(answer, stop).await;
    }
}

impl Office {
    fn metrics(&self) -> Response {
        let content_type = HeaderValue::from_static(metrics::CONTENT_TYPE);
        whole(StatusCode::OK, content_type, metrics::encode(&self.registry))
    }

    async fn answer(&self, request: Request, peer: Peer) -> Response {
        let (parts, mut body) = request.into_parts();
        let answer = match route(&parts.method, parts.uri.path()) {
            Ok(Route::Live) => Ok(text(StatusCode::OK, "live\n")),
            Ok(Route::Ready) => Ok(self.view.readiness()),
            Ok(Route::Metrics) => Ok(self.metrics()),
            Ok(Route::Document) => Ok(json_text(StatusCode::OK, openapi::DOCUMENT)),
            Ok(Route::Plugin(errand)) => self.desk.answer(errand, &parts, &mut body, peer).await,
            Err(failure) => Err(failure),
        };
        let answer = answer.unwrap_or_else(|failure| failure.answer());
        // Who has stopped sending, or waits to be asked for the body, needs no more.
        let is_sending =
            answer.status() != StatusCode::REQUEST_TIMEOUT && !parts.headers.contains_key(EXPECT);
        if is_sending {
            http::discard_body(&mut body).await;
        }
        answer
    }
}

impl View {
    /// Events are taken whatever the plugin does: what it fails on goes where the
    /// settings say. So an orchestrator would gain nothing by turning them away.
    fn readiness(&self) -> Response {
        if let Some(why) = self.why_not_ready() {
            return text(StatusCode::SERVICE_UNAVAILABLE, why);
        }
        let notes = self.plugin_note().into_iter().chain(self.held_note());
        let notes: Vec<_> = notes.chain(self.delivery_problems()).collect();
        match notes.is_empty() {
            true => text(StatusCode::OK, "ready\n"),
            false => text(StatusCode::OK, format!("ready, but {}\n", notes.join("; "))),
        }
    }

    /// While dead letters cannot be written, events are still taken as long as there is
    /// room for them; elsewhere they are better off.
    fn why_not_ready(&self) -> Option<String> {
        if self.intake_stop.is_cancelled() {
            return Some("stopping: no more events are taken\n".to_owned());
        }
        if self.spool.as_ref().is_some_and(|spool| spool.status().is_failing) {
            return Some("the spool cannot be written: see the log\n".to_owned());
        }
        let DeadLetterReport { trouble, waiting, .. } = self.letters.report();
        if let Some(trouble) = trouble {
            return Some(format!("{waiting} dead letters wait: failed to {trouble}\n"));
        }
        // A spool takes events whatever the streams do: who is turned away would have to
        // keep them.
        let problems = if self.spool.is_none() { self.delivery_problems() } else { Vec::new() };
        (!problems.is_empty()).then(|| format!("{}\n", problems.join("; ")))
    }

    /// What keeps events from their streams: credentials that are not there, streams that
    /// accept nothing.
    fn delivery_problems(&self) -> Vec<String> {
        let held = self.delivery.held();
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
        let roles = self.swapper.roles().load();
        if roles.active.is_unavailable() {
            let note = "no instance of the plugin can be started, and its events wait: see the log";
            return Some(note.to_owned());
        }
        let note = match roles.active.breaker().health(Instant::now()) {
            Health::Healthy => return None,
            Health::Degraded => "the plugin is degraded: it fails on many events of a source",
            Health::Off => "the plugin is off for a source: it fails on nearly all of its events",
        };
        Some(note.to_owned())
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
            "{events} events are held in the spool, since no [[sources]] has the name of their source: {sources:?}"
        ))
    }
}
