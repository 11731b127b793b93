//! Lists the JavaScript modules of Segment's functions: those of `src/segment`, and the libraries of
//! `libraries/segment`, which are the files of their packages.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The folders of modules.
const FOLDERS: [&str; 2] = ["src/segment", "libraries/segment"];

#[expect(
    clippy::disallowed_methods,
    reason = "the file belongs to the build, and everybody may read it"
)]
fn main() -> io::Result<()> {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut list = String::from("/// All modules.\nconst MODULES: &[ModuleCode] = &[\n");
    for folder in FOLDERS {
        println!("cargo::rerun-if-changed={folder}");
        let folder = package.join(folder);
        let mut files = Vec::new();
        collect_modules(&folder, &mut files)?;
        files.sort();
        for file in files {
            let name = file.strip_prefix(&folder).unwrap_or(&file).with_extension("");
            let name = name.to_string_lossy().replace('\\', "/");
            let line =
                format!("    ModuleCode {{ name: {name:?}, code: include_str!({file:?}) }},");
            writeln!(list, "{line}").map_err(io::Error::other)?;
        }
    }
    list.push_str("];\n");
    let output = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(output.join("segment_modules.rs"), list)
}

fn collect_modules(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_modules(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "js") {
            files.push(path);
        }
    }
    Ok(())
}
