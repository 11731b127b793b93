//! The wasmtime engine: pooling allocator with bounds for instances, memories and tables, epoch
//! deadlines, and the cache of compiled code. Where address space is not granted, instances are
//! made on demand.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use wasmtime::component::Component;
use wasmtime::{Config, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::Allowance;
use super::cache::{CacheCounts, CompiledCache, Origin};
use super::ticker::{Clock, Ticker};
use super::wasm_error::WasmError;
use crate::limits;

/// Instances that may live at once for each worker: those of the old and of the
/// new plugin while they are swapped, of the one that is kept for a return, of a
/// canary, of a candidate that is tried, and one that replaces another.
const INSTANCES_PER_WORKER: u32 = 6;

/// Slots of former instances that keep their memory for each worker, so that what
/// replaces an instance of the same component finds it there. Each has up to
/// [`KEPT_BYTES`]: one for each component ever taken would be hundreds of megabytes.
const WARM_SLOTS_PER_WORKER: u32 = 2;

/// Bytes of an instance's memory that its slot keeps when it ends.
const KEPT_BYTES: usize = 1024 * 1024;

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
    cache: Option<CompiledCache>,
    allowance: Allowance,
    ticker: Ticker,
}

/// The engine could not be made.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The directory for compiled components cannot be used.
    #[error(
        "failed to use {} for compiled plugins: {error}; or give another directory with --data-dir",
        directory.display()
    )]
    CacheDirectory {
        /// The directory.
        directory: PathBuf,
        /// What went wrong.
        #[source]
        error: io::Error,
    },
    /// WebAssembly cannot be run here.
    #[error("start the WebAssembly engine: {0}")]
    Engine(#[source] WasmError),
    /// The system grants no thread for its clock.
    #[error("start the WebAssembly engine: {0}")]
    Thread(#[source] io::Error),
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
    /// The directory cannot be made, is another user's or a symbolic link, or others
    /// can write to it; or the machine cannot run WebAssembly.
    pub fn with(
        cache_directory: Option<&Path>,
        allowance: Allowance,
        workers: NonZero<usize>,
    ) -> Result<Self, EngineError> {
        let open = |directory: &Path| {
            CompiledCache::open(directory).map_err(|error| EngineError::CacheDirectory {
                directory: directory.to_owned(),
                error,
            })
        };
        let cache = cache_directory.map(open).transpose()?;
        let workers = u32::try_from(workers.get()).unwrap_or(u32::MAX);
        let instances = INSTANCES_MIN.max(workers.saturating_mul(INSTANCES_PER_WORKER));
        let pooled = |pooling| {
            let mut config = config();
            if pooling {
                let pooling = pooling_config(instances, workers, allowance.memory_bytes);
                config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
            }
            wasmtime::Engine::new(&config)
        };
        // The pool reserves address space, which containers and `ulimit -v`
        // may not grant: instances are then made one by one, a little slower.
        let engine = pooled(true).or_else(|_| pooled(false));
        let engine = engine.map_err(|error| EngineError::Engine(error.into()))?;
        let ticker = Ticker::start(engine.weak());
        let ticker = ticker.map_err(EngineError::Thread)?;
        Ok(Engine(Arc::new(Inner { engine, cache, allowance, ticker })))
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.engine
    }

    /// Compile a component with this SHA-256, or find it compiled.
    pub(super) fn compile(&self, bytes: &[u8], digest: &str) -> wasmtime::Result<Component> {
        let Inner { engine, cache, .. } = &*self.0;
        let Some(cache) = cache else { return Component::new(engine, bytes) };
        let version = version();
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let origin = Origin { digest, engine: &version, compatibility: hasher.finish() };
        let deserialize = |code: &[u8]| {
            // SAFETY: the cache hands out only what it has verified to be written by
            // `store` below, in a process of this user that knows the cache's key, and
            // that is what `Component::serialize` has returned for this engine.
            let component = unsafe { Component::deserialize(engine, code) };
            component.map_err(WasmError::from)
        };
        if let Some(component) = cache.load(&origin, deserialize) {
            return Ok(component);
        }
        let component = Component::new(engine, bytes)?;
        cache.store(&origin, &component.serialize()?);
        Ok(component)
    }

    /// How often compiled code was looked for in the cache; nothing where there is none.
    pub(super) fn cache_counts(&self) -> Option<&CacheCounts> {
        self.0.cache.as_ref().map(|cache| &cache.counts)
    }

    /// What must know when a plugin runs.
    pub(super) fn clock(&self) -> Clock {
        self.0.ticker.clock()
    }

    /// What each instance may have.
    pub fn allowance(&self) -> &Allowance {
        &self.0.allowance
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        // No function of the contract is async, and support for it costs 0.23
        // microseconds on every call.
        .concurrency_support(false);
    config
}

fn pooling_config(instances: u32, workers: u32, memory_bytes: usize) -> PoolingAllocationConfig {
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
        .max_unused_warm_slots(workers.saturating_mul(WARM_SLOTS_PER_WORKER))
        .linear_memory_keep_resident(KEPT_BYTES);
    pooling
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DEFAULT_PLUGIN, Plugin};

    #[test]
    fn memory_of_former_components_is_given_back() {
        let engine = Engine::new(None).unwrap();
        let settings = r#"{"mappings":[{"event":"*","stream":"s"}]}"#;
        for name in b'a'..b'h' {
            // A custom section, which makes it another component.
            let mut component = DEFAULT_PLUGIN.to_vec();
            component.extend([0, 2, 1, name]);
            Plugin::load(&engine, &component, settings).unwrap();
        }
        let metrics = engine.wasmtime().pooling_allocator_metrics().expect("there is a pool");
        assert_eq!(metrics.memories(), 0);
        let slots = metrics.unused_warm_memories();
        assert!((1..=WARM_SLOTS_PER_WORKER).contains(&slots), "{slots}");
        let bytes = metrics.unused_memory_bytes_resident();
        assert!(bytes <= WARM_SLOTS_PER_WORKER as usize * KEPT_BYTES, "{bytes}");
    }
}
