//! Removes users, passwords and parameters from URLs.
//!
//! A text that does not look like a URL is dropped, because it may be a password with unexpected
//! characters.

/// The minimum number of characters of a part of a path that may be a token.
const TOKEN_CHARACTERS_MIN: usize = 20;
/// The text that replaces it.
const HIDDEN: &str = "...";

/// The parts of a JDBC URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Jdbc {
    /// The URL without sensitive parts.
    pub(super) url: String,
    pub(super) host: String,
    pub(super) database: Option<String>,
}

/// Parses `jdbc:redshift://HOST:PORT/DATABASE`, and drops all other parts.
pub(super) fn redact_jdbc_url(text: &str) -> Option<Jdbc> {
    let (scheme, rest) = text.trim().split_once("//")?;
    let is_scheme = scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == ':');
    if !is_scheme || !scheme.to_ascii_lowercase().starts_with("jdbc:") {
        return None;
    }
    let AddressParts { host, port, path } = AddressParts::read(rest)?;
    let database = path.split([':', '/']).next().filter(|name| !name.is_empty());
    let database = database.map(str::to_owned);
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let path = database.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    Some(Jdbc { url: format!("{scheme}//{host}{port}{path}"), host, database })
}

/// Returns an HTTP URL without user, password, parameters, and without parts of its path that may
/// be a token, because some services put a token there.
pub(super) fn redact_http_url(text: &str) -> Option<String> {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "https" && scheme != "http" {
        return None;
    }
    let AddressParts { host, port, path } = AddressParts::read(rest)?;
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let parts: Vec<_> =
        path.split('/').map(|part| if may_be_token(part) { HIDDEN } else { part }).collect();
    let path = parts.join("/");
    let slash = if path.is_empty() { "" } else { "/" };
    Some(format!("{scheme}://{host}{port}{slash}{path}"))
}

/// Returns the host of a text that may contain a port.
pub(super) fn redact_host(text: &str) -> Option<String> {
    AddressParts::read(text.trim()).map(|parts| parts.host)
}

/// The parts after a scheme.
struct AddressParts<'a> {
    host: String,
    port: Option<u16>,
    /// The path without the leading `/`, and without parameters.
    path: &'a str,
}

impl<'a> AddressParts<'a> {
    fn read(rest: &'a str) -> Option<Self> {
        let end = rest.find(['?', '#', ';', '&']).unwrap_or(rest.len());
        let (head, parameters) = rest.split_at(end);
        let (authority, path) = head.split_once('/').unwrap_or((head, ""));
        // An `@` after the host may belong to a password that contains one of the characters that
        // end the host.
        let (authority, path) = match path.rsplit_once('@') {
            Some((_, rest)) => rest.split_once('/').unwrap_or((rest, "")),
            None => (authority, path),
        };
        let is_doubtful = parameters.contains('@');
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = split_port(authority)?;
        (!is_doubtful).then(|| AddressParts { host: host.to_ascii_lowercase(), port, path })
    }
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (authority, None),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let is_address = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.');
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match inner {
        Some(address) => address.chars().all(is_address),
        None => !host.is_empty() && host.chars().all(is_name),
    };
    is_host.then_some((host, port))
}

/// Whether a part is long and mixes letters and digits.
fn may_be_token(part: &str) -> bool {
    part.len() >= TOKEN_CHARACTERS_MIN
        && part.bytes().any(|byte| byte.is_ascii_digit())
        && part.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_jdbc_url_is_told_without_users_and_parameters() {
        for (text, url, host, database) in [
            (
                "jdbc:redshift://c.abc.eu-west-1.redshift.amazonaws.com:5439/db",
                "jdbc:redshift://c.abc.eu-west-1.redshift.amazonaws.com:5439/db",
                "c.abc.eu-west-1.redshift.amazonaws.com",
                Some("db"),
            ),
            (
                "jdbc:redshift:iam://wg.123456789012.eu-west-1.redshift-serverless.amazonaws.com/dev?UID=u&PWD=p",
                "jdbc:redshift:iam://wg.123456789012.eu-west-1.redshift-serverless.amazonaws.com/dev",
                "wg.123456789012.eu-west-1.redshift-serverless.amazonaws.com",
                Some("dev"),
            ),
            ("jdbc:redshift://u:p/w@h:5439/db;PWD=x", "jdbc:redshift://h:5439/db", "h", Some("db")),
            ("jdbc:postgresql://u:p@H_1/db:user=x", "jdbc:postgresql://h_1/db", "h_1", Some("db")),
            ("jdbc:redshift://h:5439", "jdbc:redshift://h:5439", "h", None),
            ("jdbc:redshift://[::1]:5439/", "jdbc:redshift://[::1]:5439", "[::1]", None),
            (
                "jdbc:redshift://vpce-1-a.redshift.eu-west-1.vpce.amazonaws.com:1/a",
                "jdbc:redshift://vpce-1-a.redshift.eu-west-1.vpce.amazonaws.com:1/a",
                "vpce-1-a.redshift.eu-west-1.vpce.amazonaws.com",
                Some("a"),
            ),
        ] {
            let read = redact_jdbc_url(text).unwrap();
            assert_eq!((&*read.url, &*read.host, read.database.as_deref()), (url, host, database));
        }
    }

    #[test]
    fn what_may_be_a_password_is_not_told() {
        for text in [
            "",
            "jdbc:",
            "jdbc:redshift:h",
            "redshift://h/db",
            "jdbc:redshift://",
            "jdbc:redshift://u:p?w@h/db",
            "jdbc:redshift://u:1?w@h/db",
            "jdbc:redshift://h p/db",
            "jdbc:redshift://u:1/w?x@h/db",
        ] {
            assert_eq!(redact_jdbc_url(text), None, "{text}");
        }
        for text in ["ftp://h", "https://", "https://u:p?x@h", "https://h:port/", "u v"] {
            assert_eq!(redact_http_url(text), None, "{text}");
        }
    }

    #[test]
    fn an_http_url_is_told_without_users_parameters_and_tokens() {
        for (text, url) in [
            ("https://u:p@host.example:8088/a/b?token=x#y", "https://host.example:8088/a/b"),
            ("HTTPS://Host", "https://host"),
            ("search.example", "https://search.example"),
            ("http://h/v1/ZaVnC4dhaV3xqW0123456789==/x", "http://h/v1/.../x"),
            (
                "https://h/services/collector/a-long-name-of-words",
                "https://h/services/collector/a-long-name-of-words",
            ),
            ("https://u:1/2@h:1/a", "https://h:1/a"),
            ("https://h/a;session=1", "https://h/a"),
        ] {
            assert_eq!(redact_http_url(text).as_deref(), Some(url), "{text}");
        }
    }

    #[test]
    fn a_host_comes_without_its_port() {
        assert_eq!(redact_host("u@db.example:3306").as_deref(), Some("db.example"));
        assert_eq!(redact_host("db example"), None);
    }

    /// Passwords with all characters at which a URL may be split.
    const PASSWORD: &str = "[A-Z0-9:/@?#;&!$%=+]{0,20}SECRET[A-Z0-9:/@?#;&!$%=+]{0,20}";
    const JDBC: &str = "jdbc:[a-z]{1,9}://([a-z]{1,3}:[a-z]{1,3}@)?[a-z.-]{1,9}(:[0-9]{1,4})?(/[a-z]{0,5})?([?;]a=b)?";

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "(jdbc:|http)?[a-z:/@?#;&0-9\\[\\]. é]{0,40}") {
            let _ = (redact_jdbc_url(&text), redact_http_url(&text), redact_host(&text));
        }

        #[test]
        fn no_password_is_shown(password in PASSWORD, end in "(/db)?(\\?a=b)?") {
            let read = redact_jdbc_url(&format!("jdbc:redshift://user:{password}@host:5439{end}"));
            let shown = read.map_or(String::new(), |read| read.url + &read.host);
            prop_assert!(!shown.to_uppercase().contains("SECRET"), "{}", shown);
            let read = redact_http_url(&format!("https://user:{password}@host{end}"));
            let shown = read.unwrap_or_default();
            prop_assert!(!shown.to_uppercase().contains("SECRET"), "{}", shown);
        }

        #[test]
        fn told_again_it_is_the_same(text in JDBC) {
            if let Some(read) = redact_jdbc_url(&text) {
                prop_assert_eq!(redact_jdbc_url(&read.url), Some(read));
            }
        }
    }
}
