//! Sessions, against a record in a folder.

use serde_json::Value;

use super::*;
use crate::access::Grant;
use crate::base::Timestamp;

struct Fixture {
    folder: tempfile::TempDir,
    listening: Arc<Listening>,
}

fn fixture(on_failure: OnFailure, sessions_max: usize) -> Fixture {
    let folder = tempfile::tempdir().expect("folder");
    let clock: audit::Clock = Arc::new(|| Timestamp::from_millis(1_764_000_000_123).expect("a time"));
    let log = Arc::new(AuditLog::new(&folder.path().join("audit"), clock));
    let settings = ListeningSettings {
        on_failure,
        progress_interval: Duration::from_millis(20),
        idle: Duration::from_millis(200),
    };
    Fixture { listening: Listening::start_with(log, settings, sessions_max, Duration::from_millis(10)), folder }
}

impl Fixture {
    fn events(&self) -> Vec<Value> {
        let Ok(text) = std::fs::read_to_string(self.folder.path().join("audit/playback-000001.jsonl")) else {
            return vec![];
        };
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
            .filter(|event| event["event"] != "begun")
            .collect()
    }

    /// The events, once there is one of that kind.
    async fn events_with(&self, kind: &str) -> Vec<Value> {
        for _ in 0..500 {
            let events = self.events();
            if events.iter().any(|event| event["event"] == kind) {
                return events;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no {kind}: {:?}", self.events());
    }

    async fn begin(&self, agent: &str, recording: &str, request: &str) -> Result<Listener, ListeningError> {
        let player = Arc::new(Player::new(&Grant::everything(), "192.0.2.1", Some(agent.as_bytes())));
        self.listening.begin(&player, Heard::of(recording, 2000), request).await
    }
}

#[tokio::test]
async fn many_ranges_of_a_player_are_one_session() {
    let fixture = fixture(OnFailure::Refuse, 10);
    let mut listeners = Vec::new();
    for i in 0..20 {
        let listener = fixture.begin("player", "call", &format!("r{i}")).await.expect("recorded");
        assert_eq!(fixture.events()[0]["event"], "opened", "it is in the file before a byte leaves");
        listener.handed(i * 100..(i + 1) * 100);
        listeners.push(listener);
    }
    assert_eq!(fixture.events_with("progress").await.len(), 2);
    drop(listeners);
    let events = fixture.events_with("closed").await;
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    assert_eq!((of("opened").len(), of("closed").len()), (1, 1));
    let (opened, closed) = (of("opened")[0], of("closed")[0]);
    assert_eq!(opened["session"], closed["session"]);
    assert_eq!(
        (&opened["subject"], &opened["credential"], &opened["peer"]),
        (&"local".into(), &"local".into(), &"192.0.2.1".into())
    );
    assert_eq!((&opened["fingerprint"], &opened["user_agent"]), (&"f00d".into(), &"player".into()));
    assert_eq!(closed["spans"], serde_json::json!([[0, 1999]]));
    assert_eq!((&closed["bytes"], &closed["requests"]), (&2000.into(), &20.into()));
    assert_eq!(
        (&closed["outcome"], &closed["closed_by"], &closed["verification"]),
        (&"complete".into(), &"idle".into(), &"verified".into())
    );
    assert_eq!(closed["request_ids"].as_array().map(Vec::len), Some(8));
    let progressed: u64 = of("progress").iter().filter_map(|event| event["bytes"].as_u64()).sum();
    assert_eq!(progressed, 2000);
}

#[tokio::test]
async fn players_that_begin_at_once_share_one_event_and_others_have_their_own() {
    let fixture = Arc::new(fixture(OnFailure::Refuse, 100));
    let begun: Vec<_> = (0..40)
        .map(|i| {
            let fixture = Arc::clone(&fixture);
            tokio::spawn(async move { fixture.begin(&format!("player {}", i % 4), "call", "r").await })
        })
        .collect();
    let mut listeners = Vec::new();
    for begun in begun {
        listeners.push(begun.await.expect("ran").expect("recorded"));
    }
    assert_eq!(fixture.events().len(), 4);
    listeners[0].failed(ErrorCode::RecordingCorrupt);
    fixture.listening.close_all().await;
    let outcomes: Vec<String> = fixture
        .events()
        .iter()
        .filter(|event| event["event"] == "closed")
        .map(|event| format!("{} {}", event["outcome"], event["verification"]))
        .collect();
    assert_eq!(outcomes.len(), 4);
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "\"cut:recording-corrupt\" \"failed\"").count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "\"left\" \"verified\"").count(), 3);
}

#[tokio::test]
async fn the_idlest_session_makes_room_and_active_ones_do_not() {
    let fixture = fixture(OnFailure::Refuse, 2);
    drop(fixture.begin("a", "call", "r").await.expect("recorded"));
    let _b = fixture.begin("b", "call", "r").await.expect("recorded");
    let _c = fixture.begin("c", "call", "r").await.expect("recorded");
    let events = fixture.events_with("closed").await;
    let closed = events.iter().find(|event| event["event"] == "closed").expect("closed");
    assert_eq!((&closed["user_agent"], &closed["closed_by"]), (&"a".into(), &"crowded".into()));
    assert!(matches!(fixture.begin("d", "call", "r").await, Err(ListeningError::TooMany)));
}

#[tokio::test]
async fn what_cannot_be_recorded_is_refused_or_goes_on_as_settings_say() {
    let refusing = fixture(OnFailure::Refuse, 10);
    let path = refusing.folder.path().join("audit");
    std::fs::write(&path, "in the way").expect("written");
    let error = refusing.begin("a", "call", "r").await.err().expect("refused");
    assert_eq!(error.code(), ErrorCode::AuditUnavailable);
    std::fs::remove_file(&path).expect("removed");
    let _listener = refusing.begin("a", "call", "r").await.expect("recovered by itself");
    assert_eq!(refusing.events().len(), 1);

    let going_on = fixture(OnFailure::Continue, 10);
    let path = going_on.folder.path().join("audit");
    std::fs::write(&path, "in the way").expect("written");
    let listener = going_on.begin("a", "call", "r").await.expect("goes on");
    listener.handed(0..10);
    assert!(going_on.listening.log().health().is_some());
    std::fs::remove_file(&path).expect("removed");
    let events = going_on.events_with("opened").await;
    assert_eq!(events[0]["user_agent"], "a", "told late, and not lost");
}
