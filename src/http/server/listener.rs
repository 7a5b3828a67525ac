//! Listeners: an address and port, or a socket file. Knows no HTTP.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixListener as StdUnixListener,
    },
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::room::Connected;
use crate::http::app::Peer;

/// Owner and group may connect: a proxy in front is let in by making it a member of the group.
const SOCKET_FILE_MODE: u32 = 0o660;
/// How much the system may hold unsent before it takes no more. Without a bound the system would call a socket ready
/// again only after megabytes were taken, and a player at the pace of speech would look like one that has stopped.
const UNSENT_MAX: u32 = 128 * 1024;

/// Accepts connections.
pub struct Listener {
    kind: Kind,
    /// What it is called in the log and on the terminal.
    place: Place,
    /// Removed with the listener.
    _file: Option<SocketFile>,
}

enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

#[derive(Clone, Debug)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A connection that was accepted.
pub(super) struct Accepted {
    pub connected: Connected,
    pub peer: Peer,
}

/// Why nobody can be listened to; the operator must act.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program has the address or the socket file.
    #[error("{0} is in use by another program")]
    InUse(String),
    /// A file that is no socket lies where the socket should be.
    #[error("{} is a file and not a socket", .0.display())]
    NotSocket(PathBuf),
    /// What the system says.
    #[error("{place}: {source}")]
    System {
        /// Where it should have listened.
        place: String,
        /// The system's words.
        source: io::Error,
    },
}

impl Listener {
    /// Listens on an address and port; port 0 is a free one.
    ///
    /// # Errors
    ///
    /// [`ListenError`]
    pub async fn tcp(address: SocketAddr) -> Result<Self, ListenError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse(address.to_string()),
            _ => ListenError::System { place: address.to_string(), source: error },
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let place = Place::Tcp(listener.local_addr().map_err(failed)?);
        Ok(Self { kind: Kind::Tcp(listener), place, _file: None })
    }

    /// Listens on a socket file, which is removed at the end. One that a dead server left is replaced.
    ///
    /// # Errors
    ///
    /// [`ListenError`]
    pub fn unix(path: &Path) -> Result<Self, ListenError> {
        let failed = |source| ListenError::System { place: path.display().to_string(), source };
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path)?;
                UnixListener::bind(path).map_err(failed)?
            }
            bound => bound.map_err(failed)?,
        };
        // Made under the process's umask, so that it is opened wider here and never narrower.
        fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_FILE_MODE)).map_err(failed)?;
        let file = SocketFile::new(path).map_err(failed)?;
        Ok(Self { kind: Kind::Unix(listener), place: Place::Unix(path.to_owned()), _file: Some(file) })
    }

    /// Listens on a socket that somebody else has bound.
    ///
    /// # Errors
    ///
    /// [`ListenError::System`]
    pub fn from_tcp(listener: std::net::TcpListener) -> Result<Self, ListenError> {
        let failed = |source| ListenError::System { place: "the socket that was passed".into(), source };
        listener.set_nonblocking(true).map_err(failed)?;
        let place = Place::Tcp(listener.local_addr().map_err(failed)?);
        Ok(Self { kind: Kind::Tcp(TcpListener::from_std(listener).map_err(failed)?), place, _file: None })
    }

    /// Listens on a socket file that somebody else has made, and will remove.
    ///
    /// # Errors
    ///
    /// [`ListenError::System`]
    pub fn from_unix(listener: StdUnixListener) -> Result<Self, ListenError> {
        let failed = |source| ListenError::System { place: "the socket that was passed".into(), source };
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let place = Place::Unix(address.as_pathname().unwrap_or(Path::new("(no name)")).to_owned());
        Ok(Self { kind: Kind::Unix(UnixListener::from_std(listener).map_err(failed)?), place, _file: None })
    }

    /// Its address, unless it is a socket file.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.place {
            Place::Tcp(address) => Some(*address),
            Place::Unix(_) => None,
        }
    }

    /// Where clients reach it.
    #[must_use]
    pub fn url(&self, is_secure: bool) -> String {
        match &self.place {
            Place::Tcp(address) if is_secure => format!("https://{address}/"),
            Place::Tcp(address) => format!("http://{address}/"),
            Place::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                tune(&stream);
                Ok(Accepted { connected: Connected::tcp(stream), peer: Peer::Tcp(address) })
            }
            Kind::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Accepted { connected: Connected::unix(stream), peer: Peer::Unix })
            }
        }
    }
}

/// A socket that refuses works without.
fn tune(stream: &TcpStream) {
    // Small answers leave at once; large ones fill their packets anyway.
    let _works_without = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _works_without = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_MAX);
}

/// Removes a socket file that nobody listens on.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let failed = |source| ListenError::System { place: path.display().to_string(), source };
    if !fs::symlink_metadata(path).map_err(failed)?.file_type().is_socket() {
        return Err(ListenError::NotSocket(path.to_owned()));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // It answers, or its queue is full, or it is not ours to ask.
        Ok(_) | Err(_) => Err(ListenError::InUse(path.display().to_string())),
    }
}

/// A socket file of this process. Another that has taken its place is left alone.
struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), inode: inode(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|inode| inode == self.inode) {
            let _replaced_at_the_next_start = fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_file_is_replaced_when_stale_and_never_when_in_use() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        drop(StdUnixListener::bind(&path).expect("bound, and left by a server that died"));
        let listener = Listener::unix(&path).expect("the stale one is replaced");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, SOCKET_FILE_MODE);
        assert!(matches!(Listener::unix(&path), Err(ListenError::InUse(_))));
        drop(listener);
        assert!(!path.exists(), "removed at the end");
        fs::write(&path, "a letter").expect("written");
        assert!(matches!(Listener::unix(&path), Err(ListenError::NotSocket(_))));
        assert_eq!(fs::read(&path).expect("still there"), b"a letter");
    }

    #[tokio::test]
    async fn a_socket_file_of_another_server_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let first = Listener::unix(&path).expect("bound");
        fs::rename(&path, folder.path().join("moved")).expect("moved");
        let second = Listener::unix(&path).expect("bound");
        drop(first);
        assert!(path.exists(), "the second one's");
        drop(second);
        assert!(!path.exists());
    }
}
