//! `sealtape keys export` and `sealtape keys import`: a backup of database keys under a passphrase.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    Failure, Global, failure,
    open::{Purpose, System, clock, is_store_empty, settings},
    passphrase::PassphraseArguments,
    print,
    record::Record,
    restore,
};
use crate::audit::{Event, EventKind, bounded};
use crate::base::{Ended, Fingerprint, FingerprintPrefix};
use crate::crypto::random;
use crate::keys::{decode_export, encode_export};
use crate::service::Imported;

/// Longer than an export of ten thousand keys; what is longer is none.
const EXPORT_LEN_MAX: u64 = 4 << 20;

#[derive(Args)]
pub(super) struct ExportArguments {
    /// The keys, by their fingerprints or unambiguous starts of them [default: all]
    #[arg(value_name = "FP")]
    keys: Vec<FingerprintPrefix>,
    /// Where to write the backup; a file that is there is never overwritten
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArguments,
}

#[derive(Args)]
pub(super) struct ImportArguments {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArguments,
}

pub(super) async fn export(global: &Global, arguments: ExportArguments) -> Result<ExitCode, Failure> {
    let out = std::path::absolute(&arguments.out).map_err(|error| failure::io(&arguments.out, &error))?;
    if arguments.out.as_os_str() == "-" {
        return Err(Failure::new("an export is written to a file").advise("name it with --out FILE"));
    }
    refuse_to_overwrite(&out)?;
    let passphrase = arguments.passphrase.read(true)?;
    let system = System::open(global).await?;
    let outcome = export_from(global, &system, &arguments.keys, &out, passphrase).await;
    system.close(outcome).await
}

async fn export_from(
    global: &Global,
    system: &System,
    keys: &[FingerprintPrefix],
    out: &Path,
    passphrase: Zeroizing<String>,
) -> Result<ExitCode, Failure> {
    let ops = system.key_ops()?;
    let keys = ops.export(keys).await?;
    let record = Record::open(system).await?;
    let fingerprints: Vec<Fingerprint> = keys.iter().map(|key| key.fingerprint).collect();
    let file = in_background(move || Ok(encode_export(&keys, &passphrase)?)).await?;
    // A random number, because in a container a process that was killed had this one's.
    let number = u64::from_be_bytes(random().map_err(Failure::new)?);
    let beside = out.with_extension(format!("new-{number:016x}"));
    // On record before a byte of it is written: no key leaves without a word.
    for fingerprint in &fingerprints {
        let (fingerprint, detail) = (Some(fingerprint.to_string()), Some(bounded(&out.display().to_string())));
        record.write(Event { fingerprint, detail, ..record.event(EventKind::KeysExport) }).await?;
    }
    let written = write(&beside, &file)
        .and_then(|()| fs::hard_link(&beside, out))
        .and_then(|()| sync_folder(out))
        .map_err(|error| {
            failure::io(out, &error).advise("there is no export; see that the folder is there and can be written")
        });
    // There only when it could be made; the first error is the one that tells.
    let _best_effort = fs::remove_file(&beside);
    written?;
    ops.mark_exported(&fingerprints).await?;
    if global.json {
        print::json(&json!({ "out": out, "exported": texts(&fingerprints) }))?;
    } else {
        for fingerprint in &fingerprints {
            print::line(&fingerprint.to_string())?;
        }
        print::line(&format!(
            "{} key(s) are in {}, and only its passphrase opens it.",
            fingerprints.len(),
            out.display()
        ))?;
    }
    print::error_line(
        "reminder: whoever has the file and the passphrase has every recording under these keys; keep them apart, and both apart from the database",
    );
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn import(global: &Global, arguments: ImportArguments) -> Result<ExitCode, Failure> {
    let file = read(&arguments.file).map_err(|error| {
        failure::io(&arguments.file, &error).advise("name the file that `sealtape keys export` wrote")
    })?;
    if file.len() as u64 > EXPORT_LEN_MAX {
        return Err(Failure::new(format!("{}: it is too long to be an export of keys", arguments.file.display()))
            .advise("name the file that `sealtape keys export` wrote"));
    }
    let passphrase = arguments.passphrase.read(false)?;
    let now = clock()();
    // Opened before anything is made: a file that cannot be read changes nothing.
    let keys = in_background(move || Ok(decode_export(&file, &passphrase, now)?)).await;
    let keys = keys.map_err(|failure| failure.of(arguments.file.display()))?;
    let settings = settings(global)?;
    let has_media = !is_store_empty(&settings).await?;
    let record = Record::open_for(&settings, &clock()).await?;
    let import = async |system: &System| Ok::<_, Failure>(system.key_ops()?.import(&keys).await?);
    let made = restore::with_keys(&settings, &import).await?;
    let is_lost = made.is_some();
    let imported = match made {
        Some(imported) => imported,
        None => {
            let system = System::open_with(settings, Purpose::Use).await?;
            let imported = import(&system).await;
            system.close(imported).await?
        }
    };
    for (fingerprint, state) in &imported.added {
        let (fingerprint, outcome) = (Some(fingerprint.to_string()), Some(state.as_str().into()));
        record.write(Event { fingerprint, outcome, ..record.event(EventKind::KeysImport) }).await?;
    }
    report(global, &imported)?;
    if is_lost && has_media {
        print::error_line(
            "the database is new, and recordings lie in the media store: `sealtape recordings rebuild` catalogues them",
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn report(global: &Global, imported: &Imported) -> Result<(), Failure> {
    if global.json {
        let added: Vec<Fingerprint> = imported.added.iter().map(|(fingerprint, _)| *fingerprint).collect();
        return print::json(&json!({ "imported": texts(&added), "already": texts(&imported.there) }));
    }
    for (fingerprint, state) in &imported.added {
        print::line(&format!("{fingerprint}  imported, {}", state.as_str()))?;
    }
    for fingerprint in &imported.there {
        print::line(&format!("{fingerprint}  is here already, and stays as it is"))?;
    }
    print::line("Running servers see them within a second; recordings play under those of them that are active.")
}

fn refuse_to_overwrite(out: &Path) -> Result<(), Failure> {
    if out.symlink_metadata().is_ok() {
        return Err(Failure::new(format!("{}: a file is here already", out.display()))
            .advise("nothing was changed; an export is never written over a file: name another one"));
    }
    Ok(())
}

/// Readable by its owner alone, and durable.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(EXPORT_LEN_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn texts(fingerprints: &[Fingerprint]) -> Vec<String> {
    fingerprints.iter().map(ToString::to_string).collect()
}

/// Runs scrypt, which takes a second and more, on a thread that may.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::new(Ended)),
    }
}
