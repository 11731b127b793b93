//! Paths of the stand-in for OpenMetadata: services, pipelines, bulk requests, deletion and search.

use serde_json::{Value, json};

use super::connection::unescaped;
use super::rules::{parts, quoted, violation};
use super::{Asked, State, lineage};

/// A status and a body.
pub(super) type Reply = (u16, Value);

const COLLECTIONS: &[&str] = &["tables", "topics", "containers", "searchIndexes", "pipelines"];

/// What the API answers.
pub(super) fn answer(asked: &Asked, state: &mut State) -> Reply {
    let Some(path) = asked.path.strip_prefix("/api/v1/") else { return unknown(asked, state) };
    let path: Vec<String> = path.split('/').map(unescaped).collect();
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
            by_name(state, "pipelineServices", name)
        }
        ("PUT", ["services", "pipelineServices"]) => put_service(&asked.body, state),
        ("PATCH", ["services", "pipelineServices", id] | ["pipelines", id]) => {
            patch(id, &asked.body, state)
        }
        ("GET", ["pipelines"]) => list(asked, state),
        ("PUT", ["pipelines"]) => put_pipeline(&asked.body, false, state),
        ("PUT", ["pipelines", "bulk"]) if state.traits.has_bulk => put_bulk(asked, state),
        ("DELETE", ["pipelines", "deleteStale"]) if state.traits.has_delete_stale => {
            delete_stale(&asked.body, state)
        }
        ("PUT" | "DELETE", ["pipelines", "bulk" | "deleteStale"]) => {
            refusal(404, "HTTP 404 Not Found")
        }
        ("DELETE", ["pipelines", id]) => delete(id, asked, state),
        ("GET", [kind, "name", name]) if COLLECTIONS.contains(kind) => by_name(state, kind, name),
        ("GET", [kind, id]) if COLLECTIONS.contains(kind) => match state.entities.get(*id) {
            Some(entity) if entity["deleted"] != true => (200, shown(entity)),
            _ => refusal(404, &format!("{kind} instance for {id} not found")),
        },
        ("GET", ["search", "fieldQuery"]) => search(asked, state),
        (_, ["lineage", rest @ ..]) => {
            lineage::answer(asked, rest, state).unwrap_or_else(|| unknown(asked, state))
        }
        _ => unknown(asked, state),
    }
}

fn unknown(asked: &Asked, state: &mut State) -> Reply {
    state.violations.push(format!("{} {}", asked.method, asked.path));
    refusal(404, "HTTP 404 Not Found")
}

pub(super) fn refusal(status: u16, words: &str) -> Reply {
    (status, json!({"code": status, "message": words}))
}

/// An entity without what is only known here.
pub(super) fn shown(entity: &Value) -> Value {
    let own = entity.as_object().expect("entities are objects").iter();
    own.filter(|(key, _)| !key.starts_with('_'))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn by_name(state: &State, kind: &str, name: &str) -> Reply {
    let entity = state.entities.values().find(|one| {
        one["_kind"] == kind && one["fullyQualifiedName"] == name && one["deleted"] != true
    });
    match entity {
        Some(entity) => (200, shown(entity)),
        None => refusal(404, &format!("{kind} instance for {name} not found")),
    }
}

fn put_service(body: &Value, state: &mut State) -> Reply {
    let config = &body["connection"]["config"];
    let wrong =
        violation("createPipelineService", body).or_else(|| match config["type"].as_str() {
            Some("KinesisFirehose") => violation("kinesisFirehoseConnection", config),
            Some("CustomPipeline") => violation("customPipelineConnection", config),
            Some(_) => Some("connection.config is of no type".to_owned()),
            None => None,
        });
    let is_unknown = body["serviceType"] == "KinesisFirehose" && !state.traits.has_firehose;
    let unknown = is_unknown
        .then(|| "serviceType: value not one of the values accepted for Enum class".to_owned());
    if let Some(words) = wrong.or(unknown) {
        return refusal(400, &words);
    }
    let name = quoted(body["name"].as_str().unwrap_or_default());
    if by_name(state, "pipelineServices", &name).0 == 200 {
        state.violations.push("the service is overwritten".to_owned());
    }
    let id = state.add("pipelineServices", &name, body);
    (201, shown(&state.entities[&id]))
}

fn patch(id: &str, body: &Value, state: &mut State) -> Reply {
    if let Some(words) = violation("patch", body) {
        return refusal(400, &words);
    }
    let Some(entity) = state.entities.get_mut(id) else { return refusal(404, "no entity") };
    for operation in body.as_array().into_iter().flatten() {
        let key = operation["path"].as_str().unwrap_or_default().trim_start_matches('/');
        entity[key] = operation["value"].clone();
    }
    (200, shown(entity))
}

fn list(asked: &Asked, state: &State) -> Reply {
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
    let page: Vec<Value> = rest.iter().take(limit).map(|one| shown(one)).collect();
    let mut paging = json!({"total": total});
    if rest.len() > limit {
        paging["after"] = page.last().map(|one| one["name"].clone()).unwrap_or_default();
    }
    (200, json!({"data": page, "paging": paging}))
}

fn put_pipeline(body: &Value, overrides: bool, state: &mut State) -> Reply {
    let rule = if state.traits.has_new_keys { "createPipeline" } else { "createPipelineBefore" };
    if let Some(words) = violation(rule, body) {
        return refusal(400, &words);
    }
    let service = body["service"].as_str().unwrap_or_default();
    if by_name(state, "pipelineServices", service).0 != 200 {
        return refusal(404, &format!("pipelineService instance for {service} not found"));
    }
    let name = format!("{service}.{}", quoted(body["name"].as_str().unwrap_or_default()));
    let mut own = body.clone();
    own["service"] =
        json!({"name": parts(service).expect("it is there")[0], "fullyQualifiedName": service});
    for task in own["tasks"].as_array_mut().into_iter().flatten() {
        let task_name = quoted(task["name"].as_str().unwrap_or_default());
        task["fullyQualifiedName"] = format!("{name}.{task_name}").into();
    }
    let stored = state
        .entities
        .values_mut()
        .find(|one| one["_kind"] == "pipelines" && one["fullyQualifiedName"] == *name);
    let Some(stored) = stored else {
        let id = state.add("pipelines", &name, &own);
        return (201, shown(&state.entities[&id]));
    };
    // What a person wrote stays, unless it is to be overwritten.
    let keeps = stored["_edited"] == true && !overrides;
    for (key, value) in own.as_object().into_iter().flatten() {
        if !(keeps && matches!(&**key, "description" | "displayName")) {
            stored[key] = value.clone();
        }
    }
    stored["deleted"] = false.into();
    (200, shown(stored))
}

fn put_bulk(asked: &Asked, state: &mut State) -> Reply {
    let Some(all) = asked.body.as_array() else { return refusal(400, "the body is no list") };
    let rule = if state.traits.has_new_keys { "createPipeline" } else { "createPipelineBefore" };
    if let Some(words) = all.iter().find_map(|one| violation(rule, one)) {
        return refusal(400, &words);
    }
    if asked.query.get("async").map(String::as_str) != Some("false") {
        return refusal(400, "what comes later cannot be told now");
    }
    let overrides =
        asked.query.get("overrideMetadata").is_some_and(|overrides| overrides == "true");
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for one in all {
        let name = one["name"].as_str().unwrap_or_default();
        let request =
            json!(format!("{}.{}", one["service"].as_str().unwrap_or_default(), quoted(name)));
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

fn delete_stale(body: &Value, state: &mut State) -> Reply {
    if let Some(words) = violation("deleteStale", body) {
        return refusal(400, &words);
    }
    let scope = body["scopeFqn"].as_str().unwrap_or_default();
    if by_name(state, "pipelineServices", scope).0 != 200 {
        return refusal(404, &format!("pipelineService instance for {scope} not found"));
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

fn delete(id: &str, asked: &Asked, state: &mut State) -> Reply {
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
            (200, shown(one))
        }
        None => refusal(404, "no pipeline"),
    }
}

fn search(asked: &Asked, state: &State) -> Reply {
    let of = |key: &str| asked.query.get(key).map(String::as_str).unwrap_or_default();
    let kind = match of("index") {
        "table_search_index" => "tables",
        "topic_search_index" => "topics",
        "container_search_index" => "containers",
        "search_entity_search_index" => "searchIndexes",
        other => return refusal(400, &format!("no such index [{other}]")),
    };
    let (field, pattern) = (of("fieldName"), of("fieldValue").to_lowercase());
    let is_like = |one: &&Value| {
        let value = one[field].as_str().filter(|_| one["_kind"] == kind);
        // There may be thousands: what is no pattern is compared without a copy.
        value.is_some_and(|value| match pattern.contains('*') {
            true => is_matched(&pattern, &value.to_lowercase()),
            false => value.eq_ignore_ascii_case(&pattern),
        })
    };
    let all = state.entities.values().filter(|_| !state.traits.search_lags).filter(is_like);
    let (from, size): (usize, usize) =
        (of("from").parse().unwrap_or(0), of("size").parse().unwrap_or(10));
    let hits: Vec<Value> =
        all.skip(from).take(size).map(|one| json!({"_source": shown(one)})).collect();
    (200, json!({"hits": {"total": {"value": hits.len()}, "hits": hits}}))
}

/// Whether a text is like a pattern, in which `*` stands for anything.
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
