//! Flattens nested objects: moves their members into the outer object.

use super::{BYTES_MAX, Editor};
use crate::json::{JsonKind, JsonValue, write_string};
use crate::scan;

/// Maximum depth of flattened objects. Deeper values stay objects.
const LEVELS_MAX: usize = 64;

impl Editor<'_> {
    /// Flattens the object at this position, unless it is flat already. Returns its end.
    pub(super) fn flatten_object(&mut self, separator: &str, start: usize) -> usize {
        let end = scan::after_value(self.text.as_bytes(), start);
        let object = JsonValue::of_text(&self.text[start..end]);
        if object.members().any(|member| is_lifted(member.value)) {
            let mut written_separator = String::new();
            write_string(&mut written_separator, separator);
            self.try_replace(start, end, |editor| {
                let mut lift = Flattener {
                    out: editor.out,
                    separator: &written_separator[1..written_separator.len() - 1],
                    prefix: String::new(),
                    has_members: false,
                };
                lift.out.push('{');
                let has_room = lift.lift_members(object, 1);
                lift.out.push('}');
                has_room
            });
        }
        end
    }
}

/// Whether an object is flattened. An empty object stays a value.
fn is_lifted(value: JsonValue<'_>) -> bool {
    value.kind() == JsonKind::Object && value.members().next().is_some()
}

struct Flattener<'a> {
    out: &'a mut String,
    /// The separator as it is written in quotes.
    separator: &'a str,
    /// The keys of the outer objects, as written.
    prefix: String,
    has_members: bool,
}

impl Flattener<'_> {
    /// Writes the members of an object. Returns `false` if the result would exceed the size limit,
    /// because each member repeats the names of the outer objects.
    fn lift_members(&mut self, object: JsonValue<'_>, level: usize) -> bool {
        for member in object.members() {
            if level < LEVELS_MAX && is_lifted(member.value) {
                let length = self.prefix.len();
                self.prefix.push_str(member.key);
                self.prefix.push_str(self.separator);
                let has_room = self.lift_members(member.value, level + 1);
                self.prefix.truncate(length);
                if !has_room {
                    return false;
                }
                continue;
            }
            if self.has_members {
                self.out.push(',');
            }
            self.has_members = true;
            self.out.push('"');
            for part in [&*self.prefix, member.key, "\":", member.value.raw_text()] {
                self.out.push_str(part);
            }
            if self.out.len() > BYTES_MAX {
                return false;
            }
        }
        true
    }
}
