//! `sealtape demo`: a throwaway system with sample recordings, and one of each failure.

use std::{
    io::{self, Cursor, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Args;

use super::{
    Failure, Global,
    open::{Purpose, System},
    print,
    record::listening,
    serve::{Signals, Watching, bind, run_until_stopped, server, server_settings},
};
use crate::access::{Scope, Subject};
use crate::base::{RecordingId, Timestamp};
use crate::catalogue::{Content, Metadata, Recording, RecordingState};
use crate::config::{AuthMode, Listen, Settings, Source, parse_listen};
use crate::crypto::{Key, database_key_fingerprint};
use crate::http::{LocalKey, NewToken, ServerSettings};
use crate::media::{MediaKind, MediaObject, Stage};
use crate::sealed::{ChunkLen, HEADER_LEN, Role, Sealer, Sealing};
use crate::service::{Ingest, KeyWatch, NewRecording, ReaderSource, Stop};

/// How long players that are still connected are waited for at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);
/// Longer than anybody looks at a demo.
const TOKEN_TTL: Duration = Duration::from_secs(24 * 60 * 60);
const PIECE_LEN: usize = 64 << 10;

/// A sample, and what is said of it: the sound and the screen of one call are a group.
struct Sample {
    file: &'static str,
    media: &'static [u8],
    duration_s: f64,
    agent: &'static str,
    group: Option<&'static str>,
    tag: &'static str,
}

macro_rules! sample {
    ($file:literal, $duration_s:literal, $agent:literal, $group:expr, $tag:literal) => {
        Sample {
            file: $file,
            media: include_bytes!(concat!("../../player-demo/samples/", $file)),
            duration_s: $duration_s,
            agent: $agent,
            group: $group,
            tag: $tag,
        }
    };
}

/// The samples, in the order in which the player lists them.
const SAMPLES: &[Sample] = &[
    sample!("call-billing-wav-pcm.wav", 12.0, "agent-17", None, "billing"),
    sample!("call-dispatch-wav-mulaw.wav", 20.0, "agent-4", Some("dispatch-1"), "dispatch"),
    sample!("screen-form-webm.webm", 20.0, "agent-4", Some("dispatch-1"), "dispatch"),
    sample!("call-archive-wav-gsm.wav", 15.0, "agent-17", None, "archive"),
    sample!("call-reminder-mp3.mp3", 20.0, "agent-9", None, "reminder"),
    sample!("call-triage-opus.ogg", 25.0, "agent-4", None, "triage"),
    sample!("screen-transfer-mp4.mp4", 30.0, "agent-9", None, "transfer"),
];

#[derive(Args)]
pub(super) struct Arguments {
    /// Where to listen [default: 127.0.0.1:8080, or a free port if that is taken]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_listen)]
    listen: Option<Listen>,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Result<ExitCode, Failure> {
    if global.config.is_some() || global.data_dir.is_some() {
        return Err(Failure::new("the demo is a throwaway system of its own")
            .advise("leave --config and --data-dir out; `sealtape serve` serves your own recordings"));
    }
    let signals = Signals::listen()?;
    let folder = tempfile::Builder::new()
        .prefix("sealtape-demo-")
        .tempdir()
        .map_err(|error| Failure::new(format!("a folder for the demo: {error}")))?;
    let listener = match arguments.listen {
        Some(listen) => bind(&listen, AuthMode::None).await?,
        None => match bind(&local(8080), AuthMode::None).await {
            Ok(listener) => listener,
            Err(_) => bind(&local(0), AuthMode::None).await?,
        },
    };
    // The environment of a real system has no say in a demo.
    let settings = Settings::load(&Source::DataDir(folder.path().to_owned()), std::iter::empty())?;
    let system = System::open_without_definition_key(settings, Purpose::Use).await?;
    let keys = fill(&system).await?;
    let settings = ServerSettings { drain_timeout: DRAIN_TIMEOUT, ..server_settings(&system, None) };
    let listening = listening(&system.settings, &system.clock).await?;
    let playback = Arc::new(system.playback(&keys));
    let server = server(&system, &keys, &playback, &listening, listener, settings, true)?;
    let url = server.url();
    let sign_in = format!("{url}#token={}", token(&system)?);
    let storage = system.settings.storage.folder().unwrap_or(Path::new(""));
    if global.json {
        print::json(&serde_json::json!({ "url": url, "sign_in": sign_in, "storage": storage }))?;
    } else {
        print::line(&format!("{} sample recordings lie sealed in {}", SAMPLES.len(), storage.display()))?;
        print::line(&format!("Open {sign_in} to play them. Ctrl-C ends the demo and removes everything."))?;
    }
    let watching =
        Watching { keys, playback, listening, interval: system.settings.reload_interval, tls: None, scrub: None };
    run_until_stopped(server, watching, Duration::ZERO, signals).await;
    drop(folder);
    Ok(ExitCode::SUCCESS)
}

/// What signs the demo's browser in: everybody on this machine may play the demo, and the playback record tells its
/// browser from them.
fn token(system: &System) -> Result<String, Failure> {
    let key = LocalKey::read_or_make(&system.settings.auth.token_key_file, true)?;
    let subject = "demo".parse().unwrap_or_else(|()| Subject::local());
    let new = NewToken { subject, scopes: Scope::ALL.to_vec(), recordings: None, ttl: TOKEN_TTL };
    Ok(key.sign(&new, (system.clock)()).map_err(Failure::new)?.token)
}

fn local(port: u16) -> Listen {
    Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], port)))
}

/// Makes keys, seals the samples, and adds one recording of each failure.
async fn fill(system: &System) -> Result<Arc<KeyWatch>, Failure> {
    let path = system.settings.data_dir.clone().unwrap_or_default().join("definition.key");
    crate::kms::FileDefinitionKeys::at(&path).generate()?;
    system.key_ops()?.generate().await?;
    let keys = system.keys().await?;
    let ingest = system.ingest(&keys);
    // Listed newest first, so those to be seen first come last.
    add_failures(system, &ingest).await?;
    let companions = system.companions(&keys);
    for sample in SAMPLES.iter().rev() {
        let recording = add(&ingest, new(sample.file, None), Cursor::new(sample.media)).await?;
        companions.describe(&recording, &sample.metadata()).await?;
        // Each a moment later than the one before, so that the order is the same each time.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(keys)
}

async fn add_failures(system: &System, ingest: &Ingest) -> Result<(), Failure> {
    let Some(Sample { file: name, media: bytes, .. }) = SAMPLES.first() else { return Ok(()) };
    add_with_missing_key(system, &id("failure-key-missing")?, bytes).await?;
    add(ingest, new(name, Some(id("failure-corrupt")?)), Cursor::new(bytes)).await?;
    damage(system, &id("failure-corrupt")?).await?;
    let unfinished = NewRecording { is_live: true, ..new(name, Some(id("failure-unfinished")?)) };
    add(ingest, unfinished, BreaksOff(bytes.get(..bytes.len() / 2).unwrap_or_default())).await?;
    add(ingest, new(name, Some(id("failure-media-missing")?)), Cursor::new(bytes)).await?;
    Ok(system.store.remove(&object(id("failure-media-missing")?)).await?)
}

async fn add(ingest: &Ingest, new: NewRecording, media: impl Read + Send + 'static) -> Result<RecordingId, Failure> {
    let (_sender, mut stop) = Stop::channel();
    let ingested = ingest.ingest(new, &mut ReaderSource::new(media, PIECE_LEN), &mut stop, &|_| {}).await?;
    Ok(ingested.recording.id)
}

impl Sample {
    fn metadata(&self) -> Metadata {
        Metadata {
            duration_s: Some(self.duration_s),
            agent: Some(self.agent.into()),
            group: self.group.map(Into::into),
            tags: vec![self.tag.into()],
            ..Metadata::default()
        }
    }
}

/// A recording sealed under a key that nobody has kept.
async fn add_with_missing_key(system: &System, id: &RecordingId, media: &[u8]) -> Result<(), Failure> {
    let lost = |error: crate::crypto::Error| Failure::new(error);
    let key = Key::generate().map_err(lost)?;
    let fingerprint = database_key_fingerprint(&key);
    let sealed_at: Timestamp = (system.clock)();
    let media_type = crate::service::detect_media_type(media, None);
    let sealing = Sealing {
        id: id.clone(),
        role: Role::Media,
        media_type: media_type.clone(),
        chunk_len: ChunkLen::FILE,
        mended: false,
        sealed_at,
    };
    let failed = |error: crate::sealed::Error| Failure::new(error);
    let (mut sealer, header) = Sealer::new(sealing, fingerprint, &key).map_err(failed)?;
    let mut file = header.to_vec();
    sealer.update(media, &mut file).map_err(failed)?;
    let sealed = sealer.finish(&mut file);
    let mut writer = system.store.create(&object(id.clone())).await?;
    writer.append(file).await?;
    writer.finish().await?;
    let recording = Recording {
        id: id.clone(),
        media_type,
        media_len: sealed.media_len,
        state: RecordingState::Complete,
        mended: false,
        created_at: sealed_at,
        content: Content::Sealed { fingerprint, seal_id: sealed.seal_id, replacement: None },
        spool: None,
        about: None,
    };
    Ok(system.database.add_recording(&recording).await?)
}

/// Flips one bit of the first chunk and one of the last, as a failing disk or a meddler might.
async fn damage(system: &System, id: &RecordingId) -> Result<(), Failure> {
    let url = system.store.location(&object(id.clone()));
    let path = url::Url::parse(&url).ok().and_then(|url| url.to_file_path().ok()).unwrap_or_else(|| PathBuf::from(url));
    let flip = || -> io::Result<()> {
        let mut file = std::fs::read(&path)?;
        let last = file.len() - 1;
        for at in [HEADER_LEN, last] {
            if let Some(byte) = file.get_mut(at) {
                *byte ^= 1;
            }
        }
        std::fs::write(&path, file)
    };
    flip().map_err(|error| super::failure::io(&path, &error))
}

/// Gives what it has and then fails, as a recorder that loses its power.
struct BreaksOff(&'static [u8]);

impl Read for BreaksOff {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Ok(0) => Err(io::ErrorKind::ConnectionReset.into()),
            other => other,
        }
    }
}

fn new(name: &str, id: Option<RecordingId>) -> NewRecording {
    NewRecording { id, media_type: None, name: Some(PathBuf::from(name)), exempt: false, is_live: false }
}

fn object(id: RecordingId) -> MediaObject {
    MediaObject::media(id, MediaKind::Sealed, Stage::Final)
}

fn id(text: &str) -> Result<RecordingId, Failure> {
    Ok(text.parse()?)
}
