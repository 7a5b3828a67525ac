//! Makes a database, new or in the place of one that was lost, with keys in it or not at all.
//!
//! Without keys it would keep new recordings in plain. A file is made under another name, looked at again, and then given
//! its own; a server has its tables and the first keys in one transaction: at no instant is there one without keys.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{
    Failure, failure,
    open::{Purpose, System, database_exists},
    print,
};
use crate::catalogue::Database;
use crate::config::{DatabaseSettings, Settings};
use crate::db::SqliteDatabase;

/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// How long another command that makes it is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Makes the database that the settings name and has `fill` put keys into it; none when there is one.
pub(super) async fn with_keys<T>(
    settings: &Settings,
    fill: impl AsyncFnOnce(&System) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    if database_exists(settings).await? {
        return Ok(None);
    }
    super::open::make_data_dir(settings)?;
    match &settings.database {
        DatabaseSettings::Sqlite(place) => file_with_keys(settings, place, fill).await,
        // The first keys and its tables come in one transaction. Whoever was quicker has made the tables, and then these
        // keys are added to theirs.
        DatabaseSettings::Postgres(_) => {
            let system = System::open_with(settings.clone(), Purpose::Make).await?;
            let filled = fill(&system).await;
            system.close(filled).await.map(Some)
        }
    }
}

async fn file_with_keys<T>(
    settings: &Settings,
    place: &Path,
    fill: impl AsyncFnOnce(&System) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    let _one_at_a_time = lock(place).await?;
    // Another command may have been quicker.
    if place.exists() {
        return Ok(None);
    }
    let new = with_suffix(place, ".restoring");
    remove(&new);
    let under_another_name = Settings { database: DatabaseSettings::Sqlite(new.clone()), ..settings.clone() };
    let outcome = fill_and_place(under_another_name, &new, place, fill).await;
    remove(&new);
    outcome.map(Some)
}

async fn fill_and_place<T>(
    settings: Settings,
    new: &Path,
    place: &Path,
    fill: impl AsyncFnOnce(&System) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let system = System::open_with(settings, Purpose::Make).await?;
    let filled = fill(&system).await;
    let filled = system.close(filled).await?;
    see_that_it_holds_keys(new).await?;
    put_aside_what_was_left(place)?;
    let placed = File::open(new)
        .and_then(|file| file.sync_all())
        // Never over another one.
        .and_then(|()| fs::hard_link(new, place))
        .and_then(|()| File::open(folder(place))?.sync_all());
    placed.map_err(|error| failure::io(place, &error).advise("nothing was changed; see what lies there now"))?;
    Ok(filled)
}

/// The file alone must hold everything: what is still in its log, for want of room or because somebody else has it
/// open, would be lost with the log.
async fn see_that_it_holds_keys(new: &Path) -> Result<(), Failure> {
    let failed = |what: &str| {
        Failure::new(format!("{}: {what}", new.display())).advise("nothing was changed; see to it, and run it again")
    };
    let deadline = Instant::now() + LOCK_TIMEOUT;
    // Whoever closes it last moves the log into it: a connection that takes a moment to go is waited for.
    let is_kept = loop {
        let database = SqliteDatabase::open(new, false).await?;
        let table = database.load_keys().await;
        database.close().await;
        let is_kept = !table?.rows.is_empty();
        if fs::metadata(with_suffix(new, "-wal")).map_or(true, |log| log.len() == 0) {
            break is_kept;
        }
        if Instant::now() > deadline {
            return Err(failed("it could not be written whole: no room is left, or another program has it open"));
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    };
    if is_kept { Ok(()) } else { Err(failed("it does not hold the keys")) }
}

/// The log of the lost database would be read into the new one.
fn put_aside_what_was_left(place: &Path) -> Result<(), Failure> {
    for companion in COMPANIONS {
        let left = with_suffix(place, companion);
        if left.exists() {
            let aside = with_suffix(place, &format!(".lost{companion}"));
            fs::rename(&left, &aside).map_err(|error| failure::io(&left, &error))?;
            print::error_line(&format!(
                "warning: {} was left by the lost database; it is {} now",
                left.display(),
                aside.display()
            ));
        }
    }
    File::open(folder(place)).and_then(|folder| folder.sync_all()).map_err(|error| failure::io(place, &error))
}

/// Held by the one that makes it. The file stays: taking it away would let two hold two of them.
async fn lock(place: &Path) -> Result<File, Failure> {
    let path = with_suffix(place, ".lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(|error| {
        failure::io(&path, &error).advise("see that the folder of the database is there and can be written")
    })?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => tokio::time::sleep(LOCK_PAUSE).await,
            Err(error) => {
                return Err(failure::io(&path, &io::Error::from(error))
                    .advise("another command makes the database; nothing was changed"));
            }
        }
    }
}

fn remove(path: &Path) {
    for suffix in ["", COMPANIONS[0], COMPANIONS[1]] {
        let _not_all_are_there = fs::remove_file(with_suffix(path, suffix));
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
