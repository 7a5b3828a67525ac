//! The manual: prose only. Each chapter is a Markdown file beside this one, shown by rustdoc under its own name, so
//! that the compiler checks every link in it.
//!
//! | chapter | for whoever |
//! |---|---|
//! | [`mod@format`] | reads or writes sealed files, or must be sure to read them in twenty years; normative |
//! | [`keys`] | holds keys, backs them up, or asks what a stolen disk is worth |
//! | [`key_managers`] | has a key manager or a token hold the definition key: KMIP, PKCS#11 |
//! | [`playback`] | wants to know how a request becomes bytes, or why it does not |
//! | [`recordings`] | describes, finds, keeps or purges recordings |
//! | [`ingest`] | has recordings taken in: PUT, watch folders, and what becomes of writers that vanish |
//! | [`configuration`] | sets up a server |
//! | [`operations`] | brings recordings in, and looks after them |
//! | [`serving`] | puts it before players: connections, limits, times, TLS, stopping, systemd |
//! | [`cluster`] | outgrows one machine: PostgreSQL, an object store, several proxies, a balancer, how much of everything |
//! | [`mod@access`] | decides who may listen: tokens, links, a proxy that signs in, other origins |
//! | [`embedding`] | puts recordings into pages of their own, uses other players, or checks an installation |
//! | [`record`] | must know, or prove, who listened to what |
//! | [`verifying`] | must know that every recording is whole, or has one that is not |
//! | [`observing`] | watches it: metrics, dashboard, logs, traces |
//! | [`speed`] | asks what it costs beside plain files, what limits it, and how to measure |
//! | [`threats`] | asks what can be tried against it, by whom, and which test holds |
//! | [`assurance`] | asks what of the promises was measured, when, and by which command |
//! | [`glossary`] | meets a word that is used here in one sense only |
//! | [`decisions`] | asks why it was done so and not otherwise |
//!
//! The chapters describe the version that they lie in. What that version does not do yet is said at the end of a
//! chapter. The commands are described by `sealtape --help`, each problem by its page under `/problems/`.

// The sealed file: every byte, and the rules for those who write and read it.
#[doc = include_str!("format.md")]
pub mod format {}

// Definition key, database keys, file keys: where they lie and what each of them opens.
#[doc = include_str!("keys.md")]
pub mod keys {}

// Definition keys that live elsewhere: KMIP, PKCS#11.
#[doc = include_str!("key_managers.md")]
pub mod key_managers {}

// One request, from the recording's ID to verified bytes.
#[doc = include_str!("playback.md")]
pub mod playback {}

// Metadata, search, sidecars, legal hold, purging, retention.
#[doc = include_str!("recordings.md")]
pub mod recordings {}
// PUT and watch folders: how recordings come in, and what is left of those that break off.
#[doc = include_str!("ingest.md")]
pub mod ingest {}

// Every setting, with its default.
#[doc = include_str!("configuration.md")]
pub mod configuration {}

// An existing archive, and what is left of it.
#[doc = include_str!("operations.md")]
pub mod operations {}

// Connections, limits, times, TLS, stopping, systemd.
#[doc = include_str!("serving.md")]
pub mod serving {}

// Several proxies, and how much of everything.
#[doc = include_str!("cluster.md")]
pub mod cluster {}

// Tokens, links, scopes, a trusted proxy, other origins.
#[doc = include_str!("access.md")]
pub mod access {}

// The web component, everyone else's players, the QA page.
#[doc = include_str!("embedding.md")]
pub mod embedding {}

// Who listened to what, in a chain that shows every change.
#[doc = include_str!("record.md")]
pub mod record {}

// Faults and what to do about them, repair, salvage, scrub.
#[doc = include_str!("verifying.md")]
pub mod verifying {}

// Metrics, dashboard, logs, traces.
#[doc = include_str!("observing.md")]
pub mod observing {}

// What it costs, what limits it, how it is measured.
#[doc = include_str!("speed.md")]
pub mod speed {}

// Assets, actors, threats, and the tests that hold.
#[doc = include_str!("threats.md")]
pub mod threats {}

// Promises, figures, and the commands that measure them.
#[doc = include_str!("assurance.md")]
pub mod assurance {}

// The words.
#[doc = include_str!("glossary.md")]
pub mod glossary {}

// What was decided, when, and what else was considered.
#[doc = include_str!("decisions.md")]
pub mod decisions {}
