//! The JavaScript runtime of an instance, with the libraries that scripts import.

use rquickjs::context::intrinsic;
use rquickjs::module::{Declared, WriteOptions};
use rquickjs::{Context, Ctx, Module, Runtime, qjs};

use crate::event_object::EventClass;
use crate::exception::{self, remember_source};
use crate::jobs;
use crate::libraries::Libraries;
use crate::segment::rejections;
use crate::settings::SourceFile;
use crate::web::{self, RequestClient};

/// The stack of scripts, in bytes. QuickJS throws an error before it is used up. The component's
/// whole stack is one mebibyte. The host has eight for the same calls: those of QuickJS's parser
/// take up to twenty times as much there.
const STACK_BYTES: usize = 256 * 1024;

/// The garbage in bytes that a runtime collects at once. Objects of a context refer to each other, so
/// each context leaves garbage. By default, QuickJS collects it after almost every batch, and looks at
/// all live objects each time.
const GARBAGE_BYTES: usize = 4 * 1024 * 1024;

/// What is built into the language for scripts. `Intl` does not exist in QuickJS.
type Builtins = (
    intrinsic::Date,
    intrinsic::Eval,
    intrinsic::RegExpCompiler,
    intrinsic::RegExp,
    intrinsic::Json,
    intrinsic::Proxy,
    intrinsic::MapSet,
    intrinsic::TypedArrays,
    intrinsic::Promise,
    intrinsic::WeakRef,
);

/// The runtime, which all contexts of an instance share.
pub(crate) struct ScriptEngine {
    runtime: Runtime,
    pub(crate) class: EventClass,
}

impl ScriptEngine {
    pub(crate) fn new(libraries: &[SourceFile]) -> Result<Self, String> {
        let runtime = Runtime::new().map_err(|error| error.to_string())?;
        runtime.set_max_stack_size(STACK_BYTES);
        let libraries = Libraries::new(libraries)?;
        runtime.set_loader(libraries.clone(), libraries);
        let context = Context::base(&runtime).map_err(|error| error.to_string())?;
        let class = EventClass::register(context.get_runtime_ptr());
        let prepared = context.with(|ctx| {
            exception::prepare_runtime(&ctx)?;
            web::prepare_runtime(&ctx)?;
            jobs::prepare_runtime(&ctx)
        });
        prepared.map_err(|error| error.to_string())?;
        Ok(ScriptEngine { runtime, class })
    }

    /// Opens the network for scripts.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        allow(dead_code, reason = "only a component has imports")
    )]
    pub(crate) fn set_web_client(&self, client: Box<dyn RequestClient>) -> Result<(), String> {
        let context = Context::base(&self.runtime).map_err(|error| error.to_string())?;
        context.with(|ctx| web::set_client(&ctx, client));
        Ok(())
    }

    /// Notes the promises that are rejected while nothing handles them.
    pub(crate) fn track_rejections(&self) {
        self.runtime.set_host_promise_rejection_tracker(Some(Box::new(rejections::note)));
    }

    /// Creates a context: global variables of its own, and nothing of any vendor.
    pub(crate) fn create_context(&self) -> Result<Context, String> {
        // A collection replaces the threshold by one and a half times what is alive.
        self.runtime.set_gc_threshold(GARBAGE_BYTES);
        let context = Context::custom::<Builtins>(&self.runtime);
        let context = context.map_err(|error| error.to_string())?;
        let prepared = context.with(|ctx| {
            // SAFETY: the context is alive, and nothing has been evaluated in it.
            unsafe { qjs::JS_AddIntrinsicBigInt(ctx.as_raw().as_ptr()) };
            self.class.prepare_context(&ctx)
        });
        prepared.map_err(|error| error.to_string())?;
        Ok(context)
    }
}

/// Compiles a module to bytecode.
pub(crate) fn compile_module(ctx: &Ctx<'_>, file: &SourceFile) -> rquickjs::Result<Vec<u8>> {
    remember_source(ctx, file);
    let module = Module::declare(ctx.clone(), file.name.as_str(), file.code.as_str())?;
    module.write(WriteOptions::default())
}

/// Loads a module from bytecode.
pub(crate) fn load_module<'js>(
    ctx: &Ctx<'js>,
    bytecode: &[u8],
) -> rquickjs::Result<Module<'js, Declared>> {
    // SAFETY: only `compile_module` of this process creates bytecode.
    unsafe { Module::load(ctx.clone(), bytecode) }
}
