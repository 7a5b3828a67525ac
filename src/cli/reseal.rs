//! `sealtape reseal`: new file keys, after a key was compromised.

use std::process::ExitCode;

use clap::{ArgGroup, Args};

use super::{
    Failure, Global,
    anew::{self, Wish},
    open::System,
};
use crate::base::{FingerprintPrefix, RecordingId};
use crate::service::{Selection, Work};

#[derive(Args)]
#[command(group(ArgGroup::new("which").required(true)))]
pub(super) struct Arguments {
    /// The recordings
    #[arg(value_name = "ID", group = "which")]
    ids: Vec<RecordingId>,
    /// All that are sealed
    #[arg(long, group = "which")]
    all: bool,
    /// All that need this database key
    #[arg(long, value_name = "FP", group = "which")]
    key: Option<FingerprintPrefix>,
    /// Only say what there would be to do
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Result<ExitCode, Failure> {
    let system = System::open(global).await?;
    let outcome = reseal(global, &system, arguments).await;
    system.close(outcome).await
}

async fn reseal(global: &Global, system: &System, arguments: Arguments) -> Result<ExitCode, Failure> {
    let selection = match arguments.key {
        Some(key) => Selection::Under(system.key_ops()?.resolve(&key).await?),
        None if arguments.all => Selection::All,
        None => Selection::Ids(arguments.ids),
    };
    anew::run(global, system, Wish { work: Work::Reseal, selection, dry_run: arguments.dry_run }).await
}
