//! The format of a file of cases. Unknown keys are rejected, because a case with a misspelled key
//! would test nothing.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::CasesFormError;
use super::expect::{Expected, ExpectedDelivery, ExpectedPayload};
use standpipe_core::event::{StreamName, scan};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCases {
    pub(super) settings: Option<ObjectText>,
    pub(super) cases: Vec<RawCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCase {
    pub(super) name: String,
    pub(super) source: Option<String>,
    pub(super) event: EventText,
    pub(super) expect: Expected,
    pub(super) settings: Option<ObjectText>,
}

/// The text of a JSON object, unchanged.
pub(super) struct ObjectText(pub(super) String);

/// The text of an event: that of a string, or that of an object without the white space between its
/// tokens.
pub(super) struct EventText(pub(super) String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReject {
    reject: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExpectedDelivery {
    stream: String,
    payload: Option<ExpectedPayload>,
}

/// Fails with the position of the mistake.
pub(super) fn parse_cases(text: &[u8]) -> Result<RawCases, CasesFormError> {
    let cases: RawCases = serde_json::from_slice(text)?;
    if cases.cases.is_empty() {
        return Err(CasesFormError::Empty);
    }
    Ok(cases)
}

impl<'de> Deserialize<'de> for ObjectText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        if !text.starts_with('{') {
            return Err(D::Error::custom("`settings` must be an object"));
        }
        Ok(ObjectText(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for EventText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let text = match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str(text).map_err(D::Error::custom)?,
            Some(b'{') => remove_white_space(text),
            _ => return Err(D::Error::custom("`event` must be an object, or a string: its text")),
        };
        scan(text.as_bytes(), standpipe_core::limits::EVENT_NESTING_MAX).map_err(|malformed| {
            D::Error::custom(format!(
                "the text of `event` never reaches a plugin ({malformed}): write one JSON object"
            ))
        })?;
        Ok(EventText(text))
    }
}

impl<'de> Deserialize<'de> for Expected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Expected;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of deliveries, or {\"reject\": \"words of the reason\"}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Expected, A::Error> {
                let deserializer = SeqAccessDeserializer::new(seq);
                Vec::deserialize(deserializer).map(Expected::Deliveries)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Expected, A::Error> {
                let reject = RawReject::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Expected::Reject(reject.reject))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for ExpectedDelivery {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawExpectedDelivery::deserialize(deserializer)?;
        let stream = StreamName::parse(&raw.stream).map_err(D::Error::custom)?;
        Ok(ExpectedDelivery { stream, payload: raw.payload.unwrap_or(ExpectedPayload::Original) })
    }
}

impl<'de> Deserialize<'de> for ExpectedPayload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(ExpectedPayload::Text(text)),
            object @ Value::Object(_) => Ok(ExpectedPayload::Json(object)),
            _ => Err(D::Error::custom(
                "`payload` must be an object, which is compared as JSON, or a string, which is \
                 compared byte by byte; omit it for the event's text as received",
            )),
        }
    }
}

/// Removes the white space between the tokens of a JSON text. Numbers, strings and the order of
/// keys stay unchanged.
fn remove_white_space(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let keep = |&c: &char| {
        if !in_string && matches!(c, ' ' | '\t' | '\n' | '\r') {
            return false;
        }
        if c == '"' && !escaped {
            in_string = !in_string;
        }
        escaped = c == '\\' && !escaped;
        true
    };
    json.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_goes_and_all_else_stays() {
        let json = "{ \"b\" :\t\"x \\\" \\\\\", \n\"a\": [1.50, {}] }";
        assert_eq!(remove_white_space(json), r#"{"b":"x \" \\","a":[1.50,{}]}"#);
    }
}
