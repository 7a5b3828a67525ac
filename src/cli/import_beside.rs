//! What is taken in together with a recording: its metadata, and sidecars.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{Failure, record::Record};
use crate::audit::{Event, EventKind};
use crate::base::{MediaType, RecordingId, SidecarName};
use crate::catalogue::{COMPANION_LEN_MAX, Metadata, Recording};
use crate::service::{Companions, detect_media_type};

/// What comes with a recording, read and checked before anything of it is taken in.
pub(super) struct Beside {
    metadata: Option<Metadata>,
    sidecars: Vec<Sidecar>,
    companions: Companions,
}

struct Sidecar {
    name: SidecarName,
    media_type: MediaType,
    content: Zeroizing<Vec<u8>>,
}

impl Beside {
    /// Reads the files.
    pub(super) fn read(metadata: Option<&Path>, sidecars: &[PathBuf], companions: Companions) -> Result<Self, Failure> {
        let metadata = metadata.map(|path| {
            Metadata::from_json(&read(path)?).map_err(|error| {
                Failure::new(error).of(path.display()).advise("nothing was taken in; see `sealtape import --help`")
            })
        });
        let mut beside = Self { metadata: metadata.transpose()?, sidecars: Vec::new(), companions };
        for path in sidecars {
            let sidecar = Sidecar::read(path)?;
            if beside.sidecars.iter().any(|other| other.name == sidecar.name) {
                return Err(Failure::new(format!("two sidecars have the name {}", sidecar.name))
                    .advise("nothing was taken in; give one of the files another name"));
            }
            beside.sidecars.push(sidecar);
        }
        Ok(beside)
    }

    /// Puts it beside the recording; the recording as it is then, if there was anything to put.
    pub(super) async fn put(&self, record: &Record, id: &RecordingId) -> Result<Option<Recording>, Failure> {
        let mut recording = None;
        for Sidecar { name, media_type, content } in &self.sidecars {
            let added = self.companions.add_sidecar(id, name, media_type.clone(), content).await;
            added.map_err(|error| Failure::from(error).of(name))?;
        }
        if let Some(metadata) = &self.metadata {
            recording = Some(self.companions.describe(id, metadata).await?);
            let event = Event { recording: Some(id.to_string()), ..record.event(EventKind::RecordingDescribe) };
            record.write(event).await?;
        } else if !self.sidecars.is_empty() {
            recording = self.companions.recording_of(id).await?;
        }
        Ok(recording)
    }
}

impl Sidecar {
    fn read(path: &Path) -> Result<Self, Failure> {
        let content = read(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.parse().map_err(|error| {
            Failure::new(error).of(path.display()).advise("nothing was taken in; give the file another name")
        })?;
        let media_type = detect_media_type(&content, Some(path));
        Ok(Self { name, media_type, content })
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |what: String| Failure::new(what).of(path.display()).advise("nothing was taken in");
    let unreadable = |error: std::io::Error| failed(format!("it cannot be read: {error}"));
    let file = File::open(path).map_err(unreadable)?;
    let len = file.metadata().map_err(unreadable)?.len();
    if len > COMPANION_LEN_MAX {
        return Err(failed(format!("it is longer than {COMPANION_LEN_MAX} bytes")));
    }
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(COMPANION_LEN_MAX.min(len + 1)).unwrap_or(0)));
    file.take(COMPANION_LEN_MAX + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > COMPANION_LEN_MAX {
        return Err(failed(format!("it is longer than {COMPANION_LEN_MAX} bytes")));
    }
    Ok(content)
}
