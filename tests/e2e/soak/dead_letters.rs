//! Reads dead letters while they are written, and removes completely read files, like a log
//! shipper.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::world::SoakWorld;

/// Bytes of a file that are read at once.
const READ_BYTES: u64 = 4 << 20;

/// The members of a dead letter that the ledger needs.
#[derive(Debug)]
pub(super) struct SoakDeadLetter {
    pub(super) reason: String,
    pub(super) detail: String,
    pub(super) source: String,
    pub(super) plugin: Option<String>,
    pub(super) event: Vec<u8>,
}

/// The read position in each file.
#[derive(Debug, Default)]
pub(super) struct DeadLetterReader {
    files: BTreeMap<PathBuf, Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    offset: u64,
    /// The start of a line whose end has not been written yet.
    rest: Vec<u8>,
}

impl DeadLetterReader {
    /// Reads new dead letters in a data directory.
    pub(super) fn read_directory(&mut self, world: &SoakWorld) {
        let Ok(files) = fs::read_dir(world.place.data_directory().join("dead")) else { return };
        let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "ndjson"));
        paths.sort();
        // The program may still write to its newest file.
        let of_running = |path: &&PathBuf| pid_of(path) == Some(world.pid());
        let newest = paths.iter().rfind(of_running).cloned();
        for path in paths {
            let is_read = self.read_file(&path, world);
            if is_read && Some(&path) != newest.as_ref() && fs::remove_file(&path).is_ok() {
                self.files.remove(&path);
            }
        }
    }

    /// Returns whether the file was read to its end.
    fn read_file(&mut self, path: &Path, world: &SoakWorld) -> bool {
        let progress = self.files.entry(path.to_owned()).or_default();
        let Ok(mut file) = File::open(path) else { return false };
        if file.seek(SeekFrom::Start(progress.offset)).is_err() {
            return false;
        }
        let Ok(read) = file.take(READ_BYTES).read_to_end(&mut progress.rest) else { return false };
        progress.offset += read as u64;
        let incarnation = pid_of(path).and_then(|pid| world.incarnations.of_pid(pid));
        let Some(end) = progress.rest.iter().rposition(|&byte| byte == b'\n') else {
            return read == 0;
        };
        for line in progress.rest[..end].split(|&byte| byte == b'\n') {
            match (parse_dead_letter(line), incarnation) {
                (Some(dead_letter), Some(incarnation)) => {
                    world.ledger.record_dead_letter(&dead_letter, incarnation);
                }
                // A kill may only tear the last line of a file.
                _ => world.findings.add("a dead letter that cannot be read", || {
                    let shown = String::from_utf8_lossy(&line[..line.len().min(200)]);
                    format!("{}: {shown}", path.display())
                }),
            }
        }
        progress.rest.drain(..=end);
        read == 0
    }
}

fn parse_dead_letter(line: &[u8]) -> Option<SoakDeadLetter> {
    let dead_letter: Value = serde_json::from_slice(line).ok()?;
    let text = |key: &str| dead_letter[key].as_str().map(str::to_owned);
    let event = match text("event_base64") {
        Some(base64) => base64_simd::STANDARD.decode_to_vec(base64).ok()?,
        None => text("event")?.into_bytes(),
    };
    let (reason, detail, source) = (text("reason")?, text("detail")?, text("source")?);
    Some(SoakDeadLetter { reason, detail, source, plugin: text("plugin"), event })
}

/// The process id in the name of a file, `TIME-PID-N.ndjson`.
fn pid_of(path: &Path) -> Option<u32> {
    path.file_stem()?.to_str()?.rsplit('-').nth(1)?.parse().ok()
}
