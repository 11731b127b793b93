//! All reasons to refuse a request, with their status and their label in metrics and logs, in one
//! table.

use hyper::StatusCode;

/// Defines the reasons with their statuses and labels in one table.
macro_rules! reasons {
    ($(#[$doc:meta] $name:ident = $status:ident $word:literal,)*) => {
        /// Why a request is refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum RefusalReason {
            $(#[$doc] $name,)*
        }

        impl RefusalReason {
            /// All reasons, each at the position of its number.
            pub(super) const ALL: &[RefusalReason] = &[$(RefusalReason::$name,)*];

            /// Returns the status of the response.
            pub(super) fn status(self) -> StatusCode {
                match self {
                    $(RefusalReason::$name => StatusCode::$status,)*
                }
            }

            /// Returns the label in metrics and logs.
            pub(super) fn word(self) -> &'static str {
                match self {
                    $(RefusalReason::$name => $word,)*
                }
            }
        }
    };
}

reasons! {
    /// The body is empty.
    Empty = BAD_REQUEST "empty_body",
    /// The body is not UTF-8.
    InvalidUtf8 = BAD_REQUEST "invalid_utf8",
    /// The body is not JSON.
    NotJson = BAD_REQUEST "not_json",
    /// The body's objects and arrays are nested too deeply.
    NestedTooDeep = BAD_REQUEST "nested_too_deep",
    /// The body is JSON, but not an object.
    NotAnObject = BAD_REQUEST "not_an_object",
    /// The body has no array `batch`.
    NoBatch = BAD_REQUEST "no_batch",
    /// The array is empty.
    EmptyBatch = BAD_REQUEST "empty_batch",
    /// The source is strict, and an event is invalid.
    BadEvent = BAD_REQUEST "bad_event",
    /// Most events are invalid.
    MostlyBadEvents = BAD_REQUEST "mostly_bad_events",
    /// The function of the source rejects the request.
    FunctionRejected = BAD_REQUEST "function_rejected",
    /// The body does not have the stated compression.
    BadCompression = BAD_REQUEST "bad_compression",
    /// The connection ended within the body.
    CutOff = BAD_REQUEST "cut_off",
    /// Neither the settings nor the request contain a host.
    NoHost = BAD_REQUEST "no_host",
    /// The request has no write key.
    NoWriteKey = UNAUTHORIZED "no_write_key",
    /// No source has the write key.
    UnknownWriteKey = UNAUTHORIZED "unknown_write_key",
    /// The source does not allow this origin.
    Origin = FORBIDDEN "origin",
    /// The source is disabled.
    SourceDisabled = NOT_FOUND "source_disabled",
    /// The path names another source than the write key, or the source has no function.
    UnknownFunction = NOT_FOUND "unknown_function",
    /// The path is unknown.
    UnknownPath = NOT_FOUND "unknown_path",
    /// The path does not support this method.
    WrongMethod = METHOD_NOT_ALLOWED "wrong_method",
    /// The body arrived too slowly.
    TooSlow = REQUEST_TIMEOUT "too_slow",
    /// The body has too many bytes.
    TooLarge = PAYLOAD_TOO_LARGE "too_large",
    /// A limit of the events is exceeded.
    TooMuch = PAYLOAD_TOO_LARGE "too_much",
    /// The request's `Content-Encoding` is unknown.
    ContentEncoding = UNSUPPORTED_MEDIA_TYPE "content_encoding",
    /// The request's `Content-Type` is not supported.
    ContentType = UNSUPPORTED_MEDIA_TYPE "content_type",
    /// The rate limit of the source is exceeded.
    RateLimit = TOO_MANY_REQUESTS "rate_limit",
    /// There are too many headers.
    TooManyHeaders = REQUEST_HEADER_FIELDS_TOO_LARGE "too_many_headers",
    /// The function of the source fails.
    FunctionFailed = INTERNAL_SERVER_ERROR "function_failed",
    /// The function of the source wants the request again later.
    FunctionRetry = SERVICE_UNAVAILABLE "function_retry",
    /// No memory or thread is free.
    Busy = SERVICE_UNAVAILABLE "busy",
    /// The spool cannot be written.
    Spool = SERVICE_UNAVAILABLE "spool",
}

impl RefusalReason {
    /// Returns whether SDKs retry the request, so that nothing is lost. After a cut-off connection
    /// they retry, because they get no response.
    pub(super) fn is_retried(self) -> bool {
        self == RefusalReason::CutOff || matches!(self.status().as_u16(), 408 | 429 | 500..)
    }
}
