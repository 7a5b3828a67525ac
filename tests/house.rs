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
            "futures_util",
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

/// "Held by" is not said of what is no test, or is not run.
#[test]
fn every_test_that_the_manual_names_exists() {
    let mut named = 0;
    for chapter in ["threats.md", "assurance.md"] {
        for (file, test) in tests_named_in(&chapter_of_the_manual(chapter)) {
            named += 1;
            if let Err(why) = is_run(&file, &test) {
                panic!("{chapter} names {file}::{test}: {why}");
            }
        }
    }
    assert!(named > 50, "{named}");
}

#[test]
fn every_threat_names_a_test_that_holds_it() {
    let text = chapter_of_the_manual("threats.md");
    let threats = text.split("\n## Threats, and what holds\n").nth(1).expect("the section");
    let threats = threats.split("\n## ").next().expect("to the next one");
    let mut rows = 0;
    // A table's head, the line below it, and its rows.
    for table in threats.split("\n\n").filter(|block| block.starts_with('|')) {
        let mut lines = table.lines();
        assert_eq!(lines.next(), Some("| threat | what comes of it | held by |"));
        assert_eq!(lines.next(), Some("|---|---|---|"));
        for line in lines {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            let [threat, outcome, held_by] = cells[..] else { panic!("a row of three: {line}") };
            assert!(!threat.trim().is_empty() && !outcome.trim().is_empty(), "{line}");
            assert!(!tests_named_in(held_by).is_empty(), "nothing holds: {line}");
            rows += 1;
        }
    }
    assert_eq!(
        rows,
        threats.lines().filter(|line| line.starts_with('|')).count() - 2 * threats.matches("\n|---").count()
    );
    assert!(rows > 50, "{rows}");
}

/// What would make `is_run` say yes to everything.
#[test]
fn what_is_no_test_or_is_not_run_is_not_taken_for_one() {
    for (source, is_test) in [
        ("#[test]\nfn it_holds() {", true),
        ("/// Why.\n#[tokio::test]\n// Once.\n#[cfg(unix)]\nasync fn it_holds() {", true),
        ("fn it_holds() {", false),
        ("#[test]\nfn other() {}\n\nfn it_holds() {", false),
        ("// #[test]\nfn it_holds() {", false),
        ("#[test]\n#[ignore = \"slow\"]\nfn it_holds() {", false),
        ("#[ignore]\n#[test]\nfn it_holds() {", false),
        ("#[test]\n// fn it_holds() {", false),
        ("#[test]\nfn it_holds_not() {", false),
    ] {
        assert_eq!(is_test_in(source, "it_holds"), is_test, "{source}");
    }
}

fn chapter_of_the_manual(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual").join(name)).expect("read")
}

/// `FILE.rs::TEST` between backquotes.
fn tests_named_in(text: &str) -> Vec<(String, String)> {
    let words = text.split('`').filter(|word| !word.contains(char::is_whitespace));
    let named = words.filter_map(|word| word.split_once(".rs::"));
    named.map(|(file, test)| (format!("{file}.rs"), test.to_owned())).collect()
}

/// Whether a function is a test, or a target of fuzzing that `tests/corpus.rs` tries, in a file that is compiled.
fn is_run(file: &str, test: &str) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"));
    let source = read(file)?;
    let is_target = read("tests/corpus.rs")?.contains(&format!("\n    (\"{test}\", hostile::{test}),\n"))
        && file.strip_prefix("tests/hostile/") == Some(&format!("{test}.rs"))
        && source.contains(&format!("\npub fn {test}(data: &[u8]) {{\n"));
    if !is_test_in(&source, test) && !is_target {
        return Err("that is no test which is run".into());
    }
    // Up to the root, each module is named by the one that it belongs to.
    let mut path = file.strip_suffix(".rs").unwrap_or_default().trim_end_matches("/mod").to_owned();
    while let Some((folder, module)) = path.rsplit_once('/') {
        let parents = match folder {
            "src" => vec!["src/lib.rs".to_owned()],
            "tests" => vec!["tests/main.rs".to_owned()],
            _ => vec![format!("{folder}.rs"), format!("{folder}/mod.rs")],
        };
        let names = |line: &str| {
            let line = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            line == format!("mod {module};")
        };
        if !parents.iter().any(|parent| read(parent).is_ok_and(|source| source.lines().any(names))) {
            return Err(format!("no module names {path}"));
        }
        path = folder.to_owned();
    }
    Ok(())
}

/// Whether a source has a function of that name, with the attribute of a test and none that leaves it out, directly
/// above.
fn is_test_in(source: &str, test: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let begins = |line: &str| ["fn ", "async fn "].iter().any(|word| line.starts_with(&format!("{word}{test}(")));
    let Some(at) = lines.iter().position(|line| begins(line)) else { return false };
    let above = lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    let attributes: Vec<&str> = above.copied().filter(|line| line.starts_with("#[")).collect();
    let is_test = attributes.iter().any(|line| *line == "#[test]" || line.starts_with("#[tokio::test"));
    is_test && !attributes.iter().any(|line| line.starts_with("#[ignore") || line.contains(", ignore"))
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
