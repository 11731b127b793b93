//! Health and metrics, for orchestrators and for Prometheus, on an address of
//! their own.
//!
//! | path | answer |
//! |---|---|
//! | `/health/live` | 200 as long as the process can answer |
//! | `/health/ready` | 200 where events are taken, 503 and why where they are not |
//! | `/metrics` | all metrics, in the text form of OpenMetrics |
//!
//! Nothing is counted here: each answer is made of what the other modules count
//! anyway, at the moment of the question.

mod metrics;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode};

use crate::collector::Collector;
use crate::dead::Letters;
use crate::delivery::Delivery;
use crate::event::Totals;
use crate::http::{Answer, BindError, Request, Server, Shutdown};
use crate::limits;
use crate::spool::Spool;

/// What the answers are made of.
#[derive(Debug, Clone)]
pub struct View {
    /// What became of events.
    pub totals: Arc<Totals>,
    /// Bytes read.
    pub bytes_read: Arc<AtomicU64>,
    /// What went to which stream.
    pub delivery: Delivery,
    /// Dead letters.
    pub letters: Arc<Letters>,
    /// What SDKs sent, where they are listened to.
    pub collector: Option<Arc<Collector>>,
    /// Where it waits.
    pub spool: Option<Spool>,
    /// What ends the taking of events.
    pub shutdown: Shutdown,
}

/// A server that listens.
#[derive(Debug)]
pub struct Admin(Server);

impl Admin {
    /// Listen on an address; port 0 is any free one.
    ///
    /// # Errors
    ///
    /// The address is taken, or is not one of this machine.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        Server::bind(address, None, limits::ADMIN_CONNECTIONS_MAX).await.map(Admin)
    }

    /// The address that is listened on, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Answer until the shutdown.
    pub async fn serve(self, view: View, shutdown: Shutdown) {
        let view = Arc::new(view);
        let answer = move |request: Request, _| {
            let view = Arc::clone(&view);
            async move { view.answer(&request) }
        };
        self.0.serve(answer, shutdown).await;
    }
}

impl View {
    fn answer(&self, request: &Request) -> Answer {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
        }
        match request.uri().path() {
            "/health/live" => text(StatusCode::OK, "live\n"),
            "/health/ready" => self.readiness(),
            "/metrics" => {
                let content_type = HeaderValue::from_static(metrics::CONTENT_TYPE);
                answer(StatusCode::OK, content_type, metrics::encode(self))
            }
            _ => text(StatusCode::NOT_FOUND, "ask for /health/live, /health/ready or /metrics\n"),
        }
    }

    fn readiness(&self) -> Answer {
        let status = self.spool.as_ref().map(Spool::status);
        match status {
            _ if self.shutdown.is_requested() => {
                text(StatusCode::SERVICE_UNAVAILABLE, "stopping: no more events are taken\n")
            }
            Some(status) if status.is_failing => {
                text(StatusCode::SERVICE_UNAVAILABLE, "the spool cannot be written: see the log\n")
            }
            _ => text(StatusCode::OK, "ready\n"),
        }
    }
}

fn text(status: StatusCode, text: &'static str) -> Answer {
    answer(status, HeaderValue::from_static("text/plain; charset=utf-8"), text)
}

fn answer(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Answer::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}
