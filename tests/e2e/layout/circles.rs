//! Checks that there is no cycle of files within a crate: if a file uses another one, that one does
//! not use the first, directly or indirectly.
//!
//! A file may use definitions from the files of which it is a part (`a/b.rs` those in `a.rs`, and
//! every file those in `lib.rs`): they are one module, split into files. A re-export by `pub use`
//! counts for the file that contains the definition.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use standpipe_tests::workspace_directory;

/// A file, as the modules that lead to it. Empty for the crate's root.
type Module = Vec<String>;

/// A path of modules with an item at its end.
type ItemPath = Vec<String>;

/// A file's references to others.
#[derive(Debug, Default)]
struct SourceFile {
    /// The imports by their name in the file.
    names: BTreeMap<String, ItemPath>,
    /// The paths that the file uses, without re-exports.
    used: Vec<ItemPath>,
}

#[test]
fn no_circle_of_files_within_a_crate() {
    let mut wrong = Vec::new();
    for (name, sources) in read_crates() {
        for circle in find_circles(&sources) {
            wrong.push(format!("{name}: {}", circle.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "files that use one another in a circle:\n{}", wrong.join("\n"));
}

#[test]
fn a_circle_is_found_for_every_form_of_use() {
    let found = |files: &[(&str, &str)]| find_circles(&read_sources(files.iter().copied()));
    let open = [
        ("lib.rs", "mod a;\nmod b;\npub use a::A;\npub struct Root;"),
        ("a.rs", "use super::b::{B, c::C};\npub struct A(B, C);"),
        ("b.rs", "pub mod c;\nuse crate::Root;\npub struct B(c::C);"),
        ("b/c.rs", "// See super::super::a::A.\nuse super::{Deep, super::Root};\npub struct C;"),
    ];
    assert_eq!(found(&open), [] as [Vec<String>; 0]);
    for (file, use_of_a) in [
        ("b.rs", "use super::a::A;"),
        ("b.rs", "use crate::{A, Root};"),
        ("b.rs", "fn f(_: crate::A) {}"),
        ("b/c.rs", "use super::super::{Root, a::{self, A as B}};"),
        ("b/c.rs", "use crate::a;\nfn f() { a::f(); }"),
    ] {
        let with = open.map(|(name, text)| {
            let more = if name == file { use_of_a } else { "" };
            (name, format!("{text}\n{more}"))
        });
        let circle = found(&with.each_ref().map(|(name, text)| (*name, text.as_str())));
        let expected: &[_] = if file == "b.rs" { &["a", "b"] } else { &["a", "b", "b/c"] };
        assert!(circle.iter().flatten().any(|name| name == "a"), "{use_of_a}: {circle:?}");
        assert!(circle[0].iter().all(|name| expected.contains(&name.as_str())), "{circle:?}");
    }
}

/// The crates to check, by their folder.
fn read_crates() -> Vec<(String, BTreeMap<Module, SourceFile>)> {
    let root = workspace_directory();
    let mut folders = vec!["host".to_owned(), "guest/mapping".to_owned()];
    for entry in fs::read_dir(root.join("host/crates")).unwrap() {
        folders.push(format!("host/crates/{}", entry.unwrap().file_name().into_string().unwrap()));
    }
    folders
        .into_iter()
        .map(|folder| {
            let source = root.join(&folder).join("src");
            let mut files = Vec::new();
            super::collect_sources(&source, &mut files);
            assert!(files.len() > 1, "{folder} has no sources where this test looks");
            let texts: Vec<_> = files
                .iter()
                .map(|file| {
                    (file.strip_prefix(&source).unwrap(), fs::read_to_string(file).unwrap())
                })
                .collect();
            let texts = texts.iter().map(|(file, text)| (file.to_str().unwrap(), text.as_str()));
            (folder, read_sources(texts))
        })
        .collect()
}

/// Reads the files of a crate, each by its path below `src`. Leaves out files with only tests.
fn read_sources<'a>(
    files: impl Iterator<Item = (&'a str, &'a str)>,
) -> BTreeMap<Module, SourceFile> {
    let texts: BTreeMap<Module, String> = files
        .filter(|(file, _)| *file != "main.rs")
        .map(|(file, text)| (module_of(file), code_of(text)))
        .filter(|(module, _)| !module.iter().any(|part| part == "tests"))
        .collect();
    let modules: BTreeSet<_> = texts.keys().cloned().collect();
    let read =
        |(module, text): (&Module, &String)| (module.clone(), source_of(module, text, &modules));
    texts.iter().map(read).collect()
}

fn module_of(file: &str) -> Module {
    match file.trim_end_matches(".rs") {
        "lib" => Vec::new(),
        path => path.split('/').map(str::to_owned).collect(),
    }
}

/// A text without comments and without the tests at its end.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| [line, "\n"]).collect()
}

fn source_of(module: &Module, text: &str, modules: &BTreeSet<Module>) -> SourceFile {
    let mut source = SourceFile::default();
    let mut rest = String::new();
    for statement in text.split_inclusive(';') {
        let Some((before, handed_on, group)) = use_in(statement) else {
            rest.push_str(statement);
            continue;
        };
        rest.push_str(before);
        for (path, name) in expand_use(group) {
            let Some(path) = absolute_path(module, &path, modules) else { continue };
            if !handed_on {
                source.used.push(path.clone());
            }
            source.names.insert(name, path);
        }
    }
    let is_part = |character: char| character.is_alphanumeric() || "_:".contains(character);
    let paths = rest.split(|character| !is_part(character)).filter(|path| path.contains("::"));
    source.used.extend(paths.filter_map(|path| absolute_path(module, path, modules)));
    source
}

/// The `use` at the end of a statement: the text before it, whether it re-exports, and what it
/// names.
fn use_in(statement: &str) -> Option<(&str, bool, &str)> {
    let words = ["pub use ", "pub(crate) use ", "pub(super) use ", "use "];
    let mut start = 0;
    for line in statement.split_inclusive('\n') {
        let trimmed = line.trim_start();
        if let Some(word) = words.iter().find(|word| trimmed.starts_with(**word)) {
            let at = start + line.len() - trimmed.len();
            let group = statement[at + word.len()..].trim_end_matches(';');
            return Some((&statement[..at], word.starts_with("pub"), group));
        }
        start += line.len();
    }
    None
}

/// The paths of a `use`, with the names that they get in the file.
fn expand_use(group: &str) -> Vec<(String, String)> {
    let group = group.trim();
    let Some((prefix, inner)) = group.split_once('{') else {
        let (path, name) = group.split_once(" as ").unwrap_or((group, ""));
        let path = path.trim().trim_end_matches("::self");
        let last = path.rsplit("::").next().unwrap_or_default();
        let name = if name.is_empty() { last } else { name.trim() };
        return vec![(path.to_owned(), name.to_owned())];
    };
    let inner = inner.trim_end().strip_suffix('}').unwrap_or(inner);
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for character in inner.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(character);
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.flat_map(|part| expand_use(&format!("{}{part}", prefix.trim()))).collect()
}

/// A path from the crate's root. `None` if it leads out of the crate, or is a name defined in the
/// file itself.
fn absolute_path(module: &Module, path: &str, modules: &BTreeSet<Module>) -> Option<ItemPath> {
    let parts: Vec<_> = path.split("::").map(|part| part.trim().to_owned()).collect();
    let ups = parts.iter().take_while(|part| *part == "super").count();
    let first = parts.first()?.as_str();
    let child = || [&module[..], &parts[..1]].concat();
    match first {
        "crate" => Some(parts[1..].to_vec()),
        "self" => Some([&module[..], &parts[1..]].concat()),
        "super" => Some([&module[..module.len().checked_sub(ups)?], &parts[ups..]].concat()),
        _ if modules.contains(&child()) => Some([&module[..], &parts[..]].concat()),
        _ => None,
    }
}

/// The file with the definition of a path.
fn defining_module(
    path: &[String],
    sources: &BTreeMap<Module, SourceFile>,
    steps: usize,
) -> Module {
    let mut end = path.len();
    while !sources.contains_key(&path[..end]) {
        end -= 1;
    }
    let module = path[..end].to_vec();
    let handed_on = path.get(end).and_then(|name| sources[&module].names.get(name));
    match handed_on {
        Some(from) if steps > 0 && from[..] != path[..=end] => {
            defining_module(&[&from[..], &path[end + 1..]].concat(), sources, steps - 1)
        }
        _ => module,
    }
}

/// The files that a file uses, directly or indirectly.
fn reached_modules<'a>(
    from: &'a Module,
    edges: &'a BTreeMap<&Module, BTreeSet<Module>>,
) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        next.extend(edges[module].iter().filter(|other| reached.insert(*other)));
    }
    reached
}

/// The cycles among the files, each as the names of its files in order.
fn find_circles(sources: &BTreeMap<Module, SourceFile>) -> Vec<Vec<String>> {
    const HANDED_ON_MAX: usize = 10;
    let edges: BTreeMap<&Module, BTreeSet<Module>> = sources
        .iter()
        .map(|(module, source)| {
            let uses = source.used.iter().map(|path| defining_module(path, sources, HANDED_ON_MAX));
            (module, uses.filter(|other| !module.starts_with(other)).collect())
        })
        .collect();
    let reached: BTreeMap<_, _> =
        edges.keys().map(|module| (*module, reached_modules(module, &edges))).collect();
    let mut circles = BTreeSet::new();
    for (module, others) in &reached {
        if others.contains(module) {
            let circle = others.iter().filter(|other| reached[**other].contains(module));
            circles.insert(circle.map(|module| module.join("/")).collect::<Vec<_>>());
        }
    }
    circles.into_iter().collect()
}
