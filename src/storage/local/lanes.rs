//! Threads that may wait for a disk: how many, and for whom.
//!
//! The runtime has 512 of them for whatever may wait. A store that hangs takes those that it is given here and no
//! more, so that the rest of the program has its own; and of these, no file and no folder takes more than its share,
//! so that recordings beside the ones that hang still open and play. Nobody who is served from memory comes here.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::in_background;
use crate::media::Error;

/// Reads of recordings at a time. A store that takes long to begin is as quick as many are asked of it at once.
const READS_MAX: usize = 256;
/// Of one file.
const READS_OF_FILE_MAX: usize = 16;
/// Looks at a name at a time: whether it is there, opening it, and closing it.
const LOOKS_MAX: usize = 128;
/// In one folder.
const LOOKS_IN_FOLDER_MAX: usize = 8;
/// How many folders there are.
const FOLDERS: usize = 256;

/// Who may wait in the system, and who waits in line for that.
#[derive(Debug)]
pub(super) struct Lanes {
    reads: Arc<Semaphore>,
    looks: Arc<Semaphore>,
    folders: Vec<Arc<Semaphore>>,
}

/// Held by the work itself, not by whoever asked for it: one who leaves frees no thread.
pub(super) struct Turn {
    _narrow: OwnedSemaphorePermit,
    _wide: OwnedSemaphorePermit,
}

impl Lanes {
    pub(super) fn new() -> Self {
        let lane = |len| Arc::new(Semaphore::new(len));
        let folders = (0..FOLDERS).map(|_| lane(LOOKS_IN_FOLDER_MAX)).collect();
        Self { reads: lane(READS_MAX), looks: lane(LOOKS_MAX), folders }
    }

    /// The line of one file's readers.
    pub(super) fn of_file() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(READS_OF_FILE_MAX))
    }

    /// Looks at a name in the folder of that number.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        folder: u8,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = match self.folders.get(usize::from(folder)) {
            Some(narrow) => turn(narrow, &self.looks).await,
            None => None,
        };
        in_background(move || {
            let _held = turn;
            work()
        })
        .await
    }

    /// Lets go of something in that folder, which may wait as well. Nobody waits for it.
    pub(super) fn let_go(self: &Arc<Self>, folder: u8, something: impl Send + 'static) {
        // Without a runtime nobody is served.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let lanes = Arc::clone(self);
        runtime.spawn(async move {
            lanes
                .look(folder, move || {
                    drop(something);
                    Ok(())
                })
                .await
        });
    }

    /// A turn to read, if there is one at once.
    pub(super) fn try_read(&self, file: &Arc<Semaphore>) -> Option<Turn> {
        let narrow = Arc::clone(file).try_acquire_owned().ok()?;
        let wide = Arc::clone(&self.reads).try_acquire_owned().ok()?;
        Some(Turn { _narrow: narrow, _wide: wide })
    }

    /// A turn to read, in the order of those who asked.
    pub(super) async fn read(&self, file: &Arc<Semaphore>) -> Option<Turn> {
        turn(file, &self.reads).await
    }
}

/// First in the narrow line, so that one who waits there holds nothing of the wide one. Neither is ever closed.
async fn turn(narrow: &Arc<Semaphore>, wide: &Arc<Semaphore>) -> Option<Turn> {
    let narrow = Arc::clone(narrow).acquire_owned().await.ok()?;
    let wide = Arc::clone(wide).acquire_owned().await.ok()?;
    Some(Turn { _narrow: narrow, _wide: wide })
}
