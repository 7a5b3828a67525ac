//! Round trips, and every way in which a file is refused.

use age::armor::{ArmoredWriter, Format};

use super::*;

/// Work that costs a test nothing.
const LOG_N_TEST: u8 = 2;

fn passphrase() -> Zeroizing<String> {
    Zeroizing::new("correct horse battery staple".into())
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_764_000_000_123).expect("in range")
}

fn exported(byte: u8, state: KeyState) -> ExportedKey {
    let key = Key::take(&mut [byte; 32]);
    ExportedKey { fingerprint: database_key_fingerprint(&key), key, created_at: now(), state }
}

/// One of more keys than a byte can count.
fn numbered(number: u16) -> ExportedKey {
    let mut key = Key::zeroed();
    key.expose_mut()[..2].copy_from_slice(&number.to_be_bytes());
    ExportedKey { fingerprint: database_key_fingerprint(&key), key, ..exported(0, KeyState::Active) }
}

fn keys() -> Vec<ExportedKey> {
    vec![exported(0xA1, KeyState::Active), exported(0xB2, KeyState::Deactivated)]
}

fn export(keys: &[ExportedKey]) -> Vec<u8> {
    seal(&write_document(keys).expect("writes"), &passphrase(), LOG_N_TEST).expect("seals")
}

fn decode(file: &[u8]) -> Result<Vec<ExportedKey>, ExportError> {
    decode_export(file, &passphrase(), now())
}

fn armored(file: &[u8]) -> Vec<u8> {
    let mut writer = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).expect("wraps");
    writer.write_all(file).expect("writes");
    writer.finish().expect("ends")
}

/// A file around any text.
fn around(text: &str) -> Vec<u8> {
    seal(text.as_bytes(), &passphrase(), LOG_N_TEST).expect("seals")
}

/// The text of an export, with something else in place of something.
fn with(old: &str, new: &str) -> String {
    let text = write_document(&keys()).expect("writes");
    let text = std::str::from_utf8(&text).expect("UTF-8");
    assert!(text.contains(old), "{old} is not in {text}");
    text.replacen(old, new, 1)
}

#[test]
fn keys_come_back_as_they_went() {
    assert_eq!(decode(&export(&keys())), Ok(keys()));
    let later = Timestamp::MAX;
    assert_eq!(decode_export(&export(&keys()), &passphrase(), later), Ok(keys()));
}

#[test]
fn the_document_is_the_one_that_is_promised() {
    let [one, two] = &keys()[..] else { panic!("two keys") };
    let expected = serde_json::json!({
        "sealtape": "keys",
        "version": 1,
        "keys": [
            {
                "fingerprint": one.fingerprint.to_string(),
                "key": "a1".repeat(32),
                "created_at": "2025-11-24T16:00:00.123Z",
                "state": "active",
            },
            {
                "fingerprint": two.fingerprint.to_string(),
                "key": "b2".repeat(32),
                "created_at": "2025-11-24T16:00:00.123Z",
                "state": "deactivated",
            },
        ],
    });
    let text = write_document(&keys()).expect("writes");
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&text).expect("JSON"), expected);
}

#[test]
fn an_export_asks_for_the_work_that_is_promised() {
    let file = encode_export(&keys(), &passphrase()).expect("encodes");
    let line = file.split(|byte| *byte == b'\n').nth(1).expect("a second line");
    let line = std::str::from_utf8(line).expect("text");
    assert!(line.starts_with("-> scrypt ") && line.ends_with(" 18"), "{line}");
    assert!(file.starts_with(b"age-encryption.org/v1\n"));
    assert_eq!(decode(&file), Ok(keys()));
    assert_eq!(encode_export(&[], &passphrase()), Err(ExportError::NoKeys));
}

/// A buffer that grows would leave copies of keys behind.
#[test]
fn the_document_fits_its_buffer_from_the_start() {
    for count in [1, 2, 100] {
        let many: Vec<_> = (0..count).map(|byte| exported(byte, KeyState::Deactivated)).collect();
        let text = write_document(&many).expect("writes");
        assert_eq!(text.capacity(), DOCUMENT_LEN_MAX + many.len() * ENTRY_LEN_MAX);
    }
}

#[test]
fn more_keys_than_fit_one_chunk_of_age_come_back() {
    let many: Vec<_> = (0..400_u16).map(numbered).collect();
    let file = export(&many);
    let first_chunk = 65_536 + 16;
    assert!(file.len() > first_chunk, "{}", file.len());
    assert!(decode(&file).is_ok_and(|keys| keys == many));
    // Cut where the first chunk ends, which only the mark of the last chunk tells from a whole file.
    let payload = file.windows(5).position(|window| window == b"\n--- ").expect("a MAC") + 1 + 4 + 43 + 1 + 16;
    assert_eq!(decode(&file[..payload + first_chunk]), Err(ExportError::Damaged));
}

#[test]
fn armored_files_are_read() {
    let text = armored(&export(&keys()));
    assert!(text.starts_with(ARMOR_MAGIC));
    assert_eq!(decode(&text), Ok(keys()));
    let crlf = String::from_utf8(text.clone()).expect("text").replace('\n', "\r\n");
    assert_eq!(decode(crlf.as_bytes()), Ok(keys()));
    for len in 1..text.len() - 1 {
        assert_eq!(decode(&text[..len]), Err(ExportError::Damaged), "cut to {len} of {}", text.len());
    }
    let mut longer = text;
    longer.extend_from_slice(b"more\n");
    assert_eq!(decode(&longer), Err(ExportError::Damaged));
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let file = export(&keys());
    assert_eq!(decode(&[]), Err(ExportError::NotAge));
    for len in 1..file.len() {
        assert_eq!(decode(&file[..len]), Err(ExportError::Damaged), "cut to {len} of {}", file.len());
    }
    let longer = [&file[..], &[0]].concat();
    assert_eq!(decode(&longer), Err(ExportError::Damaged));
}

#[test]
fn a_file_changed_anywhere_is_refused() {
    let file = export(&keys());
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(decode(&changed).is_err(), "byte {at} of {}", file.len());
    }
    let mut changed = file.clone();
    *changed.last_mut().expect("bytes") ^= 1;
    assert_eq!(decode(&changed), Err(ExportError::Damaged));
    let mac = file.windows(5).position(|window| window == b"\n--- ").expect("a MAC") + 5;
    let mut changed = file.clone();
    changed[mac] = if changed[mac] == b'A' { b'B' } else { b'A' };
    assert_eq!(decode(&changed), Err(ExportError::Damaged));
    let salt = file.windows(7).position(|bytes| bytes == b"scrypt ").expect("a stanza") + 7;
    for place in [mac, mac - 4, salt, AGE_VERSION_1.len()] {
        let mut changed = file.clone();
        changed[place] = b'!';
        for changed in [armored(&changed), changed] {
            assert_eq!(decode(&changed), Err(ExportError::Damaged), "{place}");
        }
    }
}

#[test]
fn other_files_are_told_by_what_they_are() {
    for other in
        [&b"PK\x03\x04"[..], b"{\"sealtape\":\"keys\"}", b" age-encryption.org/v1\n", b"-----BEGIN CERTIFICATE--"]
    {
        assert_eq!(decode(other), Err(ExportError::NotAge));
    }
    let later = [b"age-encryption.org/v2\n", &export(&keys())[22..]].concat();
    assert_eq!(decode(&later), Err(ExportError::OtherAgeVersion));

    let recipient = age::x25519::Identity::generate().to_public();
    let encryptor = Encryptor::with_recipients(iter::once(&recipient as _)).expect("encrypts");
    let mut writer = encryptor.wrap_output(Vec::new()).expect("writes");
    writer.write_all(&write_document(&keys()).expect("writes")).expect("writes");
    assert_eq!(decode(&writer.finish().expect("ends")), Err(ExportError::NoPassphrase));
}

#[test]
fn another_passphrase_does_not_open_it() {
    let file = export(&keys());
    for other in ["", "correct horse battery stapl", "correct horse battery staple "] {
        let other = Zeroizing::new(other.to_owned());
        assert_eq!(decode_export(&file, &other, now()), Err(ExportError::WrongPassphrase));
    }
}

/// The work factor stands in the header's second line, before anything is proven.
#[test]
fn a_file_that_asks_for_too_much_work_is_refused_before_it_is_done() {
    let file = export(&keys());
    let end = file.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).expect("a second line").0;
    for log_n in [LOG_N_MAX + 1, 30, 63, 255] {
        let asking = [&file[..end - 1], log_n.to_string().as_bytes(), &file[end..]].concat();
        let begun = std::time::Instant::now();
        assert_eq!(decode(&asking), Err(ExportError::TooMuchWork { log_n }));
        assert!(begun.elapsed().as_secs() < 2, "2^{log_n} was not done");
    }
    assert_eq!(LOG_N_MAX, 22);
    let more_than_a_number = [&file[..end - 1], b"256", &file[end..]].concat();
    assert_eq!(decode(&more_than_a_number), Err(ExportError::Damaged));
}

#[test]
fn other_contents_are_told_apart() {
    for other in ["", "hello", "[]", "{}", "null", r#"{"sealtape":"keys"}"#, r#"{"sealtape":7,"version":1}"#] {
        assert_eq!(decode(&around(other)), Err(ExportError::OtherContents), "{other}");
    }
    assert_eq!(decode(&around(&with("\"keys\",", "\"link\","))), Err(ExportError::OtherContents));
    assert_eq!(decode(&around(&(with("", "") + "x"))), Err(ExportError::OtherContents));
    assert_eq!(decode(&around(&with("\"version\":1", "\"version\":2"))), Err(ExportError::OtherVersion(2)));
    // A later version need not have the same fields.
    let later = r#"{"sealtape":"keys","version":9}"#;
    assert_eq!(decode(&around(later)), Err(ExportError::OtherVersion(9)));
    let none = r#"{"sealtape":"keys","version":1,"keys":[]}"#;
    assert_eq!(decode(&around(none)), Err(ExportError::NoKeys));
    let missing = r#"{"sealtape":"keys","version":1}"#;
    assert_eq!(decode(&around(missing)), Err(ExportError::Malformed { line: 1, column: missing.len() }));
    for (old, new) in [("\"state\":\"active\"", "\"stat\":\"active\""), ("\"active\"", "1"), ("\"a1a1", "\"\\u00611a1")]
    {
        assert!(matches!(decode(&around(&with(old, new))), Err(ExportError::Malformed { line: 1, .. })), "{new}");
    }
}

#[test]
fn what_is_unknown_is_passed_over_and_spaces_are_free() {
    let more = with("\"version\":1,", "\n \"version\" : 1,\n \"note\":\"\\u0061 \\\"\",\"more\":[{}],");
    let more = more.replacen("\"state\"", "\"origin\":{\"is\":\"generated\"},\"state\"", 1);
    assert_eq!(decode(&around(&more)), Ok(keys()));
    let upper = with(&"a1".repeat(32), &"A1".repeat(32));
    assert_eq!(decode(&around(&upper)), Ok(keys()));
}

#[test]
fn one_bad_key_refuses_them_all() {
    use ExportError as Error;
    let [one, two] = &keys()[..] else { panic!("two keys") };
    let (first, second) = (one.fingerprint, two.fingerprint);
    let (key, other_key) = ("a1".repeat(32), "b2".repeat(32));
    let time = now().to_string();
    let later = Timestamp::from_millis(now().millis() + 1).expect("in range");
    let computed = database_key_fingerprint(&Key::take(&mut [0xC3; 32]));
    let nonsense = "g".repeat(64);
    let name = second.to_string();
    for (old, new, error) in [
        (other_key.as_str(), "b2b2", Error::WrongLength { number: 2, digits: 4 }),
        (&other_key, "", Error::WrongLength { number: 2, digits: 0 }),
        (&other_key, &format!("{other_key}b2"), Error::WrongLength { number: 2, digits: 66 }),
        (&key, &nonsense, Error::NotHexadecimal { number: 1 }),
        (&key, &"ä".repeat(64), Error::NotHexadecimal { number: 1 }),
        (&other_key, &"c3".repeat(32), Error::OtherFingerprint { number: 2, computed }),
        (&name, &first.to_string(), Error::OtherFingerprint { number: 2, computed: second }),
        (&name, &nonsense, Error::MalformedFingerprint { number: 2 }),
        (&name, &name[1..], Error::MalformedFingerprint { number: 2 }),
        ("\"active\"", "\"Active\"", Error::UnknownState(first)),
        ("\"deactivated\"", "\"\"", Error::UnknownState(second)),
        (&time, "yesterday", Error::MalformedTime(first)),
        (&time, "1969-12-31T23:59:59Z", Error::MalformedTime(first)),
        (&time, &later.to_string(), Error::Future { fingerprint: first, created_at: later }),
    ] {
        assert_eq!(decode(&around(&with(old, new))), Err(error), "{new}");
    }
    assert_eq!(decode(&export(&[one.clone(), two.clone(), one.clone()])), Err(Error::Twice(first)));
}

/// Also of files in which key and fingerprint changed places.
#[test]
fn no_error_shows_a_key_or_the_passphrase() {
    let secret = "a1".repeat(32);
    let name = keys()[0].fingerprint.to_string();
    let swapped = with(&secret, "KEY").replacen(&name, &secret, 1).replacen("KEY", &name, 1);
    for text in [
        swapped,
        with(&secret, &secret[1..]),
        with("\"active\"", &format!("\"{secret}\"")),
        with("2025-11-24T16:00:00.123Z", &secret),
        with("\"version\":1", &format!("\"version\":\"{secret}\"")),
        with("\"a1a1", "\"\\u00611a1"),
        with("\"sealtape\":\"keys\"", &format!("\"sealtape\":\"{secret}\"")),
        with("\"keys\":[", &format!("\"keys\":[\"{secret}\",")),
    ] {
        let error = decode(&around(&text)).expect_err("refused");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("a1a1a1") && !shown.contains("horse"), "{shown}");
    }
    let shown = format!("{:?}", keys());
    assert!(!shown.contains("a1a1") && !shown.contains("161, 161"), "{shown}");
}
