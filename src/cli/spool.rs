//! The spool of this machine: its folder, and how rows name it.

use std::{fs, path::Path, sync::Arc};

use url::Url;

use super::{Failure, failure::io, print};
use crate::base::Location;
use crate::config::Settings;
use crate::media::MediaStore;
use crate::storage::{LocalStore, SpooledStore};

/// How a store is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Threads {
    /// By threads that serve others, too.
    Serve,
    /// By threads that may wait for the disk themselves.
    MayWait,
}

/// `remote` behind the spool in `folder`, which is made when it is missing.
pub(super) fn before(
    remote: Arc<dyn MediaStore>,
    folder: &Path,
    settings: &Settings,
    threads: Threads,
) -> Result<SpooledStore, Failure> {
    let spool = LocalStore::open(folder, true)?;
    let spool = if threads == Threads::MayWait { spool.waiting_here() } else { spool };
    Ok(SpooledStore::new(spool, remote, location(folder, settings)?))
}

/// How rows name the spool: where other proxies reach this one; else where it is, for people.
fn location(folder: &Path, settings: &Settings) -> Result<Location, Failure> {
    let text = match &settings.server.peer_url {
        Some(url) => url.clone(),
        None => {
            let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let mut url = Url::from_file_path(folder).map_err(|()| {
                Failure::new(format!("{}: it is not an absolute path", folder.display()))
                    .advise("name it whole in storage.spool")
            })?;
            // A host whose name cannot stand in a URL is left out.
            let _without = url.set_host(Some(host.trim()).filter(|host| !host.is_empty()));
            url.into()
        }
    };
    text.parse().map_err(|_| {
        Failure::new(format!("{text}: the spool cannot be named so")).advise("correct server.peer_url or storage.spool")
    })
}

/// Says at start that nobody else can play what waits here, or that what waits elsewhere does not play here.
pub(super) fn warn_of_unreachable(settings: &Settings) {
    let Some(folder) = &settings.spool else { return };
    if settings.server.peer_url.is_none() {
        print::error_line(&format!(
            "warning: recordings in the spool {} play from this server alone until they are in the media store; set server.peer_url to where other servers reach this one",
            folder.display()
        ));
    } else if settings.server.peers.is_empty() {
        print::error_line(
            "warning: server.peers names no other server, so that what waits in the spools of others does not play from this one; set it to what server.peer_url may be elsewhere",
        );
    }
}

/// The spool's folder and the store's must not be one: what was uploaded would be taken for what waits.
pub(super) fn check_apart(spool: &Path, store: &Path) -> Result<(), Failure> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (one, other) = (real(spool), real(store));
    if one.starts_with(&other) || other.starts_with(&one) {
        return Err(Failure::new(format!("storage.spool ({}) and storage.url lie in one another", spool.display()))
            .advise("name a folder of its own in storage.spool"));
    }
    // Made here, so that what is wrong with it is said with its name.
    fs::create_dir_all(spool.parent().unwrap_or(spool))
        .map_err(|error| io(spool, &error).advise("correct storage.spool"))
}
