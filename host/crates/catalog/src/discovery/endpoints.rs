//! Determines which services a URL is for, if one URL is given for all of them.

use crate::url_parts::UrlParts;

/// URLs that replace the services' endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceUrls {
    /// The URL of Amazon Data Firehose.
    pub firehose: Option<String>,
    /// The URL of Amazon DynamoDB.
    pub dynamodb: Option<String>,
    /// The URL of AWS STS.
    pub sts: Option<String>,
}

/// Uses one URL for the services that it serves: only for Firehose if its host starts with
/// `firehose.`, as in OpenMetadata's example, and otherwise for all services, as emulators need it.
/// A service's `own` URL has priority.
///
/// Also returns a warning for users, if there is one.
pub fn share_endpoint(url: Option<&str>, own: ServiceUrls) -> (ServiceUrls, Option<String>) {
    let Some(url) = url else { return (own, None) };
    let firehose = own.firehose.or_else(|| Some(url.to_owned()));
    let host = host_of(url);
    if host.starts_with("firehose.") {
        return (ServiceUrls { firehose, ..own }, None);
    }
    let is_shared = own.dynamodb.is_none() || own.sts.is_none();
    let warning = (is_shared && serves_firehose_alone(&host)).then(|| {
        format!(
            "the endpoint URL is used for all services, but {host} seems to serve Firehose only: set it as `firehose` under `endpoints`"
        )
    });
    let or_url = |own: Option<String>| own.or_else(|| Some(url.to_owned()));
    (ServiceUrls { firehose, dynamodb: or_url(own.dynamodb), sts: or_url(own.sts) }, warning)
}

/// The region of an availability zone: `eu-west-1` for `eu-west-1a`. Unknown regions are valid,
/// because emulators have some. `None` if the text is not a zone.
pub fn region_of_zone(name: &str) -> Option<&str> {
    let region = name.strip_suffix(|it: char| it.is_ascii_lowercase())?;
    let (area, number) = region.rsplit_once('-')?;
    let is_region = area.contains('-') && !number.is_empty();
    (is_region && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(region)
}

/// Whether a host only serves Firehose. Includes endpoints of PrivateLink, and FIPS 140 endpoints.
fn serves_firehose_alone(host: &str) -> bool {
    host.starts_with("firehose-fips.") || host.starts_with("vpce-") && host.contains(".firehose.")
}

/// The host of a URL in lower case, without user and port.
fn host_of(url: &str) -> String {
    UrlParts::of(url).host.split(':').next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service_urls(
        firehose: Option<&str>,
        dynamodb: Option<&str>,
        sts: Option<&str>,
    ) -> ServiceUrls {
        let own = |url: Option<&str>| url.map(str::to_owned);
        ServiceUrls { firehose: own(firehose), dynamodb: own(dynamodb), sts: own(sts) }
    }

    #[test]
    fn a_url_of_firehose_is_for_firehose_alone() {
        for url in ["https://firehose.us-east-1.amazonaws.com", "https://Firehose.x:443/y"] {
            let shared = share_endpoint(Some(url), ServiceUrls::default());
            assert_eq!(shared, (service_urls(Some(url), None, None), None));
        }
        assert_eq!(share_endpoint(None, ServiceUrls::default()), (ServiceUrls::default(), None));
    }

    #[test]
    fn any_other_url_is_for_all_that_have_none_of_their_own() {
        let url = "http://firehose@localhost:4566";
        let shared = share_endpoint(Some(url), ServiceUrls::default());
        assert_eq!(shared, (service_urls(Some(url), Some(url), Some(url)), None));
        let own = service_urls(Some("http://f"), Some("http://d"), None);
        let shared = share_endpoint(Some(url), own);
        assert_eq!(shared.0, service_urls(Some("http://f"), Some("http://d"), Some(url)));
    }

    #[test]
    fn what_serves_firehose_alone_and_does_not_look_so_is_warned_of() {
        let private = "https://vpce-1-2.firehose.us-east-1.vpce.amazonaws.com";
        for url in [private, "https://firehose-fips.us-east-1.amazonaws.com"] {
            let (shared, warning) = share_endpoint(Some(url), ServiceUrls::default());
            assert_eq!(shared.dynamodb.as_deref(), Some(url));
            assert!(warning.unwrap().contains("`endpoints`"));
            let own = service_urls(None, Some("http://d"), Some("http://s"));
            assert_eq!(share_endpoint(Some(url), own).1, None);
        }
    }

    #[test]
    fn a_zone_is_distinguished_from_a_region() {
        assert_eq!(region_of_zone("eu-west-1a"), Some("eu-west-1"));
        assert_eq!(region_of_zone("us-gov-west-1b"), Some("us-gov-west-1"));
        for region in ["eu-west-1", "us-gov-west-1", "local", "local-a", "", "a", "1a", "x-1a"] {
            assert_eq!(region_of_zone(region), None, "{region}");
        }
    }
}
