//! The proxies between clients and the collector, and which of their headers are used.
//!
//! Behind a proxy, the connection says nothing about the user, and the `Host` may be a name that
//! only the proxy knows. Headers contain both, but any client can send them, so they are only used
//! if they come from a trusted proxy. If they are missing or ignored, the log contains a warning.

use std::net::IpAddr;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::ORIGIN;
use hyper::http::request::Parts;

use super::public_url::PublicUrl;
use super::refusal_reason::RefusalReason;
use super::refused_request::RefusedRequest;
use standpipe_core::log_interval::LogInterval;
use standpipe_http::{Forwarded, Peer, TrustedProxies, UserAddress};

/// How often the log warns about the headers of a proxy.
const COLLECT_PROXY_LOG_INTERVAL: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Proxies {
    trusted: TrustedProxies,
    /// The public URL of the collector in the settings, if there is one.
    public_url: Option<PublicUrl>,
    log_of_addresses: LogInterval,
    log_of_urls: LogInterval,
}

impl Proxies {
    pub(super) fn new(trusted: TrustedProxies, public_url: Option<PublicUrl>) -> Self {
        let [log_of_addresses, log_of_urls] =
            [(); 2].map(|()| LogInterval::new(COLLECT_PROXY_LOG_INTERVAL));
        Proxies { trusted, public_url, log_of_addresses, log_of_urls }
    }

    /// The client whose memory limit applies to a request. `None` if clients cannot be
    /// distinguished.
    pub(super) fn client_address(&self, headers: &HeaderMap, peer: IpAddr) -> Option<IpAddr> {
        self.trusted.client(headers, peer)
    }

    /// The user's address, which may become part of an event.
    pub(super) fn user_address(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let user = self.trusted.user(headers, peer);
        match user {
            UserAddress::Named(_) | UserAddress::OfPeer(_) => {}
            UserAddress::Ignored(_) | UserAddress::Unreadable(_)
                if self.log_of_addresses.admit().is_none() => {}
            UserAddress::Ignored(peer) => tracing::warn!(
                "ignored the X-Forwarded-For or Forwarded header of requests from {peer}, and used {peer} as the \
                 address of their users: if it is your proxy, add it to trusted_proxies under [http]"
            ),
            UserAddress::Unreadable(peer) => tracing::warn!(
                "found no IP address in the X-Forwarded-For or Forwarded header of requests from the proxy {peer}, \
                 and used {peer} as the address of their users: have the proxy write the client's IP address there"
            ),
        }
        user.address()
    }

    /// The scheme and the host of a request as its sender knows them, without a check that other
    /// clients reach the collector there.
    pub(super) fn sent_to(&self, parts: &Parts, peer: Peer) -> String {
        let of_request = || {
            let believed = self.trusted.believes(peer.address);
            let forwarded = believed.then(|| Forwarded::new(&parts.headers));
            PublicUrl::of_request(parts, peer.is_encrypted, forwarded)
        };
        let url = self.public_url.clone().or_else(of_request);
        url.map_or_else(|| "http://localhost".to_owned(), |url| url.to_string())
    }

    /// The URL at which the client of a request reaches the collector.
    pub(super) fn public_url(
        &self,
        parts: &Parts,
        peer: Peer,
    ) -> Result<PublicUrl, RefusedRequest> {
        if let Some(url) = &self.public_url {
            return Ok(url.clone());
        }
        let believed = self.trusted.believes(peer.address);
        let forwarded = believed.then(|| Forwarded::new(&parts.headers));
        let url = PublicUrl::of_request(parts, peer.is_encrypted, forwarded);
        let url = url.ok_or_else(|| {
            let text = "no Host header: the settings of an SDK contain the host for its events";
            RefusedRequest::new(RefusalReason::NoHost, text)
        })?;
        let origin = parts.headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
        if let Some(problem) = url.problem(origin)
            && self.log_of_urls.admit().is_some()
        {
            tracing::warn!(
                "an SDK was given the URL {url:.200} for its events, {problem}: set public_url under [http] to the URL by which \
                 clients reach the collector, or have the proxy send X-Forwarded-Host and X-Forwarded-Proto"
            );
        }
        Ok(url)
    }
}
