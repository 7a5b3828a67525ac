//! Events go in and stay; what a killed writer left is cut off, and what was changed is not built upon.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::audit::Error;

#[tokio::test]
async fn events_of_many_callers_are_one_chain() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("deep/audit");
    let (one, other) = (Arc::new(AuditLog::new(&path, clock())), Arc::new(AuditLog::new(&path, clock())));
    let mut callers = Vec::new();
    for i in 0..200 {
        let log = Arc::clone(if i % 3 == 0 { &other } else { &one });
        callers.push(tokio::spawn(async move { log.record(event(&format!("r{i}"))).await }));
    }
    for caller in callers {
        caller.await.expect("ran").expect("recorded");
    }
    let found = verify_folder(&path);
    assert!(found.is_sound(), "{:?}", found.faults);
    assert_eq!((found.chains.len(), found.chains[0].lines, found.chains[0].head.seq), (1, 201, 201));
    let text = fs::read_to_string(only_file(&path)).expect("read");
    for i in 0..200 {
        assert!(text.contains(&format!("\"recording\":\"r{i}\"")), "r{i}");
    }
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&only_file(&path))), (0o700, 0o600));
}

#[tokio::test]
async fn a_torn_end_is_cut_off_at_every_byte_and_the_chain_says_so() {
    let folder = tempfile::tempdir().expect("folder");
    let log = AuditLog::new(folder.path(), clock());
    write(&log, 2).await;
    drop(log);
    let path = only_file(folder.path());
    let whole = lines(&path);
    let last = whole.last().expect("lines").clone();
    for len in 1..last.len() {
        let torn = format!("{}{}", whole[..2].concat(), &last[..len]);
        fs::write(&path, &torn).expect("written");
        assert!(!verify_folder(folder.path()).is_sound(), "{len}");
        let log = AuditLog::new(folder.path(), clock());
        log.check().await.expect("repaired");
        let now = lines(&path);
        assert_eq!((now.len(), now[..2].concat()), (3, whole[..2].concat()), "{len}");
        assert!(now[2].contains(&format!("\"event\":\"repaired\",\"bytes\":{len},")), "{}", now[2]);
        let found = verify_folder(folder.path());
        assert!(found.is_sound(), "{len}: {:?}", found.faults);
    }
}

#[tokio::test]
async fn a_whole_line_that_was_changed_is_not_built_upon() {
    let folder = tempfile::tempdir().expect("folder");
    write(&AuditLog::new(folder.path(), clock()), 3).await;
    let path = only_file(folder.path());
    let whole = lines(&path);
    let (changed, moved) = (whole.concat().replace("r2", "r9"), [&*whole[0], &whole[1], &whole[3]].concat());
    for (text, line) in [(changed, 4), (moved, 3), (format!("{}\n", whole.concat()), 5)] {
        fs::write(&path, &text).expect("written");
        let error = AuditLog::new(folder.path(), clock()).record(event("x")).await.expect_err("refused");
        assert!(
            matches!(&error, Error::Broken { line: at, path: of, .. } if *at == line && *of == path.display().to_string()),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).expect("read"), text, "nothing was touched");
    }
}

#[tokio::test]
async fn files_change_by_size_and_carry_the_chain_on() {
    let folder = tempfile::tempdir().expect("folder");
    let log = AuditLog::with_file_len_max(folder.path(), clock(), 1000);
    write(&log, 12).await;
    drop(log);
    let log = AuditLog::with_file_len_max(folder.path(), clock(), 1000);
    write(&log, 3).await;
    let written = files(folder.path()).expect("listed");
    assert!(written.len() > 4, "{written:?}");
    assert!(written.iter().all(|path| fs::metadata(path).expect("there").len() <= 1000));
    let found = verify_folder(folder.path());
    assert!(found.is_sound(), "{:?}", found.faults);
    assert_eq!((found.chains[0].lines, found.chains[0].files), (16, written.len() as u64));

    // A process was killed between making a file and writing to it.
    fs::write(folder.path().join(format!("playback-{:06}.jsonl", written.len() + 1)), "").expect("made");
    let log = AuditLog::with_file_len_max(folder.path(), clock(), 1000);
    write(&log, 1).await;
    let found = verify_folder(folder.path());
    assert!(found.is_sound() && found.chains[0].head.seq == 17, "{found:?}");

    // Without one in the middle there is a gap, and it is named.
    fs::remove_file(&written[2]).expect("removed");
    let found = verify_folder(folder.path());
    assert_eq!(found.faults.len(), 1, "{:?}", found.faults);
    assert!(found.faults[0].file == written[3] && found.faults[0].line == 1, "{:?}", found.faults);
    assert!(found.faults[0].what.contains("are missing before it"), "{:?}", found.faults);
    // Nor at the front.
    fs::remove_file(&written[0]).expect("removed");
    let found = verify_folder(folder.path());
    assert!(found.faults[0].file == written[1] && found.faults[0].what.contains("the chain begins with line"));
}

#[tokio::test]
async fn what_this_process_wrote_and_is_gone_is_noticed() {
    let folder = tempfile::tempdir().expect("folder");
    let log = AuditLog::new(folder.path(), clock());
    write(&log, 3).await;
    let path = only_file(folder.path());
    let whole = lines(&path);
    fs::write(&path, whole[..2].concat()).expect("written");
    assert!(matches!(log.record(event("x")).await, Err(Error::Rewound { .. })));
    // Put back, it goes on.
    fs::write(&path, whole.concat()).expect("written");
    log.record(event("x")).await.expect("recorded");
    // All files taken away: the chain goes on, and the gap shows.
    fs::remove_file(&path).expect("removed");
    log.record(event("y")).await.expect("recorded");
    let found = verify_folder(folder.path());
    assert!(found.faults[0].what.contains("the chain begins with line 6"), "{:?}", found.faults);
}

/// A folder in the place of the next file: the write fails as on a disk that refuses, and works again by itself.
#[tokio::test]
async fn a_failure_is_told_notes_wait_for_its_end_and_losses_are_counted() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("audit");
    fs::write(&path, "in the way").expect("written");
    let log = AuditLog::new(&path, clock());
    let error = log.record(event("refused")).await.expect_err("not a folder");
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(log.health().is_some());
    for i in 0..6000 {
        log.note(event(&format!("note-{i}")));
    }
    let lost = log.lost();
    assert!(lost >= 6000 - 4096 - 1024, "{lost}");
    fs::remove_file(&path).expect("removed");
    log.record(event("after")).await.expect("recorded");
    log.check().await.expect("written");
    // Notes are kept in order and come after those that were waited for at the latest.
    for _ in 0..200 {
        if fs::read_to_string(only_file(&path)).expect("read").contains("\"event\":\"lost\"") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(log.health().is_none());
    let text = fs::read_to_string(only_file(&path)).expect("read");
    assert!(!text.contains("refused") && text.contains("\"recording\":\"after\""));
    assert!(text.contains("\"recording\":\"note-0\""));
    assert!(text.contains("\"event\":\"lost\",\"count\":"));
    assert!(verify_folder(&path).is_sound());
}
