//! Runs the folders of `tests/cases` with the built-in plugin and with the templates in Rust,
//! JavaScript and Python.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use standpipe_tests::{Template, case, workspace_directory};

const THREADS: usize = 4;

#[test]
fn every_case_passes_with_the_default_plugin() {
    run_all("default", None);
}

#[test]
fn every_case_passes_with_the_rust_template() {
    run_all("rust", Some(&Template::Rust.component()));
}

#[test]
fn every_case_passes_with_the_javascript_template() {
    run_all("javascript", Some(&Template::JavaScript.component()));
}

#[test]
fn every_case_passes_with_the_python_template() {
    run_all("python", Some(&Template::Python.component()));
}

/// Runs every folder in `tests/cases` that is for this plugin, and reports all failures.
fn run_all(name: &str, plugin: Option<&Path>) {
    let mut folders = case::list_cases(&workspace_directory().join("tests/cases"));
    folders.retain(|folder| case::is_for(folder, name));
    assert!(folders.len() > 30, "cases are missing");
    // The first run compiles the plugin for all others.
    let first = case::run_case(&folders[0], plugin);
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::from_iter(first.err())));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(folder) = folders.get(1 + next.fetch_add(1, Ordering::Relaxed)) {
                    let name = folder.file_name().expect("a name").to_string_lossy();
                    if let Err(differences) = case::run_case(folder, plugin) {
                        let mut failures = failures.lock();
                        failures.push(format!("== {name}\n{differences}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner();
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n"));
}
