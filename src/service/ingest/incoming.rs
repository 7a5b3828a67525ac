//! A recording on its way in: its source, what came of it, and the wish to stop.

use std::io;

use tokio::sync::watch;

use crate::base::{MediaType, RecordingId};
use crate::service::{
    meter::METER,
    source::{Piece, Source},
};

/// Asks an ingest to stop: at once, and in order.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// One that is asked for by sending `true`.
    #[must_use]
    pub fn channel() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Whether a stop was asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when a stop is asked for; never when nobody can ask any more.
    pub async fn asked(&mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Those who take something in, to be stopped and waited for together.
#[derive(Debug)]
pub struct Intake(watch::Sender<bool>);

impl Intake {
    /// Nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// One more, who is waited for as long as the stop is held.
    #[must_use]
    pub fn join(&self) -> Stop {
        Stop(self.0.subscribe())
    }

    /// Asks all of them to stop, and whoever comes later, and waits until each has.
    pub async fn stop(&self) {
        self.0.send_replace(true);
        self.0.closed().await;
    }
}

impl Default for Intake {
    fn default() -> Self {
        Self::new()
    }
}

/// Why no further piece came.
pub(super) enum Break {
    Stopped,
    Source(io::Error),
}

/// A recording on its way in.
pub(super) struct Incoming<'a, S> {
    pub id: RecordingId,
    pub media_type: MediaType,
    pub is_live: bool,
    pub head: Piece,
    pub source: &'a mut S,
    pub stop: &'a mut Stop,
    pub progress: &'a (dyn Fn(u64) + Send + Sync),
}

impl<S: Source> Incoming<'_, S> {
    /// The next bytes; empty at the end.
    pub async fn next(&mut self, piece: Piece) -> Result<Piece, Break> {
        let piece = next(self.source, self.stop, piece).await?;
        METER.count_ingested(piece.len());
        (self.progress)(piece.len() as u64);
        Ok(piece)
    }
}

impl Break {
    /// For people.
    pub fn into_text(self) -> String {
        match self {
            Self::Stopped => "stopped".into(),
            Self::Source(error) => error.to_string(),
        }
    }
}

pub(super) async fn next(source: &mut impl Source, stop: &mut Stop, piece: Piece) -> Result<Piece, Break> {
    tokio::select! {
        biased;
        () = stop.asked() => Err(Break::Stopped),
        piece = source.next(piece) => piece.map_err(Break::Source),
    }
}

/// The first bytes, `wanted` of them if there are so many; empty when there are none at all. `buffer` is read into.
pub(super) async fn head(
    wanted: usize,
    buffer: Piece,
    source: &mut impl Source,
    stop: &mut Stop,
) -> Result<Piece, Break> {
    let mut head = next(source, stop, buffer).await?;
    while !head.is_empty() && head.len() < wanted {
        let piece = next(source, stop, Piece::default()).await?;
        if piece.is_empty() {
            break;
        }
        head = joined(&head, &piece);
    }
    Ok(head)
}

/// Two pieces as one, in fresh memory: growing a buffer would leave a copy behind that nobody wipes.
pub(super) fn joined(one: &Piece, other: &Piece) -> Piece {
    let mut piece = Piece::new(Vec::with_capacity(one.len() + other.len()));
    piece.extend_from_slice(one);
    piece.extend_from_slice(other);
    piece
}
