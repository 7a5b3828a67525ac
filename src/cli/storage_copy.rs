//! Several objects copied at once: while the target makes one durable, others are read.
//!
//! One task lists the source; each worker is a thread that may wait, and takes one object from its listing to its name
//! at the target.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    runtime::Handle,
    sync::{Mutex, mpsc},
    task::spawn_blocking,
};

use super::Failure;
use crate::base::Ended;
use crate::media;
use crate::service::{Conduct, Copied, CopyError as Error, CopyItem, Copying, RatePace, Stop};

/// How many are copied at once: enough that both stores always have several to answer for. Each costs a few pieces of
/// memory.
const AT_ONCE: usize = 16;
/// How many listed ones wait for a worker.
const LISTED_MAX: usize = 1000;

/// One run of the command.
pub(super) struct Run {
    pub copying: Copying,
    pace: RatePace,
    stop: Stop,
    progress: Box<dyn Fn(u64) + Send + Sync>,
    is_over: AtomicBool,
}

/// What became of an object.
pub(super) enum Outcome {
    Copied(Copied),
    /// It is no object.
    Stranger(&'static str),
    Failed(Error),
    /// The next one would fail in the same way.
    Ends(Failure),
}

type Outcomes = mpsc::UnboundedSender<(String, Outcome)>;

impl Run {
    pub(super) fn new(
        copying: Copying,
        pace: RatePace,
        stop: Stop,
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> Self {
        Self { copying, pace, stop, progress: Box::new(progress), is_over: AtomicBool::new(false) }
    }

    /// Copies everything, or only looks; tells `report` of each. Once that says `false`, or a stop is asked for, no
    /// further one is begun.
    pub(super) async fn go(
        self: &Arc<Self>,
        is_dry: bool,
        mut report: impl FnMut(String, Outcome) -> bool,
    ) -> Result<(), Failure> {
        let (items, listed) = mpsc::channel(LISTED_MAX);
        let listed = Arc::new(Mutex::new(listed));
        let (sender, mut outcomes) = mpsc::unbounded_channel();
        for _ in 0..AT_ONCE {
            let (run, listed, sender, runtime) =
                (Arc::clone(self), Arc::clone(&listed), sender.clone(), Handle::current());
            spawn_blocking(move || runtime.block_on(run.work(is_dry, &listed, &sender)));
        }
        let (run, strangers) = (Arc::clone(self), sender);
        let listing = tokio::spawn(async move { run.list(items, strangers).await });
        while let Some((location, outcome)) = outcomes.recv().await {
            if !report(location, outcome) {
                self.is_over.store(true, Ordering::Relaxed);
            }
        }
        listing.await.map_err(|_| Failure::new(Ended))?.map_err(Failure::from)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed) || self.stop.is_asked()
    }

    async fn list(&self, items: mpsc::Sender<CopyItem>, outcomes: Outcomes) -> Result<(), Error> {
        let mut after = None;
        loop {
            let page = self.copying.page(after.as_deref()).await?;
            for stranger in page.strangers {
                let _is_told = outcomes.send((stranger.location, Outcome::Stranger("it is no file of a recording")));
            }
            for item in page.items {
                // Nobody takes it any more.
                if self.is_over() || items.send(item).await.is_err() {
                    return Ok(());
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn work(&self, is_dry: bool, listed: &Mutex<mpsc::Receiver<CopyItem>>, outcomes: &Outcomes) {
        loop {
            let item = listed.lock().await.recv().await;
            let Some(item) = item else { return };
            if self.is_over() {
                // What waits is taken all the same, so that whoever lists does not wait for ever.
                continue;
            }
            let outcome = if is_dry { self.copying.would_copy(&item).await } else { self.copy(&item).await };
            let outcome = match outcome {
                Ok(copied) => Outcome::Copied(copied),
                Err(error) if self.ends_the_run(&error).await => Outcome::Ends(Failure::from(error)),
                Err(error) => Outcome::Failed(error),
            };
            if outcomes.send((item.location(&self.copying), outcome)).is_err() {
                return;
            }
        }
    }

    async fn copy(&self, item: &CopyItem) -> Result<Copied, Error> {
        let conduct = Conduct { pace: &self.pace, stop: &self.stop, progress: &*self.progress };
        self.copying.copy(item, conduct).await
    }

    /// Whether the next one would fail in the same way: the database or a store is away, or the target is full.
    async fn ends_the_run(&self, error: &Error) -> bool {
        match error {
            Error::Catalogue(crate::catalogue::Error::Unavailable(_) | crate::catalogue::Error::Missing)
            | Error::Store(media::Error::Full { .. }) => true,
            // One object that cannot be read or written is one failure.
            Error::Store(media::Error::Unavailable { .. }) => !self.copying.are_there().await,
            Error::Catalogue(_)
            | Error::Store(_)
            | Error::Unsettled
            | Error::Sealed(_)
            | Error::PlainChanged
            | Error::InTheWay(_)
            | Error::NotKept(_)
            | Error::Stopped => false,
        }
    }
}
