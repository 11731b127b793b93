//! Checks the layout of the project: its manifests and sources.

mod circles;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use standpipe_tests::{cargo_metadata, workspace_directory};

/// The crates under host/, each with the crates on which it may depend, as drawn in
/// `host/docs/architecture.md`.
const EDGES: &[(&str, &[&str])] = &[
    ("standpipe-core", &[]),
    ("standpipe-spool", &["standpipe-core"]),
    ("standpipe-http", &["standpipe-core"]),
    ("standpipe-aws", &["standpipe-core"]),
    ("standpipe-iam", &["standpipe-core"]),
    ("standpipe-delivery", &["standpipe-core", "standpipe-aws"]),
    ("standpipe-plugin-host", &["standpipe-core"]),
    ("standpipe-queue", &["standpipe-core", "standpipe-aws"]),
    (
        "standpipe-collector",
        &["standpipe-core", "standpipe-spool", "standpipe-http", "standpipe-plugin-host"],
    ),
    ("standpipe-catalog", &["standpipe-core", "standpipe-aws"]),
    (
        "standpipe",
        &[
            "standpipe-core",
            "standpipe-spool",
            "standpipe-http",
            "standpipe-aws",
            "standpipe-iam",
            "standpipe-delivery",
            "standpipe-plugin-host",
            "standpipe-collector",
            "standpipe-catalog",
            "standpipe-queue",
        ],
    ),
];

/// The floor of each module of `standpipe`. A module imports from lower floors only.
const FLOORS: &[(u8, &[&str])] = &[
    (9, &["cli", "simulation"]),
    (8, &["bench", "check", "gateway"]),
    (7, &["run"]),
    (6, &["config"]),
    (5, &["admin"]),
    (4, &["pipeline"]),
    (3, &["source"]),
    (0, &["limits", "log_fields", "stop"]),
];

/// Words that a crate, or a module of `standpipe`, must not contain.
const BLIND: &[(&str, &[&str])] = &[
    ("crates/plugin", &["aws_"]),
    ("crates/delivery", &["wasmtime"]),
    ("crates/catalog", &["aws_sdk", "aws_smithy", "wasmtime"]),
    ("crates/collector", &["aws_", "wasmtime"]),
    ("crates/spool", &["aws_", "wasmtime", "event::", "serde_json"]),
    ("crates/queue", &["aws_", "wasmtime", "event::"]),
    ("crates/http", &["aws_", "wasmtime"]),
    ("crates/iam", &["aws_sdk", "aws_config", "wasmtime", "tokio", "std::fs", "std::env"]),
    ("crates/core", &["aws_", "wasmtime"]),
    ("source", &["aws_", "wasmtime"]),
    ("gateway", &["aws_", "wasmtime"]),
];

#[test]
fn crates_depend_on_lower_floors_only() {
    let allowed: BTreeMap<_, _> = EDGES.iter().copied().collect();
    let metadata = cargo_metadata();
    let packages = metadata["packages"].as_array().expect("cargo lists packages");
    let host = workspace_directory().join("host").canonicalize().unwrap();
    let mut seen = 0;
    for package in packages {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        if !manifest.starts_with(&host) || manifest.starts_with(host.join("examples")) {
            continue;
        }
        let name = package["name"].as_str().unwrap();
        let edges = allowed.get(name).unwrap_or_else(|| panic!("{name} has no floor: add it here"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap();
            let is_ours = allowed.contains_key(on);
            assert!(!is_ours || edges.contains(&on), "{name} must not depend on {on}");
        }
        seen += 1;
    }
    assert_eq!(seen, EDGES.len(), "each crate under host/ is a member of the workspace");
}

#[test]
fn modules_import_from_lower_floors_only() {
    let floors = module_floors();
    let mut wrong = Vec::new();
    for (module, file) in host_sources().filter(|(module, _)| !module.starts_with("crates/")) {
        let floor = *floors.get(module.as_str()).unwrap_or_else(|| {
            panic!("{}: the module `{module}` has no floor: give it one here", file.display())
        });
        for import in find_imports(&fs::read_to_string(&file).unwrap()) {
            let below = floors.get(import.as_str()).is_some_and(|&other| other < floor);
            if import != module && !below {
                wrong.push(format!("{}: `{module}` imports `{import}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the floors:\n{}", wrong.join("\n"));
}

#[test]
fn modules_do_not_name_foreign_concepts() {
    for (module, file) in host_sources() {
        let text = fs::read_to_string(&file).unwrap();
        for (_, words) in BLIND.iter().filter(|(blind, _)| *blind == module) {
            for word in *words {
                assert!(!text.contains(word), "{}: `{module}` knows `{word}`", file.display());
            }
        }
    }
}

#[test]
fn the_top_level_holds_only_known_entries() {
    let known = [
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "README.md",
        "rust-toolchain.toml",
        "guest",
        "host",
        "tests",
        "wit",
        "target",
        "standpipe-data",
    ];
    for entry in fs::read_dir(workspace_directory()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let ours = name.starts_with('.') || known.contains(&name.as_str());
        // Files that a user creates by following the README are not part of the project.
        assert!(ours || name == "out", "{name} does not belong at the top level");
    }
}

fn module_floors() -> BTreeMap<&'static str, u8> {
    let pairs =
        FLOORS.iter().flat_map(|(floor, modules)| modules.iter().map(|module| (*module, *floor)));
    pairs.collect()
}

/// Each source file under host/, with the top-level module of `standpipe` or the folder of its
/// crate.
fn host_sources() -> impl Iterator<Item = (String, PathBuf)> {
    let host = workspace_directory().join("host");
    let mut files = Vec::new();
    collect_sources(&host.join("src"), &mut files);
    assert!(files.len() > 20, "the sources of the host are not where this test looks");
    for entry in fs::read_dir(host.join("crates")).unwrap() {
        collect_sources(&entry.unwrap().path().join("src"), &mut files);
    }
    let with_owner = files.into_iter().map(move |file| {
        let path = file.strip_prefix(&host).unwrap().to_str().unwrap();
        let mut parts = path.split('/');
        let owner = match (parts.next().unwrap(), parts.next().unwrap()) {
            ("src", module) => module.trim_end_matches(".rs").to_owned(),
            (crates, name) => format!("{crates}/{name}"),
        };
        (owner, file)
    });
    with_owner.filter(|(owner, _)| !matches!(owner.as_str(), "lib" | "main"))
}

fn collect_sources(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The top-level modules that a source text names, by `use` or in a path.
fn find_imports(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: Vec<_> = code.collect();
    let code = code.join("\n");
    let named = code.split("crate::").skip(1);
    named
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap().split(',').map(first_word).collect(),
            None => vec![first_word(rest)],
        })
        .filter(|word| !word.is_empty())
        .collect()
}

fn first_word(text: &str) -> String {
    text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}
