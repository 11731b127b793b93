//! The pipelines of the service: reads the existing ones, and writes changes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::api::text_field;
use super::payload::{PayloadKeys, is_stored, pipeline_payload, restrict_keys};
use super::{Entity, EntityKind, OpenMetadata, RestError, names};
use crate::http_client::Method;
use crate::{Graph, StreamDescription};

/// Pipelines in one page of OpenMetadata's list.
const CATALOG_PAGE: usize = 100;

/// Maximum pages of a list or of a search, so that a server cannot make a run endless.
const CATALOG_PAGES_MAX: usize = 1000;

/// The pipelines of a service, by their streams.
pub type ExistingPipelines = BTreeMap<String, ExistingPipeline>;

/// An existing pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct ExistingPipeline {
    /// The entity.
    pub entity: Entity,
    /// The pipeline's own name, which is that of the stream.
    pub stream: String,
    stored: Value,
}

/// The outcome of writing a pipeline.
#[derive(Debug, Clone)]
pub enum PipelineWrite {
    /// The pipeline is new.
    Created,
    /// The pipeline was changed.
    Updated,
    /// The pipeline is unchanged.
    Unchanged,
    /// The pipeline could not be written.
    Failed(RestError),
}

impl OpenMetadata {
    /// Returns all pipelines of the service, by stream name.
    ///
    /// # Errors
    ///
    /// Fails if the list cannot be read to its end.
    pub async fn list_pipelines(&self) -> Result<ExistingPipelines, RestError> {
        let unreadable = |problem: &str| RestError::unreadable("GET", "/pipelines", problem);
        let (mut found, mut after) = (BTreeMap::new(), String::new());
        for _ in 0..CATALOG_PAGES_MAX {
            // This endpoint expects the plain name of the service, and not the escaped form in full
            // names.
            let service = names::escape_url(&self.settings.service);
            let mut path =
                format!("/pipelines?service={service}&fields=tasks&limit={CATALOG_PAGE}");
            if !after.is_empty() {
                path.push_str(&format!("&after={}", names::escape_url(&after)));
            }
            // Some versions respond with 404 if the service does not exist.
            let Some(page) = self.api.get_object(&path).await? else { return Ok(found) };
            let pipelines = page.get("data").and_then(Value::as_array);
            for pipeline in pipelines.ok_or_else(|| unreadable("it has no `data`"))? {
                if let Some(pipeline) = self.read_existing(pipeline)? {
                    found.insert(pipeline.stream.clone(), pipeline);
                }
            }
            let paging = page.get("paging").filter(|paging| paging.is_object());
            let next = paging.ok_or_else(|| unreadable("it has no `paging`"))?.get("after");
            let Some(next) = next.filter(|next| !next.is_null()) else { return Ok(found) };
            match next.as_str().filter(|next| !next.is_empty() && *next != after) {
                Some(next) => after = next.to_owned(),
                None => return Err(unreadable("its `paging.after` is invalid")),
            }
        }
        Err(unreadable("the list does not end"))
    }

    /// Ignores pipelines of other services, which a server that does not know the parameter might
    /// list.
    fn read_existing(&self, stored: &Value) -> Result<Option<ExistingPipeline>, RestError> {
        let entity = Entity::read(EntityKind::Pipeline, stored).ok_or_else(|| {
            let problem = "a pipeline has no `id` or no `fullyQualifiedName`";
            RestError::unreadable("GET", "/pipelines", problem)
        })?;
        let parts = names::split_name(&entity.name).and_then(|parts| parts.try_into().ok());
        let Some([service, stream]): Option<[String; 2]> = parts else { return Ok(None) };
        let is_ours = service == self.settings.service;
        Ok(is_ours.then(|| ExistingPipeline { entity, stream, stored: stored.clone() }))
    }

    /// Writes the changed pipelines, and returns the outcome of each.
    ///
    /// # Errors
    ///
    /// Fails if written pipelines cannot be read back.
    pub async fn put_pipelines(
        &self,
        streams: &[StreamDescription],
        graph: &Graph,
        existing: &mut ExistingPipelines,
        is_dry: bool,
    ) -> Result<BTreeMap<String, PipelineWrite>, RestError> {
        let mut outcomes = BTreeMap::new();
        let mut due = Vec::new();
        for stream in streams {
            let payload = pipeline_payload(stream, graph, &self.service);
            let stored = existing.get(&stream.name).map(|existing| &existing.stored);
            let is_as_it_should = |stored: &Value| {
                // If the server stored no state and no hash, it only supports the basic keys.
                let keys =
                    if stored.get("state").is_some() { PayloadKeys::All } else { PayloadKeys::Few };
                is_stored(&payload, stored, self.settings.override_metadata, keys)
            };
            let outcome = match stored {
                Some(stored) if is_as_it_should(stored) => PipelineWrite::Unchanged,
                Some(_) => PipelineWrite::Updated,
                None => PipelineWrite::Created,
            };
            if !matches!(outcome, PipelineWrite::Unchanged) {
                due.push((stream.name.clone(), payload));
            }
            outcomes.insert(stream.name.clone(), outcome);
        }
        if is_dry || due.is_empty() {
            return Ok(outcomes);
        }
        for (name, error) in self.write_pipelines(&due).await {
            outcomes.insert(name, PipelineWrite::Failed(error));
        }
        *existing = self.list_pipelines().await?;
        for (name, outcome) in &mut outcomes {
            if !existing.contains_key(name) && !matches!(outcome, PipelineWrite::Failed(_)) {
                let problem = "the pipeline is missing after it was written";
                *outcome =
                    PipelineWrite::Failed(RestError::unreadable("PUT", "/pipelines", problem));
            }
        }
        Ok(outcomes)
    }

    /// Writes pipelines, in bulk if the server can, and returns those that failed.
    async fn write_pipelines(&self, due: &[(String, Value)]) -> Vec<(String, RestError)> {
        let (mut failed, mut keys, mut has_bulk) =
            (Vec::new(), PayloadKeys::All, self.settings.bulk_size > 1);
        for part in due.chunks(self.settings.bulk_size.max(1)) {
            let mut rest: Vec<&(String, Value)> = part.iter().collect();
            if has_bulk && keys == PayloadKeys::All {
                match self.write_bulk(part).await {
                    Ok(done) => rest.retain(|(name, _)| !done.contains(name)),
                    Err(error) if matches!(error.status(), Some(400 | 404 | 405)) => {
                        tracing::debug!(
                            "the bulk request failed; writing pipelines one by one: {error}"
                        );
                        has_bulk = false;
                    }
                    Err(error) => {
                        failed.extend(part.iter().map(|(name, _)| (name.clone(), error.clone())));
                        continue;
                    }
                }
            }
            for (name, payload) in rest {
                if let Err(error) = self.write_one(payload, &mut keys).await {
                    failed.push((name.clone(), error));
                }
            }
        }
        failed
    }

    /// The names of the pipelines that the server accepted.
    async fn write_bulk(&self, part: &[(String, Value)]) -> Result<BTreeSet<String>, RestError> {
        let overrides = self.settings.override_metadata;
        let path = format!("/pipelines/bulk?async=false&overrideMetadata={overrides}");
        let body: Value = part.iter().map(|(_, payload)| payload.clone()).collect();
        let answer = self.api.send(Method::PUT, &path, Some(&body)).await?;
        let done = answer.get("successRequest").and_then(Value::as_array).into_iter().flatten();
        let mut names: BTreeSet<String> = BTreeSet::new();
        for request in done {
            // Some versions return the request, others the full name.
            let request = request.get("request").unwrap_or(request);
            let name =
                text_field(request, "name").or_else(|| text_field(request, "fullyQualifiedName"));
            let name = name.or_else(|| request.as_str()).unwrap_or_default();
            let own = names::split_name(name)
                .filter(|parts| parts.first() == Some(&self.settings.service));
            names.insert(own.and_then(|mut parts| parts.pop()).unwrap_or_else(|| name.to_owned()));
        }
        Ok(names)
    }

    async fn write_one(&self, payload: &Value, keys: &mut PayloadKeys) -> Result<(), RestError> {
        let attempt =
            self.api.send(Method::PUT, "/pipelines", Some(&restrict_keys(*keys, payload))).await;
        let refused = match attempt {
            Ok(stored) => return self.override_words(payload, &stored).await,
            Err(error) if *keys == PayloadKeys::All && error.status() == Some(400) => error,
            Err(error) => return Err(error),
        };
        let few = restrict_keys(PayloadKeys::Few, payload);
        let attempt = self.api.send(Method::PUT, "/pipelines", Some(&few)).await;
        // If both attempts fail, the error of the full payload is more helpful.
        let stored = attempt.map_err(|_| refused.clone())?;
        tracing::warn!(
            "this server rejects some keys of pipelines; writing them without state, start date and URL ({refused})"
        );
        *keys = PayloadKeys::Few;
        self.override_words(payload, &stored).await
    }

    /// Overwrites texts that people have changed, if the settings require it. Writing a pipeline
    /// alone never does so.
    async fn override_words(&self, payload: &Value, stored: &Value) -> Result<(), RestError> {
        let is_other = |key: &&str| stored.get(*key) != payload.get(*key);
        let other: Vec<_> = ["description", "displayName"].into_iter().filter(is_other).collect();
        if !self.settings.override_metadata || other.is_empty() {
            return Ok(());
        }
        let operation = |key: &str| {
            let op = if stored.get(key).is_some() { "replace" } else { "add" };
            json!({"op": op, "path": format!("/{key}"), "value": payload[key]})
        };
        let patch: Value = other.into_iter().map(operation).collect();
        let id = text_field(stored, "id");
        let id = id.ok_or_else(|| RestError::unreadable("PUT", "/pipelines", "it has no `id`"))?;
        let path = format!("/pipelines/{}", names::escape_url(id));
        self.api.send(Method::PATCH, &path, Some(&patch)).await.map(drop)
    }
}
