//! Writes values of JavaScript as JSON, as `JSON.stringify` does, but copies what stands unchanged in
//! the text of an event: numbers, escapes and whitespace of untouched parts stay as they are.
//!
//! RudderStack copies what a transformation returns out of its sandbox before it prints it. The copy
//! is a structured clone: it refuses functions, symbols and promises, and knows no `toJSON`.

use std::cell::RefCell;
use std::ffi::CStr;
use std::rc::Rc;
use std::slice;

use rquickjs::{Ctx, qjs};

use crate::event_object::{ArrayTrace, CopiedMember, EventClass, ObjectNode, PrintedMember};
use crate::value::{HeldName, HeldValue, is_exception};

/// The maximum depth of objects and arrays in each other, so that printing cannot overflow the stack.
const DEPTH_MAX: usize = 512;

/// The class of ordinary objects, which QuickJS documents to be the first one. Objects of other
/// classes are looked at more closely, so a wrong number would only cost time.
const ORDINARY_OBJECT: qjs::JSClassID = 1;

/// How values that are not in JSON are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PrintRules {
    /// As `JSON.stringify` treats them.
    Json,
    /// As `JSON.stringify` treats a structured clone.
    StructuredClone,
}

/// A value could not be printed. The exception is pending in the context.
#[derive(Debug)]
pub(crate) struct PrintException;

/// The result of writing a value.
type PrintResult = Result<(), PrintException>;

/// Writes values into a buffer.
pub(crate) struct Printer<'a> {
    ctx: *mut qjs::JSContext,
    class: EventClass,
    out: &'a mut String,
    rules: PrintRules,
    /// The objects and arrays around the value that is being written.
    open: Vec<*mut std::ffi::c_void>,
}

impl<'a> Printer<'a> {
    pub(crate) fn new(ctx: &Ctx<'_>, class: EventClass, out: &'a mut String) -> Self {
        let (ctx, rules) = (ctx.as_raw().as_ptr(), PrintRules::Json);
        Printer { ctx, class, out, rules, open: Vec::new() }
    }

    /// Lets the printer write a structured clone of the value.
    pub(crate) fn of_clone(self) -> Self {
        Printer { rules: PrintRules::StructuredClone, ..self }
    }

    /// Writes a value. `original` is the object whose copy the value can be: members that are the
    /// same there keep their texts.
    pub(crate) fn print(
        &mut self,
        value: qjs::JSValue,
        original: Option<&RefCell<ObjectNode>>,
    ) -> PrintResult {
        match self.print_value(value, None, original)? {
            true => Ok(()),
            false => {
                self.out.push_str("null");
                Ok(())
            }
        }
    }

    /// Writes a value, and returns false if it is none in JSON, such as a function.
    fn print_value(
        &mut self,
        value: qjs::JSValue,
        traced: Option<&Rc<ArrayTrace>>,
        original: Option<&RefCell<ObjectNode>>,
    ) -> Result<bool, PrintException> {
        // SAFETY: the value is alive during the call, and each part is read according to its tag.
        let tag = unsafe { qjs::JS_VALUE_GET_NORM_TAG(value) };
        match tag {
            qjs::JS_TAG_INT => {
                // SAFETY: the tag says that it is an integer.
                let number = unsafe { qjs::JS_VALUE_GET_INT(value) };
                self.out.push_str(&number.to_string());
            }
            qjs::JS_TAG_BOOL => {
                // SAFETY: the tag says that it is a boolean.
                let is_true = unsafe { qjs::JS_VALUE_GET_BOOL(value) };
                self.out.push_str(if is_true { "true" } else { "false" });
            }
            qjs::JS_TAG_NULL => self.out.push_str("null"),
            qjs::JS_TAG_FLOAT64 => self.print_float(value)?,
            qjs::JS_TAG_STRING | qjs::JS_TAG_STRING_ROPE => self.print_string(value)?,
            qjs::JS_TAG_OBJECT => return self.print_object(value, traced, original),
            qjs::JS_TAG_BIG_INT | qjs::JS_TAG_SHORT_BIG_INT => {
                if let Some(replacement) = self.call_to_json(value)? {
                    return self.print_value(replacement.get(), None, None);
                }
                return self.fail(c"Do not know how to serialize a BigInt");
            }
            qjs::JS_TAG_SYMBOL if self.rules == PrintRules::StructuredClone => {
                return self.fail_to_clone(value);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Writes a number as JavaScript does. Infinity and NaN become null.
    fn print_float(&mut self, value: qjs::JSValue) -> PrintResult {
        // SAFETY: the value is a number.
        let number = unsafe { qjs::JS_VALUE_GET_FLOAT64(value) };
        if number.is_finite() {
            self.with_text(value, |out, text| out.push_str(&String::from_utf8_lossy(text)))
        } else {
            self.out.push_str("null");
            Ok(())
        }
    }

    fn print_string(&mut self, value: qjs::JSValue) -> PrintResult {
        self.with_text(value, write_string)
    }

    /// Passes a value's text to a function, in UTF-8 in which a lone surrogate has three bytes.
    fn with_text(
        &mut self,
        value: qjs::JSValue,
        write: impl FnOnce(&mut String, &[u8]),
    ) -> PrintResult {
        let mut length = 0;
        // SAFETY: the text is valid for its length until it is released.
        unsafe {
            let text = qjs::JS_ToCStringLen2(self.ctx, &raw mut length, value, false);
            if text.is_null() {
                return Err(PrintException);
            }
            write(self.out, slice::from_raw_parts(text.cast(), length as usize));
            qjs::JS_FreeCString(self.ctx, text);
        }
        Ok(())
    }

    fn print_object(
        &mut self,
        value: qjs::JSValue,
        traced: Option<&Rc<ArrayTrace>>,
        original: Option<&RefCell<ObjectNode>>,
    ) -> Result<bool, PrintException> {
        // SAFETY: the value is an object.
        let (identity, is_function) =
            unsafe { (qjs::JS_VALUE_GET_PTR(value), qjs::JS_IsFunction(self.ctx, value)) };
        if is_function && self.rules == PrintRules::Json {
            return Ok(false);
        }
        if self.rules == PrintRules::StructuredClone {
            self.check_clonable(value, is_function)?;
        }
        if let Some(node) = self.class.node(&value)
            && let Some((source, range)) = self.class.unchanged_text(self.ctx, node)
        {
            self.out.push_str(source.slice(range));
            return Ok(true);
        }
        if self.open.contains(&identity) {
            return self.fail(c"Converting circular structure to JSON");
        }
        if self.open.len() >= DEPTH_MAX {
            return self.fail(c"the event is nested more than 512 levels deep");
        }
        self.open.push(identity);
        let printed = self.print_open_object(value, traced, original);
        self.open.pop();
        printed
    }

    fn print_open_object(
        &mut self,
        value: qjs::JSValue,
        traced: Option<&Rc<ArrayTrace>>,
        original: Option<&RefCell<ObjectNode>>,
    ) -> Result<bool, PrintException> {
        if let Some(replacement) = self.call_to_json(value)? {
            return self.print_value(replacement.get(), None, None);
        }
        if let Some(node) = self.class.node(&value) {
            self.print_node(value, node)?;
            return Ok(true);
        }
        // SAFETY: the value is an object.
        let (is_array, class) = unsafe { (qjs::JS_IsArray(value), qjs::JS_GetClassID(value)) };
        if is_array {
            self.print_array(value, traced)?;
        } else if class != ORDINARY_OBJECT
            && let Some(primitive) = self.boxed_primitive(value, class)?
        {
            return self.print_value(primitive.get(), None, None);
        } else {
            self.print_members(value, original)?;
        }
        Ok(true)
    }

    /// The number, string or boolean in an object such as that of `new Number(1)`.
    fn boxed_primitive(
        &mut self,
        object: qjs::JSValue,
        class: qjs::JSClassID,
    ) -> Result<Option<HeldValue>, PrintException> {
        #[derive(Clone, Copy)]
        enum Boxed {
            Number,
            String,
            Other,
        }
        let boxed = self.class_name(class).with_text(self.ctx, |name| match name {
            b"Number" => Some(Boxed::Number),
            b"String" => Some(Boxed::String),
            b"Boolean" | b"BigInt" => Some(Boxed::Other),
            _ => None,
        });
        // SAFETY: the object is alive, and the values are released when they are dropped.
        let convert = |convert: unsafe extern "C" fn(_, _) -> _| unsafe {
            HeldValue::new(self.ctx, convert(self.ctx, object))
        };
        let primitive = match boxed.flatten() {
            Some(Boxed::Number) => convert(qjs::JS_ToNumber),
            Some(Boxed::String) => convert(qjs::JS_ToString),
            Some(Boxed::Other) => {
                let value = self.call_method(object, c"valueOf")?;
                // A script can have replaced the method.
                return Ok(value.filter(|value| !self.is_object(value.get())));
            }
            None => return Ok(None),
        };
        self.check(primitive.get())?;
        Ok(Some(primitive))
    }

    fn is_object(&self, value: qjs::JSValue) -> bool {
        // SAFETY: reading a tag has no conditions.
        unsafe { qjs::JS_IsObject(value) }
    }

    fn class_name(&self, class: qjs::JSClassID) -> HeldName {
        // SAFETY: the context is alive, and the class is that of an object. The name is a new
        // reference.
        unsafe {
            let runtime = qjs::JS_GetRuntime(self.ctx);
            HeldName::new(self.ctx, qjs::JS_GetClassName(runtime, class))
        }
    }

    /// Writes an object of the text with its changes.
    fn print_node(&mut self, object: qjs::JSValue, node: &RefCell<ObjectNode>) -> PrintResult {
        let (source, printed) = self.class.printed_members(self.ctx, node);
        let mut members = MemberWriter::open(self.out);
        for member in printed {
            match member {
                PrintedMember::Unchanged(start, end) => {
                    members.separate(self.out);
                    self.out.push_str(source.slice((start, end)));
                }
                PrintedMember::Changed { name, value, traced, former } => {
                    let (name, value) = (name.get(), value.get());
                    let former = former.as_ref().map(HeldValue::get);
                    let former = former.as_ref().and_then(|object| self.class.node(object));
                    self.print_member(&mut members, name, value, traced.as_ref(), former)?;
                }
                PrintedMember::Computed(name) => {
                    let value = self.get_property(object, name.get())?;
                    self.print_member(&mut members, name.get(), value.get(), None, None)?;
                }
            }
        }
        self.out.push('}');
        Ok(())
    }

    /// Writes the members of an object that does not come from a text.
    fn print_members(
        &mut self,
        object: qjs::JSValue,
        original: Option<&RefCell<ObjectNode>>,
    ) -> PrintResult {
        let names = OwnNames::of(self.ctx, object)?;
        let mut members = MemberWriter::open(self.out);
        for name in names.iter() {
            let value = self.get_property(object, name)?;
            let copied = original
                .map(|original| self.class.copied_member(self.ctx, original, name, value.get()));
            match copied {
                Some(CopiedMember::Text(source, range)) => {
                    members.separate(self.out);
                    self.print_name(name)?;
                    self.out.push_str(source.slice(range));
                }
                Some(CopiedMember::Same(trace)) => {
                    self.print_member(&mut members, name, value.get(), trace.as_ref(), None)?;
                }
                Some(CopiedMember::Other(original)) => {
                    let original = original.as_ref().map(HeldValue::get);
                    let original = original.as_ref().and_then(|object| self.class.node(object));
                    self.print_member(&mut members, name, value.get(), None, original)?;
                }
                None => self.print_member(&mut members, name, value.get(), None, None)?,
            }
        }
        self.out.push('}');
        Ok(())
    }

    fn print_member(
        &mut self,
        members: &mut MemberWriter,
        name: qjs::JSAtom,
        value: qjs::JSValue,
        traced: Option<&Rc<ArrayTrace>>,
        original: Option<&RefCell<ObjectNode>>,
    ) -> PrintResult {
        let (length, is_first) = (self.out.len(), members.is_first);
        members.separate(self.out);
        self.print_name(name)?;
        if !self.print_value(value, traced, original)? {
            self.out.truncate(length);
            members.is_first = is_first;
        }
        Ok(())
    }

    /// Writes a member's name and the colon.
    fn print_name(&mut self, name: qjs::JSAtom) -> PrintResult {
        // SAFETY: the atom is alive, and the string is released when it is dropped.
        let name = unsafe { HeldValue::new(self.ctx, qjs::JS_AtomToString(self.ctx, name)) };
        self.print_string(name.get())?;
        self.out.push(':');
        Ok(())
    }

    fn print_array(&mut self, array: qjs::JSValue, traced: Option<&Rc<ArrayTrace>>) -> PrintResult {
        let mut length = 0;
        // SAFETY: the value is an array.
        if unsafe { qjs::JS_GetLength(self.ctx, array, &raw mut length) } < 0 {
            return Err(PrintException);
        }
        self.out.push('[');
        for position in 0..u32::try_from(length).unwrap_or(u32::MAX) {
            if position > 0 {
                self.out.push(',');
            }
            // SAFETY: the value is an array, and the element is released when it is dropped.
            let element = unsafe {
                let element = qjs::JS_GetPropertyUint32(self.ctx, array, position);
                HeldValue::new(self.ctx, element)
            };
            self.check(element.get())?;
            let place = traced.map_or(Err(None), |traced| {
                traced.element(self.class, self.ctx, position as usize, element.get())
            });
            let is_printed = match place {
                Ok(text) => {
                    self.out.push_str(text);
                    true
                }
                Err(traced) => self.print_value(element.get(), traced, None)?,
            };
            if !is_printed {
                self.out.push_str("null");
            }
        }
        self.out.push(']');
        Ok(())
    }

    /// Calls the `toJSON` of a value, if it has one. Of a structured clone, only a date has one.
    fn call_to_json(&mut self, value: qjs::JSValue) -> Result<Option<HeldValue>, PrintException> {
        // SAFETY: the value is alive.
        if self.rules == PrintRules::StructuredClone && !unsafe { qjs::JS_IsDate(value) } {
            return Ok(None);
        }
        self.call_method(value, c"toJSON")
    }

    /// Calls a method of a value, if it has one of this name.
    fn call_method(
        &mut self,
        value: qjs::JSValue,
        name: &CStr,
    ) -> Result<Option<HeldValue>, PrintException> {
        // SAFETY: the values are released when they are dropped.
        unsafe {
            let method = qjs::JS_GetPropertyStr(self.ctx, value, name.as_ptr());
            let method = HeldValue::new(self.ctx, method);
            self.check(method.get())?;
            if !qjs::JS_IsFunction(self.ctx, method.get()) {
                return Ok(None);
            }
            let result = qjs::JS_Call(self.ctx, method.get(), value, 0, std::ptr::null_mut());
            let result = HeldValue::new(self.ctx, result);
            self.check(result.get())?;
            Ok(Some(result))
        }
    }

    fn get_property(
        &mut self,
        object: qjs::JSValue,
        name: qjs::JSAtom,
    ) -> Result<HeldValue, PrintException> {
        // SAFETY: object and name are alive; the value is released when it is dropped.
        let value =
            unsafe { HeldValue::new(self.ctx, qjs::JS_GetProperty(self.ctx, object, name)) };
        self.check(value.get())?;
        Ok(value)
    }

    fn check(&self, value: qjs::JSValue) -> PrintResult {
        if is_exception(value) { Err(PrintException) } else { Ok(()) }
    }

    /// Throws V8's error if an object cannot be part of a structured clone.
    fn check_clonable(&mut self, object: qjs::JSValue, is_function: bool) -> PrintResult {
        if is_function {
            return self.fail_to_clone(object);
        }
        // SAFETY: the value is an object.
        let class = unsafe { qjs::JS_GetClassID(object) };
        if class == ORDINARY_OBJECT {
            return Ok(());
        }
        // SAFETY: the value is alive.
        if unsafe { qjs::JS_IsProxy(object) } {
            return self.throw_clone_error(c"#<Object> could not be cloned.");
        }
        let message = self.class_name(class).with_text(self.ctx, |name| match name {
            b"Promise" => Some(c"#<Promise> could not be cloned."),
            b"WeakMap" => Some(c"#<WeakMap> could not be cloned."),
            b"WeakSet" => Some(c"#<WeakSet> could not be cloned."),
            b"WeakRef" => Some(c"#<WeakRef> could not be cloned."),
            b"Generator" => Some(c"[object Generator] could not be cloned."),
            _ => None,
        });
        message.flatten().map_or(Ok(()), |message| self.throw_clone_error(message))
    }

    fn throw_clone_error(&mut self, message: &CStr) -> PrintResult {
        // SAFETY: the message is a format without directives.
        unsafe { qjs::JS_ThrowPlainError(self.ctx, message.as_ptr()) };
        Err(PrintException)
    }

    /// Throws V8's error for a function or a symbol, which a structured clone cannot contain.
    fn fail_to_clone<T>(&mut self, value: qjs::JSValue) -> Result<T, PrintException> {
        // SAFETY: the value is alive, the message is a format for one string, and the string is
        // released.
        unsafe {
            let is_symbol = qjs::JS_VALUE_GET_NORM_TAG(value) == qjs::JS_TAG_SYMBOL;
            let shown = if is_symbol {
                self.call_method(value, c"toString")?
            } else {
                Some(HeldValue::share(self.ctx, value))
            };
            let shown = shown.as_ref().map_or(qjs::JS_UNDEFINED, HeldValue::get);
            let text = qjs::JS_ToCStringLen2(self.ctx, std::ptr::null_mut(), shown, false);
            if !text.is_null() {
                qjs::JS_ThrowPlainError(self.ctx, c"%s could not be cloned.".as_ptr(), text);
                qjs::JS_FreeCString(self.ctx, text);
            }
        }
        Err(PrintException)
    }

    fn fail<T>(&mut self, message: &CStr) -> Result<T, PrintException> {
        // SAFETY: the message is a format without directives.
        unsafe { qjs::JS_ThrowTypeError(self.ctx, message.as_ptr()) };
        Err(PrintException)
    }
}

/// Writes the commas between members.
struct MemberWriter {
    is_first: bool,
}

impl MemberWriter {
    fn open(out: &mut String) -> Self {
        out.push('{');
        MemberWriter { is_first: true }
    }

    fn separate(&mut self, out: &mut String) {
        if !std::mem::take(&mut self.is_first) {
            out.push(',');
        }
    }
}

/// The names of an object's own enumerable members, in their order.
struct OwnNames {
    ctx: *mut qjs::JSContext,
    table: *mut qjs::JSPropertyEnum,
    length: u32,
}

impl OwnNames {
    fn of(ctx: *mut qjs::JSContext, object: qjs::JSValue) -> Result<Self, PrintException> {
        let (mut table, mut length) = (std::ptr::null_mut(), 0);
        let flags = (qjs::JS_GPN_STRING_MASK | qjs::JS_GPN_ENUM_ONLY) as std::ffi::c_int;
        // SAFETY: the context is alive, and the value is an object.
        let status = unsafe {
            qjs::JS_GetOwnPropertyNames(ctx, &raw mut table, &raw mut length, object, flags)
        };
        if status < 0 { Err(PrintException) } else { Ok(OwnNames { ctx, table, length }) }
    }

    fn iter(&self) -> impl Iterator<Item = qjs::JSAtom> {
        // SAFETY: the table is valid for its length as long as this lives.
        (0..self.length as usize).map(|position| unsafe { (*self.table.add(position)).atom })
    }
}

impl Drop for OwnNames {
    fn drop(&mut self) {
        // SAFETY: the table and its atoms belong to this.
        unsafe { qjs::JS_FreePropertyEnum(self.ctx, self.table, self.length) }
    }
}

/// Writes a string in quotes. A lone surrogate, which UTF-8 cannot contain, is escaped.
fn write_string(out: &mut String, bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        mapping::json::write_string(out, text);
        return;
    }
    let mut quoted = String::new();
    out.push('"');
    let mut rest = bytes;
    while !rest.is_empty() {
        let (valid, invalid) = match std::str::from_utf8(rest) {
            Ok(text) => (text, &[][..]),
            Err(error) => {
                let (valid, invalid) = rest.split_at(error.valid_up_to());
                (std::str::from_utf8(valid).unwrap_or_default(), invalid)
            }
        };
        quoted.clear();
        mapping::json::write_string(&mut quoted, valid);
        out.push_str(&quoted[1..quoted.len() - 1]);
        rest = match *invalid {
            [0xed, second, third, ..] => {
                let unit = 0xd000 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f);
                out.push_str(&format!("\\u{unit:04x}"));
                &invalid[3..]
            }
            [_, ref rest @ ..] => rest,
            [] => &[],
        };
    }
    out.push('"');
}
