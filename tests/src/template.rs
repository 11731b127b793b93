//! The plugins that `host plugin new` creates, built as described in their READMEs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::binary::{cargo_command, target_directory};
use crate::{Program, tools};

/// A template of `host plugin new`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// Rust, with the crate `standpipe-plugin`.
    Rust,
    /// JavaScript, with componentize-js.
    JavaScript,
    /// Python, with componentize-py.
    Python,
    /// The runner for RudderStack's transformations in Python.
    PythonRudderStack,
}

impl Template {
    /// The templates of the plain plugin, which routes events and adds members.
    pub const PLAIN: [Template; 3] = [Template::Rust, Template::JavaScript, Template::Python];

    /// The name of the template.
    pub fn name(self) -> &'static str {
        match self {
            Template::Rust => "rust",
            Template::JavaScript => "javascript",
            Template::Python => "python",
            Template::PythonRudderStack => "python-rudderstack",
        }
    }

    /// The options of `host plugin new` that choose the template.
    fn options(self) -> &'static [&'static str] {
        match self {
            Template::Rust => &["--lang", "rust"],
            Template::JavaScript => &["--lang", "javascript"],
            Template::Python => &["--lang", "python"],
            Template::PythonRudderStack => &["--dialect", "rudderstack-python"],
        }
    }

    /// The component of the template. It is built again if the template has changed.
    pub fn component(self) -> PathBuf {
        let component = match self {
            Template::Rust => "target/wasm32-wasip2/release/router.wasm",
            Template::JavaScript | Template::Python | Template::PythonRudderStack => "router.wasm",
        };
        self.build_directory().join(component)
    }

    /// The cases of the template.
    pub fn cases(self) -> PathBuf {
        self.build_directory().join("cases.json")
    }

    /// The settings of the template, if it has some.
    pub fn settings(self) -> PathBuf {
        self.build_directory().join("settings.toml")
    }

    /// The script of the template, if it has one.
    pub fn script(self) -> PathBuf {
        self.build_directory().join("transform.py")
    }

    /// The directory where the template is built, once for each process of tests.
    fn build_directory(self) -> &'static Path {
        static DIRECTORIES: [OnceLock<PathBuf>; 4] = [const { OnceLock::new() }; 4];
        DIRECTORIES[self as usize].get_or_init(|| self.write_and_build())
    }

    /// Writes the template and builds it, unless an earlier process has done so.
    fn write_and_build(self) -> PathBuf {
        let program = Program::new().args(["plugin", "new"]).args(self.options()).args(["router"]);
        let made = program.run().expect_exit(0);
        let mut files = Vec::new();
        collect_files(&made.path("router"), Path::new(""), &mut files);
        let wanted: String =
            files.iter().map(|(path, text)| format!("{}\n{text}\n", path.display())).collect();
        let directory = target_directory().join(format!("template-{}", self.name()));
        let (router, built) = (directory.join("router"), directory.join("built"));
        if fs::read_to_string(&built).ok().as_deref() != Some(&*wanted) {
            // An interrupted build may have left files there.
            let _ = fs::remove_dir_all(&directory);
            for (path, text) in &files {
                let path = router.join(path);
                fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
                fs::write(path, text).expect("a file is written");
            }
            self.build(&router);
            fs::write(built, wanted).expect("a mark that it is whole");
        }
        router
    }

    fn build(self, directory: &Path) {
        let mut command = match self {
            Template::Rust => {
                let mut cargo = cargo_command();
                cargo.args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"]);
                cargo.env_remove("CARGO_TARGET_DIR");
                cargo
            }
            Template::JavaScript => {
                let packages = tools::node_packages("componentize-js", "guest/examples/javascript");
                let linked = symlink(packages.join("node_modules"), directory.join("node_modules"));
                linked.expect("a link to the packages");
                let mut command = Command::new(tools::find_program("npm"));
                command.args(["run", "--silent", "build"]);
                command
            }
            Template::Python => {
                componentize_python(&tools::find_componentize_python(), "plugin", "router")
            }
            Template::PythonRudderStack => {
                let python = tools::find_rudderstack_python();
                componentize_python(&python, "plugin-with-network", "runner")
            }
        };
        let status = command.current_dir(directory).status().expect("the build starts");
        assert!(status.success(), "the template for {} could not be built", self.name());
    }
}

/// The command that makes `router.wasm` of a module.
fn componentize_python(python: &Path, world: &str, module: &str) -> Command {
    let mut command = Command::new(python.with_file_name("componentize-py"));
    command.args(["-q", "-d", "wit", "-w", world, "componentize", module]);
    command.args(["-o", "router.wasm"]);
    command
}

/// Every file under a directory, by its path there.
fn collect_files(directory: &Path, path: &Path, files: &mut Vec<(PathBuf, String)>) {
    let mut entries: Vec<_> = fs::read_dir(directory.join(path))
        .expect("a directory")
        .map(|entry| entry.expect("an entry"))
        .collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = path.join(entry.file_name());
        if entry.path().is_dir() {
            collect_files(directory, &path, files);
        } else {
            let text = fs::read_to_string(entry.path()).expect("a text");
            files.push((path, text));
        }
    }
}
