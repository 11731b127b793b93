//! Consent settings, as the mapping plugin has them.
//!
//! Both vendors keep an event away from a destination whose categories its user has
//! not consented to. RudderStack stores them by type of source, which this host does
//! not know of an event: an event then needs the consents of every type, so that at
//! worst one is filtered that RudderStack would have delivered.

use serde_json::{Value, json};

use super::remaining_fields::{RemainingFields, is_filled_in};
use super::{Imported, JsonObject, escape_path, find_field, is_blank};

/// RudderStack's provider where none is named. Source: its settings' schema.
const PROVIDER: &str = "oneTrust";

/// What a consent setting of RudderStack's is a list of.
#[derive(Debug, Clone, Copy)]
enum ConsentForm {
    /// Providers with their categories, each for events of its own.
    Providers,
    /// Categories, whatever provider an event names.
    Categories { key: &'static str, strategy: &'static str },
}

/// The consent settings: that of today, and the older ones of single providers.
const SETTINGS: [(&str, ConsentForm); 3] = [
    ("consentManagement", ConsentForm::Providers),
    (
        "oneTrustCookieCategories",
        ConsentForm::Categories { key: "oneTrustCookieCategory", strategy: "and" },
    ),
    ("ketchConsentPurposes", ConsentForm::Categories { key: "purpose", strategy: "or" }),
];

/// Take over what RudderStack's destination asks users to consent to.
pub(super) fn read_rudderstack(config: &mut RemainingFields, imported: &mut Imported) {
    let mut consents: Vec<Value> = Vec::new();
    for (key, form) in SETTINGS {
        let Some(value) = config.take(key) else { continue };
        // One list for each type of source, or one where they have been resolved.
        let lists: Vec<&Value> = match &value {
            Value::Object(by_type) => by_type.values().collect(),
            list => vec![list],
        };
        let mut by_type: Vec<Vec<Value>> = Vec::new();
        for list in lists {
            let (found, obstacle) = read_list(list, form);
            if let Some(obstacle) = obstacle {
                imported.add_note(format!(
                    "`{key}` is not imported in full ({obstacle}): events are delivered whose users \
                     denied what is missing, until you add it to `consent` under [plugin.settings]"
                ));
            }
            if !found.is_empty() && !by_type.contains(&found) {
                by_type.push(found);
            }
        }
        if by_type.len() > 1 {
            imported.add_note(format!(
                "`{key}` differs by type of source, which this host does not know of an event: an \
                 event needs the consents of every type"
            ));
        }
        for consent in by_type.into_iter().flatten() {
            if !consents.contains(&consent) {
                consents.push(consent);
            }
        }
    }
    if !consents.is_empty() {
        imported.settings.plugin.settings.insert("consent".to_owned(), consents.into());
    }
}

/// What a list asks for, as the mapping plugin has it, and what keeps some of it from
/// being read.
fn read_list(list: &Value, form: ConsentForm) -> (Vec<Value>, Option<String>) {
    if is_blank(list) {
        return (Vec::new(), None);
    }
    let Some(items) = list.as_array() else {
        return (Vec::new(), Some("it is not a list".to_owned()));
    };
    let (mut consents, mut categories, mut obstacle) = (Vec::new(), Vec::new(), None);
    for item in items.iter().filter(|item| !is_blank(item)) {
        let Some(fields) = item.as_object() else {
            obstacle = Some("an item is not an object".to_owned());
            continue;
        };
        let read = match form {
            ConsentForm::Providers => read_provider(fields).map(|consent| consents.extend(consent)),
            ConsentForm::Categories { key, .. } => {
                read_category(fields, key).map(|category| categories.extend(category))
            }
        };
        obstacle = read.err().or(obstacle);
    }
    if let ConsentForm::Categories { strategy, .. } = form
        && !categories.is_empty()
    {
        consents.push(json!({"strategy": strategy, "categories": categories}));
    }
    (consents, obstacle)
}

/// The categories of one provider: `{provider, resolutionStrategy, consents: [{consent}]}`.
fn read_provider(item: &JsonObject) -> Result<Option<Value>, String> {
    let categories = match find_field(item, "consents") {
        None => Vec::new(),
        Some(Value::Array(consents)) => {
            let consents = consents.iter().filter(|consent| !is_blank(consent));
            let texts =
                consents.map(|consent| fixed_text(find_field(consent.as_object()?, "consent")?));
            texts.collect::<Option<Vec<_>>>().ok_or("a consent is not a fixed text")?
        }
        Some(_) => return Err("`consents` is not a list".to_owned()),
    };
    let provider = match find_field(item, "provider") {
        None => PROVIDER,
        Some(provider) => fixed_text(provider).ok_or("`provider` is not a fixed text")?,
    };
    if categories.is_empty() {
        return Ok(None);
    }
    let strategy = match find_field(item, "resolutionStrategy").and_then(Value::as_str) {
        Some("or") => "or",
        _ => "and",
    };
    // Events of other providers come with a strategy of their own.
    Ok(Some(match provider {
        "custom" => json!({"provider": provider, "strategy": strategy, "categories": categories}),
        provider => json!({"provider": provider, "categories": categories}),
    }))
}

fn read_category(item: &JsonObject, key: &str) -> Result<Option<String>, String> {
    let Some(value) = find_field(item, key).filter(|value| !is_blank(value)) else {
        return Ok(None);
    };
    let text = fixed_text(value).ok_or_else(|| format!("`{key}` is not a fixed text"))?;
    Ok(Some(text.to_owned()))
}

fn fixed_text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty() && !is_filled_in(text))
}

/// Segment sends an event to a destination if its user has consented to all of the
/// destination's categories, or if the event says nothing about consent.
pub(super) fn read_segment(settings: &Value, imported: &mut Imported) -> Option<Value> {
    let categories = settings.as_object().and_then(|settings| find_field(settings, "categories"));
    let categories = match categories {
        None if is_blank(settings) => return None,
        Some(list) if is_blank(list) => return None,
        categories => categories.and_then(Value::as_array),
    };
    let names =
        categories.and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    let Some(names) = names else {
        imported.add_note(
            "`consentSettings` is not imported, since its `categories` are not a list of names: events \
             are delivered whatever their users denied, until you add a transform with `drop = true`",
        );
        return None;
    };
    let preferences = "context.consent.categoryPreferences";
    let given: Vec<_> =
        names.iter().map(|name| format!("{preferences}.{}", fql_key(name))).collect();
    let when = format!("{preferences} != null and !({})", given.join(" and "));
    Some(json!({"when": when, "drop": true}))
}

/// A key of a path as FQL has it.
fn fql_key(name: &str) -> String {
    escape_path(name, |character| {
        !character.is_ascii_alphanumeric() && !matches!(character, '_' | '-')
    })
}
