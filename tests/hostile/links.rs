//! Signed links: none counts that was not signed, whatever it looks like; of those that were, those that say something.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sealtape::{
    access::{Link, LinkError, LinkSecrets, LinkSecretsError, Subject},
    base::{RecordingId, Timestamp},
    crypto::{Key, LinkMac},
};

static SECRETS: LazyLock<LinkSecrets> =
    LazyLock::new(|| LinkSecrets::read(&format!("{}\n{}", "5e".repeat(32), "a1".repeat(32))).expect("secrets"));
const NOW_MS: u64 = 1_764_000_000_000;

/// Text as a link, and as what stands in one that was signed by somebody who has an older secret.
pub fn links(data: &[u8]) {
    let now = Timestamp::from_millis(NOW_MS).expect("in range");
    let id: RecordingId = "call-17".parse().expect("an ID");
    let text = String::from_utf8_lossy(data);
    // The one way to come by a link is to have been given it.
    if *WAS_GIVEN != text {
        assert_eq!(SECRETS.verify(&text, &id, now), Err(LinkError::NotAuthentic), "{text}");
    }

    let signed = sign(data);
    let verified = SECRETS.verify(&signed, &id, now);
    let expected = said(data).filter(|link| link.recording == id && signed.len() <= 4096);
    match (verified, expected) {
        (Ok(link), Some(expected)) => {
            assert_eq!(link, expected);
            assert!(link.expires_at > now);
            assert_eq!(SECRETS.verify(&SECRETS.sign(&link), &id, now), Ok(link));
        }
        (Err(LinkError::Expired), Some(expected)) => assert!(expected.expires_at <= now),
        (Err(LinkError::NotAuthentic), None) => {}
        (verified, expected) => panic!("{verified:?} and {expected:?}"),
    }
    // A file of secrets is read whole, or refused for its first line that is none.
    let is_secret = |line: &str| line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut lines =
        (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let wrong = match lines.clone().find(|(_, line)| !is_secret(line)) {
        Some((number, _)) => Some(LinkSecretsError::Line(number)),
        None if lines.next().is_none() => Some(LinkSecretsError::Empty),
        None => None,
    };
    assert_eq!(LinkSecrets::read(&text).err(), wrong);
}

static WAS_GIVEN: LazyLock<String> = LazyLock::new(|| {
    SECRETS.sign(&Link {
        recording: "call-17".parse().expect("an ID"),
        expires_at: Timestamp::from_millis(NOW_MS + 60_000).expect("in range"),
        subject: "ann".parse().expect("a subject"),
        minted_by: "crm".parse().expect("a subject"),
    })
});

/// A link around whatever `payload` is.
fn sign(payload: &[u8]) -> String {
    let mac = LinkMac::new(&Key::take(&mut [0xA1; 32])).tag(payload);
    format!("v1.{}.{}", URL_SAFE_NO_PAD.encode(payload), URL_SAFE_NO_PAD.encode(mac))
}

/// Four lines: until when, for which recording, for whom, and by whom.
fn said(payload: &[u8]) -> Option<Link> {
    let text = core::str::from_utf8(payload).ok()?;
    let [expires_at, recording, subject, minted_by] = text.split('\n').collect::<Vec<_>>().try_into().ok()?;
    let named = |text: &str| text.parse::<Subject>().ok();
    Some(Link {
        recording: recording.parse().ok()?,
        expires_at: Timestamp::from_millis(expires_at.parse().ok()?)?,
        subject: named(subject)?,
        minted_by: named(minted_by)?,
    })
}
