//! The codec on one core: sealing, opening (verify and decrypt) and verifying alone, in bytes per second over sizes.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a benchmark that fails should stop"
)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sealtape::{
    base::Timestamp,
    crypto::{Key, database_key_fingerprint},
    sealed::{ChunkLen, NameClaim, Opener, Role, Sealer, Sealing, UnverifiedHeader},
};

/// Bytes of media: an audio frame's range, a frame of the proxy, and more than a core's caches hold.
const SIZES: [usize; 4] = [4 << 10, 64 << 10, 256 << 10, 16 << 20];

fn sealing() -> Sealing {
    Sealing {
        id: "bench".parse().expect("an ID"),
        role: Role::Media,
        media_type: "audio/wav".parse().expect("a media type"),
        chunk_len: ChunkLen::FILE,
        mended: false,
        sealed_at: Timestamp::from_millis(0).expect("in range"),
    }
}

fn seal(key: &Key, media: &[u8], file: &mut Vec<u8>) {
    let (mut sealer, header) = Sealer::new(sealing(), database_key_fingerprint(key), key).expect("random");
    file.extend_from_slice(&header);
    sealer.update(media, file).expect("short");
    let _sealed = sealer.finish(file);
}

fn open(key: &Key, file: &[u8]) -> Opener {
    let header = UnverifiedHeader::read(file).and_then(|header| header.verify(key)).expect("verifies");
    let tail = header.tail(file.len() as u64).expect("long enough");
    header.judge(file.len() as u64, &file[tail.start as usize..], NameClaim::Final).expect("complete")
}

fn codec(criterion: &mut Criterion) {
    let key = Key::generate().expect("random");
    let mut group = criterion.benchmark_group("codec");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let media = vec![0x5A; size];
        let mut file = Vec::with_capacity(size + size / 512 + 4096);
        group.bench_function(BenchmarkId::new("seal", size), |bencher| {
            bencher.iter(|| {
                file.clear();
                seal(&key, &media, &mut file);
            });
        });
        file.clear();
        seal(&key, &media, &mut file);
        let opener = open(&key, &file);
        let span = opener.span(0..size as u64).expect("within");
        let records = &file[span.file().start as usize..span.file().end as usize];
        let mut plaintext = vec![0; size];
        opener.open_span(&span, records, &mut plaintext).expect("verifies");
        assert!(plaintext == media);
        group.bench_function(BenchmarkId::new("open", size), |bencher| {
            bencher.iter(|| opener.open_span(&span, records, &mut plaintext).expect("verifies"));
        });
        group.bench_function(BenchmarkId::new("verify", size), |bencher| {
            bencher.iter(|| opener.verify_span(&span, records).expect("verifies"));
        });
    }
    group.finish();
    let mut file = Vec::new();
    seal(&key, b"x", &mut file);
    criterion.bench_function("header and end", |bencher| bencher.iter(|| open(&key, &file)));
}

criterion_group!(benches, codec);
criterion_main!(benches);
