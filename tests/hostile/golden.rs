//! Sealed files that an independent writer made, with the keys and the media that it says they have.

use sealtape::{base::RecordingId, crypto::Key};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A golden file, and what is secret about it.
pub struct Golden {
    pub file: &'static [u8],
    pub id: RecordingId,
    pub database_key: [u8; 32],
    pub file_key: [u8; 32],
    pub media: Vec<u8>,
}

impl Golden {
    /// The file of that name, which must be one that is complete.
    pub fn new(name: &str, file: &'static [u8]) -> Self {
        let manifest: Value = serde_json::from_slice(include_bytes!("../../src/sealed/golden/manifest.json")).unwrap();
        let entry = find(&manifest["files"], "file", name);
        let sealing = &entry["sealing"];
        let database_key = find(&manifest["database_keys"], "name", sealing["database_key"].as_str().unwrap());
        Self {
            file,
            id: entry["ask"]["id"].as_str().unwrap().parse().unwrap(),
            database_key: secret(&database_key["key"]),
            file_key: secret(&sealing["file_key"]),
            media: media(entry["media_seed"].as_u64().unwrap(), entry["media_len"].as_u64().unwrap() as usize),
        }
    }

    pub fn key(&self) -> Key {
        Key::take(&mut self.database_key.clone())
    }
}

fn find<'a>(list: &'a Value, field: &str, text: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|entry| entry[field] == text).unwrap()
}

fn secret(text: &Value) -> [u8; 32] {
    hex::decode(text.as_str().unwrap()).unwrap().try_into().unwrap()
}

/// As `media_rule` in the manifest has it.
fn media(seed: u64, len: usize) -> Vec<u8> {
    let block = |j: u64| {
        let mut digest = Sha256::new();
        digest.update(b"sealtape golden media");
        digest.update(seed.to_be_bytes());
        digest.update(j.to_be_bytes());
        digest.finalize()
    };
    (0..).flat_map(block).take(len).collect()
}
