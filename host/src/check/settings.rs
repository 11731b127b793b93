//! Reviews settings without network access: parts that a run could not prepare, and settings that
//! are valid but probably not intended.

use crate::config::{Mistake, PluginSource, Settings};
use crate::run::{Preparation, PreparedPart, RunError, event_streams};
use standpipe_core::event::{StreamName, covers};
use standpipe_core::settings::toml_key;
use standpipe_plugin_host::swap::{RejectedCandidate, RejectionCause, SwapStep};
use standpipe_plugin_host::{
    LoadError, SettingsReview, Untrusted, mapping_settings, review_settings,
};

/// A prepared configuration, with mistakes and warnings.
#[derive(Debug)]
pub(crate) struct ConfigReview {
    /// Each part with its mistakes.
    pub(crate) parts: Vec<(PreparedPart, Vec<Mistake>)>,
    /// Settings that are valid, but probably a mistake.
    pub(crate) warnings: Vec<Mistake>,
    /// The delivery streams of events, as the plugins declare them. Empty without a plugin.
    pub(crate) streams: Vec<String>,
    /// Streams with their own settings to which nothing is written.
    pub(crate) unused: Vec<(StreamName, Mistake)>,
}

impl ConfigReview {
    /// Reviews what was prepared with these settings.
    pub(crate) fn new(settings: &Settings, preparation: &Preparation) -> Self {
        let parts = preparation.parts();
        let parts = parts.map(|(part, error)| {
            (part, error.map(|error| part_mistakes(settings, part, error)).unwrap_or_default())
        });
        let plugins = preparation.deciding_plugins();
        let streams = event_streams(settings, &plugins);
        let unused =
            if plugins.is_empty() { Vec::new() } else { unused_streams(settings, &streams) };
        ConfigReview {
            parts: parts.collect(),
            warnings: settings_warnings(settings),
            streams,
            unused,
        }
    }

    /// All mistakes that would make a run fail.
    pub(crate) fn mistakes(&self) -> impl Iterator<Item = &Mistake> {
        self.parts.iter().flat_map(|(_, mistakes)| mistakes)
    }
}

/// The mistakes of a part, with their keys.
fn part_mistakes(settings: &Settings, part: PreparedPart, error: &RunError) -> Vec<Mistake> {
    let own = match (part_settings(settings, part), error) {
        (
            Some((section, source, text)),
            RunError::Refused {
                refused: RejectedCandidate { step: SwapStep::Configure, .. }, ..
            },
        ) if source.uses_mapping_rules() => {
            in_section(&section, &review_settings(&mapping_settings(text)).mistakes)
        }
        _ => Vec::new(),
    };
    let mistakes = match own.is_empty() {
        false => own,
        true => vec![Mistake::new(match key_of_error(part, error) {
            Some(key) => format!("{key}: {error}"),
            None => error.to_string(),
        })],
    };
    mistakes.into_iter().map(|mistake| settings.places.locate(mistake)).collect()
}

/// Warnings of the built-in plugin about its settings in each role, and warnings about the texts in
/// the settings.
fn settings_warnings(settings: &Settings) -> Vec<Mistake> {
    let roles = [PreparedPart::Plugin, PreparedPart::Canary, PreparedPart::Shadow];
    let of_roles = roles.into_iter().filter_map(|part| part_settings(settings, part));
    let own = of_roles.filter_map(|(section, source, text)| {
        if !source.uses_mapping_rules() {
            return None;
        }
        let SettingsReview { warnings, .. } = review_settings(&mapping_settings(text));
        Some(in_section(&section, &warnings))
    });
    let is_embedded = settings.collect.as_ref().is_some_and(|it| it.address.is_none());
    let embedded = is_embedded.then(|| {
        Mistake::new(
            "listen is \"off\", which only programs that embed the host can use; `host run` rejects it: set an address, or remove it",
        )
    });
    let own = own.flatten().chain(embedded).map(|warning| settings.places.locate(warning));
    settings.warnings.iter().cloned().chain(own).collect()
}

/// The table of a plugin's settings, its component, and the settings that it gets. `None` if there
/// is not such a plugin, or if it uses the settings of another role.
fn part_settings(settings: &Settings, part: PreparedPart) -> Option<(String, &PluginSource, &str)> {
    let hosting = &settings.hosting;
    let (section, source, text) = match part {
        PreparedPart::Plugin => ("[plugin.settings]", &settings.plugin, &settings.plugin_settings),
        PreparedPart::Canary => {
            let (canary, _) = hosting.canary.as_ref()?;
            ("[plugin.canary.settings]", &canary.source, &canary.settings)
        }
        PreparedPart::Shadow => {
            let shadow = hosting.shadow.as_ref()?;
            ("[plugin.shadow.settings]", &shadow.source, &shadow.settings)
        }
        PreparedPart::Cases
        | PreparedPart::Function
        | PreparedPart::Certificate
        | PreparedPart::Connections
        | PreparedPart::CaBundle => return None,
    };
    let is_inherited = part != PreparedPart::Plugin && *text == settings.written_plugin_settings;
    (!is_inherited).then(|| (section.to_owned(), source, text.as_str()))
}

fn in_section(section: &str, sentences: &[String]) -> Vec<Mistake> {
    sentences.iter().map(|sentence| Mistake::new(format!("{section} {sentence}"))).collect()
}

/// The key that caused the error. `None` if the message already starts with it.
fn key_of_error(part: PreparedPart, error: &RunError) -> Option<String> {
    let section = match part {
        PreparedPart::Plugin => "plugin",
        PreparedPart::Canary => "plugin.canary",
        PreparedPart::Shadow => "plugin.shadow",
        PreparedPart::Cases | PreparedPart::Connections => return None,
        PreparedPart::Function => {
            let RunError::SourceFunction { name, .. } = error else { return None };
            return Some(format!("[[sources.function]] {name:?}"));
        }
        PreparedPart::Certificate => return Some("[http] certificate".to_owned()),
        PreparedPart::CaBundle => return Some("[aws] ca_bundle".to_owned()),
    };
    Some(match error {
        RunError::PluginFile { .. } => format!("[{section}] path"),
        RunError::Refused { refused: RejectedCandidate { step, cause, .. }, .. } => match step {
            SwapStep::Trust => match &**cause {
                // The role's own pin, or else the common one.
                RejectionCause::Untrusted(Untrusted::DigestMismatch { place, .. }) => {
                    format!("{place} sha256")
                }
                _ => "[plugin] public_key".to_owned(),
            },
            SwapStep::Cases => "[plugin] cases".to_owned(),
            SwapStep::Configure => match &**cause {
                RejectionCause::Load(LoadError::Script(_)) => format!("[{section}] script"),
                _ => format!("[{section}.settings]"),
            },
            SwapStep::Read | SwapStep::Compile | SwapStep::Fit | SwapStep::Samples => {
                format!("[{section}] path")
            }
        },
        _ => format!("[{section}]"),
    })
}

/// Streams with their own settings that neither a plugin nor other settings name.
fn unused_streams(settings: &Settings, streams: &[String]) -> Vec<(StreamName, Mistake)> {
    let dead = settings.dead_letter_stream.as_ref();
    let is_used = |name: &StreamName| {
        Some(name) == dead || streams.iter().any(|stream| covers(stream, name.as_str()))
    };
    let names = settings.delivery.streams.keys().filter(|name| !is_used(name));
    let mut unused: Vec<_> = names
        .map(|name| {
            let message = format!(
                "[streams.{}]: nothing is written to this stream: fix the name, or remove the table",
                toml_key(name.as_str())
            );
            (name.clone(), settings.places.locate(Mistake::new(message)))
        })
        .collect();
    unused.sort_by(|(one, _), (other, _)| one.cmp(other));
    unused
}
