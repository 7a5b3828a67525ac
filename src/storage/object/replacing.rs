//! Objects that take another one's place, that are kept, that get another head, or go.
//!
//! An object's name is its own: what replaces it lies under another key, and the catalogue, which names both meanwhile,
//! says which counts. So every step here can be the last one: at each moment all that the row names is there, but for
//! what is about to go, and doing it again changes nothing.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{ObjectStoreExt, path::Path};

use super::super::object_name;
use super::bucket::{Bucket, Found};
use super::fetch::Pinned;
use super::names::{self, Named};
use super::part_copies::COPY_LEN_MAX;
use super::path_of;
use super::writer::{BucketWriter, PART_LEN};
use crate::base::{RecordingId, SealId};
use crate::media::{Error, MediaObject, MediaWriter, Stage, Version};

/// From this length on, a head is written anew by sending one part, and having the store copy the rest: shorter ones
/// are sent whole, with fewer requests.
const PARTS_FROM: u64 = 2 * PART_LEN as u64;

/// Gives `from` its place as `to.stage`, under its own sealing, and then removes `to`.
pub(super) async fn replace(bucket: &Arc<Bucket>, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
    let (from, path) = named(bucket, from).await?;
    let place = MediaObject { sealing: from.sealing, ..to.clone() };
    let target = path_of(bucket, &place)?.ok_or_else(|| gone(bucket, &path))?;
    copy(bucket, &from, &path, &target).await?;
    match &to.sealing {
        Some(_) if to.sealing == place.sealing => {}
        Some(_) => remove(bucket, to).await?,
        None => {
            for (_, old) in bucket.all_of(to).await?.into_iter().filter(|(_, old)| *old != target) {
                bucket.delete(&old).await?;
            }
        }
    }
    bucket.seen.forget(to);
    bucket.delete(&path).await
}

/// Gives `from` its place as `to.stage`, where nothing is.
pub(super) async fn place(bucket: &Arc<Bucket>, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
    let (from, path) = named(bucket, from).await?;
    let place = MediaObject { sealing: from.sealing, ..to.clone() };
    let target = path_of(bucket, &place)?.ok_or_else(|| gone(bucket, &path))?;
    if bucket.head(&target).await?.is_some() {
        return Err(Error::Exists { location: bucket.location(&target), being_written: false });
    }
    copy(bucket, &from, &path, &target).await?;
    bucket.delete(&path).await
}

/// Keeps a copy under a name that is no object's.
pub(super) async fn keep(bucket: &Arc<Bucket>, object: &MediaObject, seal_id: &SealId) -> Result<String, Error> {
    let (object, path) = named(bucket, object).await?;
    let last = MediaObject { stage: Stage::Final, ..object.clone() };
    let name = names::name(&last).ok_or_else(|| gone(bucket, &path))?;
    let target = bucket.path(&format!("{}/{}", object.id, object_name::kept(&name, seal_id)))?;
    let from = bucket.head(&path).await?.ok_or_else(|| gone(bucket, &path))?;
    match bucket.head(&target).await? {
        Some(kept) if !is_same(bucket, &object, &kept, &from).await? => {
            return Err(Error::Exists { location: bucket.location(&target), being_written: false });
        }
        Some(_) => {}
        None => copy(bucket, &object, &path, &target).await?,
    }
    Ok(bucket.location(&target))
}

/// Removes what is kept of a recording. Nothing is written over first: what an object store overwrites it keeps, or
/// lets go, just as what it deletes.
pub(super) async fn remove_kept(bucket: &Bucket, id: &RecordingId) -> Result<(), Error> {
    for meta in bucket.folder(id).await? {
        if names::read(bucket.key(&meta.location)).1 == Named::Kept {
            bucket.delete(&meta.location).await?;
        }
    }
    Ok(())
}

/// Removes an object, or all that it may be.
pub(super) async fn remove(bucket: &Bucket, object: &MediaObject) -> Result<(), Error> {
    if object.outside.is_some() {
        return bucket.resolve(object).await.map(|_| ());
    }
    bucket.seen.forget(object);
    match path_of(bucket, object)? {
        Some(path) => bucket.delete(&path).await,
        None => {
            for (_, path) in bucket.all_of(object).await? {
                bucket.delete(&path).await?;
            }
            Ok(())
        }
    }
}

/// Removes an object that is still of that version.
pub(super) async fn remove_version(bucket: &Bucket, object: &MediaObject, version: Version) -> Result<u64, Error> {
    let Some(path) = bucket.resolve(object).await? else { return Ok(0) };
    let Some(found) = bucket.head(&path).await? else { return Ok(0) };
    if found.version() != version {
        return Err(Error::Changed { location: bucket.location(&path) });
    }
    bucket.seen.forget(object);
    bucket.delete(&path).await.map(|()| 0)
}

/// Puts an object with another head in its place, at once.
pub(super) async fn rewrite_head(
    bucket: &Arc<Bucket>,
    object: &MediaObject,
    version: Version,
    head: &[u8],
) -> Result<(), Error> {
    let path = bucket.resolve(object).await?;
    let path = path.ok_or_else(|| bucket.unavailable(object.id.as_str(), "it is not there".into()))?;
    let found = bucket.head(&path).await?.ok_or_else(|| gone(bucket, &path))?;
    if found.version() != version {
        return Err(Error::Changed { location: bucket.location(&path) });
    }
    let outcome = match &bucket.part_copies {
        Some(copies) if found.len >= PARTS_FROM => {
            let first = beginning(bucket, object, &found, PART_LEN as u64, head).await?;
            let rewritten = copies.rewrite(&found, first).await;
            rewritten.map_err(|error| bucket.failed(&path, &error))
        }
        _ => send_anew(bucket, object, &found, head).await,
    };
    bucket.seen.forget(object);
    outcome
}

/// The first bytes of an object, under another head.
async fn beginning(
    bucket: &Arc<Bucket>,
    object: &MediaObject,
    found: &Found,
    len: u64,
    head: &[u8],
) -> Result<Vec<u8>, Error> {
    let mut content = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
    let pinned = Pinned::new(bucket, object, found.clone());
    pinned.fetch(0..len, &mut |piece: Bytes| content.extend_from_slice(&piece)).await?;
    match content.get_mut(..head.len()) {
        Some(old) => old.copy_from_slice(head),
        None => return Err(Error::ShortRead { location: bucket.location(&found.path) }),
    }
    Ok(content)
}

/// Reads an object and writes it again.
async fn send_anew(bucket: &Arc<Bucket>, object: &MediaObject, found: &Found, head: &[u8]) -> Result<(), Error> {
    let mut writer = BucketWriter::at(bucket, object, found.path.clone());
    let mut start = 0;
    while start < found.len || start == 0 {
        let end = found.len.min(start + PART_LEN as u64);
        let piece = if start == 0 {
            beginning(bucket, object, found, end, head).await?
        } else {
            let mut piece = Vec::with_capacity(PART_LEN);
            let pinned = Pinned::new(bucket, object, found.clone());
            pinned.fetch(start..end, &mut |bytes: Bytes| piece.extend_from_slice(&bytes)).await?;
            piece
        };
        writer.append(piece).await?;
        start = end.max(1);
    }
    Box::new(writer).finish().await
}

/// Copies an object within the store, which reads and writes it by itself where it can.
pub(super) async fn copy(bucket: &Arc<Bucket>, object: &MediaObject, from: &Path, to: &Path) -> Result<(), Error> {
    let found = bucket.head(from).await?.ok_or_else(|| gone(bucket, from))?;
    match &bucket.part_copies {
        Some(copies) if found.len > COPY_LEN_MAX => copies.copy(&found, to).await,
        _ => bucket.writes.copy(from, to).await,
    }
    .map_err(|error| bucket.failed(to, &error))?;
    match bucket.head(to).await? {
        Some(copied) if copied.len == found.len => Ok(()),
        _ => Err(bucket.unavailable(to.as_ref(), format!("the store did not copy all of {}", bucket.location(from))))
            .inspect_err(|_| bucket.seen.forget(object)),
    }
}

/// Whether two objects hold the same bytes. Where their tags differ that says little: one may have come in parts.
async fn is_same(bucket: &Arc<Bucket>, object: &MediaObject, one: &Found, other: &Found) -> Result<bool, Error> {
    if one.len != other.len || one.etag == other.etag {
        return Ok(one.len == other.len);
    }
    let (one, other) = (Pinned::new(bucket, object, one.clone()), Pinned::new(bucket, object, other.clone()));
    let mut start = 0;
    while start < one.len {
        let end = one.len.min(start + PART_LEN as u64);
        let (mut left, mut right) = (Vec::new(), Vec::new());
        one.fetch(start..end, &mut |piece: Bytes| left.extend_from_slice(&piece)).await?;
        other.fetch(start..end, &mut |piece: Bytes| right.extend_from_slice(&piece)).await?;
        if left != right {
            return Ok(false);
        }
        start = end;
    }
    Ok(true)
}

/// An object that is there, with its sealing, and its path.
async fn named(bucket: &Bucket, object: &MediaObject) -> Result<(MediaObject, Path), Error> {
    let path = bucket.resolve(object).await?;
    let path = path.ok_or_else(|| bucket.unavailable(object.id.as_str(), "it is not there".into()))?;
    match names::read(bucket.key(&path)) {
        (_, Named::Object(object)) => Ok((object, path)),
        _ => Err(gone(bucket, &path)),
    }
}

fn gone(bucket: &Bucket, path: &Path) -> Error {
    bucket.unavailable(path.as_ref(), "it is not there".into())
}
