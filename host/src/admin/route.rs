//! All paths of the admin server with their methods, in one table; the OpenAPI document is checked
//! against it. A known path with another method is a failure of its own, which names the methods
//! that exist.

use hyper::{Method, StatusCode};

use super::answer::Failure;

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Live,
    Ready,
    Metrics,
    Document,
    Plugin(Errand),
}

/// What can be asked for with the token alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    Report,
    Offer,
    Check,
    RollBack,
    TryCanary,
    EndCanary,
    PromoteCanary,
}

/// Every path with its methods. What is got can be asked for by HEAD too.
pub(super) const ROUTES: [(&str, Method, Route); 11] = [
    ("/health/live", Method::GET, Route::Live),
    ("/health/ready", Method::GET, Route::Ready),
    ("/metrics", Method::GET, Route::Metrics),
    ("/openapi.json", Method::GET, Route::Document),
    ("/plugin", Method::GET, Route::Plugin(Errand::Report)),
    ("/plugin", Method::PUT, Route::Plugin(Errand::Offer)),
    ("/plugin/check", Method::POST, Route::Plugin(Errand::Check)),
    ("/plugin/rollback", Method::POST, Route::Plugin(Errand::RollBack)),
    ("/plugin/canary", Method::PUT, Route::Plugin(Errand::TryCanary)),
    ("/plugin/canary", Method::DELETE, Route::Plugin(Errand::EndCanary)),
    ("/plugin/canary/promote", Method::POST, Route::Plugin(Errand::PromoteCanary)),
];

pub(super) fn route(method: &Method, path: &str) -> Result<Route, Failure> {
    let asked = if *method == Method::HEAD { &Method::GET } else { method };
    let of_path: Vec<_> = ROUTES.iter().filter(|(known, ..)| *known == path).collect();
    if of_path.is_empty() {
        return Err(Failure::new(
            StatusCode::NOT_FOUND,
            "no such path: /openapi.json tells which there are",
        ));
    }
    let found = of_path.iter().find(|(_, method, _)| method == asked);
    found.map(|(.., route)| *route).ok_or_else(|| {
        let allowed = of_path.iter().map(|(_, method, _)| match *method {
            Method::GET => "GET, HEAD",
            ref method => method.as_str(),
        });
        Failure::wrong_method(&allowed.collect::<Vec<_>>().join(", "))
    })
}
