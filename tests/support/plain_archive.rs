//! An archive of plain files beside a system, whose every stretch of bytes holds a marker that can be looked for.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use super::{Server, System};

/// Stands in all media of such an archive, every 64 bytes, and nowhere else.
const MARKER: &[u8] = b"sealtape-tests-plain-marker:7f3a91c0";

/// A folder of plain files, and what is in them.
pub struct PlainArchive {
    pub folder: PathBuf,
    pub media: BTreeMap<String, Vec<u8>>,
}

impl PlainArchive {
    /// An empty one beside the data of a system.
    pub fn new(system: &System) -> Self {
        let folder = system.path("archive");
        fs::create_dir_all(&folder).expect("made");
        Self { folder, media: BTreeMap::new() }
    }

    /// Writes a file below the folder; its name without the ending is its ID.
    pub fn write(&mut self, name: &str, len: usize) -> PathBuf {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let id = path.file_stem().expect("a stem").to_str().expect("UTF-8").to_owned();
        let media = marked_media(&id, len);
        fs::write(&path, &media).expect("written");
        self.media.insert(id, media);
        path
    }

    /// Catalogues what is there.
    pub fn import(&self, system: &System) {
        system.ok(&["import", "--plain", self.folder.to_str().expect("UTF-8")]);
    }

    /// Every recording plays, byte for byte.
    pub fn assert_plays(&self, server: &Server, context: &str) {
        for (id, media) in &self.media {
            let reply = server.get(&format!("/recordings/{id}/media"));
            assert_eq!(reply.status, 200, "{context}: {id}: {reply:?}");
            assert!(!reply.is_cut && reply.body == *media, "{context}: {id} plays with other bytes");
        }
    }
}

/// Media of an ID, with the marker in it.
pub fn marked_media(id: &str, len: usize) -> Vec<u8> {
    let line = |number: usize| {
        let mut line = MARKER.to_vec();
        line.extend_from_slice(format!(":{number:08}:{id}").as_bytes());
        line.resize(64, b'.');
        line
    };
    (0..=len / 64).flat_map(line).take(len).collect()
}

/// Every file below these folders that holds the marker.
pub fn files_with_marker(folders: &[&Path]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| folder.to_path_buf()).collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("entry").path()) {
            let metadata = fs::symlink_metadata(&path).expect("there");
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file() && has_marker(&path) {
                found.push(path);
            }
        }
    }
    found
}

/// The unlinked files that a process has open and that hold the marker.
pub fn unlinked_with_marker(pid: u32) -> Vec<PathBuf> {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let open = descriptors.flatten().map(|entry| entry.path());
    let is_unlinked = |path: &PathBuf| {
        fs::read_link(path).is_ok_and(|target| target.to_string_lossy().ends_with(" (deleted)"))
            && fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
    };
    open.filter(is_unlinked).filter(|path| has_marker(path)).collect()
}

fn has_marker(path: &Path) -> bool {
    let mut content = Vec::new();
    let _gone_meanwhile = fs::File::open(path).and_then(|mut file| file.read_to_end(&mut content));
    has_marker_in(&content)
}

/// Whether media with the marker is part of it.
pub fn has_marker_in(content: &[u8]) -> bool {
    // A part of it is enough: what is left of a file may begin anywhere.
    content.windows(16).any(|window| window == &MARKER[..16])
}
