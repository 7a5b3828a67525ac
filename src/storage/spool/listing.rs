//! What lies in the spool and in the store behind it, page by page: the spool first.

use std::collections::HashSet;

use super::{SpooledStore, may_wait};
use crate::base::RecordingId;
use crate::media::{Error, Listing, MediaKind, MediaStore, Stage};

/// What a place in the listing begins with, in the spool and in the store.
const IN_SPOOL: &str = "spool:";
const IN_STORE: &str = "store:";

impl SpooledStore {
    pub(super) async fn page(&self, after: Option<&str>) -> Result<Listing, Error> {
        match after.map(|after| (after.strip_prefix(IN_SPOOL), after.strip_prefix(IN_STORE))) {
            None => self.page_of_spool(None).await,
            Some((Some(after), _)) => self.page_of_spool(Some(after)).await,
            Some((None, after)) => self.page_of_store(after.filter(|after| !after.is_empty())).await,
        }
    }

    async fn page_of_spool(&self, after: Option<&str>) -> Result<Listing, Error> {
        let page = self.spool.list(after).await?;
        let next = page.next.map_or_else(|| IN_STORE.to_owned(), |next| format!("{IN_SPOOL}{next}"));
        Ok(Listing { next: Some(next), ..page })
    }

    /// Without what also waits in the spool: an upload is under way, or died when it was.
    async fn page_of_store(&self, after: Option<&str>) -> Result<Listing, Error> {
        let mut page = self.remote.list(after).await?;
        let waiting = self.waiting().await?;
        page.objects
            .retain(|object| !may_wait(object) || !waiting.contains(&(object.id.clone(), object.kind, object.stage)));
        page.next = page.next.map(|next| format!("{IN_STORE}{next}"));
        Ok(page)
    }

    async fn waiting(&self) -> Result<HashSet<(RecordingId, MediaKind, Stage)>, Error> {
        let (mut waiting, mut after) = (HashSet::new(), None);
        loop {
            let page = self.spool.list(after.as_deref()).await?;
            waiting.extend(page.objects.into_iter().map(|object| (object.id, object.kind, object.stage)));
            after = page.next;
            if after.is_none() {
                return Ok(waiting);
            }
        }
    }
}
