//! Events as objects of JavaScript that are parsed on first access.
//!
//! An event's object reads its text only if a script asks for a member, and then only one level of
//! it. Each member remembers its place in the text, so that [`printer`](crate::printer) can copy
//! what a script has not changed, byte for byte. For a script, the object is an ordinary one: its
//! prototype is `Object.prototype`, and its members can be read, set, deleted, listed and defined.
//!
//! QuickJS calls the methods of this module for every access, since the object has no properties of
//! its own as far as QuickJS knows. Arrays are ordinary arrays, created with all their elements; an
//! [`ArrayTrace`] remembers the elements' places.

mod members;

use std::cell::RefCell;
use std::ffi::{CStr, c_int, c_void};
use std::rc::Rc;

use rquickjs::qjs;

use crate::json_text;
use crate::value::{HeldName, HeldValue, is_exception, is_same};
use members::{MemberSlot, ObjectMember, ObjectMembers, Place};

/// The maximum depth of arrays in each other. An array is created with the arrays in it, so a deeper
/// one could overflow the stack.
const ARRAY_DEPTH_MAX: usize = 512;

/// The text of an event, which its objects share.
#[derive(Debug)]
pub(crate) struct ScriptEventText {
    /// The text, a JSON object.
    pub(crate) text: String,
    /// The event's position in its batch.
    pub(crate) position: u32,
}

impl ScriptEventText {
    /// The part of the text at this range.
    pub(crate) fn slice(&self, (start, end): (u32, u32)) -> &str {
        &self.text[start as usize..end as usize]
    }
}

/// The class of events' objects in one runtime.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventClass(qjs::JSClassID);

/// An object of an event's text.
pub(crate) struct ObjectNode {
    source: Rc<ScriptEventText>,
    /// The range of the object in the text, with its braces.
    range: (u32, u32),
    /// `None` until a script asks for a member.
    members: Option<ObjectMembers>,
    /// Whether members were set, added or removed. Changes within members are theirs.
    has_changed: bool,
}

/// A value could not be created. The exception is pending in the context.
struct ValueException;

/// The elements of an array as they stand in the text.
pub(crate) struct ArrayTrace {
    source: Rc<ScriptEventText>,
    elements: Vec<TracedElement>,
}

struct TracedElement {
    place: (u32, u32),
    value: HeldValue,
    trace: Option<Rc<ArrayTrace>>,
}

/// What a printer sees of a member. It borrows nothing, because printing can call a script, which
/// can change the object.
pub(crate) enum PrintedMember {
    /// The member as written at these positions of the text: key, colon and value.
    Unchanged(u32, u32),
    /// A member with another value, or with changes within its value.
    Changed {
        name: HeldName,
        value: HeldValue,
        traced: Option<Rc<ArrayTrace>>,
        /// The object of the text in whose place the value is, which can be a copy of it.
        former: Option<HeldValue>,
    },
    /// A member whose value a getter returns.
    Computed(HeldName),
}

/// What a printer sees of a member of a copy.
pub(crate) enum CopiedMember {
    /// The value as written at this range of the text.
    Text(Rc<ScriptEventText>, (u32, u32)),
    /// The same value, with changes within it.
    Same(Option<Rc<ArrayTrace>>),
    /// Another value. It can be a copy of this object of the text.
    Other(Option<HeldValue>),
}

const ALL_FLAGS: c_int = qjs::JS_PROP_C_W_E as c_int;

/// The number of members for which an object has space at first: that of most events.
const MEMBERS_TYPICAL: usize = 16;

impl EventClass {
    /// Registers the class in a runtime.
    pub(crate) fn register(runtime: *mut qjs::JSRuntime) -> Self {
        let mut id = 0;
        let exotic = Box::leak(Box::new(qjs::JSClassExoticMethods {
            get_own_property: Some(get_own_property),
            get_own_property_names: Some(list_names),
            delete_property: Some(delete_property),
            define_own_property: Some(define_property),
            has_property: None,
            get_property: Some(get_property),
            set_property: Some(set_property),
        }));
        let definition = qjs::JSClassDef {
            class_name: c"Object".as_ptr(),
            finalizer: Some(finalize),
            gc_mark: Some(mark_values),
            call: None,
            exotic,
        };
        // SAFETY: the runtime is alive. QuickJS copies the definition and keeps the pointer to the
        // methods, which live for ever: there is one runtime for each instance of the component.
        unsafe {
            qjs::JS_NewClassID(runtime, &raw mut id);
            qjs::JS_NewClass(runtime, id, &raw const definition);
        }
        EventClass(id)
    }

    /// Gives the objects of a context the prototype of ordinary objects.
    pub(crate) fn prepare_context(self, ctx: &rquickjs::Ctx<'_>) -> rquickjs::Result<()> {
        let object: rquickjs::Object<'_> = ctx.globals().get("Object")?;
        let prototype: rquickjs::Value<'_> = object.get("prototype")?;
        // SAFETY: the context is alive, and the class is registered in its runtime.
        // `JS_SetClassProto` takes over the reference that `JS_DupValue` creates.
        unsafe {
            let raw = ctx.as_raw().as_ptr();
            let prototype = qjs::JS_DupValue(raw, prototype.as_raw());
            qjs::JS_SetClassProto(raw, self.0, prototype);
        }
        Ok(())
    }

    /// Creates the object of an event.
    pub(crate) fn create<'js>(
        self,
        ctx: &rquickjs::Ctx<'js>,
        source: &Rc<ScriptEventText>,
    ) -> rquickjs::Result<rquickjs::Value<'js>> {
        let (start, end) = json_text::trim_range(&source.text);
        // SAFETY: the context is alive, and the new value's reference goes to the result.
        unsafe {
            let value = self.create_node(ctx.as_raw().as_ptr(), source, (start, end));
            if qjs::JS_IsException(value) {
                return Err(rquickjs::Error::Exception);
            }
            Ok(rquickjs::Value::from_raw(ctx.clone(), value))
        }
    }

    /// Creates an object for a range of a text.
    ///
    /// # Safety
    ///
    /// The context is alive and prepared.
    unsafe fn create_node(
        self,
        ctx: *mut qjs::JSContext,
        source: &Rc<ScriptEventText>,
        range: (u32, u32),
    ) -> qjs::JSValue {
        let node =
            ObjectNode { source: Rc::clone(source), range, members: None, has_changed: false };
        // SAFETY: the object owns the node from here on, and `finalize` takes it back.
        unsafe {
            let object = qjs::JS_NewObjectClass(ctx, self.0);
            if !qjs::JS_IsException(object) {
                let node = Box::into_raw(Box::new(RefCell::new(node)));
                qjs::JS_SetOpaque(object, node.cast::<c_void>());
            }
            object
        }
    }

    /// The node of an event's object. `None` for other values.
    pub(crate) fn node(self, value: &qjs::JSValue) -> Option<&RefCell<ObjectNode>> {
        // SAFETY: objects of the class own a node for their whole life, and the caller's value keeps
        // the object alive.
        unsafe {
            if !qjs::JS_IsObject(*value) {
                return None;
            }
            qjs::JS_GetOpaque(*value, self.0).cast::<RefCell<ObjectNode>>().as_ref()
        }
    }

    /// Whether a value that came from a text is still as it stands there. `trace` is that of an
    /// array.
    ///
    /// Reading an element can call a getter that a script has defined, and a getter can change any
    /// object. So no object is borrowed meanwhile.
    fn is_unchanged(
        self,
        ctx: *mut qjs::JSContext,
        value: qjs::JSValue,
        trace: Option<&ArrayTrace>,
    ) -> bool {
        if let Some(node) = self.node(&value) {
            return self.is_node_unchanged(ctx, node);
        }
        let Some(trace) = trace else { return true };
        let mut length = 0;
        // SAFETY: the value is an array that the caller keeps alive.
        if unsafe { qjs::JS_GetLength(ctx, value, &raw mut length) } < 0 {
            discard_exception(ctx);
            return false;
        }
        usize::try_from(length) == Ok(trace.elements.len())
            && (0..).zip(&trace.elements).all(|(position, element)| {
                // SAFETY: as above. The element is released when it is dropped.
                let current = unsafe {
                    let current = qjs::JS_GetPropertyUint32(ctx, value, position);
                    HeldValue::new(ctx, current)
                };
                if is_exception(current.get()) {
                    // Printing reads the element again, and reports the error.
                    discard_exception(ctx);
                    return false;
                }
                is_same(current.get(), element.value.get())
                    && self.is_unchanged(ctx, current.get(), element.trace.as_deref())
            })
    }

    fn is_node_unchanged(self, ctx: *mut qjs::JSContext, node: &RefCell<ObjectNode>) -> bool {
        let mut start = 0;
        loop {
            let (position, value, trace) = {
                let node = node.borrow();
                if node.has_changed {
                    return false;
                }
                let Some(members) = &node.members else { return true };
                let next = members.from(start).find_map(|(position, member)| match &member.slot {
                    // Another value than an object or array cannot change by itself.
                    MemberSlot::Value(value, trace) if is_object(value.get()) => {
                        Some((position, value.clone(), trace.clone()))
                    }
                    _ => None,
                });
                let Some(next) = next else { return true };
                next
            };
            if !self.is_unchanged(ctx, value.get(), trace.as_deref()) {
                return false;
            }
            start = position + 1;
        }
    }

    /// The text of an object, if neither the object nor anything in it has changed.
    pub(crate) fn unchanged_text(
        self,
        ctx: *mut qjs::JSContext,
        node: &RefCell<ObjectNode>,
    ) -> Option<(Rc<ScriptEventText>, (u32, u32))> {
        if !self.is_node_unchanged(ctx, node) {
            return None;
        }
        let node = node.borrow();
        Some((Rc::clone(&node.source), node.range))
    }

    /// The members that a printer writes, in their order, and the text that they stand in.
    pub(crate) fn printed_members(
        self,
        ctx: *mut qjs::JSContext,
        node: &RefCell<ObjectNode>,
    ) -> (Rc<ScriptEventText>, Vec<PrintedMember>) {
        let mut printed = Vec::new();
        let mut places = Vec::new();
        let source = {
            let node = node.borrow();
            let members = node.members.iter().flat_map(ObjectMembers::iter);
            for member in members.filter(|member| member.is_enumerable()) {
                places.push(member.place);
                printed.push(match (&member.slot, member.place) {
                    (MemberSlot::Unread, Some(place)) => {
                        PrintedMember::Unchanged(place.key, place.end)
                    }
                    (MemberSlot::Value(value, trace), _) => {
                        let (name, value) = (member.name.clone(), value.clone());
                        let (traced, former) = (trace.clone(), member.former.clone());
                        PrintedMember::Changed { name, value, traced, former }
                    }
                    _ => PrintedMember::Computed(member.name.clone()),
                });
            }
            Rc::clone(&node.source)
        };
        for (printed, place) in printed.iter_mut().zip(places) {
            if let (PrintedMember::Changed { value, traced, .. }, Some(place)) = (&*printed, place)
                && self.is_unchanged(ctx, value.get(), traced.as_deref())
            {
                *printed = PrintedMember::Unchanged(place.key, place.end);
            }
        }
        (source, printed)
    }

    /// What a copy of the object keeps of a member that has the same value there.
    pub(crate) fn copied_member(
        self,
        ctx: *mut qjs::JSContext,
        node: &RefCell<ObjectNode>,
        name: qjs::JSAtom,
        value: qjs::JSValue,
    ) -> CopiedMember {
        let (source, place, trace) = {
            let node = node.borrow();
            let member = node.members.as_ref().and_then(|members| members.get(name));
            let Some(ObjectMember {
                slot: MemberSlot::Value(own, trace), place: Some(place), ..
            }) = member
            else {
                return CopiedMember::Other(None);
            };
            if !is_same(own.get(), value) {
                // An object in place of an object of the text is often a copy of it.
                let original = self.node(&own.get()).map(|_| own.clone());
                return CopiedMember::Other(original);
            }
            (Rc::clone(&node.source), *place, trace.clone())
        };
        if self.is_unchanged(ctx, value, trace.as_deref()) {
            CopiedMember::Text(source, (place.value, place.end))
        } else {
            CopiedMember::Same(trace)
        }
    }
}

impl ObjectMember {
    fn is_enumerable(&self) -> bool {
        self.flags & qjs::JS_PROP_ENUMERABLE as c_int != 0
    }
}

impl ObjectNode {
    /// The position of the node's event in its batch, and whether the node is the whole event.
    pub(crate) fn event(&self) -> (u32, bool) {
        let is_whole = self.range == json_text::trim_range(&self.source.text);
        (self.source.position, is_whole)
    }

    /// Finds the members in the text. Of members with the same name, the last one counts, at the
    /// place of the first one.
    ///
    /// # Safety
    ///
    /// The context is alive.
    unsafe fn read_members(&mut self, ctx: *mut qjs::JSContext) -> &mut ObjectMembers {
        let ObjectNode { source, range, members, .. } = self;
        members.get_or_insert_with(|| {
            let mut found = ObjectMembers::with_capacity(MEMBERS_TYPICAL);
            for part in json_text::members(&source.text, *range) {
                // SAFETY: the caller's condition. The member owns the name.
                let name = unsafe {
                    let name = json_text::create_atom(ctx, part.name, part.has_escapes);
                    HeldName::new(ctx, name)
                };
                let place = Some(Place { key: part.key, value: part.value, end: part.end });
                if let Some(earlier) = found.get_mut(name.get()) {
                    earlier.place = place;
                    continue;
                }
                found.note_name(part.name);
                let slot = MemberSlot::Unread;
                found.push(ObjectMember { name, place, slot, flags: ALL_FLAGS, former: None });
            }
            found
        })
    }
}

/// Reads a member's value if that has not been done. Returns the position of the member, if there is
/// such a member.
///
/// # Safety
///
/// The context is alive, and belongs to the runtime of the class.
unsafe fn read_member(
    class: EventClass,
    ctx: *mut qjs::JSContext,
    node: &RefCell<ObjectNode>,
    name: qjs::JSAtom,
) -> Result<Option<usize>, ValueException> {
    let (source, position, place) = {
        let mut node = node.borrow_mut();
        // SAFETY: the caller's condition.
        let members = unsafe { node.read_members(ctx) };
        let Some(position) = members.position(name) else { return Ok(None) };
        match members.at(position) {
            Some(ObjectMember { slot: MemberSlot::Unread, place: Some(place), .. }) => {
                let place = *place;
                (Rc::clone(&node.source), position, place)
            }
            _ => return Ok(Some(position)),
        }
    };
    // The node is not borrowed here, because creating an object can run the garbage collector. That
    // calls no script, so the position stays.
    let range = (place.value, place.end);
    // SAFETY: the caller's condition.
    let (value, trace) = unsafe { create_value(class, ctx, &source, range, 0) }?;
    let mut node = node.borrow_mut();
    if let Some(member) = node.members.as_mut().and_then(|members| members.at_mut(position)) {
        member.slot = MemberSlot::Value(value, trace);
    }
    Ok(Some(position))
}

/// Creates the value at a range of an event's text, in this many arrays that are being created.
///
/// # Safety
///
/// The context is alive, and belongs to the runtime of the class.
unsafe fn create_value(
    class: EventClass,
    ctx: *mut qjs::JSContext,
    source: &Rc<ScriptEventText>,
    range: (u32, u32),
    depth: usize,
) -> Result<(HeldValue, Option<Rc<ArrayTrace>>), ValueException> {
    let text = source.slice(range);
    // SAFETY: the caller's condition. Each new value is held at once.
    let (value, trace) = unsafe {
        match text.as_bytes().first() {
            Some(b'{') => (HeldValue::new(ctx, class.create_node(ctx, source, range)), None),
            Some(b'[') => create_array(class, ctx, source, range, depth)?,
            _ => (HeldValue::new(ctx, json_text::create_scalar(ctx, text)), None),
        }
    };
    if is_exception(value.get()) { Err(ValueException) } else { Ok((value, trace)) }
}

/// Creates an array with all its elements.
///
/// # Safety
///
/// The context is alive, and belongs to the runtime of the class.
unsafe fn create_array(
    class: EventClass,
    ctx: *mut qjs::JSContext,
    source: &Rc<ScriptEventText>,
    range: (u32, u32),
    depth: usize,
) -> Result<(HeldValue, Option<Rc<ArrayTrace>>), ValueException> {
    // SAFETY: the caller's condition. `JS_DefinePropertyValueUint32` takes over a reference.
    unsafe {
        if depth >= ARRAY_DEPTH_MAX {
            let message = c"the event has arrays nested more than %d levels deep";
            qjs::JS_ThrowRangeError(ctx, message.as_ptr(), ARRAY_DEPTH_MAX as c_int);
            return Err(ValueException);
        }
        let array = HeldValue::new(ctx, qjs::JS_NewArray(ctx));
        if is_exception(array.get()) {
            return Err(ValueException);
        }
        let mut elements = Vec::new();
        for (position, place) in (0..).zip(json_text::elements(&source.text, range)) {
            let (value, trace) = create_value(class, ctx, source, place, depth + 1)?;
            let element = qjs::JS_DupValue(ctx, value.get());
            let flags = ALL_FLAGS;
            if qjs::JS_DefinePropertyValueUint32(ctx, array.get(), position, element, flags) < 0 {
                return Err(ValueException);
            }
            elements.push(TracedElement { place, value, trace });
        }
        let source = Rc::clone(source);
        Ok((array, Some(Rc::new(ArrayTrace { source, elements }))))
    }
}

impl ArrayTrace {
    /// The text of an element, if it is the value at this position and has not changed. Otherwise
    /// the trace of the element, if it is the same array.
    pub(crate) fn element(
        &self,
        class: EventClass,
        ctx: *mut qjs::JSContext,
        position: usize,
        value: qjs::JSValue,
    ) -> Result<&str, Option<&Rc<ArrayTrace>>> {
        let Some(element) = self.elements.get(position) else { return Err(None) };
        if !is_same(element.value.get(), value) {
            return Err(None);
        }
        if class.is_unchanged(ctx, value, element.trace.as_deref()) {
            return Ok(self.source.slice(element.place));
        }
        Err(element.trace.as_ref())
    }
}

/// The node of an object of the class, in a callback of QuickJS.
///
/// # Safety
///
/// The value is an object of the class, which lives as long as the result is used.
unsafe fn node_of<'a>(object: qjs::JSValue) -> (EventClass, &'a RefCell<ObjectNode>) {
    let mut id = 0;
    // SAFETY: the objects of the class own a node from their creation to `finalize`.
    unsafe {
        let node = qjs::JS_GetAnyOpaque(object, &raw mut id).cast::<RefCell<ObjectNode>>();
        (EventClass(id), node.as_ref().expect("objects of the class have a node"))
    }
}

unsafe extern "C" fn get_own_property(
    ctx: *mut qjs::JSContext,
    descriptor: *mut qjs::JSPropertyDescriptor,
    object: qjs::JSValue,
    name: qjs::JSAtom,
) -> c_int {
    // SAFETY: QuickJS calls this for an object of the class that it keeps alive, with a living
    // context; the descriptor is null or valid for writing. What is written there are new references.
    unsafe {
        let (class, node) = node_of(object);
        if descriptor.is_null() {
            return c_int::from(node.borrow_mut().read_members(ctx).position(name).is_some());
        }
        let position = match read_member(class, ctx, node, name) {
            Ok(Some(position)) => position,
            Ok(None) => return 0,
            Err(ValueException) => return -1,
        };
        let node = node.borrow();
        let member = node.members.as_ref().and_then(|members| members.at(position));
        let (Some(member), Some(descriptor)) = (member, descriptor.as_mut()) else { return 0 };
        descriptor.flags = member.flags;
        descriptor.value = qjs::JS_UNDEFINED;
        descriptor.getter = qjs::JS_UNDEFINED;
        descriptor.setter = qjs::JS_UNDEFINED;
        match &member.slot {
            MemberSlot::Value(value, _) => descriptor.value = qjs::JS_DupValue(ctx, value.get()),
            MemberSlot::Accessor(getter, setter) => {
                descriptor.flags |= qjs::JS_PROP_GETSET as c_int;
                descriptor.getter = qjs::JS_DupValue(ctx, getter.get());
                descriptor.setter = qjs::JS_DupValue(ctx, setter.get());
            }
            MemberSlot::Unread => {}
        }
        1
    }
}

unsafe extern "C" fn get_property(
    ctx: *mut qjs::JSContext,
    object: qjs::JSValue,
    name: qjs::JSAtom,
    receiver: qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: as for `get_own_property`. What is returned is a new reference.
    unsafe {
        let (class, node) = node_of(object);
        let position = match read_member(class, ctx, node, name) {
            Ok(Some(position)) => position,
            Ok(None) => return get_inherited(ctx, object, name, receiver),
            Err(ValueException) => return qjs::JS_EXCEPTION,
        };
        let getter = {
            let node = node.borrow();
            let member = node.members.as_ref().and_then(|members| members.at(position));
            match member.map(|member| &member.slot) {
                Some(MemberSlot::Value(value, _)) => return qjs::JS_DupValue(ctx, value.get()),
                Some(MemberSlot::Accessor(getter, _)) => getter.clone(),
                Some(MemberSlot::Unread) | None => return qjs::JS_UNDEFINED,
            }
        };
        call_getter(ctx, getter.get(), receiver)
    }
}

/// The value of a property that the object's prototypes have.
///
/// # Safety
///
/// The context and the values are alive. The result is a new reference.
unsafe fn get_inherited(
    ctx: *mut qjs::JSContext,
    object: qjs::JSValue,
    name: qjs::JSAtom,
    receiver: qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: the caller's condition.
    unsafe {
        match find_inherited(ctx, object, name) {
            Ok(None) => qjs::JS_UNDEFINED,
            Ok(Some(InheritedProperty::Value { value, .. })) => qjs::JS_DupValue(ctx, value.get()),
            Ok(Some(InheritedProperty::Accessor { getter, .. })) => {
                call_getter(ctx, getter.get(), receiver)
            }
            Err(ValueException) => qjs::JS_EXCEPTION,
        }
    }
}

/// A property that a prototype of an object has.
enum InheritedProperty {
    Value { value: HeldValue, is_writable: bool },
    Accessor { getter: HeldValue, setter: HeldValue },
}

/// Finds the property of the first prototype that has one of this name.
///
/// # Safety
///
/// The context and the object are alive.
unsafe fn find_inherited(
    ctx: *mut qjs::JSContext,
    object: qjs::JSValue,
    name: qjs::JSAtom,
) -> Result<Option<InheritedProperty>, ValueException> {
    // SAFETY: the caller's condition. Each value that QuickJS returns is held at once.
    unsafe {
        let mut prototype = HeldValue::new(ctx, qjs::JS_GetPrototype(ctx, object));
        while is_object(prototype.get()) {
            let mut found = qjs::JSPropertyDescriptor {
                flags: 0,
                value: qjs::JS_UNDEFINED,
                getter: qjs::JS_UNDEFINED,
                setter: qjs::JS_UNDEFINED,
            };
            match qjs::JS_GetOwnProperty(ctx, &raw mut found, prototype.get(), name) {
                0 => {}
                1 => {
                    let [value, getter, setter] = [found.value, found.getter, found.setter]
                        .map(|value| HeldValue::new(ctx, value));
                    let has = |flag: u32| found.flags & flag as c_int != 0;
                    return Ok(Some(if has(qjs::JS_PROP_GETSET) {
                        InheritedProperty::Accessor { getter, setter }
                    } else {
                        let is_writable = has(qjs::JS_PROP_WRITABLE);
                        InheritedProperty::Value { value, is_writable }
                    }));
                }
                _ => return Err(ValueException),
            }
            prototype = HeldValue::new(ctx, qjs::JS_GetPrototype(ctx, prototype.get()));
        }
        if is_exception(prototype.get()) { Err(ValueException) } else { Ok(None) }
    }
}

/// Calls a getter, if there is one.
///
/// # Safety
///
/// The context and the values are alive. The result is a new reference.
unsafe fn call_getter(
    ctx: *mut qjs::JSContext,
    getter: qjs::JSValue,
    receiver: qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: the caller's condition.
    unsafe {
        if !qjs::JS_IsFunction(ctx, getter) {
            return qjs::JS_UNDEFINED;
        }
        qjs::JS_Call(ctx, getter, receiver, 0, std::ptr::null_mut())
    }
}

unsafe extern "C" fn list_names(
    ctx: *mut qjs::JSContext,
    table: *mut *mut qjs::JSPropertyEnum,
    length: *mut u32,
    object: qjs::JSValue,
) -> c_int {
    // SAFETY: as for `get_own_property`. QuickJS frees the table and its atoms.
    unsafe {
        let (_, node) = node_of(object);
        let mut node = node.borrow_mut();
        let members = node.read_members(ctx);
        let size = size_of::<qjs::JSPropertyEnum>() * members.len().max(1);
        let names = qjs::js_malloc(ctx, size as _).cast::<qjs::JSPropertyEnum>();
        if names.is_null() {
            return -1;
        }
        for (position, member) in members.in_listed_order(ctx).into_iter().enumerate() {
            let (is_enumerable, atom) = (member.is_enumerable(), member.name.get());
            let atom = qjs::JS_DupAtom(ctx, atom);
            names.add(position).write(qjs::JSPropertyEnum { is_enumerable, atom });
        }
        *table = names;
        *length = u32::try_from(members.len()).expect("fewer members than bytes of the text");
        0
    }
}

unsafe extern "C" fn delete_property(
    ctx: *mut qjs::JSContext,
    object: qjs::JSValue,
    name: qjs::JSAtom,
) -> c_int {
    // SAFETY: as for `get_own_property`. The member is released once nothing refers to it.
    unsafe {
        let (_, node) = node_of(object);
        let mut node = node.borrow_mut();
        let members = node.read_members(ctx);
        let Some(position) = members.position(name) else { return 1 };
        let flags = members.get(name).map_or(0, |member| member.flags);
        if flags & qjs::JS_PROP_CONFIGURABLE as c_int == 0 {
            return 0;
        }
        let removed = members.remove(position);
        node.has_changed = true;
        // Releasing a value can run finalizers, so the node is not borrowed then.
        drop(node);
        drop(removed);
        1
    }
}

unsafe extern "C" fn set_property(
    ctx: *mut qjs::JSContext,
    object: qjs::JSValue,
    name: qjs::JSAtom,
    value: qjs::JSValue,
    receiver: qjs::JSValue,
    flags: c_int,
) -> c_int {
    // SAFETY: as for `get_own_property`. The value's reference stays the caller's.
    unsafe {
        let (_, node) = node_of(object);
        let own = {
            let mut node = node.borrow_mut();
            let member = node.read_members(ctx).get(name);
            member.map(|member| match &member.slot {
                MemberSlot::Accessor(_, setter) => Err(setter.clone()),
                _ => Ok(member.flags & qjs::JS_PROP_WRITABLE as c_int != 0),
            })
        };
        let is_new = own.is_none();
        let found = match own {
            Some(own) => own,
            // The setter of `__proto__` is one that all objects inherit.
            None => match find_inherited(ctx, object, name) {
                Ok(Some(InheritedProperty::Accessor { setter, .. })) => Err(setter),
                Ok(Some(InheritedProperty::Value { is_writable, .. })) => Ok(is_writable),
                Ok(None) => Ok(true),
                Err(ValueException) => return -1,
            },
        };
        match found {
            Ok(true) => {}
            Ok(false) => return refuse(ctx, flags, name, READ_ONLY),
            Err(setter) if qjs::JS_IsFunction(ctx, setter.get()) => {
                let mut arguments = [value];
                let result = qjs::JS_Call(ctx, setter.get(), receiver, 1, arguments.as_mut_ptr());
                let result = HeldValue::new(ctx, result);
                return if is_exception(result.get()) { -1 } else { 1 };
            }
            Err(_) => return refuse(ctx, flags, name, ONLY_GETTER),
        }
        if !is_same(object, receiver) {
            // The object is the prototype of another one, which has no such property.
            match qjs::JS_IsExtensible(ctx, receiver) {
                1 => {}
                0 => return refuse(ctx, flags, name, NOT_EXTENSIBLE_ADD),
                _ => return -1,
            }
            let value = qjs::JS_DupValue(ctx, value);
            return qjs::JS_DefinePropertyValue(ctx, receiver, name, value, ALL_FLAGS | flags);
        }
        let flags = flags | (qjs::JS_PROP_HAS_VALUE | qjs::JS_PROP_C_W_E) as c_int;
        let undefined = qjs::JS_UNDEFINED;
        if !is_new {
            return define_property(ctx, object, name, value, undefined, undefined, flags);
        }
        let definition = Definition { value, getter: undefined, setter: undefined, flags };
        add_property(ctx, object, name, definition, NOT_EXTENSIBLE_ADD)
    }
}

// The errors of V8.
const READ_ONLY: &CStr = c"Cannot assign to read only property '%s' of object '#<Object>'";
const ONLY_GETTER: &CStr = c"Cannot set property %s of #<Object> which has only a getter";
const NOT_EXTENSIBLE_ADD: &CStr = c"Cannot add property %s, object is not extensible";
const NOT_EXTENSIBLE_DEFINE: &CStr = c"Cannot define property %s, object is not extensible";
const NOT_CONFIGURABLE: &CStr = c"Cannot redefine property: %s";

/// A definition of a property, as `Object.defineProperty` takes it.
#[derive(Clone, Copy)]
struct Definition {
    value: qjs::JSValue,
    getter: qjs::JSValue,
    setter: qjs::JSValue,
    /// Which parts are given, and the attributes, as flags of QuickJS.
    flags: c_int,
}

impl Definition {
    fn has(self, flag: u32) -> bool {
        self.flags & flag as c_int != 0
    }

    fn is_accessor(self) -> bool {
        self.has(qjs::JS_PROP_HAS_GET | qjs::JS_PROP_HAS_SET)
    }

    fn is_data(self) -> bool {
        self.has(qjs::JS_PROP_HAS_VALUE | qjs::JS_PROP_HAS_WRITABLE)
    }

    /// Whether a property that cannot be configured may be defined so.
    fn is_allowed_for(self, ctx: *mut qjs::JSContext, member: &ObjectMember) -> bool {
        let was = |flag: u32| member.flags & flag as c_int != 0;
        if self.has(qjs::JS_PROP_HAS_CONFIGURABLE) && self.has(qjs::JS_PROP_CONFIGURABLE)
            || self.has(qjs::JS_PROP_HAS_ENUMERABLE)
                && self.has(qjs::JS_PROP_ENUMERABLE) != was(qjs::JS_PROP_ENUMERABLE)
        {
            return false;
        }
        // SAFETY: the context and the values are alive.
        let is_same_value = |a, b| unsafe { qjs::JS_IsSameValue(ctx, a, b) };
        match &member.slot {
            MemberSlot::Accessor(getter, setter) => {
                !self.is_data()
                    && (!self.has(qjs::JS_PROP_HAS_GET) || is_same_value(getter.get(), self.getter))
                    && (!self.has(qjs::JS_PROP_HAS_SET) || is_same_value(setter.get(), self.setter))
            }
            MemberSlot::Value(value, _) if !was(qjs::JS_PROP_WRITABLE) => {
                let becomes_writable =
                    self.has(qjs::JS_PROP_HAS_WRITABLE) && self.has(qjs::JS_PROP_WRITABLE);
                let keeps_value =
                    !self.has(qjs::JS_PROP_HAS_VALUE) || is_same_value(value.get(), self.value);
                keeps_value && !becomes_writable && !self.is_accessor()
            }
            MemberSlot::Value(..) | MemberSlot::Unread => !self.is_accessor(),
        }
    }

    /// The slot of a property that is defined so. `current` is that of an accessor that exists.
    ///
    /// # Safety
    ///
    /// The context and the values are alive.
    unsafe fn create_slot(
        self,
        ctx: *mut qjs::JSContext,
        current: Option<&MemberSlot>,
    ) -> MemberSlot {
        // SAFETY: the caller's condition.
        let share = |value| unsafe { HeldValue::share(ctx, value) };
        if !self.is_accessor() {
            return MemberSlot::Value(share(self.value), None);
        }
        let (mut getter, mut setter) = (share(self.getter), share(self.setter));
        if let Some(MemberSlot::Accessor(own_getter, own_setter)) = current {
            if !self.has(qjs::JS_PROP_HAS_GET) {
                getter = own_getter.clone();
            }
            if !self.has(qjs::JS_PROP_HAS_SET) {
                setter = own_setter.clone();
            }
        }
        MemberSlot::Accessor(getter, setter)
    }
}

unsafe extern "C" fn define_property(
    ctx: *mut qjs::JSContext,
    object: qjs::JSValue,
    name: qjs::JSAtom,
    value: qjs::JSValue,
    getter: qjs::JSValue,
    setter: qjs::JSValue,
    flags: c_int,
) -> c_int {
    // SAFETY: as for `get_own_property`. The references of the values stay the caller's, so each one
    // that is kept is a new one. Replaced values are released once the node is no longer borrowed,
    // because that can run finalizers.
    unsafe {
        let (class, node) = node_of(object);
        let definition = Definition { value, getter, setter, flags };
        match read_member(class, ctx, node, name) {
            Ok(None) => add_property(ctx, object, name, definition, NOT_EXTENSIBLE_DEFINE),
            Ok(Some(_)) => change_property(class, ctx, node, name, definition),
            Err(ValueException) => -1,
        }
    }
}

/// Adds a member that does not exist yet. `refusal` is the error if the object takes none.
///
/// # Safety
///
/// QuickJS calls this for an object of the class that it keeps alive, with a living context.
unsafe fn add_property(
    ctx: *mut qjs::JSContext,
    object: qjs::JSValue,
    name: qjs::JSAtom,
    definition: Definition,
    refusal: &CStr,
) -> c_int {
    // SAFETY: the caller's condition. The member owns its name and its values.
    unsafe {
        match qjs::JS_IsExtensible(ctx, object) {
            1 => {}
            0 => return refuse(ctx, definition.flags, name, refusal),
            _ => return -1,
        }
        let (_, node) = node_of(object);
        let slot = definition.create_slot(ctx, None);
        let name = HeldName::new(ctx, qjs::JS_DupAtom(ctx, name));
        let mut node = node.borrow_mut();
        let members = node.read_members(ctx);
        let flags = definition.flags & ALL_FLAGS;
        members.push(ObjectMember { name, place: None, slot, flags, former: None });
        node.has_changed = true;
        1
    }
}

/// Changes a member that exists and has been read.
///
/// # Safety
///
/// The context and the values are alive.
unsafe fn change_property(
    class: EventClass,
    ctx: *mut qjs::JSContext,
    node: &RefCell<ObjectNode>,
    name: qjs::JSAtom,
    definition: Definition,
) -> c_int {
    let mut borrowed = node.borrow_mut();
    let ObjectNode { members, has_changed, .. } = &mut *borrowed;
    let Some(member) = members.as_mut().and_then(|members| members.get_mut(name)) else { return 0 };
    if member.flags & qjs::JS_PROP_CONFIGURABLE as c_int == 0
        && !definition.is_allowed_for(ctx, member)
    {
        drop(borrowed);
        // SAFETY: the caller's condition.
        return unsafe { refuse(ctx, definition.flags, name, NOT_CONFIGURABLE) };
    }
    let was_accessor = matches!(member.slot, MemberSlot::Accessor(..));
    let replaces = if definition.is_accessor() {
        true
    } else if was_accessor {
        definition.is_data()
    } else {
        // The same value keeps its text.
        let is_same_value = matches!(&member.slot, MemberSlot::Value(own, _) if is_same(own.get(), definition.value));
        definition.has(qjs::JS_PROP_HAS_VALUE) && !is_same_value
    };
    if replaces && definition.is_accessor() != was_accessor {
        // A property that becomes another kind of property is read-only unless it says otherwise.
        member.flags &= !(qjs::JS_PROP_WRITABLE as c_int);
    }
    for (has_flag, flag) in [
        (qjs::JS_PROP_HAS_CONFIGURABLE, qjs::JS_PROP_CONFIGURABLE),
        (qjs::JS_PROP_HAS_WRITABLE, qjs::JS_PROP_WRITABLE),
        (qjs::JS_PROP_HAS_ENUMERABLE, qjs::JS_PROP_ENUMERABLE),
    ] {
        if definition.has(has_flag) {
            let was = member.flags;
            member.flags = was & !(flag as c_int) | definition.flags & flag as c_int;
            // Only a member that is left out is printed otherwise.
            *has_changed |= flag == qjs::JS_PROP_ENUMERABLE && member.flags != was;
        }
    }
    let mut replaced = None;
    if replaces {
        *has_changed = true;
        member.place = None;
        // SAFETY: the caller's condition.
        let slot = unsafe { definition.create_slot(ctx, Some(&member.slot)) };
        let before = std::mem::replace(&mut member.slot, slot);
        match before {
            MemberSlot::Value(object, _) if class.node(&object.get()).is_some() => {
                member.former.get_or_insert(object);
            }
            other => replaced = Some(other),
        }
    }
    drop(borrowed);
    drop(replaced);
    1
}

/// Throws a TypeError in strict code, with the name in place of `%s`, and returns false otherwise.
///
/// # Safety
///
/// The context is alive.
unsafe fn refuse(
    ctx: *mut qjs::JSContext,
    flags: c_int,
    name: qjs::JSAtom,
    message: &CStr,
) -> c_int {
    // Modules are strict code, and so are functions in them.
    if flags & (qjs::JS_PROP_THROW | qjs::JS_PROP_THROW_STRICT) as c_int == 0 {
        return 0;
    }
    // SAFETY: the message is a format with one directive, and the text is released.
    unsafe {
        let text = qjs::JS_AtomToCStringLen(ctx, std::ptr::null_mut(), name);
        if !text.is_null() {
            qjs::JS_ThrowTypeError(ctx, message.as_ptr(), text);
            qjs::JS_FreeCString(ctx, text);
        }
    }
    -1
}

/// Forgets the exception that is pending.
fn discard_exception(ctx: *mut qjs::JSContext) {
    // SAFETY: the context is alive, and the exception is released.
    unsafe { qjs::JS_FreeValue(ctx, qjs::JS_GetException(ctx)) }
}

fn is_object(value: qjs::JSValue) -> bool {
    // SAFETY: reading a tag has no conditions.
    unsafe { qjs::JS_IsObject(value) }
}

impl ArrayTrace {
    /// Marks the elements for the garbage collector.
    ///
    /// # Safety
    ///
    /// The garbage collector of the runtime calls this.
    unsafe fn mark(&self, runtime: *mut qjs::JSRuntime, mark: qjs::JS_MarkFunc) {
        for element in &self.elements {
            // SAFETY: the elements are alive as long as the trace.
            unsafe {
                qjs::JS_MarkValue(runtime, element.value.get(), mark);
                if let Some(trace) = &element.trace {
                    trace.mark(runtime, mark);
                }
            }
        }
    }
}

unsafe extern "C" fn finalize(_runtime: *mut qjs::JSRuntime, object: qjs::JSValue) {
    let mut id = 0;
    // SAFETY: QuickJS calls this once for each object of the class, at its end. The object owned the
    // node.
    unsafe {
        let node = qjs::JS_GetAnyOpaque(object, &raw mut id).cast::<RefCell<ObjectNode>>();
        if !node.is_null() {
            drop(Box::from_raw(node));
        }
    }
}

unsafe extern "C" fn mark_values(
    runtime: *mut qjs::JSRuntime,
    object: qjs::JSValue,
    mark: qjs::JS_MarkFunc,
) {
    let mut id = 0;
    // SAFETY: the garbage collector calls this for objects of the class. It runs while an object is
    // created, and no node is borrowed for writing then.
    unsafe {
        let node = qjs::JS_GetAnyOpaque(object, &raw mut id).cast::<RefCell<ObjectNode>>();
        let Some(node) = node.as_ref() else { return };
        for member in node.borrow().members.iter().flat_map(ObjectMembers::iter) {
            member.slot.mark(runtime, mark);
            if let Some(former) = &member.former {
                qjs::JS_MarkValue(runtime, former.get(), mark);
            }
        }
    }
}

#[cfg(test)]
mod tests;
