//! What a player gets: the right bytes, whole or in part, and headers that say what they are.

use crate::support::{System, get, media, request};

const LEN: usize = 700_001;

#[test]
fn any_range_equals_the_slice_of_the_plaintext() {
    let (system, media) = (System::with_key(), media(LEN));
    system.import("call", &media);
    let server = system.serve();
    let whole = server.get("/recordings/call/media");
    assert_eq!((whole.status, whole.is_cut), (200, false));
    assert!(whole.body == media);

    let edges = [0, 1, 15, 16, 17, 16_383, 16_384, 16_385, 262_143, 262_144, 262_145, 524_288, LEN - 1];
    let mut checked = 0;
    for first in edges {
        for last in edges.into_iter().filter(|last| *last >= first) {
            let reply = server.get_range("/recordings/call/media", &format!("bytes={first}-{last}"));
            assert_eq!(reply.status, 206, "{first}-{last}");
            assert_eq!(reply.header("content-range"), Some(format!("bytes {first}-{last}/{LEN}").as_str()));
            assert!(reply.body == media[first..=last], "{first}-{last}");
            checked += 1;
        }
        let open = server.get_range("/recordings/call/media", &format!("bytes={first}-"));
        assert!(open.status == 206 && open.body == media[first..], "{first}-");
        let suffix = server.get_range("/recordings/call/media", &format!("bytes=-{}", first + 1));
        assert!(suffix.status == 206 && suffix.body == media[LEN - first - 1..], "-{}", first + 1);
    }
    assert_eq!(checked, edges.len() * (edges.len() + 1) / 2);
}

#[test]
fn a_range_that_cannot_be_is_416_and_one_that_makes_no_sense_is_ignored() {
    let (system, media) = (System::with_key(), media(1000));
    system.import("call", &media);
    let server = system.serve();
    for range in ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=99999999999999999999-"] {
        let reply = server.get_range("/recordings/call/media", range);
        assert_eq!((reply.status, reply.problem().as_str()), (416, "range-not-satisfiable"), "{range}");
        assert_eq!(reply.header("content-range"), Some("bytes */1000"));
        assert_eq!(reply.header("playback-error"), Some("range-not-satisfiable"));
    }
    for range in ["seconds=1-2", "bytes=5-1", "bytes=x", "bytes"] {
        let reply = server.get_range("/recordings/call/media", range);
        assert!(reply.status == 200 && reply.body == media, "{range}");
        assert_eq!(reply.header("content-range"), None);
    }
}

#[test]
fn damage_in_a_later_part_cuts_and_in_the_first_is_said() {
    let (system, media) = (System::with_key(), media(LEN));
    system.import("call", &media);
    system.object("call").flip(600_000);
    let server = system.serve();
    let cut = server.get_range("/recordings/call/media", "bytes=7-9,300000-300009,590000-610000");
    assert_eq!((cut.status, cut.is_cut), (206, true));
    let has = |bytes: &[u8]| cut.body.windows(bytes.len()).any(|window| window == bytes);
    assert!(has(&media[300_000..300_010]), "what came before the damage is sent");
    assert!(!has(&media[600_000..600_010]), "and nothing of it");
    assert!(!has(b"--\r\n"), "it does not end in order");
    let said = server.get_range("/recordings/call/media", "bytes=590000-610000,7-9");
    assert_eq!((said.status, said.problem().as_str()), (500, "recording-corrupt"));
}

#[test]
fn an_answer_says_what_it_is() {
    let (system, media) = (System::with_key(), media(5000));
    system.import("call", &media);
    let shown = system.json(&["recordings", "show", "call"]);
    let server = system.serve();
    for reply in
        [server.get("/recordings/call/media"), request(&server.address, "HEAD", "/recordings/call/media", &[], b"")]
    {
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("accept-ranges"), Some("bytes"));
        assert_eq!(reply.header("content-length"), Some("5000"));
        assert_eq!(reply.header("content-type"), shown["media_type"].as_str());
        assert_eq!(reply.header("recording-state"), Some("complete"));
        assert_eq!(reply.header("cache-control"), Some("private, no-store"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("x-accel-buffering"), Some("no"));
        let etag = reply.header("etag").expect("an entity tag");
        assert_eq!(etag.len(), 34);
        assert!(etag.trim_matches('"').bytes().all(|byte| byte.is_ascii_hexdigit()), "{etag}");
        assert!(reply.header("last-modified").is_some_and(|date| date.ends_with("GMT")));
    }
    // HEAD is GET without a range and without a body.
    let head = request(&server.address, "HEAD", "/recordings/call/media", &[("Range", "bytes=0-9")], b"");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("5000"), 0));
}

#[test]
fn a_resumed_download_is_never_pieced_together_from_two_recordings() {
    let (system, media) = (System::with_key(), media(5000));
    system.import("call", &media);
    let server = system.serve();
    let path = "/recordings/call/media";
    let first = server.get(path);
    let etag = first.header("etag").expect("an entity tag").to_owned();
    let resume = |if_range: &str| get(&server.address, path, &[("Range", "bytes=4000-"), ("If-Range", if_range)]);
    let resumed = resume(&etag);
    assert!(resumed.status == 206 && resumed.body == media[4000..]);
    for other in ["\"00000000000000000000000000000000\"", &format!("W/{etag}"), "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let whole = resume(other);
        assert!(whole.status == 200 && whole.body == media, "{other}");
    }
}

#[test]
fn an_empty_range_of_lengths_at_chunk_edges_plays_whole() {
    let system = System::with_key();
    for len in [1, 16_383, 16_384, 16_385, 32_768] {
        let media = media(len);
        system.import(&format!("call-{len}"), &media);
    }
    let server = system.serve();
    for len in [1, 16_383, 16_384, 16_385, 32_768] {
        let reply = server.get(&format!("/recordings/call-{len}/media"));
        assert!(reply.status == 200 && reply.body == media(len), "{len}");
        let last = server.get_range(&format!("/recordings/call-{len}/media"), "bytes=-1");
        assert!(last.status == 206 && last.body == media(len)[len - 1..], "{len}");
    }
}

#[test]
fn downloads_are_named_and_pages_never_run() {
    let system = System::with_key();
    system.import("page", b"<!DOCTYPE html><html><script>alert(1)</script></html>");
    system.import("drawing", b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"></svg>");
    system.import("call", b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00");
    let server = system.serve();
    for id in ["page", "drawing"] {
        let reply = server.get(&format!("/recordings/{id}/media"));
        let expected = format!("attachment; filename=\"{id}\"; filename*=UTF-8''{id}");
        assert_eq!(reply.header("content-disposition"), Some(expected.as_str()));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert!(reply.header("content-security-policy").is_some_and(|policy| policy.contains("sandbox")));
    }
    assert_eq!(server.get("/recordings/call/media").header("content-disposition"), None);
    let named = server.get("/recordings/call/media?download=Gespr%C3%A4ch%201.wav");
    assert_eq!(
        named.header("content-disposition"),
        Some("attachment; filename=\"Gespr_ch 1.wav\"; filename*=UTF-8''Gespr%C3%A4ch%201.wav")
    );
    for bad in ["", "a%2Fb", "a%0d%0aSet-Cookie:x", "%FF", "..%5Cx"] {
        let reply = server.get(&format!("/recordings/call/media?download={bad}"));
        assert_eq!((reply.status, reply.problem().as_str()), (400, "bad-request"), "{bad}");
    }
}

#[test]
fn the_listing_has_pages_newest_first() {
    let system = System::with_key();
    for i in 0..7 {
        system.import(&format!("call-{i}"), &media(10 + i));
    }
    let server = system.serve();
    let (mut ids, mut next) = (Vec::new(), Some(String::new()));
    while let Some(after) = next {
        let page = server.get(&format!("/recordings?limit=3{after}")).json();
        let recordings = page["recordings"].as_array().expect("recordings").clone();
        assert!(recordings.len() <= 3);
        for recording in &recordings {
            ids.push(recording["id"].as_str().expect("id").to_owned());
            assert_eq!(recording["playable"], true);
            assert_eq!(recording["problem"], serde_json::Value::Null);
            assert_eq!(recording["sealed"], true);
        }
        next = page["next"].as_str().map(|next| format!("&after={next}"));
    }
    assert_eq!(ids, (0..7).rev().map(|i| format!("call-{i}")).collect::<Vec<_>>());
    for bad in ["limit=0", "limit=1001", "limit=x", "after=x", "state=done"] {
        assert_eq!(server.get(&format!("/recordings?{bad}")).problem(), "bad-request", "{bad}");
    }
}

#[test]
fn a_recording_is_described_with_every_field() {
    let (system, media) = (System::with_key(), media(5000));
    system.import("call", &media);
    let server = system.serve();
    let document = server.get("/recordings/call").json();
    let mut names: Vec<&str> = document.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "created_at",
            "fingerprint",
            "id",
            "media_len",
            "media_type",
            "mended",
            "metadata",
            "playable",
            "problem",
            "sealed",
            "sidecars",
            "state"
        ]
    );
    assert_eq!(document["media_len"], 5000);
    let keys = system.json(&["keys", "list"]);
    assert_eq!(document["fingerprint"], keys[0]["fingerprint"]);
    assert_eq!(keys[0]["recordings"], 1);
}

#[test]
fn what_is_not_there_or_not_done_this_way_is_said() {
    let system = System::with_key();
    system.import("call", &media(10));
    let server = system.serve();
    for path in ["/recordings/none", "/recordings/none/media", "/recordings/a%2Fb/media", "/recordings/..%2f..%2fx"] {
        let reply = server.get(path);
        assert_eq!((reply.status, reply.problem().as_str()), (404, "recording-not-found"), "{path}");
        assert_eq!(reply.header("playback-error"), Some("recording-not-found"));
    }
    for path in ["/nothing", "/recordings/call/other", "/player/none.js", "/problems/none", "/demo/encryption"] {
        assert_eq!(server.get(path).problem(), "not-found", "{path}");
    }
    for (method, path, allow) in [
        ("DELETE", "/recordings", "GET, HEAD"),
        ("POST", "/recordings/call/media", "GET, HEAD, PUT"),
        ("PATCH", "/livez", "GET, HEAD"),
    ] {
        let reply = request(&server.address, method, path, &[], b"");
        assert_eq!((reply.status, reply.problem().as_str()), (405, "method-not-allowed"), "{method} {path}");
        assert_eq!(reply.header("allow"), Some(allow));
        assert_eq!(reply.header("playback-error"), None, "for GET and HEAD only");
    }
    assert_eq!(request(&server.address, "POST", "/demo/encryption", &[], b"{}").status, 404);
}

#[test]
fn pages_carry_a_strict_policy_and_every_problem_has_one() {
    let server = System::with_key().serve();
    for path in ["/", "/player/app.js", "/player/style.css", "/problems/key-missing"] {
        let reply = server.get(path);
        assert_eq!(reply.status, 200, "{path}");
        let policy = reply.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{path}: {policy}");
    }
    for code in sealtape::base::ErrorCode::ALL {
        let page = server.get(&format!("/problems/{code}"));
        assert_eq!(page.status, 200, "{code}");
        assert!(crate::support::text(&page.body).contains(code.as_str()));
    }
}

#[test]
fn only_this_machine_is_answered() {
    let server = System::with_key().serve();
    let port = server.address.rsplit(':').next().expect("a port");
    for host in ["localhost", &format!("localhost:{port}"), "127.0.0.1", "[::1]:80"] {
        assert_eq!(get(&server.address, "/livez", &[("Host", host)]).status, 200, "{host}");
    }
    for host in ["recordings.example", "localhost.example", "10.0.0.1", "169.254.169.254"] {
        let reply = get(&server.address, "/recordings", &[("Host", host)]);
        assert_eq!((reply.status, reply.problem().as_str()), (403, "forbidden"), "{host}");
    }
}

#[test]
fn it_says_that_it_lives_and_is_ready_and_stops_in_order() {
    let system = System::with_key();
    let server = system.serve();
    assert_eq!(server.get("/livez").status, 200);
    let ready = server.get("/readyz");
    assert_eq!((ready.status, &ready.json()["degraded"]), (200, &serde_json::json!([])));
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(!system.data_dir().join("sealtape.db-wal").exists(), "the database file is whole");
}

#[test]
fn request_heads_of_sixteen_kibibytes_are_read() {
    let system = System::with_key();
    system.import("call", &media(10));
    let server = system.serve();
    let names: Vec<String> = (0..1500).map(|i| format!("x{i}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(get(&server.address, "/recordings/call/media", &many).status, 200);
    let long = "y".repeat(15_000);
    assert_eq!(get(&server.address, "/recordings/call/media", &[("x", &long)]).status, 200);
}
