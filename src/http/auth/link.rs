//! Signed links: minted for those who hold the right to play, and verified on every request.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    private_file::{self, Error},
    watched::Watched,
};
use crate::access::{Grant, Link, LinkError, LinkSecrets, Subject};
use crate::base::{RecordingId, Timestamp};
use crate::crypto::Key;

/// A link lives at least so long when nobody says how long.
const TTL_DEFAULT_MIN: Duration = Duration::from_secs(15 * 60);
/// The longest that anybody may ask for.
pub const TTL_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Mints and verifies links.
pub struct LinkMinter {
    secrets: Watched<LinkSecrets>,
    may_make: bool,
}

/// A link that was minted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// The value of the parameter `link`.
    pub link: String,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// Who is meant to listen.
    pub subject: Subject,
}

/// Why no link was minted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MintError {
    /// The caller: longer than may be.
    #[error("a link lives 30 days at most")]
    TooLong,
    /// The operator: the secrets.
    #[error(transparent)]
    Secrets(#[from] Error),
}

impl LinkMinter {
    /// With the secrets in `path`; a missing file is made when the first link is minted, if `may_make` says so.
    ///
    /// # Errors
    ///
    /// The file is there and cannot be used.
    pub fn new(path: PathBuf, may_make: bool) -> Result<Self, Error> {
        Ok(Self { secrets: Watched::new(path, read)?, may_make })
    }

    /// Mints a link to `recording` for whoever holds `grant`, which must allow playing it. It lives as long as `ttl`
    /// says, else for twice the recording's duration and at least a quarter of an hour, and never longer than the
    /// grant: nobody mints more than they hold.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn mint(
        &self,
        grant: &Grant,
        recording: &RecordingId,
        ttl: Option<Duration>,
        subject: Option<Subject>,
        media_duration: Option<Duration>,
        now: Timestamp,
    ) -> Result<Minted, MintError> {
        if ttl.is_some_and(|ttl| ttl > TTL_MAX) {
            return Err(MintError::TooLong);
        }
        let default = || TTL_DEFAULT_MIN.max(media_duration.unwrap_or_default().saturating_mul(2)).min(TTL_MAX);
        let ttl_ms = u64::try_from(ttl.unwrap_or_else(default).as_millis()).unwrap_or(u64::MAX);
        let wanted = Timestamp::from_millis(now.millis().saturating_add(ttl_ms)).unwrap_or(Timestamp::MAX);
        let expires_at = grant.expires_at.map_or(wanted, |end| wanted.min(end));
        let link = Link {
            recording: recording.clone(),
            expires_at,
            subject: subject.unwrap_or_else(|| grant.subject.clone()),
            minted_by: grant.subject.clone(),
        };
        let secrets = self.secrets()?;
        Ok(Minted { link: secrets.sign(&link), expires_at, subject: link.subject })
    }

    /// Verifies a link to `recording` at `now`.
    ///
    /// # Errors
    ///
    /// Why it does not count.
    pub fn verify(&self, link: &str, recording: &RecordingId, now: Timestamp) -> Result<Link, LinkError> {
        self.secrets.value().ok_or(LinkError::NotAuthentic)?.verify(link, recording, now)
    }

    fn secrets(&self) -> Result<Arc<LinkSecrets>, Error> {
        if let Some(secrets) = self.secrets.value() {
            return Ok(secrets);
        }
        let path = self.secrets.path();
        let missing = || Error::Missing {
            path: path.to_owned(),
            way_out: "put a secret there: `(umask 077; openssl rand -hex 32 > FILE)`, the same on every host",
        };
        if !self.may_make {
            return Err(missing());
        }
        let secret = Key::generate().map_err(|error| Error::content(path, error))?;
        let line = zeroize::Zeroizing::new(format!("{}\n", hex::encode(secret.expose())));
        private_file::create(path, &line)?;
        self.secrets.value().ok_or_else(missing)
    }
}

fn read(path: &Path) -> Result<LinkSecrets, Error> {
    LinkSecrets::read(&private_file::read(path)?).map_err(|error| Error::content(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_lives_as_long_as_was_asked_and_never_longer_than_the_right_to_play() {
        let folder = tempfile::tempdir().expect("a folder");
        let minter = LinkMinter::new(folder.path().join("link.secrets"), true).expect("nothing there");
        let now = Timestamp::from_millis(1_000_000).expect("in range");
        let id: RecordingId = "call-1".parse().expect("an ID");
        let lives = |grant: &Grant, ttl: Option<u64>, duration: Option<u64>| {
            let (ttl, duration) = (ttl.map(Duration::from_secs), duration.map(Duration::from_secs));
            let minted = minter.mint(grant, &id, ttl, None, duration, now).expect("minted");
            assert_eq!(minter.verify(&minted.link, &id, now).map(|link| link.expires_at), Ok(minted.expires_at));
            (minted.expires_at.millis() - now.millis()) / 1000
        };
        let free = Grant::everything();
        assert_eq!(lives(&free, None, None), 15 * 60);
        assert_eq!(lives(&free, None, Some(60)), 15 * 60);
        assert_eq!(lives(&free, None, Some(3600)), 7200);
        assert_eq!(lives(&free, Some(30), Some(3600)), 30);
        // Thirty days, asked for or not.
        assert_eq!(lives(&free, Some(2_592_000), None), 2_592_000);
        assert_eq!(lives(&free, None, Some(2_000_000)), 2_592_000);
        let bound = Grant { expires_at: Timestamp::from_millis(1_090_000), ..Grant::everything() };
        assert_eq!(lives(&bound, None, Some(3600)), 90);
        assert_eq!(lives(&bound, Some(30), None), 30);
        let too_long = minter.mint(&free, &id, Some(Duration::from_millis(2_592_000_001)), None, None, now);
        assert!(matches!(too_long, Err(MintError::TooLong)));
    }

    #[test]
    fn where_settings_name_a_place_no_secret_is_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("link.secrets");
        let minter = LinkMinter::new(path.clone(), false).expect("nothing there");
        let now = Timestamp::from_millis(0).expect("in range");
        let id = "call-1".parse().expect("an ID");
        let minted = minter.mint(&Grant::everything(), &id, None, None, None, now);
        assert!(matches!(minted, Err(MintError::Secrets(Error::Missing { .. }))));
        assert!(!path.exists());
    }
}
