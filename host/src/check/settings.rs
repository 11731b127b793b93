//! What can be said of settings without asking anybody: what of them a run could not
//! prepare, and what is right and hardly meant.

use crate::config::{Mistake, PluginSource, Settings};
use crate::run::{Preparation, PreparedPart, RunError, event_streams};
use standpipe_core::event::{StreamName, covers};
use standpipe_core::settings::toml_key;
use standpipe_plugin_host::swap::{RejectedCandidate, RejectionCause, SwapStep};
use standpipe_plugin_host::{SettingsReview, Untrusted, review_settings};

/// A preparation, with what is to be said of it.
#[derive(Debug)]
pub(crate) struct ConfigReview {
    /// Each part of it, with what is wrong there.
    pub(crate) parts: Vec<(PreparedPart, Vec<Mistake>)>,
    /// What can be meant as it is written, and hardly is.
    pub(crate) warnings: Vec<Mistake>,
    /// The delivery streams that events are written to, as the plugins declare them; none
    /// where there is no plugin.
    pub(crate) streams: Vec<String>,
    /// Streams with settings of their own that nothing is written to.
    pub(crate) unused: Vec<(StreamName, Mistake)>,
}

impl ConfigReview {
    /// Look at what was prepared with these settings.
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

    /// Everything that a run would refuse.
    pub(crate) fn mistakes(&self) -> impl Iterator<Item = &Mistake> {
        self.parts.iter().flat_map(|(_, mistakes)| mistakes)
    }
}

/// What is wrong with a part, with the keys that it is about.
fn part_mistakes(settings: &Settings, part: PreparedPart, error: &RunError) -> Vec<Mistake> {
    let own = match (part_settings(settings, part), error) {
        (
            Some((section, source, text)),
            RunError::Refused {
                refused: RejectedCandidate { step: SwapStep::Configure, .. }, ..
            },
        ) if source.file().is_none() => in_section(&section, &review_settings(text).mistakes),
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

/// What the built-in plugin would say about its settings, in whatever role, and what the
/// settings say about texts of their own.
fn settings_warnings(settings: &Settings) -> Vec<Mistake> {
    let roles = [PreparedPart::Plugin, PreparedPart::Canary, PreparedPart::Shadow];
    let of_roles = roles.into_iter().filter_map(|part| part_settings(settings, part));
    let own = of_roles.filter_map(|(section, source, text)| {
        if source.file().is_some() {
            return None;
        }
        let SettingsReview { warnings, .. } = review_settings(text);
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

/// The table of a plugin's settings, its component, and the settings as it gets them.
/// None for a plugin that is not there, and for settings that are another role's.
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

/// The key that decides about what went wrong; none where the words begin with it.
fn key_of_error(part: PreparedPart, error: &RunError) -> Option<String> {
    let section = match part {
        PreparedPart::Plugin => "plugin",
        PreparedPart::Canary => "plugin.canary",
        PreparedPart::Shadow => "plugin.shadow",
        PreparedPart::Cases | PreparedPart::Connections => return None,
        PreparedPart::Certificate => return Some("[http] certificate".to_owned()),
        PreparedPart::CaBundle => return Some("[aws] ca_bundle".to_owned()),
    };
    Some(match error {
        RunError::PluginFile { .. } => format!("[{section}] path"),
        RunError::Refused { refused: RejectedCandidate { step, cause, .. }, .. } => match step {
            SwapStep::Trust => match &**cause {
                // A pin of its own, or else the one for all.
                RejectionCause::Untrusted(Untrusted::DigestMismatch { place, .. }) => {
                    format!("{place} sha256")
                }
                _ => "[plugin] public_key".to_owned(),
            },
            SwapStep::Cases => "[plugin] cases".to_owned(),
            SwapStep::Configure => format!("[{section}.settings]"),
            SwapStep::Read | SwapStep::Compile | SwapStep::Fit | SwapStep::Samples => {
                format!("[{section}] path")
            }
        },
        _ => format!("[{section}]"),
    })
}

/// Streams with settings of their own that no plugin names, nor the settings elsewhere.
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
