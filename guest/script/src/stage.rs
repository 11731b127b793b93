//! A script, compiled, and its execution on batches.

use std::rc::Rc;

use rquickjs::{Context, Ctx, Function, Object, Persistent, Value};
use serde_json::Map;

use crate::batch::{ScriptEvent, ScriptEventKind, ScriptOutput};
use crate::bytecode::{compile_file, evaluate};
use crate::engine::{ScriptEngine, compile_module, load_module};
use crate::exception::{describe_thrown, remember_source, take_exception};
use crate::jobs;
use crate::rudderstack::{self, TransformFunction};
use crate::segment::FunctionStage;
use crate::settings::{Globals, ScriptDialect, ScriptSettings, SourceFile};

/// A script that events pass.
pub(crate) enum ScriptStage {
    /// A transformation of RudderStack.
    Transformation(TransformationStage),
    /// A function of Segment.
    Function(FunctionStage),
}

impl ScriptStage {
    /// Compiles a script, and evaluates it once.
    ///
    /// # Errors
    ///
    /// Fails with the error of the script, or if it does not define the functions of its dialect.
    pub(crate) fn new(
        engine: &ScriptEngine,
        file: &SourceFile,
        settings: &ScriptSettings,
    ) -> Result<Self, String> {
        let dialect = settings.dialect.unwrap_or_else(|| ScriptDialect::detect(&file.code));
        match dialect.function_kind() {
            Some(kind) => {
                FunctionStage::new(engine, file, kind, settings).map(ScriptStage::Function)
            }
            None => TransformationStage::new(engine, file, dialect, settings)
                .map(ScriptStage::Transformation),
        }
    }

    /// The function, if it turns requests into events.
    pub(crate) fn source_function(&mut self) -> Option<&mut FunctionStage> {
        match self {
            ScriptStage::Function(stage) if stage.is_source() => Some(stage),
            _ => None,
        }
    }

    /// Whether no event needs a stream: the script is a function whose requests are its purpose, or
    /// one that handles no events.
    pub(crate) fn needs_no_mapping(&self) -> bool {
        match self {
            ScriptStage::Transformation(_) => false,
            ScriptStage::Function(stage) => stage.is_destination() || stage.is_source(),
        }
    }

    /// Runs a batch through the script. `kinds` are the kinds of the events that the host passed.
    pub(crate) fn run(
        &mut self,
        engine: &ScriptEngine,
        events: &[ScriptEvent],
        kinds: &[ScriptEventKind],
        source: &str,
        outputs: &mut Vec<ScriptOutput>,
    ) {
        match self {
            ScriptStage::Transformation(stage) => stage.run(engine, events, source, outputs),
            ScriptStage::Function(stage) => stage.run(engine, events, kinds, outputs),
        }
    }
}

/// A transformation that events pass.
pub(crate) struct TransformationStage {
    /// The context of the next batch. It is dropped before the code.
    session: Option<ScriptSession>,
    /// The name of the file.
    name: String,
    dialect: ScriptDialect,
    bytecode: Vec<u8>,
    credentials: Rc<Map<String, serde_json::Value>>,
    globals: Globals,
}

/// A context in which the script has been evaluated.
struct ScriptSession {
    // Dropped before the context that it belongs to.
    function: Persistent<Function<'static>>,
    entry: TransformFunction,
    context: Context,
}

impl TransformationStage {
    /// Compiles a script, and evaluates it once.
    ///
    /// # Errors
    ///
    /// Fails with the error of the script, or if it does not define the functions of its dialect.
    pub(crate) fn new(
        engine: &ScriptEngine,
        file: &SourceFile,
        dialect: ScriptDialect,
        settings: &ScriptSettings,
    ) -> Result<Self, String> {
        let context = engine.create_context()?;
        let bytecode = context.with(|ctx| {
            let compiled = match dialect {
                ScriptDialect::Rudderstack => compile_module(&ctx, file),
                _ => {
                    remember_source(&ctx, file);
                    compile_file(&ctx, file)
                }
            };
            compiled.map_err(|_| take_exception(&ctx, None))
        })?;
        let mut stage = TransformationStage {
            session: None,
            name: file.name.clone(),
            dialect,
            bytecode,
            credentials: Rc::new(settings.credentials.clone()),
            globals: settings.globals.unwrap_or(Globals::Fresh),
        };
        stage.session = Some(stage.start_session(context)?);
        Ok(stage)
    }

    /// Evaluates the script in a context.
    fn start_session(&self, context: Context) -> Result<ScriptSession, String> {
        let (entry, function) = context.with(|ctx| {
            let failed = |_| take_exception(&ctx, None);
            let has_credentials = self.dialect == ScriptDialect::Rudderstack;
            let credentials = has_credentials.then_some(&self.credentials);
            rudderstack::define_globals(&ctx, credentials).map_err(failed)?;
            let (entry, function) = match self.dialect {
                ScriptDialect::Rudderstack => self.evaluate_module(&ctx)?,
                _ => self.evaluate_script(&ctx)?,
            };
            Ok::<_, String>((entry, Persistent::save(&ctx, function)))
        })?;
        Ok(ScriptSession { function, entry, context })
    }

    fn evaluate_module<'js>(
        &self,
        ctx: &Ctx<'js>,
    ) -> Result<(TransformFunction, Function<'js>), String> {
        let failed = |_| take_exception(ctx, None);
        let module = load_module(ctx, &self.bytecode).map_err(failed)?;
        let (module, evaluated) = module.eval().map_err(failed)?;
        jobs::finish_jobs(ctx);
        match evaluated.result::<Value<'js>>() {
            Some(Ok(_)) => {}
            Some(Err(_)) => return Err(describe_thrown(&ctx.catch(), None)),
            None => {
                return Err(format!(
                    "{}: nothing settles what it awaits at its top level",
                    self.name
                ));
            }
        }
        let namespace: Object<'js> = module.namespace().map_err(failed)?;
        let exported = |name: &str| {
            let value = namespace.get::<_, Value<'js>>(name).ok()?;
            value.into_function()
        };
        let found: Vec<_> = rudderstack::EXPORTS
            .into_iter()
            .filter_map(|name| exported(name).map(|function| (name, function)))
            .collect();
        match <[_; 1]>::try_from(found) {
            Ok([(name, function)]) => {
                let is_batch = name == TransformFunction::Batch.function_name();
                Ok((
                    if is_batch { TransformFunction::Batch } else { TransformFunction::Event },
                    function,
                ))
            }
            Err(found) => {
                let names: Vec<_> = found.iter().map(|(name, _)| *name).collect();
                let expected = rudderstack::EXPORTS.join(",");
                Err(format!("Expected one of {expected}. Found {}", names.join(",")))
            }
        }
    }

    fn evaluate_script<'js>(
        &self,
        ctx: &Ctx<'js>,
    ) -> Result<(TransformFunction, Function<'js>), String> {
        evaluate(ctx, &self.bytecode).map_err(|_| take_exception(ctx, None))?;
        let name = TransformFunction::Script.function_name();
        let function = ctx.globals().get::<_, Value<'js>>(name).ok();
        let function = function.and_then(Value::into_function);
        let function = function.ok_or_else(|| {
            format!(
                "{}: found none of transformEvent, transformBatch (exported) and transform: \
                 define one of them",
                self.name
            )
        })?;
        Ok((TransformFunction::Script, function))
    }

    /// Runs a batch through the script.
    pub(crate) fn run(
        &mut self,
        engine: &ScriptEngine,
        events: &[ScriptEvent],
        source: &str,
        outputs: &mut Vec<ScriptOutput>,
    ) {
        let session = match self.session.take() {
            Some(session) => Ok(session),
            None => engine.create_context().and_then(|context| self.start_session(context)),
        };
        let session = match session {
            Ok(session) => session,
            Err(reason) => {
                let rejected =
                    events.iter().map(|event| ScriptOutput::Rejected(event.input, reason.clone()));
                return outputs.extend(rejected);
            }
        };
        session.context.with(|ctx| {
            let Ok(function) = session.function.clone().restore(&ctx) else { return };
            let entry = (session.entry, &function);
            rudderstack::transform(&ctx, engine.class, entry, events, source, outputs);
        });
        if self.globals == Globals::Keep {
            self.session = Some(session);
        }
    }
}
