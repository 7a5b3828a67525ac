//! Exports of database keys that are made by hand, at no cost in time: their scrypt has next to nothing to do.

use std::{
    io::Write,
    iter,
    time::{SystemTime, UNIX_EPOCH},
};

use age::{Encryptor, scrypt::Recipient, secrecy::SecretString};
use sealtape::base::Timestamp;
use sealtape::crypto::{Key, database_key_fingerprint};
use serde_json::{Value, json};

/// Of every export here.
pub const PASSPHRASE: &str = "correct horse battery staple";

const LOG_N: u8 = 2;

/// The key with that number, as an export lists it.
pub fn handmade_key(number: u32, created_at: &str, state: &str) -> Value {
    let digits = format!("{number:064x}");
    json!({ "fingerprint": fingerprint_of(&digits), "key": digits, "created_at": created_at, "state": state })
}

/// The fingerprint of a key in hexadecimal.
pub fn fingerprint_of(key: &str) -> String {
    let bytes: Vec<u8> = (0..64).step_by(2).map(|at| u8::from_str_radix(&key[at..at + 2], 16).expect("hex")).collect();
    let mut bytes: [u8; 32] = bytes.try_into().expect("32 bytes");
    database_key_fingerprint(&Key::take(&mut bytes)).to_string()
}

/// The document of an export.
pub fn export_document(keys: &[Value]) -> Value {
    json!({ "sealtape": "keys", "version": 1, "keys": keys })
}

/// An export of these keys.
pub fn handmade_export(keys: &[Value]) -> Vec<u8> {
    age_file(&export_document(keys).to_string())
}

/// An age file around a text.
pub fn age_file(content: &str) -> Vec<u8> {
    let mut recipient = Recipient::new(SecretString::from(PASSPHRASE));
    recipient.set_work_factor(LOG_N);
    let encryptor = Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient)).expect("encrypts");
    let mut writer = encryptor.wrap_output(Vec::new()).expect("begins");
    writer.write_all(content.as_bytes()).expect("writes");
    writer.finish().expect("ends")
}

/// Now, as an export writes it.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    Timestamp::from_millis(since as u64).expect("in range")
}
