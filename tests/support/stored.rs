//! What a system stored, in its media folder or in its bucket: tests look at it and damage it without knowing which.

use std::{
    cmp::Ordering,
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    thread,
};

use futures_util::TryStreamExt;
use object_store::{
    ObjectStore, ObjectStoreExt,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path as Key,
};
use tokio::runtime::Runtime;

use super::Garage;

/// A file, or an object of a bucket.
#[derive(Clone)]
pub enum Stored {
    File(PathBuf),
    Object { place: Arc<Place>, key: Key },
}

impl Stored {
    /// All of it.
    pub fn read(&self) -> Vec<u8> {
        self.try_read().unwrap_or_else(|| panic!("{self} is not there"))
    }

    /// The same; none when it is not there.
    fn try_read(&self) -> Option<Vec<u8>> {
        match self {
            Self::File(path) => fs::read(path).ok(),
            Self::Object { place, key } => place.read(key),
        }
    }

    /// Puts other bytes in its place.
    pub fn write(&self, bytes: &[u8]) {
        match self {
            Self::File(path) => fs::write(path, bytes).expect("written"),
            Self::Object { place, key } => place.write(key, bytes.to_vec()),
        }
    }

    pub fn remove(&self) {
        match self {
            Self::File(path) => fs::remove_file(path).expect("removed"),
            Self::Object { place, key } => place.remove(key),
        }
    }

    /// Whether its URL holds that.
    pub fn contains(&self, part: &str) -> bool {
        self.to_string().contains(part)
    }

    /// How its name ends.
    pub fn ends_with(&self, end: &str) -> bool {
        self.to_string().ends_with(end)
    }

    /// Where the file is, for tests that are about files.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Object { .. } => panic!("{self} is no file"),
        }
    }

    pub fn exists(&self) -> bool {
        self.try_read().is_some()
    }

    /// How many bytes it has.
    pub fn size(&self) -> usize {
        self.read().len()
    }

    /// One beside it, whose name ends otherwise.
    pub fn with_end(&self, end: &str, other: &str) -> Self {
        let other = |name: &str| format!("{}{other}", name.strip_suffix(end).expect("it ends so"));
        match self {
            Self::File(path) => Self::File(other(path.to_str().expect("UTF-8")).into()),
            Self::Object { place, key } => Self::Object { place: Arc::clone(place), key: other(key.as_ref()).into() },
        }
    }

    /// Flips one bit of it.
    pub fn flip(&self, at: usize) {
        let mut bytes = self.read();
        bytes[at] ^= 1;
        self.write(&bytes);
    }

    /// Leaves so much of it.
    pub fn cut(&self, len: usize) {
        self.write(&self.read()[..len]);
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file://{}", path.display()),
            Self::Object { place, key } => write!(f, "s3://{}/{key}", place.bucket),
        }
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Stored {}

impl PartialOrd for Stored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Stored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.to_string().cmp(&other.to_string())
    }
}

/// A part of a bucket in the cluster that all tests share.
pub struct Place {
    garage: Arc<Garage>,
    bucket: String,
    prefix: String,
    client: AmazonS3,
}

impl Place {
    /// One of its own for a system, in one bucket for all of them.
    pub fn new(name: &str) -> Arc<Self> {
        static BUCKET: OnceLock<String> = OnceLock::new();
        let garage = Garage::kept();
        let bucket = BUCKET.get_or_init(|| garage.bucket("systems")).clone();
        let variable = |name: &str| garage.variable(name).expect("set");
        let client = AmazonS3Builder::new()
            .with_endpoint(format!("http://{}", garage.node(0)))
            .with_allow_http(true)
            .with_bucket_name(&bucket)
            .with_region(variable("AWS_REGION"))
            .with_access_key_id(variable("AWS_ACCESS_KEY_ID"))
            .with_secret_access_key(variable("AWS_SECRET_ACCESS_KEY"))
            .build()
            .expect("a client");
        Arc::new(Self { garage, bucket, prefix: name.to_owned(), client })
    }

    /// What leads the program there.
    pub fn settings(&self) -> Vec<(String, String)> {
        let settings = [
            ("SEALTAPE_STORAGE__URL", format!("s3://{}/{}", self.bucket, self.prefix)),
            ("SEALTAPE_STORAGE__S3__ENDPOINT", format!("http://{}", self.garage.node(0))),
        ];
        let variables = settings.into_iter().chain(self.garage.variables());
        variables.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// What a URL leads to, if it is one of an object here.
    pub fn at(self: &Arc<Self>, url: &str) -> Option<Stored> {
        let key = url.strip_prefix(&format!("s3://{}/", self.bucket))?;
        Some(Stored::Object { place: Arc::clone(self), key: Key::from(key) })
    }

    /// Everything in it.
    pub fn all(self: &Arc<Self>) -> Vec<Stored> {
        let prefix = Key::from(self.prefix.as_str());
        let mut keys: Vec<Key> = done(async {
            let listed = self.client.list(Some(&prefix)).map_ok(|object| object.location);
            listed.try_collect().await.expect("a list")
        });
        keys.sort();
        keys.into_iter().map(|key| Stored::Object { place: Arc::clone(self), key }).collect()
    }

    fn read(&self, key: &Key) -> Option<Vec<u8>> {
        done(async {
            let got = match self.client.get(key).await {
                Err(object_store::Error::NotFound { .. }) => return None,
                got => got.expect("it is there"),
            };
            Some(got.bytes().await.expect("read").to_vec())
        })
    }

    fn write(&self, key: &Key, bytes: Vec<u8>) {
        done(self.client.put(key, bytes.into())).expect("written");
    }

    fn remove(&self, key: &Key) {
        done(self.client.delete(key)).expect("removed");
    }
}

/// Waits for it, also where a runtime is at work already.
fn done<T: Send>(work: impl Future<Output = T> + Send) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        threads.expect("a runtime")
    });
    thread::scope(|scope| scope.spawn(|| runtime.block_on(work)).join().expect("done"))
}
