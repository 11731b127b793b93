//! Lineage in the OpenMetadata stand-in: edges, patches and broken references.

use serde_json::{Value, json};

use super::routes::{ApiResponse, error_response};
use super::rules::find_violation;
use super::{ApiRequest, ApiState};

/// Responds to a request below `/lineage`. Returns `None` for other paths.
pub(super) fn answer_lineage(
    asked: &ApiRequest,
    path: &[&str],
    state: &mut ApiState,
) -> Option<ApiResponse> {
    Some(match (&*asked.method, path) {
        ("PUT", []) => put_edge(&asked.body, state),
        ("GET", ["getLineageEdge", from, to]) => match state.edges.get(&edge_key(from, to)) {
            Some(details) => (200, json!({"edge": details})),
            None => error_response(404, "Lineage edge not found"),
        },
        ("PATCH", [from_kind, from, to_kind, to]) => {
            patch_edge([from_kind, from, to_kind, to], &asked.body, state)
        }
        ("DELETE", ["pipeline", pipeline, "type", source]) => {
            state.edges.retain(|_, details| {
                details["pipeline"]["id"] != **pipeline || details["source"] != **source
            });
            (200, Value::Null)
        }
        _ => return None,
    })
}

fn edge_key(from: &str, to: &str) -> (String, String) {
    (from.to_owned(), to.to_owned())
}

/// The error response to a reference of an unknown entity, if it is one.
fn find_broken_reference(kind: &str, id: &str, state: &ApiState) -> Option<ApiResponse> {
    let collection = match kind {
        "searchIndex" => "searchIndexes".to_owned(),
        kind => format!("{kind}s"),
    };
    let is_there = state
        .entities
        .get(id)
        .is_some_and(|one| one["_kind"] == *collection && one["deleted"] != true);
    (!is_there).then(|| error_response(404, &format!("{kind} instance for {id} not found")))
}

fn put_edge(body: &Value, state: &mut ApiState) -> ApiResponse {
    if let Some(words) = find_violation("addLineage", body) {
        return error_response(400, &words);
    }
    let edge = &body["edge"];
    let mut details = edge["lineageDetails"].clone();
    let ends = [&edge["fromEntity"], &edge["toEntity"], &details["pipeline"]];
    for reference in ends.iter().filter(|reference| !reference.is_null()) {
        let (kind, id) = (reference["type"].as_str(), reference["id"].as_str());
        if let Some(reply) =
            find_broken_reference(kind.unwrap_or_default(), id.unwrap_or_default(), state)
        {
            return reply;
        }
    }
    if state.traits.drops_pipeline {
        details.as_object_mut().map(|details| details.remove("pipeline"));
    }
    let id = |end: &Value| end["id"].as_str().unwrap_or_default().to_owned();
    state.edges.insert((id(&edge["fromEntity"]), id(&edge["toEntity"])), details);
    (200, Value::Null)
}

fn patch_edge(
    [from_kind, from, to_kind, to]: [&str; 4],
    body: &Value,
    state: &mut ApiState,
) -> ApiResponse {
    let operations = body.as_array().cloned().unwrap_or_default();
    let wrong = operations.iter().find_map(|operation| match operation["path"].as_str() {
        Some("/pipeline") => find_violation("reference", &operation["value"]),
        Some("/columnsLineage") => {
            find_violation("lineageDetails", &json!({"columnsLineage": operation["value"]}))
        }
        Some("/sqlQuery") => None,
        other => Some(format!("{other:?} cannot be changed")),
    });
    if let Some(words) = find_violation("patch", body).or(wrong) {
        return error_response(400, &words);
    }
    if let Some(reply) = find_broken_reference(from_kind, from, state)
        .or_else(|| find_broken_reference(to_kind, to, state))
    {
        return reply;
    }
    let Some(details) = state.edges.get_mut(&edge_key(from, to)) else {
        return error_response(404, "Lineage edge not found");
    };
    for operation in operations {
        let path = operation["path"].as_str().unwrap_or_default().trim_start_matches('/');
        if operation["op"] == "replace" && details.get(path).is_none() {
            return error_response(400, &format!("{path} does not exist and cannot be replaced"));
        }
        details[path] = operation["value"].clone();
    }
    (200, details.clone())
}
