//! A certificate and key that are reloaded when their files change. If the new files cannot be
//! used, the current certificate stays in use.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use super::CertificateFiles;
use standpipe_core::fingerprint::FileFingerprint;

/// How often the files of a certificate are checked.
const TLS_RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// A certificate with its key, reloaded when its files change.
#[derive(Clone)]
pub struct Tls {
    pub(super) acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

/// The certificate or the key cannot be used.
#[derive(Debug, Error)]
#[error(
    "failed to use the certificate {} with the key {}: {problem}: check `certificate` and `key` under [http]",
    certificate.display(), key.display()
)]
pub struct TlsError {
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The key's file.
    pub key: PathBuf,
    /// The problem.
    #[source]
    pub problem: CertificateError,
}

/// The problem of a certificate's and key's files.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// The certificate cannot be read.
    #[error("failed to read the certificate: {0}")]
    Read(#[source] pem::Error),
    /// The file contains no certificate.
    #[error("the certificate file contains no PEM certificate")]
    Empty,
    /// The key cannot be read.
    #[error("failed to read the key: {0}")]
    ReadKey(#[source] pem::Error),
    /// The certificate and the key do not match.
    #[error("{0}: certificate and key must belong together")]
    Mismatch(#[from] rustls::Error),
}

/// The current certificate. Handshakes never wait for a replacement.
#[derive(Debug)]
struct Certificate(ArcSwap<LoadedCertificate>);

/// A certificate, and the fingerprints of its files.
#[derive(Debug)]
struct LoadedCertificate {
    files: CertificateFiles,
    key: Arc<CertifiedKey>,
}

impl Tls {
    /// Loads a certificate with its chain, and its key, both in PEM format.
    ///
    /// # Errors
    ///
    /// Fails if the files cannot be read, or do not match.
    pub fn load(files: CertificateFiles) -> Result<Self, TlsError> {
        let certificate =
            Arc::new(Certificate(ArcSwap::from_pointee(LoadedCertificate::read(files)?)));
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows the default versions");
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&certificate) as _;
        let mut config = config.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }

    /// Uses another certificate from the next handshake on, and watches its files.
    ///
    /// # Errors
    ///
    /// Fails if the files cannot be read, or do not match. The previous certificate stays in use.
    pub fn use_files(&self, files: CertificateFiles) -> Result<(), TlsError> {
        self.certificate.0.store(Arc::new(LoadedCertificate::read(files)?));
        Ok(())
    }

    /// Checks the files for changes, forever. Unusable files change nothing and are logged.
    pub async fn reload(self) {
        let mut seen = self.certificate.files().fingerprints();
        loop {
            tokio::time::sleep(TLS_RELOAD_INTERVAL).await;
            let now = self.certificate.files().fingerprints();
            if now == seen {
                continue;
            }
            seen = now;
            let certificate = Arc::clone(&self.certificate);
            let reload = tokio::task::spawn_blocking(move || certificate.reload());
            reload.await.expect("reading a certificate does not panic");
        }
    }
}

impl Certificate {
    fn files(&self) -> CertificateFiles {
        self.0.load().files.clone()
    }

    fn reload(&self) {
        let before = self.0.load_full();
        match LoadedCertificate::read(before.files.clone()) {
            Ok(loaded) => {
                // If other files were loaded meanwhile, they stay in use.
                self.0.compare_and_swap(&before, Arc::new(loaded));
                let path = before.files.certificate.display();
                tracing::info!("reloaded the certificate {path}");
            }
            Err(error) => tracing::error!("{error}; keeping the certificate in use"),
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().key))
    }
}

impl LoadedCertificate {
    fn read(files: CertificateFiles) -> Result<Self, TlsError> {
        match files.read() {
            Ok(key) => Ok(LoadedCertificate { key: Arc::new(key), files }),
            Err(problem) => {
                let CertificateFiles { certificate, key } = files;
                Err(TlsError { certificate, key, problem })
            }
        }
    }
}

impl CertificateFiles {
    fn read(&self) -> Result<CertifiedKey, CertificateError> {
        let certificates = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(CertificateError::Read)?;
        if certificates.is_empty() {
            return Err(CertificateError::Empty);
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(CertificateError::ReadKey)?;
        Ok(CertifiedKey::from_der(certificates, key, &ring::default_provider())?)
    }

    fn fingerprints(&self) -> [FileFingerprint; 2] {
        [&self.certificate, &self.key].map(|path| FileFingerprint::of(path))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.certificate.files()).finish_non_exhaustive()
    }
}
