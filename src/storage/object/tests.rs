//! Reading from a store that fails: what is asked of it, what is asked again, and when that ends.

use std::{
    collections::VecDeque,
    fmt,
    ops::Range,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    memory::InMemory, path::Path,
};

use super::{BucketLimits, BucketStore};
use crate::base::SealId;
use crate::media::{Error, MediaFile, MediaKind, MediaObject, MediaStore, Stage};

const PATIENCE: Duration = Duration::from_millis(400);

/// What becomes of one request for a range.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Refused,
    Hangs,
    /// Half of it, in order.
    Short,
    /// Half of it, and then an error.
    Breaks,
    /// Nothing, in order.
    Empty,
}

/// A store in memory that fails as it is told, and remembers what it was asked.
#[derive(Debug, Default)]
struct Failing {
    objects: InMemory,
    faults: Mutex<VecDeque<Fault>>,
    /// For every request after those.
    fault: Mutex<Option<Fault>>,
    asked: Mutex<Vec<Range<u64>>>,
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a failing store")
    }
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.objects.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let Some(GetRange::Bounded(range)) = options.range.clone() else {
            return self.objects.get_opts(path, options).await;
        };
        // The head that comes when an object is opened is another matter.
        let fault = if options.if_match.is_none() { None } else { self.next() };
        if options.if_match.is_some() {
            self.asked.lock().expect("whole").push(range);
        }
        let refused = || StoreError::Generic { store: "failing", source: "no".into() };
        match fault {
            Some(Fault::Refused) => return Err(refused()),
            Some(Fault::Hangs) => std::future::pending().await,
            _ => {}
        }
        let answer = self.objects.get_opts(path, options).await?;
        let (meta, range, attributes) = (answer.meta.clone(), answer.range.clone(), answer.attributes.clone());
        let bytes = answer.bytes().await?;
        let pieces = match fault {
            Some(Fault::Short) => vec![Ok(bytes.slice(..bytes.len() / 2))],
            Some(Fault::Breaks) => vec![Ok(bytes.slice(..bytes.len() / 2)), Err(refused())],
            Some(Fault::Empty) => vec![],
            _ => vec![Ok(bytes)],
        };
        let payload = GetResultPayload::Stream(futures_util::stream::iter(pieces).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions: Default::default() })
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}

impl Failing {
    fn next(&self) -> Option<Fault> {
        self.faults.lock().expect("whole").pop_front().or(*self.fault.lock().expect("whole"))
    }

    /// The ranges that were asked for since this was last asked.
    fn asked(&self) -> Vec<Range<u64>> {
        std::mem::take(&mut *self.asked.lock().expect("whole"))
    }
}

struct Bench {
    objects: Arc<Failing>,
    store: BucketStore,
    object: MediaObject,
    media: Vec<u8>,
    file: Arc<dyn MediaFile>,
}

impl Bench {
    async fn with(len: usize, limits: BucketLimits) -> Self {
        let objects = Arc::new(Failing::default());
        let store = BucketStore::over(Arc::clone(&objects) as Arc<dyn ObjectStore>, "s3://b/", "", limits);
        let media: Vec<u8> = (0_u32..).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).take(len).collect();
        let object = MediaObject::media("a".parse().expect("an ID"), MediaKind::Sealed, Stage::Final);
        let object = MediaObject { sealing: Some(SealId([1; 16])), ..object };
        let mut writer = store.create(&object).await.expect("creates");
        writer.append(media.clone()).await.expect("appends");
        writer.finish().await.expect("finishes");
        let file = store.open(&object).await.expect("opens").expect("is there");
        Self { objects, store, object, media, file }
    }

    async fn new() -> Self {
        Self::with(3 << 20, BucketLimits { patience: PATIENCE, ..BucketLimits::default() }).await
    }

    async fn reads(&self, range: Range<usize>) -> std::result::Result<bool, Error> {
        let read = self.file.read(range.start as u64, vec![0; range.len()], 0).await?;
        Ok(read == self.media[range])
    }
}

#[tokio::test]
async fn what_fails_is_asked_for_again_from_where_it_ended() {
    let bench = Bench::new().await;
    let faults = [Fault::Refused, Fault::Short, Fault::Breaks, Fault::Empty];
    bench.objects.faults.lock().expect("whole").extend(faults);
    assert!(bench.reads(1000..9000).await.expect("reads"));
    let asked = [1000..9000, 1000..9000, 5000..9000, 7000..9000, 7000..9000];
    assert_eq!(bench.objects.asked(), asked, "and nothing twice, nor anything else");
}

#[tokio::test]
async fn who_waits_is_told_in_time() {
    let bench = Bench::new().await;
    for fault in [Fault::Refused, Fault::Hangs, Fault::Empty] {
        *bench.objects.fault.lock().expect("whole") = Some(fault);
        let begun = Instant::now();
        let error = bench.reads(1000..9000).await.expect_err("nothing comes");
        match fault {
            Fault::Empty => assert!(matches!(error, Error::ShortRead { .. }), "{error}"),
            _ => assert!(matches!(error, Error::Unavailable { .. }), "{error}"),
        }
        assert!(begun.elapsed() < 10 * PATIENCE, "{fault:?}: {:?}", begun.elapsed());
        *bench.objects.fault.lock().expect("whole") = None;
        assert!(bench.reads(1000..9000).await.expect("it is over"));
    }
}

#[tokio::test]
async fn an_object_that_is_another_one_is_not_read() {
    let bench = Bench::new().await;
    let path = Path::from(format!("a/{}.sealed", SealId([1; 16])));
    let mut changed = bench.media.clone();
    changed[..512].fill(7);
    bench.objects.objects.put(&path, changed.into()).await.expect("put");
    assert!(bench.reads(1000..9000).await.expect("another head is no other sealing"));
    bench.objects.objects.put(&path, vec![7; 10_000].into()).await.expect("put");
    assert!(matches!(bench.reads(1000..9000).await, Err(Error::Changed { .. })), "a length is another one");
    bench.store.remove(&bench.object).await.expect("removes");
    assert!(matches!(bench.reads(1000..9000).await, Err(Error::Changed { .. })), "and so is none");
}

#[tokio::test]
async fn a_range_that_is_said_is_one_request() {
    let bench = Bench::new().await;
    // The second is what 1 MiB of media needs that begins within a chunk.
    for range in [512..512 + 65_600_u64, 1 << 20..(1 << 20) + 66 * 16_400] {
        let reader = Arc::clone(&bench.file).read_in_order(range.clone()).expect("a reader");
        let mut position = range.start;
        while position < range.end {
            let len = (range.end - position).min(16_400);
            let read = reader.read(position, vec![0; len as usize], 0).await.expect("reads");
            assert!(read == bench.media[position as usize..(position + len) as usize], "{position}");
            position += len;
        }
        assert_eq!(bench.objects.asked(), [range]);
    }
}

#[tokio::test]
async fn what_is_read_ahead_is_bounded_and_given_back() {
    let limits = BucketLimits { patience: PATIENCE, ahead: 512 << 10, ..BucketLimits::default() };
    let bench = Bench::with(12 << 20, limits).await;
    let all = || Arc::clone(&bench.file).read_in_order(512..12 << 20).expect("a reader");
    let ahead = &bench.store.bucket.ahead;
    let first = all();
    assert_eq!(ahead.available_permits(), 0, "it has all the room");
    let second = all();
    for reader in [&second, &first] {
        let mut position = 512_usize;
        while position < 12 << 20 {
            let len = (300 << 10).min((12 << 20) - position);
            let read = reader.read(position as u64, vec![0; len], 0).await.expect("reads");
            assert!(read == bench.media[position..position + len], "{position}");
            position += len;
        }
    }
    drop((first, second));
    assert_eq!(ahead.available_permits(), 512, "all of it is given back");
}

#[tokio::test]
async fn a_player_is_not_harmed_by_what_fails_ahead_of_them() {
    let bench = Bench::new().await;
    bench.objects.faults.lock().expect("whole").extend([Fault::Breaks, Fault::Refused, Fault::Short]);
    let reader = Arc::clone(&bench.file).read_in_order(512..3 << 20).expect("a reader");
    let mut position = 512_usize;
    while position < 3 << 20 {
        let len = (64 << 10).min((3 << 20) - position);
        let mut buffer = vec![0; len];
        let filled = reader.try_read_now(position as u64, &mut buffer).expect("reads");
        let read = reader.read(position as u64, buffer, filled).await.expect("reads");
        assert!(read == bench.media[position..position + len], "{position}");
        position += len;
    }
    *bench.objects.fault.lock().expect("whole") = Some(Fault::Refused);
    let reader = Arc::clone(&bench.file).read_in_order(512..3 << 20).expect("a reader");
    let error = reader.read(512, vec![0; 1000], 0).await.expect_err("the store refuses");
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
}
