//! The settings of the script plugin: the script itself, and the rules for what it returns.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::rudderstack;
use crate::segment::{self, FunctionKind};

/// The member of the plugin's settings that describes the script. All other members are settings of
/// the default mapping.
const SCRIPT: &str = "script";

/// The script with its libraries and credentials.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScriptSettings {
    /// The scripts, in the order in which an event passes them.
    pub(crate) files: Vec<SourceFile>,
    #[serde(default)]
    pub(crate) libraries: Vec<SourceFile>,
    /// `None` if the code shows it.
    #[serde(default)]
    pub(crate) dialect: Option<ScriptDialect>,
    /// What `getCredential` returns, by key.
    #[serde(default)]
    pub(crate) credentials: Map<String, Value>,
    /// The second argument of Segment's functions.
    #[serde(default)]
    pub(crate) settings: Map<String, Value>,
    #[serde(default)]
    pub(crate) globals: Option<Globals>,
}

/// A file of JavaScript.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceFile {
    pub(crate) name: String,
    pub(crate) code: String,
}

/// The vendor whose functions a script defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ScriptDialect {
    /// A module with `transformEvent` or `transformBatch`.
    Rudderstack,
    /// A script with `transform(events)`.
    RudderstackV0,
    /// A destination function: handlers such as `onTrack`, whose requests are their purpose.
    SegmentDestination,
    /// An insert function: handlers that return the event.
    SegmentInsert,
    /// A source function: `onRequest`.
    SegmentSource,
}

/// Whether global variables live longer than a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Globals {
    /// Each batch gets its own global variables, as in RudderStack.
    Fresh,
    /// Global variables live as long as the instance.
    Keep,
}

impl ScriptSettings {
    /// Parses settings. Returns those of the script, and the JSON text of the others.
    ///
    /// # Errors
    ///
    /// Fails with a message that names the wrong setting.
    pub(crate) fn parse(settings: &str) -> Result<(Self, String), String> {
        let mut settings: Map<String, Value> =
            serde_json::from_str(settings).map_err(|error| error.to_string())?;
        let script = settings.remove(SCRIPT).ok_or("`script` is missing: set [plugin] script")?;
        let script = ScriptSettings::deserialize(script);
        let script = script.map_err(|error| format!("invalid `script`: {error}"))?;
        if script.files.is_empty() {
            return Err("`script` has no files: set [plugin] script to a file".to_owned());
        }
        Ok((script, Value::Object(settings).to_string()))
    }
}

/// Whether settings of the mapping, as JSON text, contain any rule.
pub(crate) fn has_rules(rules: &str) -> bool {
    let rules: Map<String, Value> = serde_json::from_str(rules).unwrap_or_default();
    let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    rules.iter().any(|(name, value)| name != "mappings" || !is_empty(value))
}

impl ScriptDialect {
    /// The dialect that the code shows.
    pub(crate) fn detect(code: &str) -> Self {
        if let Some(kind) = segment::detect_kind(code)
            && !rudderstack::EXPORTS.iter().any(|name| code.contains(name))
        {
            return match kind {
                FunctionKind::Destination => ScriptDialect::SegmentDestination,
                FunctionKind::Insert => ScriptDialect::SegmentInsert,
                FunctionKind::Source => ScriptDialect::SegmentSource,
            };
        }
        if ScriptDialect::is_module(code) {
            ScriptDialect::Rudderstack
        } else {
            ScriptDialect::RudderstackV0
        }
    }

    /// Whether code is a module, which imports or exports something.
    pub(crate) fn is_module(code: &str) -> bool {
        code.lines().any(|line| {
            let line = line.trim_start();
            ["export ", "export{", "import ", "import{", "import\""]
                .iter()
                .any(|word| line.starts_with(word))
        })
    }

    /// The kind of function, if it is one of Segment's.
    pub(crate) fn function_kind(self) -> Option<FunctionKind> {
        match self {
            ScriptDialect::SegmentDestination => Some(FunctionKind::Destination),
            ScriptDialect::SegmentInsert => Some(FunctionKind::Insert),
            ScriptDialect::SegmentSource => Some(FunctionKind::Source),
            ScriptDialect::Rudderstack | ScriptDialect::RudderstackV0 => None,
        }
    }
}
