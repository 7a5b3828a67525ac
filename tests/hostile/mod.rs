//! What anybody may send, and what must be true whatever they sent: a function a kind of input.
//!
//! Each takes bytes and panics when a promise does not hold. `tests/fuzz` calls them with whatever coverage suggests;
//! `corpus.rs` beside `tests/main.rs` calls them with each file of `tests/fuzz/corpus`, so that what was once found is
//! tried by every run of the tests. Start with [`records`].

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a promise that does not hold should stop whoever tries it"
)]

mod golden;
mod header;
mod links;
mod records;

pub use header::header;
pub use links::links;
pub use records::records;

#[cfg(feature = "app")]
mod audit_tail;
#[cfg(feature = "app")]
mod config;
#[cfg(feature = "app")]
mod key_export;
#[cfg(feature = "app")]
mod range;
#[cfg(feature = "app")]
mod token;
#[cfg(feature = "app")]
mod waveform;

#[cfg(feature = "app")]
pub use {
    audit_tail::audit_tail, config::config, key_export::key_export, range::range, token::token, waveform::waveform,
};

/// A stretch of bytes, read as numbers: what a fuzzer can turn into choices.
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Zero after the end.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn word(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}
