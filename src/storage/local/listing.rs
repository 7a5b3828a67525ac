//! What lies in the folder: a page is one of the folders in it, in the order of their names.

use std::{fs, io, path::Path};

use super::{LocalStore, location, replacing::LOCK_NAME, suffix, unavailable};
use crate::media::{Error, Listing, MediaKind, MediaObject, Stage, Stranger};

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
                match object(&name).filter(|object| store.folder(&object.id) == path) {
                    Some(object) => listing.objects.push(object),
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

fn object(name: &str) -> Option<MediaObject> {
    [MediaKind::Sealed, MediaKind::Plain]
        .into_iter()
        .flat_map(|kind| [Stage::Final, Stage::Part, Stage::Next].map(|stage| (kind, stage)))
        .find_map(|(kind, stage)| {
            let id = name.strip_suffix(suffix(kind, stage))?.parse().ok()?;
            Some(MediaObject { id, kind, stage, outside: None })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

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
