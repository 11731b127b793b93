//! A certificate and key that are read again when their files change. Files that cannot be used
//! leave the certificate in use.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use crate::limits;
use standpipe_core::fingerprint::FileFingerprint;

/// A certificate with its key, read again whenever its files change.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

/// Certificate or key cannot be used.
#[derive(Debug, Error)]
#[error(
    "use the certificate {} with the key {}: {problem}: check `certificate` and `key` under [http]",
    certificate.display(), key.display()
)]
pub struct TlsError {
    certificate: PathBuf,
    key: PathBuf,
    problem: String,
}

#[derive(Debug)]
struct Certificate {
    files: Mutex<Files>,
    current: Mutex<Arc<CertifiedKey>>,
}

#[derive(Debug, Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Tls {
    /// Take a certificate with its chain, and its key, both in PEM.
    ///
    /// # Errors
    ///
    /// They cannot be read, or do not belong together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let current = Mutex::new(Arc::new(files.load()?));
        let certificate = Arc::new(Certificate { files: Mutex::new(files), current });
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows the default versions");
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&certificate) as _;
        let mut config = config.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Use another certificate from the next handshake on, and follow its files from
    /// then on.
    ///
    /// # Errors
    ///
    /// They cannot be read, or do not belong together. The certificate before stays in
    /// use.
    pub fn use_files(&self, certificate: &Path, key: &Path) -> Result<(), TlsError> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        self.certificate.set(files.load()?);
        *self.certificate.files.lock().unwrap_or_else(PoisonError::into_inner) = files;
        Ok(())
    }

    /// Look at the files now and then, for ever. One that cannot be used changes
    /// nothing, and is told of.
    pub async fn reload(self) {
        let mut seen = self.certificate.files().fingerprints();
        loop {
            tokio::time::sleep(limits::TLS_RELOAD_INTERVAL).await;
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
    fn files(&self) -> Files {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, key: CertifiedKey) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }

    fn reload(&self) {
        let files = self.files();
        match files.load() {
            Ok(key) => {
                self.set(key);
                tracing::info!(
                    "the certificate {} has been read anew",
                    files.certificate.display()
                );
            }
            Err(error) => tracing::error!("{error}; the one before is used on"),
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Files {
    fn load(&self) -> Result<CertifiedKey, TlsError> {
        let certificates = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| self.error(format!("read the certificate: {error}")))?;
        if certificates.is_empty() {
            return Err(self.error("the file of the certificate holds none in PEM".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| self.error(format!("read the key: {error}")))?;
        CertifiedKey::from_der(certificates, key, &ring::default_provider())
            .map_err(|error| self.error(format!("{error}: they must belong together")))
    }

    fn fingerprints(&self) -> [FileFingerprint; 2] {
        [&self.certificate, &self.key].map(|path| FileFingerprint::of(path))
    }

    fn error(&self, problem: String) -> TlsError {
        TlsError { certificate: self.certificate.clone(), key: self.key.clone(), problem }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.certificate.files()).finish_non_exhaustive()
    }
}
