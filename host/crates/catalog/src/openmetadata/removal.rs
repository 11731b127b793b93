//! Soft deletion of pipelines whose stream no longer exists.
//!
//! A pipeline is only deleted if nothing else explains the missing stream: the list of streams is
//! complete and not empty, the service is marked with the same account and region, and the number
//! of pipelines to delete is within the limit. Streams that the patterns exclude, or that could not
//! be read, count as existing.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;
use thiserror::Error;

use super::{DeletionPolicy, ExistingPipelines, OpenMetadata, RestError, ServiceState, names};
use crate::Inventory;
use crate::http_client::Method;

/// The pipelines to delete because their stream no longer exists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PipelineRemoval {
    /// The full names of the pipelines that are deleted, or would be.
    pub pipelines: Vec<String>,
    /// Why none is deleted.
    pub untouched: Option<RemovalSkipped>,
}

/// Why nothing is deleted.
#[derive(Debug, Clone, Error, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RemovalSkipped {
    /// Marking deleted pipelines is turned off.
    #[error("marking deleted pipelines is off")]
    Off,
    /// The list of streams is incomplete.
    #[error("the list of delivery streams is incomplete; nothing is deleted")]
    Incomplete,
    /// The inventory has no streams.
    #[error("found no delivery streams; nothing is deleted: check credentials and region")]
    Empty,
    /// The service is not marked with the account and region of its streams.
    #[error(
        "the service is not marked with an account and region; nothing is deleted: add the line `{line}` to its description, or set `adopt_service`"
    )]
    Unmarked {
        /// The mark.
        line: String,
    },
    /// Too many pipelines would be deleted.
    #[error(
        "{stale} of {all} pipelines would be deleted, more than the limit of {percent} %: check credentials, region and service name, or raise `delete_percent_max` for one run"
    )]
    TooMany {
        /// The number that would be deleted.
        stale: usize,
        /// The total number.
        all: usize,
        /// The maximum percentage.
        percent: u32,
    },
}

impl PipelineRemoval {
    /// Decides which of the service's pipelines to delete.
    pub(crate) fn plan(
        existing: &ExistingPipelines,
        inventory: &Inventory,
        state: ServiceState,
        deletion: DeletionPolicy,
    ) -> Self {
        let untouched = |why| PipelineRemoval { pipelines: Vec::new(), untouched: Some(why) };
        if !deletion.is_on {
            return untouched(RemovalSkipped::Off);
        }
        let seen = seen_streams(inventory, deletion.prunes_filtered);
        let stale = existing.values().filter(|existing| !seen.contains(&*existing.stream));
        let pipelines: Vec<String> = stale.map(|existing| existing.entity.name.clone()).collect();
        if pipelines.is_empty() {
            return PipelineRemoval::default();
        }
        let (stale, all) = (pipelines.len(), existing.len());
        let has_streams = !inventory.streams.is_empty() || !inventory.filtered.is_empty();
        match state {
            _ if !inventory.is_complete => untouched(RemovalSkipped::Incomplete),
            _ if !has_streams => untouched(RemovalSkipped::Empty),
            ServiceState::Unmarked => {
                let account = inventory.account.as_deref().unwrap_or("ACCOUNT");
                let line = format!("standpipe-scope: {account}/{}", inventory.region);
                untouched(RemovalSkipped::Unmarked { line })
            }
            _ if stale as f64 > all as f64 * deletion.ratio_max => {
                let percent = (deletion.ratio_max * 100.0) as u32;
                untouched(RemovalSkipped::TooMany { stale, all, percent })
            }
            ServiceState::Created | ServiceState::WouldBeCreated | ServiceState::Marked => {
                PipelineRemoval { pipelines, untouched: None }
            }
        }
    }
}

/// The streams that exist.
fn seen_streams(inventory: &Inventory, prunes_filtered: bool) -> BTreeSet<&str> {
    let filtered = inventory.filtered.iter().filter(|_| !prunes_filtered);
    let read = inventory.streams.iter().map(|stream| &stream.name);
    let unread = inventory.unread.iter().map(|unread| &unread.name);
    read.chain(unread).chain(filtered).chain(&inventory.vanished).map(String::as_str).collect()
}

impl OpenMetadata {
    /// Marks these pipelines as deleted, and returns those that failed.
    ///
    /// A server with `deleteStale` deletes all of them in one request. On other servers, each is
    /// deleted by its id. In both cases, the list is read again afterwards.
    ///
    /// # Errors
    ///
    /// Fails if the list cannot be read again.
    pub(crate) async fn remove_pipelines(
        &self,
        removal: &PipelineRemoval,
        existing: &ExistingPipelines,
    ) -> Result<Vec<(String, RestError)>, RestError> {
        let stale: BTreeSet<&str> = removal.pipelines.iter().map(String::as_str).collect();
        if stale.is_empty() {
            return Ok(Vec::new());
        }
        let kept = existing.values().filter(|one| !stale.contains(&*one.entity.name));
        let kept: Vec<&str> = kept.map(|one| &*one.entity.name).collect();
        let body = json!({
            "scopeFqn": self.service,
            "scopeEntityType": "service",
            "seenFqns": kept,
            "recursive": false,
        });
        let mut failed = Vec::new();
        let at_once = self.api.send(Method::DELETE, "/pipelines/deleteStale", Some(&body)).await;
        if let Err(error) = &at_once {
            tracing::debug!("deleteStale failed; deleting pipelines one by one: {error}");
        }
        let left = self.list_pipelines().await?;
        for one in left.values().filter(|one| stale.contains(&*one.entity.name)) {
            let path = format!(
                "/pipelines/{}?recursive=false&hardDelete=false",
                names::escape_url(&one.entity.id)
            );
            match self.api.send(Method::DELETE, &path, None).await {
                Err(error) if error.status() != Some(404) => {
                    failed.push((one.entity.name.clone(), error));
                }
                _ => (),
            }
        }
        for one in existing.values().filter(|one| kept.contains(&&*one.entity.name)) {
            if at_once.is_ok() && !left.contains_key(&one.stream) {
                let problem = "the server also deleted this pipeline, although it should have been \
                    kept";
                let error = RestError::unreadable("DELETE", "/pipelines/deleteStale", problem);
                failed.push((one.entity.name.clone(), error));
            }
        }
        Ok(failed)
    }
}
