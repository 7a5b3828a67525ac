//! A PKCS#11 module on a thread of its own: one a process and path, for the standard knows one application.
//!
//! A vendor's library may take its time or never come back. Whoever asks waits until a deadline and goes on without it;
//! the thread stays in the call, and is asked again when that has come back.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error as CryptokiError, RvError},
};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::Pkcs11Error;

type Job = Box<dyn FnOnce(&mut Module) + Send>;

/// The way to a module, for those who wait.
#[derive(Clone)]
pub(super) struct ModuleThread {
    path: PathBuf,
    name: String,
    jobs: mpsc::Sender<Job>,
}

/// What lives on the thread.
pub(super) struct Module {
    path: PathBuf,
    library: Option<Pkcs11>,
    is_initialized: bool,
    /// PINs that tokens refused, by the tokens' labels.
    pub(super) refused_pins: HashMap<String, Zeroizing<Vec<u8>>>,
}

impl ModuleThread {
    /// The thread of the module at `path`, begun when there is none.
    pub(super) fn of(path: &Path) -> Result<Self, Pkcs11Error> {
        static THREADS: Mutex<Vec<ModuleThread>> = Mutex::new(Vec::new());
        let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = threads.iter().find(|thread| thread.path == path) {
            return Ok(thread.clone());
        }
        let (jobs, waiting) = mpsc::channel::<Job>();
        let name = format!("pkcs11-{}", threads.len() + 1);
        let mut module =
            Module { path: path.to_owned(), library: None, is_initialized: false, refused_pins: HashMap::new() };
        let begun = thread::Builder::new().name(name.clone()).spawn(move || {
            while let Ok(job) = waiting.recv() {
                job(&mut module);
            }
        });
        begun.map_err(|error| Pkcs11Error::Module { module: path.into(), reason: error.to_string() })?;
        let thread = Self { path: path.to_owned(), name, jobs };
        threads.push(thread.clone());
        Ok(thread)
    }

    /// Has `work` done there, and waits for it until `timeout` is over.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        timeout: Duration,
        work: impl FnOnce(&mut Module) -> Result<T, Pkcs11Error> + Send + 'static,
    ) -> Result<T, Pkcs11Error> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |module| {
            // Nobody waits any more: it began too late.
            if !answer.is_closed() {
                let _nobody_waits = answer.send(work(module));
            }
        });
        let gone = || Pkcs11Error::Module {
            module: self.path.clone(),
            reason: format!("it brought down its thread `{}`", self.name),
        };
        self.jobs.send(job).map_err(|_| gone())?;
        match tokio::time::timeout(timeout, answered).await {
            Ok(outcome) => outcome.map_err(|_| gone())?,
            Err(_) => Err(Pkcs11Error::Slow { module: self.path.clone(), waited: timeout, thread: self.name.clone() }),
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
