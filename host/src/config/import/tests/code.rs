//! Code of transformations and functions: which files it becomes, what the settings use, and what is
//! noted.

use std::collections::HashSet;
use std::path::Component;

use serde_json::{Value, json};

use super::*;

const CODE: &str = "export function transformEvent(event) { return event; }\n";

fn import_rudderstack(export: &Value) -> Imported {
    import(Vendor::RudderStack, &export.to_string()).unwrap()
}

fn import_segment(export: &Value) -> Imported {
    import(Vendor::Segment, &export.to_string()).unwrap()
}

fn rudderstack_destination(transformations: &Value) -> Value {
    json!({
        "id": "d1", "workspaceId": "1wks", "config": {"region": "eu-west-1", "mapEvents": [{"from": "*", "to": "s"}]},
        "transformations": transformations,
    })
}

fn transformation(id: &str, name: &str, code: &str) -> Value {
    json!({
        "id": id, "versionId": format!("{id}-v"), "name": name, "description": "", "code": code,
        "codeVersion": "1", "language": "javascript", "destinations": [],
    })
}

fn function(id: &str, name: &str, word: &str, settings: &Value) -> Value {
    json!({
        "id": format!("sfnc_{id}"), "catalogId": id, "displayName": name, "resourceType": word,
        "code": format!("async function onTrack(event) {{ return event; }} // {name}"), "settings": settings,
    })
}

fn segment_destination() -> Value {
    json!({"data": {"destination": {
        "id": "d1", "settings": {"mappedStreams": [{"key": "*", "value": "s"}], "roleAddress": ROLE},
    }}})
}

fn paths(imported: &Imported) -> Vec<&str> {
    imported.files.iter().map(|file| file.path.to_str().unwrap()).collect()
}

fn scripts(imported: &Imported) -> Vec<&str> {
    let scripts = imported.settings.plugin.script.as_ref();
    scripts.into_iter().flat_map(|it| &it.0).map(|path| path.to_str().unwrap()).collect()
}

#[test]
fn a_transformation_of_the_destination_becomes_a_script() {
    let code = "import { rate } from 'taxRules';\nexport function transformEvent(e) { e.k = getCredential('api key'); return e; }\n";
    let export = json!([
        {"destination": rudderstack_destination(&json!([{"ID": "t1", "VersionID": "other", "Config": {}}]))},
        {"transformations": [transformation("t1", "Add Tax!", code), transformation("t2", "Other", CODE)]},
        {"libraries": [{
            "id": "l1", "name": "Tax Rules", "importName": "taxRules", "language": "javascript",
            "code": "export const rate = 1;",
        }]},
    ]);
    let imported = import_rudderstack(&export);
    assert_eq!(paths(&imported), ["add-tax.js", "other.js", "libraries/taxRules.js"]);
    assert_eq!(imported.files[0].code, code);
    let plugin = &imported.settings.plugin;
    assert_eq!(scripts(&imported), ["add-tax.js"]);
    assert_eq!(plugin.dialect.as_deref(), Some("rudderstack"));
    assert_eq!(plugin.libraries, [Path::new("libraries/taxRules.js")]);
    assert_eq!(Value::from(plugin.credentials.clone()), json!({"api key": "secret:api-key"}));
    assert_eq!(rows(&imported), [("*", "s")]);
    assert_noted(&imported, &["the transformation \"Other\" is not used", "\"other.js\""]);
    let toml = imported.to_toml(SecretDisplay::Shown);
    let task = "# To do: save the credential \"api key\" as the secret that `secret:api-key` under [plugin.credentials] means, and set its manager under [secrets].\n";
    assert!(toml.contains(task), "{toml}");
}

#[test]
fn the_connection_of_a_transformation_can_be_on_either_side() {
    let mut connected = transformation("t1", "A", CODE);
    for (destinations, is_used) in [
        (json!(["d1"]), true),
        (json!([{"id": "d1"}]), true),
        (json!(["d2"]), false),
        // The file does not say it, and there is no other transformation.
        (json!([]), true),
    ] {
        connected["destinations"] = destinations;
        let export = json!([rudderstack_destination(&json!([])), connected]);
        let imported = import_rudderstack(&export);
        assert_eq!(scripts(&imported) == ["a.js"], is_used, "{export}");
        assert_eq!(noted(&imported, &["\"A\" is not used"]), usize::from(!is_used), "{export}");
    }
    let two = json!([
        rudderstack_destination(&json!([])),
        transformation("t1", "A", CODE),
        transformation("t2", "B", "//"),
    ]);
    let imported = import_rudderstack(&two);
    assert_eq!((scripts(&imported).len(), imported.files.len()), (0, 2));
    assert_noted(&imported, &["\"A\" is not used"]);
    assert_noted(&imported, &["\"B\" is not used"]);
}

#[test]
fn a_transformation_whose_code_is_missing_is_noted() {
    let export = rudderstack_destination(&json!([{"versionId": "v7"}, {}]));
    let imported = import_rudderstack(&export);
    assert_noted(&imported, &["transformation \"v7\" is not in the file", "GET /transformations"]);
    assert!(imported.files.is_empty());
}

#[test]
fn python_is_written_and_not_run() {
    for word in ["python", "pythonfaas"] {
        let mut python =
            transformation("t1", "A", "def transformEvent(event, metadata): return event");
        python["language"] = word.into();
        let library = json!({"name": "Math Helper", "importName": "mathHelper", "language": word, "code": "x = 1"});
        let export = json!([
            rudderstack_destination(&json!([{"id": "t1"}])), python, {"libraries": [library]},
        ]);
        let imported = import_rudderstack(&export);
        assert_eq!(paths(&imported), ["a.py", "libraries/mathHelper.py"]);
        assert!(
            imported.settings.plugin.script.is_none()
                && imported.settings.plugin.libraries.is_empty()
        );
        assert_noted(
            &imported,
            &["the transformation \"A\" is in Python", "host plugin new --lang python"],
        );
        assert_noted(
            &imported,
            &["the library \"mathHelper\" is in Python", "\"libraries/mathHelper.py\""],
        );
        assert_round_trip(&imported);
    }
}

#[test]
fn code_version_0_has_its_own_dialect() {
    for (version, dialect) in [
        (json!("0"), Some("rudderstack-v0")),
        (json!(0), Some("rudderstack-v0")),
        (json!("7"), None),
    ] {
        let mut old = transformation("t1", "A", "function transform(events) { return events; }");
        old["codeVersion"] = version;
        let imported = import_rudderstack(&old);
        assert_eq!(imported.settings.plugin.dialect.as_deref(), dialect);
        assert_noted(&imported, &["has no RudderStack destination"]);
    }
}

#[test]
fn credentials_of_the_file_keep_only_public_values() {
    let export = json!([
        rudderstack_destination(&json!([{"id": "t1"}])), transformation("t1", "A", CODE),
        {"credentials": [
            {"id": "1", "key": "region", "value": "eu", "isSecret": false},
            {"id": "2", "key": "token", "value": "hush-hush", "isSecret": true},
        ]},
    ]);
    let imported = import_rudderstack(&export);
    let credentials = Value::from(imported.settings.plugin.credentials.clone());
    assert_eq!(credentials, json!({"region": "eu", "token": "secret:token"}));
    assert!(!imported.to_toml(SecretDisplay::Shown).contains("hush"));
}

#[test]
fn earlier_versions_are_noted() {
    let export = json!([
        rudderstack_destination(&json!([{"id": "t1"}])),
        {"TransformationVersions": [transformation("t1", "A", CODE)]},
    ]);
    let imported = import_rudderstack(&export);
    assert!(imported.files.is_empty() && imported.settings.plugin.script.is_none());
    assert_noted(&imported, &["versions of transformations and libraries are left out"]);
    assert_noted(&imported, &["transformation \"t1\" is not in the file"]);
}

#[test]
fn names_stay_in_the_directory_and_are_different() {
    let names =
        ["../../etc/passwd", "A", "a", "日本", "", "settings", "/", "x".repeat(500).as_str()]
            .map(str::to_owned);
    let named = names
        .iter()
        .enumerate()
        .map(|(number, name)| transformation(&format!("t{number}"), name, &format!("// {number}")));
    let libraries = ["../evil", "Größe", "größe", "", "con.js"].iter().enumerate().map(|(number, name)| {
        json!({"name": name, "importName": name, "language": "javascript", "code": format!("// lib {number}")})
    });
    let export = json!({"transformations": named.collect::<Vec<_>>(), "libraries": libraries.collect::<Vec<_>>()});
    let imported = import_rudderstack(&export);
    assert_eq!(imported.files.len(), 13);
    let long = format!("{}.js", "x".repeat(64));
    let expected = [
        "etc-passwd.js",
        "a.js",
        "a-2.js",
        "transformation.js",
        "t4.js",
        "settings.js",
        "transformation-2.js",
        &long,
    ];
    assert_eq!(paths(&imported)[..8], expected);
    assert_eq!(
        paths(&imported)[8..],
        [
            "libraries/evil.js",
            "libraries/Größe.js",
            "libraries/größe-2.js",
            "libraries/library.js",
            "libraries/con-js.js"
        ]
    );
    assert_noted(
        &imported,
        &["the library \"größe\" has another name here", "\"libraries/größe-2.js\""],
    );
}

#[test]
fn an_insert_function_of_the_destination_becomes_a_script() {
    let settings = json!([
        {"name": "apiKey", "label": "API key", "type": "STRING", "required": true, "sensitive": true, "description": ""},
        {"name": "region", "label": "Region", "type": "STRING", "required": true, "sensitive": false, "description": ""},
        {"name": "known", "label": "Known", "type": "ARRAY", "required": false, "sensitive": false, "description": ""},
        {"name": "on", "label": "On", "type": "BOOLEAN", "required": false, "sensitive": false, "description": ""},
        {"name": "map", "label": "Map", "type": "TEXT_MAP", "required": false, "sensitive": false, "description": ""},
        {"label": "nameless"},
    ]);
    let instance = |class: &str, enabled: bool| {
        json!({"id": "i", "integrationId": "d1", "classId": class, "enabled": enabled,
            "settings": {"known": ["a"], "apiKey": "hush-hush"}, "encryptedSettings": {}})
    };
    let export = json!([
        segment_destination(),
        {"data": {"functions": [
            function("f1", "Hash Users", "INSERT_DESTINATION", &settings),
            function("f2", "Disabled", "INSERT_DESTINATION", &json!([])),
            function("f3", "Hook", "SOURCE", &json!([])),
            function("f4", "Push", "DESTINATION", &json!([])),
            function("f5", "New", "WAREHOUSE", &json!([])),
        ]}},
        {"data": {"insertFunctionInstances": [instance("f1", true), instance("f2", false)]}},
    ]);
    let imported = import_segment(&export);
    assert_eq!(paths(&imported), ["hash-users.js", "disabled.js", "hook.js", "push.js", "new.js"]);
    assert_eq!(scripts(&imported), ["hash-users.js"]);
    assert_eq!(imported.settings.plugin.dialect.as_deref(), Some("segment-insert"));
    let settings = Value::from(imported.settings.plugin.function_settings.clone());
    let expected =
        json!({"apiKey": "secret:apiKey", "region": "", "known": ["a"], "on": false, "map": {}});
    assert_eq!(settings, expected);
    assert_noted(&imported, &["source function \"Hook\" in \"hook.js\" is not used"]);
    assert_noted(&imported, &["insert function \"Disabled\" is not used"]);
    assert_noted(&imported, &["destination function \"Push\" is not used", "\"push.js\""]);
    assert_noted(&imported, &["the function \"New\"", "\"WAREHOUSE\" is unknown"]);
    assert_noted(&imported, &["a setting of the insert function \"Hash Users\" without a name"]);
    let toml = imported.to_toml(SecretDisplay::Shown);
    assert!(toml.contains("# To do: set \"region\" (\"Region\"), which is required, under [plugin.function_settings].\n"), "{toml}");
    assert!(!toml.contains("hush") && toml.matches("# To do: ").count() == 4, "{toml}");
}

#[test]
fn the_only_function_is_used() {
    let terraform = json!({"values": {
        "code": "async function onTrack(event) {}", "resource_type": "DESTINATION", "display_name": "Push", "settings": [],
    }});
    for (export, dialect) in [
        (
            json!({"data": {"function": function("f1", "Push", "INSERT_SOURCE", &json!([]))}}),
            "segment-insert",
        ),
        (terraform, "segment-destination"),
    ] {
        let imported = import_segment(&export);
        assert_eq!(scripts(&imported), ["push.js"], "{export}");
        assert_eq!(imported.settings.plugin.dialect.as_deref(), Some(dialect));
        assert_noted(&imported, &["has no Segment destination"]);
        let is_of_source = noted(&imported, &["events of one source"]) == 1;
        assert_eq!(is_of_source, dialect == "segment-insert");
    }
}

#[test]
fn filters_that_applied_before_a_function_are_noted() {
    let export = json!([
        segment_destination(), function("f1", "A", "INSERT_DESTINATION", &json!([])),
        {"filters": [{"if": "type = \"page\"", "actions": [{"type": "DROP"}]}]},
    ]);
    assert_noted(&import_segment(&export), &["destination filters", "before insert functions"]);
}

#[test]
fn other_objects_with_a_code_are_no_code() {
    let export = json!([segment_destination(), {"errors": [{"code": "E1", "message": "x"}]}]);
    assert!(import_segment(&export).files.is_empty());
    assert_refused(
        Vendor::Segment,
        &json!({"errors": [{"code": "E1"}]}),
        &["no Segment destination"],
    );
}

proptest! {
    #[test]
    fn any_code_stays_in_the_directory(
        objects in vec((awkward_text(), awkward_text(), prop::sample::select(vec![
            "javascript", "python", "SOURCE", "INSERT_DESTINATION", "DESTINATION",
        ]), any::<bool>()), 0..8),
        export in any_export(),
    ) {
        let code: Vec<_> = objects.iter().enumerate().map(|(number, (name, key, word, is_library))| json!({
            "name": name, "displayName": name, "language": word, "resourceType": word,
            "importName": is_library.then_some(name), "code": format!("getCredential('{key}') // {number}"),
            "settings": [{"name": key, "sensitive": is_library}],
        })).collect();
        for vendor in [Vendor::RudderStack, Vendor::Segment] {
            let text = json!([export, {"functions": code}]).to_string();
            let Ok(imported) = import(vendor, &text) else { continue };
            let mut seen = HashSet::new();
            for file in &imported.files {
                let is_plain = file.path.components().all(|part| matches!(part, Component::Normal(_)));
                prop_assert!(is_plain && file.path.components().count() <= 2, "{:?}", file.path);
                prop_assert!(seen.insert(file.path.to_str().unwrap().to_lowercase()), "{:?}", file.path);
            }
            let plugin = &imported.settings.plugin;
            let named = plugin.script.iter().flat_map(|it| &it.0).chain(&plugin.libraries);
            for path in named {
                prop_assert!(imported.files.iter().any(|file| file.path == *path), "{path:?}");
            }
            for object in &code {
                prop_assert!(imported.files.iter().any(|file| object["code"] == file.code.as_str()));
            }
            let toml = imported.to_toml(SecretDisplay::Shown);
            prop_assert_eq!(&parse(&toml).expect(&toml), &imported.settings);
        }
    }
}
