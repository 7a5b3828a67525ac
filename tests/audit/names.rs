//! Names that a caller chooses: whatever stands in them, each event is one line, and nobody writes another's.

use std::{collections::BTreeSet, fs, sync::Arc};

use sealtape::{
    audit::{AuditLog, Event, EventKind, bounded, verify},
    base::Timestamp,
};
use serde_json::Value;

use super::{events, of_kind, record_files, stop, system};
use crate::support::{Server, request, send, text};

/// A line that somebody would like to stand there.
const FORGED: &str = "{\"seq\":1,\"chain\":\"0011223344556677\",\"at\":\"2026-01-01T00:00:00.000Z\",\"prev\":\"";

/// Ends of lines of every kind, and of what is written in them.
fn names() -> Vec<String> {
    let hash = "0".repeat(64);
    let mut names: Vec<String> = [
        "a\nb",
        "a\r\nb",
        "a\rb",
        "a\u{b}b\u{c}c",
        "a\u{85}b",
        "a\u{2028}b\u{2029}c",
        "a\0b\u{7f}c\u{1b}[2Jd",
        "a\tb",
        "\"",
        "\\",
        "\\\"",
        "\\u000a",
        "\",\"hash\":\"",
        "\"}",
        "\u{202e}txt.exe",
        "\u{feff}a",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    names.push(format!("a\",\"hash\":\"{hash}\"}}"));
    names.push(format!("a\",\"hash\":\"{hash}\"}}\n{FORGED}{hash}\",\"event\":\"opened\",\"hash\":\"{hash}\"}}\n"));
    names.push(format!("a\u{2028}{FORGED}{hash}\",\"event\":\"begun\""));
    // Cut where names are cut, within an escape or a character.
    names.push(format!("{}\"\u{2028}\"", "x".repeat(509)));
    names.push("\"".repeat(2000));
    names.push("\n".repeat(2000));
    names
}

/// Straight into the record: also what no request and no command lets through.
#[tokio::test]
async fn whatever_stands_in_a_name_or_a_detail_its_event_is_one_line_of_a_sound_chain() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = || Timestamp::from_millis(1_764_000_000_123).expect("a time");
    let log = AuditLog::of_instance(folder.path(), Arc::new(clock), "proxy\n\"1\"");
    let names = names();
    for name in &names {
        let (raw, kept) = (Some(name.clone()), Some(bounded(name)));
        let event = Event {
            subject: kept.clone(),
            minted_by: raw.clone(),
            user_agent: kept,
            recording: raw.clone(),
            detail: raw,
            ..Event::new(EventKind::Opened)
        };
        log.record(event).await.expect("recorded");
    }
    drop(log);
    let path = folder.path().join("playback-000001.jsonl");
    let record = fs::read(&path).expect("read");
    assert!(record.ends_with(b"}\n"));
    let lines: Vec<&[u8]> = record[..record.len() - 1].split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 1 + names.len(), "a line an event, and the first");
    for (number, (line, name)) in lines[1..].iter().zip(&names).enumerate() {
        assert!(!line.iter().any(|byte| *byte < b' '), "{name:?}");
        let event: Value = serde_json::from_slice(line).expect("one JSON object");
        assert_eq!((&event["seq"], &event["event"]), (&(number as u64 + 2).into(), &"opened".into()), "{name:?}");
        assert_eq!((event["detail"].as_str(), event["minted_by"].as_str()), (Some(&**name), Some(&**name)));
        assert_eq!(event["user_agent"].as_str(), Some(&*bounded(name)), "{name:?}");
        assert!(bounded(name).len() <= 512 && !bounded(name).contains(char::is_control), "{name:?}");
        // A field that is named twice would be one that a caller wrote.
        let said = text(line);
        for field in ["hash", "prev", "seq", "chain", "event"] {
            assert_eq!(said.matches(&format!(",\"{field}\":")).count(), usize::from(field != "seq"), "{field}: {said}");
        }
    }
    let found = verify(std::slice::from_ref(&path), &[]).expect("it can be read");
    assert!(found.is_sound() && found.chains.len() == 1, "{:?}", found.faults);
    assert_eq!(found.chains[0].lines, lines.len() as u64);

    // The next writer finds the chain's end, whatever the last name was.
    let log = AuditLog::new(folder.path(), Arc::new(clock));
    log.record(Event::new(EventKind::Closed)).await.expect("recorded");
    assert!(fs::read(&path).expect("read").starts_with(&record), "nothing was taken for torn");
    assert!(verify(&[path], &[]).expect("it can be read").is_sound());
}

/// By request and by command: what of it is let through is one line, and what is not leaves none.
#[test]
fn names_of_clients_and_listeners_end_no_line_and_begin_none() {
    let (system, _) = system();
    let server = Server::start({
        let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("SEALTAPE_AUTH__MODE", "token");
        command
    });
    let token = system.json(&["token", "create", "--scope", "recordings:play", "--subject", "ann", "--ttl", "1h"]);
    let bearer = format!("Bearer {}", token["token"].as_str().expect("a token"));
    let (mut agents, mut listeners) = (BTreeSet::new(), BTreeSet::new());
    for name in names() {
        // What cannot stand in a header ends the request: then it is another one, or none.
        if !name.contains(|c: char| c.is_ascii_control() && c != '\t') {
            let head = format!(
                "GET /recordings/call/media HTTP/1.1\r\nHost: {}\r\nUser-Agent: {name}\r\nRange: bytes=0-9\r\n\
                 Authorization: {bearer}\r\nConnection: close\r\n\r\n",
                server.address
            );
            assert_eq!(send(&server.address, "GET", head.as_bytes()).status, 206, "{name:?}");
            agents.insert(bounded(name.trim()));
        }
        let body = serde_json::json!({ "subject": name }).to_string();
        let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
        let minted = request(&server.address, "POST", "/recordings/call/link", &headers, body.as_bytes());
        let linked = system.run(&["link", "call", "--json", "--subject", &name.replace('\0', "\n")]);
        assert_eq!(minted.status == 200, linked.status.success(), "{name:?}: {}", text(&linked.stderr));
        if minted.status == 200 {
            assert!(!name.contains(char::is_control), "{name:?}");
            listeners.insert(name);
        } else {
            assert_eq!(minted.problem(), "bad-request", "{name:?}");
        }
    }
    assert!(agents.len() >= 12 && listeners.len() >= 8, "{agents:?} {listeners:?}");
    stop(server);
    assert_eq!(system.json(&["audit", "verify"])["sound"], true);
    let found: BTreeSet<String> =
        of_kind(&system, "opened").iter().map(|event| event["user_agent"].as_str().expect("one").to_owned()).collect();
    assert_eq!(found, agents);
    let details: Vec<String> =
        of_kind(&system, "link.mint").iter().map(|event| event["detail"].as_str().expect("one").to_owned()).collect();
    assert_eq!(details.len(), 2 * listeners.len());
    for name in &listeners {
        assert_eq!(details.iter().filter(|detail| detail.starts_with(&format!("for {name} until 20"))).count(), 2);
    }
    let record = fs::read_to_string(&record_files(&system)[0]).expect("read");
    let all = events(&system, &[]);
    assert_eq!(record.split('\n').count(), all.len() + 1, "a line an event");
    // For people, too.
    let shown = system.ok(&["audit", "show"]);
    assert_eq!(shown.split('\n').count(), all.len() + 1, "{shown}");
    assert!(!shown.contains('\u{1b}'));
}
