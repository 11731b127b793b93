//! The environment of the program: its directory, its small disk, its settings.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use standpipe_plugin_host::DEFAULT_PLUGIN;
use standpipe_tests::disk::Disk;
use standpipe_tests::{free_port, make_data_directory, program_path, signature, stamp_component};
use tempfile::TempDir;

use super::recipes::STREAMS;
use super::{hostile, senders};

/// The token of the admin API.
pub(super) const TOKEN: &str = "a-token-that-only-the-soak-has";

/// How long delivery continues after a stop.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// The size of the collector's spool. Without delivery, it is full after some seconds.
const SPOOL_BYTES: u64 = 256 << 20;
const OVERFLOW_BYTES: u64 = 64 << 20;
const DEAD_LETTERS_BYTES: u64 = 1 << 30;
/// The size of the disk. It has space for the spool, the overflow, and the dead letters until they
/// are removed.
const DISK_BYTES: usize = 768 << 20;

/// The step in which the disk is filled.
const FILLER_BYTES: usize = 1 << 20;

/// The number of different components with the code of the built-in plugin. It is small because
/// each uses space in the cache of compiled code.
const PLUGIN_VERSIONS: u64 = 4;

/// The directory of the program.
#[derive(Debug)]
pub(super) struct Place {
    directory: TempDir,
    disk: Disk,
    port: u16,
    admin_port: u16,
}

impl Place {
    pub(super) fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        let disk = Disk::mount(DISK_BYTES);
        let place = Place { directory, disk, port: free_port(), admin_port: free_port() };
        make_data_directory(&place.data_directory());
        place.write_settings(0);
        place.write_plugin(0);
        place
    }

    /// The address of the collector.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The address of the admin listener.
    pub(super) fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin_port)
    }

    /// The program's data directory.
    pub(super) fn data_directory(&self) -> PathBuf {
        self.disk.path().join("data")
    }

    /// A file next to the settings.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Fills the disk to the last byte.
    pub(super) fn fill_disk(&self) {
        let mut filler = File::create(self.filler_path()).expect("a file on the disk");
        let zeros = vec![0; FILLER_BYTES];
        while filler.write_all(&zeros).is_ok() {}
    }

    /// Releases the filled space.
    pub(super) fn clear_disk(&self) {
        fs::remove_file(self.filler_path()).expect("the filler is there");
    }

    fn filler_path(&self) -> PathBuf {
        self.disk.path().join("filler")
    }

    /// Writes the settings again. Another number creates another generation of the plugin with the
    /// same decisions.
    pub(super) fn write_settings(&self, number: u64) {
        let rows = (0..STREAMS.len()).map(|at| (format!("soak {at}"), STREAMS[at]));
        let others = [("trap", STREAMS[0]), ("loop", STREAMS[1])];
        let rows = rows.chain(others.map(|(event, stream)| (event.to_owned(), stream)));
        let rows = rows.chain([(format!("row {number}"), STREAMS[0])]);
        let rows = rows.map(|(event, stream)| {
            format!("    {{ event = \"{event}\", stream = \"{stream}\" }},\n")
        });
        let text = format!(
            r#"
listen = "127.0.0.1:{port}"
{sources}
[admin]
listen = "127.0.0.1:{admin_port}"
token = "{TOKEN}"
[spool]
max_bytes = {SPOOL_BYTES}
durability = "{durability}"
[delivery]
max_delay = "200ms"
drain_timeout = "{drain_seconds}s"
overflow_max_bytes = {OVERFLOW_BYTES}
[dead_letters]
max_bytes = {DEAD_LETTERS_BYTES}
[streams.{packed}]
aggregate = {{ max_bytes = 102400 }}
[plugin]
path = "plugin.wasm"
[plugin.settings]
mappings = [
{rows}]
"#,
            port = self.port,
            sources =
                senders::SOURCES.iter().chain([&hostile::SETTINGS]).copied().collect::<String>(),
            admin_port = self.admin_port,
            // Settings that are read at the start apply until the next start.
            durability = if number.is_multiple_of(2) { "os" } else { "fsync" },
            drain_seconds = DRAIN_TIMEOUT.as_secs(),
            packed = STREAMS[3],
            rows = rows.collect::<String>(),
        );
        self.replace_file("settings.toml", text.as_bytes());
    }

    /// Replaces the plugin's file with another version of the built-in plugin.
    pub(super) fn write_plugin(&self, number: u64) {
        self.replace_file("plugin.wasm", &plugin_version(number));
    }

    fn replace_file(&self, name: &str, bytes: &[u8]) {
        let new = self.path(&format!("{name}.new"));
        fs::write(&new, bytes).expect("a file is written");
        fs::rename(new, self.path(name)).expect("it takes the other one's place");
    }

    /// The program with all its arguments. Its session token shows the stub which process sent a
    /// request.
    pub(super) fn command(&self, firehose: &str, incarnation: u8) -> Command {
        let mut command = Command::new(program_path());
        command
            .current_dir(self.directory.path())
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", self.directory.path())
            .env("AWS_ACCESS_KEY_ID", signature::ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", signature::SECRET_ACCESS_KEY)
            .env("AWS_SESSION_TOKEN", incarnation.to_string())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .args(["run", "--config", "settings.toml", "--summary", "summary.json"])
            .args(["--region", "eu-central-1", "--endpoint-url", firehose, "--data-dir"])
            .arg(self.data_directory());
        command
    }

    /// The disk space of a directory in the data directory, in bytes.
    pub(super) fn bytes_of(&self, name: &str) -> u64 {
        bytes_of(&self.data_directory().join(name))
    }
}

/// A version of the built-in plugin.
pub(super) fn plugin_version(number: u64) -> Vec<u8> {
    stamp_component(DEFAULT_PLUGIN, &(number % PLUGIN_VERSIONS).to_le_bytes())
}

/// The disk space of a directory. Links are not followed, because their targets are shared.
fn bytes_of(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;

    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let bytes = entries.filter_map(Result::ok).map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_of(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    bytes.sum()
}
