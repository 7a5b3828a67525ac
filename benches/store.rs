//! What the store costs a request that memory can answer: looking at a name, and a read that needs no wait.

#![allow(missing_docs, clippy::expect_used, reason = "a benchmark that fails should stop")]

use std::{fs, path::Path};

use criterion::{Criterion, criterion_group, criterion_main};
use sealtape::media::{MediaKind, MediaObject, MediaStore, Stage};
use sealtape::storage::LocalStore;
use tokio::task::spawn_blocking;

fn store(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let store = LocalStore::open(&folder.path().join("media"), true).expect("opens");
    let object = MediaObject::media("call".parse().expect("an ID"), MediaKind::Sealed, Stage::Final);
    let file = runtime.block_on(async {
        let mut writer = store.create(&object).await.expect("creates");
        writer.append(vec![7; 1 << 20]).await.expect("appends");
        writer.finish().await.expect("finishes");
        store.open(&object).await.expect("opens").expect("is there")
    });
    let location = store.location(&object);
    let path = Path::new(location.strip_prefix("file://").expect("a file")).to_owned();

    let mut group = c.benchmark_group("look at a name");
    group.bench_function("version", |b| b.iter(|| runtime.block_on(store.version(&object))));
    group.bench_function("stat, for scale", |b| b.iter(|| fs::metadata(&path).expect("is there")));
    // On a thread that serves, as requests are, and not on the one that measures.
    group.bench_function("stat on another thread, for scale", |b| {
        b.iter_custom(|times| {
            let path = path.clone();
            let served = runtime.spawn(async move {
                let begun = std::time::Instant::now();
                for _ in 0..times {
                    let path = path.clone();
                    spawn_blocking(move || fs::metadata(path)).await.expect("ends").expect("is there");
                }
                begun.elapsed()
            });
            runtime.block_on(served).expect("ends")
        });
    });
    group.finish();

    let mut buffer = vec![0; 4096];
    c.bench_function("read 4 KiB now", |b| b.iter(|| file.try_read_now(500_000, &mut buffer).expect("reads")));
    let _runtime = runtime.enter();
    drop(file);
}

criterion_group!(benches, store);
criterion_main!(benches);
