//! A recording that is being written: how far it got, for all who follow it.
//!
//! However many follow one, there is one descriptor and one watcher, which looks at the file's length a few times a
//! second and wakes them; while nobody follows, nothing is done. What was verified once plays, whatever comes after.
//! Knows nothing of how a recording is found and opened.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    OpenRecording, PlaybackError as Error,
    live_writer::{Life, LiveWriter},
    meter::METER,
    opened::OpenContent,
    playback::read,
};
use crate::catalogue::RecordingState;
use crate::sealed::Corruption;

/// How often a file is looked at that somebody follows: a chunk of 4 KiB is half a second of 64 kbit/s audio.
const LOOK_INTERVAL: Duration = Duration::from_millis(150);
/// How long a file may stay as it is before its writer is asked after.
const QUIET: Duration = Duration::from_secs(1);

/// What is known of a recording that is being written.
pub(super) struct Growth {
    progress: watch::Sender<Progress>,
    /// Held while the file is looked at.
    seen: tokio::sync::Mutex<Seen>,
    is_watched: Mutex<bool>,
    writer: LiveWriter,
}

#[derive(Clone)]
struct Progress {
    /// The recording, as far as it is verified.
    recording: Arc<OpenRecording>,
    end: Option<End>,
}

/// There will be no more of it.
#[derive(Clone)]
enum End {
    Complete,
    /// What is known of it plays, and then it breaks off.
    Failed(Error),
}

struct Seen {
    /// How long the file was.
    len: u64,
    /// Whether all of it was taken in; else it is looked at again, grown or not.
    is_settled: bool,
}

impl Growth {
    /// Of a recording of which nothing was looked at yet.
    pub(super) fn new(begun: OpenRecording, writer: LiveWriter) -> Self {
        let progress = Progress { recording: Arc::new(begun), end: None };
        Self {
            progress: watch::Sender::new(progress),
            seen: tokio::sync::Mutex::new(Seen { len: 0, is_settled: false }),
            is_watched: Mutex::new(false),
            writer,
        }
    }

    /// The recording as far as it is known, which can be followed from there.
    pub(super) fn recording(self: &Arc<Self>, state: RecordingState) -> OpenRecording {
        let known = Arc::clone(&self.progress.borrow().recording);
        known.known_as(known.content.clone(), known.media_len, state, Some(Arc::clone(self)))
    }

    /// Why it broke off, if it did.
    pub(super) fn failure(&self) -> Option<Error> {
        match &self.progress.borrow().end {
            Some(End::Failed(error)) => Some(error.clone()),
            Some(End::Complete) | None => None,
        }
    }

    /// What the catalogue says of the writer.
    pub(super) fn note_writer(&self, state: RecordingState) {
        self.writer.note(state);
    }

    /// Looks whether there is more of it, and says so to all who follow.
    ///
    /// # Errors
    ///
    /// The store failed; or what was written does not verify, which ends it.
    pub(super) async fn look(&self) -> Result<bool, Error> {
        let mut seen = self.seen.lock().await;
        let Progress { recording: known, end } = self.progress.borrow().clone();
        if end.is_some() {
            return Ok(false);
        }
        let len = known.file.len_now().await?;
        if len == seen.len && seen.is_settled {
            return Ok(false);
        }
        let looked = if len < seen.len { Err(Error::Corrupt(Corruption::ShortRead)) } else { grown(&known, len).await };
        match looked {
            Ok(Grown { content, media_len, is_complete, is_settled }) => {
                *seen = Seen { len, is_settled };
                let is_news = is_complete || media_len > known.media_len;
                if is_news {
                    let state = if is_complete { RecordingState::Complete } else { known.state };
                    let recording = Arc::new(known.known_as(content, media_len, state, None));
                    let end = is_complete.then_some(End::Complete);
                    self.progress.send_replace(Progress { recording, end });
                }
                Ok(is_news)
            }
            Err(error) => {
                if matches!(error, Error::Corrupt(_)) {
                    self.end(known.state, End::Failed(error.clone()));
                }
                Err(error)
            }
        }
    }

    /// Begins to follow; what watches the file for all who do is started when this is the first. Must be called within
    /// a runtime.
    pub(super) fn follow(self: &Arc<Self>) -> Follower {
        // Before it is looked whether anybody watches: a watcher that sees nobody leaves.
        let news = self.progress.subscribe();
        let mut is_watched = self.is_watched.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_watched {
            *is_watched = true;
            tokio::spawn(Arc::clone(self).watch());
        }
        drop(is_watched);
        Follower { growth: Arc::clone(self), news: Some(news), waiting: None }
    }

    /// Looks at the file for as long as anybody follows, and after its writer when nothing comes.
    async fn watch(self: Arc<Self>) {
        let mut quiet_since = Instant::now();
        loop {
            sleep(LOOK_INTERVAL).await;
            if self.is_over() {
                return;
            }
            if self.writer.is_withdrawn() {
                // Who follows asks for itself, and stops.
                self.progress.send_modify(|_| {});
                continue;
            }
            match self.look().await {
                Ok(true) => quiet_since = Instant::now(),
                Ok(false) if quiet_since.elapsed() >= QUIET => {
                    quiet_since = Instant::now();
                    self.ask_after_writer().await;
                }
                Ok(false) => {}
                Err(error) => self.fail(error),
            }
        }
    }

    /// Whether the watcher may go: nobody follows, or there is nothing more to follow.
    fn is_over(&self) -> bool {
        let mut is_watched = self.is_watched.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = self.progress.receiver_count() == 0 || self.progress.borrow().end.is_some();
        *is_watched = !is_over;
        is_over
    }

    async fn ask_after_writer(&self) {
        let known = Arc::clone(&self.progress.borrow().recording);
        let outcome = match self.writer.life(&known).await {
            Ok(Life::Writing) => return,
            Ok(Life::Finished) => self.last_look(true).await,
            Ok(Life::Gone) => self.last_look(false).await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            self.fail(error);
        }
    }

    /// The writer has gone: judges the file once more, as any other.
    async fn last_look(&self, must_be_complete: bool) -> Result<(), Error> {
        let seen = self.seen.lock().await;
        let Progress { recording: known, end } = self.progress.borrow().clone();
        if end.is_some() {
            return Ok(());
        }
        let len = known.file.len_now().await?;
        if len < seen.len {
            return Err(Error::Corrupt(Corruption::ShortRead));
        }
        let (content, media_len, is_complete) = match &known.content {
            OpenContent::Plain => (OpenContent::Plain, len, must_be_complete),
            OpenContent::Sealed { opener, .. } => {
                let opener = opener.ended(len, &read(&*known.file, opener.tail(len)?).await?)?;
                let state = opener.state();
                (known.content.with(opener), state.media_len(), state.is_complete())
            }
        };
        let (state, end) = match (is_complete, must_be_complete) {
            (true, _) => (RecordingState::Complete, End::Complete),
            (false, true) => return Err(Error::Corrupt(Corruption::NotComplete)),
            (false, false) => (RecordingState::Unfinished, End::Failed(Error::BrokenOff)),
        };
        let recording = Arc::new(known.known_as(content, media_len, state, None));
        self.progress.send_replace(Progress { recording, end: Some(end) });
        Ok(())
    }

    /// Ends it for all who follow.
    fn fail(&self, error: Error) {
        let known = Arc::clone(&self.progress.borrow().recording);
        if let Error::Corrupt(corruption) = &error {
            METER.count_failure(corruption);
            tracing::warn!(id = %known.id, %corruption, "does not verify");
        }
        self.end(known.state, End::Failed(error));
    }

    fn end(&self, state: RecordingState, end: End) {
        self.progress.send_modify(|progress| {
            let known = &progress.recording;
            progress.recording = Arc::new(known.known_as(known.content.clone(), known.media_len, state, None));
            progress.end.get_or_insert(end);
        });
    }
}

struct Grown {
    content: OpenContent,
    media_len: u64,
    is_complete: bool,
    is_settled: bool,
}

/// The recording as far as it verifies now that its file has `len` bytes.
async fn grown(known: &OpenRecording, len: u64) -> Result<Grown, Error> {
    let OpenContent::Sealed { opener, .. } = &known.content else {
        return Ok(Grown { content: OpenContent::Plain, media_len: len, is_complete: false, is_settled: true });
    };
    let tail = read(&*known.file, opener.growing_tail(len)?).await?;
    let opener = opener.grown(len, &tail)?;
    let (state, is_settled) = (opener.state(), opener.file_len() == len);
    Ok(Grown {
        content: known.content.with(opener),
        media_len: state.media_len(),
        is_complete: state.is_complete(),
        is_settled,
    })
}

/// One who follows a recording.
pub(super) struct Follower {
    growth: Arc<Growth>,
    /// Here, unless they are waited for.
    news: Option<watch::Receiver<Progress>>,
    waiting: Option<Pin<Box<dyn Future<Output = watch::Receiver<Progress>> + Send>>>,
}

/// What one who follows hears.
pub(super) enum News {
    /// There is more of it.
    More(Arc<OpenRecording>),
    /// This is all of it; why, when it is not complete.
    End(Arc<OpenRecording>, Option<Error>),
}

impl Follower {
    /// Ready when more than `media_len` bytes of media are verified, or there will be no more.
    pub(super) fn poll(&mut self, media_len: u64, cx: &mut Context<'_>) -> Poll<News> {
        loop {
            if let Some(news) = self.heard(media_len) {
                return Poll::Ready(news);
            }
            ready!(self.poll_changed(cx));
        }
    }

    /// Ready when anything is new.
    pub(super) fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let growth = &self.growth;
        let waiting = match (&mut self.waiting, self.news.take()) {
            (Some(waiting), _) => waiting,
            (waiting, news) => {
                let mut news = news.unwrap_or_else(|| growth.progress.subscribe());
                waiting.insert(Box::pin(async move {
                    // The sender lies in what the follower holds.
                    let _always_there = news.changed().await;
                    news
                }))
            }
        };
        self.news = Some(ready!(waiting.as_mut().poll(cx)));
        self.waiting = None;
        Poll::Ready(())
    }

    /// What is known by now beyond `media_len`.
    pub(super) fn heard(&mut self, media_len: u64) -> Option<News> {
        let progress = match &mut self.news {
            Some(news) => news.borrow_and_update().clone(),
            None => self.growth.progress.borrow().clone(),
        };
        match progress {
            Progress { recording, .. } if recording.media_len > media_len => Some(News::More(recording)),
            Progress { recording, end: Some(End::Complete) } => Some(News::End(recording, None)),
            Progress { recording, end: Some(End::Failed(error)) } => Some(News::End(recording, Some(error))),
            Progress { end: None, .. } => None,
        }
    }
}
