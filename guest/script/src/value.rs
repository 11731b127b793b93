//! Values and names of QuickJS that Rust owns, and the comparison of values.

use std::fmt;

use rquickjs::qjs;

/// Whether two values are the same: equal primitives, or the same string or object in memory.
///
/// Two strings with the same text can differ here. That only costs the text's original escapes.
pub(crate) fn is_same(a: qjs::JSValue, b: qjs::JSValue) -> bool {
    // SAFETY: reading the tag and the immediate part of a value has no conditions; the part that is
    // read is that of the tag.
    unsafe {
        let tag = qjs::JS_VALUE_GET_NORM_TAG(a);
        if tag != qjs::JS_VALUE_GET_NORM_TAG(b) {
            return false;
        }
        match tag {
            qjs::JS_TAG_FLOAT64 => {
                qjs::JS_VALUE_GET_FLOAT64(a).to_bits() == qjs::JS_VALUE_GET_FLOAT64(b).to_bits()
            }
            _ if qjs::JS_VALUE_HAS_REF_COUNT(a) => {
                qjs::JS_VALUE_GET_PTR(a) == qjs::JS_VALUE_GET_PTR(b)
            }
            _ => qjs::JS_VALUE_GET_INT(a) == qjs::JS_VALUE_GET_INT(b),
        }
    }
}

/// Whether the value stands for an exception that is pending in the context.
pub(crate) fn is_exception(value: qjs::JSValue) -> bool {
    // SAFETY: reading a tag has no conditions.
    unsafe { qjs::JS_IsException(value) }
}

/// A reference to a value, which is released when this is dropped.
pub(crate) struct HeldValue {
    runtime: *mut qjs::JSRuntime,
    value: qjs::JSValue,
}

impl HeldValue {
    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// The value belongs to the context's runtime, the caller gives up one reference, and the
    /// runtime lives longer than this.
    pub(crate) unsafe fn new(ctx: *mut qjs::JSContext, value: qjs::JSValue) -> Self {
        // SAFETY: the context is alive.
        HeldValue { runtime: unsafe { qjs::JS_GetRuntime(ctx) }, value }
    }

    /// Creates another reference to a value.
    ///
    /// # Safety
    ///
    /// The value is alive and belongs to the context's runtime, which lives longer than this.
    pub(crate) unsafe fn share(ctx: *mut qjs::JSContext, value: qjs::JSValue) -> Self {
        // SAFETY: the caller's condition.
        unsafe { HeldValue::new(ctx, qjs::JS_DupValue(ctx, value)) }
    }

    pub(crate) fn get(&self) -> qjs::JSValue {
        self.value
    }
}

impl Clone for HeldValue {
    fn clone(&self) -> Self {
        // SAFETY: the value is alive as long as this.
        let value = unsafe { qjs::JS_DupValueRT(self.runtime, self.value) };
        HeldValue { runtime: self.runtime, value }
    }
}

impl Drop for HeldValue {
    fn drop(&mut self) {
        // SAFETY: this owns one reference, and the runtime is alive.
        unsafe { qjs::JS_FreeValueRT(self.runtime, self.value) }
    }
}

impl fmt::Debug for HeldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldValue")
    }
}

/// A reference to the name of a member, which is released when this is dropped.
pub(crate) struct HeldName {
    runtime: *mut qjs::JSRuntime,
    name: qjs::JSAtom,
}

impl HeldName {
    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// The name belongs to the context's runtime, the caller gives up one reference, and the
    /// runtime lives longer than this.
    pub(crate) unsafe fn new(ctx: *mut qjs::JSContext, name: qjs::JSAtom) -> Self {
        // SAFETY: the context is alive.
        HeldName { runtime: unsafe { qjs::JS_GetRuntime(ctx) }, name }
    }

    pub(crate) fn get(&self) -> qjs::JSAtom {
        self.name
    }

    /// Passes the name's text to a function. Returns `None` if there is no memory for it.
    pub(crate) fn with_text<T>(
        &self,
        ctx: *mut qjs::JSContext,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        let mut length = 0;
        // SAFETY: the name belongs to the context's runtime. The text is valid for its length until
        // it is released.
        unsafe {
            let text = qjs::JS_AtomToCStringLen(ctx, &raw mut length, self.name);
            if text.is_null() {
                return None;
            }
            let result = read(std::slice::from_raw_parts(text.cast(), length as usize));
            qjs::JS_FreeCString(ctx, text);
            Some(result)
        }
    }
}

impl Clone for HeldName {
    fn clone(&self) -> Self {
        // SAFETY: the name is alive as long as this.
        let name = unsafe { qjs::JS_DupAtomRT(self.runtime, self.name) };
        HeldName { runtime: self.runtime, name }
    }
}

impl Drop for HeldName {
    fn drop(&mut self) {
        // SAFETY: this owns one reference, and the runtime is alive.
        unsafe { qjs::JS_FreeAtomRT(self.runtime, self.name) }
    }
}
