//! The origins of pages from which a source accepts events: exact origins, or all hosts below one.

use thiserror::Error;

/// The origins of pages from which a source accepts events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginRule {
    /// Pages of this origin, such as `https://shop.example`.
    Exact(String),
    /// Pages of all hosts under this one: `https://*.shop.example`.
    Below {
        /// The scheme with its `://`.
        scheme: String,
        /// The end of the host, starting with the dot, and the port if there is one.
        suffix: String,
    },
}

/// The text is not an origin.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "invalid origin {0:?}: expected one such as \"https://shop.example\" or \"https://*.shop.example\", without a path"
)]
pub struct InvalidOrigin(String);

impl OriginRule {
    /// Parses a rule.
    ///
    /// # Errors
    ///
    /// Fails if the text is not an origin.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let wrong = || InvalidOrigin(text.to_owned());
        let lower = text.to_ascii_lowercase();
        let (scheme, host) = lower.split_once("://").ok_or_else(wrong)?;
        let is_host = |host: &str| {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
        };
        match host.strip_prefix('*') {
            _ if scheme.is_empty() => Err(wrong()),
            Some(suffix) if suffix.starts_with('.') && is_host(&suffix[1..]) => {
                let (scheme, suffix) = (format!("{scheme}://"), suffix.to_owned());
                Ok(OriginRule::Below { scheme, suffix })
            }
            None if is_host(host) => Ok(OriginRule::Exact(lower)),
            _ => Err(wrong()),
        }
    }

    /// Returns whether an `Origin` header matches the rule.
    pub(super) fn covers(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        match self {
            OriginRule::Exact(exact) => *exact == origin,
            OriginRule::Below { scheme, suffix } => origin
                .strip_prefix(scheme.as_str())
                .and_then(|host| host.strip_suffix(suffix.as_str()))
                .is_some_and(|below| !below.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_cover_what_they_name() {
        let exact = OriginRule::parse("https://Shop.example").unwrap();
        assert!(exact.covers("https://shop.example") && exact.covers("HTTPS://SHOP.EXAMPLE"));
        assert!(!exact.covers("http://shop.example") && !exact.covers("https://shop.example:444"));
        let below = OriginRule::parse("https://*.shop.example").unwrap();
        assert!(below.covers("https://a.shop.example") && below.covers("https://a.b.shop.example"));
        for other in
            ["https://shop.example", "https://.shop.example", "https://evilshop.example", "null"]
        {
            assert!(!below.covers(other), "{other}");
        }
    }

    #[test]
    fn what_names_no_origin_is_refused() {
        for wrong in
            ["", "shop.example", "https://", "https://a/b", "https://*", "https://*a.b", "*"]
        {
            assert!(OriginRule::parse(wrong).is_err(), "{wrong}");
        }
    }
}
