//! TLS for catalog servers: which certificates are trusted.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::{HttpError, TlsVerification};
use standpipe_aws::read_certificates;

/// Returns the TLS settings of the client.
pub(super) fn tls_config(verify: &TlsVerification) -> Result<ClientConfig, HttpError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("it knows the versions of TLS that it was built with");
    Ok(match verify {
        TlsVerification::System => builder.with_root_certificates(system_roots()),
        TlsVerification::Authority(path) => {
            let wrong =
                |problem| HttpError::Authority { path: path.clone(), problem: Arc::new(problem) };
            let (_, authority) = read_certificates(path).map_err(wrong)?;
            builder.with_root_certificates(authority)
        }
        TlsVerification::Nothing => {
            let anybody = Anybody(provider.signature_verification_algorithms);
            builder.dangerous().with_custom_certificate_verifier(Arc::new(anybody))
        }
    }
    .with_no_client_auth())
}

/// Returns the system's root certificates. Without any, TLS connections fail, but connections
/// without TLS still work.
fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!("no root certificates found; TLS connections will fail");
    }
    roots
}

/// Accepts every certificate. Signatures are still checked, so that a broken connection
/// differs from an untrusted one.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_must_be_there() {
        let directory = tempfile::TempDir::new().unwrap();
        assert!(tls_config(&TlsVerification::Authority(directory.path().join("ca.pem"))).is_err());
        assert!(tls_config(&TlsVerification::Nothing).is_ok());
    }
}
