//! A cache of compiled components on disk, so that each component is compiled only once.
//!
//! The cached code runs as native code, outside of any sandbox. So a process of this user must have
//! written it, even if the hash of the original component is pinned:
//!
//! - the directory belongs to the user of the process, is not a symbolic link, and no other user
//!   can write to it. Its mode is not changed silently, because its contents could be those of
//!   another user;
//! - every entry contains an HMAC-SHA256 of the component's hash, the engine and the compiled code.
//!   The random key is in a file that only the user can read;
//! - files are opened without following links, and the checks apply to the opened file.
//!
//! An invalid entry is counted, logged and replaced. A cache without write access is not an error:
//! the component is then compiled each time.

use std::ffi::CStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use prometheus_client::metrics::counter::Counter;
use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, fchmod, fstat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use sha2::Sha256;
use thiserror::Error;

use super::wasm_error::WasmError;
use crate::limits;

/// Maximum bytes of a component's compiled code in the cache. An interpreter of 18 MB compiles to
/// about 60 MB.
const PLUGIN_COMPILED_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// The first bytes of an entry: its type, and the version of its format.
const MAGIC: &[u8; 8] = b"spcache1";

/// Bytes of a key and of a message authentication code.
const MAC_BYTES: usize = 32;

const HEADER_BYTES: usize = MAGIC.len() + MAC_BYTES;

/// The name of the key file, and the suffixes of entries and of temporary files.
const KEY_NAME: &str = "key";
const ENTRY_SUFFIX: &str = ".compiled";
const NEW_SUFFIX: &str = ".new";

/// The source of random bytes.
const RANDOM_SOURCE: &str = "/dev/urandom";

/// Maximum time to wait for a key that another process is writing.
const KEY_PATIENCE: Duration = Duration::from_secs(1);
const KEY_POLL: Duration = Duration::from_millis(5);

/// The age at which a temporary file counts as abandoned by a process that ended.
const NEW_AGE_MAX: Duration = Duration::from_secs(3600);

/// The mode bits that let other users write.
const WRITABLE_BY_OTHERS: u32 = 0o022;
const OPEN_TO_OTHERS: u32 = 0o077;

/// The directory of compiled components.
#[derive(Debug)]
pub(super) struct CompiledCache {
    directory: OwnedFd,
    path: PathBuf,
    user: u32,
    key: CacheKey,
    pub(super) counts: CacheCounts,
}

/// Numbers of cache lookups, by result. Clones share the counters.
#[derive(Debug, Clone, Default)]
pub(super) struct CacheCounts {
    /// A usable entry was found.
    pub(super) hits: Counter,
    /// No entry was found.
    pub(super) misses: Counter,
    /// The entry was unusable: it was damaged, or not written by this user.
    pub(super) rejected: Counter,
}

/// The source of an entry: the component and the engine.
#[derive(Debug, Clone, Copy)]
pub(super) struct CacheOrigin<'a> {
    /// The SHA-256 of the component, in hexadecimal.
    pub(super) digest: &'a str,
    /// The engine's version.
    pub(super) engine: &'a str,
    /// A hash of everything that the engine's code depends on.
    pub(super) compatibility: u64,
}

struct CacheKey([u8; MAC_BYTES]);

impl std::fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CacheKey(hidden)")
    }
}

/// An existing entry that cannot be used.
#[derive(Debug, Error)]
enum UnusableEntry {
    /// The entry cannot be read, or is not authentic.
    #[error("{0}")]
    Entry(io::Error),
    /// The engine does not accept the code.
    #[error("is not for this engine: {0}")]
    OtherEngine(WasmError),
}

impl CompiledCache {
    /// Opens a directory, or creates it.
    ///
    /// # Errors
    ///
    /// Fails if the directory cannot be created or used, or if other users could have written to
    /// it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::open_as(path, rustix::process::geteuid().as_raw())
    }

    fn open_as(path: &Path, user: u32) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(CWD, path, flags, Mode::empty()).map_err(|error| match error {
            Errno::NOTDIR | Errno::LOOP => {
                io::Error::other("it is a symbolic link, which other users could redirect")
            }
            error => error.into(),
        })?;
        let stat = fstat(&directory)?;
        if stat.st_uid != user {
            return Err(io::Error::other("it belongs to another user"));
        }
        if stat.st_mode & WRITABLE_BY_OTHERS != 0 {
            let mode = stat.st_mode & 0o7777;
            return Err(io::Error::other(format!(
                "others can write to it (mode {mode:04o}), so its files may be theirs and would \
                 run as native code: remove it, or empty it and set its mode to 0700"
            )));
        }
        if stat.st_mode & OPEN_TO_OTHERS != 0 {
            // No other user could have written to the directory, so this change hides no danger.
            fchmod(&directory, Mode::RWXU)?;
        }
        let key = open_key(&directory, user)?;
        let (path, counts) = (path.to_owned(), CacheCounts::default());
        Ok(CompiledCache { directory, path, user, key, counts })
    }

    /// Loads the authentic code of an earlier compilation with `load`. Returns `None` if there is
    /// no usable entry.
    pub(super) fn load_code<T>(
        &self,
        origin: &CacheOrigin<'_>,
        load: impl FnOnce(&[u8]) -> Result<T, WasmError>,
    ) -> Option<T> {
        let loaded = match self.read_entry(origin) {
            Ok(None) => {
                self.counts.misses.inc();
                return None;
            }
            Ok(Some(entry)) => load(&entry[HEADER_BYTES..]).map_err(UnusableEntry::OtherEngine),
            Err(error) => Err(UnusableEntry::Entry(error)),
        };
        let counter = if loaded.is_ok() { &self.counts.hits } else { &self.counts.rejected };
        counter.inc();
        loaded
            .inspect_err(|error| {
                tracing::warn!(
                    "ignoring compiled code in {}, and compiling the component again: {} {error}",
                    self.path.display(),
                    entry_name(origin),
                );
            })
            .ok()
    }

    /// Stores compiled code. Logs the reason if it cannot.
    pub(super) fn store_code(&self, origin: &CacheOrigin<'_>, code: &[u8]) {
        if code.len() as u64 > PLUGIN_COMPILED_BYTES_MAX {
            return;
        }
        self.make_room(code.len() as u64);
        if let Err(error) = self.write_entry(origin, code) {
            tracing::warn!("failed to store compiled code in {}: {error}", self.path.display());
        }
    }

    fn read_entry(&self, origin: &CacheOrigin<'_>) -> io::Result<Option<Vec<u8>>> {
        let name = entry_name(origin);
        let opened = open_file(&self.directory, &name, self.user, WRITABLE_BY_OTHERS)?;
        let Some(file) = opened else { return Ok(None) };
        let bytes_max = PLUGIN_COMPILED_BYTES_MAX + HEADER_BYTES as u64;
        let mut entry = Vec::new();
        (&file).take(bytes_max + 1).read_to_end(&mut entry)?;
        let is_whole = entry.len() > HEADER_BYTES
            && entry.len() as u64 <= bytes_max
            && entry.starts_with(MAGIC);
        if !is_whole {
            return Err(io::Error::other("is damaged, or of another version"));
        }
        let (header, code) = entry.split_at(HEADER_BYTES);
        self.authentication_code(origin, code).verify_slice(&header[MAGIC.len()..]).map_err(
            |_| io::Error::other("is damaged, or was not written by this user's own process"),
        )?;
        // The least recently used entries are removed first. If the time cannot be set, the entry
        // is removed earlier.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(entry))
    }

    fn write_entry(&self, origin: &CacheOrigin<'_>, code: &[u8]) -> io::Result<()> {
        let temporary = format!("{}-{}{NEW_SUFFIX}", entry_name(origin), std::process::id());
        let mac = self.authentication_code(origin, code).finalize().into_bytes();
        let written = create_file(&self.directory, &temporary).and_then(|mut file| {
            file.write_all(MAGIC)?;
            file.write_all(&mac)?;
            file.write_all(code)?;
            // The entry is not synced: after a power failure it is at worst not authentic.
            Ok(renameat(&self.directory, &temporary, &self.directory, entry_name(origin))?)
        });
        written.inspect_err(|_| {
            let _ = unlinkat(&self.directory, &temporary, AtFlags::empty());
        })
    }

    fn authentication_code(&self, origin: &CacheOrigin<'_>, code: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key.0).expect("HMAC takes keys of any length");
        mac.update(MAGIC);
        // The length of each part is included, so that parts cannot be confused.
        let compatibility = origin.compatibility.to_be_bytes();
        for part in [origin.engine.as_bytes(), origin.digest.as_bytes(), &compatibility, code] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }

    /// Removes the least recently used entries until there is room for another one, and abandoned
    /// temporary files.
    fn make_room(&self, bytes: u64) {
        let Ok(directory) = Dir::read_from(&self.directory) else { return };
        let (mut entries, now) = (Vec::new(), SystemTime::now());
        for entry in directory.flatten() {
            let name = entry.file_name();
            let Ok(stat) = statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let modified = u64::try_from(stat.st_mtime).unwrap_or_default();
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(modified);
            if ends_with(name, NEW_SUFFIX) {
                let is_old = now.duration_since(modified).is_ok_and(|age| age > NEW_AGE_MAX);
                if is_old {
                    self.remove_file(name);
                }
            } else if ends_with(name, ENTRY_SUFFIX) {
                let size = u64::try_from(stat.st_size).unwrap_or_default();
                entries.push((modified, size, name.to_owned()));
            }
        }
        entries.sort();
        let mut total = bytes + entries.iter().map(|(_, size, _)| size).sum::<u64>();
        let mut count = entries.len() + 1;
        for (_, size, name) in entries {
            let fits = total <= limits::PLUGIN_CACHE_BYTES_MAX
                && count <= limits::PLUGIN_CACHE_ENTRIES_MAX;
            if fits {
                return;
            }
            self.remove_file(&name);
            total -= size;
            count -= 1;
        }
    }

    fn remove_file(&self, name: &CStr) {
        // An entry that cannot be removed stays until the next attempt.
        let _ = unlinkat(&self.directory, name, AtFlags::empty());
    }
}

fn entry_name(origin: &CacheOrigin<'_>) -> String {
    format!("{}-{:016x}{ENTRY_SUFFIX}", origin.digest, origin.compatibility)
}

fn ends_with(name: &CStr, suffix: &str) -> bool {
    name.to_bytes().ends_with(suffix.as_bytes())
}

/// Creates a file that only the user can read. Fails if the file exists.
fn create_file(directory: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let created = match openat(directory, name, flags, mode) {
        // The name contains the process id, so an earlier process with the same id left this file.
        Err(Errno::EXIST) if name.ends_with(NEW_SUFFIX) => {
            unlinkat(directory, name, AtFlags::empty())?;
            openat(directory, name, flags, mode)
        }
        created => created,
    };
    Ok(File::from(created?))
}

/// Opens a file of this user. Fails if other users could have written it, or could have read it if
/// it is secret. Returns `None` if it is missing.
fn open_file(
    directory: &OwnedFd,
    name: &str,
    user: u32,
    forbidden: u32,
) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(directory, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(io::Error::other("is a symbolic link")),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    let problem = if !metadata.is_file() {
        "is not a regular file"
    } else if metadata.uid() != user {
        "belongs to another user"
    } else if metadata.mode() & forbidden != 0 {
        "is open to other users"
    } else {
        return Ok(Some(file));
    };
    Err(io::Error::other(problem))
}

/// Reads the key, or creates it.
#[expect(clippy::disallowed_methods, reason = "another process writes the file")]
fn open_key(directory: &OwnedFd, user: u32) -> io::Result<CacheKey> {
    let give_up = Instant::now() + KEY_PATIENCE;
    loop {
        if let Some(key) = read_key(directory, user)? {
            return Ok(key);
        }
        match create_file(directory, KEY_NAME) {
            Ok(file) => {
                let mut key = [0; MAC_BYTES];
                File::open(RANDOM_SOURCE)?.read_exact(&mut key)?;
                file.write_all_at(&key, 0)?;
                return Ok(CacheKey(key));
            }
            // Another process is writing the key, or ended while it wrote it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if Instant::now() >= give_up {
                    unlinkat(directory, KEY_NAME, AtFlags::empty())?;
                }
                thread::sleep(KEY_POLL);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Reads the key. Returns `None` if it is missing or incomplete.
fn read_key(directory: &OwnedFd, user: u32) -> io::Result<Option<CacheKey>> {
    let refused = |error: io::Error| {
        let text = format!("its file {KEY_NAME:?} {error}: remove the directory");
        io::Error::new(error.kind(), text)
    };
    let opened = open_file(directory, KEY_NAME, user, OPEN_TO_OTHERS);
    let Some(file) = opened.map_err(refused)? else { return Ok(None) };
    // The name could be a link to another file of this user, whose contents others know.
    if file.metadata()?.nlink() != 1 {
        return Err(refused(io::Error::other("has another name elsewhere")));
    }
    let mut bytes = Vec::with_capacity(MAC_BYTES);
    (&file).take(MAC_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    match <[u8; MAC_BYTES]>::try_from(bytes) {
        Ok(key) => Ok(Some(CacheKey(key))),
        Err(bytes) if bytes.len() < MAC_BYTES => Ok(None),
        Err(_) => Err(refused(io::Error::other("is not a key"))),
    }
}

#[cfg(test)]
mod tests;
