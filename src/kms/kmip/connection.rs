//! A connection to a key manager over mutual TLS: the endpoints in their order, one request after the other.
//!
//! Files are read for every connection, so that a certificate that was renewed needs no restart.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, AlertDescription, CertificateError, ClientConfig, RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};
use zeroize::Zeroizing;

use super::{
    KmipError, KmipSettings, KmipTrouble,
    message::{HEAD_LEN, RESPONSE_LEN_MAX, Refusal, Request},
};
use crate::kms::private_file::{FileError, read_private};

const PORT_DEFAULT: u16 = 5696;

/// An open connection.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    /// As the settings name it.
    pub(super) endpoint: String,
}

impl Connection {
    /// To the first endpoint that can be used. Each may take its share of the time.
    pub(super) async fn open(settings: &KmipSettings) -> Result<Self, KmipError> {
        let config = config(settings)?;
        let share = settings.timeout / u32::try_from(settings.endpoints.len()).unwrap_or(1).max(1);
        let mut tried = Vec::new();
        for endpoint in &settings.endpoints {
            match tokio::time::timeout(share, connect(endpoint, &config)).await {
                Ok(Ok(stream)) => return Ok(Self { stream, endpoint: endpoint.clone() }),
                Ok(Err(trouble)) => tried.push((endpoint.clone(), trouble)),
                Err(_) => tried.push((endpoint.clone(), KmipTrouble::Slow(share))),
            }
        }
        Err(KmipError::NotReached(tried))
    }

    /// Sends a request, reads the response whole, and has it read.
    pub(super) async fn ask<T>(
        &mut self,
        request: Result<Request, Refusal>,
        key: &str,
        read: impl FnOnce(&mut [u8]) -> Result<T, Refusal>,
    ) -> Result<T, KmipError> {
        let request = request.map_err(|refusal| self.refused("a request", key, refusal))?;
        let mut response = match self.exchange(&request.bytes).await {
            Ok(response) => response,
            Err(trouble) => return Err(KmipError::Broken { endpoint: self.endpoint.clone(), trouble }),
        };
        read(&mut response).map_err(|refusal| self.refused(request.operation, key, refusal))
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Zeroizing<Vec<u8>>, KmipTrouble> {
        self.stream.write_all(request).await.map_err(|error| cut(&error))?;
        self.stream.flush().await.map_err(|error| cut(&error))?;
        let mut head = [0; HEAD_LEN];
        self.stream.read_exact(&mut head).await.map_err(|error| cut(&error))?;
        if head[..4] != RESPONSE_MESSAGE {
            return Err(KmipTrouble::Garbage("it does not begin like a response".into()));
        }
        let len = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let len = usize::try_from(len).ok().filter(|len| *len <= RESPONSE_LEN_MAX);
        let len = len.ok_or_else(|| KmipTrouble::Garbage("a response that is far too long".into()))?;
        let mut response = Zeroizing::new(vec![0; HEAD_LEN + len]);
        let (first, rest) = response.split_at_mut(HEAD_LEN);
        first.copy_from_slice(&head);
        self.stream.read_exact(rest).await.map_err(|error| cut(&error))?;
        Ok(response)
    }

    fn refused(&self, operation: &'static str, key: &str, refusal: Refusal) -> KmipError {
        let (endpoint, key) = (self.endpoint.clone(), key.to_owned());
        match refusal {
            Refusal::NotFound => KmipError::NoKey { endpoint, key },
            Refusal::Denied(message) => KmipError::Denied { endpoint, operation, message },
            Refusal::NotSupported(message) => KmipError::NotSupported { endpoint, operation, message },
            Refusal::Other(message) => KmipError::Refused { endpoint, operation, message },
            Refusal::Garbage(what) => KmipError::Broken { endpoint, trouble: KmipTrouble::Garbage(what) },
        }
    }

    /// Whether nothing came since the last response: neither bytes nor an end.
    pub(super) fn is_quiet(&self) -> bool {
        let (stream, _) = self.stream.get_ref();
        matches!(stream.try_read(&mut [0; 1]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// What proves who we are, and who they are.
pub(super) fn config(settings: &KmipSettings) -> Result<Arc<ClientConfig>, KmipError> {
    let KmipSettings { ca, cert, key, .. } = settings;
    let pair =
        |error: rustls::Error| KmipError::Pair { cert: cert.clone(), key: key.clone(), reason: error.to_string() };
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(ca)? {
        let what =
            |error: rustls::Error| FileError::Content { path: ca.clone(), what: format!("cannot be used: {error}") };
        authorities.add(certificate).map_err(what)?;
    }
    let bytes = read_private(key)?;
    let no_key = || FileError::Content { path: key.clone(), what: "holds no private key in PEM".into() };
    let private_key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| no_key())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(pair)?;
    let config = config.with_root_certificates(authorities).with_client_auth_cert(certificates(cert)?, private_key);
    Ok(Arc::new(config.map_err(pair)?))
}

fn certificates(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let bytes = std::fs::read(path).map_err(|error| FileError::Io { path: path.into(), error })?;
    let none = || FileError::Content { path: path.into(), what: "holds no certificate in PEM".into() };
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(|_| none())?;
    if found.is_empty() { Err(none()) } else { Ok(found) }
}

async fn connect(endpoint: &str, config: &Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, KmipTrouble> {
    let (host, port) = host_and_port(endpoint);
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| KmipTrouble::NoConnection("it is not the name or address of a host".into()))?;
    let stream =
        TcpStream::connect((host, port)).await.map_err(|error| KmipTrouble::NoConnection(error.to_string()))?;
    // Small requests that each wait for a response.
    stream.set_nodelay(true).map_err(|error| KmipTrouble::NoConnection(error.to_string()))?;
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(|error| trouble_of_tls(&error))
}

/// `HOST`, `HOST:PORT`, `[ADDRESS]:PORT`.
fn host_and_port(endpoint: &str) -> (&str, u16) {
    if let Some((host, rest)) = endpoint.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':').and_then(|port| port.parse().ok()).unwrap_or(PORT_DEFAULT));
    }
    match endpoint.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse().unwrap_or(PORT_DEFAULT)),
        _ => (endpoint, PORT_DEFAULT),
    }
}

/// TLS 1.3 tells of a refused certificate only after the handshake.
fn cut(error: &io::Error) -> KmipTrouble {
    match trouble_of_tls(error) {
        KmipTrouble::Tls(what) => KmipTrouble::Cut(what),
        other => other,
    }
}

fn trouble_of_tls(error: &io::Error) -> KmipTrouble {
    use AlertDescription as Alert;
    let say = error.to_string();
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return KmipTrouble::Tls(say);
    };
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => KmipTrouble::ServerExpired(error.to_string()),
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                KmipTrouble::ServerUnknown(error.to_string())
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                KmipTrouble::ServerOtherName(error.to_string())
            }
            error => KmipTrouble::ServerCertificate(error.to_string()),
        },
        rustls::Error::AlertReceived(alert) => match alert {
            Alert::CertificateExpired => KmipTrouble::OwnExpired,
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError => KmipTrouble::OwnRefused(format!("{alert:?}")),
            _ => KmipTrouble::Tls(say),
        },
        _ => KmipTrouble::Tls(say),
    }
}

/// Tag and type that a response begins with.
const RESPONSE_MESSAGE: [u8; 4] = [0x42, 0x00, 0x7B, 0x01];

/// How long a connection is kept for what may come next.
pub(super) const IDLE: Duration = Duration::from_secs(1);
