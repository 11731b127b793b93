//! Scripts that are not modules, compiled once and evaluated in many contexts.

use std::ffi::{CString, c_int};

use rquickjs::{Ctx, Error, Value, qjs};

use crate::settings::SourceFile;
use crate::value::{HeldValue, is_exception};

/// Compiles a script to bytecode.
pub(crate) fn compile_script(ctx: &Ctx<'_>, name: &str, code: &str) -> rquickjs::Result<Vec<u8>> {
    let length = code.len();
    let code = CString::new(code)?;
    let name = CString::new(name)?;
    let flags = (qjs::JS_EVAL_TYPE_GLOBAL | qjs::JS_EVAL_FLAG_COMPILE_ONLY) as c_int;
    let raw = ctx.as_raw().as_ptr();
    // SAFETY: code and name end with a zero, and the compiled function is released after it has been
    // written. The bytes belong to QuickJS until they are released.
    unsafe {
        let compiled = qjs::JS_Eval(raw, code.as_ptr(), length as _, name.as_ptr(), flags);
        let compiled = HeldValue::new(raw, compiled);
        if is_exception(compiled.get()) {
            return Err(Error::Exception);
        }
        let mut size = 0;
        let write_flags = qjs::JS_WRITE_OBJ_BYTECODE as c_int;
        let written = qjs::JS_WriteObject(raw, &raw mut size, compiled.get(), write_flags);
        if written.is_null() {
            return Err(Error::Exception);
        }
        let bytecode = std::slice::from_raw_parts(written, size as usize).to_vec();
        qjs::js_free(raw, written.cast());
        Ok(bytecode)
    }
}

/// Compiles a file that is not a module.
pub(crate) fn compile_file(ctx: &Ctx<'_>, file: &SourceFile) -> rquickjs::Result<Vec<u8>> {
    compile_script(ctx, &file.name, &file.code)
}

/// Evaluates a compiled script. Returns the value of its last expression.
pub(crate) fn evaluate<'js>(ctx: &Ctx<'js>, bytecode: &[u8]) -> rquickjs::Result<Value<'js>> {
    let raw = ctx.as_raw().as_ptr();
    // SAFETY: only `compile_script` of this process creates bytecode. `JS_EvalFunction` takes over the
    // function, and the result is owned.
    unsafe {
        let flags = qjs::JS_READ_OBJ_BYTECODE as c_int;
        let function = qjs::JS_ReadObject(raw, bytecode.as_ptr(), bytecode.len() as _, flags);
        if is_exception(function) {
            return Err(Error::Exception);
        }
        let result = qjs::JS_EvalFunction(raw, function);
        if is_exception(result) {
            return Err(Error::Exception);
        }
        Ok(Value::from_raw(ctx.clone(), result))
    }
}
