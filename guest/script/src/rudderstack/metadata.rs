//! What `metadata(event)` returns.

use std::cell::OnceCell;
use std::collections::HashMap;

use mapping::json::JsonValue;
use rquickjs::{Coerced, Ctx, Exception, Object, Value, qjs};

use crate::batch::ScriptEvent;
use crate::value::HeldName;

/// The keys that the object always has, in RudderStack's order. Most of them have no value here.
const KEYS: [&str; 29] = [
    "sourceId",
    "sourceName",
    "workspaceId",
    "sourceType",
    "sourceCategory",
    "destinationId",
    "destinationType",
    "destinationName",
    "namespace",
    ORIGINAL_SOURCE_ID,
    "trackingPlanId",
    "trackingPlanVersion",
    "sourceTpConfig",
    "mergedTpConfig",
    "jobId",
    "sourceJobId",
    "sourceJobRunId",
    "sourceTaskRunId",
    "recordId",
    "messageId",
    "messageIds",
    "rudderId",
    "receivedAt",
    "eventName",
    "eventType",
    "sourceDefinitionId",
    "destinationDefinitionId",
    "transformationId",
    "transformationVersionId",
];

const ORIGINAL_SOURCE_ID: &str = "originalSourceId";

/// The position of that key in code version 0.
const ORIGINAL_SOURCE_POSITION: usize = 2;

/// The keys whose values are members of the event.
const FROM_EVENT: [(&str, &str); 4] = [
    ("receivedAt", "receivedAt"),
    ("eventName", "event"),
    ("eventType", "type"),
    ("rudderId", "rudderId"),
];

/// The kind of destination that RudderStack calls so.
const DESTINATION_TYPE: &str = "FIREHOSE";

/// The metadata of a batch's events.
pub(super) struct BatchMetadata {
    events: Vec<ScriptEvent>,
    source: String,
    message_ids: BatchMessageIds,
    /// The keys with their names in QuickJS.
    keys: Vec<(&'static str, HeldName)>,
    is_script: bool,
}

/// The events' positions by their `messageId` as they were received. Of events with the same one,
/// the last one counts.
#[derive(Default)]
pub(super) struct BatchMessageIds(OnceCell<HashMap<String, usize>>);

impl BatchMetadata {
    /// `is_script` is whether the transformation is of code version 0.
    pub(super) fn new(
        ctx: &Ctx<'_>,
        events: &[ScriptEvent],
        source: &str,
        is_script: bool,
    ) -> Self {
        let mut keys = KEYS.to_vec();
        if is_script {
            keys.retain(|key| *key != ORIGINAL_SOURCE_ID);
            keys.insert(ORIGINAL_SOURCE_POSITION, ORIGINAL_SOURCE_ID);
        }
        let raw = ctx.as_raw().as_ptr();
        let named = keys.into_iter().map(|key| {
            // SAFETY: the context is alive, the key is valid for its length, and the name is a new
            // reference. The function that owns this is released before the runtime.
            let name = unsafe {
                let name = qjs::JS_NewAtomLen(raw, key.as_ptr().cast(), key.len() as _);
                HeldName::new(raw, name)
            };
            (key, name)
        });
        BatchMetadata {
            events: events.to_vec(),
            source: source.to_owned(),
            message_ids: BatchMessageIds::default(),
            keys: named.collect(),
            is_script,
        }
    }

    /// Creates the metadata of the event whose `messageId` is that of the object at this moment.
    pub(super) fn create_object<'js>(
        &self,
        ctx: &Ctx<'js>,
        event: Option<&Value<'js>>,
    ) -> rquickjs::Result<Object<'js>> {
        let position = match event {
            Some(event) if !event.is_undefined() && !event.is_null() => {
                self.message_ids.find(ctx, &self.events, event)?
            }
            event if self.is_script => {
                let kind = if event.is_some_and(Value::is_null) { "null" } else { "undefined" };
                let message = format!("Cannot read properties of {kind} (reading 'messageId')");
                return Err(Exception::throw_type(ctx, &message));
            }
            _ => None,
        };
        let event = position.map(|position| JsonValue::of_text(&self.events[position].text.text));
        let object = Object::new(ctx.clone())?;
        for (key, name) in &self.keys {
            let value = match event {
                Some(event) => self.create_value(ctx, event, key)?,
                None => Value::new_undefined(ctx.clone()),
            };
            // SAFETY: the context, the object and the name are alive. QuickJS takes over a reference
            // to the value.
            let status = unsafe {
                let raw = ctx.as_raw().as_ptr();
                let value = qjs::JS_DupValue(raw, value.as_raw());
                let flags = qjs::JS_PROP_C_W_E as std::ffi::c_int;
                qjs::JS_DefinePropertyValue(raw, object.as_raw(), name.get(), value, flags)
            };
            if status < 0 {
                return Err(rquickjs::Error::Exception);
            }
        }
        Ok(object)
    }

    fn create_value<'js>(
        &self,
        ctx: &Ctx<'js>,
        event: JsonValue<'_>,
        key: &str,
    ) -> rquickjs::Result<Value<'js>> {
        let text = |text: &str| rquickjs::String::from_str(ctx.clone(), text).map(Into::into);
        match key {
            "sourceId" | "sourceName" => return text(&self.source),
            "destinationType" => return text(DESTINATION_TYPE),
            // An event without one is found by the text `undefined`, but has none.
            "messageId" => {
                let id = event.get("messageId").and_then(JsonValue::as_string);
                return id.map_or(Ok(Value::new_undefined(ctx.clone())), |id| text(&id));
            }
            _ => {}
        }
        let member = FROM_EVENT.into_iter().find(|(name, _)| *name == key);
        let value = member.and_then(|(_, member)| event.get(member)?.as_string());
        value.map_or(Ok(Value::new_undefined(ctx.clone())), |value| text(&value))
    }
}

impl BatchMessageIds {
    /// The position of the event whose `messageId` an object has now.
    pub(super) fn position_of<'js>(
        &self,
        ctx: &Ctx<'js>,
        events: &[ScriptEvent],
        object: &Value<'js>,
    ) -> Option<usize> {
        self.find(ctx, events, object).unwrap_or_else(|_| {
            ctx.catch();
            None
        })
    }

    fn find<'js>(
        &self,
        ctx: &Ctx<'js>,
        events: &[ScriptEvent],
        object: &Value<'js>,
    ) -> rquickjs::Result<Option<usize>> {
        // `false`, `0` and the empty text stand for no event.
        let is_missing = object.as_bool() == Some(false)
            || object.as_number() == Some(0.0)
            || object.as_string().is_some_and(|text| text.to_string().is_ok_and(|s| s.is_empty()));
        if is_missing {
            return Ok(None);
        }
        let Some(object) = object.as_object() else {
            return Ok(self.positions(ctx, events).get("undefined").copied());
        };
        // RudderStack keeps the metadata as members of an object, and names are texts.
        let Coerced(id) = object.get::<_, Coerced<String>>("messageId")?;
        Ok(self.positions(ctx, events).get(&id).copied())
    }

    fn positions(&self, ctx: &Ctx<'_>, events: &[ScriptEvent]) -> &HashMap<String, usize> {
        self.0.get_or_init(|| {
            let ids = events.iter().enumerate().map(|(position, event)| {
                let id = JsonValue::of_text(&event.text.text).get("messageId");
                (id.map_or("undefined".to_owned(), |id| name_of(ctx, id)), position)
            });
            ids.collect()
        })
    }
}

/// The text of a value as the name of a member.
fn name_of(ctx: &Ctx<'_>, value: JsonValue<'_>) -> String {
    if let Some(text) = value.as_string() {
        return text.into_owned();
    }
    let value = ctx.json_parse(value.raw_text());
    value.and_then(|value| value.get::<Coerced<String>>()).map(|text| text.0).unwrap_or_default()
}
