//! All paths of the admin server with their methods, in one table. The OpenAPI document is compared
//! with it. A known path with another method is a separate error, which names the supported
//! methods.

use hyper::{Method, StatusCode};

use super::response::AdminError;

/// A resource of the admin server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AdminRoute {
    Live,
    Ready,
    Metrics,
    Document,
    Plugin(PluginCommand),
}

/// A command of the plugin API, which requires the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PluginCommand {
    Report,
    Swap,
    Check,
    RollBack,
    TryCanary,
    EndCanary,
    PromoteCanary,
}

/// Every path with its methods. HEAD is supported wherever GET is.
pub(super) const ROUTES: [(&str, Method, AdminRoute); 11] = [
    ("/health/live", Method::GET, AdminRoute::Live),
    ("/health/ready", Method::GET, AdminRoute::Ready),
    ("/metrics", Method::GET, AdminRoute::Metrics),
    ("/openapi.json", Method::GET, AdminRoute::Document),
    ("/plugin", Method::GET, AdminRoute::Plugin(PluginCommand::Report)),
    ("/plugin", Method::PUT, AdminRoute::Plugin(PluginCommand::Swap)),
    ("/plugin/check", Method::POST, AdminRoute::Plugin(PluginCommand::Check)),
    ("/plugin/rollback", Method::POST, AdminRoute::Plugin(PluginCommand::RollBack)),
    ("/plugin/canary", Method::PUT, AdminRoute::Plugin(PluginCommand::TryCanary)),
    ("/plugin/canary", Method::DELETE, AdminRoute::Plugin(PluginCommand::EndCanary)),
    ("/plugin/canary/promote", Method::POST, AdminRoute::Plugin(PluginCommand::PromoteCanary)),
];

pub(super) fn find_route(method: &Method, path: &str) -> Result<AdminRoute, AdminError> {
    let asked = if *method == Method::HEAD { &Method::GET } else { method };
    let of_path: Vec<_> = ROUTES.iter().filter(|(known, ..)| *known == path).collect();
    if of_path.is_empty() {
        return Err(AdminError::new(
            StatusCode::NOT_FOUND,
            "unknown path: /openapi.json lists all paths",
        ));
    }
    let found = of_path.iter().find(|(_, method, _)| method == asked);
    found.map(|(.., route)| *route).ok_or_else(|| {
        let allowed = of_path.iter().map(|(_, method, _)| match *method {
            Method::GET => "GET, HEAD",
            ref method => method.as_str(),
        });
        AdminError::wrong_method(&allowed.collect::<Vec<_>>().join(", "))
    })
}
