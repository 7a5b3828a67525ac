//! Each fault, made on a real store, and the report of it.

use std::fs;

use serde_json::json;

use super::{CHUNK_LEN, execute, fault, file_len, leave_unfinished, offset, told, verify, verify_with};
use crate::support::{System, media, sample, text};

#[test]
fn each_fault_is_named_once_and_nothing_else_is() {
    let (system, bytes) = (System::with_key(), media(5 * CHUNK_LEN + 100));
    for id in ["keyless", "deactivated"] {
        system.import(id, &bytes);
    }
    let old_key = fingerprint(&system, "keyless");
    system.ok(&["keys", "generate"]);
    system.ok(&["rewrap", "deactivated"]);
    let middle_key = fingerprint(&system, "deactivated");
    system.ok(&["keys", "generate"]);
    for id in [
        "good",
        "better",
        "gone",
        "flipped",
        "stretch",
        "last",
        "head",
        "swapped",
        "cut",
        "cut-head",
        "longer",
        "older",
        "in-plain",
        "wrong-size",
        "wrong-key",
        "version",
        "orphan",
        "two",
        "other-kind",
        "left",
        "folder",
    ] {
        system.import(id, &bytes);
    }
    for id in ["plain", "plain-flipped", "plain-cut", "plain-size", "plain-forbidden"] {
        let file = system.file(id, &bytes);
        system.ok(&["import", file.to_str().expect("UTF-8"), "--exempt"]);
    }
    leave_unfinished(&system, "unfinished", &bytes, "TERM");

    let place = |id: &str| system.object(id);
    let two = place("two");
    two.with_end("", ".part").write(&two.read());
    place("other-kind").with_end(".sealed", ".plain").write(&bytes);
    place("left").with_end("", ".next").write(b"half");
    place("gone").remove();
    let folder = system.stored("folder");
    fs::remove_file(&folder).and_then(|()| fs::create_dir(&folder)).expect("what cannot be read as a file");
    for chunk in [2, 4] {
        place("flipped").flip(offset(chunk * CHUNK_LEN + 17));
    }
    for chunk in [1, 2] {
        place("stretch").flip(offset(chunk * CHUNK_LEN));
    }
    let end = place("last").size() - 1;
    place("last").flip(end);
    place("head").flip(200);
    place("swapped").write(&place("good").read());
    let whole = place("cut").size();
    place("cut").cut(whole - 20_000);
    place("cut-head").cut(300);
    let mut longer = place("longer").read();
    longer.extend([7; 33]);
    place("longer").write(&longer);
    let old = place("older").read();
    system.ok(&["reseal", "older"]);
    place("older").write(&old);
    place("in-plain").write(&bytes);
    execute(&system, "UPDATE recording SET media_len = 7 WHERE id IN ('wrong-size', 'plain-size')");
    execute(&system, &format!("UPDATE recording SET fingerprint = x'{middle_key}' WHERE id = 'wrong-key'"));
    let mut version = place("version").read();
    version[8] = 2;
    place("version").write(&version);
    let orphan = place("orphan");
    execute(&system, "DELETE FROM recording WHERE id = 'orphan'");
    place("plain-flipped").flip(70);
    place("plain-cut").cut(50);
    execute(&system, "UPDATE recording SET exempt = 0 WHERE id = 'plain-forbidden'");
    let stranger = system.data_dir().join("media/notes.txt");
    fs::write(&stranger, "x").expect("written");
    system.ok(&["keys", "deactivate", "--force", &middle_key]);
    execute(&system, &format!("DELETE FROM database_key WHERE fingerprint = x'{old_key}'"));

    let forbid = [("SEALTAPE_ENCRYPTION__ALLOW_PLAIN", "false")];
    let (code, report) = verify_with(&system, &["--all"], &forbid);
    assert_eq!(code, Some(3));
    let expected = [
        "- stranger",
        "cut truncated",
        "cut-head truncated",
        "flipped corrupt-chunk 2-2",
        "flipped corrupt-chunk 4-4",
        "folder unreadable",
        "gone media-missing",
        "head corrupt-header",
        "in-plain not-sealed",
        "keyless key-missing",
        "last corrupt-chunk 5-5",
        "longer overlong",
        "older other-sealing",
        "orphan orphan",
        "other-kind other-kind",
        "plain-cut truncated",
        "plain-flipped digest-mismatch",
        "plain-forbidden plain-not-allowed",
        "plain-size wrong-size",
        "stretch corrupt-chunk 1-2",
        "swapped other-id",
        "two two-files",
        "version unsupported-format",
        "wrong-key wrong-key",
        "wrong-size wrong-size",
    ];
    assert_eq!(told(&report["faults"]), expected);
    assert_eq!(told(&report["notes"]), ["deactivated key-deactivated", "left left-over", "unfinished unfinished"]);
    assert_eq!(
        (&report["recordings"], &report["plain"], &report["plain_not_exempt"]),
        (&28.into(), &5.into(), &1.into())
    );
    assert_eq!(report["by_kind"]["corrupt-chunk"], 4);

    assert_eq!(fault(&report, "orphan")["location"], orphan.to_string());
    let flipped = fault(&report, "flipped");
    assert_eq!(
        (&flipped["offset"], &flipped["last_offset"], &flipped["t"]),
        (&(2 * CHUNK_LEN).into(), &(3 * CHUNK_LEN - 1).into(), &serde_json::Value::Null),
        "data files have no times"
    );
    let cut_off = fault(&report, "cut");
    assert_eq!((&cut_off["chunk"], &cut_off["last_offset"]), (&3.into(), &(5 * CHUNK_LEN + 99).into()), "{cut_off}");
    let both = fault(&report, "two")["locations"].clone();
    assert_eq!(both, json!([two.to_string(), two.with_end("", ".part").to_string()]));

    // The same for people; without the setting, plain recordings are as they should be.
    let output = system.run(&["verify", "--all"]);
    let said = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(3), ""));
    for line in expected.iter().filter(|line| !line.starts_with('-') && !line.starts_with("plain-forbidden")) {
        let words: Vec<&str> = line.split(' ').collect();
        let is_told =
            |said: &str| said.starts_with(&format!("{}: ", words[0])) && said.contains(&format!("({})", words[1]));
        assert!(said.lines().any(is_told), "{line}: {said}");
    }
    let last = 3 * CHUNK_LEN - 1;
    let damage =
        format!("flipped: chunk 2 does not verify: bytes {}-{last} of its media (corrupt-chunk)", 2 * CHUNK_LEN);
    assert!(said.contains(&damage), "{said}");
    assert!(said.contains("notes.txt: it is no file") && said.contains("note: unfinished: "), "{said}");
    assert!(said.contains("28 recording(s), 5 of them in plain (1 not exempt)"), "{said}");
    assert!(!said.contains("plain-not-allowed") && said.contains("  media-missing (1): restore"), "{said}");
}

#[test]
fn only_what_was_named_is_verified() {
    let (system, bytes) = (System::with_key(), media(50_000));
    for id in ["good", "bad"] {
        system.import(id, &bytes);
    }
    system.object("bad").flip(offset(20_000));
    let (code, report) = verify(&system, &["good"]);
    assert_eq!((code, &report["recordings"], &report["bytes"]), (Some(0), &1.into(), &50_000.into()));
    assert_eq!(report["faults"], json!([]));
    let (code, report) = verify(&system, &["bad", "nobody", "bad"]);
    assert_eq!(
        (code, told(&report["faults"])),
        (Some(3), vec!["bad corrupt-chunk 1-1".into(), "nobody recording-not-found".into()])
    );
    for usage in [&["verify"][..], &["verify", "--all", "good"], &["verify", "good", "--force"], &["verify", "a b"]] {
        assert_eq!(system.run(usage).status.code(), Some(2), "{usage:?}");
    }
    // It reads media, and so it is on record.
    let shown = system.ok(&["audit", "show", "--json"]);
    assert!(
        shown.contains("recordings.verify") && shown.contains("\"faulty\"") && shown.contains("\"sound\""),
        "{shown}"
    );
    // What cannot be done is told as such, and not as a fault of each recording.
    fs::rename(system.data_dir().join("media"), system.path("away")).expect("moved");
    fs::write(system.data_dir().join("media"), "not a folder").expect("written");
    assert!(system.fails(1, &["verify", "--all"]).contains("media"));
}

#[test]
fn hundreds_without_a_fault_are_sound() {
    let system = System::with_key();
    let files: Vec<_> =
        (0..400).map(|n| system.file(&format!("call-{n}.dat"), &media(n * 97 + 1).split_off(n % 97))).collect();
    let mut arguments = vec!["import".to_owned()];
    arguments.extend(files.iter().map(|file| file.to_str().expect("UTF-8").to_owned()));
    assert!(system.command(&arguments).output().expect("runs").status.success());
    let bytes: u64 = files.iter().map(|file| file_len(file)).sum();
    let (code, report) = verify(&system, &["--all"]);
    assert_eq!((code, &report["faults"], &report["notes"]), (Some(0), &json!([]), &json!([])));
    assert_eq!((&report["recordings"], &report["sealed"], &report["bytes"]), (&400.into(), &400.into(), &bytes.into()));
    let output = system.run(&["verify", "--all"]);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    assert!(text(&output.stdout).starts_with("400 recording(s), ") && text(&output.stdout).contains("0 fault(s)"));
}

/// Whatever bit it is, and wherever: in a header, in a tag, in a chunk.
#[test]
fn any_single_flipped_bit_is_found() {
    let (system, rounds) = (System::with_key(), 300);
    let files: Vec<_> = (0..rounds).map(|n| system.file(&format!("call-{n}.dat"), &media(n * 131 + 1))).collect();
    let mut arguments = vec!["import".to_owned()];
    arguments.extend(files.iter().map(|file| file.to_str().expect("UTF-8").to_owned()));
    assert!(system.command(&arguments).output().expect("runs").status.success());
    let mut random = 0x5EA1_0011_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    for file in system.objects().into_iter().filter(|file| file.ends_with(".sealed")) {
        let mut bytes = file.read();
        // As often in the header as behind it.
        let at = if next(2) == 0 { next(512) } else { next(bytes.len()) };
        bytes[at] ^= 1 << next(8);
        file.write(&bytes);
    }
    let (code, report) = verify(&system, &["--all"]);
    assert_eq!((code, &report["faulty"], &report["recordings"]), (Some(3), &rounds.into(), &rounds.into()));
    let mut ids: Vec<_> =
        report["faults"].as_array().expect("faults").iter().map(|fault| fault["id"].as_str().expect("an ID")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), rounds, "each of them");
}

#[test]
fn it_is_told_when_damage_plays_where_the_container_says_how_long_it_is() {
    let system = System::with_key();
    let wav = sample("call-billing-wav-pcm.wav");
    system.ok(&["import", wav.to_str().expect("UTF-8"), "--id", "call"]);
    let len = file_len(&wav) as usize;
    let header = fs::read(&wav).expect("read");
    let bytes_per_second = f64::from(header[28..32].iter().rev().fold(0, |rate, byte| rate << 8 | u32::from(*byte)));
    let (chunk, last) = (len / CHUNK_LEN / 2, len / CHUNK_LEN);
    for chunk in [chunk, last] {
        system.object("call").flip(offset(chunk * CHUNK_LEN));
    }
    let (code, report) = verify(&system, &["call"]);
    assert_eq!((code, report["faults"].as_array().map(Vec::len)), (Some(3), Some(2)));
    let fault = &report["faults"][0];
    let expected = (chunk * CHUNK_LEN) as f64 / bytes_per_second;
    let (t, t_end) = (fault["t"].as_f64().expect("a time"), fault["t_end"].as_f64().expect("a time"));
    assert!((t - expected).abs() < 0.1 && t_end > t && fault["t_is"] == "proportional", "{fault}: {expected}");
    assert!(
        report["faults"][1]["t"].as_f64().is_some_and(|last| last > t_end),
        "also where its end is damaged: {report}"
    );
    let said = text(&system.run(&["verify", "call"]).stdout);
    assert!(said.contains(", about 0:"), "{said}");
}

#[test]
fn a_bar_on_a_terminal_and_nothing_in_a_pipe() {
    let system = System::with_key();
    system.import("call", &media(8 << 20));
    let shown = crate::support::at_terminal(&system.command(&["verify", "--all"]), &[]);
    assert!(shown.code == 0 && shown.text.contains("/s") && shown.text.contains("0 fault(s)"), "{shown:?}");
}

fn fingerprint(system: &System, id: &str) -> String {
    system.json(&["recordings", "show", id])["fingerprint"].as_str().expect("sealed").to_owned()
}
