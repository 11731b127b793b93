//! Bounds that this crate enforces, each with its unit and where the number is from.

/// Bytes of all bodies that are being read, and of what small ones have become until it
/// is in the spool.
pub const HTTP_BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The part of it that bodies may take whose request does not say its write key before
/// them. One body as large as they may be at most must fit.
pub const HTTP_KEYLESS_BODIES_BYTES_MAX: usize = standpipe_http::limits::COLLECT_BODY_BYTES_MAX_MAX;

/// The part of it that bodies of one peer may take, unless set otherwise: half of it.
pub const HTTP_PEER_BODIES_BYTES_MAX: usize = HTTP_BODIES_BYTES_MAX / 2;

/// Bytes that a small body and what it usually becomes take.
pub const HTTP_SMALL_BODY_BYTES_MAX: usize = 3 * COLLECT_INLINE_BODY_BYTES_MAX;

/// Bytes of a body, as received and once it is decompressed, up to which it is decoded
/// where it was received, on the threads that serve all connections: a millisecond's
/// work. Larger ones are decoded on threads of their own.
pub const COLLECT_INLINE_BODY_BYTES_MAX: usize = 256 * 1024;

/// Larger bodies that are decoded, or wait for the spool, at once: half as many as there
/// are processors, and no more than this. Each takes memory of its own: for its body
/// once more, for [`COLLECT_PARTS_MAX`] places and for its events.
pub const COLLECT_DECODERS_MAX: usize = 4;

/// Events of one request. Segment takes 2,500 and RudderStack names no number; a body of
/// the usual 4,096,000 bytes has as many only if they have 163 bytes each, which is
/// less than the least event of any of their SDKs.
pub const COLLECT_EVENTS_MAX: usize = 25_000;

/// Bytes that are added to the events of one request, all of them together.
///
/// What a batch says once for all its events goes into each of them, so that a small
/// body can ask for gigabytes. This is 670 bytes for each of [`COLLECT_EVENTS_MAX`]
/// events, and 6,700 bytes for each of the 2,500 that Segment takes.
pub const COLLECT_ADDED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Members of an object that a batch says once for all its events, and of an event's own
/// one. Segment takes 10,000 properties.
pub const COLLECT_SHARED_MEMBERS_MAX: usize = 10_000;

/// Fields of a form, or parameters of a query, that a webhook sends. Segment takes 10,000
/// properties. Each takes memory of its own until the event is made.
pub const COLLECT_FORM_FIELDS_MAX: usize = 10_000;

/// Members of the outermost object, or items of the outermost array, and members of a
/// batch's events, all of them together: 20 for each of [`COLLECT_EVENTS_MAX`] events.
/// Where each of them stands takes up to twelve bytes.
pub const COLLECT_PARTS_MAX: usize = 500_000;

/// Bytes that the events of one request may take with all that is added to them: those
/// of an entry of the spool, without what stands before them.
pub const COLLECTED_BYTES_MAX: usize = standpipe_spool::limits::SPOOL_ENTRY_BYTES_MAX - 128 * 1024;
