//! The JavaScript around functions: Segment's global variables, and the libraries behind them.
//!
//! Only `core.js` is evaluated in each context. It defines the other global variables by getters,
//! which load a module when a function uses the variable for the first time. Modules have the form
//! of CommonJS, so the libraries of others are here as they were published. What has been compiled
//! is kept for the other contexts of the runtime.

use std::cell::RefCell;
use std::collections::HashMap;

use rquickjs::{Ctx, Function, JsLifetime, Object, Persistent, Value};

use crate::bytecode::{compile_script, evaluate};
use crate::jobs;

use super::{FunctionCode, FunctionKind, native, rejections};

/// The module that each context evaluates.
const CORE: &str = "core";

/// A module, with its name and its code.
struct ModuleCode {
    name: &'static str,
    code: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/segment_modules.rs"));

/// The global variables whose packages take long to load.
const PACKAGE_VARIABLES: [&str; 5] = ["_", "libphonenumberjslib", "moment", "xml", "xml2js"];

/// The modules that the contexts of a runtime have used.
#[derive(Default)]
struct LoadedModules {
    /// Bytecode, by the names of the modules.
    compiled: RefCell<HashMap<&'static str, Vec<u8>>>,
    /// What packages export, by their names.
    packages: RefCell<HashMap<String, Persistent<Value<'static>>>>,
}

// SAFETY: the type contains no lifetime of a context.
unsafe impl<'js> JsLifetime<'js> for LoadedModules {
    type Changed<'to> = LoadedModules;
}

/// Defines the global variables of functions. Returns what `core.js` offers to Rust.
pub(super) fn define_globals<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<Object<'js>> {
    if ctx.userdata::<LoadedModules>().is_none() {
        let stored = ctx.store_userdata(LoadedModules::default());
        stored.map_err(|_| rquickjs::Error::Unknown)?;
    }
    rejections::prepare_runtime(ctx);
    let globals = ctx.globals();
    globals.set("global", globals.clone())?;
    let module = Object::new(ctx.clone())?;
    let exports = Object::new(ctx.clone())?;
    module.set("exports", exports.clone())?;
    globals.set("module", module)?;
    globals.set("exports", exports)?;
    jobs::define_timers(ctx)?;
    let native = native::create_object(ctx)?;
    native.set("compile", Function::new(ctx.clone(), compile)?)?;
    native.set("resolve", Function::new(ctx.clone(), resolve)?)?;
    native.set("sharedPackage", Function::new(ctx.clone(), shared_package)?)?;
    native.set("sharePackage", Function::new(ctx.clone(), share_package)?)?;
    let core: Function<'js> = compile(ctx.clone(), CORE.to_owned())?.get()?;
    core.call((native,))
}

/// Loads the packages that a function's code names. Their first use would take longer than an event
/// may.
pub(super) fn prepare_packages(
    ctx: &Ctx<'_>,
    bridge: &Object<'_>,
    function: &FunctionCode,
) -> rquickjs::Result<()> {
    let code = function.file.code.as_str();
    let is_used = |variable: &&str| {
        super::words(code).any(|(position, word)| {
            word == *variable && code[position + word.len()..].starts_with(['.', '('])
        })
    };
    let mut used: Vec<_> = PACKAGE_VARIABLES.into_iter().filter(is_used).collect();
    if function.kind == FunctionKind::Source {
        used.push("Segment");
    }
    if used.is_empty() {
        return Ok(());
    }
    let prepare: Function<'_> = bridge.get("prepare")?;
    prepare.call::<_, ()>((used,))?;
    jobs::finish_jobs(ctx);
    Ok(())
}

/// What a package exports, if a context has loaded it.
#[expect(clippy::needless_pass_by_value, reason = "rquickjs passes arguments by value")]
fn shared_package(ctx: Ctx<'_>, name: String) -> rquickjs::Result<Value<'_>> {
    let modules = ctx.userdata::<LoadedModules>().ok_or(rquickjs::Error::Unknown)?;
    let package = modules.packages.borrow().get(&name).cloned();
    match package {
        Some(package) => package.restore(&ctx),
        None => Ok(Value::new_undefined(ctx.clone())),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "rquickjs passes arguments by value")]
fn share_package<'js>(ctx: Ctx<'js>, name: String, exports: Value<'js>) -> rquickjs::Result<()> {
    let modules = ctx.userdata::<LoadedModules>().ok_or(rquickjs::Error::Unknown)?;
    modules.packages.borrow_mut().insert(name, Persistent::save(&ctx, exports));
    Ok(())
}

/// The function of a module, which has the parameters of CommonJS.
#[expect(clippy::needless_pass_by_value, reason = "rquickjs passes arguments by value")]
fn compile(ctx: Ctx<'_>, name: String) -> rquickjs::Result<Value<'_>> {
    let modules = ctx.userdata::<LoadedModules>().ok_or(rquickjs::Error::Unknown)?;
    let Some(module) = MODULES.iter().find(|module| module.name == name) else {
        return Ok(Value::new_undefined(ctx.clone()));
    };
    if let Some(bytecode) = modules.compiled.borrow().get(module.name) {
        return evaluate(&ctx, bytecode);
    }
    let parameters =
        if module.name == CORE { "native" } else { "exports, require, module, native, process" };
    let code = format!("(function ({parameters}) {{{}\n}})", module.code);
    let bytecode = compile_script(&ctx, &format!("standpipe:{name}"), &code)?;
    let function = evaluate(&ctx, &bytecode)?;
    modules.compiled.borrow_mut().insert(module.name, bytecode);
    Ok(function)
}

/// The name of the module that a module requires: another one of its package, or a package.
#[expect(clippy::needless_pass_by_value, reason = "rquickjs passes arguments by value")]
fn resolve(ctx: Ctx<'_>, from: String, request: String) -> rquickjs::Result<Value<'_>> {
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = Vec::new();
    if request.starts_with('.') {
        parts.extend(folder.split('/').filter(|part| !part.is_empty()));
    }
    for part in request.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    let path = path.strip_suffix(".js").unwrap_or(&path);
    let found = MODULES
        .iter()
        .find(|module| module.name == path || module.name.strip_suffix("/index") == Some(path));
    match found {
        Some(module) => Ok(rquickjs::String::from_str(ctx.clone(), module.name)?.into_value()),
        None => Ok(Value::new_undefined(ctx.clone())),
    }
}
