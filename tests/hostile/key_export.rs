//! Exports of keys: what is read has proven its fingerprints, and what was changed on the way is not read at all.

use std::{io::Write, iter};

use age::{Encryptor, scrypt::Recipient, secrecy::SecretString};
use sealtape::{
    base::Timestamp,
    keys::{ExportError, ExportedKey, decode_export_document, decode_export_within},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const PASSPHRASE: &str = "correct horse";
/// The least work that age's scrypt does for a passphrase, as a logarithm; a real export asks for 2^18.
const LOG_N: u8 = 1;

/// Bytes as an age file; then as the document in one; and behind a `#`, as the document in one that is sealed here, and
/// changed on its way where its last bytes say. Of those alone, because age takes its time to find out how fast it is.
pub fn key_export(data: &[u8]) {
    let now = Timestamp::from_millis(1_764_000_000_000).expect("in range");
    let passphrase = Zeroizing::new(PASSPHRASE.to_owned());
    if let Ok(keys) = decode_export_within(LOG_N, data, &passphrase, now) {
        proven(&keys, now);
    }
    let document = decode_export_document(data, now);
    match &document {
        Ok(keys) => {
            proven(keys, now);
            let text = core::str::from_utf8(data).expect("JSON is UTF-8");
            assert!(keys.iter().all(|key| text.to_lowercase().contains(&hex::encode(key.key.expose()))));
        }
        // Nothing of a key is in what is said of it.
        Err(error) => assert!(error.to_string().len() < 400, "{error}"),
    }
    let Some(data) = data.strip_prefix(b"#") else { return };
    let document = decode_export_document(data, now);
    let file = sealed(data);
    assert_eq!(decode_export_within(LOG_N, &file, &passphrase, now), document);
    let [.., flip, at] = data else { return };
    let mut changed = file;
    let at = (usize::from(*at) * 7 + usize::from(*flip)) % changed.len();
    changed[at] ^= (*flip).max(1);
    let opened = decode_export_within(LOG_N, &changed, &passphrase, now);
    assert!(!matches!(opened, Ok(_) | Err(ExportError::OtherContents)), "byte {at} of {}", changed.len());
}

fn proven(keys: &[ExportedKey], now: Timestamp) {
    assert!(!keys.is_empty());
    for (at, key) in keys.iter().enumerate() {
        let mut digest = Sha256::new();
        digest.update(b"sealtape/v1/database-key");
        digest.update(key.key.expose());
        assert_eq!(digest.finalize()[..], key.fingerprint.0);
        assert!(key.created_at <= now);
        assert!(keys[..at].iter().all(|other| other.fingerprint != key.fingerprint));
    }
}

/// An age file that the passphrase opens.
fn sealed(document: &[u8]) -> Vec<u8> {
    let mut recipient = Recipient::new(SecretString::from(PASSPHRASE));
    recipient.set_work_factor(LOG_N);
    let encryptor = Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient)).expect("one recipient");
    let mut writer = encryptor.wrap_output(Vec::new()).expect("memory");
    writer.write_all(document).expect("memory");
    writer.finish().expect("memory")
}
