//! One object's way from the spool to the store: copied as it is, and read back.

use std::sync::Arc;

use super::super::local::LocalStore;
use crate::base::SealId;
use crate::crypto::Sha256Digest;
use crate::media::{Error, MediaFile, MediaObject, MediaStore, MediaWriter, Stage, Version};

/// How much is read and sent at a time.
const PIECE_LEN: u64 = 1 << 20;

/// Copies an object; the version that was copied.
pub(super) async fn upload(
    spool: &LocalStore,
    remote: &dyn MediaStore,
    object: &MediaObject,
) -> Result<Version, Error> {
    let Some(file) = spool.open(object).await? else {
        return Err(Error::Changed { location: spool.location(object) });
    };
    let version = file.version();
    let is_there = match remote.open(object).await? {
        Some(there) if is_same(&*file, &*there).await? => true,
        Some(there) => {
            give_way(&*file, remote, object, there).await?;
            false
        }
        None => false,
    };
    if !is_there {
        copy(&*file, remote, object).await?;
    }
    if spool.version(object).await? == Some(version) {
        Ok(version)
    } else {
        Err(Error::Changed { location: spool.location(object) })
    }
}

/// Copies an object to where that sealing of it is kept; the version that was copied, and the URL.
pub(super) async fn keep(
    spool: &LocalStore,
    remote: &dyn MediaStore,
    object: &MediaObject,
    seal_id: &SealId,
) -> Result<(Version, String), Error> {
    let Some(file) = spool.open(object).await? else {
        return Err(Error::Changed { location: spool.location(object) });
    };
    // What takes its place is in the spool, too: nothing else of the recording has that name in the store.
    let next = MediaObject { stage: Stage::Next, sealing: Some(*seal_id), ..object.clone() };
    copy(&*file, remote, &next).await?;
    let kept = remote.keep(&next, seal_id).await;
    remote.remove(&next).await?;
    Ok((file.version(), kept?))
}

async fn copy(file: &dyn MediaFile, remote: &dyn MediaStore, object: &MediaObject) -> Result<(), Error> {
    let mut writer = begin(file, remote, object).await?;
    let digest = send(file, &mut *writer).await?;
    writer.finish().await?;
    let written = match remote.open(object).await? {
        Some(there) if there.version().len == file.version().len => digest_of(&*there).await? == digest,
        Some(_) | None => false,
    };
    if written {
        return Ok(());
    }
    // It was made just now, and is of use to nobody.
    remote.remove(object).await?;
    let reason = "what was read back is not what was written".into();
    Err(Error::Unavailable { location: remote.location(object), reason })
}

/// Begins the object, in the place of what a dead upload left of it under its growing name.
async fn begin(
    file: &dyn MediaFile,
    remote: &dyn MediaStore,
    object: &MediaObject,
) -> Result<Box<dyn MediaWriter>, Error> {
    let taken = match remote.create(object).await {
        Err(error @ Error::Exists { being_written: false, .. }) => error,
        outcome => return outcome,
    };
    let part = MediaObject { stage: Stage::Part, ..object.clone() };
    let Some(there) = remote.open(&part).await? else { return Err(taken) };
    give_way(file, remote, &part, there).await?;
    remote.create(object).await
}

/// Removes what is there if it is the beginning of what is to be there: a growing name's, left by an upload that died.
/// Whatever else it is, it stays.
async fn give_way(
    file: &dyn MediaFile,
    remote: &dyn MediaStore,
    there: &MediaObject,
    left: Arc<dyn MediaFile>,
) -> Result<(), Error> {
    let is_written = remote.is_being_written(there).await?;
    if there.stage != Stage::Part || is_written || !begins_as(file, &*left).await? {
        return Err(Error::Exists { location: remote.location(there), being_written: is_written });
    }
    drop(left);
    remote.remove(there).await
}

/// Sends all of it; its digest.
async fn send(file: &dyn MediaFile, writer: &mut dyn MediaWriter) -> Result<[u8; 32], Error> {
    let (mut digest, mut buffer, mut start, len) = (Sha256Digest::default(), Vec::new(), 0, file.version().len);
    while start < len {
        buffer.resize(piece_len(start, len), 0);
        let piece = file.read_once(start, buffer).await?;
        digest.update(&piece);
        start += piece.len() as u64;
        buffer = writer.append(piece).await?;
    }
    Ok(digest.finish())
}

async fn digest_of(file: &dyn MediaFile) -> Result<[u8; 32], Error> {
    let (mut digest, mut buffer, mut start, len) = (Sha256Digest::default(), Vec::new(), 0, file.version().len);
    while start < len {
        buffer.resize(piece_len(start, len), 0);
        buffer = file.read_once(start, buffer).await?;
        digest.update(&buffer);
        start += buffer.len() as u64;
    }
    Ok(digest.finish())
}

async fn is_same(file: &dyn MediaFile, other: &dyn MediaFile) -> Result<bool, Error> {
    Ok(file.version().len == other.version().len && begins_as(file, other).await?)
}

/// Whether all of `other` is the beginning of `file`.
async fn begins_as(file: &dyn MediaFile, other: &dyn MediaFile) -> Result<bool, Error> {
    let len = other.version().len;
    if file.version().len < len {
        return Ok(false);
    }
    let mut start = 0;
    while start < len {
        let piece_len = piece_len(start, len);
        if file.read_once(start, vec![0; piece_len]).await? != other.read_once(start, vec![0; piece_len]).await? {
            return Ok(false);
        }
        start += piece_len as u64;
    }
    Ok(true)
}

fn piece_len(start: u64, len: u64) -> usize {
    usize::try_from(PIECE_LEN.min(len - start)).unwrap_or(usize::MAX)
}
