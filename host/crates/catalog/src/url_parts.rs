//! The parts of a URL that may be shown, without user, password, parameters and fragment. Any text
//! is accepted, because settings of other programs may contain texts that are not URLs.

/// The parts of a URL, or of a host alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UrlParts<'url> {
    pub(crate) scheme: Option<&'url str>,
    /// The host with its port.
    pub(crate) host: &'url str,
    /// The path, starting with the first `/`. Empty if there is none.
    pub(crate) path: &'url str,
}

impl<'url> UrlParts<'url> {
    pub(crate) fn of(url: &'url str) -> Self {
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, url),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        UrlParts { scheme, host, path }
    }
}
