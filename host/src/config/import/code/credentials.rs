//! Imports the credentials of RudderStack's transformations.
//!
//! Exports of the API contain no credentials, so their names come from the calls of `getCredential` in
//! the code. Where an export lists credentials, only values that are not secret are kept. Source:
//! `controlPlaneConfig.ts` of rudder-transformer.

use serde_json::Value;

use super::{UnusedNames, collect_objects, secret_reference, text_field};
use crate::config::import::{Imported, JsonObject, find_field, quote_text};

/// The function that returns credentials to the code.
const CREDENTIAL_FUNCTION: &str = "getCredential";

/// Imports the credentials that the file lists or that the code gets by a literal name.
pub(super) fn import_credentials(json: &Value, code: &[&str], imported: &mut Imported) {
    let mut listed = Vec::new();
    let is_credential = |fields: &JsonObject| {
        text_field(fields, &["key"]).is_some() && find_field(fields, "isSecret").is_some()
    };
    collect_objects("", json, &is_credential, &mut listed);
    let mut references = UnusedNames::default();
    for credential in listed {
        let key = credential.text(&["key"]).unwrap_or_default();
        let is_public = find_field(credential.fields, "isSecret") == Some(&Value::Bool(false));
        let value =
            find_field(credential.fields, "value").filter(|value| is_public && value.is_string());
        match value {
            Some(value) => {
                imported.settings.plugin.credentials.insert(key.to_owned(), value.clone());
            }
            None => add_secret_credential(key, &mut references, imported),
        }
    }
    for key in code.iter().flat_map(|code| credential_keys(code)) {
        if !imported.settings.plugin.credentials.contains_key(&key) {
            add_secret_credential(&key, &mut references, imported);
        }
    }
    if code.iter().any(|code| has_computed_key(code)) {
        imported.add_task(
            "the code computes names of credentials: add them to [plugin.credentials]".to_owned(),
        );
    }
}

fn add_secret_credential(key: &str, references: &mut UnusedNames, imported: &mut Imported) {
    let reference = secret_reference(key, references);
    imported.add_task(format!(
        "save the credential {} as the secret that `{reference}` under [plugin.credentials] means, \
         and set its manager under [secrets]",
        quote_text(key)
    ));
    imported.settings.plugin.credentials.insert(key.to_owned(), reference.into());
}

/// The names in the code's calls of `getCredential` that are literals.
fn credential_keys(code: &str) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for argument in credential_arguments(code) {
        if let Some(key) = literal_text(argument)
            && !keys.iter().any(|known| known == key)
        {
            keys.push(key.to_owned());
        }
    }
    keys
}

fn has_computed_key(code: &str) -> bool {
    credential_arguments(code).any(|argument| literal_text(argument).is_none())
}

/// The code after the parenthesis of each call of `getCredential`.
fn credential_arguments(code: &str) -> impl Iterator<Item = &str> {
    let calls = code.split(CREDENTIAL_FUNCTION).skip(1);
    calls.filter_map(|rest| rest.trim_start().strip_prefix('(')).map(str::trim_start)
}

/// The text of a literal without escapes and placeholders at the start of code.
fn literal_text(code: &str) -> Option<&str> {
    let quote = code.chars().next().filter(|quote| matches!(quote, '"' | '\'' | '`'))?;
    let (text, rest) = code[1..].split_once(quote)?;
    let is_plain = !text.is_empty() && !text.contains(['\\', '$', '\n']);
    (is_plain && rest.trim_start().starts_with([')', ','])).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_by_their_literal_names() {
        for (code, keys, is_computed) in [
            (
                "getCredential('a') + getCredential ( \"b c\" ) + getCredential(`a`)",
                &["a", "b c"][..],
                false,
            ),
            ("const key = 'a'; getCredential(key)", &[], true),
            ("getCredential(`a${b}`)", &[], true),
            ("getCredential('a\\'b')", &[], true),
            ("getCredential('a' + b)", &[], true),
            ("getCredential('é')", &["é"], false),
            ("const get = getCredential;", &[], false),
            ("getCredential(", &[], true),
            ("getCredential('", &[], true),
        ] {
            assert_eq!(credential_keys(code), keys, "{code}");
            assert_eq!(has_computed_key(code), is_computed, "{code}");
        }
    }
}
