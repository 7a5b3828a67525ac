//! The export of database keys: an ordinary age file, opened by a passphrase, around a small JSON document.
//!
//! Knows the two formats and what makes an export good or bad; not where files lie, who asks for the passphrase, nor
//! which of the keys a system has already. Start with [`encode_export`] and [`decode_export`].
//!
//! The document is `{"sealtape":"keys","version":1,"keys":[{"fingerprint","key","created_at","state"}]}`, so that the
//! `age` program and a text editor suffice to have the keys again. Fields that are not known are passed over.
//!
//! What is made of keys here is wiped: buffers have their full length from the start, because one that grows leaves
//! its old place as it was. One copy is out of reach: age's writer frees its last chunk as it is, so whoever exports
//! should end soon after.

use std::{
    collections::HashSet,
    io::{Read, Write},
    iter,
};

use age::{
    DecryptError, Decryptor, Encryptor,
    armor::ArmoredReader,
    scrypt::{Identity, Recipient},
    secrecy::SecretString,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::KeyState;
use crate::base::{Fingerprint, Timestamp};
use crate::crypto::{Key, database_key_fingerprint};

/// How a binary age file begins, whatever its version: <https://c2sp.org/age>.
const AGE_MAGIC: &[u8] = b"age-encryption.org/";

/// How the one version begins that is read here.
const AGE_VERSION_1: [u8; 22] = *b"age-encryption.org/v1\n";

/// How an age file begins that was made text.
const ARMOR_MAGIC: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

/// The base-2 logarithm of scrypt's N for exports written here: about a second, and 256 MiB.
const LOG_N: u8 = 18;

/// The greatest that is read: 16 times as much, and 4 GiB. A file that asks for more would stop the machine.
const LOG_N_MAX: u8 = 22;

const WORD: &str = "keys";
const VERSION: u64 = 1;

/// More than the document needs beside its keys, and for each of them.
const DOCUMENT_LEN_MAX: usize = 64;
const ENTRY_LEN_MAX: usize = 256;

/// A database key outside its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedKey {
    /// Its public name.
    pub fingerprint: Fingerprint,
    /// The key.
    pub key: Key,
    /// When it was generated.
    pub created_at: Timestamp,
    /// Whether it could be used where it was exported.
    pub state: KeyState,
}

/// Why keys are not exported, or what is wrong with a file that should hold an export. Never shows a byte of a key or
/// of the passphrase; that is why entries whose fingerprint is not proven yet are told by their number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The operator named another kind of file.
    #[error("it is not an age file, so it is not an export of keys")]
    NotAge,
    /// The operator: the file was made by a later age.
    #[error("it is an age file of another version than 1, which is not known here")]
    OtherAgeVersion,
    /// The operator: the file was changed after it was written, or was not written to its end.
    #[error("it is an age file that is damaged or cut short")]
    Damaged,
    /// The operator named a file that no passphrase opens.
    #[error("it is encrypted to a key of age and not with a passphrase, so it is not an export of keys")]
    NoPassphrase,
    /// The operator: the file may be somebody's attempt to stop the machine.
    #[error("it asks for 2^{log_n} rounds of work to try a passphrase, and no more than 2^{LOG_N_MAX} are accepted")]
    TooMuchWork {
        /// The base-2 logarithm of what it asks for.
        log_n: u8,
    },
    /// The operator gave another passphrase than at export. Damage to what the passphrase opens looks the same.
    #[error("the passphrase does not open it")]
    WrongPassphrase,
    /// The operator named an age file that something else made.
    #[error("the passphrase opens it, and what it holds is not an export of keys")]
    OtherContents,
    /// The operator: a later version made it.
    #[error("it is an export of version {0}, and version {VERSION} is what is known here")]
    OtherVersion(u64),
    /// Whoever made the file by hand: a field is missing or has another type.
    #[error("it begins as an export of keys and is not one: see line {line}, column {column} of what it holds")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// The operator: there is nothing to export or import.
    #[error("there are no keys in it")]
    NoKeys,
    /// Whoever made the file by hand.
    #[error("the fingerprint of key {number} in it is not 64 hexadecimal digits")]
    MalformedFingerprint {
        /// Its place in the list, counted from 1.
        number: usize,
    },
    /// Whoever made the file by hand.
    #[error("key {number} in it has {digits} digits and must have 64")]
    WrongLength {
        /// Its place in the list, counted from 1.
        number: usize,
        /// How long it is.
        digits: usize,
    },
    /// Whoever made the file by hand.
    #[error("key {number} in it is not hexadecimal")]
    NotHexadecimal {
        /// Its place in the list, counted from 1.
        number: usize,
    },
    /// Whoever made the file by hand: key and fingerprint do not belong together.
    #[error("key {number} in it has the fingerprint {computed}, and another one stands beside it")]
    OtherFingerprint {
        /// Its place in the list, counted from 1.
        number: usize,
        /// The fingerprint of the key that is there.
        computed: Fingerprint,
    },
    /// Whoever made the file by hand.
    #[error("the state of key {0} is neither \"active\" nor \"deactivated\"")]
    UnknownState(Fingerprint),
    /// Whoever made the file by hand.
    #[error("created_at of key {0} is not a time of RFC 3339 between the years 1970 and 9999")]
    MalformedTime(Fingerprint),
    /// The operator: this clock is late, that one was early, or somebody wants the key to wrap before all others.
    #[error("key {fingerprint} says that it was generated at {created_at}, which is later than now")]
    Future {
        /// Of the key.
        fingerprint: Fingerprint,
        /// What it says.
        created_at: Timestamp,
    },
    /// Whoever made the file by hand: it may contradict itself.
    #[error("key {0} is in it twice")]
    Twice(Fingerprint),
    /// A developer: age does not take what this hands to it.
    #[error("the export cannot be encrypted")]
    NotEncrypted,
}

/// An age file that `passphrase` opens, with `keys` in it.
///
/// # Errors
///
/// [`ExportError::NoKeys`]; else only what cannot be, [`ExportError::NotEncrypted`].
pub fn encode_export(keys: &[ExportedKey], passphrase: &Zeroizing<String>) -> Result<Vec<u8>, ExportError> {
    if keys.is_empty() {
        return Err(ExportError::NoKeys);
    }
    seal(&write_document(keys)?, passphrase, LOG_N)
}

/// The keys in an age file, binary or armored, all of them or none. Takes as long as the file asks for, which may be
/// half a minute. The whole file is in memory already, so whoever reads it limits its length.
///
/// # Errors
///
/// The first thing that is wrong with it.
pub fn decode_export(
    file: &[u8],
    passphrase: &Zeroizing<String>,
    now: Timestamp,
) -> Result<Vec<ExportedKey>, ExportError> {
    decode_export_within(LOG_N_MAX, file, passphrase, now)
}

/// The same of a file that asks for no more work than `2^log_n_max`, where a second for each file is too long.
///
/// # Errors
///
/// As [`decode_export`]; [`ExportError::TooMuchWork`] of one that asks for more.
pub fn decode_export_within(
    log_n_max: u8,
    file: &[u8],
    passphrase: &Zeroizing<String>,
    now: Timestamp,
) -> Result<Vec<ExportedKey>, ExportError> {
    decode_export_document(&open(file, passphrase, log_n_max)?, now)
}

fn seal(document: &[u8], passphrase: &Zeroizing<String>, log_n: u8) -> Result<Vec<u8>, ExportError> {
    let mut recipient = Recipient::new(secret(passphrase));
    recipient.set_work_factor(log_n);
    let encryptor = Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient))
        .map_err(|_| ExportError::NotEncrypted)?;
    let written = encryptor.wrap_output(Vec::new()).and_then(|mut writer| {
        writer.write_all(document)?;
        writer.finish()
    });
    written.map_err(|_| ExportError::NotEncrypted)
}

fn open(file: &[u8], passphrase: &Zeroizing<String>, log_n_max: u8) -> Result<Zeroizing<Vec<u8>>, ExportError> {
    if !begins_as(file, AGE_MAGIC) && !begins_as(file, ARMOR_MAGIC) {
        return Err(ExportError::NotAge);
    }
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(file)).map_err(|error| match error {
        DecryptError::UnknownFormat if is_version_1(file) => ExportError::Damaged,
        error => refusal(error),
    })?;
    if !decryptor.is_scrypt() {
        return Err(ExportError::NoPassphrase);
    }
    let mut identity = Identity::new(secret(passphrase));
    identity.set_max_work_factor(log_n_max);
    let reader = decryptor.decrypt(iter::once(&identity as &dyn age::Identity)).map_err(refusal)?;
    read_to_end(reader, file.len()).map_err(|_| ExportError::Damaged)
}

/// Whether a file begins so, or would if it had not been cut short.
fn begins_as(file: &[u8], magic: &[u8]) -> bool {
    !file.is_empty() && file.iter().zip(magic).all(|(byte, expected)| byte == expected)
}

/// Whether a file, binary or armored, says that it is of version 1. age takes a header with a character in it that
/// cannot be there for one of another version.
fn is_version_1(file: &[u8]) -> bool {
    let mut line = [0; AGE_VERSION_1.len()];
    ArmoredReader::new(file).read_exact(&mut line).is_ok() && line == AGE_VERSION_1
}

/// All that a reader gives, which must be less than `len_max`: the buffer never grows, and only a read that gives
/// nothing says that age has seen the last chunk.
fn read_to_end(mut reader: impl Read, len_max: usize) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; len_max]);
    let mut len = 0;
    loop {
        // An age file is longer than what it holds, so there is room for at least one byte.
        let read = reader.read(&mut bytes[len..])?;
        if read == 0 {
            bytes.truncate(len);
            return Ok(bytes);
        }
        len += read;
    }
}

fn refusal(error: DecryptError) -> ExportError {
    match error {
        DecryptError::ExcessiveWork { required, .. } => ExportError::TooMuchWork { log_n: required },
        DecryptError::DecryptionFailed => ExportError::WrongPassphrase,
        DecryptError::UnknownFormat => ExportError::OtherAgeVersion,
        // The header's shape or its MAC, or its end is not there; age may add to this list.
        _ => ExportError::Damaged,
    }
}

/// The passphrase as age wants it: a copy that is wiped as this one is.
fn secret(passphrase: &Zeroizing<String>) -> SecretString {
    SecretString::from(passphrase.as_str())
}

/// What every version has.
#[derive(Deserialize)]
struct Head<'a> {
    sealtape: &'a str,
    version: u64,
}

/// The document. Strings are borrowed, so that no key is copied on its way; one that is written with escapes cannot
/// be borrowed and is refused.
#[derive(Deserialize, Serialize)]
struct Document<'a> {
    sealtape: &'a str,
    version: u64,
    #[serde(borrow)]
    keys: Vec<Entry<'a>>,
}

#[derive(Deserialize, Serialize)]
struct Entry<'a> {
    fingerprint: &'a str,
    key: &'a str,
    created_at: &'a str,
    state: &'a str,
}

/// An entry's values as text, for the document to borrow.
struct Words {
    fingerprint: String,
    key: Zeroizing<String>,
    created_at: String,
    state: KeyState,
}

fn write_document(keys: &[ExportedKey]) -> Result<Zeroizing<Vec<u8>>, ExportError> {
    let words: Vec<Words> = keys.iter().map(Words::new).collect();
    let document = Document { sealtape: WORD, version: VERSION, keys: words.iter().map(Words::entry).collect() };
    let mut text = Zeroizing::new(Vec::with_capacity(DOCUMENT_LEN_MAX + keys.len() * ENTRY_LEN_MAX));
    serde_json::to_writer(&mut *text, &document).map_err(|_| ExportError::NotEncrypted)?;
    Ok(text)
}

/// The keys in the document that an export is around, all of them or none.
///
/// # Errors
///
/// The first thing that is wrong with it. The errors of the JSON reader quote what they met, so of them only the place
/// is kept.
pub fn decode_export_document(text: &[u8], now: Timestamp) -> Result<Vec<ExportedKey>, ExportError> {
    let head: Head<'_> = serde_json::from_slice(text).map_err(|_| ExportError::OtherContents)?;
    if head.sealtape != WORD {
        return Err(ExportError::OtherContents);
    }
    if head.version != VERSION {
        return Err(ExportError::OtherVersion(head.version));
    }
    let document: Document<'_> = serde_json::from_slice(text)
        .map_err(|error| ExportError::Malformed { line: error.line(), column: error.column() })?;
    if document.keys.is_empty() {
        return Err(ExportError::NoKeys);
    }
    let mut seen = HashSet::with_capacity(document.keys.len());
    let keys = document.keys.iter().zip(1..).map(|(entry, number)| {
        let key = entry.read(number, now)?;
        if seen.insert(key.fingerprint) { Ok(key) } else { Err(ExportError::Twice(key.fingerprint)) }
    });
    keys.collect()
}

impl Words {
    fn new(key: &ExportedKey) -> Self {
        Self {
            fingerprint: key.fingerprint.to_string(),
            key: Zeroizing::new(hex::encode(key.key.expose())),
            created_at: key.created_at.to_string(),
            state: key.state,
        }
    }

    fn entry(&self) -> Entry<'_> {
        let Self { fingerprint, key, created_at, state } = self;
        Entry { fingerprint, key, created_at, state: state.as_str() }
    }
}

impl Entry<'_> {
    /// The key, once it has proven its fingerprint.
    fn read(&self, number: usize, now: Timestamp) -> Result<ExportedKey, ExportError> {
        let key = self.read_key(number)?;
        let mut fingerprint = Fingerprint([0; 32]);
        hex::decode_to_slice(self.fingerprint, &mut fingerprint.0)
            .map_err(|_| ExportError::MalformedFingerprint { number })?;
        let computed = database_key_fingerprint(&key);
        if fingerprint != computed {
            return Err(ExportError::OtherFingerprint { number, computed });
        }
        let state = [KeyState::Active, KeyState::Deactivated].into_iter().find(|state| state.as_str() == self.state);
        let state = state.ok_or(ExportError::UnknownState(fingerprint))?;
        let created_at: Timestamp = self.created_at.parse().map_err(|_| ExportError::MalformedTime(fingerprint))?;
        if created_at > now {
            return Err(ExportError::Future { fingerprint, created_at });
        }
        Ok(ExportedKey { fingerprint, key, created_at, state })
    }

    fn read_key(&self, number: usize) -> Result<Key, ExportError> {
        let digits = self.key.chars().count();
        if digits != 64 {
            return Err(ExportError::WrongLength { number, digits });
        }
        let mut key = Key::zeroed();
        hex::decode_to_slice(self.key, key.expose_mut()).map_err(|_| ExportError::NotHexadecimal { number })?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests;
