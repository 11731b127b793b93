//! Checks the Kubernetes resources of `host/docs/fleet-deployment.md`: they are YAML, refer only to each other, and contain
//! settings that the programs accept.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;
use standpipe_tests::{Program, nats, tools, workspace_directory};

/// Prints the documents of YAML in standard input as a JSON array.
const YAML_TO_JSON: &str =
    "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";

fn resources() -> Vec<Value> {
    let page =
        fs::read_to_string(workspace_directory().join("host/docs/fleet-deployment.md")).unwrap();
    let (_, rest) = page.split_once("```yaml\n").expect("the page has resources");
    let (text, _) = rest.split_once("```\n").expect("the block ends");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("resources.yaml");
    fs::write(&file, text).unwrap();
    let python = tools::find_python("moto");
    let output = Command::new(python).args(["-c", YAML_TO_JSON]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn find<'a>(resources: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is_it = |it: &&Value| it["kind"] == kind && it["metadata"]["name"] == name;
    resources.iter().find(is_it).unwrap_or_else(|| panic!("{kind} {name} is missing"))
}

#[test]
fn the_settings_of_the_kubernetes_resources_are_valid() {
    let resources = resources();
    let data = &find(&resources, "ConfigMap", "standpipe")["data"];
    for name in ["collector.toml", "mapper.toml"] {
        let settings = data[name].as_str().expect("a settings file");
        let program = Program::new().args(["config", "check", "settings.toml"]);
        let ran = program.file("settings.toml", settings.as_bytes()).run();
        assert_eq!(ran.exit, 0, "{name}: {}", ran.stderr);
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("nats.conf");
    fs::write(&file, data["nats.conf"].as_str().expect("a configuration")).unwrap();
    let mut check = Command::new(nats::server_program());
    let output = check.env("POD_NAME", "nats-0").arg("-t").arg("-c").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_kubernetes_resources_refer_to_each_other() {
    let resources = resources();
    for (kind, name) in
        [("StatefulSet", "nats"), ("StatefulSet", "collector"), ("Deployment", "mapper")]
    {
        let spec = &find(&resources, kind, name)["spec"];
        let labels = &spec["template"]["metadata"]["labels"];
        assert_eq!(&spec["selector"]["matchLabels"], labels, "{name}");
        if let Some(service) = spec["serviceName"].as_str() {
            assert_eq!(&find(&resources, "Service", service)["spec"]["selector"], labels, "{name}");
        }
        let pod = &spec["template"]["spec"];
        let names = |list: &Value, key: &str| -> BTreeSet<String> {
            let items = list.as_array().into_iter().flatten();
            items
                .map(|item| item.pointer(key).and_then(Value::as_str).expect("a name").to_owned())
                .collect()
        };
        let mut volumes = names(&pod["volumes"], "/name");
        volumes.extend(names(&spec["volumeClaimTemplates"], "/metadata/name"));
        let mounts = names(&pod["containers"][0]["volumeMounts"], "/name");
        assert_eq!(mounts, volumes, "{name}");
    }
}
