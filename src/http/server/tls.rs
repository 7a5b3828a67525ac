//! TLS 1.2 and 1.3. Certificate and key are read again when their files change, so that renewing them needs no
//! restart; a pair that does not serve leaves the one before in its place.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::CryptoProvider,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
        version::{TLS12, TLS13},
    },
};
use zeroize::Zeroizing;

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Certificate and key of a server, and how it shakes hands.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

/// Why certificate and key cannot be used; the operator must act.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The file of the certificate holds none.
    #[error("{} holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// The file of the key holds none.
    #[error("{} holds no private key in PEM", .0.display())]
    NoKey(PathBuf),
    /// They do not go together, or are of a kind that TLS does not know.
    #[error("{} and {} cannot be used: {source}", cert.display(), key.display())]
    Pair {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// The pair in force, and where newer ones will lie.
struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
    /// How the files stood when they were last read, and whether that went well.
    seen: Mutex<Seen>,
}

#[derive(Clone, PartialEq, Eq)]
struct Seen {
    stamps: [Option<Stamp>; 2],
    failure: Option<String>,
}

/// Device, inode, length, and when it was written, in seconds and nanoseconds: what changes when a file does.
type Stamp = (u64, u64, u64, i64, i64);

impl Tls {
    /// Reads certificate and key, both in PEM: the chain from the server's own certificate on.
    ///
    /// # Errors
    ///
    /// [`TlsError`]
    pub fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let stamps = [stamp(cert), stamp(key)];
        let pair = read(cert, key)?;
        let certificate = Arc::new(Certificate {
            cert: cert.to_owned(),
            key: key.to_owned(),
            current: RwLock::new(Arc::new(pair)),
            seen: Mutex::new(Seen { stamps, failure: None }),
        });
        let unusable = |source| TlsError::Pair { cert: cert.to_owned(), key: key.to_owned(), source };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Reads the files again now, whether or not they seem to have changed.
    pub fn reload(&self) {
        self.certificate.reload([stamp(&self.certificate.cert), stamp(&self.certificate.key)]);
    }

    /// Reads the files again whenever they change.
    pub(super) async fn watch(self) {
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        loop {
            looks.tick().await;
            let certificate = Arc::clone(&self.certificate);
            // Files on a network may take their time.
            let _nothing_to_say = tokio::task::spawn_blocking(move || certificate.look()).await;
        }
    }
}

impl Certificate {
    fn look(&self) {
        let stamps = [stamp(&self.cert), stamp(&self.key)];
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // What failed is tried again: two files are never replaced at one moment.
        if seen.stamps != stamps || seen.failure.is_some() {
            self.reload(stamps);
        }
    }

    fn reload(&self, stamps: [Option<Stamp>; 2]) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = match read(&self.cert, &self.key) {
            Ok(pair) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                tracing::info!(cert = %self.cert.display(), "certificate and key were read again");
                None
            }
            Err(error) => Some(error.to_string()),
        };
        let now = Seen { stamps, failure };
        if let Some(error) = now.failure.as_ref().filter(|_| now != *seen) {
            tracing::warn!(%error, "certificate and key stay as they were");
        }
        *seen = now;
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("cert", &self.cert).field("key", &self.key).finish_non_exhaustive()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn read(cert: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let file = |path: &Path| fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source });
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file(cert)?).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| TlsError::NoCertificate(cert.to_owned()))?;
    let private = Zeroizing::new(file(key)?);
    let private = PrivateKeyDer::from_pem_slice(&private).map_err(|_| TlsError::NoKey(key.to_owned()))?;
    CertifiedKey::from_der(chain, private, &provider()).map_err(|source| TlsError::Pair {
        cert: cert.to_owned(),
        key: key.to_owned(),
        source,
    })
}

fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
}
