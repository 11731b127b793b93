//! The plugin API of the admin server, for callers with the token. One semaphore limits the
//! requests with a component before a byte of them is read. Another one limits those without a
//! component, so that a rollback never waits for an upload. Swaps run on a blocking thread.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::query::{canary_settings, withdrawn_generation};
use super::response::{AdminError, CheckResponse, SwapResponse, json_response, no_content};
use super::route::PluginCommand;
use super::signature_header::parse_signature_header;
use super::token::{AdminToken, parse_bearer_token};
use crate::limits;
use standpipe_http::{self as http, BodyMemory, Peer, RequestBody, Response};
use standpipe_plugin_host::swap::{Candidate, Swapped, Swapper};

/// Maximum number of requests without a component that wait for the swapper. Each occupies a
/// thread.
const ADMIN_COMMANDS_MAX: usize = 8;

/// The header with a component's signature.
pub(super) const SIGNATURE: &str = "plugin-signature";

/// Executes commands about the plugin, for clients with the token.
///
/// The swapper validates one component at a time. The number of waiting requests is limited here,
/// before a byte of them is read.
#[derive(Debug)]
pub(super) struct PluginApi {
    /// None if the run publishes events to a queue.
    swapper: Option<Swapper>,
    token: Option<AdminToken>,
    memory: BodyMemory,
    /// Permits for requests with a component.
    candidates: Arc<Semaphore>,
    /// Permits for requests without one, which take little time. A rollback must be possible while
    /// components are validated.
    commands: Arc<Semaphore>,
}

impl PluginApi {
    pub(super) fn new(swapper: Option<Swapper>, token: Option<AdminToken>) -> Self {
        PluginApi {
            swapper,
            token,
            memory: BodyMemory::new(limits::ADMIN_BODIES_BYTES_MAX),
            candidates: Arc::new(Semaphore::new(limits::ADMIN_CANDIDATES_MAX)),
            commands: Arc::new(Semaphore::new(ADMIN_COMMANDS_MAX)),
        }
    }

    pub(super) async fn handle(
        &self,
        command: PluginCommand,
        parts: &Parts,
        body: &mut RequestBody,
        peer: Peer,
    ) -> Result<Response, AdminError> {
        self.check_token(&parts.headers)?;
        let query = parts.uri.query().unwrap_or_default();
        match command {
            PluginCommand::Report => Ok(json_response(StatusCode::OK, &self.swapper()?.report())),
            PluginCommand::Swap => {
                let offer = |swapper: &Swapper, candidate: &Candidate| {
                    Ok(json_response(StatusCode::OK, &SwapResponse::from(swapper.swap(candidate)?)))
                };
                self.run_with_component(parts, body, peer, offer).await
            }
            PluginCommand::Check => {
                self.run_with_component(parts, body, peer, check_candidate).await
            }
            PluginCommand::TryCanary => {
                let settings =
                    canary_settings(query).map_err(|error| AdminError::bad_request(&error))?;
                let try_it = move |swapper: &Swapper, candidate: &Candidate| {
                    Ok(activated(swapper.try_canary(candidate, settings)?))
                };
                self.run_with_component(parts, body, peer, try_it).await
            }
            PluginCommand::RollBack => {
                let named =
                    withdrawn_generation(query).map_err(|error| AdminError::bad_request(&error))?;
                self.run_without_component(move |swapper| {
                    Ok(rolled_back(swapper.roll_back(named)?))
                })
                .await
            }
            PluginCommand::PromoteCanary => {
                self.run_without_component(|swapper| Ok(activated(swapper.promote_canary()?))).await
            }
            PluginCommand::EndCanary => {
                let end = |swapper: &Swapper| Ok(swapper.end_canary().map(|()| no_content())?);
                self.run_without_component(end).await
            }
        }
    }

    fn swapper(&self) -> Result<&Swapper, AdminError> {
        self.swapper.as_ref().ok_or_else(|| {
            AdminError::new(
                StatusCode::NOT_FOUND,
                "this process has no plugin, since `role` under [queue] is \"collector\": send the request to a mapper",
            )
        })
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), AdminError> {
        let token = self.token.as_ref().ok_or_else(|| {
            AdminError::new(
                StatusCode::FORBIDDEN,
                "the plugin API is off: set `token` under [admin]",
            )
        })?;
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (first, second) = (given.next(), given.next());
        let first = first.filter(|_| second.is_none());
        let Some(text) = first.and_then(|header| parse_bearer_token(header.as_bytes())) else {
            return Err(AdminError::unauthorized(
                "send the token of [admin] as: Authorization: Bearer TOKEN",
            ));
        };
        if !token.matches(text) {
            return Err(AdminError::unauthorized("the token is not the one of [admin]"));
        }
        Ok(())
    }

    /// Reads the component of a request, and passes it to `work` on a blocking thread.
    async fn run_with_component(
        &self,
        parts: &Parts,
        body: &mut RequestBody,
        peer: Peer,
        work: impl FnOnce(&Swapper, &Candidate) -> Result<Response, AdminError> + Send + 'static,
    ) -> Result<Response, AdminError> {
        self.swapper()?;
        let permit = try_permit(&self.candidates)?;
        let header = signature_header(&parts.headers)?;
        let signature =
            parse_signature_header(header).map_err(|error| AdminError::bad_request(&error))?;
        let bytes_max = usize::try_from(limits::PLUGIN_FILE_BYTES_MAX).unwrap_or(usize::MAX);
        let (bytes, held) = http::read_body(body, bytes_max, &[&self.memory]).await?;
        if bytes.is_empty() {
            return Err(AdminError::bad_request(
                &"the body is empty: send the bytes of the component or script, as with `curl --data-binary @FILE`",
            ));
        }
        let origin = format!("the admin API, from {}", peer.address);
        let work = move |swapper: &Swapper| {
            let _held = held;
            let bytes = Cow::Owned(swapper.policy().plugin_file(bytes));
            let candidate = Candidate { bytes, signature, runner: None, settings: None, origin };
            work(swapper, &candidate)
        };
        self.run_blocking(permit, work).await
    }

    /// Runs a command without a component on a blocking thread.
    async fn run_without_component(
        &self,
        work: impl FnOnce(&Swapper) -> Result<Response, AdminError> + Send + 'static,
    ) -> Result<Response, AdminError> {
        self.run_blocking(try_permit(&self.commands)?, work).await
    }

    /// Runs work that may take seconds on a blocking thread. Its permit is held until the end, even
    /// if the client disconnects.
    async fn run_blocking(
        &self,
        permit: OwnedSemaphorePermit,
        work: impl FnOnce(&Swapper) -> Result<Response, AdminError> + Send + 'static,
    ) -> Result<Response, AdminError> {
        let swapper = self.swapper()?.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&swapper)
        });
        task.await.unwrap_or_else(|error| {
            tracing::error!(
                "a request about the plugin failed: {error}: this is a bug in the host"
            );
            let error = "internal error: see the log of the host";
            Err(AdminError::new(StatusCode::INTERNAL_SERVER_ERROR, error))
        })
    }
}

fn check_candidate(swapper: &Swapper, candidate: &Candidate) -> Result<Response, AdminError> {
    let plugin = swapper.check(candidate)?;
    let sha256 = plugin.digest().to_string();
    let streams = plugin.streams().map(str::to_owned).collect();
    Ok(json_response(StatusCode::OK, &CheckResponse { sha256, streams }))
}

fn activated(generation: u64) -> Response {
    json_response(StatusCode::OK, &SwapResponse::from(Swapped::Taken(generation)))
}

fn rolled_back(swapped: Swapped) -> Response {
    let note = match swapped {
        Swapped::Taken(_) => None,
        Swapped::Unchanged(_) => Some("already rolled back"),
    };
    json_response(StatusCode::OK, &SwapResponse { note, ..swapped.into() })
}

fn try_permit(room: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, AdminError> {
    let permit = Arc::clone(room).try_acquire_owned();
    permit.map_err(|_| AdminError::busy("too many requests about the plugin: try again later"))
}

fn signature_header(headers: &HeaderMap) -> Result<Option<&[u8]>, AdminError> {
    let mut given = headers.get_all(SIGNATURE).iter();
    match (given.next(), given.next()) {
        (first, None) => Ok(first.map(HeaderValue::as_bytes)),
        (_, Some(_)) => {
            Err(AdminError::bad_request(&"duplicate header Plugin-Signature: send it once"))
        }
    }
}
