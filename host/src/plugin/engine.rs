use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;

use thiserror::Error;
use wasmtime::{
    Cache, CacheConfig, Config, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
};

use super::Allowance;
use crate::limits;

/// Instances that may live at once for each worker: those of the old and of the
/// new plugin while they are swapped, of the one that is kept for a return, of a
/// canary, of a candidate that is tried, and one that replaces another.
const INSTANCES_PER_WORKER: u32 = 6;

/// The least number of instances, enough for all that is there once: the shadow,
/// candidates on trial.
const INSTANCES_MIN: u32 = 256;

/// Core instances, memories and tables of one component. Toolchains that wrap
/// an interpreter and an adapter make some tens.
const CORE_INSTANCES_PER_COMPONENT_MAX: u32 = 60;
const MEMORIES_PER_COMPONENT_MAX: u32 = 4;
const TABLES_PER_COMPONENT_MAX: u32 = 16;

/// The compiler and the ground that all instances stand on.
///
/// Holds the thread whose ticks interrupt running plugins; it ends with the
/// last clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    engine: wasmtime::Engine,
    allowance: Allowance,
    /// Dropped to end the ticking thread.
    _ticker: Sender<()>,
}

/// The engine could not be made.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The directory for compiled components cannot be used.
    #[error("use {} for compiled plugins: {error}: give a writable directory with --data-dir", directory.display())]
    CacheDirectory {
        /// The directory.
        directory: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// WebAssembly cannot be run here.
    #[error("start the WebAssembly engine: {0}")]
    Engine(String),
}

/// The engine's name and version.
pub fn version() -> String {
    format!("wasmtime {}", env!("WASMTIME_VERSION"))
}

impl Engine {
    /// Make an engine that keeps compiled components in this directory, for few
    /// workers and with the usual allowance.
    ///
    /// # Errors
    ///
    /// As for [`Engine::with`].
    pub fn new(cache_directory: Option<&Path>) -> Result<Self, EngineError> {
        Self::with(cache_directory, Allowance::default(), NonZero::<usize>::MIN)
    }

    /// Make an engine that keeps compiled components in this directory, and lets
    /// each of their instances have this much.
    ///
    /// What is found in the directory is run as native code, so it is made for its
    /// owner alone and must stay so.
    ///
    /// # Errors
    ///
    /// The directory cannot be made or is another user's, or the machine cannot
    /// run WebAssembly.
    pub fn with(
        cache_directory: Option<&Path>,
        allowance: Allowance,
        workers: NonZero<usize>,
    ) -> Result<Self, EngineError> {
        let cache = cache_directory.map(open_cache).transpose()?;
        let workers = u32::try_from(workers.get()).unwrap_or(u32::MAX);
        let instances = INSTANCES_MIN.max(workers.saturating_mul(INSTANCES_PER_WORKER));
        let pooled = |pooling| {
            let mut config = config(cache.clone());
            if pooling {
                let pooling = pooling_config(instances, allowance.memory_bytes);
                config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
            }
            wasmtime::Engine::new(&config)
        };
        // The pool reserves address space, which containers and `ulimit -v`
        // may not grant: instances are then made one by one, a little slower.
        let engine = pooled(true).or_else(|_| pooled(false));
        let engine = engine.map_err(|error| EngineError::Engine(format!("{error:#}")))?;
        let ticker = tick(&engine).map_err(|error| EngineError::Engine(error.to_string()))?;
        Ok(Engine(Arc::new(Inner { engine, allowance, _ticker: ticker })))
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.engine
    }

    /// What each instance may have.
    pub fn allowance(&self) -> &Allowance {
        &self.0.allowance
    }
}

fn config(cache: Option<Cache>) -> Config {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        // No function of the contract is async, and support for it costs 0.23
        // microseconds on every call.
        .concurrency_support(false)
        .cache(cache);
    config
}

fn pooling_config(instances: u32, memory_bytes: usize) -> PoolingAllocationConfig {
    let mut pooling = PoolingAllocationConfig::default();
    pooling
        .total_component_instances(instances)
        .total_core_instances(instances * 4)
        .total_memories(instances)
        .total_tables(instances * 4)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT_MAX)
        .max_memories_per_component(MEMORIES_PER_COMPONENT_MAX)
        .max_tables_per_component(TABLES_PER_COMPONENT_MAX)
        .max_component_instance_size(16 * 1024 * 1024)
        .max_core_instance_size(16 * 1024 * 1024)
        .table_elements(limits::PLUGIN_TABLE_ELEMENTS_MAX)
        .max_memory_size(memory_bytes)
        .linear_memory_keep_resident(1024 * 1024);
    pooling
}

fn open_cache(directory: &Path) -> Result<Cache, EngineError> {
    let refused = |error| EngineError::CacheDirectory { directory: directory.to_owned(), error };
    make_private_directory(directory).map_err(refused)?;
    let absolute = directory.canonicalize().map_err(refused)?;
    let mut config = CacheConfig::new();
    config.with_directory(absolute);
    Cache::new(config).map_err(|error| refused(io::Error::other(format!("{error:#}"))))
}

fn make_private_directory(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};

    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // Its owner could put code there that this process would run.
    if std::fs::metadata(directory)?.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user"));
    }
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
}

/// Start the thread that makes running plugins look at their processor time.
fn tick(engine: &wasmtime::Engine) -> io::Result<Sender<()>> {
    let (keep, ended) = channel();
    let engine = engine.weak();
    thread::Builder::new().name("plugin-ticker".to_owned()).spawn(move || {
        while ended.recv_timeout(limits::PLUGIN_TICK) == Err(RecvTimeoutError::Timeout) {
            let Some(engine) = engine.upgrade() else { break };
            engine.increment_epoch();
        }
    })?;
    Ok(keep)
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}
