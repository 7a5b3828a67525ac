//! Every way to ask for a recording that one may not know of, by every method: each is answered as if there were none,
//! and nothing comes of it.

use serde_json::Value;

use super::{token, token_mode};
use crate::support::{Reply, Server, Stored, System, get, request, sample, text};

/// One that is there and may not be known of, and one that is not there: as long as each other.
const HIDDEN: &str = "team-b.1";
const ABSENT: &str = "team-b.9";
/// One that may be known of, and is not there.
const OWN_ABSENT: &str = "team-a.9";

const JSON: (&str, &str) = ("Content-Type", "application/json");
const AUDIO: (&str, &str) = ("Content-Type", "audio/wav");

/// A request for a recording: method, what follows its ID, headers, body, and the scopes of which any one lets it.
struct Ask {
    method: &'static str,
    tail: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static [u8],
    scopes: &'static [&'static str],
}

const LIST: &str = "recordings:list";
const PLAY: &str = "recordings:play";
const WRITE: &str = "recordings:write";
const DELETE: &str = "recordings:delete";
const SCOPES: [&str; 4] = [LIST, PLAY, WRITE, DELETE];

const fn ask(method: &'static str, tail: &'static str, scopes: &'static [&'static str]) -> Ask {
    Ask { method, tail, headers: &[], body: b"", scopes }
}

const ASKS: &[Ask] = &[
    ask("GET", "", &[LIST, PLAY]),
    ask("HEAD", "", &[LIST, PLAY]),
    ask("GET", "/media", &[PLAY]),
    ask("HEAD", "/media", &[PLAY]),
    Ask { headers: &[("Range", "bytes=0-9")], ..ask("GET", "/media", &[PLAY]) },
    Ask { headers: &[("Range", "bytes=99999999-")], ..ask("GET", "/media", &[PLAY]) },
    Ask { headers: &[("If-None-Match", "*")], ..ask("GET", "/media", &[PLAY]) },
    Ask { headers: &[("If-Match", "\"0\"")], ..ask("GET", "/media", &[PLAY]) },
    ask("GET", "/media?download=x.wav", &[PLAY]),
    ask("GET", "/waveform", &[PLAY]),
    ask("HEAD", "/waveform", &[PLAY]),
    ask("GET", "/waveform?points=10", &[PLAY]),
    ask("GET", "/sidecars/notes.xml", &[PLAY]),
    ask("HEAD", "/sidecars/notes.xml", &[PLAY]),
    ask("GET", "/sidecars/other.xml", &[PLAY]),
    Ask { headers: &[AUDIO], body: b"other media", ..ask("PUT", "/media", &[WRITE]) },
    Ask { headers: &[AUDIO, ("If-None-Match", "*")], body: b"other media", ..ask("PUT", "/media", &[WRITE]) },
    Ask { headers: &[JSON], body: b"{\"agent\":\"mallory\"}", ..ask("PATCH", "", &[WRITE]) },
    Ask { headers: &[JSON], body: b"[", ..ask("PATCH", "", &[WRITE]) },
    ask("POST", "/link", &[PLAY]),
    Ask { headers: &[JSON], body: b"{\"ttl\":\"1h\"}", ..ask("POST", "/link", &[PLAY]) },
    // Last: what came after it would meet nothing.
    ask("DELETE", "", &[DELETE]),
];

impl Ask {
    fn of(&self, server: &Server, id: &str, token: &str) -> Reply {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("Authorization", bearer.as_str())];
        headers.extend(self.headers);
        request(&server.address, self.method, &format!("/recordings/{id}{}", self.tail), &headers, self.body)
    }

    fn what(&self) -> String {
        format!("{} {} {:?} {}", self.method, self.tail, self.headers, text(self.body))
    }
}

/// Status, headers and body of an answer about `id`, without that, the ID of the request and the second of the answer.
fn shown(reply: &Reply, id: &str) -> (u16, Vec<(String, String)>, String) {
    let differs = |name: &str| ["x-request-id", "date"].contains(&name);
    let headers = reply.headers().iter().filter(|(name, _)| !differs(name)).cloned().collect();
    let request = reply.header("x-request-id").expect("an ID");
    let body = text(&reply.body);
    assert_eq!(body.matches(request).count(), usize::from(!body.is_empty()), "{body}");
    (reply.status, headers, body.replace(request, "REQUEST").replace(id, "ID"))
}

/// The code of the problem that an answer tells of; a HEAD has no body to name it.
fn code(reply: &Reply) -> String {
    let body = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
    body["code"].as_str().or(reply.header("playback-error")).unwrap_or_default().to_owned()
}

fn system() -> System {
    let system = System::with_key();
    let notes = system.file("notes.xml", b"<call/>\n");
    let sound = sample("call-reminder-mp3.mp3");
    for id in ["team-a.1", HIDDEN] {
        let arguments = ["import", sound.to_str().expect("UTF-8"), "--id", id, "--sidecar"];
        system.ok(&[&arguments[..], &[notes.to_str().expect("UTF-8")]].concat());
    }
    system
}

/// All that there is of the recordings: what the catalogue says, and what is stored, byte for byte.
fn state(system: &System) -> (Value, Vec<(Stored, Vec<u8>)>) {
    let stored = system.objects().into_iter().filter(|file| !file.ends_with(".lock"));
    (system.json(&["recordings", "list"]), stored.map(|file| (file.clone(), file.read())).collect())
}

#[test]
fn by_no_method_is_a_hidden_recording_told_from_none_or_touched() {
    let system = system();
    let server = token_mode(&system);
    let limited = token(&system, &SCOPES.join(","), &["--recordings", "team-a."]);
    let before = state(&system);
    let mut told = Vec::new();
    for ask in ASKS {
        let hidden = ask.of(&server, HIDDEN, &limited);
        let mut none = vec![ABSENT];
        // Of what one may know of, it is told first what is wrong with the request; and a new one may be taken in.
        if ask.method != "PUT" && ask.body != b"[" {
            none.push(OWN_ABSENT);
        }
        let is_alike = |id: &&str| shown(&ask.of(&server, id, &limited), id) == shown(&hidden, HIDDEN);
        if hidden.status != 404 || code(&hidden) != "recording-not-found" || !none.iter().all(is_alike) {
            told.push(format!("{}: {} {}", ask.what(), hidden.status, code(&hidden)));
        }
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
    assert!(state(&system) == before, "what is hidden is there and unchanged, and nothing came beside it");

    // The same requests do something to what one may know of.
    let everything = token(&system, &SCOPES.join(","), &[]);
    let mut statuses: Vec<u16> = Vec::new();
    for ask in ASKS.iter().filter(|ask| ask.method != "DELETE") {
        statuses.push(ask.of(&server, "team-a.1", &limited).status);
        assert_ne!(statuses.last(), Some(&403), "{}", ask.what());
    }
    let served = statuses.iter().filter(|status| (200..300).contains(*status)).count();
    assert!(served >= 14, "{statuses:?}");
    let deleted = ask("DELETE", "", &[DELETE]).of(&server, "team-a.1", &limited);
    assert!((200..300).contains(&deleted.status), "{deleted:?}");
    assert_eq!(ask("GET", "/media", &[PLAY]).of(&server, HIDDEN, &everything).status, 200);
    assert_eq!(ask("GET", "/sidecars/notes.xml", &[PLAY]).of(&server, HIDDEN, &everything).body, b"<call/>\n");
}

#[test]
fn without_the_scope_every_method_answers_alike_of_what_is_there_hidden_and_not_there() {
    let system = system();
    let server = token_mode(&system);
    let before = state(&system);
    for ask in ASKS {
        let others: Vec<&str> = SCOPES.into_iter().filter(|scope| !ask.scopes.contains(scope)).collect();
        let lacking = token(&system, &others.join(","), &["--recordings", "team-a."]);
        let of = |id: &str| shown(&ask.of(&server, id, &lacking), id);
        let there = of("team-a.1");
        assert_eq!(there.0, 403, "{}", ask.what());
        for id in [HIDDEN, ABSENT, OWN_ABSENT] {
            assert_eq!(of(id), there, "{}: {id}", ask.what());
        }
    }
    assert!(state(&system) == before, "nothing came of it");
}

#[test]
fn a_link_says_of_no_other_recording_whether_it_is_there() {
    let system = system();
    let server = token_mode(&system);
    let url = system.json(&["link", "team-a.1"])["url"].as_str().expect("a URL").to_owned();
    let link = url.split_once('?').expect("a query").1;
    let before = state(&system);
    for ask in ASKS {
        let of = |id: &str| {
            let separator = if ask.tail.contains('?') { '&' } else { '?' };
            let path = format!("/recordings/{id}{}{separator}{link}", ask.tail);
            shown(&request(&server.address, ask.method, &path, ask.headers, ask.body), id)
        };
        let hidden = of(HIDDEN);
        assert!([401, 403].contains(&hidden.0), "{}: {hidden:?}", ask.what());
        assert_eq!(hidden, of(ABSENT), "{}", ask.what());
        // By a link to a recording nothing is changed of that one, either, and nothing minted.
        if !["GET", "HEAD"].contains(&ask.method) {
            assert!([401, 403].contains(&of("team-a.1").0), "{}", ask.what());
        }
    }
    assert!(state(&system) == before, "nothing came of it");
    assert_eq!(get(&server.address, &format!("/recordings/team-a.1/media?{link}"), &[]).status, 200);
}
