//! What is told of a panic, which is always a fault of the program: where it was, and not what about.
//!
//! A panic's message may quote what was worked on. Text that is cut within a letter is quoted whole, and what decoders
//! work on is media in the clear.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    panic::{self, PanicHookInfo},
    thread,
};

use super::print;

/// What is told instead of a message that was made while the program ran.
const WITHHELD: &str = "not told, for it may quote what was worked on";

/// Has panics told so from now on. To be called before anything secret is read.
pub(super) fn withhold_messages() {
    panic::set_hook(Box::new(tell));
}

fn tell(info: &PanicHookInfo<'_>) {
    let at = info.location().map(ToString::to_string).unwrap_or_default();
    let said = literal(info.payload()).unwrap_or(WITHHELD);
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    // Names of functions and files, where RUST_BACKTRACE asks for them.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    if tracing::dispatcher::has_been_set() {
        tracing::error!(at, thread, said, backtrace, "a panic: a fault of the program, to be reported");
    } else {
        let backtrace = backtrace.unwrap_or_default();
        print::error_line(&format!("a panic, a fault of the program to be reported: at {at}: {said}\n{backtrace}"));
    }
}

/// The message, where it stands in the source word for word.
fn literal(payload: &(dyn Any + Send)) -> Option<&'static str> {
    payload.downcast_ref::<&'static str>().copied()
}

#[cfg(test)]
mod tests {
    use std::{hint::black_box, panic::catch_unwind};

    use super::*;

    /// What a panic carries, which the test's own hook tells as usual.
    fn payload(of: impl FnOnce() + panic::UnwindSafe) -> Box<dyn Any + Send> {
        catch_unwind(of).expect_err("it panics")
    }

    #[test]
    fn a_message_that_was_made_meanwhile_is_not_told() {
        let heard = black_box("Grüße an die Bank".to_owned());
        let quoting = payload(move || drop(black_box(heard[..3].to_owned())));
        let whole = quoting.downcast_ref::<String>().expect("text");
        assert!(whole.contains("Grüße an die Bank"), "it quotes, or this asks nothing: {whole}");
        assert_eq!(literal(&*quoting), None);
        let nothing = black_box(None::<String>);
        let written = payload(move || drop(black_box(nothing.unwrap())));
        assert_eq!(literal(&*written), Some("called `Option::unwrap()` on a `None` value"));
    }
}
