//! Third-party programs and packages that tests use. `tests/setup.sh` installs them. A test that
//! does not find one fails, and names this script.

use std::env;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::binary::target_directory;
use crate::workspace_directory;

/// Debian's directory of server programs, which may be missing in `PATH`.
const SERVERS: &str = "/usr/sbin";

/// Finds the path of an installed program.
pub fn find_program(name: &str) -> PathBuf {
    find_any_program(&[name])
}

/// Finds the path of the first of these programs that is installed.
pub(crate) fn find_any_program(names: &[&str]) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = env::split_paths(&path).chain([SERVERS.into()]).collect();
    let mut paths =
        names.iter().flat_map(|name| directories.iter().map(move |path| path.join(name)));
    paths.find(|path| path.is_file()).unwrap_or_else(|| fail_missing(&names.join(" or ")))
}

/// Python with the packages that `tests/python/NAME.txt` pins.
pub fn find_python(name: &str) -> PathBuf {
    python_environment(name, &format!("tests/python/{name}.txt"))
}

/// Python with the packages that build plugins.
pub(crate) fn find_componentize_python() -> PathBuf {
    python_environment("componentize-py", "guest/examples/python/requirements.txt")
}

/// Python with the packages that build the runner for RudderStack's transformations.
pub fn find_rudderstack_python() -> PathBuf {
    let requirements = "guest/examples/python-rudderstack/requirements.txt";
    python_environment("componentize-py-rudderstack", requirements)
}

fn python_environment(name: &str, requirements: &str) -> PathBuf {
    find_installed(&format!("{name}-venv"), requirements).join("bin/python")
}

/// The directory whose `node_modules` contains the packages of npm's lock file in `source`.
pub(crate) fn node_packages(name: &str, source: &str) -> PathBuf {
    find_installed(&format!("{name}-node"), &format!("{source}/package-lock.json"))
}

/// The compiler of TypeScript.
pub fn find_typescript_compiler() -> PathBuf {
    node_packages("typescript", "tests/typescript").join("node_modules/.bin/tsc")
}

/// A directory that `tests/setup.sh` has filled with exactly the packages that a file pins. The
/// script stores a copy of that file there.
fn find_installed(name: &str, pins: &str) -> PathBuf {
    let pinned = fs::read(workspace_directory().join(pins)).expect("the file with the versions");
    let directory = target_directory().join(name);
    match fs::read(directory.join("installed")) {
        Ok(installed) if installed == pinned => directory,
        Ok(_) => fail_missing(&format!("what {pins} pins")),
        Err(_) => fail_missing(&directory.display().to_string()),
    }
}

/// Runs a program that reads this text from its standard input, and returns what it writes to
/// its standard output.
pub(crate) fn output_for(program: &mut Command, text: &str) -> Vec<u8> {
    let program = program.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = program.spawn().expect("the program starts");
    let mut stdin = process.stdin.take().expect("a pipe");
    // The programs in tests read all of their input before they write.
    stdin.write_all(text.as_bytes()).expect("the program reads");
    drop(stdin);
    let output = process.wait_with_output().expect("the program ends");
    assert!(output.status.success(), "{program:?} failed on:\n{text}");
    output.stdout
}

fn fail_missing(what: &str) -> ! {
    panic!("{what} is missing: run tests/setup.sh")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_program_is_found() {
        assert!(find_program("sh").is_file());
        assert_eq!(find_any_program(&["no-such-program", "sh"]), find_program("sh"));
    }

    #[test]
    #[should_panic(expected = "no-such-program or nor-this is missing: run tests/setup.sh")]
    fn a_missing_program_names_the_script() {
        find_any_program(&["no-such-program", "nor-this"]);
    }

    #[test]
    #[should_panic(expected = "nothing-venv is missing: run tests/setup.sh")]
    fn a_missing_environment_names_the_script() {
        python_environment("nothing", "tests/python/moto.txt");
    }

    #[test]
    #[should_panic(expected = "what tests/setup.sh pins is missing: run tests/setup.sh")]
    fn an_environment_of_other_versions_names_the_script() {
        python_environment("moto", "tests/setup.sh");
    }
}
