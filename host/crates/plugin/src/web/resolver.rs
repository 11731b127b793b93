//! Resolves host names to addresses that requests may go to.
//!
//! The HTTP client connects to the addresses that this resolver returns and to no others, so a name
//! cannot stand for one address when it is checked and for another one when it is used. The exception
//! is the proxy of the settings: its address need not be public, and it resolves the names of servers
//! itself.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use parking_lot::Mutex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::OnceCell;
use url::Url;

use super::address::is_address_allowed;
use super::failure::{UnusableHost, WebFailure};
use standpipe_core::secret::Secret;

/// How long the addresses of a name are used. Many new connections to one host then need one look-up.
const ADDRESSES_AGE_MAX: Duration = Duration::from_secs(10);

/// Names whose addresses are kept.
const NAMES_MAX: usize = 1000;

/// A resolver with the networks that need not be public.
#[derive(Debug, Clone)]
pub(super) struct CheckedResolver {
    allow_private: Arc<[IpNet]>,
    /// The proxy, if it has a name.
    proxy_name: Option<Arc<str>>,
    /// Whether connections can lead to a proxy.
    has_proxy: bool,
    lookups: Arc<Mutex<HashMap<String, Lookup>>>,
}

/// A look-up of a name. Those who need it at the same time wait for the same one.
#[derive(Debug, Clone)]
struct Lookup {
    started: Instant,
    addresses: Arc<OnceCell<Vec<SocketAddr>>>,
}

impl CheckedResolver {
    pub(super) fn new(allow_private: &[IpNet], proxy: Option<&Secret>) -> Self {
        let url = proxy.and_then(|url| Url::parse(url.expose()).ok());
        CheckedResolver {
            allow_private: allow_private.into(),
            proxy_name: url.as_ref().and_then(Url::host_str).map(Into::into),
            has_proxy: proxy.is_some(),
            lookups: Arc::default(),
        }
    }

    /// Checks an address that a URL contains.
    pub(super) fn is_allowed(&self, address: IpAddr) -> bool {
        is_address_allowed(address, &self.allow_private)
    }

    /// Checks the address that a connection leads to. It can be the address of the proxy.
    pub(super) fn is_connection_allowed(&self, address: IpAddr) -> bool {
        self.has_proxy || self.is_allowed(address)
    }

    /// Whether a name is that of the proxy.
    fn is_proxy(&self, host: &str) -> bool {
        self.proxy_name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(host))
    }

    async fn resolve_checked(&self, host: &str) -> Result<Vec<SocketAddr>, WebFailure> {
        let lookup = self.lookup(host);
        let addresses = lookup.addresses.get_or_try_init(|| async {
            let found = tokio::net::lookup_host((host, 0)).await;
            let found = found.map_err(|_| WebFailure::Unresolved { host: host.to_owned() })?;
            Ok::<_, WebFailure>(found.collect())
        });
        self.check_addresses(host, addresses.await?)
    }

    /// The current look-up of a name, or a new one.
    fn lookup(&self, host: &str) -> Lookup {
        let mut lookups = self.lookups.lock();
        let current = lookups.get(host);
        if let Some(lookup) = current.filter(|lookup| lookup.started.elapsed() < ADDRESSES_AGE_MAX)
        {
            return lookup.clone();
        }
        if lookups.len() >= NAMES_MAX {
            lookups.clear();
        }
        let lookup = Lookup { started: Instant::now(), addresses: Arc::default() };
        lookups.insert(host.to_owned(), lookup.clone());
        lookup
    }

    /// The addresses of a name that may be used.
    fn check_addresses(
        &self,
        host: &str,
        addresses: &[SocketAddr],
    ) -> Result<Vec<SocketAddr>, WebFailure> {
        let is_proxy = self.is_proxy(host);
        let allowed = addresses.iter().filter(|address| is_proxy || self.is_allowed(address.ip()));
        let allowed: Vec<_> = allowed.copied().collect();
        match (allowed.is_empty(), addresses.first()) {
            (false, _) => Ok(allowed),
            (true, Some(first)) => {
                Err(WebFailure::ResolvedAddress { address: first.ip(), host: host.to_owned() })
            }
            (true, None) => Err(WebFailure::Unresolved { host: host.to_owned() }),
        }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            match resolver.resolve_checked(name.as_str()).await {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Err(failure) => Err(UnusableHost(Box::new(failure)).into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(allow_private: &[&str]) -> CheckedResolver {
        let networks: Vec<IpNet> = allow_private.iter().map(|text| text.parse().unwrap()).collect();
        CheckedResolver::new(&networks, None)
    }

    #[test]
    fn only_allowed_addresses_of_a_name_are_used() {
        let [inner, outer] = ["10.0.0.1:0", "93.184.216.34:0"].map(|text| text.parse().unwrap());
        let checked = resolver(&[]).check_addresses("a.example", &[inner, outer]).unwrap();
        assert_eq!(checked, [outer]);
        let refused = resolver(&[]).check_addresses("a.example", &[inner]).unwrap_err();
        assert!(refused.to_string().starts_with("cannot use 10.0.0.1 as IP address for a.example"));
        let allowed = resolver(&["10.0.0.0/8"]).check_addresses("a.example", &[inner]).unwrap();
        assert_eq!(allowed, [inner]);
    }

    #[test]
    fn the_address_of_the_proxy_need_not_be_public() {
        let inner = ["10.0.0.1:0".parse().unwrap()];
        let proxy = Secret::new("http://user:pass@Proxy.example:3128".to_owned());
        let resolver = CheckedResolver::new(&[], Some(&proxy));
        assert_eq!(resolver.check_addresses("proxy.example", &inner).unwrap(), inner);
        assert!(resolver.check_addresses("api.example", &inner).is_err());
        assert!(
            !resolver.is_allowed(inner[0].ip()) && resolver.is_connection_allowed(inner[0].ip())
        );
    }

    #[tokio::test]
    async fn names_of_this_machine_are_refused() {
        let refused = resolver(&[]).resolve_checked("localhost").await.unwrap_err();
        assert!(matches!(refused, WebFailure::ResolvedAddress { .. }), "{refused}");
        let allowed = resolver(&["127.0.0.0/8", "::1/128"]).resolve_checked("localhost").await;
        assert!(!allowed.unwrap().is_empty());
    }
}
