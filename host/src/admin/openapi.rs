//! What can be asked, in the words of OpenAPI 3.1.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::answer::{Checked, Problem, Taken};
use super::metrics;
use crate::limits;
use standpipe_plugin_host::swap::Report;

/// The document; the schemas in it are those of the types that are answered.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12();
    let settings =
        settings.with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let paths = paths(&mut generator);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Standpipe's admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Health, metrics, and changing the mapping plugin while events flow.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}
        },
        "servers": [{"url": "http://127.0.0.1:9180", "description": "`listen` under [admin]"}],
        "paths": paths,
        "components": {
            "schemas": Value::Object(generator.take_definitions(true)),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`token` under [admin]"}
            }
        }
    })
}

fn paths(generator: &mut SchemaGenerator) -> Value {
    let report = answered::<Report>(generator, "How things stand");
    let taken = answered::<Taken>(generator, "It decides from now on, or did so before");
    let tried = answered::<Taken>(generator, "It is tried from now on");
    let checked = answered::<Checked>(generator, "It would be taken");
    let problem = generator.subschema_for::<Problem>().to_value();
    let failures = |statuses: &[u16]| -> Map<String, Value> {
        let failure = |status: &u16| {
            let content = json!({"application/json": {"schema": problem}});
            let answer = json!({"description": meaning(*status), "content": content});
            (status.to_string(), answer)
        };
        statuses.iter().map(failure).collect()
    };
    let of_plugin = |id: &str, summary: &str, success: (&str, &Value), statuses: &[u16]| {
        let mut responses = failures(&[&[401, 403], statuses].concat());
        responses.insert(success.0.to_owned(), success.1.clone());
        let operation = open(id, summary, &Value::Object(responses));
        with(operation, "security", json!([{"token": []}]))
    };
    let with_component = |operation: Value, parameters: &[Value]| {
        let parameters = [parameters, &[signature()]].concat();
        let operation = with(operation, "parameters", Value::Array(parameters));
        with(operation, "requestBody", component())
    };
    const OF_CANDIDATE: &[u16] = &[400, 408, 413, 422, 500, 503];
    const OF_TURN: &[u16] = &[409, 500, 503];
    const OF_ROLLBACK: &[u16] = &[400, 409, 500, 503];
    let gone = json!({"description": "The trial is over"});
    let ready = json!({
        "200": plain("Events are taken; the text says what is wrong all the same: the plugin does badly, or events are kept from their streams"),
        "503": plain("None are, dead letters cannot be written, or, where there is no spool, nothing is delivered; the text says which")
    });
    let page = json!({"description": "All metrics", "content": {metrics::CONTENT_TYPE: {"schema": {"type": "string"}}}});
    let document = json!({"description": "This document", "content": {"application/json": {"schema": {"type": "object"}}}});
    json!({
        "/health/live": {"get": open("live", "Whether the process answers", &json!({"200": plain("It does")}))},
        "/health/ready": {"get": open("ready", "Whether events are taken", &ready)},
        "/metrics": {"get": open("metrics", "Metrics, as OpenMetrics text", &json!({"200": page}))},
        "/openapi.json": {"get": open("openapi", "This document", &json!({"200": document}))},
        "/plugin": {
            "get": of_plugin("report", "How things stand with the plugin", ("200", &report), &[]),
            "put": with_component(
                of_plugin("offer", "Have a component take over, if it passes all steps", ("200", &taken), OF_CANDIDATE),
                &[],
            )
        },
        "/plugin/check": {
            "post": with_component(
                of_plugin("check", "Have a component go through all steps, and leave it at that", ("200", &checked), OF_CANDIDATE),
                &[],
            )
        },
        "/plugin/rollback": {
            "post": with(
                of_plugin("rollBack", "Withdraw the plugin in use, and go back to the one before it", ("200", &taken), OF_ROLLBACK),
                "parameters",
                json!([withdrawn()]),
            )
        },
        "/plugin/canary": {
            "put": with_component(
                of_plugin("tryCanary", "Try a component with the events of some users", ("200", &tried), OF_CANDIDATE),
                &trial(),
            ),
            "delete": of_plugin("endCanary", "End the trial", ("204", &gone), OF_TURN)
        },
        "/plugin/canary/promote": {
            "post": of_plugin("promoteCanary", "Have the canary decide about all events", ("200", &taken), OF_TURN)
        }
    })
}

fn open(id: &str, summary: &str, responses: &Value) -> Value {
    json!({"operationId": id, "summary": summary, "responses": responses})
}

fn with(mut operation: Value, key: &str, value: Value) -> Value {
    operation[key] = value;
    operation
}

fn answered<T: JsonSchema>(generator: &mut SchemaGenerator, description: &str) -> Value {
    let schema = generator.subschema_for::<T>();
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

fn plain(description: &str) -> Value {
    json!({"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}})
}

fn component() -> Value {
    let description = format!("The component's bytes, at most {}", limits::PLUGIN_FILE_BYTES_MAX);
    // An empty schema stands for bytes that no schema describes.
    json!({"required": true, "description": description, "content": {"application/wasm": {}}})
}

fn signature() -> Value {
    json!({
        "name": "Plugin-Signature",
        "in": "header",
        "description": "Base64 of the component's whole .minisig file. Needed where `public_key` under [plugin] is set.",
        "schema": {"type": "string", "contentEncoding": "base64"}
    })
}

fn withdrawn() -> Value {
    json!({
        "name": "generation",
        "in": "query",
        "description": "The generation to withdraw. Where another one is in use, nothing is done; where this one was withdrawn already, neither, and the answer is 200.",
        "schema": {"type": "integer", "minimum": 1}
    })
}

fn trial() -> [Value; 3] {
    let parameter = |name: &str, description: &str, schema: Value| json!({"name": name, "in": "query", "description": description, "schema": schema});
    [
        parameter(
            "percent",
            "The share of users whose events it decides about",
            json!({"type": "number", "minimum": 0, "maximum": 100, "default": standpipe_plugin_host::limits::CANARY_PERCENT}),
        ),
        parameter(
            "max_error_rate",
            "The share of its events that it may fail on or reject; beyond it, it is out",
            json!({"type": "number", "minimum": 0, "maximum": 1, "default": standpipe_plugin_host::limits::CANARY_ERROR_RATE_MAX}),
        ),
        parameter(
            "min_events",
            "Events that it must have seen before it is judged",
            json!({"type": "integer", "minimum": 0, "default": standpipe_plugin_host::limits::CANARY_EVENTS_MIN}),
        ),
    ]
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The query, a header or the body is wrong",
        401 => "The token is missing, or is another one",
        403 => "No token is set under [admin]",
        408 => "The body came too slowly",
        409 => "There is nothing to do it with, or another plugin is in use",
        413 => "The component is too large",
        422 => "The component did not pass a step: nothing has changed",
        503 => "Too many other requests wait: try again",
        _ => "A bug of the host",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::{env, fs};

    use super::*;
    use crate::admin::route::ROUTES;

    #[test]
    fn the_document_is_the_one_that_is_kept() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        let made = document();
        if env::var_os("UPDATE_OPENAPI").is_some() {
            let text = serde_json::to_string_pretty(&made).unwrap();
            fs::write(path, text + "\n").unwrap();
        }
        let kept = fs::read_to_string(path).unwrap_or_default();
        let kept: Value = serde_json::from_str(&kept).unwrap_or_default();
        assert_eq!(kept, made, "run this test with UPDATE_OPENAPI=1, and look at what changes");
    }

    #[test]
    fn it_tells_of_every_route_and_of_no_other() {
        let document = document();
        let told: BTreeSet<_> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| {
                methods
                    .as_object()
                    .unwrap()
                    .keys()
                    .map(move |method| (&**path, method.to_uppercase()))
            })
            .collect();
        let routes = ROUTES.iter().map(|(path, method, _)| (*path, method.to_string()));
        assert_eq!(told, routes.collect());
    }
}
