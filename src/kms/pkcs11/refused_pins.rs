//! PINs that tokens refused. Tokens lock themselves, and some wipe themselves, after a few wrong ones, so that each is
//! tried once by a process, whatever becomes meanwhile of the thread that tried it.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use zeroize::Zeroizing;

/// A PIN that a token refused: the last one.
struct RefusedPin {
    module: PathBuf,
    token: String,
    pin: Zeroizing<Vec<u8>>,
}

/// Those of this process.
static REFUSED: Mutex<Vec<RefusedPin>> = Mutex::new(Vec::new());

/// What one token refused.
pub(super) struct RefusedPins<'a> {
    module: &'a Path,
    token: &'a str,
}

impl<'a> RefusedPins<'a> {
    pub(super) fn of(module: &'a Path, token: &'a str) -> Self {
        Self { module, token }
    }

    /// Whether it is the one that was refused.
    pub(super) fn has(&self, pin: &[u8]) -> bool {
        locked().iter().any(|refused| self.is_of_it(refused) && *refused.pin == pin)
    }

    pub(super) fn remember(&self, pin: Zeroizing<Vec<u8>>) {
        let mut all = locked();
        all.retain(|refused| !self.is_of_it(refused));
        all.push(RefusedPin { module: self.module.to_owned(), token: self.token.to_owned(), pin });
    }

    pub(super) fn forget(&self) {
        locked().retain(|refused| !self.is_of_it(refused));
    }

    fn is_of_it(&self, refused: &RefusedPin) -> bool {
        refused.module == self.module && refused.token == self.token
    }
}

fn locked() -> MutexGuard<'static, Vec<RefusedPin>> {
    REFUSED.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kms::{
        Pkcs11Error,
        pkcs11::module::{Module, ModuleThread},
    };

    fn pin(digits: &str) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(digits.as_bytes().to_vec())
    }

    #[test]
    fn each_token_has_its_own_and_the_last_one_counts() {
        let of = |token| RefusedPins::of(Path::new("/of-a-test.so"), token);
        of("a").remember(pin("1"));
        assert!(of("a").has(b"1") && !of("a").has(b"2") && !of("b").has(b"1"));
        assert!(!RefusedPins::of(Path::new("/another.so"), "a").has(b"1"));
        of("a").remember(pin("2"));
        assert!(of("a").has(b"2") && !of("a").has(b"1"));
        of("b").forget();
        assert!(of("a").has(b"2"));
        of("a").forget();
        assert!(!of("a").has(b"2"));
    }

    /// A thread that a module brought down is begun anew, and knows what the one before was told.
    #[tokio::test]
    async fn a_thread_that_is_begun_anew_remembers() {
        let module = Path::new("/of-another-test.so");
        let thread = ModuleThread::of(module).expect("begins");
        let timeout = Duration::from_secs(30);
        let refused = |module: &mut Module| {
            RefusedPins::of(module.path(), "tape").remember(pin("00000000"));
            Ok(())
        };
        thread.run(timeout, refused).await.expect("runs");
        let broken = thread.run(timeout, |_| -> Result<(), Pkcs11Error> { panic!("as a module may bring it down") });
        assert!(matches!(broken.await, Err(Pkcs11Error::Module { .. })));
        // Whoever comes while the broken one unwinds is told so, too.
        let mut outcome = None;
        for _ in 0..1000 {
            let is_known = thread.run(timeout, |module| Ok(RefusedPins::of(module.path(), "tape").has(b"00000000")));
            outcome = Some(is_known.await);
            if let Some(Ok(_)) = outcome {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(outcome.expect("asked").expect("runs on a thread that is new"));
    }
}
