//! Settings: any text is read or refused with a place and a way out, and the password in a database's address is never
//! in what is said.

use std::path::PathBuf;

use sealtape::config::{Settings, Source};

const PASSWORD: &str = "hunter2-Zq8";

/// Up to the first zero byte a TOML file, and behind it lines of an environment.
pub fn config(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let (file, environment) = text.split_once('\0').unwrap_or((text, ""));
    let environment: Vec<(String, String)> = environment
        .split('\n')
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let source = Source::File(PathBuf::from("/etc/sealtape.toml"));
    let read = |environment: &[(String, String)]| Settings::read(&source, file, environment.iter().cloned());
    match read(&environment) {
        Ok(settings) => assert_eq!(Some(settings), read(&environment).ok(), "the same means the same"),
        Err(error) => {
            assert!(!error.advice().is_empty());
            assert!(error.to_string().len() < 2 * text.len() + 4096, "{error}");
        }
    }
    // Tabs and ends of lines in an address mean nothing: what has it in pieces has it.
    if text.replace(['\t', '\r', '\n'], "").contains(PASSWORD) {
        return;
    }
    // The address as somebody writes it who knows little of addresses.
    for url in [
        format!("postgres://u:{PASSWORD}@{file}"),
        format!("postgres://{file}:{PASSWORD}@host/db"),
        format!("postgres://u:{file}{PASSWORD}@host/db"),
    ] {
        let variable = [("SEALTAPE_DATABASE__URL".to_owned(), url.clone())];
        let said = match Settings::read(&source, "", variable.into_iter()) {
            Ok(settings) => format!("{settings:?}"),
            Err(error) => format!("{error} {error:?} {}", error.advice()),
        };
        assert!(!said.contains(PASSWORD), "{url:?}: {said}");
    }
}
