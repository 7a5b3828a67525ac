//! What the system is asked to do for secrets in memory: to write no core dump of them, and not to swap them out.
//!
//! None of it is needed to work, so that nothing here fails: what was refused is said. Secrets have locked pages of
//! their own, see [`crate::base::locked`]; here it is about everything else.

use rustix::{
    mm::{MlockAllFlags, mlockall},
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit},
};

use super::print;
use crate::base::locked;

/// Turns core dumps off. To be called before anything secret is read.
///
/// Both are needed. The limit does not hold for dumps that go to a program, as they do to systemd-coredump; a process
/// that is not dumpable gives none to anybody, and other processes of the same user can neither attach to it nor read
/// its memory. But a program that it starts is dumpable again, and the limit stays.
pub(super) fn forbid_core_dumps() {
    let outcomes = [
        set_dumpable_behavior(DumpableBehavior::NotDumpable),
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }),
    ];
    // Before there is a log.
    if let Some(error) = outcomes.into_iter().find_map(Result::err) {
        print::error_line(&format!("warning: core dumps could not be turned off: {error}"));
    }
}

/// Locks all memory of a server, now and later, where there is no limit to it: key schedules and media in the clear lie
/// on the ordinary heap. Under a limit, memory that is asked for beyond it would be refused, and the server would end.
pub(super) fn lock_all_memory() {
    if getrlimit(Resource::Memlock).current.is_none() {
        // As pages come into use: else every stack and every reserve would be filled at once.
        let _secrets_have_locked_pages_anyway =
            mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT);
    }
}

/// Says so when not even the pages of secrets could be locked. To be called once keys and settings were read.
pub(super) fn warn_of_unlocked_secrets() {
    if !locked::is_locked() {
        tracing::warn!(
            "keys may be swapped out, for the system lets no more memory be locked: raise LimitMEMLOCK= in the unit, or \
             ulimit -l"
        );
    }
}
