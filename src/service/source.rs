//! Where media comes from, read in pieces into a buffer that is wiped in the end.

use std::{fs::File, future::Future, io, io::Read};

use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::base::Ended;

/// A piece of media on its way in.
pub type Piece = Zeroizing<Vec<u8>>;

/// A stream of media of unknown length.
pub trait Source: Send {
    /// Fills `piece`, whose content is lost, with the next bytes: as many as there are without waiting for more, up
    /// to a piece's length. An empty piece is the end.
    fn next(&mut self, piece: Piece) -> impl Future<Output = io::Result<Piece>> + Send;
}

/// A source over anything that reads, on a thread that may wait.
pub struct ReaderSource<R> {
    reader: Option<R>,
    piece_len: usize,
}

impl<R: Read + Send + 'static> ReaderSource<R> {
    /// Reads pieces of at most `piece_len` bytes.
    #[must_use]
    pub fn new(reader: R, piece_len: usize) -> Self {
        Self { reader: Some(reader), piece_len }
    }
}

impl<R: Read + Send + 'static> Source for ReaderSource<R> {
    async fn next(&mut self, piece: Piece) -> io::Result<Piece> {
        // Gone only when an earlier read was given up half-way.
        let Some(mut reader) = self.reader.take() else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let piece_len = self.piece_len;
        let (reader, piece) = spawn_blocking(move || {
            let piece = read(&mut reader, piece, piece_len);
            (reader, piece)
        })
        .await
        .map_err(|_| io::Error::other(Ended))?;
        self.reader = Some(reader);
        piece
    }
}

/// A source over a file, for callers whose threads may wait for a disk: nothing is handed to another thread and back.
pub struct FileSource {
    file: File,
    piece_len: usize,
}

impl FileSource {
    /// Reads pieces of at most `piece_len` bytes.
    #[must_use]
    pub fn new(file: File, piece_len: usize) -> Self {
        Self { file, piece_len }
    }
}

impl Source for FileSource {
    async fn next(&mut self, piece: Piece) -> io::Result<Piece> {
        read(&mut self.file, piece, self.piece_len)
    }
}

fn read(reader: &mut impl Read, mut piece: Piece, piece_len: usize) -> io::Result<Piece> {
    if piece.capacity() < piece_len {
        // Growing it would leave a copy behind that nobody wipes.
        piece = Piece::new(Vec::with_capacity(piece_len));
    }
    piece.resize(piece_len, 0);
    let read = loop {
        match reader.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    piece.truncate(read);
    Ok(piece)
}
