//! The HTTP client that all AWS clients share: proxy, trusted certificates, clock, and a size limit
//! for responses. Requests to the metadata endpoints of machines and containers never use a proxy.

mod bounded;
mod checked;
mod intercepted;

pub use bounded::ResponseTooLong;
pub use checked::ResponseReader;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use aws_sdk_firehose::config::{RuntimeComponents, SharedAsyncSleep};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use intercepted::{Intercepted, ResponseHandling};

use super::settings::{TransportSettings, is_proxy_url};
use super::{AwsClock, CertificatesError, ConnectError};
use crate::limits;
use standpipe_core::secret::{Secret, SecretResolver};

/// Hosts that provide the credentials of machines and containers. Requests to them bypass the
/// proxy: a proxy would return the credentials of its own machine.
const METADATA: &str = "169.254.169.254,169.254.170.2,169.254.170.23,fd00:ec2::254,fd00:ec2::23";

/// An HTTP client, and the clock that its responses correct.
#[derive(Debug, Clone)]
pub struct AwsHttp {
    pub(super) client: SharedHttpClient,
    pub(super) clock: AwsClock,
}

impl AwsHttp {
    /// Wraps a client of the caller. Its responses do not correct the clock.
    pub fn with_client(client: SharedHttpClient) -> Self {
        AwsHttp { client, clock: AwsClock::default() }
    }
}

/// Creates the HTTP client that all AWS clients share.
///
/// Without a `proxy`, the client uses the environment variable `HTTPS_PROXY` (or `ALL_PROXY`), for
/// `https` only. Without a `ca_bundle`, it uses `AWS_CA_BUNDLE`. `NO_PROXY` applies to proxies from
/// both places.
///
/// A response longer than [`limits::AWS_RESPONSE_BYTES_MAX`] fails with [`ResponseTooLong`].
///
/// # Errors
///
/// Fails if the proxy's URL or the certificates cannot be used.
pub async fn http_client(
    settings: &TransportSettings,
    secrets: &dyn SecretResolver,
) -> Result<AwsHttp, ConnectError> {
    let transport = Transport::new(settings, secrets).await?;
    let client = Builder::new().build_with_connector_fn(move |settings, components| {
        let sleep = components.and_then(RuntimeComponents::sleep_impl);
        transport.connector(settings.cloned(), sleep)
    });
    let clock = AwsClock::default();
    let handling = ResponseHandling::Bound(clock.clone());
    let client = SharedHttpClient::new(Intercepted { inner: client, handling });
    Ok(AwsHttp { client, clock })
}

/// Creates a connector like that of [`http_client`], for requests that are signed outside of the
/// SDK with this clock.
///
/// # Errors
///
/// Fails in the same cases as [`http_client`].
pub async fn http_connector(
    settings: &TransportSettings,
    secrets: &dyn SecretResolver,
    clock: &AwsClock,
) -> Result<SharedHttpConnector, ConnectError> {
    let timeout = HttpConnectorSettings::builder().connect_timeout(limits::CONNECT_TIMEOUT);
    let transport = Transport::new(settings, secrets).await?;
    let inner = transport.connector(Some(timeout.build()), None);
    let handling = ResponseHandling::Bound(clock.clone());
    Ok(SharedHttpConnector::new(Intercepted { inner, handling }))
}

/// Wraps a client, so that the [`ResponseReader`] of a request reads its successful response.
pub(super) fn with_response_reader(inner: SharedHttpClient) -> SharedHttpClient {
    SharedHttpClient::new(Intercepted { inner, handling: ResponseHandling::Read })
}

/// The checked settings.
struct Transport {
    proxy: ProxyConfig,
    tls: TlsContext,
}

impl Transport {
    async fn new(
        settings: &TransportSettings,
        secrets: &dyn SecretResolver,
    ) -> Result<Self, ConnectError> {
        let proxy = secrets.resolve_optional(settings.proxy.as_ref()).await?;
        let proxy = proxy_config(proxy.as_ref())?;
        let tls = TlsContext::builder().with_trust_store(trust_store(settings)?);
        let tls = tls.build().expect("a trust store is all there is to be wrong");
        Ok(Transport { proxy, tls })
    }

    fn connector(
        &self,
        settings: Option<HttpConnectorSettings>,
        sleep: Option<SharedAsyncSleep>,
    ) -> Connector {
        let mut builder = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(self.tls.clone())
            .proxy_config(self.proxy.clone())
            .pool_max_idle_per_host(limits::REQUESTS_AT_ONCE_MAX);
        builder.set_connector_settings(settings);
        builder.set_sleep_impl(sleep);
        builder.build()
    }
}

fn proxy_config(setting: Option<&Secret>) -> Result<ProxyConfig, ConnectError> {
    let config = match setting {
        Some(url) => is_proxy_url(url).then(|| ProxyConfig::all(url.expose()).ok()).flatten(),
        None => {
            match environment_variable(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]) {
                Some(url) => ProxyConfig::https(url).ok(),
                None => return Ok(ProxyConfig::disabled()),
            }
        }
    };
    let config = config.ok_or(ConnectError::Proxy { is_set: setting.is_some() })?;
    let direct = environment_variable(&["NO_PROXY", "no_proxy"]).unwrap_or_default();
    Ok(config.no_proxy(format!("{METADATA},{direct}")))
}

fn environment_variable(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
}

/// Checks the certificates to trust in addition to those of the system, if the settings name any.
///
/// # Errors
///
/// Fails if the certificates cannot be read.
pub fn check_ca_bundle(settings: &TransportSettings) -> Result<(), ConnectError> {
    trust_store(settings).map(drop)
}

fn trust_store(settings: &TransportSettings) -> Result<TrustStore, ConnectError> {
    let store = TrustStore::default();
    let (path, place): (PathBuf, _) = match (&settings.ca_bundle, env::var_os("AWS_CA_BUNDLE")) {
        (Some(path), _) => (path.clone(), "`ca_bundle` under [aws]"),
        (None, Some(path)) if !path.is_empty() => (path.into(), "AWS_CA_BUNDLE"),
        (None, _) => return Ok(store),
    };
    Ok(store.with_pem_certificate(read_ca_bundle(&path, place)?))
}

/// Reads the PEM file with the certificates to trust in addition to those of the system, which the
/// setting or variable `place` names.
///
/// # Errors
///
/// Fails if the file cannot be read or contains no certificate.
pub fn read_ca_bundle(path: &Path, place: &'static str) -> Result<Vec<u8>, ConnectError> {
    match read_certificates(path) {
        Ok((pem, _)) => Ok(pem),
        Err(problem) => Err(ConnectError::CaBundle { path: path.to_owned(), place, problem }),
    }
}

/// Reads a PEM file with certificates. Returns its text and its certificates. The check is
/// necessary because clients panic if the text contains no certificate.
///
/// # Errors
///
/// Fails if the file cannot be read or contains no certificate.
pub fn read_certificates(path: &Path) -> Result<(Vec<u8>, RootCertStore), CertificatesError> {
    let pem = fs::read(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        return Err(CertificatesError::None);
    }
    Ok((pem, roots))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_certificates_are_refused() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("ca.pem");
        assert!(read_certificates(&path).is_err());
        for text in ["", "text", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            fs::write(&path, text).unwrap();
            assert!(read_certificates(&path).is_err(), "{text}");
        }
    }
}
