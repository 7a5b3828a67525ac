//! A PKCS#11 module on a thread of its own: one a process and path, for the standard knows one application.
//!
//! A vendor's library may take its time or never come back. Whoever asks waits until a deadline and goes on without it;
//! the thread stays in the call, and is asked again when that has come back. One that a module brought down is begun anew.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error as CryptokiError, RvError},
};
use tokio::sync::oneshot;

use super::Pkcs11Error;

type Job = Box<dyn FnOnce(&mut Module, &Running) + Send>;

/// The way to a module, for those who wait.
#[derive(Clone)]
pub(super) struct ModuleThread {
    path: PathBuf,
    name: String,
    jobs: mpsc::Sender<Job>,
    running: Running,
}

/// Whether somebody waits for what the thread does now, and since when it does it; none while it does nothing.
type Running = Arc<Mutex<Option<(Weak<()>, Instant)>>>;

/// Says that the thread does nothing, whatever way the call ended.
struct Done(Running);

impl Drop for Done {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Those of this process, one a module.
static THREADS: Mutex<Vec<ModuleThread>> = Mutex::new(Vec::new());
/// How many there ever were.
static BEGUN: AtomicUsize = AtomicUsize::new(0);

/// What lives on the thread.
pub(super) struct Module {
    path: PathBuf,
    library: Option<Pkcs11>,
    is_initialized: bool,
}

impl ModuleThread {
    /// The thread of the module at `path`, begun when there is none.
    pub(super) fn of(path: &Path) -> Result<Self, Pkcs11Error> {
        let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = threads.iter().find(|thread| thread.path == path) {
            return Ok(thread.clone());
        }
        let (jobs, waiting) = mpsc::channel::<Job>();
        let name = format!("pkcs11-{}", BEGUN.fetch_add(1, Ordering::Relaxed) + 1);
        let mut module = Module { path: path.to_owned(), library: None, is_initialized: false };
        let running = Running::default();
        let of_thread = Arc::clone(&running);
        let begun = thread::Builder::new().name(name.clone()).spawn(move || {
            while let Ok(job) = waiting.recv() {
                job(&mut module, &of_thread);
            }
        });
        begun.map_err(|error| Pkcs11Error::Module { module: path.into(), reason: error.to_string() })?;
        let thread = Self { path: path.to_owned(), name, jobs, running };
        threads.push(thread.clone());
        Ok(thread)
    }

    /// The one that took this one's place, when a module brought this one down: begun when there is none.
    fn anew(&self) -> Result<Self, Pkcs11Error> {
        THREADS.lock().unwrap_or_else(PoisonError::into_inner).retain(|thread| thread.name != self.name);
        Self::of(&self.path)
    }

    /// Whether it is in a call that took its time and that nobody waits for any more. One whose asker went away for a
    /// reason of its own may come back in a moment.
    fn is_stuck(&self, timeout: Duration) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().is_some_and(|(waiting, since)| waiting.strong_count() == 0 && since.elapsed() >= timeout / 2)
    }

    /// Has `work` done there, and waits for it until `timeout` is over; not at all while a call before does not come back.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        timeout: Duration,
        work: impl FnOnce(&mut Module) -> Result<T, Pkcs11Error> + Send + 'static,
    ) -> Result<T, Pkcs11Error> {
        let (answer, answered) = oneshot::channel();
        let waits = Arc::new(());
        let waiting = Arc::downgrade(&waits);
        let job: Job = Box::new(move |module, running| {
            // Nobody waits any more: it began too late.
            if !answer.is_closed() {
                *running.lock().unwrap_or_else(PoisonError::into_inner) = Some((waiting, Instant::now()));
                let done = Done(Arc::clone(running));
                let outcome = work(module);
                drop(done);
                let _nobody_waits = answer.send(outcome);
            }
        });
        let mut thread = self.clone();
        let gone = |thread: &Self| Pkcs11Error::Module {
            module: thread.path.clone(),
            reason: format!("it brought down its thread `{}`", thread.name),
        };
        let slow = |thread: &Self| Pkcs11Error::Slow {
            module: thread.path.clone(),
            waited: timeout,
            thread: thread.name.clone(),
        };
        if thread.is_stuck(timeout) {
            return Err(slow(&thread));
        }
        if let Err(mpsc::SendError(job)) = thread.jobs.send(job) {
            thread = self.anew()?;
            if thread.is_stuck(timeout) {
                return Err(slow(&thread));
            }
            thread.jobs.send(job).map_err(|_| gone(&thread))?;
        }
        let outcome = tokio::time::timeout(timeout, answered).await;
        // Not before: as long as it is there, somebody waits.
        drop(waits);
        match outcome {
            Ok(outcome) => outcome.map_err(|_| gone(&thread))?,
            Err(_) => Err(slow(&thread)),
        }
    }
}

impl Module {
    /// The module, loaded and initialized.
    pub(super) fn context(&mut self) -> Result<Pkcs11, Pkcs11Error> {
        let failed = |error: CryptokiError| Pkcs11Error::Module { module: self.path.clone(), reason: say(&error) };
        let library = match &self.library {
            Some(library) => library.clone(),
            None => Pkcs11::new(&self.path).map_err(failed)?,
        };
        self.library = Some(library.clone());
        if !self.is_initialized {
            match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
                Ok(()) | Err(CryptokiError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
                Err(error) => return Err(failed(error)),
            }
            self.is_initialized = true;
        }
        Ok(library)
    }

    /// Has the module look at its tokens anew. No session is open.
    pub(super) fn reset(&mut self) {
        if let Some(library) = self.library.clone().filter(|_| self.is_initialized) {
            // One that is lost may refuse; what comes next tells.
            let _best_effort = library.finalize();
        }
        self.is_initialized = false;
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// In the library's words, on one line.
pub(super) fn say(error: &CryptokiError) -> String {
    match error {
        CryptokiError::Pkcs11(code, function) => format!("{code:?} by {function:?}"),
        other => other.to_string(),
    }
}
