//! Counted of playback: the decision what a request is answered, and the way to the first byte of a recording that
//! was asked for before, without HTTP and with it.

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{Arc, atomic::AtomicBool},
    task::Poll,
    time::Duration,
};

use sealtape::{
    access::Scopes,
    audit::AuditLog,
    base::{RecordingId, Timestamp},
    catalogue::Database,
    db::SqliteDatabase,
    http::{
        App, Auth, AuthMode, AuthSettings, Cors, Listener, Observers, Peers, Server, ServerSettings, Timeouts, Uploads,
    },
    keys::DefinitionKeyHolder,
    kms::EmbeddedDefinitionKey,
    media::MediaStore,
    service::{
        Clock, CompanionSettings, Companions, FRAME_LEN_MIN, Ingest, Intake, KeyOps, KeyWatch, Listening,
        ListeningSettings, NewRecording, OnFailure, Playback, PlaybackSettings, Purge, ReaderSource, Stop, Waveforms,
    },
    storage::{LocalStore, Metered},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::{Builder, Runtime},
};

use crate::{ALL, Case};

/// What decides on an answer, as its symbol names it. It is private, so that requests lead to it.
const DECIDE: &str = "sealtape::http::decision::decide";
const MEDIA_LEN: usize = 1 << 20;

/// Runs differ by less than 1 %: hash tables with other seeds, an allocator with another past. A decision is so short
/// that one function more or less that the compiler merges into its caller is several percent of it.
pub const CASES: &[Case] = &[
    Case { name: "decide-whole", times: 64, tolerance_percent: 10, counted: DECIDE, prepare: || asks(200, "") },
    Case { name: "decide-range", times: 64, tolerance_percent: 10, counted: DECIDE, prepare: || asks(206, RANGE) },
    Case { name: "decide-ranges", times: 64, tolerance_percent: 10, counted: DECIDE, prepare: || asks(206, RANGES) },
    Case { name: "decide-if", times: 64, tolerance_percent: 10, counted: DECIDE, prepare: || asks(206, IF) },
    Case { name: "first-byte", times: 256, tolerance_percent: 5, counted: ALL, prepare: first_byte },
    Case { name: "first-byte-http", times: 256, tolerance_percent: 5, counted: ALL, prepare: || asks(206, RANGE) },
];

/// 4 KiB in the middle of a chunk.
const RANGE: &str = "Range: bytes=524800-528895\r\n";
/// Eight in disorder, of which two touch and two overlap.
const RANGES: &str =
    "Range: bytes=900000-900099, 0-99,100-199, 50000-50999,50500-51499, 700000-700009,-100, 300000-300000\r\n";
/// The tags are none of ours, and the date is: every condition is weighed, and the range counts.
const IF: &str = "Range: bytes=524800-528895\r\n\
                  If-None-Match: \"one\", W/\"two\", \"three\"\r\n\
                  If-Range: Mon, 24 Nov 2025 15:00:00 GMT\r\n";

/// When it was sealed, which [`IF`] names, and the time of all that comes after: fixed, so that no clock is asked.
const SEALED_AT_MILLIS: u64 = 1_763_996_400_000;
const NOW_MILLIS: u64 = 1_764_000_000_000;
const HOUR: Duration = Duration::from_secs(3600);

/// A request for the media with these fields, and the answer, read to its end: over a connection that is kept, by a
/// server and a client in one thread. The client takes about a thirtieth of the instructions.
fn asks(status: u16, fields: &'static str) -> Box<dyn FnMut()> {
    let (runtime, system) = System::start();
    let mut client = runtime.block_on(async {
        let listener = Listener::tcp(([127, 0, 0, 1], 0).into()).await.expect("listens");
        let address = listener.address().expect("an address");
        tokio::spawn(system.server(listener).run(std::future::pending()));
        TcpStream::connect(address).await.expect("connects")
    });
    let request = format!("GET /recordings/counted/media HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    let begins = format!("HTTP/1.1 {status} ");
    let mut answer = vec![0; 2 * MEDIA_LEN];
    let mut case = move || {
        // All of it is moved in here, the folder too.
        let _system = &system;
        runtime.block_on(async {
            client.write_all(request.as_bytes()).await.expect("sent");
            let mut have = 0;
            while have == 0 || have < expected_len(answer.get(..have).expect("within")) {
                let read = client.read(answer.get_mut(have..).expect("within")).await.expect("reads");
                assert!(read > 0, "cut");
                have += read;
            }
            assert!(answer.starts_with(begins.as_bytes()), "{}", String::from_utf8_lossy(&answer[..have.min(500)]));
        });
    };
    case();
    Box::new(case)
}

/// How long an answer is that begins so; more than there is while its head is not whole.
fn expected_len(answer: &[u8]) -> usize {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return usize::MAX };
    let head = std::str::from_utf8(&answer[..end]).expect("text");
    let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    end + 4 + len.parse::<usize>().expect("a number")
}

/// A recording whose row is remembered and whose file is open: looked up, its first frame read, verified, decrypted
/// and handed over. All of that at once: no step waits for another thread.
fn first_byte() -> Box<dyn FnMut()> {
    let (runtime, system) = System::start();
    let id = id();
    runtime.block_on(system.playback.open(&id)).expect("opens");
    let case = move || {
        // All of it is moved in here, the folder too.
        let system = &system;
        runtime.block_on(async {
            let mut work = pin!(async {
                let recording = system.playback.open(&id).await.expect("opens");
                let mut stream = system.playback.stream(&recording, 524_800..528_896);
                stream.prime(FRAME_LEN_MIN).await.expect("verifies");
                std::future::poll_fn(|cx| stream.poll_next(FRAME_LEN_MIN, cx))
                    .await
                    .expect("a frame")
                    .expect("verifies")
            });
            let done = std::future::poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
            let Poll::Ready(frame) = done else { panic!("the file system cannot read what is in memory at once") };
            assert_eq!(frame.len(), 4096);
        });
    };
    case();
    Box::new(case)
}

/// A system in a folder of its own, with one recording.
struct System {
    keys: Arc<KeyWatch>,
    database: Arc<dyn Database>,
    playback: Arc<Playback>,
    listening: Arc<Listening>,
    store: Arc<dyn MediaStore>,
    ingest: Arc<Ingest>,
    clock: Clock,
    folder: tempfile::TempDir,
}

impl System {
    /// All of it in one thread, but for SQLite, the playback record, and what waits for a disk: none of these has
    /// anything to do any more once a recording was played.
    fn start() -> (Runtime, Self) {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let system = runtime.block_on(Self::make());
        (runtime, system)
    }

    async fn make() -> Self {
        // On the disk of the checkout: a file system in memory may be unable to say what it could read at once.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let at = |millis| -> Clock { Arc::new(move || Timestamp::from_millis(millis).expect("in range")) };
        let clock = at(NOW_MILLIS);
        let database = SqliteDatabase::open(&folder.path().join("sealtape.db"), true).await.expect("a database");
        let database: Arc<dyn Database> = Arc::new(database);
        let store = LocalStore::open(&folder.path().join("media"), true).expect("a store");
        let store: Arc<dyn MediaStore> = Arc::new(Metered::new(Arc::new(store)));
        let holder: Arc<dyn DefinitionKeyHolder> = Arc::new(EmbeddedDefinitionKey::new());
        KeyOps::new(Arc::clone(&database), Arc::clone(&holder), Arc::clone(&clock)).generate().await.expect("a key");
        let keys = KeyWatch::load(Arc::clone(&database), holder).await.expect("loaded");

        let new = NewRecording {
            id: Some(id()),
            media_type: Some("audio/wav".parse().expect("a media type")),
            name: None,
            exempt: false,
            is_live: false,
        };
        let mut source = ReaderSource::new(std::io::Cursor::new(vec![0x5A; MEDIA_LEN]), MEDIA_LEN);
        let ingest = Ingest::new(Arc::clone(&database), Arc::clone(&store), Arc::clone(&keys), at(SEALED_AT_MILLIS));
        let (_stop, mut stop) = Stop::channel();
        ingest.ingest(new, &mut source, &mut stop, &|_| {}).await.expect("taken in");

        let log = Arc::new(AuditLog::new(&folder.path().join("audit"), Arc::clone(&clock)));
        // Nothing of a session becomes due while it is counted.
        let settings = ListeningSettings { on_failure: OnFailure::Refuse, progress_interval: HOUR, idle: HOUR };
        let listening = Listening::start(log, settings);
        let settings = PlaybackSettings { allow_plain: false };
        let playback =
            Playback::new(Arc::clone(&database), Arc::clone(&store), Arc::clone(&keys), Arc::clone(&clock), settings);
        let (playback, ingest) = (Arc::new(playback), Arc::new(ingest));
        Self { keys, database, playback, listening, store, ingest, clock, folder }
    }

    fn server(&self, listener: Listener) -> Server {
        let auth = AuthSettings {
            mode: AuthMode::None,
            provider: None,
            token_key_file: self.folder.path().join("token.key"),
            link_secrets_file: self.folder.path().join("link-secrets"),
            may_make_link_secrets: false,
            proxy_peers: Vec::new(),
            subject_header: "x-subject".into(),
            proxy_scopes: Scopes::default(),
            trusted_proxies: Vec::new(),
        };
        let app = App {
            playback: Arc::clone(&self.playback),
            waveforms: Waveforms::start(Arc::clone(&self.playback)),
            companions: Companions::new(
                Arc::clone(&self.database),
                Arc::clone(&self.store),
                Arc::clone(&self.keys),
                Arc::clone(&self.clock),
                CompanionSettings { index: BTreeSet::new(), plain_sidecars: false },
            ),
            purge: Purge::new(Arc::clone(&self.database), Arc::clone(&self.store), Arc::clone(&self.clock)),
            peers: Peers::new(Vec::new()).expect("random numbers"),
            keys: Arc::clone(&self.keys),
            database: Arc::clone(&self.database),
            listening: Arc::clone(&self.listening),
            uploads: Uploads {
                ingest: Arc::clone(&self.ingest),
                intake: Arc::new(Intake::new()),
                len_max: None,
                exempt: Vec::new(),
                patience: HOUR,
            },
            auth: Arc::new(Auth::new(auth).expect("no files")),
            cors: Cors::default(),
            public_url: None,
            clock: Arc::clone(&self.clock),
            is_demo: false,
            is_draining: AtomicBool::new(false),
            observers: Observers::default(),
        };
        let timeouts = Timeouts { handshake: HOUR, headers: HOUR, idle: HOUR, write: HOUR };
        let settings = ServerSettings { tls: None, max_connections: 8, timeouts, drain_timeout: HOUR };
        Server::new(listener, Arc::new(app), settings)
    }
}

fn id() -> RecordingId {
    "counted".parse().expect("an ID")
}
