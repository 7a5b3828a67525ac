//! What others make of the interface: schemathesis tries every operation of its description, REDbot reads a recording's
//! media as caches and browsers would.

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;

use crate::support::{Server, System, sample, text};

/// A program of PyPI, in a virtual environment that `tests/run` makes outside the checkout.
fn of_pypi(environment: &str, program: &str) -> Command {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache"), PathBuf::from);
    let path = cache.join("sealtape/tools").join(environment).join("bin").join(program);
    assert!(path.exists(), "{} is missing: `tests/run` installs what the tests need", path.display());
    Command::new(path)
}

/// Operations of the description, but the one that gives it.
const OPERATIONS: usize = 16;

fn in_tests(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Runs schemathesis over a server, which must find nothing; how often each operation answered with each status.
/// Operations that are left out are tried elsewhere.
fn schemathesis(server: &Server, headers: &[String], left_out: &[&str]) -> Vec<(String, u16)> {
    let folder = tempfile::tempdir().expect("a folder");
    let examples = if std::env::var_os("SEALTAPE_TESTS_FULL").is_some() { "400" } else { "40" };
    let mut command = of_pypi("schemathesis", "schemathesis");
    command.arg("--config-file").arg(in_tests("schemathesis.toml")).arg("run").arg(server.url("/openapi.json"));
    command.args(["--checks", "all", "--phases", "examples,coverage,fuzzing", "--seed", "20261125", "--no-color"]);
    command.args(["-n", examples, "--report", "ndjson", "--report-dir"]).arg(folder.path());
    for header in headers {
        command.args(["-H", header]);
    }
    for operation in left_out {
        command.args(["--exclude-operation-id", operation]);
    }
    // It keeps what it learnt in the folder where it runs.
    let output = command.current_dir(folder.path()).output().expect("schemathesis runs");
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    // All but the description itself.
    let tested = format!("Tested: {}", OPERATIONS - left_out.len());
    assert!(said.contains(&tested), "every operation: {said}");
    let report = fs::read_dir(folder.path())
        .expect("read")
        .map(|entry| entry.expect("entry").path())
        .find(|path| path.extension().is_some_and(|end| end == "ndjson"))
        .expect("a report");
    let report = fs::read_to_string(report).expect("read");
    let mut answers = Vec::new();
    for line in report.lines() {
        collect(&serde_json::from_str(line).expect("JSON"), &mut answers);
    }
    answers
}

/// Every exchange in a report: method and path, and the status that it got.
fn collect(value: &Value, answers: &mut Vec<(String, u16)>) {
    if let (Some(method), Some(uri), Some(status)) = (
        value["request"]["method"].as_str(),
        value["request"]["uri"].as_str(),
        value["response"]["status_code"].as_u64(),
    ) {
        let path = uri.splitn(4, '/').nth(3).unwrap_or_default().split('?').next().unwrap_or_default();
        answers.push((format!("{method} /{path}"), u16::try_from(status).expect("a status")));
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|value| collect(value, answers)),
        Value::Array(items) => items.iter().for_each(|value| collect(value, answers)),
        _ => {}
    }
}

fn count(answers: &[(String, u16)], method: &str, end: &str, status: u16) -> usize {
    let is_such =
        |(request, found): &&(String, u16)| request.starts_with(method) && request.ends_with(end) && *found == status;
    answers.iter().filter(is_such).count()
}

/// The recordings that the description gives as examples. The demo has failures beside them, on purpose.
fn system() -> System {
    let system = System::with_key();
    for name in ["call-billing-wav-pcm.wav", "call-reminder-mp3.mp3", "call-triage-opus.ogg", "screen-transfer-mp4.mp4"]
    {
        let sidecar = system.file("transcript.json", b"{}");
        let name = sample(name);
        system.ok(&["import", name.to_str().expect("UTF-8"), "--sidecar", sidecar.to_str().expect("UTF-8")]);
    }
    system
}

#[test]
fn schemathesis_finds_nothing_where_nobody_is_asked() {
    let answers = schemathesis(&system().serve(), &[], &["deleteRecording"]);
    assert!(answers.len() > 300, "{}", answers.len());
    for (method, end, status) in [
        ("GET", "/media", 200),
        ("GET", "/media", 206),
        ("GET", "/media", 404),
        ("POST", "/link", 200),
        ("POST", "/link", 400),
        ("GET", "/recordings", 200),
        ("PATCH", "", 200),
        ("PATCH", "", 400),
        ("GET", "transcript.json", 200),
        ("GET", "/metrics", 200),
    ] {
        assert!(count(&answers, method, end, status) > 0, "no {status} of {method} …{end}: {answers:?}");
    }
}

#[test]
fn schemathesis_finds_nothing_with_a_token_and_without() {
    let system = system();
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SEALTAPE_AUTH__MODE", "token");
    let server = Server::start(command);
    let scope = "recordings:list,recordings:play";
    let token = system.json(&["token", "create", "--scope", scope, "--subject", "tester", "--ttl", "1h"]);
    let header = format!("Authorization: Bearer {}", token["token"].as_str().expect("a token"));
    let answers = schemathesis(&server, &[header], &[]);
    assert!(count(&answers, "GET", "/media", 206) > 0 && count(&answers, "POST", "/link", 200) > 0, "{answers:?}");
    let answers = schemathesis(&server, &[], &[]);
    assert!(count(&answers, "GET", "/media", 401) > 0 && count(&answers, "GET", "/recordings", 401) > 0, "{answers:?}");
    assert_eq!(count(&answers, "GET", "/media", 200) + count(&answers, "GET", "/media", 206), 0, "nothing plays");
}

/// A recording's media, as REDbot is to see it.
const MEDIA: &str = "/recordings/call-reminder-mp3/media";

/// Warnings that are accepted, each with where and why.
const ACCEPTED: [(&str, &str); 3] = [
    // `private, no-store`: what `private` says is said again by `no-store`, for caches that know only the first.
    (MEDIA, "CC_CONFLICTING"),
    // Its sniffer looks sound and video up among pictures: it says `undefined/undefined` of each.
    (MEDIA, "CONTENT_TYPE_MISMATCH"),
    // The player's page is small, and asked for anew.
    ("/", "FRESHNESS_NO_CACHE_NO_VALIDATOR"),
];

#[test]
fn redbot_has_nothing_to_say_against_a_recording() {
    let system = System::with_key();
    system.ok(&["import", sample("call-reminder-mp3.mp3").to_str().expect("UTF-8")]);
    let server = system.serve();
    let notes = |path: &str| -> Value {
        let output = of_pypi("redbot", "python").arg(in_tests("redbot_notes.py")).arg(server.url(path)).output();
        let output = output.expect("python runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
    };
    for (path, status) in [(MEDIA, 200), ("/recordings/none/media", 404), ("/", 200)] {
        let found = notes(path);
        assert_eq!((&found["status"], &found["complete"]), (&status.into(), &true.into()), "{path}");
        for note in found["notes"].as_array().expect("notes") {
            let name = note["note"].as_str().expect("a name");
            match note["level"].as_str().expect("a level") {
                "good" | "info" => {}
                "warning" => assert!(ACCEPTED.contains(&(path, name)), "{path}: {note}"),
                level => panic!("{path}: {level}: {note}"),
            }
        }
        if path == MEDIA {
            let names: Vec<&str> =
                found["notes"].as_array().expect("notes").iter().filter_map(|note| note["note"].as_str()).collect();
            assert!(found["notes"].to_string().contains("\"conneg\""), "negotiation was tried");
            for expected in ["RANGE_CORRECT", "INM_304", "IMS_304", "CL_CORRECT"] {
                assert!(names.contains(&expected), "{expected}: {names:?}");
            }
        }
    }
}
