//! Others at work beside it are no fault of anything.

use std::{
    fs,
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::json;

use super::{recorder, told, verify};
use crate::support::{System, media, text};

/// Imports, a live recording, rewraps and reseals go on while it is verified again and again.
#[test]
fn others_at_work_cause_no_false_alarm() {
    let (system, bytes) = (System::with_key(), media(300_000));
    for n in 0..20 {
        system.import(&format!("call-{n}"), &bytes);
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let importing = scope.spawn(|| until(&is_over, &mut |n| system.import(&format!("new-{n}"), &bytes)));
        let changing = scope.spawn(|| {
            until(&is_over, &mut |n| {
                system.ok(&["keys", "generate"]);
                // The one that is being recorded is left out, and told.
                let output = system.run(&[if n % 2 == 0 { "rewrap" } else { "reseal" }, "--all"]);
                assert!([Some(0), Some(3)].contains(&output.status.code()), "{}", text(&output.stderr));
            })
        });
        let recording = scope.spawn(|| {
            let mut live = recorder(&system, "live", &bytes, 290_000);
            let mut stdin = live.stdin.take().expect("piped");
            let done = until(&is_over, &mut |_| {
                stdin.write_all(&bytes[..7000]).expect("written");
                thread::sleep(Duration::from_millis(5));
            });
            drop(stdin);
            assert!(live.wait().expect("ends").success());
            done
        });
        let rounds = if std::env::var_os("SEALTAPE_TESTS_FULL").is_some() { 60 } else { 8 };
        let reports: Vec<_> = (0..rounds).map(|_| verify(&system, &["--all"])).collect();
        is_over.store(true, Ordering::Relaxed);
        let done = [importing, changing, recording].map(|work| work.join().expect("works"));
        assert!(done.iter().all(|done| *done > 0), "{done:?}");
        for (code, report) in reports {
            assert_eq!((code, &report["faults"]), (Some(0), &json!([])), "{report}");
        }
    });
    let (code, report) = verify(&system, &["--all"]);
    assert_eq!((code, &report["faults"], &report["notes"]), (Some(0), &json!([]), &json!([])));
}

/// Does it again and again; how often.
fn until(is_over: &AtomicBool, work: &mut dyn FnMut(usize)) -> usize {
    let mut n = 0;
    while !is_over.load(Ordering::Relaxed) {
        work(n);
        n += 1;
    }
    n
}

/// One under way is verified as far as it is, and damage in it is found.
#[test]
fn a_recording_under_way_is_verified_as_far_as_it_is() {
    let (system, bytes) = (System::with_key(), media(100_000));
    let mut live = recorder(&system, "live", &bytes, 95_000);
    let (code, report) = verify(&system, &["--all"]);
    assert_eq!((code, told(&report["notes"])), (Some(0), vec!["live being-recorded".to_owned()]), "{report}");
    let part = super::named(&system, "live.sealed.part").expect("it grows");
    // In place: the writer goes on with the same file.
    let file = fs::File::options().read(true).write(true).open(part).expect("opens");
    std::os::unix::fs::FileExt::write_all_at(&file, b"damage", super::live_offset(3 * 4096) as u64).expect("written");
    let (code, report) = verify(&system, &["live", "--repair", "--force"]);
    assert_eq!((code, told(&report["faults"])), (Some(3), vec!["live corrupt-chunk 3-3".to_owned()]), "{report}");
    assert_eq!(report["repaired"], json!([]), "whoever writes it is left alone");
    drop(live.stdin.take());
    live.wait().expect("ends");
}
