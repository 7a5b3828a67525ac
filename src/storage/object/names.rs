//! What keys say. Below a recording's own `ID/`: `SEALING.sealed` is its media, `~VERSION.sealed` its metadata, and
//! `NAME~VERSION.sealed` a sidecar. No key is written twice, but for the head of what it holds, so that none of this
//! needs a store that can refuse to overwrite.

use super::super::object_name::{before_kept, suffix, without_suffix};
use crate::base::{RecordingId, SealId};
use crate::media::{MediaObject, ObjectRole};

/// The end of an object's key, behind its recording's ID; none for media whose sealing is not said.
pub(super) fn name(object: &MediaObject) -> Option<String> {
    let suffix = suffix(object.kind, object.stage);
    match &object.role {
        ObjectRole::Media => object.sealing.map(|sealing| format!("{sealing}{suffix}")),
        ObjectRole::Metadata { version } => Some(format!("~{version}{suffix}")),
        ObjectRole::Sidecar { name, version } => Some(format!("{name}~{version}{suffix}")),
    }
}

/// What a key is, by its recording and its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    Object(MediaObject),
    /// Damaged, and kept beside what took its place.
    Kept,
    Stranger,
}

/// Reads `ID/NAME`, a key without the store's prefix.
pub(super) fn read(key: &str) -> (Option<RecordingId>, Named) {
    let Some((id, name)) = key.split_once('/') else { return (None, Named::Stranger) };
    let Ok(id) = id.parse::<RecordingId>() else { return (None, Named::Stranger) };
    let named = match object(&id, name) {
        Some(object) => Named::Object(object),
        None if before_kept(name).is_some_and(|name| object(&id, name).is_some()) => Named::Kept,
        None => Named::Stranger,
    };
    (Some(id), named)
}

fn object(id: &RecordingId, name: &str) -> Option<MediaObject> {
    without_suffix(name).find_map(|(stem, kind, stage)| {
        let object = MediaObject::media(id.clone(), kind, stage);
        match stem.rsplit_once('~') {
            None => Some(MediaObject { sealing: Some(stem.parse::<SealId>().ok()?), ..object }),
            Some(("", version)) => {
                Some(MediaObject { role: ObjectRole::Metadata { version: version.parse().ok()? }, ..object })
            }
            Some((name, version)) => {
                let role = ObjectRole::Sidecar { name: name.parse().ok()?, version: version.parse().ok()? };
                Some(MediaObject { role, ..object })
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{MediaKind, Stage};

    const ID: &str = "000102030405060708090a0b0c0d0e0f";

    #[test]
    fn keys_are_read_as_they_are_written() {
        for (key, kind, stage) in [
            (format!("a.b/{ID}.sealed"), MediaKind::Sealed, Stage::Final),
            (format!("a+b@c/{ID}.sealed.part"), MediaKind::Sealed, Stage::Part),
            (format!("a/{ID}.plain.next"), MediaKind::Plain, Stage::Next),
            (format!("a/~{ID}.sealed"), MediaKind::Sealed, Stage::Final),
            (format!("a/t.json~{ID}.plain"), MediaKind::Plain, Stage::Final),
        ] {
            let (Some(id), Named::Object(object)) = read(&key) else { panic!("{key}") };
            assert_eq!((object.kind, object.stage), (kind, stage), "{key}");
            assert_eq!(format!("{id}/{}", name(&object).expect("a name")), key);
        }
        assert_eq!(name(&MediaObject::media("a".parse().expect("an ID"), MediaKind::Sealed, Stage::Final)), None);
    }

    #[test]
    fn what_is_no_object_is_told_from_what_is_kept() {
        assert_eq!(read(&format!("a/{ID}.sealed.damaged-{ID}")).1, Named::Kept);
        let sealed = |stem: &str| format!("a/{stem}.sealed");
        for stranger in [
            "a".into(),
            ID.into(),
            "a/".into(),
            sealed("a"),
            sealed(&ID.to_uppercase()),
            sealed("~"),
            format!("a/b~c~{ID}.sealed"),
            format!("-a/{ID}.sealed"),
            format!("a/b/{ID}.sealed"),
            format!("a/{ID}.sealed.damaged-"),
        ] {
            assert_eq!(read(&stranger).1, Named::Stranger, "{stranger}");
        }
    }
}
