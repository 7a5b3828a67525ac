//! "What is sealed, and when" holds for every sequence of commands, and for a server beside them.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use proptest::{
    prelude::{Just, ProptestConfig, Strategy, any},
    prop_oneof,
    test_runner::TestRunner,
};
use sealtape::base::Timestamp;
use serde_json::{Value, json};

use super::{fingerprint, generate, import_keys, key, keys, meddling::sql, recordings};
use crate::support::{PASSPHRASE, Server, System, copy_folder, handmade_export, handmade_key, media, now, text};

const PATIENCE: Duration = Duration::from_secs(3);
const STEPS: usize = 8;

/// A command. Numbers choose among the keys that there are then.
#[derive(Clone, Copy, Debug)]
enum Step {
    Generate,
    Deactivate(usize),
    Activate(usize),
    Enable,
    Disable,
    ImportKeys,
    /// A file that another system sealed under one of the keys that `ImportKeys` brings.
    TakeIn(usize),
    Exempt,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Generate),
        4 => (0..6_usize).prop_map(Step::Deactivate),
        3 => (0..6_usize).prop_map(Step::Activate),
        2 => Just(Step::Enable),
        2 => Just(Step::Disable),
        2 => Just(Step::ImportKeys),
        1 => (0..2_usize).prop_map(Step::TakeIn),
        1 => Just(Step::Exempt),
    ]
}

/// The table of the promises, in its own words.
#[derive(Default)]
struct Model {
    keys: Vec<ModelKey>,
    /// Switched on, off, or never touched.
    switch: Option<bool>,
    /// By ID, the key that they are sealed under; none for those in plain.
    recordings: BTreeMap<String, (Option<String>, Vec<u8>)>,
}

#[derive(Clone)]
struct ModelKey {
    fingerprint: String,
    created_at: Timestamp,
    is_generated_here: bool,
    is_active: bool,
}

/// What becomes of a new recording.
#[derive(Debug, PartialEq)]
enum Kept {
    Plain,
    Sealed(String),
    Refused,
}

impl ModelKey {
    fn listed(key: &Value) -> Self {
        Self {
            fingerprint: fingerprint(key),
            created_at: key["created_at"].as_str().expect("a time").parse().expect("RFC 3339"),
            is_generated_here: key["origin"] == "generated",
            is_active: key["state"] == "active",
        }
    }
}

impl Model {
    /// "Encryption becomes active as soon as the first database key is generated or imported, unless it was switched
    /// off before."
    fn is_on(&self) -> bool {
        self.switch.unwrap_or(!self.keys.is_empty())
    }

    fn has_active(&self) -> bool {
        self.keys.iter().any(|key| key.is_active)
    }

    /// "The wrapping key is the newest (created_at, then fingerprint) active key generated here; an imported one wraps
    /// only while no active one was generated here."
    fn wrapping(&self) -> Option<&str> {
        let newest = |is_generated_here: bool| {
            let mut some: Vec<&ModelKey> = self.keys.iter().collect();
            some.retain(|key| key.is_active && key.is_generated_here == is_generated_here);
            some.sort_by_key(|key| (key.created_at, key.fingerprint.clone()));
            some.last().map(|key| key.fingerprint.as_str())
        };
        newest(true).or_else(|| newest(false))
    }

    fn new_recording(&self) -> Kept {
        match (self.is_on(), self.wrapping()) {
            (false, _) => Kept::Plain,
            (true, Some(key)) => Kept::Sealed(key.into()),
            (true, None) => Kept::Refused,
        }
    }

    fn problem(&self, sealed_under: Option<&str>) -> Option<&'static str> {
        let wanted = sealed_under?;
        if self.switch == Some(false) {
            return Some("encryption-disabled");
        }
        match self.keys.iter().find(|key| key.fingerprint == wanted) {
            None => Some("key-missing"),
            Some(key) => (!key.is_active).then_some("key-deactivated"),
        }
    }

    fn key_mut(&mut self, fingerprint: &str) -> &mut ModelKey {
        self.keys.iter_mut().find(|key| key.fingerprint == fingerprint).expect("is there")
    }
}

/// What sequences begin with, made once.
struct Fixture {
    /// Its catalogue knows a recording whose key it does not have: the one without any key, and the one with a key
    /// that is older than one of those that `export` holds.
    without_key: System,
    with_older_key: System,
    /// Three keys of another system: one older than any, one newer than the older key, and a deactivated one.
    export: Vec<u8>,
    exported: Vec<Value>,
    /// Files sealed under the first two.
    sealed: Vec<PathBuf>,
    _other: System,
}

const OLD_ID: &str = "lost";
const OLD_LEN: usize = 4000;

impl Fixture {
    fn new() -> Self {
        let other = System::empty();
        let oldest = handmade_key(1, "2001-02-03T04:05:06.789Z", "active");
        import_keys(&other, &handmade_export(std::slice::from_ref(&oldest)));
        other.import(OLD_ID, &media(OLD_LEN));
        let system = |generates: bool| {
            let system = System::empty();
            copy_folder(&other.data_dir(), &system.data_dir());
            sql(&system, "DELETE FROM database_key; DELETE FROM setting");
            if generates {
                generate(&system);
            }
            system
        };
        let (without_key, with_older_key) = (system(false), system(true));
        let newer = handmade_key(2, &now().to_string(), "active");
        let deactivated = handmade_key(3, "2010-01-01T00:00:00Z", "deactivated");
        let older = ModelKey::listed(&keys(&with_older_key)[0]).created_at;
        assert!(older < newer["created_at"].as_str().expect("a time").parse().expect("a time"));
        other.import("sealed-0", &media(5000));
        import_keys(&other, &handmade_export(std::slice::from_ref(&newer)));
        other.import("sealed-1", &media(5001));
        let exported = vec![oldest, newer, deactivated];
        let sealed = ["sealed-0", "sealed-1"].map(|id| other.file(id, &other.object(id).read())).to_vec();
        for (number, key) in exported.iter().take(2).enumerate() {
            let shown = other.json(&["recordings", "show", &format!("sealed-{number}")]);
            assert_eq!(shown["fingerprint"], key["fingerprint"]);
        }
        let export = handmade_export(&exported);
        Self { without_key, with_older_key, export, exported, sealed, _other: other }
    }

    /// Runs a sequence and holds everything that can be seen against the model after each step.
    fn run(&self, has_older_key: bool, steps: &[Step]) {
        let system = System::empty();
        let template = if has_older_key { &self.with_older_key } else { &self.without_key };
        copy_folder(&template.data_dir(), &system.data_dir());
        let mut run = Run { fixture: self, server: system.serve(), system, model: Model::default(), number: 0 };
        run.model.keys = keys(&run.system).iter().map(ModelKey::listed).collect();
        let lost = (Some(fingerprint(&self.exported[0])), media(OLD_LEN));
        run.model.recordings.insert(OLD_ID.into(), lost);
        run.look("at first");
        for step in steps {
            run.take(*step);
            run.look(&format!("after {step:?}"));
        }
    }
}

struct Run<'a> {
    fixture: &'a Fixture,
    system: System,
    server: Server,
    model: Model,
    number: usize,
}

impl Run<'_> {
    fn take(&mut self, step: Step) {
        match step {
            Step::Generate => {
                let made = generate(&self.system);
                self.model.keys.push(ModelKey {
                    is_generated_here: true,
                    is_active: true,
                    ..ModelKey::listed(&key(&self.system, &made))
                });
            }
            Step::Deactivate(which) => self.change_state("deactivate", which, &["--force"], false),
            Step::Activate(which) => self.change_state("activate", which, &[], true),
            Step::Enable if self.model.has_active() => {
                self.system.ok(&["encryption", "enable"]);
                self.model.switch = Some(true);
            }
            Step::Enable => {
                let error = self.system.fails(1, &["encryption", "enable"]);
                assert!(error.contains("keys generate"), "{error}");
            }
            Step::Disable => {
                self.system.ok(&["encryption", "disable"]);
                self.model.switch = Some(false);
            }
            Step::ImportKeys => self.import_keys(),
            Step::TakeIn(which) => self.take_in(which),
            Step::Exempt => {
                let (id, media) = self.next_recording();
                let source = self.system.file(&id, &media);
                self.system.ok(&["import", source.to_str().expect("UTF-8"), "--exempt"]);
                self.model.recordings.insert(id, (None, media));
            }
        }
    }

    fn change_state(&mut self, command: &str, which: usize, more: &[&str], is_active: bool) {
        let Some(index) = which.checked_rem(self.model.keys.len()) else {
            self.system.fails(1, &["keys", command, "0123456789"]);
            return;
        };
        let wanted = self.model.keys[index].fingerprint.clone();
        self.system.ok(&[&["keys", command, &wanted], more].concat());
        self.model.key_mut(&wanted).is_active = is_active;
    }

    fn import_keys(&mut self) {
        let exported = &self.fixture.exported;
        let is_here = |key: &&Value| self.model.keys.iter().any(|here| here.fingerprint == fingerprint(key));
        let new: Vec<&Value> = exported.iter().filter(|key| !is_here(key)).collect();
        if new.is_empty() {
            let path = self.system.file("keys.age", &self.fixture.export);
            let mut command = self.system.command(&["keys", "import", path.to_str().expect("UTF-8")]);
            let output = command.env("SEALTAPE_PASSPHRASE", PASSPHRASE).output().expect("runs");
            assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
            return;
        }
        let said = import_keys(&self.system, &self.fixture.export);
        let new: Vec<ModelKey> =
            new.into_iter().map(|key| ModelKey { is_generated_here: false, ..ModelKey::listed(key) }).collect();
        let names: Vec<&str> = new.iter().map(|key| key.fingerprint.as_str()).collect();
        assert_eq!(said["imported"], json!(names));
        self.model.keys.extend(new);
    }

    /// A file that is sealed already is taken in as it is, where its key is here and active.
    fn take_in(&mut self, which: usize) {
        let source = self.fixture.sealed[which].to_str().expect("UTF-8").to_owned();
        let id = format!("sealed-{which}");
        let wanted = fingerprint(&self.fixture.exported[which]);
        let has_key = self.model.keys.iter().any(|key| key.fingerprint == wanted && key.is_active);
        if has_key && !self.model.recordings.contains_key(&id) {
            self.system.ok(&["import", &source]);
            self.model.recordings.insert(id, (Some(wanted), media(5000 + which)));
        } else {
            let files = self.system.objects();
            self.system.fails(1, &["import", &source]);
            assert_eq!(self.system.objects(), files);
        }
    }

    fn next_recording(&mut self) -> (String, Vec<u8>) {
        self.number += 1;
        (format!("r{}", self.number), media(1000 + self.number))
    }

    /// Everything that can be seen is as the model says.
    fn look(&mut self, when: &str) {
        self.import_one(when);
        let listed = keys(&self.system);
        let wraps = match self.model.new_recording() {
            Kept::Sealed(key) => Some(key),
            Kept::Plain | Kept::Refused => None,
        };
        assert_eq!(listed.len(), self.model.keys.len(), "{when}");
        for key in &listed {
            let ModelKey { fingerprint, created_at, is_generated_here, is_active } = ModelKey::listed(key);
            let expected = self.model.key_mut(&fingerprint).clone();
            assert_eq!(
                (created_at, is_generated_here, is_active),
                (expected.created_at, expected.is_generated_here, expected.is_active),
                "{when}"
            );
            let is_under = |recording: &&(Option<String>, Vec<u8>)| recording.0.as_ref() == Some(&fingerprint);
            let under = self.model.recordings.values().filter(is_under).count();
            let wraps_new = wraps.as_ref() == Some(&fingerprint);
            assert_eq!((&key["wraps_new"], &key["recordings"]), (&json!(wraps_new), &json!(under)), "{when}: {key}");
        }
        // From the first key on it says what that means, so that lost keys never make new recordings plain.
        let switch = match (self.model.switch, self.model.keys.is_empty()) {
            (Some(false), _) => "disabled",
            (Some(true), _) | (None, false) => "enabled",
            (None, true) => "untouched",
        };
        let mut status = self.system.json(&["encryption", "status"]);
        // What lies in plain is tried where that is counted.
        status.as_object_mut().expect("an object").remove("plain");
        let expected = json!({
            "switch": switch, "active": self.model.is_on(), "wraps_new": wraps, "database_keys": listed.len(),
        });
        assert_eq!(status, expected, "{when}");

        let mut found = BTreeMap::new();
        for recording in recordings(&self.system) {
            let id = recording["id"].as_str().expect("an ID").to_owned();
            let (sealed_under, _) = self.model.recordings.get(&id).expect("was taken in");
            let problem = self.model.problem(sealed_under.as_deref());
            assert_eq!(
                (&recording["sealed"], &recording["fingerprint"], &recording["playable"]),
                (&json!(sealed_under.is_some()), &json!(sealed_under), &json!(problem.is_none())),
                "{when}: {id}"
            );
            assert_eq!(recording["problem"]["code"].as_str(), problem, "{when}: {id}");
            found.insert(id, problem);
        }
        assert_eq!(found.len(), self.model.recordings.len(), "{when}");
        for (id, problem) in found {
            let answers = |server: &Server| {
                let reply = server.get(&format!("/recordings/{id}/media"));
                match problem {
                    None => reply.status == 200 && reply.body == self.model.recordings[&id].1,
                    Some(code) => reply.status == 409 && reply.problem() == code,
                }
            };
            let is_so = self.server.wait_until(PATIENCE, answers);
            let now =
                || self.server.get(&format!("/recordings/{id}/media")).header("playback-error").map(str::to_owned);
            assert!(is_so, "{when}: {id} should answer {problem:?} and answers {:?}", now());
        }
    }

    /// A new recording is kept as the model says, or refused without a trace.
    fn import_one(&mut self, when: &str) {
        let (id, media) = self.next_recording();
        let source = self.system.file(&id, &media);
        let source = source.to_str().expect("UTF-8");
        let files = self.system.objects();
        let sealed_under = match self.model.new_recording() {
            Kept::Refused => {
                let error = self.system.fails(1, &["import", source]);
                assert!(error.contains("no-active-key"), "{when}: {error}");
                assert_eq!(self.system.objects(), files, "{when}");
                return;
            }
            Kept::Plain => None,
            Kept::Sealed(key) => Some(key),
        };
        let imported = &self.system.json(&["import", source])[0];
        assert_eq!(
            (&imported["sealed"], &imported["fingerprint"]),
            (&json!(sealed_under.is_some()), &json!(sealed_under)),
            "{when}"
        );
        let stored = self.system.object(&id).read();
        assert_eq!(stored == media, sealed_under.is_none(), "{when}");
        self.model.recordings.insert(id, (sealed_under, media));
    }
}

/// Each row of the table, and each way from one to another, at least once.
#[test]
fn the_table_holds_row_by_row() {
    use Step::{Activate, Deactivate, Disable, Enable, Exempt, Generate, ImportKeys, TakeIn};
    let fixture = Fixture::new();
    // No key was ever there; imported keys alone, newest first; then one of its own.
    fixture.run(
        false,
        &[
            Enable,
            TakeIn(0),
            ImportKeys,
            Deactivate(1),
            TakeIn(1),
            Deactivate(0),
            Exempt,
            Activate(2),
            Generate,
            ImportKeys,
        ],
    );
    // Switched off before the first key: it stays so.
    fixture.run(false, &[Disable, Generate, ImportKeys, TakeIn(0), Enable, Deactivate(0), Disable, Enable]);
    // A newer imported key does not wrap while an older one of its own is active.
    fixture.run(
        true,
        &[ImportKeys, Deactivate(0), Deactivate(1), Deactivate(2), Enable, Activate(0), Disable, Deactivate(0)],
    );
}

#[test]
fn the_table_holds_for_every_sequence_of_commands() {
    let cases = if std::env::var_os("SEALTAPE_TESTS_FULL").is_some() { 60 } else { 10 };
    let config = ProptestConfig { cases, max_shrink_iters: 24, failure_persistence: None, ..ProptestConfig::default() };
    let fixture = Fixture::new();
    let sequences = (any::<bool>(), proptest::collection::vec(step(), STEPS));
    let outcome = TestRunner::new(config).run(&sequences, |(has_older_key, steps)| {
        fixture.run(has_older_key, &steps);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
