//! Edges: they are read, written only if something is missing, and then read back.
//!
//! An edge between two entities has one pipeline. A pipeline of another tool stays on its edge. A
//! pipeline of this service is replaced if no stream of the run has that edge any more. Some
//! versions respond with 200 but drop the pipeline, so each written edge is read back and
//! corrected.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::api::text_field;
use super::{Entity, EntityKind, OpenMetadata, RestError, names};
use crate::http_client::Method;

/// The outcome of writing an edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeWrite {
    /// The edge is new.
    Created,
    /// The pipeline or the columns of the edge were added.
    Updated,
    /// The edge is unchanged.
    Unchanged,
    /// The edge has another pipeline and keeps it.
    Kept {
        /// The id of another tool's pipeline, or another stream of this run with the
        /// same edge.
        pipeline: String,
    },
    /// A dry run would have written the edge.
    Would,
}

/// Writes the edges of a run.
#[derive(Debug)]
pub(crate) struct EdgeWriter<'a> {
    server: &'a OpenMetadata,
    /// Ids of the service's pipelines.
    ours: BTreeSet<String>,
    is_dry: bool,
    /// Pipelines whose edges this run has deleted.
    overridden: HashSet<String>,
    /// The stream whose pipeline is on an edge, by both ends.
    claimed: BTreeMap<(String, String), String>,
}

impl<'a> EdgeWriter<'a> {
    pub(crate) fn new(server: &'a OpenMetadata, ours: BTreeSet<String>, is_dry: bool) -> Self {
        let (overridden, claimed) = (HashSet::new(), BTreeMap::new());
        EdgeWriter { server, ours, is_dry, overridden, claimed }
    }

    /// Deletes the edges of a pipeline, once, if the settings say so: before its new ones are
    /// written, and also if it has none any more.
    pub(crate) async fn delete_overridden(
        &mut self,
        pipeline: Option<&Entity>,
    ) -> Result<(), RestError> {
        let Some(pipeline) =
            pipeline.filter(|_| self.server.settings.override_lineage && !self.is_dry)
        else {
            return Ok(());
        };
        if !self.overridden.insert(pipeline.id.clone()) {
            return Ok(());
        }
        let path =
            format!("/lineage/pipeline/{}/type/PipelineLineage", names::escape_url(&pipeline.id));
        match self.server.api.send(Method::DELETE, &path, None).await {
            // The pipeline has no edges.
            Err(error) if error.status() == Some(404) => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Creates or completes an edge. `pipeline` is `None` if a dry run would have created the
    /// pipeline.
    pub(crate) async fn put_edge(
        &mut self,
        stream: &str,
        pipeline: Option<&Entity>,
        from: &Entity,
        to: &Entity,
        keeps_columns: bool,
    ) -> Result<EdgeWrite, RestError> {
        let ends = (from.id.clone(), to.id.clone());
        match self.claimed.get(&ends) {
            Some(other) if other != stream => {
                return Ok(EdgeWrite::Kept { pipeline: other.clone() });
            }
            _ => self.claimed.insert(ends, stream.to_owned()),
        };
        let has_columns = keeps_columns && self.server.settings.column_lineage;
        let columns = if has_columns { self.server.column_pairs(from, to).await? } else { vec![] };
        let stored = self.server.get_edge(from, to).await?;
        let Some(pipeline) = pipeline else { return Ok(EdgeWrite::Would) };
        // An edge that starts at the pipeline does not need to name it.
        let own = (from.id != pipeline.id).then_some(pipeline);
        let stored = match stored {
            Some(stored) => stored,
            None if self.is_dry => return Ok(EdgeWrite::Would),
            None => return self.create_edge(from, to, own, &columns).await,
        };
        let is_ours = |id: &str| id == pipeline.id || self.ours.contains(id);
        if let Some(theirs) = pipeline_id(&stored).filter(|id| !is_ours(id)) {
            return Ok(EdgeWrite::Kept { pipeline: theirs.to_owned() });
        }
        let patch = patch_of_missing_parts(&stored, own, &columns);
        if patch.is_empty() {
            return Ok(EdgeWrite::Unchanged);
        }
        if self.is_dry {
            return Ok(EdgeWrite::Would);
        }
        self.server.patch_edge(from, to, patch).await?;
        Ok(EdgeWrite::Updated)
    }

    async fn create_edge(
        &self,
        from: &Entity,
        to: &Entity,
        pipeline: Option<&Entity>,
        columns: &[Value],
    ) -> Result<EdgeWrite, RestError> {
        let mut details = json!({"source": "PipelineLineage", "columnsLineage": columns});
        if let Some(pipeline) = pipeline {
            details["pipeline"] = pipeline.reference();
        }
        let edge = json!({"fromEntity": from.reference(), "toEntity": to.reference(), "lineageDetails": details});
        self.server.api.send(Method::PUT, "/lineage", Some(&json!({"edge": edge}))).await?;
        let missing = |problem: &str| RestError::unreadable("PUT", "/lineage", problem);
        let stored = self.server.get_edge(from, to).await?;
        let stored = stored.ok_or_else(|| missing("the edge is missing after it was written"))?;
        let patch = patch_of_missing_parts(&stored, pipeline, columns);
        if patch.is_empty() {
            return Ok(EdgeWrite::Created);
        }
        tracing::debug!("the server dropped a part of an edge; adding it again");
        self.server.patch_edge(from, to, patch).await?;
        let stored = self.server.get_edge(from, to).await?.unwrap_or_default();
        match patch_of_missing_parts(&stored, pipeline, &[]).is_empty() {
            true => Ok(EdgeWrite::Created),
            false => Err(missing("the edge does not keep its pipeline")),
        }
    }
}

impl OpenMetadata {
    /// Returns the details of an edge, or `None` if it does not exist.
    async fn get_edge(&self, from: &Entity, to: &Entity) -> Result<Option<Value>, RestError> {
        let path = format!(
            "/lineage/getLineageEdge/{}/{}",
            names::escape_url(&from.id),
            names::escape_url(&to.id)
        );
        let Some(mut answer) = self.api.get_object(&path).await? else { return Ok(None) };
        let edge = answer.get_mut("edge").map(Value::take).filter(Value::is_object);
        let mut edge =
            edge.ok_or_else(|| RestError::unreadable("GET", &path, "it has no `edge`"))?;
        Ok(Some(edge.get_mut("lineageDetails").map(Value::take).unwrap_or(edge)))
    }

    async fn patch_edge(
        &self,
        from: &Entity,
        to: &Entity,
        patch: Vec<Value>,
    ) -> Result<(), RestError> {
        let (from_id, to_id) = (names::escape_url(&from.id), names::escape_url(&to.id));
        let path = format!("/lineage/{}/{from_id}/{}/{to_id}", from.kind.word(), to.kind.word());
        self.api.send(Method::PATCH, &path, Some(&patch.into())).await.map(drop)
    }

    /// Pairs of columns with the same name, ignoring case.
    async fn column_pairs(&self, from: &Entity, to: &Entity) -> Result<Vec<Value>, RestError> {
        let (from, to) = (self.columns_of(from).await?, self.columns_of(to).await?);
        let pairs = to.iter().filter_map(|(name, to)| {
            Some(json!({"fromColumns": [from.get(name)?], "toColumn": to}))
        });
        Ok(pairs.collect())
    }

    /// Full names of columns by their names in lower case.
    async fn columns_of(&self, entity: &Entity) -> Result<BTreeMap<String, String>, RestError> {
        let (fields, pointer) = match entity.kind {
            EntityKind::Table => ("?fields=columns", "/columns"),
            EntityKind::Container => ("?fields=dataModel", "/dataModel/columns"),
            EntityKind::Topic => ("", "/messageSchema/schemaFields"),
            EntityKind::SearchIndex => ("?fields=fields", "/fields"),
            EntityKind::Pipeline => return Ok(BTreeMap::new()),
        };
        let path =
            format!("/{}/{}{fields}", entity.kind.collection(), names::escape_url(&entity.id));
        let answer = self.api.get_object(&path).await?.unwrap_or_default();
        let columns =
            answer.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
        let named = columns.iter().filter_map(|column| {
            Some((
                text_field(column, "name")?.to_lowercase(),
                text_field(column, "fullyQualifiedName")?.to_owned(),
            ))
        });
        Ok(named.collect())
    }
}

/// Returns the missing parts of an edge as JSON Patch. Nothing is removed from it.
fn patch_of_missing_parts(
    stored: &Value,
    pipeline: Option<&Entity>,
    columns: &[Value],
) -> Vec<Value> {
    let mut operations = Vec::new();
    let operation = |key: &str| {
        if stored.get(key).is_some_and(|old| !old.is_null()) { "replace" } else { "add" }
    };
    if let Some(pipeline) = pipeline.filter(|own| pipeline_id(stored) != Some(&own.id)) {
        let op = operation("pipeline");
        operations.push(json!({"op": op, "path": "/pipeline", "value": pipeline.reference()}));
    }
    let there = stored.get("columnsLineage").and_then(Value::as_array).cloned().unwrap_or_default();
    let key =
        |column: &Value| (column.get("fromColumns").cloned(), column.get("toColumn").cloned());
    let known: Vec<_> = there.iter().map(key).collect();
    let new: Vec<_> =
        columns.iter().filter(|column| !known.contains(&key(column))).cloned().collect();
    if !new.is_empty() {
        let op = operation("columnsLineage");
        let all: Vec<_> = there.into_iter().chain(new).collect();
        operations.push(json!({"op": op, "path": "/columnsLineage", "value": all}));
    }
    operations
}

fn pipeline_id(edge: &Value) -> Option<&str> {
    text_field(edge.get("pipeline")?, "id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_adds_and_takes_nothing_away() {
        let entity = Entity { id: "p".into(), kind: EntityKind::Pipeline, name: "s.p".into() };
        let column = |to: &str| json!({"fromColumns": ["a"], "toColumn": to});
        let stored =
            json!({"pipeline": {"id": "p", "type": "pipeline"}, "columnsLineage": [column("x")]});
        assert_eq!(
            patch_of_missing_parts(&stored, Some(&entity), &[column("x")]),
            [] as [Value; 0]
        );
        assert_eq!(patch_of_missing_parts(&stored, None, &[]), [] as [Value; 0]);
        assert_eq!(
            patch_of_missing_parts(&stored, Some(&entity), &[column("y"), column("x")]),
            [
                json!({"op": "replace", "path": "/columnsLineage", "value": [column("x"), column("y")]})
            ]
        );
        assert_eq!(
            patch_of_missing_parts(&Value::Null, Some(&entity), &[]),
            [json!({"op": "add", "path": "/pipeline", "value": {"id": "p", "type": "pipeline"}})]
        );
    }
}
