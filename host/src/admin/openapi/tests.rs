//! Compares the document of the admin API with the routes, the types of the responses, and the
//! defaults and limits of the code.

use std::collections::BTreeSet;
use std::{env, fs};

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::DOCUMENT;
use crate::admin::metrics;
use crate::admin::response::{CheckResponse, ErrorResponse, SwapResponse};
use crate::admin::route::ROUTES;
use crate::limits;
use standpipe_plugin_host::limits as plugin_limits;
use standpipe_plugin_host::swap::PluginStatus;

fn document() -> Value {
    serde_json::from_str(DOCUMENT).unwrap()
}

#[test]
fn its_schemas_are_those_of_the_types_that_are_answered() {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    generator.subschema_for::<PluginStatus>();
    generator.subschema_for::<SwapResponse>();
    generator.subschema_for::<CheckResponse>();
    generator.subschema_for::<ErrorResponse>();
    let mut made = document();
    made["components"]["schemas"] = Value::Object(generator.take_definitions(true));
    made["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    if env::var_os("UPDATE_OPENAPI").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        fs::write(path, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    assert_eq!(document(), made, "run this test with UPDATE_OPENAPI=1, and build anew");
}

#[test]
fn its_numbers_are_those_that_hold() {
    let document = document();
    let canary = &document["paths"]["/plugin/canary"]["put"]["parameters"];
    let default = |position: usize| &canary[position]["schema"]["default"];
    assert_eq!(*default(0), json!(plugin_limits::CANARY_PERCENT));
    assert_eq!(*default(1), json!(plugin_limits::CANARY_ERROR_RATE_MAX));
    assert_eq!(*default(2), json!(plugin_limits::CANARY_EVENTS_MIN));
    let component = &document["paths"]["/plugin"]["put"]["requestBody"]["description"];
    let bytes_max = limits::PLUGIN_FILE_BYTES_MAX.to_string();
    assert!(component.as_str().unwrap().contains(&bytes_max), "{component}");
    let page = &document["paths"]["/metrics"]["get"]["responses"]["200"]["content"];
    assert!(page.get(metrics::CONTENT_TYPE).is_some(), "{page}");
}

#[test]
fn it_tells_of_every_route_and_of_no_other() {
    let document = document();
    let documented: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| (&**path, method.to_uppercase()))
        })
        .collect();
    let routes = ROUTES.iter().map(|(path, method, _)| (*path, method.to_string()));
    assert_eq!(documented, routes.collect());
}
