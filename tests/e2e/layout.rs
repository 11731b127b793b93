//! The floors of `host`, held against its imports.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tests::workspace;

/// Each module's floor. A module imports from lower floors only.
const FLOORS: &[(u8, &[&str])] = &[
    (9, &["cli", "simulation"]),
    (8, &["bench", "check", "gateway"]),
    (7, &["run"]),
    (6, &["config"]),
    (5, &["admin"]),
    (4, &["pipeline", "swap"]),
    (3, &["source", "collector", "plugin", "delivery", "catalog"]),
    (2, &["dead", "secrets"]),
    (1, &["aws", "http", "policy", "spool"]),
    (0, &["event", "limits", "clock", "private", "secret", "blocking", "escape", "fingerprint"]),
    (0, &["gzip"]),
];

/// Words that a module must not use, whatever its floor.
const BLIND: &[(&str, &[&str])] = &[
    ("plugin", &["aws_"]),
    ("delivery", &["wasmtime"]),
    ("catalog", &["aws_sdk", "aws_smithy", "wasmtime"]),
    ("source", &["aws_", "wasmtime"]),
    ("collector", &["aws_", "wasmtime"]),
    ("spool", &["aws_", "wasmtime", "event::", "serde"]),
    ("http", &["aws_", "wasmtime"]),
    ("gateway", &["aws_", "wasmtime"]),
    ("policy", &["aws_sdk", "aws_config", "wasmtime", "tokio", "std::fs", "std::env"]),
    ("event", &["aws_", "wasmtime", "tokio"]),
];

#[test]
fn modules_import_from_lower_floors_only() {
    let floors = floors();
    let mut wrong = Vec::new();
    for (module, file) in host_sources() {
        let floor = *floors.get(module.as_str()).unwrap_or_else(|| {
            panic!("{}: the module `{module}` has no floor: give it one here", file.display())
        });
        for import in imports(&fs::read_to_string(&file).unwrap()) {
            let below = floors.get(import.as_str()).is_some_and(|&other| other < floor);
            if import != module && !below {
                wrong.push(format!("{}: `{module}` imports `{import}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the floors:\n{}", wrong.join("\n"));
}

#[test]
fn modules_are_blind_to_what_is_not_theirs() {
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
fn the_library_neither_ends_the_process_nor_prints() {
    for (module, file) in host_sources().filter(|(module, _)| module != "cli") {
        let text = fs::read_to_string(&file).unwrap();
        for word in
            ["process::exit(", "println!(\"", "env::args", "set_global_default", "try_init()"]
        {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let uses = code.filter(|line| line.contains(word)).count();
            assert_eq!(uses, 0, "{}: `{module}` uses `{word}`", file.display());
        }
    }
}

/// Sources that create files for others than the program: what a user asked for, at
/// a place that the user named, with the umask of the process.
const FOR_USERS: &[&str] = &[
    "bench/generator.rs",
    "bench/process.rs",
    "catalog/whole.rs",
    "cli/catalog/lineage.rs",
    "cli/plugin.rs",
    "cli/plugin/new.rs",
    "cli/run.rs",
    "delivery/directory.rs",
    "delivery/directory/journal.rs",
    "private.rs",
];

/// Modules of tests alone.
const TESTS: &[&str] = &["simulation", "dead/promises"];

#[test]
fn what_the_program_keeps_is_created_for_its_user_alone() {
    let creating =
        ["create_dir(", "create_dir_all(", "File::create(", "File::create_new(", "fs::write("];
    let root = workspace().join("host/src");
    for (_, file) in host_sources() {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
        let is_for_tests = name.ends_with("tests.rs")
            || name.contains("/tests/")
            || TESTS.iter().any(|module| name.starts_with(module));
        if FOR_USERS.contains(&name) || is_for_tests {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = code.collect::<Vec<_>>().join("\n");
        let has = |text: &str, words: &[&str]| words.iter().any(|word| text.contains(word));
        // What opens a file and what creates one may stand in different statements.
        let creates = code.split(';').any(|statement| {
            has(statement, &["File::options()", "OpenOptions::new()"])
                && has(statement, &[".create(true)", ".create_new(true)"])
        });
        assert!(
            !has(&code, &creating) && !creates,
            "{name}: use `private::file_options` and `private::create_directory`"
        );
    }
}

#[test]
fn the_top_level_holds_what_it_should() {
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
    for entry in fs::read_dir(workspace()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let ours = name.starts_with('.') || known.contains(&name.as_str());
        // What a user made there by following the README is no part of it.
        assert!(ours || name == "out", "{name} does not belong at the top level");
    }
}

fn floors() -> BTreeMap<&'static str, u8> {
    let pairs =
        FLOORS.iter().flat_map(|(floor, modules)| modules.iter().map(|module| (*module, *floor)));
    pairs.collect()
}

/// Each source file of the library, with the module at the top that it is in.
fn host_sources() -> impl Iterator<Item = (String, PathBuf)> {
    let root = workspace().join("host/src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "the sources of the host are not where this test looks");
    let with_module = files.into_iter().map(move |file| {
        let first = file.strip_prefix(&root).unwrap().components().next().unwrap();
        let first = first.as_os_str().to_str().unwrap();
        (first.trim_end_matches(".rs").to_owned(), file)
    });
    with_module.filter(|(module, _)| !matches!(module.as_str(), "lib" | "main"))
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The modules at the top that a source text names, by `use` or in a path.
fn imports(text: &str) -> Vec<String> {
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
