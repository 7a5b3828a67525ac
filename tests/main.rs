//! What is promised to users, tried from outside: through the program and over HTTP.
//!
//! One binary, a module a promise. Tests that need a program (ffmpeg, Chromium, Python) fail loudly without it;
//! `tests/run` installs them.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect should stop there"
)]

mod audit;
mod browser;
mod cache;
mod cli;
mod cold;
mod connections;
mod corpus;
mod database_keys;
mod db;
mod definition_keys;
mod deploy;
mod encrypt;
mod encrypt_faults;
mod faults;
mod faulty_disk;
mod fixtures;
mod format_golden;
mod hardening;
mod hostile;
mod hostile_peers;
mod house;
mod http_cases;
mod kills;
mod kms;
mod leaks;
mod live;
mod lost_answers;
mod machine;
mod media_store;
mod memory;
mod metadata;
mod moved;
mod observe;
mod openapi;
mod plain_archive;
mod playback_http;
mod players;
mod postgres;
mod purge;
mod put;
mod rebuild;
mod reload;
mod rewrap;
mod rights;
mod s3;
mod scale;
mod several;
mod simulated;
mod spool;
mod stalled;
mod storage_copy;
mod support;
mod switch_and_keys;
mod transfer;
mod verify;
mod watch;
mod waveform;
mod who;
