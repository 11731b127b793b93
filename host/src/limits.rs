//! Every bound of the host, named with its unit, and where the number is from.
//!
//! "Firehose" in a source means the API reference of Amazon Data Firehose and
//! its page of quotas. Where no source stands, the number is this project's own
//! choice, with its reason.

use std::time::Duration;

/// The longest event that is read, in bytes without its line ending.
///
/// A plugin may make a record of permitted size out of an event that is itself
/// too large for one, so this is larger than [`RECORD_BYTES_MAX`]; what is
/// longer is never held in memory whole.
pub const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How much of an event that is too long is kept in its dead letter, in bytes.
pub const EVENT_PREFIX_BYTES: usize = 64 * 1024;

/// The deepest nesting of objects and arrays in an event, in levels.
///
/// Far beyond any real event. The scan keeps a bit for each level, but what reads
/// events behind it may descend by recursion, so that depth is stack.
pub const EVENT_NESTING_MAX: usize = 1024;

/// The size of the pieces in which inputs are read, in bytes.
///
/// Small enough that a piece stays in a core's second-level cache between
/// being read, scanned and copied into its records.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Chunks that wait for a worker, for each worker.
pub const CHUNKS_QUEUED_PER_WORKER: usize = 4;

/// Events in one call of the plugin. Beyond some hundreds, the cost of a call
/// no longer shows in the cost of an event.
pub const BATCH_EVENTS_MAX: usize = 500;

/// Bytes of events' text in one call of the plugin, unless one event alone is
/// larger: what the plugin's memory has to take at once.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of one record with its newline, before base64. Source: Firehose,
/// `PutRecordBatch`: 1,000 KiB.
pub const RECORD_BYTES_MAX: usize = 1_024_000;

/// Events in one record. Source: Firehose, `PutRecord`: a record of more is not
/// split as expected where the stream de-aggregates records.
pub const RECORD_EVENTS_MAX: usize = 500;

/// The step in which Firehose bills the size of a record, in bytes. Source:
/// Amazon Data Firehose, pricing: "rounded up to the nearest 5KB (5120 bytes)".
pub const BILLED_STEP_BYTES: usize = 5 * 1024;

/// Bytes of a record where it is this program that chooses to pack: 20 whole steps
/// of [`BILLED_STEP_BYTES`], so that all that is paid in vain is the room that the
/// next event did not fit into: under 1 % where events have 1 KB. A larger record
/// saves little more, and is what a refusal or a lost answer costs to send again.
pub const PACK_AUTO_BYTES: usize = 20 * BILLED_STEP_BYTES;

/// The time from one `DescribeDeliveryStream` to the next, for all streams.
/// Source: Firehose, quotas: 5 a second for an account and region; one of them is
/// left to others.
pub const DESCRIBE_STEP: Duration = Duration::from_millis(250);

/// The same for all but the first about each stream, which can wait.
pub const DESCRIBE_AGAIN_STEP: Duration = Duration::from_secs(1);

/// `DescribeDeliveryStream` requests under way at once, should answers be slow.
pub const DESCRIBES_AT_ONCE_MAX: usize = 4;

/// How old a stream's description gets before it is asked for again: for as long
/// a Lambda function that is added to the stream may get packed records. It is
/// also the longest pause after a description that failed.
pub const DESCRIBE_AGAIN: Duration = Duration::from_secs(600);

/// Records in one request. Source: Firehose, `PutRecordBatch`.
pub const REQUEST_RECORDS_MAX: usize = 500;

/// Bytes of all records in one request, before base64.
///
/// Firehose documents "4 MB" in one place and 4 MiB in another, so the smaller.
pub const REQUEST_BYTES_MAX: usize = 4_000_000;

/// Bytes from which a request is sent, though it could be larger: nothing gets
/// cheaper beyond, and every request under way takes this much memory, and a
/// third more for its base64.
pub const REQUEST_BYTES_ENOUGH: usize = 1024 * 1024;

/// Bytes that one worker holds in open batches of all its streams together.
/// Beyond it they are sent before they are full.
pub const OPEN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of records in all closed batches that have not been answered. Beyond
/// it the workers wait, and with them the inputs, or batches go to the disk. The first
/// batch of a stream may exceed it, so that all together exceed it by less than one.
pub const IN_FLIGHT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of disk that records of streams that are held or slow may take, unless the
/// settings say otherwise. Beyond it such a stream holds up the others.
pub const OVERFLOW_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Bytes of a file of such records. Where the file system cannot punch holes, a file
/// takes its room until all of it has been read back, so it is not large.
pub const OVERFLOW_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Runs of such records, each of which comes from one chunk of an input and
/// keeps the promise to account for that chunk's events in memory: with events
/// of usual size this is some 100 MB.
pub const OVERFLOW_RUNS_MAX: usize = 65_536;

/// How long the disk is left alone after it failed to take such records, and how often
/// whoever waits for it looks again.
pub const OVERFLOW_RETRY: Duration = Duration::from_secs(1);

/// Batches of such records that are read back at once outside of
/// [`IN_FLIGHT_BYTES_MAX`], to become dead letters: these are written one after the
/// other anyway, so that one more is enough to read ahead.
pub const OVERFLOW_UNBUDGETED_READS: usize = 2;

/// Delivery streams that events choose, by names that stand in neither the settings nor
/// the plugin's declaration, and that are in use at once, unless the settings say
/// otherwise. An idle stream takes some 10 KB.
pub const DYNAMIC_STREAMS_MAX: usize = 1000;

/// The most that this can be raised to: four times Firehose's default quota of streams
/// for an account and region.
pub const DYNAMIC_STREAMS_MAX_MAX: usize = 20_000;

/// How long a stream stays in use without records, unless the settings say otherwise:
/// what has been learnt about its pace is worth little by then.
pub const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// How often a worker looks for streams that are no longer in use.
pub const OUTBOX_SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Streams that are no longer in use and are still reported by their names; further
/// ones are reported together. Those that the settings or the plugin name do not count.
pub const RETIRED_STREAMS_REPORTED: usize = 1000;

/// Streams that a summary for people lists; the others are summed up.
pub const SUMMARY_STREAMS_SHOWN: usize = 100;

/// Log lines of one kind about delivery streams in [`STREAM_LOG_WINDOW`]; further ones
/// are counted.
pub const STREAM_LOG_LINES_MAX: u64 = 30;

/// The time in which these lines are counted.
pub const STREAM_LOG_WINDOW: Duration = Duration::from_secs(60);

/// Requests to Firehose under way at once, of all streams together: each takes a
/// connection, and with HTTP/1.1 a descriptor, of which there are often 1,024.
pub const REQUESTS_AT_ONCE_MAX: usize = 256;

/// Memory of one plugin instance, in bytes. Interpreters of JavaScript and
/// Python need some tens of megabytes.
pub const PLUGIN_MEMORY_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What the answer of one call may take in the host's memory, in bytes.
pub const PLUGIN_ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Elements of one table of a plugin instance.
pub const PLUGIN_TABLE_ELEMENTS_MAX: usize = 100_000;

/// Outputs of one event, so that a plugin cannot turn one event into millions.
pub const PLUGIN_OUTPUTS_PER_EVENT_MAX: usize = 1000;

/// Bytes of a reason with which a plugin rejects an event.
pub const PLUGIN_REASON_BYTES_MAX: usize = 1024;

/// Bytes of a component's file. A JavaScript plugin has 12 MB, a Python plugin
/// 18 MB.
pub const PLUGIN_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Bytes of a detached signature: four short lines.
pub const PLUGIN_SIGNATURE_BYTES_MAX: u64 = 4096;

/// Delivery streams that a plugin may declare. Firehose's default quota is
/// 5,000 streams for an account and region.
pub const PLUGIN_STREAMS_MAX: usize = 20_000;

/// Ways of events that a plugin may tell of: some for each of its streams.
pub const PLUGIN_ROUTES_MAX: usize = 4 * PLUGIN_STREAMS_MAX;

/// Calls after which an instance is replaced: a guest's memory never shrinks.
pub const PLUGIN_CALLS_MAX: u64 = 20_000;

/// The age at which an instance is replaced, busy or not: what a plugin keeps by
/// mistake ends with it.
pub const PLUGIN_INSTANCE_AGE_MAX: Duration = Duration::from_secs(3600);

/// Lines that a plugin may print in a second; the rest is counted and dropped.
pub const PLUGIN_LOG_LINES_PER_SECOND: u32 = 20;

/// Bytes of one line that a plugin prints; the rest of the line is dropped.
pub const PLUGIN_LOG_LINE_BYTES_MAX: usize = 1024;

/// Processor time for configuring a plugin instance.
pub const PLUGIN_CONFIGURE_CPU_MAX: Duration = Duration::from_secs(5);

/// Processor time of a call, whatever its batch; [`PLUGIN_EVENT_CPU_MAX`] comes
/// on top for each event.
pub const PLUGIN_CALL_CPU_MAX: Duration = Duration::from_millis(50);

/// Processor time of a call for each event of its batch. An interpreted plugin
/// needs some tens of microseconds.
pub const PLUGIN_EVENT_CPU_MAX: Duration = Duration::from_millis(2);

/// Processor time of a call for each byte that the plugin is handed. The slowest action
/// of the default plugin on the worst text found, `redact` with all that it can find on
/// addresses, takes 74 ns (AMD EPYC); so a chain of a dozen such actions has room.
pub const PLUGIN_BYTE_CPU_MAX: Duration = Duration::from_nanos(1000);

/// The shortest time after which it is tried again to make an instance of a plugin, where
/// none could be made; it doubles with each attempt, so many times, up to the longest. For each
/// second of processor time that an attempt takes, the pause has so many.
pub const PLUGIN_RESTART_PAUSE_MIN: Duration = Duration::from_secs(1);
/// See [`PLUGIN_RESTART_PAUSE_MIN`].
pub const PLUGIN_RESTART_DOUBLINGS_MAX: u32 = 5;
/// See [`PLUGIN_RESTART_PAUSE_MIN`].
pub const PLUGIN_RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);
/// See [`PLUGIN_RESTART_PAUSE_MIN`].
pub const PLUGIN_RESTART_CPU_PAUSES: u32 = 4;

/// How often the log says that no instance of a plugin can be made.
pub const PLUGIN_UNAVAILABLE_LOG_INTERVAL: Duration = Duration::from_secs(30);

/// How often a running plugin's processor time is looked at.
pub const PLUGIN_TICK: Duration = Duration::from_millis(1);

/// After how many of these looks without a plugin that runs they end, until one is called
/// again. Waking the thread up takes some microseconds: 50 times a second at most.
pub const PLUGIN_TICKS_IDLE: u32 = 20;

/// The first pause before records are sent again; each further one may be
/// twice as long. The pause itself is drawn between nothing and this.
pub const RETRY_PAUSE_FIRST: Duration = Duration::from_millis(100);

/// How many attempts the pause counts at most after a record that Firehose itself names as
/// invalid, on a stream that accepts none: 800 ms, so that records at fault alone do not
/// hold up the others behind them for long.
pub const REFUSED_BY_NAME_ATTEMPTS: u32 = 3;

/// From how far on this machine's clock counts as wrong, by AWS's: AWS refuses signatures
/// that are more than 5 minutes from its time, and the answer has been on its way.
pub const CLOCK_SKEW_MIN: Duration = Duration::from_secs(4 * 60);

/// What answers may differ by in what they say of the time before that is news.
pub const CLOCK_JITTER: Duration = Duration::from_secs(60);

/// How often it is logged again that something is waited for without which nothing is
/// delivered.
pub const WAIT_REMINDER: Duration = Duration::from_secs(30);

/// Streams that the answer about readiness names: enough to see what is wrong.
pub const READINESS_STREAMS_SHOWN: usize = 5;

/// How often a stream that is held is tried before a run ends for it that is to fail fast:
/// once more, since a clock may have been corrected by the first answer, or credentials
/// renewed.
pub const HELD_ATTEMPTS_BEFORE_FAILURE: u32 = 1;

/// The longest pause before records are sent again.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(20);

/// Different records in a row that a stream refuses as invalid, each alone in its request,
/// before the stream counts as at fault and is held: Firehose knows no rule that several
/// records could break which are not too large, so one refused record is rare.
pub const REFUSED_ALONE_MAX: u32 = 4;

/// Time for one request's answer. A full request has 5.6 MB of body.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Time to reach an endpoint.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a detail in a dead letter or a log line, so that an error never
/// carries a whole event.
pub const DETAIL_BYTES_MAX: usize = 1024;

/// Characters of the engine's words for what a plugin did wrong, and bytes of what the plugin
/// printed at that: together they fit into a dead letter's detail.
pub const PLUGIN_CAUSE_CHARACTERS_MAX: usize = 200;
/// See [`PLUGIN_CAUSE_CHARACTERS_MAX`].
pub const PLUGIN_PRINTED_BYTES_MAX: usize = DETAIL_BYTES_MAX - 64 - PLUGIN_CAUSE_CHARACTERS_MAX;

/// How often a source that waits for data looks whether it should stop.
pub const STOP_POLL: Duration = Duration::from_millis(100);

/// Bytes of a line in a file of dead letters. An event of [`EVENT_BYTES_MAX`]
/// takes six times as much where each byte is escaped; the rest is for all that
/// stands beside it.
pub const DEAD_LINE_BYTES_MAX: usize = 6 * EVENT_BYTES_MAX + 1024 * 1024;

/// Bytes of a file of dead letters, beyond which the next one is begun. Taking
/// letters out of a file writes the rest of it anew, so a file is not large.
pub const DEAD_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Bytes of all files of dead letters, unless the settings say otherwise.
pub const DEAD_BYTES_MAX: u64 = 10 * 1024 * 1024 * 1024;

/// The least that all files of dead letters may be limited to, in bytes.
pub const DEAD_BYTES_MAX_MIN: u64 = 1024 * 1024;

/// Bytes of copies of dead letters that their delivery stream has not accepted
/// yet; a copy beyond is not made. Enough for what dies while a request is under
/// way, and small beside [`IN_FLIGHT_BYTES_MAX`]: the letters are in their files.
pub const DEAD_COPIES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Earlier letters that a dead letter tells of, about the same event.
pub const DEAD_HISTORY_MAX: usize = 20;

/// How often a full directory of dead letters is looked at again.
pub const DEAD_COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes of dead letters that wait to be written, in memory. Beyond it, whoever has
/// another one waits. As much as records in flight may take: both are of events that
/// their source has not let go.
pub const DEAD_QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of dead letters that are synced as one group, unless one alone is larger, so
/// that the first of a group does not wait long for the last.
pub const DEAD_GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The least time from one sync of dead letters to the next, unless a whole group waits:
/// a disk that syncs for the spool at the same time is not to be busy with a few letters.
pub const DEAD_SYNC_INTERVAL: Duration = Duration::from_millis(20);

/// The first pause before dead letters are tried again that could not be written; each
/// further one is twice as long.
pub const DEAD_RETRY_PAUSE_FIRST: Duration = Duration::from_millis(100);

/// The longest such pause: how long it takes at most until it is noticed that there
/// is room.
pub const DEAD_RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// The least time from one log line about dead letters that cannot be written to the
/// next.
pub const DEAD_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Names of unknown sources that are logged and told one by one. Events of further ones
/// are only counted: names come out of files.
pub const UNKNOWN_SOURCES_NAMED_MAX: usize = 100;

/// Connections of clients that are open at once. One takes some 10 KB until it
/// sends something.
/// Connections of clients that are open at once, unless the limit of open files is too
/// low for as many. One takes some 10 KB until it sends something.
pub const HTTP_CONNECTIONS_MAX: usize = 10_000;

/// Bytes of a request's line and headers together: several times what browsers and
/// proxies send. A connection may hold as many before they are whole, so all
/// [`HTTP_CONNECTIONS_MAX`] together hold 320 MiB at most.
pub const HTTP_HEADER_BYTES_MAX: usize = 32 * 1024;

/// Bytes of memory that a header takes beside its name and value.
pub const HTTP_HEADER_OVERHEAD_BYTES: usize = 128;

/// Bytes of memory that a request under way takes beside its headers and its body.
pub const HTTP_REQUEST_OVERHEAD_BYTES: usize = 4 * 1024;

/// Bytes of memory that the headers of all requests under way may take, overhead
/// included: a usual request on each of [`HTTP_CONNECTIONS_MAX`] connections. With
/// HTTP/2, two bytes on the wire can stand for a header of any length.
pub const HTTP_HEADERS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Headers of one request.
pub const HTTP_HEADERS_MAX: usize = 100;

/// Requests at once on a connection of HTTP/2.
pub const HTTP_STREAMS_MAX: u32 = 64;

/// Requests that a connection of HTTP/2 may begin and take back before they
/// are looked at, and requests with errors that are remembered.
pub const HTTP_RESET_STREAMS_MAX: usize = 20;

/// Bytes of bodies that a connection of HTTP/2 may send before somebody reads them:
/// enough for 5 MB a second to a client that is 50 ms away.
pub const HTTP_WINDOW_BYTES: u32 = 256 * 1024;

/// Bytes of answers that wait on a request of HTTP/2 until its client takes them.
/// Answers are short.
pub const HTTP_SEND_BUFFER_BYTES: usize = 16 * 1024;

/// Time for a request's headers: on a new connection from its beginning, and later from
/// their first byte.
pub const HTTP_HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for the first byte on a new connection. Browsers keep connections that they have
/// opened in advance for about as long.
pub const HTTP_FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a TLS handshake. Two round trips, and the retransmissions of a bad network.
pub const HTTP_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that is closed, since it is unused or makes room for others,
/// has to tell its client.
pub const HTTP_CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// How often it is looked whether a connection is still used.
pub const HTTP_WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The time in which [`HTTP_WINDOW_BYTES_MIN`] of a request's headers must come, or the
/// end of them.
pub const HTTP_RATE_WINDOW: Duration = Duration::from_secs(5);

/// Bytes of headers or of a body that must come within their window: 240 bytes a second,
/// as Kestrel and IIS ask for, for the ten seconds of a body's.
pub const HTTP_WINDOW_BYTES_MIN: u64 = 2400;

/// How often it is logged that what came over a connection is no request.
pub const HTTP_MALFORMED_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Members of a gzip body: SDKs send one. Each takes memory and time to begin, and may have
/// 20 bytes.
pub const HTTP_GZIP_MEMBERS_MAX: usize = 1000;

/// How long a request's body may be coming in where others wait for the memory that it
/// holds, or for its connection. A large body over a slow line is sent again then.
pub const HTTP_SCARCE_BODY_PATIENCE: Duration = Duration::from_secs(2);

/// How long a connection is left alone that has no request, where others need its place:
/// what a new one takes for a handshake and its first request, so that those who have
/// only come do not close one another's connections.
pub const HTTP_SCARCE_IDLE_PATIENCE: Duration = Duration::from_millis(500);

/// Descriptors of open files that are kept from the connections of clients: for
/// delivery, the spool, dead letters, the overflow and the admin address. Of a small
/// limit it is half.
pub const DESCRIPTORS_RESERVED_MAX: u64 = 4096;

/// The most descriptors that the program asks the system for where the hard limit is
/// higher, or there is none: Linux's own bound of a process, `fs.nr_open`.
pub const DESCRIPTORS_ASKED_MAX: u64 = 1_048_576;

/// How long a connection may be unused after a request, unless the settings say otherwise.
/// A load balancer must be the one that closes: an Application Load Balancer does after 60 s,
/// and a request that it sends while its target closes is answered with 502.
pub const HTTP_KEEP_ALIVE: Duration = Duration::from_secs(120);

/// The least that the settings may say.
pub const HTTP_KEEP_ALIVE_MIN: Duration = Duration::from_secs(1);

/// The most that the settings may say: more than the 4,000 s that an Application Load
/// Balancer can be set to.
pub const HTTP_KEEP_ALIVE_MAX: Duration = Duration::from_secs(2 * 3600);

/// Time for a request's body.
pub const HTTP_BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// The time in which [`HTTP_WINDOW_BYTES_MIN`] of a request's body must come, or the end
/// of it; so it is also the longest pause.
pub const HTTP_BODY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// Bytes of all bodies that are being read, and of what small ones have become until it
/// is in the spool.
pub const HTTP_BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The part of it that bodies may take whose request does not say its write key before
/// them. One body as large as they may be at most must fit.
pub const HTTP_KEYLESS_BODIES_BYTES_MAX: usize = COLLECT_BODY_BYTES_MAX_MAX;

/// The part of it that bodies of one peer may take, unless set otherwise: half of it.
pub const HTTP_PEER_BODIES_BYTES_MAX: usize = HTTP_BODIES_BYTES_MAX / 2;

/// How long a body waits for its part of that memory.
/// Bytes that a small body and what it usually becomes take.
pub const HTTP_SMALL_BODY_BYTES_MAX: usize = 3 * COLLECT_INLINE_BODY_BYTES_MAX;

/// The part of that memory that all larger ones may take together, in bytes. The rest is
/// for small ones, whoever sends large ones.
pub const HTTP_LARGE_BODIES_BYTES_MAX: usize = 48 * 1024 * 1024;

/// How long a request waits for its part of a memory that others have.
pub const HTTP_BUDGET_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests that wait for such a part at once where it is for large ones: each of them
/// holds as much as a small one may. Others are refused at once.
pub const HTTP_BUDGET_WAITING_MAX: usize = 32;

/// Time for the answers to what has been read when a server ends.
pub const HTTP_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a certificate's files are looked at.
pub const TLS_RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// Bytes of a request's body, also once it is decompressed. Source: RudderStack's
/// gateway takes 4,000 KiB; Segment takes 500 KB.
pub const COLLECT_BODY_BYTES_MAX: usize = 4_096_000;

/// How often a refused request is logged for each source and each reason.
pub const COLLECT_REFUSED_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How often it is logged that a proxy is not believed, or tells too little: each interval
/// in which it goes on.
pub const COLLECT_PROXY_LOG_INTERVAL: Duration = Duration::from_secs(600);

/// The most that the bytes of a body may be limited to: of some of them, all of
/// [`HTTP_BODIES_BYTES_MAX`] must be able to take.
pub const COLLECT_BODY_BYTES_MAX_MAX: usize = 16 * 1024 * 1024;

/// Connections for health and metrics that are open at once.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;

/// Requests with a component that are read or worked on at once: one that is being
/// compiled, and one that comes in meanwhile.
pub const ADMIN_CANDIDATES_MAX: usize = 2;

/// Bytes of all their bodies.
pub const ADMIN_BODIES_BYTES_MAX: usize = ADMIN_CANDIDATES_MAX * PLUGIN_FILE_BYTES_MAX as usize;

/// Requests that wait for the plugin to be theirs to change, without a component:
/// each takes a thread.
pub const ADMIN_TURNS_MAX: usize = 8;

/// Characters of a wrong parameter that an answer shows.
pub const ADMIN_SHOWN_CHARACTERS_MAX: usize = 40;

/// Bytes of a body, as received and once it is decompressed, up to which it is decoded
/// where it was received, on the threads that serve all connections: a millisecond's
/// work. Larger ones are decoded on threads of their own.
pub const COLLECT_INLINE_BODY_BYTES_MAX: usize = 256 * 1024;

/// Bytes that the events of such a body may take.
pub const COLLECT_INLINE_EVENTS_BYTES_MAX: usize = 1024 * 1024;

/// Larger bodies that are decoded, or wait for the spool, at once: half as many as there
/// are processors, and no more than this. Each takes memory of its own: for its body
/// once more, for [`COLLECT_PARTS_MAX`] places and for its events.
pub const COLLECT_DECODERS_MAX: usize = 4;

/// Requests that wait for one of these to be done. Others are refused at once.
pub const COLLECT_DECODERS_WAITING_MAX: usize = 32;

/// Events of one request. Segment takes 2,500 and RudderStack names no number; a body of
/// [`COLLECT_BODY_BYTES_MAX`] has as many only if they have 163 bytes each, which is
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

/// Parts of a request that are no events and may go to the dead letters, if they are
/// more than half of it: as many as the batches of SDKs have events. Beyond, nobody
/// sends events, and each part of two bytes would become a dead letter of two hundred.
pub const COLLECT_REFUSED_EVENTS_MAX: usize = 100;

/// Bytes that the events of one request may take with all that is added to them: those
/// of an entry of the spool, without what stands before them.
pub const COLLECTED_BYTES_MAX: usize = SPOOL_ENTRY_BYTES_MAX - 128 * 1024;

/// Bytes of a segment of the spool, beyond which the next one is begun. A segment
/// takes its room until all of it has been acknowledged, so it is not large; it
/// costs an `fsync` of a directory, so it is not small.
pub const SPOOL_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// The least that [`SPOOL_SEGMENT_BYTES`] shrinks to where the spool is small, in
/// bytes, so that most of its files are not mere headers.
pub const SPOOL_SEGMENT_BYTES_MIN: u64 = 1024 * 1024;

/// A segment is at most this part of the spool, so that what waits for the last
/// items of a segment to be acknowledged is a small part of the whole.
pub const SPOOL_SEGMENTS_MIN: u64 = 8;

/// Items of one segment: what bounds its acknowledgements, a bit each, to 2 MiB.
pub const SPOOL_SEGMENT_ITEMS_MAX: u32 = 16 * 1024 * 1024;

/// Bytes of one entry of the spool. An entry is in memory whole, so this bounds
/// what a corrupt length can ask for.
pub const SPOOL_ENTRY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of entries that wait to be written, in memory: further ones wait to be
/// let in. Enough for some groups while the disk syncs another.
pub const SPOOL_WAITING_BYTES_MAX: usize = 2 * SPOOL_ENTRY_BYTES_MAX;

/// Bytes of entries that are synced as one group, unless one alone is larger, so
/// that the first of a group does not wait long for the last.
pub const SPOOL_GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes that the spool reads ahead: many entries of usual size in one call, in a
/// core's second-level cache.
pub const SPOOL_READ_BYTES: usize = 512 * 1024;

/// Files of acknowledgements that the spool keeps open. Entries that are under
/// way at once are from few segments.
pub const SPOOL_ACK_FILES_OPEN: usize = 16;

/// Bytes of a file of acknowledgements that are reserved at a time, before entries
/// that need them are stored: marking 30,000 items as delivered then needs no more
/// room on a disk that has become full. The usual size of a file system's block.
pub const SPOOL_ACKS_RESERVED_BYTES: u64 = 4096;

/// Bytes of corrupt regions that the spool keeps in files beside its segments, for
/// whoever wants to recover something by hand: two segments. Further ones are
/// counted and not kept.
pub const SPOOL_SET_ASIDE_BYTES_MAX: u64 = 2 * SPOOL_SEGMENT_BYTES;

/// Segment numbers that are tried to find out what a renamed file was called: those
/// of the first 64 TiB of a spool, in some milliseconds.
pub const SPOOL_NUMBERS_TRIED: u64 = 1 << 20;

/// How often the spool tries again what it could not do to its files, and looks
/// for room to give back.
pub const SPOOL_TEND_INTERVAL: Duration = Duration::from_secs(1);

/// The pause of the spool's reader after a segment that could not be opened.
pub const SPOOL_OPEN_AGAIN: Duration = Duration::from_millis(100);

/// The least time from one log line about a failing spool to the next.
pub const SPOOL_LOG_STEP: Duration = Duration::from_secs(10);

/// Bytes that the spool may take, unless the settings say otherwise.
pub const SPOOL_BYTES_MAX: u64 = 10 * 1024 * 1024 * 1024;

/// How long a run waits for another process that is letting go of the directory that
/// records are written to in place of Firehose.
pub const LOCAL_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the spool waits for another process that is letting go of it.
pub const SPOOL_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of a secret: the most that Secrets Manager keeps.
pub const SECRET_BYTES_MAX: u64 = 65536;

/// How long a secret that a reference names is used before it is asked for again,
/// unless the settings say otherwise.
pub const SECRET_REFRESH: Duration = Duration::from_secs(5 * 60);

/// How long credentials that do not say when they expire are used before they are
/// looked for again, so that a rotated file is noticed. AWS's own SDKs do so too.
pub const CREDENTIALS_RELOAD: Duration = Duration::from_secs(15 * 60);

/// The longest time before their expiry that credentials are renewed. Shorter
/// sessions are renewed when a fifth of their life is left.
pub const CREDENTIALS_MARGIN_MAX: Duration = Duration::from_secs(5 * 60);

/// Time for credentials to be found: a role's sessions take a request of STS's,
/// and some tries of it.
pub const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(30);

/// The pause before credentials are looked for again while the old ones still
/// serve, and before credentials that AWS calls expired are called so again.
pub const CREDENTIALS_AGAIN: Duration = Duration::from_secs(1);

/// Bytes of an answer of AWS, whatever the service and the status; what is longer is
/// not read on.
///
/// `PutRecordBatch` answers with 500 results, each an id of some 220 characters or a
/// code and a sentence: this leaves 2 KiB to each. A secret has at most 64 KiB, and
/// JSON may write each of its characters as six; a page of a list, or the description
/// of a stream with hundreds of tables, has some 100 KB.
pub const AWS_ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the rest of a body that is refused, and is read all the same so that
/// its sender sees the answer. As much as the largest body that may be permitted.
pub const HTTP_DISCARD_BYTES_MAX: u64 = COLLECT_BODY_BYTES_MAX_MAX as u64;

/// Time for reading such a rest. No longer than answers may take when a server ends.
pub const HTTP_DISCARD_TIMEOUT: Duration = HTTP_SHUTDOWN_TIMEOUT;

/// Characters of a managed policy, white space not counted. IAM's, and not to be
/// raised.
pub const POLICY_CHARS_MAX: usize = 6144;

/// Characters of a role's trust policy, white space not counted. IAM's default;
/// it can be raised to twice as many.
pub const TRUST_CHARS_MAX: usize = 2048;

/// Managed policies that can be attached to a role. IAM's default; it can be
/// raised to 20.
pub const POLICIES_OF_ROLE_MAX: usize = 10;

/// The share of a source's events that a plugin fails on from which it counts as
/// degraded, unless the settings say otherwise.
pub const BREAKER_DEGRADED_FROM: f64 = 0.1;

/// The share from which it counts as off for the source, unless the settings say
/// otherwise.
pub const BREAKER_OFF_FROM: f64 = 0.95;

/// For how long a source's failures are counted together, and how long a plugin must
/// do that badly before it counts as off.
pub const BREAKER_WINDOW: Duration = Duration::from_secs(10);

/// How long a source stays off before it is judged anew.
pub const BREAKER_RETRY: Duration = Duration::from_secs(5);

/// Events without which a window says too little.
pub const BREAKER_EVENTS_MIN: u64 = 100;

/// The share of the workers' processor time that failing events may take in the long
/// run, unless the settings say otherwise: as much is left for all others.
pub const BREAKER_FAILING_CPU: f64 = 0.5;

/// Processor time that failing events of one source may take at once, before they have
/// to wait: a batch of the largest size that loops, and some tens of its events alone.
pub const BREAKER_BURST_CPU: Duration = Duration::from_secs(2);

/// The least processor time that a source waits for, once it has to wait: what a
/// looping event takes is more, and nobody should look all the time.
pub const BREAKER_PAUSE_CPU_MIN: Duration = Duration::from_millis(10);

/// Sources whose failures are kept account of: as many as there are where it matters
/// (write keys, files). Beyond, the one that was silent for the longest time is
/// forgotten.
pub const BREAKER_SOURCES_MAX: usize = 1000;

/// Sources that a report on a plugin names among those that it fails on.
pub const FAILING_SOURCES_SHOWN: usize = 20;

/// Processor time that a worker spends on failing events of one chunk before it looks
/// at other chunks.
pub const TURN_WASTED_CPU: Duration = Duration::from_millis(250);

/// Chunks that a worker sets aside since their source has to wait: together no more
/// bytes than this, but for the last one. Beyond, it takes no other chunk, and what is
/// behind waits where it comes from.
pub const HELD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The same in chunks, which can be small.
pub const HELD_CHUNKS_MAX: usize = 256;

/// How often a worker looks at chunks that it has set aside, at the least: another
/// plugin may be there, which does better.
pub const HELD_LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The share of users, in percent, whose events a canary decides about, unless the
/// settings say otherwise.
pub const CANARY_PERCENT: f64 = 5.0;

/// The share of events that a canary may fail on or reject, unless the settings say
/// otherwise.
pub const CANARY_ERROR_RATE_MAX: f64 = 0.01;

/// Events that a canary must have seen before it is judged, unless the settings say
/// otherwise.
pub const CANARY_EVENTS_MIN: u64 = 1000;

/// Pauses of workers that turned to another plugin, of which quantiles are told.
pub const PLUGIN_PAUSES_KEPT: usize = 4096;

/// Compiled components that are kept in memory, so that going back and forth
/// between a few of them compiles none again.
pub const PLUGINS_COMPILED_KEPT: usize = 4;

/// Bytes of a component's compiled code that are kept on disk: that of an interpreter
/// with 18 MB takes some 60 MB.
pub const PLUGIN_COMPILED_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Bytes of all compiled components that are kept on disk, and how many they are.
pub const PLUGIN_CACHE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// See [`PLUGIN_CACHE_BYTES_MAX`].
pub const PLUGIN_CACHE_ENTRIES_MAX: usize = 64;

/// How often the files of a plugin are looked at where no notice of a change comes.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(10);

/// How long files must stay as they are before they are read: whoever writes one
/// does so in pieces.
pub const WATCH_SETTLE: Duration = Duration::from_millis(200);

/// Bytes of a file of cases: far more than anybody writes by hand.
pub const CASES_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Processor time that a plugin may waste on failures in the cases that it must pass
/// before it is taken: it is refused anyhow, and others wait.
pub const CASES_WASTED_CPU_MAX: Duration = Duration::from_secs(5);

/// Bytes of a payload, or of one side of a difference, that a failed case shows.
pub const CASE_SHOWN_BYTES_MAX: usize = 400;

/// Kinds of differences between two plugins that are told apart, each with the
/// streams before and after; events of further ones are counted together. What
/// bounds the memory of a comparison that goes on for days.
pub const COMPARISON_CHANGES_MAX: usize = 500;

/// Samples of each of these, unless the caller says otherwise.
pub const COMPARISON_SAMPLES: usize = 5;

/// Bytes of a source, a name, a stream list or a reason in a comparison.
pub const COMPARISON_TEXT_BYTES_MAX: usize = 200;

/// Batches that wait for a shadow: enough that its thread is not woken for each, and
/// at most some megabytes of events.
pub const SHADOW_BATCHES_QUEUED: usize = 4;

/// How long a run that ends waits for its shadow, which decides nothing.
pub const SHADOW_SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often it looks.
pub const SHADOW_SETTLE_POLL: Duration = Duration::from_millis(5);

/// Bytes of events that `host plugin bench` holds in memory, and does not read
/// beyond.
pub const PLUGIN_BENCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of answers about a batch that was asked about in pieces, since it failed
/// as a whole: beyond, they are carried out before the plugin is asked about the
/// rest. Each piece may take [`PLUGIN_ANSWER_BYTES_MAX`], so that without this a
/// batch of events with huge answers would take gigabytes.
pub const PLUGIN_ANSWERS_HELD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Resources of the host, such as streams and pollables, that an instance of a plugin
/// may have open at once. None of them is of use to a mapping, but what languages do
/// at their start needs some.
pub const PLUGIN_RESOURCES_MAX: usize = 1000;

/// Events of a trial of a plugin that is off, where the settings have it not asked
/// otherwise: few, since a plugin that loops takes its whole time for each.
pub const BREAKER_TRIAL_EVENTS: usize = 20;

/// The shortest time between two runs of the catalog: with a larger account one does
/// not even end within it, since Firehose is asked five times a second.
pub const SCHEDULE_EVERY_MIN: Duration = Duration::from_secs(1);

/// The longest one.
pub const SCHEDULE_EVERY_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Runs of the catalog that are remembered: three weeks of one an hour. When there
/// are more, the younger half is kept.
pub const CATALOG_RUNS_KEPT: usize = 500;

/// Bytes of what is remembered of them, without their logs.
pub const CATALOG_HISTORY_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Failures of a run that are remembered.
pub const CATALOG_FAILURES_KEPT: usize = 10;

/// Characters of each.
pub const CATALOG_FAILURE_CHARS_MAX: usize = 400;

/// Bytes of a run's log that are kept, which is some thousands of lines.
pub const CATALOG_LOG_BYTES_MAX: u64 = 1024 * 1024;

/// Runs that are counted one by one when they were skipped.
pub const CATALOG_SKIPPED_COUNTED: usize = 1000;

/// How long a run of the catalog may take to end when it is told to stop.
pub const CATALOG_STOP_GRACE: Duration = Duration::from_secs(20);

/// The longest sleep before the clock is looked at again.
pub const CATALOG_CLOCK_STEP: Duration = Duration::from_secs(30);

/// Bytes of a workflow's file, with the variables of the environment in place.
pub const WORKFLOW_BYTES_MAX: usize = 1024 * 1024;

/// Values of a workflow, aliases counted as what they stand for.
pub const WORKFLOW_NODES_MAX: usize = 20_000;

/// Levels of a workflow; the vendor's own have eight.
pub const WORKFLOW_DEPTH_MAX: usize = 32;

/// Calls in a second of each operation that the catalog reads with. AWS answers five,
/// for all who ask in an account and a region: this leaves one to the others.
pub const CATALOG_CALLS_PER_SECOND: f64 = 4.0;

/// Descriptions that are asked for at once. What bounds them is the rate; these are
/// enough to keep to it with answers that take two seconds.
pub const CATALOG_CALLS_IN_FLIGHT: usize = 8;

/// Attempts of one call, the first among them.
pub const CATALOG_ATTEMPTS_MAX: u32 = 8;

/// The same where somebody waits for the answer, to learn whether it works at all.
pub const CATALOG_PROBE_ATTEMPTS_MAX: u32 = 3;

/// After this long no further attempt of a call is begun.
pub const CATALOG_ATTEMPTS_TIME_MAX: Duration = Duration::from_secs(120);

/// The pause before the second attempt; doubled each time.
pub const CATALOG_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause between two attempts.
pub const CATALOG_PAUSE_MAX: Duration = Duration::from_secs(20);

/// Calls in a row that may come to nothing, all attempts of theirs, for a reason
/// that should pass, before no more are made: whoever cannot be reached is not waited
/// for thousands of times.
pub const CATALOG_FAILURES_IN_A_ROW_MAX: usize = 5;

/// Names of streams in a page of their list: few calls for thousands of them, and far
/// less than an answer may have.
pub const CATALOG_PAGE_STREAMS: usize = 1000;

/// Names of tables in a page of their list: DynamoDB gives no more.
pub const CATALOG_PAGE_TABLES: usize = 100;

/// Streams, or tables, that are listed: twenty times as many as an account may have
/// in a region. What bounds memory where a list has no end.
pub const CATALOG_NAMES_MAX: usize = 100_000;

/// Pages of destinations of one stream, which has one destination today.
pub const CATALOG_DESTINATION_PAGES_MAX: usize = 100;

/// Time for STS to say whose credentials are used, which can be done without.
pub const CATALOG_CALLER_TIMEOUT: Duration = Duration::from_secs(15);

/// Characters of a word of Amazon's that this program does not know.
pub const CATALOG_WORD_CHARACTERS_MAX: usize = 100;

/// Steps back that a pattern of names may take for one name: some milliseconds.
pub const CATALOG_PATTERN_STEPS_MAX: usize = 100_000;

/// How long a request to a server that is not Amazon's may take: some of
/// OpenMetadata's take many seconds while it indexes.
pub const WEB_TIMEOUT: Duration = Duration::from_secs(60);

/// Attempts of such a request.
pub const WEB_ATTEMPTS: u32 = 4;

/// The pause before the second of them, doubled for each further one.
pub const WEB_PAUSE: Duration = Duration::from_millis(500);

/// The longest of these pauses, whatever the server asks for: a run shall end.
pub const WEB_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Bytes of an answer: a page of 1,000 pipelines with their tasks has some 5 MB.
pub const WEB_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Characters of a URL that an error shows.
pub const WEB_URL_SHOWN_MAX: usize = 300;

/// Tables of a database that a graph shows of one stream, which may name some
/// hundreds of databases and as many tables for each: beyond, nobody sees anything.
pub const CATALOG_TABLES_PER_STREAM_MAX: usize = 1000;

/// Assets of a picture: those of 5,000 streams with a source and two kinds of events
/// each. More than that no person reads and few browsers show.
pub const PICTURE_ASSETS_MAX: usize = 25_000;

/// Edges of a picture, for the same reason: events that are sent to every stream
/// multiply.
pub const PICTURE_EDGES_MAX: usize = 50_000;

/// Characters of a name that a picture holds, in what is shown when the pointer rests
/// on it. Names of Amazon's are shorter, URLs and conditions need not be.
pub const PICTURE_TEXT_CHARS_MAX: usize = 1000;

/// JobEvents of OpenLineage that are sent at once: a server of lineage writes some
/// rows of a database for each.
pub const OPENLINEAGE_REQUESTS_IN_FLIGHT: usize = 4;

/// Pipelines in one request to OpenMetadata, unless set otherwise: as its own
/// client does.
pub const CATALOG_BULK: usize = 100;

/// The part of a service's pipelines that a run may delete, unless set otherwise:
/// more than half of the streams hardly go at once, but wrong settings make it look so.
pub const CATALOG_DELETE_RATIO_MAX: f64 = 0.5;

/// Pipelines on a page of OpenMetadata's list.
pub const CATALOG_PAGE: usize = 100;

/// Pages of a list or of what a search finds, so that no server keeps a run forever.
pub const CATALOG_PAGES_MAX: usize = 1000;

/// Hits of a search that are looked at: more than one is ambiguous already, but
/// those of an index that rotates are one.
pub const CATALOG_HITS_MAX: usize = 1000;

/// Levels of an S3 prefix that are looked up, the deepest and the bucket included.
pub const CATALOG_PREFIX_LEVELS_MAX: usize = 12;

/// Kinds of events that a pipeline shows as tasks; of more, their number is told.
pub const CATALOG_EVENT_TASKS_MAX: usize = 50;

/// Failures that the summary of a run shows, as OpenMetadata's own does.
pub const CATALOG_FAILURES_SHOWN: usize = 10;

/// How much longer the program waits for the thread of the catalog to end.
pub const CATALOG_STOP_MARGIN: Duration = Duration::from_secs(2);

/// Ways of events to streams that a graph has: a plugin may name hundreds of kinds of
/// events for each of thousands of streams. Some tens of megabytes.
pub const CATALOG_ROUTED_EDGES_MAX: usize = 100_000;

/// Events that an embedder has handed in and that are not settled, unless it says
/// otherwise: for each, a place for its answer and one in an acknowledgement take
/// some 150 bytes, 40 MB in all. Enough for a second's delay of delivery at 250,000
/// events a second.
pub const SUBMITTED_EVENTS_MAX: usize = 262_144;

/// Bytes of such events that wait for a worker, unless the embedder says otherwise.
/// At 700 bytes an event it is a tenth of a second's work of two workers; what
/// lasts longer is refused, so that a proxy does not grow with Firehose's troubles.
pub const SUBMITTED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long it takes from one chunk of such events to the next, while fewer come than
/// fill one: what an event may be late, and nothing beside the delay of delivery. It
/// bounds how often threads are woken, which is most of what few events cost.
pub const SUBMITTED_REST: Duration = Duration::from_millis(1);

/// Threads of a runtime that a host has of its own: they send and receive, which is
/// little beside what the workers do.
pub const OWN_RUNTIME_THREADS: usize = 2;

/// Bytes that the copy of a request carries of its body, and of the response's, at
/// most. A record of Firehose's takes both of them even where each byte is escaped.
pub const COPIED_BODY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a path or of a header's value that the copy of a request carries.
pub const COPIED_TEXT_BYTES_MAX: usize = 4 * 1024;

/// Bytes of lines for standard error that wait for their reader: some 30,000 lines.
/// What is beyond is dropped and counted.
pub const STDERR_QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A reader of standard error that has taken nothing for so long does not read.
pub const STDERR_STALL: Duration = Duration::from_secs(1);

/// How long the program waits at its end for a reader of standard error that is slow.
pub const STDERR_FLUSH_TIMEOUT: Duration = Duration::from_secs(10);
