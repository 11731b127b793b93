//! Templates for plugins: the examples of `guest/examples`, adapted to stand alone.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::cli::{CommandResult, Exit, print_text, usage};

/// Maximum characters of a package name. No language has a lower limit.
const NAME_CHARACTERS_MAX: usize = 64;

/// Names that cargo does not accept for a package, or that the SDK uses.
const RESERVED_NAMES: &str = "abstract alloc as async await become box break build const continue core crate deps do \
    dyn else enum examples extern false final fn for gen if impl in incremental let loop \
    macro match mod move mut override priv proc_macro pub ref return self standpipe-plugin \
    standpipe_plugin static std struct super test trait true try type typeof unsafe unsized \
    use virtual where while";

#[derive(Debug, Args)]
pub(crate) struct NewPluginArguments {
    /// The language of a component.
    #[arg(long, value_name = "LANGUAGE", required_unless_present = "dialect")]
    lang: Option<PluginLanguage>,
    /// Create a script for the functions of a vendor. It needs no build, except that
    /// scripts in Python need a runner, which is built once.
    #[arg(long, value_name = "DIALECT")]
    dialect: Option<CodeDialect>,
    /// The directory to create; the plugin gets its name.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PluginLanguage {
    Rust,
    #[value(name = "javascript")]
    JavaScript,
    Python,
}

/// The functions of a vendor that a script has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CodeDialect {
    #[value(name = "rudderstack")]
    RudderStack,
    #[value(name = "rudderstack-python")]
    RudderStackPython,
    SegmentInsert,
    SegmentDestination,
}

/// What a new plugin is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PluginTemplate {
    Rust,
    JavaScript,
    Python,
    /// A transformation of RudderStack in Python, with its runner.
    PythonRudderStack,
    /// A script in JavaScript.
    Script(ScriptTemplate),
}

/// A path in the new directory, and the contents of the file.
type TemplateFile = (&'static str, String);

macro_rules! source {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../", $path))
    };
}

mod script;

use script::ScriptTemplate;

pub(super) fn run(arguments: &NewPluginArguments) -> CommandResult {
    let directory = &arguments.directory;
    let template = PluginTemplate::of(arguments).map_err(usage)?;
    check_is_free(directory).map_err(usage)?;
    let files = template_files(template, &package_name(directory));
    write_files(directory, &files).map_err(|error| (Exit::Fault, error))?;
    let readme = directory.join("README.md");
    print_text(&format!(
        "Created {} files. See {} for the next steps.\n",
        files.len(),
        readme.display()
    ))
}

impl PluginTemplate {
    fn of(arguments: &NewPluginArguments) -> anyhow::Result<Self> {
        use CodeDialect::{RudderStack, RudderStackPython, SegmentDestination, SegmentInsert};
        use PluginLanguage::{JavaScript, Python, Rust};
        Ok(match (arguments.lang, arguments.dialect) {
            (Some(Rust), None) => PluginTemplate::Rust,
            (Some(JavaScript), None) => PluginTemplate::JavaScript,
            (Some(Python), None) => PluginTemplate::Python,
            (None | Some(Python), Some(RudderStackPython)) | (Some(Python), Some(RudderStack)) => {
                PluginTemplate::PythonRudderStack
            }
            (None | Some(JavaScript), Some(RudderStack)) => {
                PluginTemplate::Script(script::RUDDERSTACK)
            }
            (None | Some(JavaScript), Some(SegmentInsert)) => {
                PluginTemplate::Script(script::SEGMENT_INSERT)
            }
            (None | Some(JavaScript), Some(SegmentDestination)) => {
                PluginTemplate::Script(script::SEGMENT_DESTINATION)
            }
            (Some(_), Some(_)) => bail!(
                "--dialect and --lang name different languages: remove --lang, because the dialect has one"
            ),
            (None, None) => bail!("there is no language: add --lang or --dialect"),
        })
    }
}

fn check_is_free(directory: &Path) -> anyhow::Result<()> {
    match fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => bail!(
                "{} is not empty: choose an empty directory or a new one",
                directory.display()
            ),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("look into {}", directory.display())),
    }
}

#[expect(clippy::disallowed_methods, reason = "a user asked for the files")]
fn write_files(directory: &Path, files: &[TemplateFile]) -> anyhow::Result<()> {
    for (path, text) in files {
        let path = directory.join(path);
        let parent = path.parent().unwrap_or(directory);
        let written = fs::create_dir_all(parent).and_then(|()| fs::write(&path, text));
        written.with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// A package name that cargo and npm accept: the directory's name without invalid characters.
fn package_name(directory: &Path) -> String {
    // This also resolves `.` and `..`.
    let absolute = std::path::absolute(directory).unwrap_or_default();
    let real = directory.canonicalize().unwrap_or(absolute);
    let given = real.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let given: String = given.chars().map(allowed).take(NAME_CHARACTERS_MAX).collect();
    let parts = given.trim_start_matches('_').split('-').filter(|part| !part.is_empty());
    let name = parts.collect::<Vec<_>>().join("-");
    match name.chars().next() {
        None => "plugin".to_owned(),
        Some(first) if !first.is_ascii_alphabetic() => format!("plugin-{name}"),
        Some(_) if RESERVED_NAMES.split(' ').any(|taken| taken == name) => format!("{name}-plugin"),
        Some(_) => name,
    }
}

/// The files of a plugin with this name.
fn template_files(template: PluginTemplate, name: &str) -> Vec<TemplateFile> {
    let mut files = match template {
        PluginTemplate::Rust => rust_files(name),
        PluginTemplate::JavaScript => javascript_files(name),
        PluginTemplate::Python => python_files(name),
        PluginTemplate::PythonRudderStack => python_rudderstack_files(name),
        PluginTemplate::Script(script) => return script.files(),
    };
    if template != PluginTemplate::PythonRudderStack {
        files.push(("cases.json", source!("guest/examples/cases.json").to_owned()));
    }
    files.push(("wit/mapping.wit", source!("wit/mapping.wit").to_owned()));
    files
}

fn rust_files(name: &str) -> Vec<TemplateFile> {
    let example = source!("guest/examples/rust/Cargo.toml");
    let manifest = replace_required(example, "name = \"router\"", &format!("name = {name:?}"));
    let manifest = replace_required(&manifest, "path = \"../..\"", "path = \"standpipe-plugin\"");
    let profile =
        "[workspace]\n\n[profile.release]\nlto = true\ncodegen-units = 1\nstrip = \"debuginfo\"";
    let manifest = replace_required(&manifest, "[lints]\nworkspace = true", profile);
    vec![
        ("Cargo.toml", manifest),
        ("src/lib.rs", source!("guest/examples/rust/src/lib.rs").to_owned()),
        ("src/add.rs", source!("guest/examples/rust/src/add.rs").to_owned()),
        ("src/settings.rs", source!("guest/examples/rust/src/settings.rs").to_owned()),
        ("src/table.rs", source!("guest/examples/rust/src/table.rs").to_owned()),
        ("standpipe-plugin/Cargo.toml", guest_manifest()),
        ("standpipe-plugin/src/lib.rs", source!("guest/src/lib.rs").to_owned()),
        ("standpipe-plugin/src/plugin.rs", source!("guest/src/plugin.rs").to_owned()),
        ("standpipe-plugin/src/testing.rs", source!("guest/src/testing.rs").to_owned()),
        ("standpipe-plugin/src/web.rs", source!("guest/src/web.rs").to_owned()),
        ("standpipe-plugin/src/geolocation.rs", source!("guest/src/geolocation.rs").to_owned()),
        // cargo derives the module name from the package name.
        (
            "README.md",
            adapt_paths(source!("guest/examples/rust/README.md"), &name.replace('-', "_")),
        ),
        (".gitignore", source!("guest/examples/rust/.gitignore").to_owned()),
    ]
}

/// The SDK's manifest with the values that it inherits from this workspace.
fn guest_manifest() -> String {
    let inherited = [
        ("edition.workspace = true", "edition = \"2024\"".to_owned()),
        (
            "rust-version.workspace = true",
            format!("rust-version = {:?}", env!("CARGO_PKG_RUST_VERSION")),
        ),
        // The longer key is replaced first, because it contains the shorter one.
        ("version.workspace = true", format!("version = {:?}", env!("CARGO_PKG_VERSION"))),
        ("license.workspace = true", format!("license = {:?}", env!("CARGO_PKG_LICENSE"))),
        ("[lints]\nworkspace = true\n\n", String::new()),
    ];
    let manifest = source!("guest/Cargo.toml").to_owned();
    inherited
        .into_iter()
        .fold(manifest, |manifest, (from, to)| replace_required(&manifest, from, &to))
}

fn javascript_files(name: &str) -> Vec<TemplateFile> {
    let package =
        |text| replace_required(text, "\"name\": \"router\"", &format!("\"name\": {name:?}"));
    vec![
        ("package.json", package(source!("guest/examples/javascript/package.json"))),
        ("package-lock.json", package(source!("guest/examples/javascript/package-lock.json"))),
        ("build.mjs", adapt_paths(source!("guest/examples/javascript/build.mjs"), name)),
        ("plugin.js", source!("guest/examples/javascript/plugin.js").to_owned()),
        ("router.js", source!("guest/examples/javascript/router.js").to_owned()),
        ("README.md", adapt_paths(source!("guest/examples/javascript/README.md"), name)),
        (".gitignore", adapt_paths(source!("guest/examples/javascript/.gitignore"), name)),
    ]
}

fn python_files(name: &str) -> Vec<TemplateFile> {
    vec![
        ("requirements.txt", source!("guest/examples/python/requirements.txt").to_owned()),
        ("router.py", source!("guest/examples/python/router.py").to_owned()),
        ("README.md", adapt_paths(source!("guest/examples/python/README.md"), name)),
        (".gitignore", adapt_paths(source!("guest/examples/python/.gitignore"), name)),
    ]
}

/// A transformation and its runner, which shares the mappings with the plain plugin in Python.
fn python_rudderstack_files(name: &str) -> Vec<TemplateFile> {
    let named = |text| adapt_component(text, "transform.wasm", name);
    vec![
        (
            "requirements.txt",
            source!("guest/examples/python-rudderstack/requirements.txt").to_owned(),
        ),
        ("transform.py", source!("guest/examples/python-rudderstack/transform.py").to_owned()),
        (
            "libraries/text.py",
            source!("guest/examples/python-rudderstack/libraries/text.py").to_owned(),
        ),
        ("runner.py", source!("guest/examples/python-rudderstack/runner.py").to_owned()),
        (
            "transformation.py",
            source!("guest/examples/python-rudderstack/transformation.py").to_owned(),
        ),
        ("event_text.py", source!("guest/examples/python-rudderstack/event_text.py").to_owned()),
        ("importable.py", source!("guest/examples/python-rudderstack/importable.py").to_owned()),
        (
            "web_requests.py",
            source!("guest/examples/python-rudderstack/web_requests.py").to_owned(),
        ),
        ("router.py", source!("guest/examples/python/router.py").to_owned()),
        ("settings.toml", named(source!("guest/examples/python-rudderstack/settings.toml"))),
        ("cases.json", source!("guest/examples/python-rudderstack/cases.json").to_owned()),
        ("README.md", named(source!("guest/examples/python-rudderstack/README.md"))),
        (".gitignore", named(source!("guest/examples/python-rudderstack/.gitignore"))),
    ]
}

/// The text of an example with its standalone paths, and with the name of its component.
fn adapt_paths(text: &str, name: &str) -> String {
    adapt_component(text, "router.wasm", name)
}

fn adapt_component(text: &str, component: &str, name: &str) -> String {
    let text = text.replace("../../../", "").replace("../cases.json", "cases.json");
    replace_required(&text, component, &format!("{name}.wasm"))
}

fn replace_required(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "an example has no {from:?} to replace");
    text.replace(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_called_as_its_directory() {
        for (directory, name) in [
            ("orders", "orders"),
            ("/a/b/order-router_2/", "order-router_2"),
            ("x/My Orders.v2", "my-orders-v2"),
            ("2nd", "plugin-2nd"),
            ("__init__", "init__"),
            ("Ünïcode", "n-code"),
            ("日本", "plugin"),
            ("/", "plugin"),
            ("standpipe-plugin", "standpipe-plugin-plugin"),
            ("x/../test", "test-plugin"),
        ] {
            assert_eq!(package_name(Path::new(directory)), name, "{directory}");
        }
        assert_ne!(package_name(Path::new(".")), "plugin");
        assert_eq!(package_name(Path::new(&"x".repeat(200))).len(), NAME_CHARACTERS_MAX);
    }

    #[test]
    fn nothing_points_out_of_the_directory() {
        let scripts = [script::RUDDERSTACK, script::SEGMENT_INSERT, script::SEGMENT_DESTINATION];
        let templates = [
            PluginTemplate::Rust,
            PluginTemplate::JavaScript,
            PluginTemplate::Python,
            PluginTemplate::PythonRudderStack,
        ];
        for template in templates.into_iter().chain(scripts.map(PluginTemplate::Script)) {
            for (path, text) in template_files(template, "orders") {
                // The SDK looks for the contract in its own directory.
                let text = text.replace("path: \"../wit\"", "");
                assert!(!text.contains("../"), "{template:?}: {path}");
                assert!(!text.contains(".workspace = true"), "{template:?}: {path}");
                assert!(!text.contains("router.wasm"), "{template:?}: {path}");
                assert!(!text.contains("transform.wasm"), "{template:?}: {path}");
            }
        }
    }
}
