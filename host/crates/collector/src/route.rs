//! The collector's paths and methods, of both vendors. A known path with another method is
//! distinguished from an unknown path.

use hyper::Method;

use super::dialect::MessageType;
use super::query_request::QueryRequest;

const POST: &str = "POST";
const GET: &str = "GET, HEAD";

/// The route of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiRoute<'a> {
    /// Accept one event of this type.
    One {
        message_type: MessageType,
        /// Whether only SDKs in browsers use this path.
        is_browser: bool,
    },
    /// Accept a batch.
    Batch {
        is_browser: bool,
    },
    /// Accept a webhook's payload.
    Webhook,
    /// Let the function of a source turn the request into events.
    Function {
        /// The source's name, percent-encoded.
        name: &'a str,
    },
    /// Accept the event in the query, and respond with an image.
    Pixel(QueryRequest),
    /// Return the settings for Segment's SDKs.
    SegmentSettings {
        write_key: &'a str,
    },
    /// Return the settings for RudderStack's SDKs.
    RudderStackSettings,
    /// Return that the server is alive.
    Health,
    Version,
    Robots,
    /// The path exists with other methods.
    WrongMethod {
        allowed: &'static str,
    },
    Unknown,
}

impl ApiRoute<'_> {
    /// Returns the label of the route in logs.
    pub(super) fn word(&self) -> &'static str {
        match self {
            ApiRoute::One { .. } => "event",
            ApiRoute::Batch { .. } => "batch",
            ApiRoute::Webhook => "webhook",
            ApiRoute::Function { .. } => "function",
            ApiRoute::Pixel(_) => "pixel",
            ApiRoute::SegmentSettings { .. } | ApiRoute::RudderStackSettings => "settings",
            ApiRoute::Health => "health",
            ApiRoute::Version => "version",
            ApiRoute::Robots => "robots",
            ApiRoute::WrongMethod { .. } => "wrong_method",
            ApiRoute::Unknown => "unknown",
        }
    }
}

/// Finds the route of a method and a path. A slash at the end is ignored.
pub(super) fn find_route<'a>(method: &Method, path: &'a str) -> ApiRoute<'a> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let (route, methods) = find_path(path);
    if methods.split(", ").any(|known| known == method.as_str()) {
        route
    } else if methods.is_empty() {
        ApiRoute::Unknown
    } else {
        ApiRoute::WrongMethod { allowed: methods }
    }
}

/// Finds the route of a path, and its methods.
fn find_path(path: &str) -> (ApiRoute<'_>, &'static str) {
    match path {
        "/v1/batch" | "/v1/import" => (ApiRoute::Batch { is_browser: false }, POST),
        "/v1/b" | "/beacon/v1/batch" => (ApiRoute::Batch { is_browser: true }, POST),
        "/v1/webhook" => (ApiRoute::Webhook, "GET, POST"),
        "/pixel/v1/track" => (ApiRoute::Pixel(QueryRequest::RudderStack(MessageType::Track)), GET),
        "/pixel/v1/page" => (ApiRoute::Pixel(QueryRequest::RudderStack(MessageType::Page)), GET),
        "/sourceConfig" => (ApiRoute::RudderStackSettings, GET),
        "" | "/health" => (ApiRoute::Health, GET),
        "/version" => (ApiRoute::Version, GET),
        "/robots.txt" => (ApiRoute::Robots, GET),
        _ => path.strip_prefix("/v1/").and_then(find_v1_path).unwrap_or((ApiRoute::Unknown, "")),
    }
}

fn find_v1_path(rest: &str) -> Option<(ApiRoute<'_>, &'static str)> {
    if let Some(word) = rest.strip_prefix("pixel/") {
        return Some((ApiRoute::Pixel(QueryRequest::Segment(MessageType::from_path(word)?)), GET));
    }
    if let Some(name) = rest.strip_prefix("functions/") {
        let is_name = !name.is_empty() && !name.contains('/');
        return is_name.then_some((ApiRoute::Function { name }, POST));
    }
    let key = rest.strip_prefix("projects/").and_then(|rest| rest.strip_suffix("/settings"));
    if let Some(write_key) = key {
        return Some((ApiRoute::SegmentSettings { write_key }, GET));
    }
    let short = match rest {
        "i" => Some(MessageType::Identify),
        "t" => Some(MessageType::Track),
        "p" => Some(MessageType::Page),
        "s" => Some(MessageType::Screen),
        "g" => Some(MessageType::Group),
        "a" => Some(MessageType::Alias),
        _ => None,
    };
    let message_type = short.or_else(|| MessageType::from_path(rest))?;
    Some((ApiRoute::One { message_type, is_browser: short.is_some() }, POST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_both_vendors_is_known() {
        let post = |path| find_route(&Method::POST, path);
        for path in [
            "/v1/identify",
            "/v1/track",
            "/v1/page",
            "/v1/screen",
            "/v1/group",
            "/v1/alias",
            "/v1/merge",
        ] {
            assert!(matches!(post(path), ApiRoute::One { is_browser: false, .. }), "{path}");
        }
        for path in ["/v1/i", "/v1/t", "/v1/p", "/v1/s", "/v1/g", "/v1/a"] {
            assert!(matches!(post(path), ApiRoute::One { is_browser: true, .. }), "{path}");
        }
        for path in ["/v1/batch", "/v1/import", "/v1/b", "/beacon/v1/batch", "/v1/batch/"] {
            assert!(matches!(post(path), ApiRoute::Batch { .. }), "{path}");
        }
        let get = |path| find_route(&Method::GET, path);
        assert_eq!(
            get("/pixel/v1/page"),
            ApiRoute::Pixel(QueryRequest::RudderStack(MessageType::Page))
        );
        assert_eq!(
            get("/v1/pixel/alias"),
            ApiRoute::Pixel(QueryRequest::Segment(MessageType::Alias))
        );
        assert_eq!(
            get("/v1/projects/a%2Fb/settings"),
            ApiRoute::SegmentSettings { write_key: "a%2Fb" }
        );
        assert_eq!(get("/sourceConfig/"), ApiRoute::RudderStackSettings);
        assert_eq!(
            (get("/v1/webhook"), post("/v1/webhook")),
            (ApiRoute::Webhook, ApiRoute::Webhook)
        );
        for (path, name) in
            [("/v1/functions/shop", "shop"), ("/v1/functions/a%2Fb%20c/", "a%2Fb%20c")]
        {
            assert_eq!(post(path), ApiRoute::Function { name }, "{path}");
        }
        assert_eq!((get("/"), get("/health")), (ApiRoute::Health, ApiRoute::Health));
    }

    #[test]
    fn wrong_methods_and_unknown_paths_are_told_apart() {
        assert_eq!(
            find_route(&Method::GET, "/v1/track"),
            ApiRoute::WrongMethod { allowed: "POST" }
        );
        assert_eq!(
            find_route(&Method::DELETE, "/v1/webhook"),
            ApiRoute::WrongMethod { allowed: "GET, POST" }
        );
        assert_eq!(
            find_route(&Method::GET, "/v1/functions/shop"),
            ApiRoute::WrongMethod { allowed: "POST" }
        );
        for path in ["/v1/functions", "/v1/functions/", "/v1/functions/a/b"] {
            assert_eq!(find_route(&Method::POST, path), ApiRoute::Unknown, "{path}");
        }
        for path in
            ["/v2/track", "/v1/", "/v1/x", "/v1", "/pixel/v1/alias", "//v1/track", "/V1/track"]
        {
            assert_eq!(find_route(&Method::POST, path), ApiRoute::Unknown, "{path}");
        }
    }
}
