//! sealtape plays encrypted recordings: they lie sealed on disk, under keys that the organisation controls, and play
//! at once, from any second, in an ordinary web player.
//!
//! # Bird's eye
//!
//! A recorder's media is **sealed** as it streams: cut into chunks, encrypted with AES-256-CTR under a file key that
//! is used once, each chunk tagged with GMAC, behind a header that is tagged too. The file key lies in the header,
//! wrapped by a **database key**; database keys lie in the database, wrapped by one **definition key**, which lies
//! elsewhere. A player asks for a range of bytes; the proxy finds the file, unwraps the file key, verifies the records
//! that hold the range, decrypts them by random access, and sends them.
//!
//! # Map
//!
//! Arrows point down, never sideways among adapters; `tests/house.rs` holds the law.
//!
//! ```text
//! layer 4  faces      cli      one file a command; open.rs builds adapters and hands them to the service
//!                     http     connections, who asks, routes, conditions and ranges, bodies, problems, other proxies,
//!                             the player's files
//!                     config   TOML and environment -> validated settings
//! layer 3  use cases  service  playback, also of what is being written, who listens, ingest, what lies beside recordings,
//!                             keys and the watch over them, recordings that change keys, plain ones that are sealed,
//!                             verification, salvage, scrub, purging, uploads out of the spool, archives that move,
//!                             waveforms
//! layer 2  adapters   storage  local files, object stores, the spool before them, the cache of their ciphertext
//!                     db       SQLite, PostgreSQL        kms   definition keys: in a file, embedded,
//!                                                            in key managers (KMIP) and tokens (PKCS#11)
//!                     audit    the playback record
//! layer 1  rules      catalogue  what a recording is; trait Database      media   trait MediaStore
//!                     keys       the envelope, the key ring; trait DefinitionKey
//! layer 0  pure       sealed   the file format        access   who may       crypto   primitives
//!                     base     words everyone may use
//! ```
//!
//! Layers 0 and 1 build alone with `--no-default-features`: no runtime, server or database is even a dependency then.
//!
//! # Where to start reading
//!
//! * The format: [`manual::format`], then [`sealed`].
//! * One request's way: [`manual::playback`], then [`http`], [`service::Playback`] and [`service::SpanStream`].
//! * One recording's way in: [`manual::ingest`], then [`service::Ingest`]; one that is played meanwhile:
//!   [`service::Playback::follow`].
//! * What is known of recordings, and how they go: [`manual::recordings`], then [`service::Companions`] and
//!   [`service::Purge`].
//! * Whether recordings are whole: [`mod@manual::verifying`], then [`service::Verifier`].
//! * Who may listen: [`mod@manual::access`], then [`access::Grant`] and [`http::Auth`].
//! * What is promised against whom: [`mod@manual::threats`].
//! * Keys: [`manual::keys`], then [`keys::KeyRing`], [`service::KeyWatch`] and [`service::KeyOps`].
//! * A recording's way to another key: [`service::Maintenance`]; an archive's way to another store: [`service::Copying`].
//! * Several proxies: [`mod@manual::cluster`], then [`service::Spooler`], and [`http::Peers`], to whom requests are
//!   handed on.
//!
//! # Invariants
//!
//! * No byte of media leaves before the header tag and its chunk's tag have verified, from the very bytes decrypted.
//! * A file key seals once; each chunk is encrypted once and tagged once.
//! * What is sealed is what the catalogue says, never what a file looks like.
//! * A recording is opened with the key that its header names or with none.
//! * Nothing is overwritten: names are taken exclusively, and claim completeness. What takes a sealed file's place, or
//!   its header's, is durable and named in the recording's row before a byte of the file changes.
//! * A plain file goes only after its sealing was read back and catalogued, and while it is still what was sealed.
//! * What lies beside recordings counts when the catalogue says so: a new version is a new object.
//! * Every database key lies under one definition key; all of them move to another one at once.
//! * A length is verified before it is promised.
//! * A cache is never the reason why a recording is corrupt, and holds no header; a spool lets go of nothing that the
//!   store was not read back to have.
//! * Text from below `http` never reaches a client; secrets are never printed.
//!
//! Tenets, in order: never leak a key or plaintext; never serve a wrong byte; lose nothing acknowledged; stay up on the
//! keys you have; be fast; be small.

#![cfg_attr(
    not(feature = "app"),
    allow(rustdoc::broken_intra_doc_links, reason = "without the application its rooms cannot be linked to")
)]
#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::expect_used,
        clippy::panic,
        clippy::unwrap_used,
        reason = "a test that meets what it did not expect should stop there"
    )
)]

pub mod manual;

pub mod access;
pub mod base;
pub mod crypto;
pub mod sealed;

pub mod catalogue;
pub mod keys;
pub mod media;

#[cfg(feature = "app")]
pub mod audit;
#[cfg(feature = "app")]
pub mod db;
#[cfg(feature = "app")]
pub mod kms;
#[cfg(feature = "app")]
pub mod storage;

#[cfg(feature = "app")]
pub mod service;

#[cfg(feature = "app")]
pub mod cli;
#[cfg(feature = "app")]
pub mod config;
#[cfg(feature = "app")]
pub mod http;
