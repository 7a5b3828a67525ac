//! Every way to change a chain is found and named.

use super::*;
use crate::audit::KnownHead;

/// A chain of five lines, its file, and its lines.
async fn chain() -> (tempfile::TempDir, PathBuf, Vec<String>) {
    let folder = tempfile::tempdir().expect("folder");
    write(&AuditLog::new(folder.path(), clock()), 4).await;
    let path = only_file(folder.path());
    let lines = lines(&path);
    assert_eq!(lines.len(), 5);
    (folder, path, lines)
}

/// The faults of a file that holds this: line and what.
fn faults(path: &Path, text: &[u8]) -> Vec<(u64, String)> {
    fs::write(path, text).expect("written");
    let found = verify(&[path.to_owned()], &[]).expect("read");
    found.faults.into_iter().map(|fault| (fault.line, fault.what)).collect()
}

#[tokio::test]
async fn a_changed_byte_is_found_wherever_it_is() {
    let (_folder, path, lines) = chain().await;
    let whole = lines.concat().into_bytes();
    assert_eq!(faults(&path, &whole), []);
    for at in 0..whole.len() {
        for bit in [0, 5, 7] {
            let mut changed = whole.clone();
            changed[at] ^= 1 << bit;
            let line = whole[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            let found = faults(&path, &changed);
            assert!(!found.is_empty(), "byte {at}, bit {bit}");
            assert!((line..=line + 1).contains(&found[0].0), "byte {at} of line {line}: {found:?}");
        }
    }
}

#[tokio::test]
async fn lines_removed_moved_repeated_and_put_in_are_named() {
    let (_folder, path, lines) = chain().await;
    let text = |order: &[usize]| order.iter().map(|at| &*lines[*at]).collect::<String>().into_bytes();
    let first = |order: &[usize]| faults(&path, &text(order)).into_iter().next();
    for at in 0..4 {
        let without: Vec<usize> = (0..5).filter(|line| *line != at).collect();
        let (line, what) = first(&without).expect("found");
        assert_eq!(line, at as u64 + 1);
        let expected = if at == 0 {
            "the chain begins with line 2".to_owned()
        } else {
            format!("lines {0} to {0} are missing", at + 1)
        };
        assert!(what.starts_with(&expected), "{what}");
        let mut swapped: Vec<usize> = (0..5).collect();
        swapped.swap(at, at + 1);
        assert_eq!(first(&swapped).expect("found").0, at as u64 + 1, "swapped {at}");
        let mut repeated: Vec<usize> = (0..5).collect();
        repeated.insert(at + 1, at);
        let (line, what) = first(&repeated).expect("found");
        assert!(line == at as u64 + 2 && what.contains("moved, repeated or put in"), "{what}");
    }
    // A line of somebody's own making, with a hash that is right for it.
    let mut forged = Vec::new();
    let prev = crate::audit::line::read(lines[1].trim_end().as_bytes()).expect("a line");
    let author = crate::audit::line::Author { chain: &prev.chain, instance: None };
    crate::audit::line::write(&mut forged, author, prev.head, clock()(), &event("forged"));
    let put_in = [lines[..2].concat().into_bytes(), forged, lines[3..].concat().into_bytes()].concat();
    assert_eq!(
        faults(&path, &put_in),
        [(4, "it does not follow from the line before: one of them was exchanged".into())]
    );
}

#[tokio::test]
async fn a_cut_end_shows_only_against_a_head_that_was_kept() {
    let (_folder, path, lines) = chain().await;
    let found = verify(std::slice::from_ref(&path), &[]).expect("read");
    let head = KnownHead { chain: found.chains[0].chain.clone(), head: found.chains[0].head };
    let kept: KnownHead = head.to_string().parse().expect("as it was shown");
    assert_eq!(kept, head);
    assert!(verify(std::slice::from_ref(&path), std::slice::from_ref(&kept)).expect("read").is_sound());
    assert_eq!(faults(&path, lines[..4].concat().as_bytes()), []);
    let found = verify(std::slice::from_ref(&path), std::slice::from_ref(&kept)).expect("read");
    assert!(found.faults[0].what.contains("its end was cut off"), "{:?}", found.faults);
    // Another chain in its place, as good as any.
    let other = chain().await;
    let found = verify(std::slice::from_ref(&other.1), std::slice::from_ref(&kept)).expect("read");
    assert!(found.faults[0].what.contains("is not there at all"), "{:?}", found.faults);
}

#[tokio::test]
async fn chains_of_several_hosts_are_told_apart_in_any_order() {
    let ((_a, one, lines), (_b, other, _)) = (chain().await, chain().await);
    let found = verify(&[other.clone(), one.clone()], &[]).expect("read");
    assert!(found.is_sound() && found.chains.len() == 2, "{found:?}");
    assert!(found.chains.iter().all(|chain| chain.lines == 5));
    // A line of the one among those of the other.
    let mut mixed = fs::read_to_string(&other).expect("read");
    mixed.push_str(&lines[4]);
    let found = faults(&other, mixed.as_bytes());
    assert!(found[0].0 == 6 && found[0].1.contains("belongs to another chain"), "{found:?}");
}
