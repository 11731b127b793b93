//! An event's own rules about destinations: its `integrations`, and the consents that its user has
//! denied.

use serde_json::Value as Json;

use crate::json::{JsonKind, JsonValue};
use crate::settings::table::{MappingTable, SettingsResult};

/// The names of this destination at the vendors.
const NAMES: [&str; 2] = ["Amazon Kinesis Firehose", "FIREHOSE"];

/// The rules in events that the settings respect.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventSwitches {
    /// The names of the destination in `integrations`. Empty if `integrations` is ignored.
    integrations: Vec<String>,
    consents: Vec<Consent>,
}

/// The required consents.
#[derive(Debug, Clone)]
struct Consent {
    /// Applies only to events of this consent provider.
    provider: Option<String>,
    strategy: ConsentStrategy,
    categories: Vec<String>,
}

/// Which consents an event needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConsentStrategy {
    /// Consent to all categories.
    And,
    /// Consent to one of the categories.
    Or,
}

impl ConsentStrategy {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "and" => Some(ConsentStrategy::And),
            "or" => Some(ConsentStrategy::Or),
            _ => None,
        }
    }
}

impl EventSwitches {
    /// # Errors
    ///
    /// Fails if a setting is wrong.
    pub(crate) fn parse(
        integrations: Option<&Json>,
        consent: Option<&Json>,
    ) -> SettingsResult<Self> {
        let integrations = match integrations {
            None | Some(Json::Bool(false)) => Vec::new(),
            Some(Json::Bool(true)) => NAMES.map(str::to_owned).to_vec(),
            Some(names) => {
                let names = names.as_array().into_iter().flatten();
                let names: Option<Vec<_>> =
                    names.map(|name| name.as_str().map(str::to_owned)).collect();
                names.filter(|names| !names.is_empty()).ok_or(
                    "`integrations`: write true, or a list of the names that the destination has in \
                     the events' `integrations`",
                )?
            }
        };
        let consents = match consent {
            None => &[],
            Some(Json::Array(consents)) => &consents[..],
            Some(one) => std::slice::from_ref(one),
        };
        let consents = consents.iter().map(Consent::parse).collect::<SettingsResult<_>>()?;
        Ok(EventSwitches { integrations, consents })
    }

    /// Whether every event is permitted.
    pub(crate) fn is_empty(&self) -> bool {
        self.integrations.is_empty() && self.consents.is_empty()
    }

    /// Whether an event may be sent.
    pub(crate) fn allows_event(&self, event: JsonValue<'_>) -> bool {
        (self.integrations.is_empty() || self.integrations_allow(event))
            && (self.consents.is_empty() || self.consents_allow(event))
    }

    fn integrations_allow(&self, event: JsonValue<'_>) -> bool {
        let Some(integrations) = event.get("integrations") else { return true };
        let for_all = match integrations.get("All").map(JsonValue::raw_text) {
            None | Some("true") => true,
            Some("false") => false,
            // As in RudderStack: the event goes to no destination.
            Some(_) => return false,
        };
        for name in &self.integrations {
            match integrations.get(name) {
                Some(value) if value.kind() == JsonKind::Object => return true,
                Some(value) if value.kind() == JsonKind::Bool => return value.raw_text() == "true",
                _ => {}
            }
        }
        for_all
    }

    fn consents_allow(&self, event: JsonValue<'_>) -> bool {
        let context = event.get("context");
        let Some(management) = context.and_then(|context| context.get("consentManagement")) else {
            return true;
        };
        let denied: Vec<_> = management
            .get("deniedConsentIds")
            .map(|ids| ids.elements().filter_map(JsonValue::as_string).collect())
            .unwrap_or_default();
        let provider = management.get("provider").and_then(JsonValue::as_string);
        let strategy = management.get("resolutionStrategy").and_then(JsonValue::as_string);
        denied.is_empty()
            || self.consents.iter().all(|consent| {
                let is_meant = consent.provider.is_none()
                    || consent.provider.as_deref() == provider.as_deref();
                !is_meant || consent.allows(&denied, strategy.as_deref())
            })
    }
}

impl Consent {
    fn parse(settings: &Json) -> SettingsResult<Self> {
        let example = "`consent = { strategy = \"and\", categories = [\"marketing\"] }`";
        let table = MappingTable::new("consent", settings, example)?;
        table.check_keys(&["provider", "strategy", "categories"])?;
        let categories: Vec<_> =
            table.get_texts("categories")?.into_iter().map(str::to_owned).collect();
        if categories.is_empty() {
            return Err(
                table.key_error("categories", format!("it has no categories: write {example}"))
            );
        }
        let strategy = ConsentStrategy::parse(table.get_text("strategy")?.unwrap_or("and"))
            .ok_or_else(|| {
                table.key_error(
                    "strategy",
                    "write \"and\" (all categories are needed) or \"or\" (one is)",
                )
            })?;
        let provider = table.get_text("provider")?.map(str::to_owned);
        Ok(Consent { provider, strategy, categories })
    }

    /// For providers with their own strategy, the strategy of the event is used.
    fn allows(&self, denied: &[impl AsRef<str>], of_event: Option<&str>) -> bool {
        let has_own = self.provider.as_deref().is_some_and(|provider| provider != "custom");
        let strategy = match of_event {
            Some(word) if has_own => ConsentStrategy::parse(word).unwrap_or(ConsentStrategy::And),
            None if has_own => ConsentStrategy::And,
            _ => self.strategy,
        };
        let is_denied = |category: &String| denied.iter().any(|denied| denied.as_ref() == category);
        match strategy {
            ConsentStrategy::And => !self.categories.iter().any(is_denied),
            ConsentStrategy::Or => !self.categories.iter().all(is_denied),
        }
    }
}

#[cfg(test)]
mod tests;
