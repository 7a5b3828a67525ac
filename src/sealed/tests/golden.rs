//! Every golden file, as the independent writer in `tests/format/golden.py` made it, means here what it means there.

use std::{collections::HashMap, fs, path::PathBuf};

use serde_json::Value;

use super::{id, open_as, play};
use crate::base::{Fingerprint, SidecarName, Timestamp};
use crate::crypto::{Key, Sha256Digest, database_key_fingerprint};
use crate::sealed::{ChunkLen, Error, NameClaim, Role, Sealer, Sealing, State, UnverifiedHeader};

struct DatabaseKey {
    key: Key,
    fingerprint: Fingerprint,
    loaded: bool,
}

#[test]
fn fingerprints_agree() {
    let manifest = manifest();
    for (name, key) in keys(&manifest) {
        assert_eq!(database_key_fingerprint(&key.key), key.fingerprint, "{name}");
    }
}

#[test]
fn every_file_means_what_its_writer_says() {
    let manifest = manifest();
    let keys = keys(&manifest);
    let files = manifest["files"].as_array().expect("files");
    assert!(files.len() > 60, "the set covers every edge: {}", files.len());
    for entry in files {
        check(entry, &keys);
    }
}

#[test]
fn good_files_are_made_again_byte_for_byte() {
    let manifest = manifest();
    let keys = keys(&manifest);
    let mut made = 0;
    for entry in manifest["files"].as_array().expect("files") {
        let Some(sealing) = entry.get("sealing").filter(|sealing| sealing.is_object()) else { continue };
        let name = entry["file"].as_str().expect("file");
        let key = &keys[sealing["database_key"].as_str().expect("key name")];
        let (mut sealer, header) = Sealer::with(
            Sealing {
                id: id(entry["ask"]["id"].as_str().expect("id")),
                role: role(entry),
                media_type: entry["media_type"].as_str().expect("media type").parse().expect("media type"),
                chunk_len: ChunkLen::from_log2(u8_of(&entry["chunk_log2"])).expect("chunk length"),
                mended: entry["mended"].as_bool().expect("mended"),
                sealed_at: Timestamp::from_millis(entry["sealed_at"].as_u64().expect("time")).expect("in range"),
            },
            key.fingerprint,
            &key.key,
            &Key::take(&mut bytes(&sealing["file_key"])),
            bytes(&sealing["salt"]),
        );
        let mut file = header.to_vec();
        sealer.update(&media_of(entry), &mut file).expect("short");
        let sealed = sealer.finish(&mut file);
        assert!(file == read(name), "{name} differs");
        assert_eq!(sealed.seal_id.to_string(), entry["seal_id"].as_str().expect("seal id"), "{name}");
        made += 1;
    }
    assert!(made >= 15, "{made}");
}

fn check(entry: &Value, keys: &HashMap<String, DatabaseKey>) {
    let name = entry["file"].as_str().expect("file");
    let file = read(name);
    let expect = entry["expect"].as_str().expect("expect");
    let claim = match entry["ask"]["name"].as_str().expect("name") {
        "final" => NameClaim::Final,
        "part" => NameClaim::Part,
        other => panic!("{name}: {other}"),
    };
    let header = match UnverifiedHeader::read(&file) {
        Ok(header) => header,
        Err(error) => return assert_refused(name, entry, &error),
    };
    let Some(key) = keys.values().find(|key| key.loaded && key.fingerprint == header.fingerprint()) else {
        return assert_eq!(expect, "key-missing", "{name}");
    };
    let ask = id(entry["ask"]["id"].as_str().expect("id"));
    let opener = match open_as(&file, &key.key, &ask, &role(entry), claim) {
        Ok(opener) => opener,
        Err(error) => return assert_refused(name, entry, &error),
    };
    assert_eq!(if opener.state().is_complete() { "complete" } else { "unfinished" }, expect, "{name}");
    assert_eq!(opener.state().media_len(), entry["media_len"].as_u64().expect("length"), "{name}");
    assert_eq!(opener.seal_id().to_string(), entry["seal_id"].as_str().expect("seal id"), "{name}");
    let chunk_len = opener.header().chunk_len;
    let known_len = match opener.state() {
        State::Complete { media_len } => {
            assert_eq!(chunk_len.file_len(media_len), Some(file.len() as u64), "{name}");
            file.len() as u64
        }
        State::Unfinished { media_len } => 512 + media_len / chunk_len.bytes() * chunk_len.record_bytes(),
    };
    assert_eq!(opener.file_len(), known_len, "{name}");
    assert_eq!(opener.header().mended, entry["mended"].as_bool().expect("mended"), "{name}");
    assert_eq!(opener.header().media_type.as_str(), entry["media_type"].as_str().expect("type"), "{name}");
    assert_eq!(opener.header().sealed_at.millis(), entry["sealed_at"].as_u64().expect("time"), "{name}");

    let media = media_of(entry);
    let chunk = chunk_len.bytes() as usize;
    let bad: Vec<u64> = entry["bad_chunks"]
        .as_array()
        .expect("bad chunks")
        .iter()
        .map(|index| index.as_u64().expect("index"))
        .collect();
    for (index, plain) in media.chunks(chunk).enumerate() {
        let start = (index * chunk) as u64;
        let played = play(&opener, &file, start..start + plain.len() as u64);
        if bad.contains(&(index as u64)) {
            assert!(played.is_err(), "{name}: chunk {index} is damaged");
        } else {
            assert!(played.is_ok_and(|played| played == plain), "{name}: chunk {index}");
        }
    }
}

fn assert_refused(name: &str, entry: &Value, error: &Error) {
    assert_eq!(error.code().as_str(), entry["expect"].as_str().expect("expect"), "{name}: {error}");
    let reason = match error {
        Error::Corrupt(corruption) => Some(corruption.name()),
        _ => None,
    };
    assert_eq!(reason, entry["reason"].as_str(), "{name}");
}

fn media_of(entry: &Value) -> Vec<u8> {
    let len = entry["media_len"].as_u64().expect("length") as usize;
    let seed = entry["media_seed"].as_u64().expect("seed");
    let blocks = (0_u64..).flat_map(|j| {
        let mut digest = Sha256Digest::default();
        digest.update(b"sealtape golden media");
        digest.update(&seed.to_be_bytes());
        digest.update(&j.to_be_bytes());
        digest.finish()
    });
    blocks.take(len).collect()
}

fn role(entry: &Value) -> Role {
    match entry["ask"]["role"].as_str().expect("role") {
        "media" => Role::Media,
        "metadata" => Role::Metadata,
        "sidecar" => {
            let name = entry["ask"]["sidecar"].as_str().expect("sidecar");
            Role::Sidecar(name.parse::<SidecarName>().expect("name"))
        }
        other => panic!("{other}"),
    }
}

fn keys(manifest: &Value) -> HashMap<String, DatabaseKey> {
    let keys = manifest["database_keys"].as_array().expect("keys").iter();
    keys.map(|entry| {
        let key = DatabaseKey {
            key: Key::take(&mut bytes(&entry["key"])),
            fingerprint: entry["fingerprint"].as_str().expect("fingerprint").parse().expect("fingerprint"),
            loaded: entry["loaded"].as_bool().expect("loaded"),
        };
        (entry["name"].as_str().expect("name").to_owned(), key)
    })
    .collect()
}

fn bytes<const N: usize>(hexadecimal: &Value) -> [u8; N] {
    hex::decode(hexadecimal.as_str().expect("text")).expect("hexadecimal").try_into().expect("the right length")
}

fn u8_of(number: &Value) -> u8 {
    u8::try_from(number.as_u64().expect("number")).expect("a byte")
}

fn manifest() -> Value {
    serde_json::from_slice(&read("manifest.json")).expect("JSON")
}

fn read(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/sealed/golden").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
