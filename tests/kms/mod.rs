//! Definition keys that live elsewhere: in a key manager over KMIP, in a token behind PKCS#11. What every holder promises,
//! the life of a system on each, and what is said when they are away, lost, or somebody else.

mod away;
mod conformance;
mod elsewhere;
mod key_manager_trouble;
mod lost;
mod memory;
mod next_key;
mod not_bound;
mod shim;
mod token_trouble;

use std::time::Duration;

use serde_json::Value;

use crate::support::{Server, System};

/// What lives elsewhere, by its kind and mode.
const KINDS: [&str; 3] = ["kmip", "kmip-get", "pkcs11"];
/// A change is seen within a second; a machine that does much else takes its time.
const SOON: Duration = Duration::from_secs(20);

fn status(system: &System) -> Value {
    system.json(&["definition-key", "status"])
}

fn ready(server: &Server) -> Value {
    server.get("/readyz").json()
}

fn is_degraded(server: &Server, by: &str) -> bool {
    ready(server)["degraded"].as_array().expect("a list").iter().any(|word| word == by)
}
