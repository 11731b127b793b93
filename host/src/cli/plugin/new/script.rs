//! Templates for scripts in JavaScript: code, settings, cases, and types for editors and `tsc`.

use super::{TemplateFile, replace_required};

/// The files of a script that depend on its dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScriptTemplate {
    vendor: &'static str,
    /// The name and the text of the script.
    script: (&'static str, &'static str),
    libraries: &'static [(&'static str, &'static str)],
    settings: &'static str,
    cases: &'static str,
    types: (&'static str, &'static str),
}

const SEGMENT_TYPES: (&str, &str) =
    ("types/segment.d.ts", source!("guest/examples/scripts/types/segment.d.ts"));

pub(super) const RUDDERSTACK: ScriptTemplate = ScriptTemplate {
    vendor: "RudderStack",
    script: ("transform.js", source!("guest/examples/scripts/rudderstack/transform.js")),
    libraries: &[(
        "libraries/userRules.js",
        source!("guest/examples/scripts/rudderstack/libraries/userRules.js"),
    )],
    settings: source!("guest/examples/scripts/rudderstack/settings.toml"),
    cases: source!("guest/examples/scripts/rudderstack/cases.json"),
    types: ("types/rudderstack.d.ts", source!("guest/examples/scripts/types/rudderstack.d.ts")),
};

pub(super) const SEGMENT_INSERT: ScriptTemplate = ScriptTemplate {
    vendor: "Segment",
    script: ("function.js", source!("guest/examples/scripts/segment-insert/function.js")),
    libraries: &[],
    settings: source!("guest/examples/scripts/segment-insert/settings.toml"),
    cases: source!("guest/examples/scripts/segment-insert/cases.json"),
    types: SEGMENT_TYPES,
};

pub(super) const SEGMENT_DESTINATION: ScriptTemplate = ScriptTemplate {
    script: ("function.js", source!("guest/examples/scripts/segment-destination/function.js")),
    settings: source!("guest/examples/scripts/segment-destination/settings.toml"),
    cases: source!("guest/examples/scripts/segment-destination/cases.json"),
    ..SEGMENT_INSERT
};

impl ScriptTemplate {
    pub(super) fn files(self) -> Vec<TemplateFile> {
        let readme = source!("guest/examples/scripts/README.md");
        let readme = replace_required(readme, "script.js", self.script.0);
        let readme = replace_required(&readme, "DIALECT", self.vendor);
        let jsconfig = source!("guest/examples/scripts/jsconfig.json");
        let fixed = [
            self.script,
            ("settings.toml", self.settings),
            ("cases.json", self.cases),
            self.types,
            ("jsconfig.json", jsconfig),
            (".gitignore", "/standpipe-data\n/out\n"),
        ];
        let files = fixed.into_iter().chain(self.libraries.iter().copied());
        let files = files.map(|(path, text)| (path, text.to_owned()));
        files.chain([("README.md", readme)]).collect()
    }
}
