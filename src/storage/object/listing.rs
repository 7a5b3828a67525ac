//! What lies in the bucket: a page is so many objects, in the order of their keys, and the rest of the recording that
//! the last one of them is of.

use futures_util::TryStreamExt;
use object_store::ObjectMeta;

use super::bucket::Bucket;
use super::names::{self, Named};
use crate::base::RecordingId;
use crate::media::{Error, Listing, MediaObject, Stranger};

/// After so many objects a page ends with the recording.
const PAGE_LEN: usize = 1000;

/// The objects of one recording.
pub(super) async fn of(bucket: &Bucket, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
    let of = |meta: &ObjectMeta| match names::read(bucket.key(&meta.location)).1 {
        Named::Object(object) => Some(object),
        Named::Kept | Named::Stranger => None,
    };
    Ok(bucket.folder(id).await?.iter().filter_map(of).collect())
}

pub(super) async fn page(bucket: &Bucket, after: Option<&str>) -> Result<Listing, Error> {
    let root = bucket.root()?;
    let prefix = (!bucket.prefix.is_empty()).then_some(&root);
    let mut objects = match after {
        Some(after) => bucket.reads.list_with_offset(prefix, &bucket.path(after)?),
        None => bucket.reads.list(prefix),
    };
    let (mut listing, mut len, mut last) = (Listing::default(), 0, None);
    let mut last_key: Option<String> = None;
    while let Some(meta) = bucket.ask(&root, objects.try_next()).await?.map_err(|error| bucket.failed(&root, &error))? {
        let key = bucket.key(&meta.location);
        let (id, named) = names::read(key);
        if len >= PAGE_LEN && id != last {
            listing.next = last_key;
            break;
        }
        let location = || bucket.location(&meta.location);
        match named {
            Named::Object(object) => listing.objects.push(object),
            Named::Kept => listing.kept.push(location()),
            Named::Stranger => {
                let reason = "it is no object of a recording".into();
                listing.strangers.push(Stranger { location: location(), reason });
            }
        }
        (len, last, last_key) = (len + 1, id, Some(key.to_owned()));
    }
    Ok(listing)
}
