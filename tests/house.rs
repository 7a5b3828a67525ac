//! The law of the house: which room may import which, and which foreign crate may be named where.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Room, rooms that it may import, foreign crates that it may name beside those that everyone may.
const LAW: &[(&str, &[&str], &[&str])] = &[
    ("base", &[], &["zeroize", "subtle", "hex", "jiff", "region"]),
    (
        "crypto",
        &["base"],
        &["zeroize", "hex", "aes", "ctr", "aws_lc_rs", "hmac", "hkdf", "sha2", "aes_kw", "getrandom"],
    ),
    ("sealed", &["base", "crypto"], &["zeroize"]),
    ("access", &["base", "crypto"], &["base64", "hex"]),
    ("keys", &["base", "crypto", "sealed"], &["age", "async_trait", "hex", "serde", "serde_json", "zeroize"]),
    ("catalogue", &["base", "crypto", "sealed", "access", "keys"], &["async_trait", "serde", "serde_json"]),
    ("media", &["base", "crypto", "sealed"], &["async_trait"]),
    (
        "storage",
        PURE,
        &[
            "async_trait",
            "bytes",
            "futures_util",
            "metrics",
            "object_store",
            "tokio",
            "rustix",
            "url",
            "hex",
            "tracing",
        ],
    ),
    ("db", PURE, &["async_trait", "tokio", "serde_json", "sqlx", "hex"]),
    (
        "kms",
        PURE,
        &[
            "async_trait",
            "cryptoki",
            "kmip_protocol",
            "kmip_ttlv",
            "rustix",
            "serde",
            "serde_bytes",
            "tokio",
            "tokio_rustls",
            "zeroize",
        ],
    ),
    ("audit", PURE, &["hex", "metrics", "rustix", "serde", "serde_json", "tokio", "tracing"]),
    (
        "service",
        USED_BY_SERVICE,
        &[
            "moka",
            "crc_fast",
            "symphonia",
            "infer",
            "metrics",
            "mime_guess",
            "tokio",
            "bytes",
            "arc_swap",
            "zeroize",
            "hex",
            "tracing",
        ],
    ),
    (
        "http",
        &["base", "crypto", "sealed", "access", "keys", "catalogue", "media", "audit", "service"],
        &[
            "arc_swap",
            "base64",
            "hyper_rustls",
            "rustix",
            "zeroize",
            "ipnet",
            "jiff",
            "jsonwebtoken",
            "metrics",
            "socket2",
            "tokio_rustls",
            "hyper",
            "hyper_util",
            "http_body",
            "http_body_util",
            "http_range_header",
            "httpdate",
            "percent_encoding",
            "bytes",
            "tokio",
            "serde",
            "serde_json",
            "url",
            "hex",
            "tracing",
        ],
    ),
    ("config", &["base"], &["toml", "strsim", "url", "jiff", "ipnet"]),
    (
        "cli",
        &[
            "base",
            "crypto",
            "sealed",
            "access",
            "keys",
            "catalogue",
            "media",
            "storage",
            "db",
            "kms",
            "audit",
            "service",
            "http",
            "config",
        ],
        &[
            "clap",
            "clap_complete",
            "ipnet",
            "listenfd",
            "metrics",
            "metrics_exporter_prometheus",
            "opentelemetry",
            "opentelemetry_otlp",
            "opentelemetry_sdk",
            "sd_notify",
            "tracing_opentelemetry",
            "indicatif",
            "rpassword",
            "tokio",
            "rustix",
            "serde",
            "serde_json",
            "tempfile",
            "tracing",
            "tracing_subscriber",
            "url",
            "zeroize",
        ],
    ),
];

/// Layers 0 and 1.
const PURE: &[&str] = &["base", "crypto", "sealed", "access", "keys", "catalogue", "media"];

/// Those, and the record.
const USED_BY_SERVICE: &[&str] = &["base", "crypto", "sealed", "access", "keys", "catalogue", "media", "audit"];

/// Crates that every room may name.
const EVERYWHERE: &[&str] = &["core", "std", "thiserror", "crate", "super", "self", "Self"];

#[test]
fn arrows_point_down_and_foreign_crates_stay_in_their_rooms() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let dependencies = dependencies();
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (room, rooms, crates) in LAW {
        for file in rust_files(&root.join(room)) {
            seen.insert(*room);
            for (number, line) in code_lines(&file) {
                let place = || format!("{}:{number}", file.strip_prefix(&root).expect("below").display());
                for other in paths_after(&line, "crate::") {
                    let is_room = LAW.iter().any(|(name, ..)| *name == other);
                    if is_room && other != **room && !rooms.contains(&other.as_str()) {
                        problems.push(format!("{}: {room} may not import {other}", place()));
                    }
                }
                for name in &dependencies {
                    let named = line.contains(&format!("{name}::")) && starts_path(&line, name);
                    if named && !crates.contains(&name.as_str()) && !EVERYWHERE.contains(&name.as_str()) {
                        problems.push(format!("{}: {room} may not name {name}", place()));
                    }
                }
            }
        }
    }
    assert_eq!(seen.len(), LAW.len(), "every room has a file");
    for entry in fs::read_dir(&root).expect("src") {
        let entry = entry.expect("entry");
        let name = entry.file_name().into_string().expect("UTF-8");
        let is_known =
            LAW.iter().any(|(room, ..)| *room == name) || ["manual", "lib.rs", "main.rs"].contains(&name.as_str());
        assert!(is_known, "{name} is a room without a law");
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn files_say_what_they_are_for_and_stay_readable() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in rust_files(&root) {
        let text = fs::read_to_string(&file).expect("read");
        assert!(text.starts_with("//!"), "{} does not say what it is for", file.display());
        let without_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines().count();
        assert!(without_tests <= 600, "{} has {without_tests} lines: do two things live there?", file.display());
    }
}

/// The pure layers are built without a runtime, a server or a database.
#[test]
fn the_pure_layers_depend_on_no_runtime() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--no-default-features", "-e", "normal", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", crate::support::text(&output.stderr));
    let tree = crate::support::text(&output.stdout);
    for absent in ["tokio", "hyper", "sqlx", "moka", "rustix", "age"] {
        assert!(!tree.lines().any(|line| line.starts_with(&format!("{absent} "))), "{absent} is there:\n{tree}");
    }
    assert!(tree.contains("aws-lc-rs "), "{tree}");
}

/// The compiler refuses `unsafe` in this crate, and whoever takes that away has to say why in `UNSAFE`.
#[test]
fn nothing_is_unsafe_but_what_is_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("read");
    assert!(manifest.contains("\nunsafe_code = \"forbid\"\n"), "the compiler would not refuse it");
    // In two pieces, so that this file does not name it.
    let word = concat!("un", "safe");
    let mut found = Vec::new();
    for file in ["src", "tests", "benches"].iter().flat_map(|folder| rust_files(&root.join(folder))) {
        let text = fs::read_to_string(&file).expect("read");
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let words = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
        let count = words.filter(|found| *found == word).count();
        if count > 0 {
            found.push((file.strip_prefix(root).expect("below").display().to_string(), count));
        }
    }
    let listed: Vec<(String, usize)> = UNSAFE.iter().map(|(file, count, _why)| ((*file).to_owned(), *count)).collect();
    assert_eq!(found, listed);
}

/// File, how often it says so, and why it must.
const UNSAFE: &[(&str, usize, &str)] = &[];

/// Whatever is compared with something secret is compared by what takes as long for every difference.
#[test]
fn secrets_are_compared_in_constant_time() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut looked_at = 0;
    let mut found = Vec::new();
    for file in rust_files(&root) {
        let name = file.strip_prefix(&root).expect("below").display().to_string();
        for (number, line) in code_lines(&file) {
            let is_secret = SECRETS.iter().any(|secret| line.contains(secret));
            let is_compared = COMPARISONS.iter().any(|comparison| line.contains(comparison));
            looked_at += usize::from(is_secret);
            let is_allowed =
                BETWEEN_SECRETS_OF_ONE_PERSON.iter().any(|(at, what, _)| *at == name && line.contains(what));
            if is_secret && is_compared && !is_allowed {
                found.push(format!("{name}:{number}: {}", line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(looked_at > 20, "{looked_at} lines name something secret: are they called otherwise now?");
    for (file, check) in CHECKS {
        let text = fs::read_to_string(root.join(file)).expect("read");
        assert!(text.contains(check), "{file} does not check by {check} any more");
    }
    for (file, what, _why) in BETWEEN_SECRETS_OF_ONE_PERSON {
        assert!(fs::read_to_string(root.join(file)).expect("read").contains(what), "{file}: {what}");
    }
}

/// What secrets are called where they are bytes.
const SECRETS: &[&str] = &[".expose()", "finalize()", "passphrase", " pin.", ".pin ", ".tag("];
const COMPARISONS: &[&str] = &[" == ", " != ", ".eq(", ".ne(", ".cmp(", ".starts_with(", ".ends_with(", "memcmp"];
/// Where a tag, or what was unwrapped, is checked: by HMAC's own verification, by AES-GCM's, by that of the key wrap, which
/// compares one machine word, and by `subtle` where two secrets are the same.
const CHECKS: &[(&str, &str)] = &[
    ("base/secret.rs", ".ct_eq("),
    ("crypto/derive.rs", ".verify_slice("),
    ("crypto/link_mac.rs", ".verify_slice("),
    ("crypto/tag.rs", ".open_in_place("),
    ("crypto/wrap.rs", ".unwrap_key("),
    ("crypto/wrap_row.rs", ".open_in_place("),
];
/// File, what stands there, and why time tells nobody anything.
const BETWEEN_SECRETS_OF_ONE_PERSON: &[(&str, &str, &str)] = &[
    ("cli/passphrase.rs", "? != passphrase", "both were typed at this terminal a moment ago"),
    (
        "kms/pkcs11/refused_pins.rs",
        "*refused.pin == pin",
        "both came from the operator's own file, and one was refused",
    ),
];

/// "Held by" is not said of a test that is not there.
#[test]
fn every_test_that_the_manual_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    for chapter in ["threats.md", "assurance.md"] {
        let text = fs::read_to_string(root.join("src/manual").join(chapter)).expect("read");
        let tests =
            text.split('`').filter_map(|word| word.split_once(".rs::").filter(|_| !word.contains(char::is_whitespace)));
        for (file, test) in tests {
            named += 1;
            let source = fs::read_to_string(root.join(format!("{file}.rs"))).unwrap_or_default();
            assert!(source.contains(&format!("fn {test}(")), "{chapter} names {file}.rs::{test}, which is not there");
        }
    }
    assert!(named > 50, "{named}");
}

/// Whether `name` begins a path in `line`, and is not the tail of a longer name or path.
fn starts_path(line: &str, name: &str) -> bool {
    line.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

/// The names that follow `prefix` in a line, also within braces.
fn paths_after(line: &str, prefix: &str) -> Vec<String> {
    let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    line.match_indices(prefix)
        .flat_map(|(at, _)| {
            let rest = &line[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(list) => list.split(',').map(|item| name(item.trim())).collect::<Vec<_>>(),
                None => vec![name(rest)],
            }
        })
        .collect()
}

/// Lines that are not comments, up to the tests within a file, with their numbers.
fn code_lines(file: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(file).expect("read");
    let is_test_file = file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs");
    if is_test_file {
        return vec![];
    }
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number + 1, line.to_owned()))
        .collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files
}

/// The dependencies of Cargo.toml, as code names them.
fn dependencies() -> Vec<String> {
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("read");
    let section =
        manifest.split("[dependencies]").nth(1).expect("dependencies").split("\n[").next().expect("a section");
    let names: Vec<String> = section
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .filter(|(name, _)| !name.starts_with('#'))
        .map(|(name, _)| name.trim().replace('-', "_"))
        .collect();
    assert!(names.len() > 20, "{names:?}");
    names
}
