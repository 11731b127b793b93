//! Functions of Segment: destination functions, insert functions and source functions.
//!
//! Segment runs each instance of a function for one event at a time, and many instances at the same
//! time. So does this module: an instance is a context, and while a function waits for a response,
//! the next event goes to another instance. Variables outside the handlers thus never mix two
//! events. The requests that all instances wait for are sent together.

mod digest;
mod encoding;
mod instance;
mod modules;
mod native;
pub(crate) mod rejections;
mod source;

use std::ops::Range;

use crate::batch::{ScriptEvent, ScriptEventKind, ScriptOutput};
use crate::bytecode::compile_file;
use crate::engine::{ScriptEngine, compile_module};
use crate::exception::take_exception;
use crate::settings::{Globals, ScriptDialect, ScriptSettings, SourceFile};

use instance::FunctionInstance;

/// The maximum number of instances of a function. Each takes about 200 KiB.
const INSTANCES_MAX: usize = 64;

/// The maximum number of events that `onBatch` gets, which is Segment's default.
const BATCH_EVENTS_MAX: usize = 20;

/// The handlers of destination and insert functions, with the message types that they handle.
const HANDLERS: [(&str, &str); 7] = [
    ("track", "onTrack"),
    ("identify", "onIdentify"),
    ("page", "onPage"),
    ("screen", "onScreen"),
    ("group", "onGroup"),
    ("alias", "onAlias"),
    ("delete", "onDelete"),
];

/// The handler of several events of any type.
const BATCH_HANDLER: &str = "onBatch";

/// The handler of source functions.
const REQUEST_HANDLER: &str = "onRequest";

/// What a function is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FunctionKind {
    /// Its requests are its purpose. Events go on as received.
    Destination,
    /// The event that it returns goes on.
    Insert,
    /// It turns requests into events.
    Source,
}

/// A function that events pass.
pub(crate) struct FunctionStage {
    // Dropped before the engine that they belong to.
    instances: InstancePool,
    code: FunctionCode,
}

/// The code of a function and what its instances share.
pub(crate) struct FunctionCode {
    file: SourceFile,
    kind: FunctionKind,
    is_module: bool,
    bytecode: Vec<u8>,
    /// The second argument of the handlers, as JSON text.
    settings: String,
    globals: Globals,
    /// Whether `onBatch` handles the events.
    has_batch_handler: bool,
}

impl FunctionStage {
    /// Compiles a function, and evaluates it once.
    ///
    /// # Errors
    ///
    /// Fails with the error of the code, or if it defines no handler of its kind.
    pub(crate) fn new(
        engine: &ScriptEngine,
        file: &SourceFile,
        kind: FunctionKind,
        settings: &ScriptSettings,
    ) -> Result<Self, String> {
        let is_module = ScriptDialect::is_module(&file.code);
        engine.track_rejections();
        let context = engine.create_context()?;
        let bytecode = context.with(|ctx| {
            let compiled =
                if is_module { compile_module(&ctx, file) } else { compile_file(&ctx, file) };
            compiled.map_err(|_| take_exception(&ctx, None))
        })?;
        let mut code = FunctionCode {
            file: file.clone(),
            kind,
            is_module,
            bytecode,
            settings: serde_json::Value::Object(settings.settings.clone()).to_string(),
            // Segment keeps instances for as long as they have events.
            globals: settings.globals.unwrap_or(Globals::Keep),
            has_batch_handler: false,
        };
        let first = FunctionInstance::new(context, &code)?;
        first.check_handlers(&code)?;
        first.prepare_packages(&code)?;
        code.has_batch_handler = first.has_batch_handler();
        Ok(FunctionStage { instances: InstancePool(vec![first]), code })
    }

    /// Whether the function turns requests into events.
    pub(crate) fn is_source(&self) -> bool {
        self.code.kind == FunctionKind::Source
    }

    /// Whether the function's requests are its purpose.
    pub(crate) fn is_destination(&self) -> bool {
        self.code.kind == FunctionKind::Destination
    }

    /// Runs a batch through the function.
    pub(crate) fn run(
        &mut self,
        engine: &ScriptEngine,
        events: &[ScriptEvent],
        kinds: &[ScriptEventKind],
        outputs: &mut Vec<ScriptOutput>,
    ) {
        if self.code.kind == FunctionKind::Source {
            let reason = format!(
                "{}: {REQUEST_HANDLER} turns requests into events and handles no events: \
                 move the file from [plugin] script to script under [sources.function]",
                self.code.file.name
            );
            return outputs.extend(events.iter().map(|event| event.rejected(&reason)));
        }
        let FunctionStage { instances, code } = self;
        let calls = code.divide_into_calls(events.len());
        let batch = FunctionBatch { code, engine, events, kinds, calls };
        let mut results = vec![Vec::new(); batch.calls.len()];
        instances.run_calls(&batch, &mut results);
        outputs.extend(results.into_iter().flatten());
        if code.globals == Globals::Fresh {
            instances.0.clear();
        }
    }
}

impl FunctionCode {
    /// The positions of the events of each call of a handler.
    fn divide_into_calls(&self, events: usize) -> Vec<Range<usize>> {
        let size = if self.has_batch_handler { BATCH_EVENTS_MAX } else { 1 };
        (0..events).step_by(size).map(|start| start..events.min(start + size)).collect()
    }
}

/// A batch that goes through a function.
struct FunctionBatch<'a> {
    code: &'a FunctionCode,
    engine: &'a ScriptEngine,
    events: &'a [ScriptEvent],
    kinds: &'a [ScriptEventKind],
    /// The positions of the events of each call of a handler.
    calls: Vec<Range<usize>>,
}

impl FunctionBatch<'_> {
    fn events_of(&self, call: usize) -> &[ScriptEvent] {
        &self.events[self.calls[call].clone()]
    }

    /// The message type of an event: that of the host, or that which a script before this one gave it.
    fn message_type<'b>(&'b self, event: &'b ScriptEvent) -> Option<&'b str> {
        let kind = event.changed.as_ref().or_else(|| self.kinds.get(event.input as usize))?;
        kind.message_type.as_deref()
    }

    fn reject(&self, call: usize, reason: &str, results: &mut [Vec<ScriptOutput>]) {
        results[call].extend(self.events_of(call).iter().map(|event| event.rejected(reason)));
    }
}

/// The instances of a function. The first ones have run most.
struct InstancePool(Vec<FunctionInstance>);

impl InstancePool {
    fn run_calls(&mut self, batch: &FunctionBatch<'_>, results: &mut [Vec<ScriptOutput>]) {
        if let Some(instance) = self.0.first() {
            instance.forget_rejections();
        }
        for call in 0..batch.calls.len() {
            match self.idle_instance(batch, results) {
                Ok(instance) => instance.start(batch, call, &mut results[call]),
                Err(reason) => batch.reject(call, &reason, results),
            }
        }
        while self.0.iter().any(|instance| instance.running_call().is_some()) {
            self.wait(batch, results);
        }
        // What handlers have left behind without waiting for it.
        if let Some(instance) = self.0.first() {
            instance.finish_jobs(&batch.code.file.name);
        }
    }

    /// Finds an instance that handles no event, creates one, or waits for one.
    fn idle_instance(
        &mut self,
        batch: &FunctionBatch<'_>,
        results: &mut [Vec<ScriptOutput>],
    ) -> Result<&mut FunctionInstance, String> {
        let position = loop {
            let idle = self.0.iter().position(|instance| instance.running_call().is_none());
            if let Some(position) = idle {
                break position;
            }
            if self.0.len() < INSTANCES_MAX {
                self.0.push(FunctionInstance::new(batch.engine.create_context()?, batch.code)?);
                break self.0.len() - 1;
            }
            self.wait(batch, results);
        };
        Ok(&mut self.0[position])
    }

    /// Runs what all instances wait for, and takes the results of those that have finished.
    fn wait(&mut self, batch: &FunctionBatch<'_>, results: &mut [Vec<ScriptOutput>]) {
        let has_run = self.0.first().is_some_and(FunctionInstance::run_next_job);
        for instance in &mut self.0 {
            if let Some(call) = instance.running_call() {
                instance.take_result(batch, &mut results[call]);
            }
        }
        if has_run {
            return;
        }
        // Nothing is left that could settle the promises of the others. Their instances end too, as
        // Segment's do after a timeout.
        self.0.retain(|instance| {
            let Some(call) = instance.running_call() else { return true };
            let reason = "Timed out: nothing settles the promise that the handler returned";
            batch.reject(call, reason, results);
            false
        });
    }
}

/// The kind of function that code shows, or `None` if it defines no handler of Segment.
pub(crate) fn detect_kind(code: &str) -> Option<FunctionKind> {
    if defines(code, REQUEST_HANDLER) {
        return Some(FunctionKind::Source);
    }
    let handlers = HANDLERS.iter().map(|(_, handler)| *handler).chain([BATCH_HANDLER]);
    let defined: Vec<_> = handlers.filter(|handler| defines(code, handler)).collect();
    if defined.is_empty() {
        return None;
    }
    let returns_event = defined.iter().any(|handler| {
        first_parameter(code, handler).is_some_and(|parameter| returns(code, parameter))
    });
    let is_insert = returns_event || words(code).any(|(_, word)| word == "DropEvent");
    Some(if is_insert { FunctionKind::Insert } else { FunctionKind::Destination })
}

/// Whether code defines a function with a name: `function NAME`, `NAME = `, `NAME:` or `NAME(…) {`.
fn defines(code: &str, name: &str) -> bool {
    definition(code, name).is_some()
}

/// The code after the name in its definition.
fn definition<'a>(code: &'a str, name: &str) -> Option<&'a str> {
    words(code).filter(|(_, word)| *word == name).find_map(|(position, word)| {
        let before = code[..position].trim_end();
        let rest = code[position + word.len()..].trim_start();
        let is_assigned = rest
            .strip_prefix([':', '='])
            .is_some_and(|value| value.trim_start().starts_with(begins_function));
        let is_method = rest.starts_with('(')
            && rest.split_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('{'))
            && !before.ends_with('.');
        (before.ends_with("function") || is_assigned || is_method).then_some(rest)
    })
}

/// Whether a value that begins with this character can be a function: an expression, or the name of
/// one, but no number, text or object.
fn begins_function(c: char) -> bool {
    c == '(' || c.is_alphabetic() || c == '_' || c == '$'
}

/// The name of the first parameter in the definition of a handler.
fn first_parameter<'a>(code: &'a str, handler: &str) -> Option<&'a str> {
    let rest = definition(code, handler)?.trim_start_matches(['=', ':', ' ']);
    let rest = rest.strip_prefix("async").unwrap_or(rest).trim_start();
    let rest = rest.strip_prefix("function").unwrap_or(rest);
    // The name of a function expression, or the parameter of `event => …`.
    let start = rest.find('(').filter(|start| !rest[..*start].contains("=>"));
    let (_, name) = words(&rest[start.unwrap_or(0)..]).next()?;
    Some(name)
}

/// Whether a function returns the variable, or a copy of it.
fn returns(code: &str, variable: &str) -> bool {
    let returned = words(code).filter(|(_, word)| *word == "return");
    let bodies = code.match_indices("=>").map(|(position, arrow)| position + arrow.len());
    returned.map(|(position, word)| position + word.len()).chain(bodies).any(|position| {
        let rest = code[position..].trim_start_matches([' ', '\t', '(', '{']);
        let rest = rest.strip_prefix("...").unwrap_or(rest).trim_start();
        let Some(rest) = rest.strip_prefix(variable) else { return false };
        !rest.starts_with(|c: char| is_word(c) || matches!(c, '.' | '(' | '[' | '=' | '?'))
    })
}

/// The identifiers and keywords of code, with their positions. Those of comments are left out as far
/// as a comment begins on their line.
fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = code.split_inclusive('\n').scan(0, |start, line| {
        let position = *start;
        *start += line.len();
        Some((position, without_comment(line)))
    });
    lines.flat_map(|(position, line)| {
        line.split(|c| !is_word(c)).filter(|word| !word.is_empty()).map(move |word| {
            // The word is a part of the line.
            (position + (word.as_ptr() as usize - line.as_ptr() as usize), word)
        })
    })
}

/// The part of a line before its comment.
fn without_comment(line: &str) -> &str {
    let start = line.trim_start();
    if ["/*", "*"].iter().any(|mark| start.starts_with(mark)) {
        return "";
    }
    // The two slashes of an address have no space before them.
    let comments = line.match_indices("//").find(|(position, _)| {
        let before = line[..*position].chars().next_back();
        before.is_none_or(|c| c.is_whitespace() || matches!(c, '{' | '}' | ';' | ',' | ')'))
    });
    comments.map_or(line, |(position, _)| &line[..position])
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

#[cfg(test)]
mod tests;
