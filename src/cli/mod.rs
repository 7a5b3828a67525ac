//! The command line: one file a command.
//!
//! `open.rs` is the only place that builds adapters and hands them to the service. Exit codes: 0 done, 1 failed,
//! 2 usage, 3 some items failed while others were done. Errors are one or two lines: what failed, and what to do.

mod anew;
mod audit;
mod auth;
mod cat;
mod config;
mod definition_key;
mod demo;
mod encrypt;
mod encrypt_files;
mod encryption;
mod failure;
mod filter;
mod hardening;
mod holders;
mod import;
mod import_beside;
mod import_files;
mod keys;
mod keys_transfer;
mod link;
mod migrate;
mod open;
mod panics;
mod passphrase;
mod plain_folder;
mod print;
mod purge;
mod record;
mod recordings;
mod reseal;
mod restore;
mod rewrap;
mod serve;
mod spool;
mod storage;
mod storage_copy;
mod systemd;
mod telemetry;
mod token;
mod verify;
mod verify_report;
mod warnings;
mod watch;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{LogFormat, Source};
use failure::Failure;

/// Where everything lies unless something else is said.
const DATA_DIR_DEFAULT: &str = "./sealtape-data";

/// Recordings that lie encrypted on disk and play at once, from any second.
#[derive(Parser)]
#[command(name = "sealtape", version, max_term_width = 100, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every command takes, before or after its name.
#[derive(Args, Clone)]
struct Global {
    /// Settings in TOML; see the manual's chapter on configuration
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "data_dir")]
    config: Option<PathBuf>,
    /// The folder that holds everything, made when it is missing [default: ./sealtape-data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print one JSON document instead of text for people
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Show sample recordings, sealed, in a player: a throwaway system that is removed at the end
    Demo(demo::Arguments),
    /// Serve the recordings over HTTP
    Serve(serve::Arguments),
    /// Take recordings in: sealed as they stream
    Import(import::Arguments),
    /// Write a recording's media, decrypted, to standard output
    Cat(cat::Arguments),
    /// The catalogue of recordings
    Recordings {
        #[command(subcommand)]
        command: recordings::Command,
    },
    /// Verify recordings: catalogue, files, keys, and every tag
    Verify(verify::Arguments),
    /// Seal recordings that are stored in plain
    Encrypt(encrypt::Arguments),
    /// Wrap the file keys of recordings under the newest database key: routine rotation
    Rewrap(rewrap::Arguments),
    /// Seal recordings again under new file keys: after a key was compromised
    Reseal(reseal::Arguments),
    /// Database keys: they wrap the keys of recordings
    Keys {
        #[command(subcommand)]
        command: keys::Command,
    },
    /// The definition key: it wraps the database keys
    DefinitionKey {
        #[command(subcommand)]
        command: definition_key::Command,
    },
    /// The encryption switch
    Encryption {
        #[command(subcommand)]
        command: encryption::Command,
    },
    /// Mint a signed link that plays one recording for a while
    Link(link::Arguments),
    /// Bearer tokens for systems without an identity provider
    Token {
        #[command(subcommand)]
        command: token::Command,
    },
    /// The playback record: who listened to what, and what was changed
    Audit {
        #[command(subcommand)]
        command: audit::Command,
    },
    /// Media stores as a whole
    Storage {
        #[command(subcommand)]
        command: storage::Command,
    },
    /// The configuration
    Config {
        #[command(subcommand)]
        command: config::Command,
    },
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

impl Global {
    fn source(&self) -> Source {
        match &self.config {
            Some(path) => Source::File(path.clone()),
            None => Source::DataDir(self.data_dir.clone().unwrap_or_else(|| DATA_DIR_DEFAULT.into())),
        }
    }
}

/// Parses the command line, does what it says, and prints what went wrong.
#[must_use]
pub fn run() -> ExitCode {
    panics::withhold_messages();
    hardening::forbid_core_dumps();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // `--help` and `--version` come this way, too; clap knows which stream and which code.
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            let _closed_pipe = error.print();
            return ExitCode::from(code);
        }
    };
    // Whatever is made here is nobody else's business.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::new(format!("the system gives no threads: {error}")).report(),
    };
    let traces = cli.start_telemetry(runtime.handle());
    let outcome = runtime.block_on(cli.dispatch());
    if let Some(traces) = traces {
        traces.flush();
    }
    // A read that waits for standard input would wait for ever.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

impl Cli {
    /// Logs go to standard error: what a server does, and of other commands only what went wrong.
    fn start_telemetry(&self, runtime: &tokio::runtime::Handle) -> Option<telemetry::Traces> {
        let (level, format, is_server) = match &self.command {
            Command::Serve(_) => {
                // Settings that cannot be read are reported by the command itself.
                let format = open::settings(&self.global).map_or(LogFormat::Pretty, |settings| settings.server.log);
                (LevelFilter::INFO, format, true)
            }
            Command::Demo(_) => (LevelFilter::WARN, LogFormat::Pretty, true),
            _ => (LevelFilter::WARN, LogFormat::Pretty, false),
        };
        telemetry::start(level, format, is_server, runtime)
    }

    async fn dispatch(self) -> Result<ExitCode, Failure> {
        let global = &self.global;
        match self.command {
            Command::Demo(arguments) => demo::run(global, arguments).await,
            Command::Serve(arguments) => serve::run(global, arguments).await,
            Command::Import(arguments) => import::run(global, arguments).await,
            Command::Cat(arguments) => cat::run(global, arguments).await,
            Command::Recordings { command } => recordings::run(global, command).await,
            Command::Verify(arguments) => verify::run(global, arguments).await,
            Command::Encrypt(arguments) => encrypt::run(global, arguments).await,
            Command::Rewrap(arguments) => rewrap::run(global, arguments).await,
            Command::Reseal(arguments) => reseal::run(global, arguments).await,
            Command::Keys { command } => keys::run(global, command).await,
            Command::DefinitionKey { command } => definition_key::run(global, command).await,
            Command::Encryption { command } => encryption::run(global, command).await,
            Command::Link(arguments) => link::run(global, arguments).await,
            Command::Token { command } => token::run(global, command).await,
            Command::Audit { command } => audit::run(global, command).await,
            Command::Storage { command } => storage::run(global, command).await,
            Command::Config { command } => config::run(global, command).await,
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "sealtape", &mut script);
                print::bytes(&script)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
