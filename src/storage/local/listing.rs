//! What lies in the folder: a page is one of the folders in it, in the order of their names.

use std::{fs, io, path::Path};

use super::super::object_name::{before_kept, without_suffix};
use super::{LocalStore, location, replacing::LOCK_NAME, unavailable};
use crate::base::RecordingId;
use crate::media::{Error, Listing, MediaObject, ObjectRole, Stranger};

/// The folder after the one named `after`, and, on the first page, what lies in the root and is no folder of ours.
pub(super) fn page(store: &LocalStore, after: Option<&str>) -> Result<Listing, Error> {
    let mut listing = Listing::default();
    let mut folders = Vec::new();
    for name in names(&store.root).map_err(|error| unavailable(&store.root, &error))? {
        let path = store.root.join(&name);
        if is_folder_name(&name) && path.is_dir() {
            folders.push(name);
        } else if name != LOCK_NAME && after.is_none() {
            listing.strangers.push(stranger(&path, STRANGE));
        }
    }
    let mut folders = folders.into_iter().filter(|name| after.is_none_or(|after| name.as_str() > after));
    let Some(folder) = folders.next() else { return Ok(listing) };
    let path = store.root.join(&folder);
    match names(&path) {
        Ok(names) => {
            for name in names {
                let is_here = |object: &MediaObject| store.folder(&object.id) == path;
                match object(&name).filter(is_here) {
                    Some(object) => listing.objects.push(object),
                    None if before_kept(&name).and_then(object).is_some_and(|object| is_here(&object)) => {
                        listing.kept.push(location(&path.join(name)));
                    }
                    None => listing.strangers.push(stranger(&path.join(name), STRANGE)),
                }
            }
        }
        // The rest is listed all the same.
        Err(error) => listing.strangers.push(stranger(&path, &error.to_string())),
    }
    listing.next = folders.next().map(|_| folder);
    Ok(listing)
}

/// What lies beside one recording's media.
pub(super) fn beside(store: &LocalStore, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
    let folder = store.folder(id);
    let names = match names(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names.map_err(|error| unavailable(&folder, &error))?,
    };
    let is_beside = |object: &MediaObject| object.id == *id && object.role != ObjectRole::Media;
    Ok(names.iter().filter_map(|name| object(name)).filter(is_beside).collect())
}

const STRANGE: &str = "it is no file of a recording, or not in its place";

fn stranger(path: &Path, reason: &str) -> Stranger {
    Stranger { location: location(path), reason: reason.to_owned() }
}

/// Sorted, so that pages and reports are the same each time. Names that are not UTF-8 are no object's.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<String>>>()?;
    names.sort_unstable();
    Ok(names)
}

fn is_folder_name(name: &str) -> bool {
    name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

pub(super) fn object(name: &str) -> Option<MediaObject> {
    without_suffix(name).find_map(|(stem, kind, stage)| {
        let (id, role) = role(stem)?;
        Some(MediaObject { id, role, kind, stage, sealing: None, outside: None })
    })
}

fn role(stem: &str) -> Option<(RecordingId, ObjectRole)> {
    let mut parts = stem.split('~');
    let id = parts.next()?.parse().ok()?;
    let role = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => ObjectRole::Media,
        (Some(version), None, _) => ObjectRole::Metadata { version: version.parse().ok()? },
        (Some(name), Some(version), None) => {
            ObjectRole::Sidecar { name: name.parse().ok()?, version: version.parse().ok()? }
        }
        _ => return None,
    };
    Some((id, role))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{MediaKind, Stage};

    #[test]
    fn what_lies_beside_media_is_told_from_it() {
        let version = "000102030405060708090a0b0c0d0e0f";
        let metadata = object(&format!("a.b~{version}.sealed")).expect("metadata");
        assert_eq!(metadata.id.as_str(), "a.b");
        assert!(matches!(metadata.role, ObjectRole::Metadata { version: it } if it.to_string() == version));
        let sidecar = object(&format!("a~t.json~{version}.plain.part")).expect("a sidecar");
        assert!(matches!(&sidecar.role, ObjectRole::Sidecar { name, .. } if name.as_str() == "t.json"));
        assert_eq!((sidecar.kind, sidecar.stage), (MediaKind::Plain, Stage::Part));
        for of_mine in [metadata, sidecar] {
            assert_eq!(object(&super::super::file_name(&of_mine)), Some(of_mine));
        }
        for stranger in ["a~.sealed", "a~b.sealed", "a~b~c.sealed", "~a.sealed"] {
            assert_eq!(object(stranger), None, "{stranger}");
        }
        assert_eq!(object(&format!("a~b~{version}~{version}.sealed")), None);
        assert_eq!(object(&format!("a~{}.sealed", version.to_uppercase())), None, "one name for one object");
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for (name, id, kind, stage) in [
            ("a.sealed", "a", MediaKind::Sealed, Stage::Final),
            ("a.sealed.part", "a", MediaKind::Sealed, Stage::Part),
            ("a.sealed.sealed.next", "a.sealed", MediaKind::Sealed, Stage::Next),
            ("a.part.plain", "a.part", MediaKind::Plain, Stage::Final),
        ] {
            let object = object(name).expect("an object");
            assert_eq!((object.id.as_str(), object.kind, object.stage), (id, kind, stage));
        }
        for stranger in ["a", ".sealed", "a.part", "a b.sealed", "-a.sealed", "a.sealed.bak"] {
            assert_eq!(object(stranger), None, "{stranger}");
        }
    }
}
