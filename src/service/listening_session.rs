//! One session: one player, one version of one recording, and what it was given of it.

use std::{
    hash::{Hash, Hasher},
    ops::{Deref, Range},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::OpenRecording;
use crate::access::{Credential, Grant};
use crate::audit::{self, Event, EventKind, Spans, bounded};
use crate::base::ErrorCode;
use crate::catalogue::RecordingState;
use crate::crypto::{Sha256Digest, random};

/// How many requests of a session are named.
const REQUESTS_NAMED_MAX: usize = 8;

/// Who listens, as far as it can be told.
#[derive(Clone, Debug)]
pub struct Player {
    subject: String,
    credential: &'static str,
    minted_by: Option<String>,
    peer: String,
    user_agent: Option<String>,
    /// Of all of it.
    digest: [u8; 32],
}

impl Player {
    /// A caller, at an address, with what the client calls itself.
    #[must_use]
    pub fn new(caller: &Grant, peer: &str, user_agent: Option<&[u8]>) -> Self {
        let (credential, minted_by) = credential(caller);
        let (subject, minted_by) = (caller.subject.to_string(), minted_by.map(str::to_owned));
        let peer = bounded(peer);
        let user_agent = user_agent.map(|text| bounded(&String::from_utf8_lossy(text)));
        let digest =
            digest([Some(&subject), Some(credential), minted_by.as_deref(), Some(&peer), user_agent.as_deref()]);
        Self { subject, credential, minted_by, peer, user_agent, digest }
    }

    /// Whether [`Self::new`] would make the same of this. It may say no of what had to be changed to be told.
    #[must_use]
    pub fn is(&self, caller: &Grant, peer: &str, user_agent: Option<&[u8]>) -> bool {
        self.user_agent.as_deref().map(str::as_bytes) == user_agent
            && self.subject == caller.subject.as_str()
            && (self.credential, self.minted_by.as_deref()) == credential(caller)
            && self.peer == peer
    }

    /// An event of this player's.
    #[must_use]
    pub fn event(&self, kind: EventKind) -> Event {
        Event {
            subject: Some(self.subject.clone()),
            credential: Some(self.credential),
            minted_by: self.minted_by.clone(),
            peer: Some(self.peer.clone()),
            user_agent: self.user_agent.clone(),
            ..Event::new(kind)
        }
    }

    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    pub(super) fn peer(&self) -> &str {
        &self.peer
    }
}

/// What is listened to.
#[derive(Clone, Debug)]
pub struct Heard(Arc<HeardVersion>);

/// One version of a recording.
#[derive(Debug)]
pub struct HeardVersion {
    recording: String,
    fingerprint: Option<String>,
    seal_id: Option<String>,
    media_len: u64,
    /// Whether there is an end that one can have reached.
    is_growing: bool,
    /// Of recording and seal ID.
    digest: [u8; 32],
}

impl HeardVersion {
    fn new(recording: String, fingerprint: Option<String>, seal_id: Option<String>, media_len: u64) -> Self {
        let digest = digest([Some(&recording), seal_id.as_deref()]);
        Self { recording, fingerprint, seal_id, media_len, is_growing: false, digest }
    }
}

impl Deref for Heard {
    type Target = HeardVersion;

    fn deref(&self) -> &HeardVersion {
        &self.0
    }
}

impl From<&OpenRecording> for Heard {
    fn from(recording: &OpenRecording) -> Self {
        let heard = recording.heard.get_or_init(|| {
            let fingerprint = recording.fingerprint().map(|fingerprint| fingerprint.to_string());
            let seal_id = recording.seal_id().map(|seal_id| seal_id.to_string());
            let version = HeardVersion::new(recording.id.to_string(), fingerprint, seal_id, recording.media_len);
            let is_growing = matches!(recording.state, RecordingState::Recording { .. });
            Self(Arc::new(HeardVersion { is_growing, ..version }))
        });
        heard.clone()
    }
}

/// What makes a session one: digests of all of it, so that it takes the same room whatever callers send.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionKey {
    player: [u8; 32],
    heard: [u8; 32],
}

impl Hash for SessionKey {
    /// Half of each digest: whoever makes two of that half alike has them compared.
    fn hash<H: Hasher>(&self, state: &mut H) {
        for digest in [&self.player, &self.heard] {
            state.write(digest.first_chunk::<16>().unwrap_or(&[0; 16]));
        }
    }
}

impl SessionKey {
    pub(super) fn new(player: &Player, heard: &Heard) -> Self {
        Self { player: player.digest, heard: heard.digest }
    }
}

/// What a caller's credential is called, and who minted it.
fn credential(caller: &Grant) -> (&'static str, Option<&str>) {
    match &caller.credential {
        Credential::None => ("none", None),
        Credential::Local => ("local", None),
        Credential::Command => ("command", None),
        Credential::Token => ("token", None),
        Credential::Proxy => ("proxy", None),
        Credential::Link { minted_by } => ("link", Some(minted_by.as_str())),
    }
}

/// Of texts, each of which may be missing: where one ends and the next begins is part of it.
fn digest<const N: usize>(parts: [Option<&str>; N]) -> [u8; 32] {
    let mut digest = Sha256Digest::default();
    for part in parts {
        digest.update(&part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
        digest.update(part.unwrap_or_default().as_bytes());
    }
    digest.finish()
}

/// Whether the session's beginning is recorded.
#[derive(Clone, Debug)]
pub(super) enum Opening {
    Pending,
    Recorded,
    Failed(audit::Error),
}

pub(super) struct Session {
    id: String,
    player: Arc<Player>,
    heard: Heard,
    opening: watch::Sender<Opening>,
    activity: Mutex<Activity>,
}

struct Activity {
    /// Requests under way.
    active: u32,
    requests: u64,
    request_ids: Vec<String>,
    last_active: Instant,
    progress_at: Instant,
    spans: Spans,
    bytes: u64,
    spans_since: Spans,
    bytes_since: u64,
    media_len: u64,
    is_growing: bool,
    failure: Option<ErrorCode>,
}

impl Session {
    pub(super) fn new(player: &Arc<Player>, heard: Heard) -> Result<Self, audit::Error> {
        let now = Instant::now();
        let activity = Activity {
            active: 0,
            requests: 0,
            request_ids: Vec::new(),
            last_active: now,
            progress_at: now,
            spans: Spans::default(),
            bytes: 0,
            spans_since: Spans::default(),
            bytes_since: 0,
            media_len: 0,
            is_growing: false,
            failure: None,
        };
        Ok(Self {
            id: hex::encode(random::<8>().map_err(|_| audit::Error::NoRandom)?),
            player: Arc::clone(player),
            heard,
            opening: watch::Sender::new(Opening::Pending),
            activity: Mutex::new(activity),
        })
    }

    /// Waits until it is known whether the session is recorded.
    pub(super) async fn opening(&self) -> Opening {
        if matches!(*self.opening.borrow(), Opening::Recorded) {
            return Opening::Recorded;
        }
        let mut opening = self.opening.subscribe();
        let known = opening.wait_for(|opening| !matches!(opening, Opening::Pending)).await;
        // The sender lies in this very session.
        known.map_or(Opening::Failed(audit::Error::Closed), |opening| opening.clone())
    }

    pub(super) fn set_opening(&self, opening: Opening) {
        self.opening.send_replace(opening);
    }

    /// Since when no request is under way; none while one is, or before it is known whether it is recorded.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let is_known = !matches!(*self.opening.borrow(), Opening::Pending);
        let activity = self.activity();
        (is_known && activity.active == 0).then_some(activity.last_active)
    }

    pub(super) fn opened(&self) -> Event {
        let request_ids = self.activity().request_ids.clone();
        Event { request_ids, ..self.event(EventKind::Opened) }
    }

    /// What was given since the last time, when there is something and it is time.
    pub(super) fn progress(&self, now: Instant, interval: Duration) -> Option<Event> {
        let mut activity = self.activity();
        if activity.bytes_since == 0 || now.saturating_duration_since(activity.progress_at) < interval {
            return None;
        }
        activity.progress_at = now;
        let (spans, bytes) = (std::mem::take(&mut activity.spans_since), std::mem::take(&mut activity.bytes_since));
        drop(activity);
        let event = Event { session: Some(self.id.clone()), bytes: Some(bytes), ..Event::new(EventKind::Progress) };
        Some(
            Event {
                recording: Some(self.heard.recording.clone()),
                subject: Some(self.player.subject.clone()),
                ..event
            }
            .with_spans(spans),
        )
    }

    /// What was given in all; none when the session was never recorded, and so given nothing.
    pub(super) fn close(&self, closed_by: &'static str) -> Option<Event> {
        if !matches!(*self.opening.borrow(), Opening::Recorded) {
            return None;
        }
        let activity = self.activity();
        let is_whole = !activity.is_growing && activity.spans.covers(&(0..activity.media_len));
        let (outcome, verification) = match activity.failure {
            Some(code) => {
                let is_damage = code == ErrorCode::RecordingCorrupt;
                (format!("cut:{code}"), if is_damage { "failed" } else { self.verification() })
            }
            None if is_whole => ("complete".into(), self.verification()),
            None => ("left".into(), self.verification()),
        };
        let event = Event {
            request_ids: activity.request_ids.clone(),
            requests: Some(activity.requests),
            bytes: Some(activity.bytes),
            verification: Some(verification),
            outcome: Some(outcome),
            closed_by: Some(closed_by),
            code: activity.failure.map(ErrorCode::as_str),
            ..self.event(EventKind::Closed)
        };
        Some(event.with_spans(activity.spans.clone()))
    }

    /// Sealed media leaves verified or not at all.
    fn verification(&self) -> &'static str {
        if self.heard.seal_id.is_some() { "verified" } else { "plain" }
    }

    fn event(&self, kind: EventKind) -> Event {
        Event {
            session: Some(self.id.clone()),
            recording: Some(self.heard.recording.clone()),
            fingerprint: self.heard.fingerprint.clone(),
            seal_id: self.heard.seal_id.clone(),
            ..self.player.event(kind)
        }
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        // Nothing that holds it can panic half-way.
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request of a session, under way for as long as this is held.
pub struct Listener {
    session: Arc<Session>,
}

impl Listener {
    pub(super) fn join(session: &Arc<Session>, heard: &Heard, request_id: &str) -> Self {
        let mut activity = session.activity();
        activity.active += 1;
        activity.requests += 1;
        // A command has no request.
        if !request_id.is_empty() && activity.request_ids.len() < REQUESTS_NAMED_MAX {
            activity.request_ids.push(request_id.to_owned());
        }
        drop(activity);
        let listener = Self { session: Arc::clone(session) };
        listener.knows(heard);
        listener
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// These bytes of the media were handed to the transport.
    pub fn handed(&self, media: Range<u64>) {
        let mut activity = self.session.activity();
        let len = media.end.saturating_sub(media.start);
        activity.bytes += len;
        activity.bytes_since += len;
        activity.spans.add(media.clone());
        activity.spans_since.add(media);
    }

    /// More is known of what is heard: how long it is, or that it has come to its end.
    pub fn knows(&self, heard: &Heard) {
        let mut activity = self.session.activity();
        (activity.media_len, activity.is_growing) = (heard.media_len, heard.is_growing);
    }

    /// The answer is cut, for that reason.
    pub fn failed(&self, code: ErrorCode) {
        self.session.activity().failure.get_or_insert(code);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut activity = self.session.activity();
        activity.active -= 1;
        activity.last_active = Instant::now();
    }
}

#[cfg(test)]
impl Heard {
    pub(super) fn of(recording: &str, media_len: u64) -> Self {
        Self(Arc::new(HeardVersion::new(recording.into(), Some("f00d".into()), Some("5ea1".into()), media_len)))
    }
}
