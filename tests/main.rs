//! What is promised to users, tried from outside: through the program and over HTTP.
//!
//! One binary, a module a promise. Tests that need a program (ffmpeg, Chromium, Python) fail loudly without it;
//! `tests/run` installs them.

mod browser;
mod cli;
mod db;
mod faults;
mod format_golden;
mod house;
mod media_store;
mod memory;
mod playback_http;
mod players;
mod support;
mod switch_and_keys;
