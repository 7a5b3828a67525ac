//! What can be repaired is, what cannot be is left, and the old file is always kept.

use std::fs;

use serde_json::json;

use super::{CHUNK_LEN, cut, execute, fault, kept, leave_unfinished, live_offset, named, offset, told, verify};
use crate::support::{System, flip, media, text};

#[test]
fn unfinished_recordings_become_complete_ones_and_their_files_are_kept() {
    let (system, bytes) = (System::with_key(), media(100_000));
    let server = system.serve();
    system.import("whole", &bytes);
    let mut played = Vec::new();
    for (id, signal) in [("broken-off", "TERM"), ("killed", "KILL")] {
        played.push((id, leave_unfinished(&system, id, &bytes, signal)));
    }
    // One whose last chunks are damaged as well: what comes before them stays.
    leave_unfinished(&system, "torn", &bytes, "TERM");
    let torn = named(&system, "torn.sealed.part").expect("it grew");
    flip(&torn, live_offset(5 * 4096 + 1));
    played.push(("torn", bytes[..5 * 4096].to_vec()));
    let before: Vec<_> = played
        .iter()
        .map(|(id, _)| fs::read(named(&system, &format!("{id}.sealed.part")).expect("it grew")).expect("read"))
        .collect();
    system.ok(&["keys", "generate"]);
    let newest = super::newest_key(&system);

    let (code, report) = verify(&system, &["--all"]);
    assert_eq!(code, Some(3));
    assert_eq!(told(&report["faults"]), ["torn corrupt-chunk 5-5"]);
    assert_eq!(told(&report["notes"]), ["broken-off unfinished", "killed unfinished", "torn unfinished"]);

    let (code, report) = verify(&system, &["--all", "--repair"]);
    assert_eq!((code, &report["faults"]), (Some(0), &json!([])));
    assert_eq!(told(&report["notes"]), ["- kept-evidence"; 3]);
    let repaired = report["repaired"].as_array().expect("repaired");
    assert_eq!(repaired.len(), 3, "{report}");
    for ((id, media), old) in played.iter().zip(&before) {
        let told = repaired.iter().find(|one| one["id"] == *id).expect("told");
        assert_eq!((&told["repair"], &told["media_len"]), (&"mended".into(), &media.len().into()), "{id}");
        let [evidence] = &kept(&system, id)[..] else { panic!("{id}: one file is kept") };
        assert_eq!(told["kept"], evidence.to_string());
        assert!(evidence.read() == *old, "{id}: not a byte of the old file is another one");
        assert_eq!(named(&system, &format!("{id}.sealed.part")), None);
        let shown = system.json(&["recordings", "show", id]);
        assert_eq!((&shown["state"], &shown["mended"]), (&"complete".into(), &true.into()), "{id}");
        assert_eq!((&shown["media_len"], &shown["fingerprint"]), (&media.len().into(), &newest.clone().into()), "{id}");
        assert!(system.run(&["cat", id]).stdout == *media, "{id}");
        let reply = server.get(&format!("/recordings/{id}/media"));
        assert!(reply.status == 200 && reply.body == *media && reply.header("etag").is_some(), "{id}: {reply:?}");
    }
    let (code, report) = verify(&system, &["--all", "--repair"]);
    assert_eq!((code, &report["repaired"], &report["faults"]), (Some(0), &json!([]), &json!([])), "a second time");
    assert_eq!(told(&report["notes"]), ["- kept-evidence"; 3], "what is kept is known as such");
    let rebuilt = system.json(&["recordings", "rebuild"]);
    assert_eq!((&rebuilt["already"], &rebuilt["faults"]), (&4.into(), &json!([])), "there, too");
    // And they are recordings like any other.
    for command in [&["rewrap", "--all"][..], &["reseal", "--all"]] {
        system.ok(command);
    }
    let (code, report) = verify(&system, &["--all"]);
    assert_eq!((code, &report["faults"]), (Some(0), &json!([])));
    assert_eq!(system.json(&["recordings", "show", "torn"])["mended"], true);
    let record = system.ok(&["audit", "show", "--json"]);
    assert_eq!(record.matches("recording.repair").count(), 3, "{record}");
}

#[test]
fn complete_recordings_that_are_damaged_are_mended_only_by_force() {
    let (system, bytes) = (System::with_key(), media(5 * CHUNK_LEN + 100));
    for id in ["middle", "end", "cut", "longer", "first"] {
        system.import(id, &bytes);
    }
    system.object("middle").flip(offset(3 * CHUNK_LEN));
    let last = system.object("end").size() - 1;
    system.object("end").flip(last);
    let whole = system.object("cut").size();
    system.object("cut").cut(whole - 2 * CHUNK_LEN);
    let longer = [system.object("longer").read(), vec![1; 40_000]].concat();
    system.object("longer").write(&longer);
    system.object("first").flip(offset(0));
    let ids = ["cut", "end", "first", "longer", "middle"];
    let before: Vec<_> = ids.iter().map(|id| system.object(id).read()).collect();

    let (code, report) = verify(&system, &["--all", "--repair"]);
    assert_eq!((code, &report["repaired"]), (Some(3), &json!([])));
    for (id, before) in ids.iter().zip(&before) {
        assert!(system.object(id).read() == *before, "{id}: without force it stays");
        fault(&report, id);
    }
    let output = system.run(&["verify", "--all", "--repair", "--force", "--json"]);
    let report = super::report(&output);
    assert_eq!(output.status.code(), Some(3), "of one there is nothing to be mended");
    assert_eq!(told(&report["faults"]), ["first corrupt-chunk 0-0"]);
    assert!(text(&output.stderr).contains("first was not repaired: not a chunk"), "{}", text(&output.stderr));
    assert!(system.object("first").read() == before[2]);
    for (id, chunks) in [("cut", 3), ("end", 5), ("middle", 3)] {
        assert!(system.run(&["cat", id]).stdout == bytes[..chunks * CHUNK_LEN], "{id}");
    }
    assert!(system.run(&["cat", "longer"]).stdout == bytes, "all of its media was there");
    for (id, before) in ids.iter().zip(&before).filter(|(id, _)| **id != "first") {
        let [evidence] = &kept(&system, id)[..] else { panic!("{id}: one file is kept") };
        assert!(evidence.read() == *before, "{id}");
        assert_eq!(system.json(&["recordings", "show", id])["mended"], true, "{id}");
    }
    // One that was mended and is damaged again is mended again, and what it was is kept as well.
    system.object("middle").flip(offset(CHUNK_LEN));
    let (code, report) = verify(&system, &["middle", "--repair", "--force"]);
    assert_eq!((code, &report["repaired"][0]["media_len"]), (Some(0), &CHUNK_LEN.into()), "{report}");
    assert!(system.run(&["cat", "middle"]).stdout == bytes[..CHUNK_LEN]);
    assert_eq!(kept(&system, "middle").len(), 2);
}

#[test]
fn rows_are_made_to_say_what_verified_files_say() {
    let (system, bytes) = (System::with_key(), media(50_000));
    for id in ["orphan", "bad-orphan", "wrong-size", "wrong-key", "unnoticed"] {
        system.import(id, &bytes);
    }
    let plain = system.file("plain", &bytes);
    system.ok(&["import", plain.to_str().expect("UTF-8"), "--exempt"]);
    let before = system.json(&["recordings", "list"]);
    let bad = system.object("bad-orphan");
    bad.flip(offset(20_000));
    execute(&system, "DELETE FROM recording WHERE id LIKE '%orphan'");
    execute(&system, "UPDATE recording SET media_len = 7 WHERE id IN ('wrong-size', 'plain')");
    system.ok(&["keys", "generate"]);
    let newest = super::newest_key(&system);
    execute(&system, &format!("UPDATE recording SET fingerprint = x'{newest}' WHERE id = 'wrong-key'"));
    // Its writer was killed between its last two steps.
    execute(&system, "UPDATE recording SET state = 1, media_len = 3 WHERE id = 'unnoticed'");

    let output = system.run(&["verify", "--all", "--repair", "--json"]);
    let report = super::report(&output);
    assert_eq!((output.status.code(), told(&report["faults"])), (Some(3), vec!["bad-orphan orphan".to_owned()]));
    assert!(text(&output.stderr).contains("bad-orphan was not repaired"), "{}", text(&output.stderr));
    let mut repaired: Vec<_> = report["repaired"].as_array().expect("repaired").iter().collect();
    repaired.sort_by_key(|one| one["id"].as_str());
    let repaired: Vec<_> = repaired
        .iter()
        .map(|one| format!("{} {}", one["id"].as_str().expect("an ID"), one["repair"].as_str().expect("what")))
        .collect();
    assert_eq!(
        repaired,
        ["orphan catalogued", "plain corrected", "unnoticed corrected", "wrong-key corrected", "wrong-size corrected"]
    );
    let after = system.json(&["recordings", "list"]);
    for id in ["orphan", "wrong-size", "wrong-key", "unnoticed", "plain"] {
        let find =
            |list: &serde_json::Value| list.as_array().expect("rows").iter().find(|row| row["id"] == id).cloned();
        assert_eq!(find(&after), find(&before), "{id}");
        assert!(system.run(&["cat", id]).stdout == bytes, "{id}");
    }
    let (_, report) = verify(&system, &["--all"]);
    assert_eq!(told(&report["faults"]), ["bad-orphan orphan"]);
}

#[test]
fn what_nothing_can_be_made_of_is_told_and_left() {
    let (system, bytes) = (System::with_key(), media(50_000));
    for id in ["keyless", "cut-head", "gone", "swapped"] {
        system.import(id, &bytes);
    }
    let old_key = system.json(&["recordings", "show", "keyless"])["fingerprint"].as_str().expect("text").to_owned();
    system.ok(&["keys", "generate"]);
    system.ok(&["rewrap", "cut-head", "gone", "swapped"]);
    leave_unfinished(&system, "unfinished", &bytes, "TERM");
    cut(&named(&system, "unfinished.sealed.part").expect("it grew"), 400);
    system.object("swapped").write(&system.object("gone").read());
    system.object("gone").remove();
    system.object("cut-head").cut(300);
    execute(&system, &format!("DELETE FROM database_key WHERE fingerprint = x'{old_key}'"));
    let content = || {
        let mut files = system.objects();
        files.sort();
        files.into_iter().map(|file| (file.read(), file)).collect::<Vec<_>>()
    };
    let before = content();
    let (code, report) = verify(&system, &["--all", "--repair", "--force"]);
    assert_eq!((code, &report["repaired"]), (Some(3), &json!([])));
    let expected =
        ["cut-head truncated", "gone media-missing", "keyless key-missing", "swapped other-id", "unfinished truncated"];
    assert_eq!(told(&report["faults"]), expected);
    assert!(content() == before, "nothing was touched");
}

#[test]
fn without_encryption_nothing_is_repaired() {
    let (system, bytes) = (System::with_key(), media(50_000));
    leave_unfinished(&system, "unfinished", &bytes, "TERM");
    system.ok(&["encryption", "disable"]);
    let error = system.fails(1, &["verify", "--all", "--repair"]);
    assert!(error.contains("encryption is not active") && error.contains("encryption enable"), "{error}");
    assert!(verify(&system, &["--all"]).1["notes"][0]["kind"] == "unfinished", "it can still be verified");
    system.ok(&["encryption", "enable"]);
    let key = system.json(&["keys", "list"])[0]["fingerprint"].as_str().expect("text").to_owned();
    system.ok(&["keys", "deactivate", "--force", &key]);
    let error = system.fails(1, &["verify", "--all", "--repair"]);
    assert!(error.contains("no database key is active"), "{error}");
    assert!(kept(&system, "unfinished").is_empty());
}

/// What a rewrap or reseal left that was killed is brought to its end, and nothing of it is a fault meanwhile.
#[test]
fn what_a_killed_command_left_half_done_is_finished() {
    let (system, bytes) = (System::with_key(), media(100_000));
    system.import("call", &bytes);
    let (stored, shown) = (system.object("call"), system.json(&["recordings", "show", "call"]));
    let old = stored.read();
    system.ok(&["reseal", "call"]);
    let (new, key) = (stored.read(), shown["fingerprint"].as_str().expect("sealed").to_owned());
    let seal_of = |system: &System| {
        let server = system.serve();
        server.get("/recordings/call/media").header("etag").expect("sealed").trim_matches('"').to_owned()
    };
    let new_seal = seal_of(&system);
    stored.write(&old);
    execute(&system, "UPDATE recording SET seal_id = zeroblob(16)");
    let (_, report) = verify(&system, &["call"]);
    let detail = fault(&report, "call")["detail"].as_str().expect("text").to_owned();
    let old_seal = detail.split(' ').find(|word| word.trim_end_matches(',').len() == 32).expect("it says which");
    let old_seal = old_seal.trim_end_matches(',');
    stored.with_end("", ".next").write(&new);
    execute(
        &system,
        &format!(
            "UPDATE recording SET seal_id = x'{old_seal}', replacement_seal_id = x'{new_seal}', replacement_fingerprint = x'{key}'"
        ),
    );
    let (code, report) = verify(&system, &["--all"]);
    assert_eq!((code, told(&report["notes"])), (Some(0), vec!["call pending-replacement".to_owned()]), "{report}");
    let (code, report) = verify(&system, &["--all", "--repair"]);
    assert_eq!((code, &report["repaired"][0]["repair"]), (Some(0), &"settled".into()), "{report}");
    assert_eq!(seal_of(&system), new_seal);
    assert!(system.run(&["cat", "call"]).stdout == bytes);
    let (code, report) = verify(&system, &["--all", "--repair"]);
    assert_eq!((code, &report["notes"], &report["repaired"]), (Some(0), &json!([]), &json!([])));
}

/// A rewrap was killed while it wrote the header: the whole of it is in the row.
#[test]
fn a_header_that_is_half_written_is_no_fault_and_is_finished() {
    let (system, bytes) = (System::with_key(), media(50_000));
    system.import("call", &bytes);
    let stored = system.object("call");
    let old = stored.read();
    system.ok(&["keys", "generate"]);
    system.ok(&["rewrap", "call"]);
    let new = stored.read();
    let [old_key, new_key] = [&old, &new].map(|file| hex::encode(&file[32..64]));
    for cut in [0, 40, 70, 490, 512] {
        stored.write(&[&new[..cut], &old[cut..512], &new[512..]].concat());
        let header = hex::encode(&new[..512]);
        let row = format!(
            "fingerprint = x'{old_key}', replacement_fingerprint = x'{new_key}', replacement_header = x'{header}'"
        );
        assert_eq!(execute(&system, &format!("UPDATE recording SET {row}")), 1);
        let (code, report) = verify(&system, &["--all"]);
        assert_eq!(
            (code, told(&report["notes"])),
            (Some(0), vec!["call pending-replacement".to_owned()]),
            "{cut}: {report}"
        );
        let (code, report) = verify(&system, &["call", "--repair"]);
        assert_eq!((code, &report["repaired"][0]["repair"]), (Some(0), &"settled".into()), "{cut}: {report}");
        assert!(stored.read() == new, "{cut}: it is finished");
        assert_eq!(verify(&system, &["call"]).1["notes"], json!([]), "{cut}");
    }
    // Without it in the row it is what it looks like.
    stored.write(&[&new[..70], &old[70..512], &new[512..]].concat());
    assert_eq!(told(&verify(&system, &["call", "--repair"]).1["faults"]), ["call corrupt-header"]);
}
