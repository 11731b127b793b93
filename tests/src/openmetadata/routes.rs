//! Routes of the OpenMetadata stand-in: services, pipelines, bulk requests, deletion and search.

use serde_json::{Value, json};

use super::connection::percent_decode;
use super::rules::{find_violation, quote_part, split_full_name};
use super::{ApiRequest, ApiState, lineage};

/// A status and a body.
pub(super) type ApiResponse = (u16, Value);

const COLLECTIONS: &[&str] = &["tables", "topics", "containers", "searchIndexes", "pipelines"];

/// Responds to a request.
pub(super) fn answer_request(asked: &ApiRequest, state: &mut ApiState) -> ApiResponse {
    let Some(path) = asked.path.strip_prefix("/api/v1/") else {
        return reject_unknown(asked, state);
    };
    let path: Vec<String> = path.split('/').map(percent_decode).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    if asked.method == "PATCH"
        && asked.headers.get("content-type").map(String::as_str)
            != Some("application/json-patch+json")
    {
        return (415, json!({"code": 415, "message": "HTTP 415 Unsupported Media Type"}));
    }
    match (&*asked.method, &*path) {
        ("GET", ["system", "version"]) => {
            (200, json!({"version": state.traits.version, "revision": "x"}))
        }
        ("GET", ["services", "pipelineServices", "name", name]) => {
            find_by_name(state, "pipelineServices", name)
        }
        ("PUT", ["services", "pipelineServices"]) => put_service(&asked.body, state),
        ("PATCH", ["services", "pipelineServices", id] | ["pipelines", id]) => {
            patch_entity(id, &asked.body, state)
        }
        ("GET", ["pipelines"]) => list_entities(asked, state),
        ("PUT", ["pipelines"]) => put_pipeline(&asked.body, false, state),
        ("PUT", ["pipelines", "bulk"]) if state.traits.has_bulk => put_bulk(asked, state),
        ("DELETE", ["pipelines", "deleteStale"]) if state.traits.has_delete_stale => {
            delete_stale(&asked.body, state)
        }
        ("PUT" | "DELETE", ["pipelines", "bulk" | "deleteStale"]) => {
            error_response(404, "HTTP 404 Not Found")
        }
        ("DELETE", ["pipelines", id]) => delete_entity(id, asked, state),
        ("GET", [kind, "name", name]) if COLLECTIONS.contains(kind) => {
            find_by_name(state, kind, name)
        }
        ("GET", [kind, id]) if COLLECTIONS.contains(kind) => match state.entities.get(*id) {
            Some(entity) if entity["deleted"] != true => (200, without_internals(entity)),
            _ => error_response(404, &format!("{kind} instance for {id} not found")),
        },
        ("GET", ["search", "fieldQuery"]) => search_entities(asked, state),
        (_, ["lineage", rest @ ..]) => lineage::answer_lineage(asked, rest, state)
            .unwrap_or_else(|| reject_unknown(asked, state)),
        _ => reject_unknown(asked, state),
    }
}

fn reject_unknown(asked: &ApiRequest, state: &mut ApiState) -> ApiResponse {
    state.violations.push(format!("{} {}", asked.method, asked.path));
    error_response(404, "HTTP 404 Not Found")
}

pub(super) fn error_response(status: u16, words: &str) -> ApiResponse {
    (status, json!({"code": status, "message": words}))
}

/// An entity without internal members.
pub(super) fn without_internals(entity: &Value) -> Value {
    let own = entity.as_object().expect("entities are objects").iter();
    own.filter(|(key, _)| !key.starts_with('_'))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn find_by_name(state: &ApiState, kind: &str, name: &str) -> ApiResponse {
    let entity = state.entities.values().find(|one| {
        one["_kind"] == kind && one["fullyQualifiedName"] == name && one["deleted"] != true
    });
    match entity {
        Some(entity) => (200, without_internals(entity)),
        None => error_response(404, &format!("{kind} instance for {name} not found")),
    }
}

fn put_service(body: &Value, state: &mut ApiState) -> ApiResponse {
    let config = &body["connection"]["config"];
    let wrong =
        find_violation("createPipelineService", body).or_else(|| match config["type"].as_str() {
            Some("KinesisFirehose") => find_violation("kinesisFirehoseConnection", config),
            Some("CustomPipeline") => find_violation("customPipelineConnection", config),
            Some(_) => Some("connection.config is of no type".to_owned()),
            None => None,
        });
    let is_unknown = body["serviceType"] == "KinesisFirehose" && !state.traits.has_firehose;
    let unknown = is_unknown
        .then(|| "serviceType: value not one of the values accepted for Enum class".to_owned());
    if let Some(words) = wrong.or(unknown) {
        return error_response(400, &words);
    }
    let name = quote_part(body["name"].as_str().unwrap_or_default());
    if find_by_name(state, "pipelineServices", &name).0 == 200 {
        state.violations.push("the service is overwritten".to_owned());
    }
    let id = state.add_entity("pipelineServices", &name, body);
    (201, without_internals(&state.entities[&id]))
}

fn patch_entity(id: &str, body: &Value, state: &mut ApiState) -> ApiResponse {
    if let Some(words) = find_violation("patch", body) {
        return error_response(400, &words);
    }
    let Some(entity) = state.entities.get_mut(id) else { return error_response(404, "no entity") };
    for operation in body.as_array().into_iter().flatten() {
        let key = operation["path"].as_str().unwrap_or_default().trim_start_matches('/');
        entity[key] = operation["value"].clone();
    }
    (200, without_internals(entity))
}

fn list_entities(asked: &ApiRequest, state: &ApiState) -> ApiResponse {
    let service = asked.query.get("service").cloned().unwrap_or_default();
    let limit: usize = asked.query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(10);
    let after = asked.query.get("after").cloned().unwrap_or_default();
    let mut all: Vec<&Value> = state
        .entities
        .values()
        .filter(|one| {
            one["_kind"] == "pipelines"
                && one["deleted"] != true
                && one["service"]["name"] == service
        })
        .collect();
    all.sort_by_key(|one| one["name"].as_str());
    let total = all.len();
    let rest: Vec<_> = all.into_iter().filter(|one| one["name"].as_str() > Some(&after)).collect();
    let page: Vec<Value> = rest.iter().take(limit).map(|one| without_internals(one)).collect();
    let mut paging = json!({"total": total});
    if rest.len() > limit {
        paging["after"] = page.last().map(|one| one["name"].clone()).unwrap_or_default();
    }
    (200, json!({"data": page, "paging": paging}))
}

fn put_pipeline(body: &Value, overrides: bool, state: &mut ApiState) -> ApiResponse {
    let rule = if state.traits.has_new_keys { "createPipeline" } else { "createPipelineBefore" };
    if let Some(words) = find_violation(rule, body) {
        return error_response(400, &words);
    }
    let service = body["service"].as_str().unwrap_or_default();
    if find_by_name(state, "pipelineServices", service).0 != 200 {
        return error_response(404, &format!("pipelineService instance for {service} not found"));
    }
    let name = format!("{service}.{}", quote_part(body["name"].as_str().unwrap_or_default()));
    let mut own = body.clone();
    own["service"] = json!({"name": split_full_name(service).expect("it is there")[0], "fullyQualifiedName": service});
    for task in own["tasks"].as_array_mut().into_iter().flatten() {
        let task_name = quote_part(task["name"].as_str().unwrap_or_default());
        task["fullyQualifiedName"] = format!("{name}.{task_name}").into();
    }
    let stored = state
        .entities
        .values_mut()
        .find(|one| one["_kind"] == "pipelines" && one["fullyQualifiedName"] == *name);
    let Some(stored) = stored else {
        let id = state.add_entity("pipelines", &name, &own);
        return (201, without_internals(&state.entities[&id]));
    };
    // Edits by users stay, unless the request overwrites them.
    let keeps = stored["_edited"] == true && !overrides;
    for (key, value) in own.as_object().into_iter().flatten() {
        if !(keeps && matches!(&**key, "description" | "displayName")) {
            stored[key] = value.clone();
        }
    }
    stored["deleted"] = false.into();
    (200, without_internals(stored))
}

fn put_bulk(asked: &ApiRequest, state: &mut ApiState) -> ApiResponse {
    let Some(all) = asked.body.as_array() else {
        return error_response(400, "the body is not a list");
    };
    let rule = if state.traits.has_new_keys { "createPipeline" } else { "createPipelineBefore" };
    if let Some(words) = all.iter().find_map(|one| find_violation(rule, one)) {
        return error_response(400, &words);
    }
    if asked.query.get("async").map(String::as_str) != Some("false") {
        return error_response(400, "later pages are not known yet");
    }
    let overrides =
        asked.query.get("overrideMetadata").is_some_and(|overrides| overrides == "true");
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for one in all {
        let name = one["name"].as_str().unwrap_or_default();
        let request =
            json!(format!("{}.{}", one["service"].as_str().unwrap_or_default(), quote_part(name)));
        let refused = state
            .faults
            .iter_mut()
            .find(|fault| fault.times > 0 && fault.method == "BULK" && fault.path == name);
        let status = match refused {
            Some(fault) => {
                fault.times -= 1;
                fault.status
            }
            None => put_pipeline(one, overrides, state).0,
        };
        let result = json!({"request": request, "status": status, "message": ""});
        if status < 300 { done.push(result) } else { failed.push(result) }
    }
    let body = json!({
        "dryRun": false,
        "status": if failed.is_empty() { "success" } else { "partialSuccess" },
        "numberOfRowsProcessed": all.len(),
        "numberOfRowsPassed": done.len(),
        "numberOfRowsFailed": failed.len(),
        "successRequest": done,
        "failedRequest": failed,
    });
    (200, body)
}

fn delete_stale(body: &Value, state: &mut ApiState) -> ApiResponse {
    if let Some(words) = find_violation("deleteStale", body) {
        return error_response(400, &words);
    }
    let scope = body["scopeFqn"].as_str().unwrap_or_default();
    if find_by_name(state, "pipelineServices", scope).0 != 200 {
        return error_response(404, &format!("pipelineService instance for {scope} not found"));
    }
    let seen = body["seenFqns"].as_array().cloned().unwrap_or_default();
    let mut deleted = 0;
    for one in state.entities.values_mut() {
        let is_within =
            one["_kind"] == "pipelines" && one["service"]["fullyQualifiedName"] == scope;
        if is_within && one["deleted"] != true && !seen.contains(&one["fullyQualifiedName"]) {
            one["deleted"] = true.into();
            deleted += 1;
        }
    }
    (200, json!({"numberOfRowsProcessed": deleted}))
}

fn delete_entity(id: &str, asked: &ApiRequest, state: &mut ApiState) -> ApiResponse {
    if asked.query.get("hardDelete").is_some_and(|hard| hard != "false") {
        state.violations.push(format!("{id} is deleted for good"));
    }
    match state
        .entities
        .get_mut(id)
        .filter(|one| one["_kind"] == "pipelines" && one["deleted"] != true)
    {
        Some(one) => {
            one["deleted"] = true.into();
            (200, without_internals(one))
        }
        None => error_response(404, "no pipeline"),
    }
}

fn search_entities(asked: &ApiRequest, state: &ApiState) -> ApiResponse {
    let of = |key: &str| asked.query.get(key).map(String::as_str).unwrap_or_default();
    let kind = match of("index") {
        "table_search_index" => "tables",
        "topic_search_index" => "topics",
        "container_search_index" => "containers",
        "search_entity_search_index" => "searchIndexes",
        other => return error_response(400, &format!("unknown index [{other}]")),
    };
    let (field, pattern) = (of("fieldName"), of("fieldValue").to_lowercase());
    let is_like = |one: &&Value| {
        let value = one[field].as_str().filter(|_| one["_kind"] == kind);
        // There may be thousands of values, so a name without `*` is compared without a copy.
        value.is_some_and(|value| match pattern.contains('*') {
            true => is_matched(&pattern, &value.to_lowercase()),
            false => value.eq_ignore_ascii_case(&pattern),
        })
    };
    let all = state.entities.values().filter(|_| !state.traits.search_lags).filter(is_like);
    let (from, size): (usize, usize) =
        (of("from").parse().unwrap_or(0), of("size").parse().unwrap_or(10));
    let hits: Vec<Value> =
        all.skip(from).take(size).map(|one| json!({"_source": without_internals(one)})).collect();
    (200, json!({"hits": {"total": {"value": hits.len()}, "hits": hits}}))
}

/// Whether a text matches a pattern, in which `*` is any text.
fn is_matched(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|&at| rest.is_char_boundary(at))
                .any(|at| is_matched(after, &rest[at..]))
        }),
    }
}
