//! Seals what lies beside recordings again, and catalogues again what a lost catalogue knew of it.

use zeroize::Zeroizing;

use super::{
    Companions, Error, metadata_of, object,
    reading::{Reading, read},
    role_object,
};
use crate::base::{Fingerprint, Timestamp};
use crate::catalogue::{Companion, CompanionsOf, Kept, ResealRun};
use crate::media::{MediaKind, MediaObject, ObjectRole, Stage};
use crate::sealed::{Corruption, HEADER_LEN, Role, UnverifiedHeader};
use crate::service::{Selection, Stop, Work};

/// How many rows are asked for at a time.
const PAGE_LEN: u32 = 1000;

impl Companions {
    /// Seals what lies sealed beside a recording again, under the newest database key.
    ///
    /// # Errors
    ///
    /// Why it stays as it is.
    async fn renew(&self, companion: &Companion) -> Result<Companion, Error> {
        let to = self.keys.ring().wrapping()?;
        let content = self.read_with(companion, Reading::Keeping).await?;
        let (id, name) = (&companion.id, companion.name.clone());
        let new = self.write(id, name, companion.media_type.clone(), &content, Some(&to)).await?;
        if let Err(error) = self.database.replace_companion(companion, &new).await {
            self.take_away_unless_named(&new).await;
            return Err(error.into());
        }
        self.take_away(companion).await;
        Ok(new)
    }

    /// Seals again what `work` and `selection` ask for, as the same is done with media: what is under another key than
    /// the newest, or, to reseal, whatever `run` has not sealed yet. `each` hears of every one.
    ///
    /// # Errors
    ///
    /// The catalogue, no active key, or what `each` says.
    pub async fn renew_all<E: From<Error>>(
        &self,
        work: Work,
        selection: &Selection,
        run: Option<&ResealRun>,
        stop: &Stop,
        mut each: impl FnMut(&Companion, Result<(), Error>) -> Result<(), E>,
    ) -> Result<(), E> {
        let newest = self.keys.ring().wrapping().map_err(Error::from)?.fingerprint;
        let which = match (selection, work) {
            (Selection::Under(key), _) => CompanionsOf::Under(*key),
            (Selection::All | Selection::Ids(_), Work::Rewrap) => CompanionsOf::NotUnder(newest),
            (Selection::All | Selection::Ids(_), Work::Reseal) => CompanionsOf::All,
        };
        let mut after: Option<Companion> = None;
        let mut ids = match selection {
            Selection::Ids(ids) => ids.as_slice(),
            Selection::All | Selection::Under(_) => &[],
        };
        loop {
            let page = match selection {
                Selection::Ids(_) => {
                    let Some((id, rest)) = ids.split_first() else { return Ok(()) };
                    ids = rest;
                    let mut beside = self.database.companions(id).await.map_err(Error::from)?;
                    beside.retain(|companion| match (companion.fingerprint(), work) {
                        (None, _) => false,
                        (Some(key), Work::Rewrap) => key != newest,
                        (Some(_), Work::Reseal) => true,
                    });
                    beside
                }
                Selection::All | Selection::Under(_) => {
                    let page = self.database.companions_of(&which, after.as_ref(), PAGE_LEN).await;
                    let page = page.map_err(Error::from)?;
                    let Some(last) = page.last() else { return Ok(()) };
                    after = Some(last.clone());
                    page
                }
            };
            for companion in &page {
                if stop.is_asked() {
                    return Ok(());
                }
                match self.renew_unless(companion, newest, run).await {
                    Ok(true) => each(companion, Ok(()))?,
                    Ok(false) => {}
                    Err(error) => each(companion, Err(error))?,
                }
            }
        }
    }

    /// Whether it was sealed again now, and not by that run before.
    async fn renew_unless(
        &self,
        companion: &Companion,
        newest: Fingerprint,
        run: Option<&ResealRun>,
    ) -> Result<bool, Error> {
        if let Some(run) = run
            && run.to == newest
            && companion.fingerprint() == Some(newest)
            && self.sealed_at(companion).await? > run.begun
        {
            return Ok(false);
        }
        self.renew(companion).await?;
        Ok(true)
    }

    /// When a sealed companion was sealed.
    ///
    /// # Errors
    ///
    /// Why its header cannot be read.
    async fn sealed_at(&self, companion: &Companion) -> Result<Timestamp, Error> {
        let file = self.store.open(&object(companion)).await?.ok_or(Error::Missing)?;
        let header = UnverifiedHeader::read(&read(&*file, 0, file.version().len.min(HEADER_LEN as u64)).await?)?;
        let key = self.key(header.fingerprint(), Reading::Keeping).await?;
        Ok(header.verify(&key)?.header().sealed_at)
    }

    /// What of the files beside a recording no catalogue knows, put into it again: of several versions the latest that
    /// verifies. The names of what was put.
    ///
    /// # Errors
    ///
    /// Why a file cannot be told of.
    pub async fn restore(&self, objects: &[MediaObject]) -> Result<Vec<Companion>, Error> {
        let mut latest: Vec<(Timestamp, Companion, Zeroizing<Vec<u8>>)> = Vec::new();
        for object in objects {
            let name = match &object.role {
                ObjectRole::Media => continue,
                ObjectRole::Metadata { .. } => None,
                ObjectRole::Sidecar { name, .. } => Some(name.clone()),
            };
            if object.kind != MediaKind::Sealed || object.stage != Stage::Final {
                continue;
            }
            if self.find(&object.id, name.as_ref()).await?.is_some() {
                continue;
            }
            let file = self.store.open(object).await?.ok_or(Error::Missing)?;
            let role = name.clone().map_or(Role::Metadata, Role::Sidecar);
            let (found, content) = self.open(&*file, &object.id, &role, Reading::Keeping).await?;
            let companion = Companion {
                id: object.id.clone(),
                name,
                version: found.seal_id,
                media_type: found.media_type,
                content_len: content.len() as u64,
                kept: Kept::Sealed { fingerprint: found.fingerprint },
            };
            if role_object(&companion) != object.role {
                return Err(Corruption::OtherSealing.into());
            }
            match latest.iter_mut().find(|(_, other, _)| other.name == companion.name) {
                Some(other) if other.0 < found.sealed_at => *other = (found.sealed_at, companion, content),
                Some(_) => {}
                None => latest.push((found.sealed_at, companion, content)),
            }
        }
        let mut restored = Vec::with_capacity(latest.len());
        for (_, companion, content) in latest {
            let index = match companion.name {
                None => Some(metadata_of(&content)?.only(&self.settings.index)),
                Some(_) => None,
            };
            self.database.put_companion(&companion, index.as_ref()).await?;
            restored.push(companion);
        }
        Ok(restored)
    }
}
