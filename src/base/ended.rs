//! What is said of work that was handed on and did not come to its end.

/// What is said of work that was handed to a task or thread and did not come to its end, since that panicked or the
/// runtime ended: that alone. What a panic says may quote what was worked on; where it was is told by the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work on it did not come to its end")]
pub struct Ended;
