//! What the local cache saves and costs: a recording read in frames, and at places here and there, straight from a store
//! that is far away, through an empty cache and through a full one, for blocks of several lengths.
//!
//! The store is a folder behind a way of so many milliseconds and bytes a second; a player is one reader, who waits
//! for each frame. Last comes the same without a way: what the cache adds to a read that memory can answer.
//!
//! ```text
//! cargo bench --bench cache
//! ```

#![allow(
    missing_docs,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark"
)]

#[allow(dead_code, reason = "shared with tests")]
#[path = "../tests/cache/remote.rs"]
mod remote;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use remote::{Remote, Way};
use sealtape::base::SealId;
use sealtape::media::{MediaFile, MediaKind, MediaObject, MediaStore, Stage};
use sealtape::storage::{CacheSettings, CachedStore, LocalStore};

const LEN: usize = 48 << 20;
/// A frame of 256 KiB of media in records of 16 KiB.
const FRAME_LEN: usize = 262_400;
/// The header is read from the store itself.
const HEADER_LEN: usize = 512;
const JUMPS: usize = 24;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let object = MediaObject::media("call".parse().expect("an ID"), MediaKind::Sealed, Stage::Final);
    let object = MediaObject { sealing: Some(SealId([7; 16])), ..object };
    let media = folder.path().join("media");
    let local = LocalStore::open(&media, true).expect("opens");
    let mut writer = local.create(&object).await.expect("creates");
    for piece in 0..LEN >> 20 {
        writer.append(vec![u8::try_from(piece % 251).expect("small"); 1 << 20]).await.expect("appends");
    }
    writer.finish().await.expect("finishes");

    for (delay, rate) in [(5, 400_000_000), (20, 100_000_000), (80, 25_000_000)] {
        println!("{delay} ms and {} MB/s to the store", rate / 1_000_000);
        println!("  {:24} {:>12} {:>12} {:>14} {:>16}", "", "empty MB/s", "full MB/s", "a jump, ms", "fetched for it");
        let remote = || Remote::new(&media, Duration::from_millis(delay)).with_rate(rate);
        let store = remote();
        let way = Arc::clone(&store.way);
        show("without a cache", Arc::new(store), &way, &object, false).await;
        for block_len_bytes in [64 << 10, 256 << 10, 1 << 20] {
            let store = remote();
            let way = Arc::clone(&store.way);
            let cache = folder.path().join(format!("cache-{delay}-{block_len_bytes}"));
            let settings = CacheSettings { block_len_bytes, ..CacheSettings::new(cache.clone(), 1 << 30) };
            let cached = CachedStore::open(Arc::new(store), settings).await.expect("opens");
            let name = format!("blocks of {} KiB", block_len_bytes >> 10);
            show(&name, Arc::new(cached), &way, &object, true).await;
        }
    }
    no_way(&local, &object, folder.path()).await;
}

async fn show(name: &str, store: Arc<dyn MediaStore>, way: &Way, object: &MediaObject, is_cached: bool) {
    let file = open(&*store, object).await;
    let mut jumps: Vec<Duration> = Vec::new();
    way.take_reads();
    for jump in 0..JUMPS {
        let start = HEADER_LEN + (jump * 7 % JUMPS) * (LEN / JUMPS) + 100_000;
        let begun = Instant::now();
        read(&*file, start, 65_600).await;
        jumps.push(begun.elapsed());
    }
    jumps.sort_unstable();
    let fetched: u64 = way.take_reads().iter().map(|(range, times)| (range.end - range.start) * times).sum();
    let empty = play(&*file).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let full = if is_cached { format!("{:.0}", play(&*file).await) } else { String::new() };
    let (jump, fetched) = (jumps.get(JUMPS / 2).expect("one").as_secs_f64() * 1000.0, fetched / JUMPS as u64 / 1024);
    println!("  {name:24} {empty:12.0} {full:>12} {jump:14.1} {fetched:12} KiB");
}

/// Of a recording that lies here, in memory: all but the header, many times.
async fn no_way(local: &LocalStore, object: &MediaObject, folder: &Path) {
    println!("no way at all, all of it in memory");
    let direct = open(local, object).await;
    let settings = CacheSettings::new(folder.join("cache"), 1 << 30);
    let cached = CachedStore::open(Arc::new(local.clone()), settings).await.expect("opens");
    let cached = open(&cached, object).await;
    play(&*cached).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    for (name, file) in [("without a cache", &direct), ("from the cache", &cached)] {
        let mut rates = Vec::new();
        for _ in 0..15 {
            rates.push(play(&**file).await);
        }
        rates.sort_by(f64::total_cmp);
        println!("  {name:24} {:12.0} MB/s", rates.get(7).expect("fifteen"));
    }
}

async fn open(store: &dyn MediaStore, object: &MediaObject) -> Arc<dyn MediaFile> {
    store.open(object).await.expect("opens").expect("is there")
}

/// Reads all of it in frames; megabytes a second.
async fn play(file: &dyn MediaFile) -> f64 {
    let begun = Instant::now();
    for start in (HEADER_LEN..LEN).step_by(FRAME_LEN) {
        read(file, start, FRAME_LEN.min(LEN - start)).await;
    }
    (LEN - HEADER_LEN) as f64 / begun.elapsed().as_secs_f64() / 1e6
}

async fn read(file: &dyn MediaFile, start: usize, len: usize) {
    let mut buffer = vec![0; len];
    let filled = file.try_read_now(start as u64, &mut buffer).expect("reads");
    if filled < len {
        file.read(start as u64, buffer, filled).await.expect("reads");
    }
}
