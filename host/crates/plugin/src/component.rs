//! Loads a plugin: compiles a component, checks it against the contract, and configures it in two
//! instances that must declare the same streams. Each error says how to fix the problem.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use thiserror::Error;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, Linker};

use super::bindings::PluginPre;
use super::bindings::exports::standpipe::mapping::mapper as contract;
use super::contract_types::{self, MAPPER, OtherVersion};
use super::declared::{DeclarationChange, StreamOrder};
use super::fault::{ConfigureError, WrongAnswer};
use super::instance::Instance;
use super::log::LogRate;
#[cfg(any(test, feature = "native-mapping"))]
use super::native::Native;
use super::printable::to_printable;
use super::routes::PluginRoute;
use super::sandbox::{Sandbox, add_to_linker, thread_cpu_time};
use super::script::{
    Script, ScriptError, ScriptOutline, WASM_MAGIC, mapping_settings, without_script_options,
};
use super::wasm_error::WasmError;
use super::web_imports::add_web_to_linker;
use super::{
    Engine, EventReads, Fault, InstanceLimits, OutputTarget, PluginSettings, check_mapping_settings,
};
use crate::limits;
use standpipe_core::event::{InvalidStreamName, StreamName, covers};

/// The first eight bytes of a component, and of a core module.
const COMPONENT_HEADER: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE_HEADER: &[u8] = b"\0asm\x01\0\0\0";

/// The common prefix of that interface's name in all versions.
const MAPPER_OF_ANY_VERSION: &str = "standpipe:mapping/mapper@";

/// A compiled component that fits the contract. It can be configured any number of times.
#[derive(Clone)]
pub struct CompiledComponent {
    engine: Engine,
    pre: PluginPre<Sandbox>,
    digest: Arc<str>,
    /// The script that the component runs, if it is the script runner.
    script: Option<Arc<Script>>,
}

/// A component that has been loaded and has accepted its settings.
#[derive(Clone)]
pub struct Plugin(Arc<Loaded>);

pub(super) struct Loaded {
    code: Code,
    settings: PluginSettings,
    /// The settings that instances read. Those of a script contain its code.
    instance_settings: Arc<str>,
    digest: Arc<str>,
    declared: Vec<DeclaredStream>,
    setup: contract::Setup,
    /// Limits the rate of lines that all instances print together.
    rate: LogRate,
    /// Configured instances that no mapper uses.
    spare: Mutex<Vec<Instance>>,
    /// Whether an instance has declared other streams than the first one. Such an instance cannot
    /// be used.
    has_redeclared: AtomicBool,
}

enum Code {
    Component(CompiledComponent),
    #[cfg(any(test, feature = "native-mapping"))]
    Native(Native),
    #[cfg(any(test, feature = "testing"))]
    Scripted(Arc<dyn super::scripted::PluginScript>),
}

/// An entry of the streams that a plugin declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DeclaredStream {
    Name(StreamName),
    Pattern(String),
}

/// Why a plugin cannot be loaded, and how to fix that.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file is neither WebAssembly nor a script.
    #[error(
        "it is neither WebAssembly nor a script ({found}): use the .wasm file of a component built for \
         wasm32-wasip2, or a file of JavaScript in UTF-8"
    )]
    NotWasm {
        /// The apparent kind of the file.
        found: &'static str,
    },
    /// The file is a core module.
    #[error(
        "it is a core WebAssembly module, not a component: build it for the target wasm32-wasip2 instead of \
         wasm32-wasip1 or wasm32-unknown-unknown, or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// The component is damaged, or uses unsupported features.
    #[error("it cannot be compiled: {0}: build it again with a current toolchain")]
    Compile(#[source] WasmError),
    /// The component implements another world.
    #[error(
        "it is a component of another world: expected an export {MAPPER}, found {exports}: \
         build it against wit/mapping.wit"
    )]
    OtherWorld {
        /// The exports of the component.
        exports: String,
    },
    /// The component exports the interface of a mapping plugin, but with other types.
    #[error(
        "it was built for another version of the contract: {0}: rebuild it against wit/mapping.wit"
    )]
    OtherVersion(#[from] OtherVersion),
    /// The component needs more memory at its start than an instance may have.
    #[error(
        "it needs more than an instance may have: {}: raise memory_bytes under [plugin.limits], or build it with less \
         memory",
        .0.root_cause()
    )]
    TooMuchMemory(#[source] WasmError),
    /// The component contains more or larger core modules and tables than an instance may have.
    #[error(
        "it needs more than an instance may have: {0}: build it from fewer and smaller modules"
    )]
    TooManyParts(#[source] WasmError),
    /// The component imports something that the host does not provide.
    #[error(
        "it does not fit the host: {0}: plugins can import WASI 0.2 (without HTTP) and the interfaces of \
         wit/mapping.wit and nothing else: build it against wit/mapping.wit"
    )]
    DoesNotFit(#[source] WasmError),
    /// The component failed while it was being configured.
    #[error("it failed while it was being configured: {0}")]
    Fault(#[source] Fault),
    /// The component rejected its settings, with this message.
    #[error("it refuses its settings: {0}")]
    Settings(String),
    /// The script runner rejected the script or its options, with this message.
    #[error("it cannot be run: {0}")]
    Script(String),
    /// The file is a damaged or too large script.
    #[error(transparent)]
    ScriptFile(#[from] ScriptError),
    /// The component declares invalid streams.
    #[error("it declares an invalid delivery stream: {0}: fix the plugin")]
    Streams(#[from] WrongStreams),
    /// Two instances of the component declared different streams.
    #[error(
        "it does not declare the same streams each time that it is configured: {0}: fix the plugin; for names that depend \
         on time or chance, declare a pattern such as \"orders-*\" and name the stream with each event"
    )]
    Unstable(#[source] DeclarationChange),
}

/// Invalid streams that a plugin declares.
#[derive(Debug, Error)]
pub enum WrongStreams {
    /// The plugin declares too many streams.
    #[error("{0} streams, and the limit is {max}", max = limits::PLUGIN_STREAMS_MAX)]
    TooMany(usize),
    /// A stream has an invalid name.
    #[error(transparent)]
    Name(#[from] InvalidStreamName),
}

/// The result of `host plugin inspect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The size of the component, in bytes.
    pub bytes: usize,
    /// The SHA-256 of the component, in hexadecimal.
    pub sha256: String,
    /// Whether the component exports the contract's interface with the right types.
    pub is_mapping_plugin: bool,
    /// Names of the exports.
    pub exports: Vec<String>,
    /// Names of the imports.
    pub imports: Vec<String>,
    /// The files of a script. Exports and imports are then those of the script runner.
    pub script: Option<ScriptOutline>,
}

/// Compiles a component, or the one that runs a script, and describes it, without running it.
///
/// # Errors
///
/// Fails if the bytes are neither a component nor a script.
pub fn inspect(engine: &Engine, bytes: &[u8]) -> Result<Inspection, LoadError> {
    let sha256 = sha256_hex(bytes);
    let script = Script::parse(bytes)?;
    let component = match &script {
        Some(script) => prepare_runner(engine, script)?.instance_pre().component().clone(),
        None => compile_component(engine, bytes, &sha256)?,
    };
    let exports = export_names(engine, &component);
    let imports = component.component_type();
    let imports = imports.imports(engine.wasmtime()).map(|(name, _)| name.to_owned());
    Ok(Inspection {
        bytes: bytes.len(),
        sha256,
        is_mapping_plugin: check_world(&exports).is_ok()
            && contract_types::check_types(engine.wasmtime(), &component).is_ok(),
        imports: imports.collect(),
        exports,
        script: script.map(|script| script.outline()),
    })
}

impl CompiledComponent {
    /// Compiles a component, and checks that it fits the contract. A script has the component that
    /// runs it, which is compiled once for each engine.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are neither a mapping plugin nor a script.
    pub fn new(engine: &Engine, bytes: &[u8]) -> Result<Self, LoadError> {
        let digest = sha256_hex(bytes);
        let script = Script::parse(bytes)?.map(Arc::new);
        let pre = match &script {
            Some(script) => prepare_runner(engine, script)?,
            None => prepare_instances(engine, bytes, &digest)?,
        };
        Ok(CompiledComponent { engine: engine.clone(), pre, digest: digest.into(), script })
    }

    /// The SHA-256 of the component, in hexadecimal.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// Configures the plugin with settings (JSON text) in two instances. A plugin whose instances
    /// declare different streams cannot be used.
    ///
    /// # Errors
    ///
    /// Fails if the plugin rejects the settings or traps.
    pub fn configure(&self, settings: impl Into<PluginSettings>) -> Result<Plugin, LoadError> {
        let (settings, rate) = (settings.into(), LogRate::default());
        let instance_settings = self.instance_settings(&settings)?;
        let mut trial = Instance::new(&self.engine, &self.pre, &rate).map_err(LoadError::Fault)?;
        let configure_cpu = self.engine.instance_limits().configure_cpu;
        let setup = trial.configure(&instance_settings, configure_cpu);
        let setup = setup.map_err(LoadError::Fault)?;
        let setup = setup.map_err(|error| self.refused(&settings, &error))?;
        let code = Code::Component(self.clone());
        let digest = Arc::clone(&self.digest);
        let plugin = Plugin::new(code, settings, instance_settings, digest, setup, rate)?;
        plugin.give_back(trial);
        plugin.warm(2)?;
        Ok(plugin)
    }

    /// The settings that instances read.
    fn instance_settings(&self, settings: &PluginSettings) -> Result<Arc<str>, LoadError> {
        match &self.script {
            Some(script) => {
                script.fill(settings.text()).map(Arc::from).map_err(LoadError::Settings)
            }
            None => Ok(match without_script_options(settings.text()) {
                Some(own) => own.into(),
                None => settings.shared_text(),
            }),
        }
    }

    /// The error of a component that rejects its settings. Those of a script are the rules for what
    /// it returns; if they are right, the script is wrong. Only the embedded runner is known to have
    /// the rules of the built-in plugin.
    fn refused(&self, settings: &PluginSettings, message: &str) -> LoadError {
        let is_script = self.script.as_ref().is_some_and(|script| {
            script.has_other_runner()
                || check_mapping_settings(&mapping_settings(settings.text())).is_ok()
        });
        if !is_script {
            return LoadError::Settings(to_printable(message));
        }
        // The lines of a stack.
        let lines: Vec<_> = message.lines().map(str::trim).collect();
        LoadError::Script(to_printable(&lines.join(" ")))
    }
}

/// Prepares the component that runs a script.
fn prepare_runner(engine: &Engine, script: &Script) -> Result<PluginPre<Sandbox>, LoadError> {
    let digest = script.runner();
    let runner = engine.script_runner(digest, |bytes| prepare_instances(engine, bytes, digest))?;
    runner.ok_or_else(|| ScriptError::UnknownRunner(digest.to_owned()).into())
}

/// Compiles a component with this SHA-256, and prepares what all its instances share.
fn prepare_instances(
    engine: &Engine,
    bytes: &[u8],
    digest: &str,
) -> Result<PluginPre<Sandbox>, LoadError> {
    let component = compile_component(engine, bytes, digest)?;
    check_world(&export_names(engine, &component))?;
    let does_not_fit = |error: wasmtime::Error| LoadError::DoesNotFit(error.into());
    let mut linker = Linker::new(engine.wasmtime());
    add_to_linker(&mut linker).map_err(does_not_fit)?;
    add_web_to_linker(&mut linker).map_err(does_not_fit)?;
    let pre = linker.instantiate_pre(&component).map_err(does_not_fit)?;
    contract_types::check_types(engine.wasmtime(), &component)?;
    PluginPre::new(pre).map_err(does_not_fit)
}

/// The cost of an instance before its first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartCost {
    /// CPU time to create the instance and configure it.
    pub cpu: Duration,
    /// The memory of the configured instance, in bytes.
    pub memory_bytes: usize,
}

impl Plugin {
    /// Compiles a component, checks that it fits the contract, and configures it with settings
    /// (JSON text).
    ///
    /// # Errors
    ///
    /// Fails if the component is not a mapping plugin, or rejects its settings.
    pub fn load(
        engine: &Engine,
        bytes: &[u8],
        settings: impl Into<PluginSettings>,
    ) -> Result<Self, LoadError> {
        CompiledComponent::new(engine, bytes)?.configure(settings)
    }

    fn new(
        code: Code,
        settings: PluginSettings,
        instance_settings: Arc<str>,
        digest: Arc<str>,
        setup: contract::Setup,
        rate: LogRate,
    ) -> Result<Self, WrongStreams> {
        Ok(Plugin(Arc::new(Loaded {
            code,
            settings,
            instance_settings,
            digest,
            declared: check_streams(&setup.streams)?,
            setup,
            rate,
            spare: Mutex::default(),
            has_redeclared: AtomicBool::new(false),
        })))
    }

    /// Configures the same component with other settings.
    ///
    /// # Errors
    ///
    /// Fails if the component rejects the settings or traps.
    ///
    /// # Panics
    ///
    /// Panics if the plugin has no component.
    pub fn configure_anew(&self, settings: PluginSettings) -> Result<Self, LoadError> {
        match &self.0.code {
            Code::Component(compiled) => compiled.configure(settings),
            #[cfg(any(test, feature = "testing"))]
            Code::Scripted(script) => {
                Self::scripted_as(Arc::clone(script), &self.0.digest, settings)
            }
            #[allow(unreachable_patterns)]
            _ => unreachable!("only components are configured again"),
        }
    }

    #[cfg(any(test, feature = "native-mapping"))]
    /// The default mapping as native code, to measure the cost of the component. Its decisions
    /// equal those of the component.
    ///
    /// # Errors
    ///
    /// Fails if the mapping rejects its settings.
    pub fn native(settings: &str) -> Result<Self, LoadError> {
        let (native, streams) = Native::configure(settings)
            .map_err(|error| LoadError::Settings(to_printable(&error)))?;
        let setup = contract::Setup { streams, reads: contract::Reads::Kind };
        let code = Code::Native(native);
        let settings = PluginSettings::from(settings);
        let text = settings.shared_text();
        Ok(Self::new(code, settings, text, "native".into(), setup, LogRate::default())?)
    }

    /// The limits of each instance. Native code has none.
    pub(super) fn instance_limits(&self) -> InstanceLimits {
        match &self.0.code {
            Code::Component(compiled) => *compiled.engine.instance_limits(),
            #[cfg(any(test, feature = "native-mapping", feature = "testing"))]
            _ => InstanceLimits::default(),
        }
    }

    /// The settings of the plugin.
    pub fn settings(&self) -> &PluginSettings {
        &self.0.settings
    }

    /// Starts instances until this number is spare, so that workers do not wait for them.
    ///
    /// # Errors
    ///
    /// Fails if an instance cannot be started, or declares other streams than the first one.
    pub fn warm(&self, instances: usize) -> Result<(), LoadError> {
        while self.has_component() && self.0.spare.lock().len() < instances {
            let instance = self.fresh_instance().map_err(|fault| match fault {
                Fault::Configure(ConfigureError::Changed(change)) => LoadError::Unstable(change),
                fault => LoadError::Fault(fault),
            })?;
            self.0.spare.lock().push(instance);
        }
        Ok(())
    }

    /// Drops the spare instances.
    pub fn release_spare(&self) {
        // The instances are dropped without the lock, because that takes some time.
        let spare = std::mem::take(&mut *self.0.spare.lock());
        drop(spare);
    }

    /// The function of an optional interface of the component, if the component exports it.
    pub(super) fn exported_function(
        &self,
        interface: &str,
        function: &str,
    ) -> Option<ComponentExportIndex> {
        match &self.0.code {
            Code::Component(compiled) => {
                let component = compiled.pre.instance_pre().component();
                let interface = component.get_export_index(None, interface)?;
                component.get_export_index(Some(&interface), function)
            }
            #[cfg(any(test, feature = "native-mapping", feature = "testing"))]
            _ => None,
        }
    }

    /// Keeps an instance that is no longer needed, unless this number of others is spare.
    pub(super) fn give_back_within(&self, instance: Instance, spare_max: usize) {
        let mut spare = self.0.spare.lock();
        if spare.len() < spare_max {
            spare.push(instance);
        }
    }

    /// Logs how many printed lines were dropped.
    pub(super) fn report_dropped_lines(&self) {
        self.0.rate.report_dropped();
    }

    /// Keeps an instance that its mapper no longer needs.
    pub(super) fn give_back(&self, instance: Instance) {
        self.0.spare.lock().push(instance);
    }

    /// The SHA-256 of the component, in hexadecimal, or `native` without a component.
    pub fn digest(&self) -> &Arc<str> {
        &self.0.digest
    }

    /// The declared streams by position: the name, or `None` for a pattern.
    pub fn declared(&self) -> impl Iterator<Item = Option<&StreamName>> {
        self.0.declared.iter().map(|declared| match declared {
            DeclaredStream::Name(name) => Some(name),
            DeclaredStream::Pattern(_) => None,
        })
    }

    /// All entries of the declared streams, including patterns.
    pub fn streams(&self) -> impl Iterator<Item = &str> {
        self.0.setup.streams.iter().map(String::as_str)
    }

    /// The routes that the plugin reports. If it reports none, one route to each of its streams.
    ///
    /// # Errors
    ///
    /// Fails if the call fails, or if a route violates the contract.
    pub fn routes(&self) -> Result<Vec<PluginRoute>, Fault> {
        let Loaded { code, rate, instance_settings, .. } = &*self.0;
        let reported = match code {
            Code::Component(CompiledComponent { engine, pre, .. }) => {
                Instance::routes(engine, pre, rate, instance_settings)?.unwrap_or_default()
            }
            #[cfg(any(test, feature = "native-mapping"))]
            Code::Native(native) => native.routes(),
            #[cfg(any(test, feature = "testing"))]
            Code::Scripted(_) => Vec::new(),
        };
        if reported.is_empty() {
            return Ok(self.streams().map(PluginRoute::to).collect());
        }
        if reported.len() > limits::PLUGIN_ROUTES_MAX {
            return Err(WrongAnswer::TooManyRoutes(reported.len()).into());
        }
        if let Some(route) = reported.iter().find(|route| !route.is_possible()) {
            return Err(WrongAnswer::Route(to_printable(&route.stream)).into());
        }
        Ok(reported.into_iter().map(PluginRoute::printable).collect())
    }

    /// The stream that a decision of this plugin names.
    pub fn stream<'a>(&'a self, target: &'a OutputTarget) -> &'a StreamName {
        match target {
            OutputTarget::Named(name) => name,
            OutputTarget::Declared(position) => match self.0.declared.get(*position) {
                Some(DeclaredStream::Name(name)) => name,
                _ => unreachable!("a plugin's answer is checked"),
            },
        }
    }

    pub(super) fn declared_at(&self, position: u32) -> Option<&DeclaredStream> {
        self.0.declared.get(position as usize)
    }

    /// Whether an entry of the declared streams covers this name.
    pub(super) fn covers(&self, name: &StreamName) -> bool {
        self.0.declared.iter().any(|declared| match declared {
            DeclaredStream::Name(declared) => declared == name,
            DeclaredStream::Pattern(pattern) => covers(pattern, name.as_str()),
        })
    }

    /// How much of each event the plugin receives.
    pub fn reads(&self) -> EventReads {
        self.0.setup.reads.into()
    }

    /// Whether a component decides. In every release build, one does.
    pub(super) fn has_component(&self) -> bool {
        matches!(self.0.code, Code::Component(_))
    }

    /// The native code that replaces the component, for one mapper.
    #[cfg(any(test, feature = "native-mapping"))]
    pub(super) fn native_code(&self) -> Option<Native> {
        match &self.0.code {
            Code::Native(native) => Some(native.clone()),
            _ => None,
        }
    }

    /// Creates a plugin that follows a script and may name any stream.
    #[cfg(any(test, feature = "testing"))]
    pub fn scripted(script: Arc<dyn super::scripted::PluginScript>) -> Self {
        Self::scripted_as(script, &"scripted".into(), "{}".into()).expect("settings of no keys")
    }

    /// Creates a plugin that follows a script in place of the component with this SHA-256.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn scripted_as(
        script: Arc<dyn super::scripted::PluginScript>,
        digest: &Arc<str>,
        settings: PluginSettings,
    ) -> Result<Self, LoadError> {
        let streams = script.configure(settings.text()).map_err(LoadError::Settings)?;
        let setup = contract::Setup { streams, reads: contract::Reads::Text };
        let code = Code::Scripted(script);
        let text = settings.shared_text();
        Ok(Self::new(code, settings, text, Arc::clone(digest), setup, LogRate::default())?)
    }

    /// The script that replaces the component in a simulation.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn script(&self) -> Option<&dyn super::scripted::PluginScript> {
        match &self.0.code {
            Code::Scripted(script) => Some(&**script),
            _ => None,
        }
    }

    /// Takes a spare configured instance, or creates one.
    pub(super) fn take_instance(&self) -> Result<Instance, Fault> {
        let spare = self.0.spare.lock().pop();
        spare.map_or_else(|| self.fresh_instance(), Ok)
    }

    /// Creates an instance.
    pub(super) fn fresh_instance(&self) -> Result<Instance, Fault> {
        #[allow(irrefutable_let_patterns)]
        let Code::Component(CompiledComponent { engine, pre, .. }) = &self.0.code else {
            unreachable!("only components have instances")
        };
        let mut instance = Instance::new(engine, pre, &self.0.rate)?;
        let configure_cpu = engine.instance_limits().configure_cpu;
        let setup = instance.configure(&self.0.instance_settings, configure_cpu)?;
        let setup = setup.map_err(|words| ConfigureError::Refused(to_printable(&words)))?;
        match StreamOrder::between(&self.0.setup, &setup) {
            Ok(order) => {
                instance.order = order;
                Ok(instance)
            }
            Err(change) => {
                self.0.has_redeclared.store(true, Ordering::Relaxed);
                Err(ConfigureError::Changed(change).into())
            }
        }
    }

    /// Whether an instance has declared other streams than the plugin at load time, such as names
    /// with the date. The plugin must then be configured again.
    pub fn has_redeclared(&self) -> bool {
        #[cfg(any(test, feature = "testing"))]
        if let Some(script) = self.script() {
            return script.has_redeclared();
        }
        self.0.has_redeclared.load(Ordering::Relaxed)
    }

    /// Starts an instance as a worker does, and drops it.
    ///
    /// # Errors
    ///
    /// Fails if the instance cannot be started.
    ///
    /// # Panics
    ///
    /// Panics if the plugin is native code, which has no instances.
    pub fn measure_start(&self) -> Result<StartCost, Fault> {
        let before = thread_cpu_time();
        let instance = self.fresh_instance()?;
        let cpu = thread_cpu_time().saturating_sub(before);
        Ok(StartCost { cpu, memory_bytes: instance.memory_bytes() })
    }
}

fn compile_component(engine: &Engine, bytes: &[u8], digest: &str) -> Result<Component, LoadError> {
    if bytes.starts_with(MODULE_HEADER) {
        return Err(LoadError::CoreModule);
    }
    if !bytes.starts_with(COMPONENT_HEADER) {
        return Err(LoadError::NotWasm { found: describe_bytes(bytes) });
    }
    engine.compile(bytes, digest).map_err(|error| compile_error(error.into()))
}

/// Creates an error of the compilation. The pool in which instances are created checks the compiled
/// component against the limits of an instance at once.
fn compile_error(error: WasmError) -> LoadError {
    const BEYOND_POOL: &str = "pooling allocator";
    const BEYOND_MEMORY: &str = "memory does not fit";
    let text = error.to_string();
    match text.contains(BEYOND_POOL) {
        true if text.contains(BEYOND_MEMORY) => LoadError::TooMuchMemory(error),
        true => LoadError::TooManyParts(error),
        false => LoadError::Compile(error),
    }
}

fn describe_bytes(bytes: &[u8]) -> &'static str {
    let text = bytes.trim_ascii_start();
    let is_text = std::str::from_utf8(bytes).is_ok();
    match bytes {
        [] => "the file is empty",
        _ if bytes.starts_with(WASM_MAGIC) => "a WebAssembly file of an unknown version",
        _ if bytes.starts_with(b"\x7fELF") => "a native program or library, perhaps precompiled",
        _ if text.is_empty() => "the file has only spaces",
        _ if text.starts_with(b"(") => "the WebAssembly text format",
        _ if text.starts_with(b"<") => "a page of HTML or XML",
        _ if text.starts_with(b"{") && is_text => "JSON that is not a bundle of scripts",
        _ if text.starts_with(b"version https://git-lfs") => "a pointer of Git LFS",
        _ if bytes.starts_with(b"\x1f\x8b") => "a gzip file",
        _ if is_text => "text with zero bytes",
        _ => "some other binary file",
    }
}

fn export_names(engine: &Engine, component: &Component) -> Vec<String> {
    let component = component.component_type();
    let exports = component.exports(engine.wasmtime());
    let exports = exports.filter(|(_, export)| {
        matches!(export.ty, ComponentItem::ComponentInstance(_) | ComponentItem::ComponentFunc(_))
    });
    exports.map(|(name, _)| name.to_owned()).collect()
}

/// Checks the names of a component's exports.
fn check_world(exports: &[String]) -> Result<(), LoadError> {
    if exports.iter().any(|export| export == MAPPER) {
        return Ok(());
    }
    let other = exports.iter().find(|export| export.starts_with(MAPPER_OF_ANY_VERSION));
    Err(match other {
        Some(other) => OtherVersion::Exports(other.clone()).into(),
        None if exports.is_empty() => LoadError::OtherWorld { exports: "nothing".to_owned() },
        None => LoadError::OtherWorld { exports: exports.join(", ") },
    })
}

fn check_streams(streams: &[String]) -> Result<Vec<DeclaredStream>, WrongStreams> {
    if streams.len() > limits::PLUGIN_STREAMS_MAX {
        return Err(WrongStreams::TooMany(streams.len()));
    }
    let check = |name: &String| {
        // A pattern becomes a valid name if its stars are replaced.
        match StreamName::parse(&name.replace('*', "x")) {
            Ok(_) if name.contains('*') => Ok(DeclaredStream::Pattern(name.clone())),
            Ok(name) => Ok(DeclaredStream::Name(name)),
            Err(_) => Err(StreamName::parse(name).expect_err("its stars are no better").into()),
        }
    };
    streams.iter().map(check).collect()
}

/// The SHA-256 of a component, in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl std::fmt::Debug for CompiledComponent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled").field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("digest", &self.0.digest).finish_non_exhaustive()
    }
}
