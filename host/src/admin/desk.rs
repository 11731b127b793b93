//! The plugin API of the admin server, for callers that know the token. A semaphore bounds the
//! requests that bring a component before a byte of one is read, and another one those that bring
//! none, so that a rollback never waits behind an upload. Swapping runs on a blocking thread.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::{Checked, Failure, Taken, json, nothing};
use super::query::{canary_settings, withdrawn_generation};
use super::route::Errand;
use super::seal::seal;
use super::token::{Token, bearer};
use crate::limits;
use standpipe_http::{self as http, BodyMemory, Peer, RequestBody, Response};
use standpipe_plugin_host::swap::{Candidate, Swapped, Swapper};

/// Requests that wait for the plugin to be theirs to change, without a component:
/// each takes a thread.
const ADMIN_TURNS_MAX: usize = 8;

/// The header that holds a component's signature.
pub(super) const SIGNATURE: &str = "plugin-signature";

/// Does what is asked about the plugin, for whoever knows the token.
///
/// Components are worked on one at a time by the swapper. How many may wait for
/// that is bounded here, before a byte of them is read.
#[derive(Debug)]
pub(super) struct Desk {
    swapper: Swapper,
    token: Option<Token>,
    memory: BodyMemory,
    /// Requests that bring a component.
    candidates: Arc<Semaphore>,
    /// Requests that bring none, and need no more than a moment of the swapper's:
    /// going back has to be possible while others are at it.
    turns: Arc<Semaphore>,
}

impl Desk {
    pub(super) fn new(swapper: Swapper, token: Option<Token>) -> Self {
        Desk {
            swapper,
            token,
            memory: BodyMemory::new(limits::ADMIN_BODIES_BYTES_MAX),
            candidates: Arc::new(Semaphore::new(limits::ADMIN_CANDIDATES_MAX)),
            turns: Arc::new(Semaphore::new(ADMIN_TURNS_MAX)),
        }
    }

    pub(super) async fn answer(
        &self,
        errand: Errand,
        parts: &Parts,
        body: &mut RequestBody,
        peer: Peer,
    ) -> Result<Response, Failure> {
        self.admit(&parts.headers)?;
        let query = parts.uri.query().unwrap_or_default();
        match errand {
            Errand::Report => Ok(json(StatusCode::OK, &self.swapper.report())),
            Errand::Offer => {
                let offer = |swapper: &Swapper, candidate: &Candidate| {
                    Ok(json(StatusCode::OK, &Taken::from(swapper.offer(candidate)?)))
                };
                self.work(parts, body, peer, offer).await
            }
            Errand::Check => self.work(parts, body, peer, check).await,
            Errand::TryCanary => {
                let settings = canary_settings(query).map_err(Failure::bad_request)?;
                let try_it = move |swapper: &Swapper, candidate: &Candidate| {
                    Ok(taken(swapper.try_canary(candidate, settings)?))
                };
                self.work(parts, body, peer, try_it).await
            }
            Errand::RollBack => {
                let named = withdrawn_generation(query).map_err(Failure::bad_request)?;
                self.turn(move |swapper| Ok(rolled_back(swapper.roll_back(named)?))).await
            }
            Errand::PromoteCanary => {
                self.turn(|swapper| Ok(taken(swapper.promote_canary()?))).await
            }
            Errand::EndCanary => {
                let end = |swapper: &Swapper| Ok(swapper.end_canary().map(|()| nothing())?);
                self.turn(end).await
            }
        }
    }

    fn admit(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let token = self.token.as_ref().ok_or_else(|| {
            Failure::new(
                StatusCode::FORBIDDEN,
                "requests about the plugin are turned off: set `token` under [admin]",
            )
        })?;
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (first, second) = (given.next(), given.next());
        let first = first.filter(|_| second.is_none());
        let Some(text) = first.and_then(|header| bearer(header.as_bytes())) else {
            return Err(Failure::unauthorized(
                "send the token of [admin] as: Authorization: Bearer TOKEN",
            ));
        };
        if !token.is(text) {
            return Err(Failure::unauthorized("the token is not the one of [admin]"));
        }
        Ok(())
    }

    /// Do something with the component that a request brings.
    async fn work(
        &self,
        parts: &Parts,
        body: &mut RequestBody,
        peer: Peer,
        work: impl FnOnce(&Swapper, &Candidate) -> Result<Response, Failure> + Send + 'static,
    ) -> Result<Response, Failure> {
        let permit = permit(&self.candidates)?;
        let seal = seal(signature(&parts.headers)?).map_err(Failure::bad_request)?;
        let bytes_max = usize::try_from(limits::PLUGIN_FILE_BYTES_MAX).unwrap_or(usize::MAX);
        let (bytes, held) = http::read_body(body, bytes_max, &[&self.memory]).await?;
        if bytes.is_empty() {
            return Err(Failure::bad_request(
                "there is no body: send the component's bytes, as with `curl --data-binary @FILE.wasm`",
            ));
        }
        let origin = format!("the admin API, from {}", peer.address);
        let candidate = Candidate { bytes: Cow::Owned(bytes), seal, settings: None, origin };
        let swapper = self.swapper.clone();
        aside(move || {
            let answer = work(&swapper, &candidate);
            // Whoever asked may have gone; its room is taken until here all the same.
            drop((candidate, held, permit));
            answer
        })
        .await
    }

    /// Do something for which the swapper must not be at work.
    async fn turn(
        &self,
        turn: impl FnOnce(&Swapper) -> Result<Response, Failure> + Send + 'static,
    ) -> Result<Response, Failure> {
        let permit = permit(&self.turns)?;
        let swapper = self.swapper.clone();
        aside(move || {
            let answer = turn(&swapper);
            drop(permit);
            answer
        })
        .await
    }
}

fn check(swapper: &Swapper, candidate: &Candidate) -> Result<Response, Failure> {
    let plugin = swapper.check(candidate)?;
    let sha256 = plugin.digest().to_string();
    let streams = plugin.streams().map(str::to_owned).collect();
    Ok(json(StatusCode::OK, &Checked { sha256, streams }))
}

fn taken(generation: u64) -> Response {
    json(StatusCode::OK, &Taken::from(Swapped::Taken(generation)))
}

fn rolled_back(swapped: Swapped) -> Response {
    let note = match swapped {
        Swapped::Taken(_) => None,
        Swapped::Unchanged(_) => Some("already rolled back"),
    };
    json(StatusCode::OK, &Taken { note, ..swapped.into() })
}

fn permit(room: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
    let permit = Arc::clone(room).try_acquire_owned();
    permit.map_err(|_| Failure::busy("other requests about the plugin are waiting: try again"))
}

fn signature(headers: &HeaderMap) -> Result<Option<&[u8]>, Failure> {
    let mut given = headers.get_all(SIGNATURE).iter();
    match (given.next(), given.next()) {
        (first, None) => Ok(first.map(HeaderValue::as_bytes)),
        (_, Some(_)) => {
            Err(Failure::bad_request("the header Plugin-Signature stands twice: send it once"))
        }
    }
}

/// Work on a thread that may be busy for seconds.
async fn aside(
    work: impl FnOnce() -> Result<Response, Failure> + Send + 'static,
) -> Result<Response, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!("a request about the plugin failed: {error}: this is a bug of the host");
        let error = "this is a bug of the host: see its log";
        Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error))
    })
}
