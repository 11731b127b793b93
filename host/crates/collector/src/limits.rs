//! Limits that this crate enforces, each with its unit and the source of the number.

/// Bytes of all bodies that the server is reading, and of the events of small bodies until they are
/// in the spool.
pub const HTTP_BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The part of this budget for bodies of requests that do not send their write key before the body.
/// One body of the maximum size must fit.
pub const HTTP_KEYLESS_BODIES_BYTES_MAX: usize = standpipe_http::limits::COLLECT_BODY_BYTES_MAX_MAX;

/// The default part of this budget for the bodies of one peer: half of it.
pub const HTTP_PEER_BODIES_BYTES_MAX: usize = HTTP_BODIES_BYTES_MAX / 2;

/// Bytes for a small body and the events that it usually becomes.
pub const HTTP_SMALL_BODY_BYTES_MAX: usize = 3 * COLLECT_INLINE_BODY_BYTES_MAX;

/// Maximum bytes of a body, as received and after decompression, that the connection's thread
/// decodes: a millisecond of work. These threads serve all connections, so separate threads decode
/// larger bodies.
pub const COLLECT_INLINE_BODY_BYTES_MAX: usize = 256 * 1024;

/// Maximum number of larger bodies that are decoded or wait for the spool at once. The actual
/// number is half the number of processors, up to this maximum. Each body needs its own memory: for
/// a second copy of the body, for [`COLLECT_PARTS_MAX`] positions and for its events.
pub const COLLECT_DECODERS_MAX: usize = 4;

/// Events of one request. Segment accepts 2,500, and RudderStack documents no limit. A body of the
/// usual 4,096,000 bytes reaches this limit only if its events have 163 bytes each, which is less
/// than the smallest event of any SDK.
pub const COLLECT_EVENTS_MAX: usize = 25_000;

/// Bytes that Standpipe adds to the events of one request, for all events together.
///
/// The shared members of a batch go into each of its events, so a small body could expand to
/// gigabytes. The limit is 670 bytes for each of [`COLLECT_EVENTS_MAX`] events, or 6,700 bytes for
/// each of the 2,500 events that Segment accepts.
pub const COLLECT_ADDED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Members of an object that a batch shares among all its events, and of an event's own object.
/// Segment accepts 10,000 properties.
pub const COLLECT_SHARED_MEMBERS_MAX: usize = 10_000;

/// Form fields or query parameters of a webhook request. Segment accepts 10,000 properties. Each
/// takes memory until the event is complete.
pub const COLLECT_FORM_FIELDS_MAX: usize = 10_000;

/// Members of the outermost object, or items of the outermost array, plus members of a batch's
/// events: 20 for each of [`COLLECT_EVENTS_MAX`] events. The position of each takes up to twelve
/// bytes.
pub const COLLECT_PARTS_MAX: usize = 500_000;

/// Bytes that the events of one request may take with all added members. It is the maximum of a
/// spool entry without the entry's own header.
pub const COLLECTED_BYTES_MAX: usize = standpipe_spool::limits::SPOOL_ENTRY_BYTES_MAX - 128 * 1024;
