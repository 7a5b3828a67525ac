//! Signed links: leave to play one recording for a while, for media elements that cannot send headers.
//!
//! ```text
//! link    = "v1." PAYLOAD "." MAC                      both base64url without padding
//! PAYLOAD = expires_at in ms "\n" recording ID "\n" subject "\n" minted by
//! MAC     = HMAC-SHA-256(secret, "sealtape/v1/link" ‖ 00 ‖ payload)
//! ```
//!
//! The secrets are a list: the first signs, every one verifies, so that a new one is put first and the old one taken
//! away once its links have expired.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Subject;
use crate::base::{RecordingId, Secret, Timestamp};
use crate::crypto::LinkMac;

const PREFIX: &str = "v1.";
/// Longer than any link that [`LinkSecrets::sign`] writes.
const LEN_MAX: usize = 4096;

/// What a link says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it lets play.
    pub recording: RecordingId,
    /// Until when.
    pub expires_at: Timestamp,
    /// Who is meant to listen.
    pub subject: Subject,
    /// Who minted it.
    pub minted_by: Subject,
}

/// Why a link does not count. A caller is told no more than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Not a link of ours, of another recording, or changed.
    #[error("the link is not one that was signed here")]
    NotAuthentic,
    /// It was good once.
    #[error("the link has expired")]
    Expired,
}

/// The secrets that sign links.
pub struct LinkSecrets(Vec<Secret<32>>);

/// Why a file of secrets cannot be used; never names what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkSecretsError {
    /// The operator: a line is no secret.
    #[error("line {0} is not a secret of 64 hexadecimal digits")]
    Line(usize),
    /// The operator: there is none.
    #[error("it holds no secret")]
    Empty,
}

impl LinkSecrets {
    /// Reads secrets: 64 hexadecimal digits a line; empty lines and lines that begin with `#` do not count.
    ///
    /// # Errors
    ///
    /// The first line that is none, or that there is none.
    pub fn read(text: &str) -> Result<Self, LinkSecretsError> {
        let mut secrets = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut secret = Secret::zeroed();
            hex::decode_to_slice(line, secret.expose_mut()).map_err(|_| LinkSecretsError::Line(number))?;
            secrets.push(secret);
        }
        if secrets.is_empty() { Err(LinkSecretsError::Empty) } else { Ok(Self(secrets)) }
    }

    /// Signs a link with the first secret.
    #[must_use]
    pub fn sign(&self, link: &Link) -> String {
        let Link { recording, expires_at, subject, minted_by } = link;
        let payload = format!("{}\n{recording}\n{subject}\n{minted_by}", expires_at.millis());
        // There is a first one by how the list is made.
        let mac = self.0.first().map(|secret| LinkMac::new(secret).tag(payload.as_bytes())).unwrap_or_default();
        format!("{PREFIX}{}.{}", URL_SAFE_NO_PAD.encode(payload), URL_SAFE_NO_PAD.encode(mac))
    }

    /// Verifies a link to `recording` at `now`, in constant time and before anything in it is believed.
    ///
    /// # Errors
    ///
    /// Why it does not count.
    pub fn verify(&self, text: &str, recording: &RecordingId, now: Timestamp) -> Result<Link, LinkError> {
        let link = self.open(text).filter(|link| link.recording == *recording).ok_or(LinkError::NotAuthentic)?;
        if link.expires_at <= now { Err(LinkError::Expired) } else { Ok(link) }
    }

    fn open(&self, text: &str) -> Option<Link> {
        let (payload, mac) = text.strip_prefix(PREFIX).filter(|_| text.len() <= LEN_MAX)?.split_once('.')?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let mac: [u8; 32] = URL_SAFE_NO_PAD.decode(mac).ok()?.try_into().ok()?;
        let is_ours = self.0.iter().any(|secret| LinkMac::new(secret).verify(&payload, &mac).is_ok());
        if !is_ours {
            return None;
        }
        let payload = String::from_utf8(payload).ok()?;
        let mut parts = payload.splitn(4, '\n');
        let expires_at = Timestamp::from_millis(parts.next()?.parse().ok()?)?;
        let recording = parts.next()?.parse().ok()?;
        let (subject, minted_by) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Link { recording, expires_at, subject, minted_by })
    }
}

impl core::fmt::Debug for LinkSecrets {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "LinkSecrets({}, redacted)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(digits: &[char]) -> LinkSecrets {
        let lines: Vec<String> = digits.iter().map(|digit| digit.to_string().repeat(64)).collect();
        LinkSecrets::read(&lines.join("\n")).expect("secrets")
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000).expect("in range")
    }

    fn link() -> Link {
        Link {
            recording: "call-17".parse().expect("an ID"),
            expires_at: at(1000),
            subject: "ann".parse().expect("a subject"),
            minted_by: "crm".parse().expect("a subject"),
        }
    }

    #[test]
    fn a_link_is_good_for_its_recording_and_its_time() {
        let secrets = secrets(&['a']);
        let text = secrets.sign(&link());
        assert_eq!(secrets.verify(&text, &link().recording, at(999)), Ok(link()));
        assert_eq!(secrets.verify(&text, &link().recording, at(1000)), Err(LinkError::Expired));
        let other: RecordingId = "call-1".parse().expect("an ID");
        assert_eq!(secrets.verify(&text, &other, at(999)), Err(LinkError::NotAuthentic));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let secrets = secrets(&['a']);
        let text = secrets.sign(&link());
        for at_byte in 0..text.len() {
            for replacement in ['A', 'B', '.', '-'] {
                let mut changed: Vec<char> = text.chars().collect();
                changed[at_byte] = replacement;
                let changed: String = changed.into_iter().collect();
                if changed != text {
                    let verified = secrets.verify(&changed, &link().recording, at(999));
                    assert_eq!(verified, Err(LinkError::NotAuthentic), "{changed}");
                }
            }
        }
        for bad in ["", "v1.", "v1..", "v2.a.b", &text[..text.len() - 1], &format!("{text}A"), &"v1.a".repeat(1000)] {
            assert_eq!(secrets.verify(bad, &link().recording, at(999)), Err(LinkError::NotAuthentic), "{bad}");
        }
    }

    #[test]
    fn the_first_secret_signs_and_each_verifies() {
        let old = secrets(&['a']);
        let both = secrets(&['b', 'a']);
        let new = secrets(&['b']);
        assert!(both.verify(&old.sign(&link()), &link().recording, at(0)).is_ok());
        assert!(new.verify(&both.sign(&link()), &link().recording, at(0)).is_ok());
        assert_eq!(new.verify(&old.sign(&link()), &link().recording, at(0)), Err(LinkError::NotAuthentic));
    }

    #[test]
    fn a_bad_file_is_told_without_its_content() {
        let good = "a".repeat(64);
        assert!(LinkSecrets::read(&format!("# ours\n\n{good}\n")).is_ok());
        assert_eq!(LinkSecrets::read("").err(), Some(LinkSecretsError::Empty));
        assert_eq!(LinkSecrets::read(&format!("{good}\nsecret")).err(), Some(LinkSecretsError::Line(2)));
        assert_eq!(format!("{:?}", secrets(&['a', 'b'])), "LinkSecrets(2, redacted)");
    }
}
