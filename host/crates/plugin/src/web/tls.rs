//! TLS of requests of plugins: the certificates that the system trusts, and those of the settings.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Returns the TLS settings of the client. The caller has checked the certificates in `ca_pem`.
/// Without any root certificates, TLS connections fail, but connections without TLS still work.
pub(super) fn tls_config(ca_pem: Option<&[u8]>) -> ClientConfig {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let own = ca_pem.into_iter().flat_map(CertificateDer::pem_slice_iter).flatten();
    let (added, _) = roots.add_parsable_certificates(found.certs.into_iter().chain(own));
    if added == 0 {
        tracing::warn!("no root certificates found; TLS connections of plugins will fail");
    }
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("it knows the versions of TLS that it was built with")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
