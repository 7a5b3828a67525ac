//! `sealtape rewrap`: file keys under the newest database key, for routine rotation.

use std::process::ExitCode;

use clap::{ArgGroup, Args};

use super::{
    Failure, Global,
    anew::{self, Wish},
    open::System,
};
use crate::base::RecordingId;
use crate::service::{Selection, Work};

#[derive(Args)]
#[command(group(ArgGroup::new("which").required(true)))]
pub(super) struct Arguments {
    /// The recordings
    #[arg(value_name = "ID", group = "which")]
    ids: Vec<RecordingId>,
    /// All that are sealed under an older key
    #[arg(long, group = "which")]
    all: bool,
    /// Only say what there would be to do
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(global: &Global, arguments: Arguments) -> Result<ExitCode, Failure> {
    let selection = if arguments.all { Selection::All } else { Selection::Ids(arguments.ids) };
    let system = System::open(global).await?;
    let wish = Wish { work: Work::Rewrap, selection, dry_run: arguments.dry_run };
    let outcome = anew::run(global, &system, wish).await;
    system.close(outcome).await
}
