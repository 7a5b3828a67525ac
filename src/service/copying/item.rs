//! One object on its way from one store to the other.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{
    Copying, Error,
    check::{Difference, Identity, difference},
};
use crate::base::SealId;
use crate::catalogue::{Content, Recording, RecordingState};
use crate::crypto::Sha256Digest;
use crate::media::{MediaFile, MediaKind, MediaObject, ObjectRole, Stage, Version};
use crate::sealed::HEADER_LEN;
use crate::service::{Conduct, pieces::PIECE_LEN};

/// Something to copy.
#[derive(Clone, Debug, PartialEq)]
pub enum CopyItem {
    /// An object, and its recording as the catalogue knew it when the object was listed.
    Object {
        /// The object, as the source lists it.
        object: MediaObject,
        /// The recording; none when the catalogue has no such one.
        row: Option<Arc<Recording>>,
    },
    /// A damaged file that was kept when a mended one took its place, by its URL.
    Kept(String),
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// It is at the target.
    Done {
        /// Its length.
        bytes: u64,
        /// How that is known.
        proof: Proof,
        /// Whether it took the place of an older header or sealing of the same recording.
        took_place: bool,
        /// Whether it does not verify, and was copied as it is.
        is_damaged: bool,
    },
    /// It was there, and the same.
    Already {
        /// Its length.
        bytes: u64,
    },
    /// It stays where it is.
    Left(Left),
}

/// How it is known that a copy is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Header and every tag verified from what was read back, and its digest is that of what was read.
    Tags,
    /// Its key is not here, or it is no sealed one: length and SHA-256 of what was read back are those of what was read.
    Digest,
}

/// Why something was not copied, which is no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Its writer is at work: another run copies it.
    BeingWritten,
    /// It was removed meanwhile.
    Gone,
    /// What a killed command left, which nothing needs.
    LeftOver,
    /// A file of a recording that the catalogue has in the other kind: plain, and it is sealed, or the other way round.
    OtherKind,
    /// The store does not give it out.
    NotGiven,
}

impl CopyItem {
    /// What it is called, for people: the URL at the source.
    #[must_use]
    pub fn location(&self, copying: &Copying) -> String {
        match self {
            Self::Object { object, .. } => copying.from.location(object),
            Self::Kept(location) => location.clone(),
        }
    }
}

/// What is there at the target already.
enum There {
    Nothing,
    Same,
    /// The same sealing under an older key.
    OldHead(Version),
    /// An older sealing of the same recording.
    OldSealing,
}

impl Copying {
    /// Copies it, verified.
    ///
    /// # Errors
    ///
    /// Why it was not; nothing of it is at the target then but what was there before.
    pub async fn copy(&self, item: &CopyItem, conduct: Conduct<'_>) -> Result<Copied, Error> {
        match item {
            CopyItem::Kept(location) => self.copy_kept(location, conduct).await,
            CopyItem::Object { object, row } => match self.left(object, row.as_deref()).await? {
                Some(left) => Ok(Copied::Left(left)),
                None => self.copy_object(object, row.as_deref(), conduct).await,
            },
        }
    }

    /// What [`Self::copy`] would do, as far as lengths tell: whether it is there, and how long it is.
    ///
    /// # Errors
    ///
    /// One of the stores.
    pub async fn would_copy(&self, item: &CopyItem) -> Result<Copied, Error> {
        let (from, to) = match item {
            CopyItem::Object { object, row } => {
                if let Some(left) = self.left(object, row.as_deref()).await? {
                    return Ok(Copied::Left(left));
                }
                (self.from.version(object).await?, self.to.version(&unnamed(object, row.as_deref())).await?)
            }
            CopyItem::Kept(location) => {
                let Some((object, seal_id)) = self.from.kept(location) else { return Ok(Copied::Left(Left::NotGiven)) };
                let version = |file: Option<Arc<dyn MediaFile>>| file.map(|file| file.version());
                (
                    version(self.from.open_kept(&object, &seal_id).await?),
                    version(self.to.open_kept(&object, &seal_id).await?),
                )
            }
        };
        Ok(match (from, to) {
            (None, _) => Copied::Left(Left::Gone),
            (Some(from), Some(to)) if from.len == to.len => Copied::Already { bytes: from.len },
            (Some(from), _) => {
                Copied::Done { bytes: from.len, proof: Proof::Digest, took_place: false, is_damaged: false }
            }
        })
    }

    /// Why an object is not to be copied.
    async fn left(&self, object: &MediaObject, row: Option<&Recording>) -> Result<Option<Left>, Error> {
        if object.stage == Stage::Next {
            return Ok(Some(Left::LeftOver));
        }
        if object.role != ObjectRole::Media {
            return Ok(match object.stage {
                Stage::Part if self.from.is_being_written(object).await? => Some(Left::BeingWritten),
                Stage::Part => Some(Left::LeftOver),
                Stage::Final | Stage::Next => None,
            });
        }
        let is_live = row.is_some_and(|row| {
            object.stage == Stage::Part && matches!(row.state_at((self.clock)()), RecordingState::Recording { .. })
        });
        if is_live || (object.stage == Stage::Part && self.from.is_being_written(object).await?) {
            return Ok(Some(Left::BeingWritten));
        }
        let Some(row) = row else { return Ok(None) };
        if matches!(row.content, Content::Sealed { replacement: Some(_), .. }) {
            return Err(Error::Unsettled);
        }
        Ok((row.is_sealed() != (object.kind == MediaKind::Sealed)).then_some(Left::OtherKind))
    }

    async fn copy_object(
        &self,
        object: &MediaObject,
        row: Option<&Recording>,
        conduct: Conduct<'_>,
    ) -> Result<Copied, Error> {
        let Some(file) = self.from.open(object).await? else { return Ok(Copied::Left(Left::Gone)) };
        let identity = self.identity(object, row, &*file, conduct.stop).await?;
        let target = MediaObject { sealing: identity.sealing, outside: None, ..object.clone() };
        self.note(&target);
        let was_damaged = identity.damage.is_some();
        if !self.wishes.damaged
            && let Some(damage) = identity.damage
        {
            return Err(damage);
        }
        let bytes = file.version().len;
        let there = self.there(&target, row, &*file, &identity, conduct).await?;
        if let There::OldHead(version) = there {
            return self.renew_head(&target, version, &*file, conduct).await;
        }
        if let There::Same = there {
            (conduct.progress)(2 * bytes);
            return Ok(Copied::Already { bytes });
        }
        let _claim = self.claims.claim(&object.id).await;
        let next = MediaObject { stage: Stage::Next, ..target.clone() };
        let written = self.write(&next, &target, row, &*file, conduct).await;
        let (proof, is_damaged) = match written {
            Ok(written) => written,
            Err(error) => return Err(self.without(&next, error).await),
        };
        let placed = match there {
            There::OldSealing => self.to.replace(&next, &target).await,
            There::Nothing | There::Same | There::OldHead(_) => self.to.place(&next, &target).await,
        };
        if let Err(error) = placed {
            return Err(self.without(&next, error.into()).await);
        }
        if row.is_some() && self.database.recording(&object.id).await?.is_none() {
            // Purged meanwhile: what lies nowhere else would be found by nobody.
            self.to.remove(&target).await?;
            return Ok(Copied::Left(Left::Gone));
        }
        let is_damaged = is_damaged || was_damaged;
        Ok(Copied::Done { bytes, proof, took_place: matches!(there, There::OldSealing), is_damaged })
    }

    /// What has its name at the target.
    async fn there(
        &self,
        target: &MediaObject,
        row: Option<&Recording>,
        file: &dyn MediaFile,
        identity: &Identity,
        conduct: Conduct<'_>,
    ) -> Result<There, Error> {
        let Some(found) = self.to.open(target).await? else { return Ok(There::Nothing) };
        let difference = difference(file, &*found, self.wishes.recheck, conduct.stop).await?;
        if difference == Difference::None {
            return Ok(There::Same);
        }
        let other = || Error::InTheWay(self.to.location(target));
        // Only what is sealed, and whose key is here, proves to be of the same recording.
        let (Some(ours), Ok(Some(theirs))) = (&identity.header, self.header(target, &*found).await) else {
            return Err(other());
        };
        let is_current = row.is_some_and(|row| row.content.seal_ids().contains(&Some(ours.seal_id())));
        match difference {
            Difference::Head if ours.seal_id() == theirs.seal_id() => Ok(There::OldHead(found.version())),
            _ if is_current && target.role == ObjectRole::Media && ours.seal_id() != theirs.seal_id() => {
                Ok(There::OldSealing)
            }
            _ => Err(other()),
        }
    }

    /// The same sealing was wrapped anew since it was copied.
    async fn renew_head(
        &self,
        target: &MediaObject,
        version: Version,
        file: &dyn MediaFile,
        conduct: Conduct<'_>,
    ) -> Result<Copied, Error> {
        let bytes = file.version().len;
        let head = file.read(0, vec![0; HEADER_LEN], 0).await?;
        self.to.rewrite_head(target, version, &head).await?;
        let found = self.to.open(target).await?.ok_or_else(|| Error::NotKept(self.to.location(target)))?;
        let seen = self.read_back(target, target.stage, &*found, conduct).await?;
        seen.tags.unwrap_or(Ok(()))?;
        Ok(Copied::Done { bytes, proof: Proof::Tags, took_place: true, is_damaged: false })
    }

    /// Writes all of it under a name that no reader looks at, and verifies what is there then.
    async fn write(
        &self,
        next: &MediaObject,
        target: &MediaObject,
        row: Option<&Recording>,
        file: &dyn MediaFile,
        conduct: Conduct<'_>,
    ) -> Result<(Proof, bool), Error> {
        let digest = self.pour(next, file, conduct).await?;
        let catalogued = row.filter(|row| target.role == ObjectRole::Media && row.state == RecordingState::Complete);
        let mut damage = match catalogued.map(|row| &row.content) {
            Some(Content::Plain { digest: known, .. }) if *known != digest => Some(Error::PlainChanged),
            _ => None,
        };
        let back = self.to.open(next).await?.ok_or_else(|| Error::NotKept(self.to.location(next)))?;
        let seen = self.read_back(target, target.stage, &*back, conduct).await?;
        if back.version().len != file.version().len || seen.digest != digest {
            return Err(Error::NotKept(self.to.location(next)));
        }
        let proof = if seen.tags.is_some() { Proof::Tags } else { Proof::Digest };
        if let Some(Err(error)) = seen.tags {
            damage = Some(error.into());
        }
        match damage {
            None => Ok((proof, false)),
            Some(_) if self.wishes.damaged => Ok((Proof::Digest, true)),
            Some(damage) => Err(damage),
        }
    }

    /// Copies bytes, and makes them durable; the digest of what was read.
    async fn pour(&self, next: &MediaObject, file: &dyn MediaFile, conduct: Conduct<'_>) -> Result<[u8; 32], Error> {
        let mut writer = self.to.create(next).await?;
        let (len, mut digest, mut position) = (file.version().len, Sha256Digest::default(), 0);
        // It may be media in plain.
        let mut buffer = Zeroizing::new(Vec::with_capacity(usize::try_from(len.min(PIECE_LEN)).unwrap_or_default()));
        while position < len {
            let piece_len = PIECE_LEN.min(len - position);
            conduct.pace.take(piece_len, conduct.stop).await;
            if conduct.stop.is_asked() {
                return Err(Error::Stopped);
            }
            buffer.resize(usize::try_from(piece_len).unwrap_or(usize::MAX), 0);
            let filled = file.try_read_now(position, &mut buffer)?;
            *buffer = file.read(position, core::mem::take(&mut *buffer), filled).await?;
            digest.update(&buffer);
            *buffer = writer.append(core::mem::take(&mut *buffer)).await?;
            position += piece_len;
            (conduct.progress)(piece_len);
        }
        writer.finish().await?;
        Ok(digest.finish())
    }

    async fn copy_kept(&self, location: &str, conduct: Conduct<'_>) -> Result<Copied, Error> {
        let Some((object, seal_id)) = self.from.kept(location) else { return Ok(Copied::Left(Left::NotGiven)) };
        let Some(file) = self.from.open_kept(&object, &seal_id).await? else { return Ok(Copied::Left(Left::Gone)) };
        let bytes = file.version().len;
        if let Some(found) = self.to.open_kept(&object, &seal_id).await? {
            return match difference(&*file, &*found, self.wishes.recheck, conduct.stop).await? {
                Difference::None => Ok(Copied::Already { bytes }),
                Difference::Head | Difference::Other => Err(Error::InTheWay(location.to_owned())),
            };
        }
        let _claim = self.claims.claim(&object.id).await;
        let next = MediaObject { stage: Stage::Next, sealing: Some(seal_id), ..object.clone() };
        let kept = self.keep(&next, &object, &seal_id, &*file, conduct).await;
        match kept {
            Ok(()) => {
                self.to.remove(&next).await?;
                Ok(Copied::Done { bytes, proof: Proof::Digest, took_place: false, is_damaged: false })
            }
            Err(error) => Err(self.without(&next, error).await),
        }
    }

    /// Evidence is damaged: only its bytes are compared.
    async fn keep(
        &self,
        next: &MediaObject,
        object: &MediaObject,
        seal_id: &SealId,
        file: &dyn MediaFile,
        conduct: Conduct<'_>,
    ) -> Result<(), Error> {
        let digest = self.pour(next, file, conduct).await?;
        let back = self.to.open(next).await?.ok_or_else(|| Error::NotKept(self.to.location(next)))?;
        let seen = self.read_back(object, Stage::Final, &*back, conduct).await?;
        if seen.digest != digest {
            return Err(Error::NotKept(self.to.location(next)));
        }
        self.to.keep(next, seal_id).await?;
        Ok(())
    }

    /// What was begun goes; what failed first is what is told.
    async fn without(&self, next: &MediaObject, error: Error) -> Error {
        let _the_next_run_removes_it = self.to.remove(next).await;
        error
    }
}

/// An object at the target, by what the catalogue says of it alone.
pub(super) fn unnamed(object: &MediaObject, row: Option<&Recording>) -> MediaObject {
    let sealing = match row.filter(|_| object.role == ObjectRole::Media).map(|row| &row.content) {
        Some(Content::Sealed { seal_id, .. }) => Some(*seal_id),
        Some(Content::Plain { digest, .. }) if *digest != [0; 32] => Some(SealId::of_plain(digest)),
        Some(Content::Plain { .. }) | None => None,
    };
    MediaObject { sealing: object.sealing.or(sealing), outside: None, ..object.clone() }
}
