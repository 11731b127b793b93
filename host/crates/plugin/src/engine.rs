//! The wasmtime engine: a pooling allocator with limits for instances, memories and tables, epoch
//! deadlines, and the cache of compiled code. If the system provides too little address space,
//! instances are allocated on demand.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use wasmtime::component::Component;
use wasmtime::{Config, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::InstanceLimits;
use super::bindings::PluginPre;
use super::cache::{CacheCounts, CacheOrigin, CompiledCache};
use super::sandbox::Sandbox;
use super::script_runner::{ScriptRunner, ScriptRunners};
use super::stack::STACK_BYTES_MAX;
use super::ticker::{Ticker, TickerHandle};
use super::wasm_error::WasmError;
use super::web::NetworkAccess;
use crate::limits;

/// Instances per worker that may exist at once: those of the old and the new plugin during a swap,
/// of the previous plugin, of a canary, of a candidate, and one that replaces another.
const INSTANCES_PER_WORKER: u32 = 6;

/// Slots per worker that keep the memory of a former instance for the next instance of the same
/// component. Each keeps up to [`KEPT_BYTES`]. One for each component ever loaded would use
/// hundreds of megabytes.
const WARM_SLOTS_PER_WORKER: u32 = 2;

/// Bytes of an instance's memory that its slot keeps after it ends.
const KEPT_BYTES: usize = 1024 * 1024;

/// Instances of functions of sources that may exist at once, besides those of workers: those that
/// handle requests, and idle ones, also of functions that have just been replaced.
const FUNCTION_INSTANCES: u32 =
    2 * (limits::FUNCTION_CALLS_MAX + limits::FUNCTIONS_MAX * limits::FUNCTION_IDLE_MAX) as u32;

/// The minimum number of instances. It is enough for instances that belong to no worker: those of
/// shadow and candidates.
const INSTANCES_MIN: u32 = 256;

/// Core instances, memories and tables of one component. Toolchains that combine an interpreter and
/// an adapter create some tens.
const CORE_INSTANCES_PER_COMPONENT_MAX: u32 = 60;
const MEMORIES_PER_COMPONENT_MAX: u32 = 4;
const TABLES_PER_COMPONENT_MAX: u32 = 16;

/// The compiler and runtime of all instances.
///
/// Owns the thread whose ticks interrupt running plugins. The thread ends with the last clone.
#[derive(Clone)]
pub struct Engine(Arc<EngineInner>);

struct EngineInner {
    engine: wasmtime::Engine,
    cache: Option<CompiledCache>,
    instance_limits: InstanceLimits,
    ticker: Ticker,
    script_runners: ScriptRunners,
    network: Arc<NetworkAccess>,
}

/// Why an engine cannot be created.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The directory for compiled components cannot be used.
    #[error(
        "failed to use {} for compiled plugins: {error}; or choose another directory with --data-dir",
        directory.display()
    )]
    CacheDirectory {
        /// The directory.
        directory: PathBuf,
        /// The error.
        #[source]
        error: io::Error,
    },
    /// WebAssembly cannot run on this machine.
    #[error("failed to start the WebAssembly engine: {0}")]
    Engine(#[source] WasmError),
    /// The system cannot create the ticker thread.
    #[error("failed to start the WebAssembly engine: {0}")]
    Thread(#[source] io::Error),
}

/// The engine's name and version.
pub fn engine_version() -> String {
    format!("wasmtime {}", env!("WASMTIME_VERSION"))
}

impl Engine {
    /// Creates an engine with the default limits for one worker. It caches compiled components in
    /// this directory.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`Engine::with`].
    pub fn new(cache_directory: Option<&Path>) -> Result<Self, EngineError> {
        Self::with(cache_directory, InstanceLimits::default(), NonZero::<usize>::MIN)
    }

    /// Creates an engine that caches compiled components in this directory, and limits each
    /// instance.
    ///
    /// Code in the directory runs as native code, so only its owner may have access to it.
    ///
    /// # Errors
    ///
    /// Fails if the directory cannot be created, belongs to another user, is a symbolic link, or is
    /// writable by others; or if the machine cannot run WebAssembly.
    pub fn with(
        cache_directory: Option<&Path>,
        instance_limits: InstanceLimits,
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
        let instances = INSTANCES_MIN
            .max(workers.saturating_mul(INSTANCES_PER_WORKER))
            .saturating_add(FUNCTION_INSTANCES);
        let pooled = |pooling| {
            let mut config = engine_config();
            if pooling {
                let pooling = pooling_config(instances, workers, instance_limits.memory_bytes);
                config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
            }
            wasmtime::Engine::new(&config)
        };
        // The pool reserves address space, which containers and `ulimit -v` may not permit.
        // Instances are then allocated one by one, which is a little slower.
        let engine = pooled(true).or_else(|_| pooled(false));
        let engine = engine.map_err(|error| EngineError::Engine(error.into()))?;
        let ticker = Ticker::start(engine.weak());
        let ticker = ticker.map_err(EngineError::Thread)?;
        Ok(Engine(Arc::new(EngineInner {
            engine,
            cache,
            instance_limits,
            ticker,
            script_runners: ScriptRunners::default(),
            network: Arc::default(),
        })))
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.engine
    }

    /// Compiles a component with this SHA-256, or loads it from the cache.
    pub(super) fn compile(&self, bytes: &[u8], digest: &str) -> wasmtime::Result<Component> {
        let EngineInner { engine, cache, .. } = &*self.0;
        let Some(cache) = cache else { return Component::new(engine, bytes) };
        let version = engine_version();
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let origin = CacheOrigin { digest, engine: &version, compatibility: hasher.finish() };
        let deserialize = |code: &[u8]| {
            // SAFETY: the cache returns only code that it has verified: `store` below wrote it in a
            // process of this user that knows the cache's key, and `Component::serialize` returned
            // it for this engine.
            let component = unsafe { Component::deserialize(engine, code) };
            component.map_err(WasmError::from)
        };
        if let Some(component) = cache.load_code(&origin, deserialize) {
            return Ok(component);
        }
        let component = Component::new(engine, bytes)?;
        cache.store_code(&origin, &component.serialize()?);
        Ok(component)
    }

    /// Adds a component that scripts can name as their runner. It is compiled for the first script.
    pub fn add_script_runner(&self, runner: &ScriptRunner) {
        self.0.script_runners.add(runner);
    }

    /// The compiled component with this SHA-256 that runs scripts. Returns `None` if it is neither the
    /// embedded one nor was added.
    pub(super) fn script_runner<E>(
        &self,
        digest: &str,
        prepare: impl FnOnce(&[u8]) -> Result<PluginPre<Sandbox>, E>,
    ) -> Result<Option<PluginPre<Sandbox>>, E> {
        self.0.script_runners.prepared(digest, prepare)
    }

    /// Counts of cache lookups, or `None` without a cache.
    pub(super) fn cache_counts(&self) -> Option<&CacheCounts> {
        self.0.cache.as_ref().map(|cache| &cache.counts)
    }

    /// The handle that marks a call as running.
    pub(super) fn ticker(&self) -> TickerHandle {
        self.0.ticker.handle()
    }

    /// What plugins can reach: nothing, until it is opened.
    pub fn network(&self) -> &Arc<NetworkAccess> {
        &self.0.network
    }

    /// The limits of each instance.
    pub fn instance_limits(&self) -> &InstanceLimits {
        &self.0.instance_limits
    }
}

fn engine_config() -> Config {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        // No function of the contract is async, and support for async costs 0.23 microseconds for
        // every call.
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
            // The custom section makes it a different component.
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
