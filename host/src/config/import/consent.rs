//! Converts consent settings to those of the mapping plugin.
//!
//! Both vendors do not send an event to a destination if the user has not consented to the
//! destination's categories. RudderStack stores the categories by type of source, which the host
//! does not know. So an event needs the consents of all types. At worst, an event is filtered that
//! RudderStack would have delivered.

use serde_json::{Value, json};

use super::remaining_fields::{RemainingFields, is_filled_in};
use super::{Imported, JsonObject, escape_path, find_field, is_blank};

/// RudderStack's default provider. Source: its settings' schema.
const PROVIDER: &str = "oneTrust";

/// The form of a consent setting in RudderStack.
#[derive(Debug, Clone, Copy)]
enum ConsentForm {
    /// A list of providers with their categories. Each applies to events of this provider.
    Providers,
    /// A list of categories, for events of any provider.
    Categories { key: &'static str, strategy: &'static str },
}

/// The consent settings: the current one, and older ones of single providers.
const SETTINGS: [(&str, ConsentForm); 3] = [
    ("consentManagement", ConsentForm::Providers),
    (
        "oneTrustCookieCategories",
        ConsentForm::Categories { key: "oneTrustCookieCategory", strategy: "and" },
    ),
    ("ketchConsentPurposes", ConsentForm::Categories { key: "purpose", strategy: "or" }),
];

/// Converts the consent categories of a RudderStack destination.
pub(super) fn read_rudderstack(config: &mut RemainingFields, imported: &mut Imported) {
    let mut consents: Vec<Value> = Vec::new();
    for (key, form) in SETTINGS {
        let Some(value) = config.take(key) else { continue };
        // There is one list for each type of source, or a single one in resolved settings.
        let lists: Vec<&Value> = match &value {
            Value::Object(by_type) => by_type.values().collect(),
            list => vec![list],
        };
        let mut by_type: Vec<Vec<Value>> = Vec::new();
        for list in lists {
            let (found, obstacle) = read_list(list, form);
            if let Some(obstacle) = obstacle {
                imported.add_note(format!(
                    "`{key}` is not imported in full ({obstacle}): events are delivered even if \
                     their users denied the missing consents, until you add these to `consent` \
                     under [plugin.settings]"
                ));
            }
            if !found.is_empty() && !by_type.contains(&found) {
                by_type.push(found);
            }
        }
        if by_type.len() > 1 {
            imported.add_note(format!(
                "`{key}` differs by type of source, and this host does not know the type of an \
                 event's source: an event needs the consents of every type"
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

/// The categories of a list in the form of the mapping plugin, and why some of it cannot be read.
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
    // Events of other providers contain their own strategy.
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
            "`consentSettings` is not imported, because its `categories` are not a list of names: \
             events are delivered regardless of their users' consents, until you add a transform \
             with `drop = true`",
        );
        return None;
    };
    let preferences = "context.consent.categoryPreferences";
    let given: Vec<_> =
        names.iter().map(|name| format!("{preferences}.{}", fql_key(name))).collect();
    let when = format!("{preferences} != null and !({})", given.join(" and "));
    Some(json!({"when": when, "drop": true}))
}

/// A key of a path in FQL syntax.
fn fql_key(name: &str) -> String {
    escape_path(name, |character| {
        !character.is_ascii_alphanumeric() && !matches!(character, '_' | '-')
    })
}
