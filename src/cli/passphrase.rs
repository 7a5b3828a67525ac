//! The passphrase of an export: from a file, from the environment or from the terminal, the first of them that there
//! is. Never an argument, which everyone on the machine could read.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::{Failure, failure, print};

const VARIABLE: &str = "SEALTAPE_PASSPHRASE";

/// The longest line that is taken for a passphrase, its end included.
const LINE_LEN_MAX: usize = 4096;

/// Shorter ones are warned of: beside age's work factor, the passphrase is all that protects a stolen export.
const CHARACTERS_MIN: usize = 12;

/// What a shell says of a process that Ctrl-C ended.
const EXIT_INTERRUPTED: i32 = 128 + 2;

/// How a passphrase is handed over.
#[derive(Args)]
pub(super) struct PassphraseArguments {
    /// Read the passphrase from the first line of this file [else: SEALTAPE_PASSPHRASE, else a prompt]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArguments {
    /// The passphrase. With `confirm` it is to protect something new: a prompt asks for it twice, and one that is
    /// easily guessed is warned of. Waits for whoever types, so it comes before anything is opened.
    pub(super) fn read(&self, confirm: bool) -> Result<Zeroizing<String>, Failure> {
        self.read_with(env::var_os(VARIABLE), from_terminal, confirm)
    }

    fn read_with(
        &self,
        variable: Option<OsString>,
        from_terminal: impl FnOnce(bool) -> Result<Zeroizing<String>, Failure>,
        confirm: bool,
    ) -> Result<Zeroizing<String>, Failure> {
        let passphrase = match (&self.passphrase_file, variable) {
            (Some(path), _) => not_empty(from_file(path)?, path.display())?,
            (None, Some(value)) => not_empty(from_variable(value)?, VARIABLE)?,
            (None, None) => from_terminal(confirm)?,
        };
        if confirm && passphrase.chars().count() < CHARACTERS_MIN {
            print::error_line(&format!(
                "warning: the passphrase has fewer than {CHARACTERS_MIN} characters: a stolen export is only as good as its passphrase"
            ));
        }
        Ok(passphrase)
    }
}

/// The first line of a file, which may be a pipe.
fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: io::Error| failure::io(path, &error);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_file() && metadata.mode() & 0o044 != 0 {
        let path = path.display();
        print::error_line(&format!("warning: others than its owner may read {path}: run `chmod 600 {path}`"));
    }
    let line = first_line(file).map_err(failed)?;
    let text = str::from_utf8(&line).map_err(|_| not_text(path.display()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// A line without its end. No more is read than it needs, into a buffer that never grows: an old one would stay as
/// it was.
fn first_line(mut reader: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; LINE_LEN_MAX]);
    let mut len = 0;
    let end = loop {
        if let Some(end) = bytes[..len].iter().position(|byte| *byte == b'\n') {
            break end;
        }
        if len == LINE_LEN_MAX {
            return Err(io::Error::other(format!("its first line is longer than {LINE_LEN_MAX} bytes")));
        }
        match reader.read(&mut bytes[len..]) {
            Ok(0) => break len,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    bytes.truncate(end);
    if bytes.ends_with(b"\r") {
        bytes.pop();
    }
    Ok(bytes)
}

fn from_variable(value: OsString) -> Result<Zeroizing<String>, Failure> {
    value.into_string().map(Zeroizing::new).map_err(|_| not_text(VARIABLE))
}

/// Asks on the terminal itself, whatever standard input and output are. Must run within the runtime.
///
/// At Ctrl-C rpassword raises the signal while the terminal still echoes nothing. A process that it ends would leave
/// the terminal so; caught, it becomes an error after which the terminal is as it was.
fn from_terminal(confirm: bool) -> Result<Zeroizing<String>, Failure> {
    let mut interrupts = signal(SignalKind::interrupt()).map_err(|error| failure::io(Path::new("signals"), &error))?;
    let passphrase = answers(|text| rpassword::prompt_password(text).map(Zeroizing::new), confirm)?;
    // The system ends nobody any more who has caught the signal once.
    tokio::spawn(async move {
        if interrupts.recv().await.is_some() {
            std::process::exit(EXIT_INTERRUPTED);
        }
    });
    Ok(passphrase)
}

/// The one answer, or the two that must be the same.
fn answers(ask: impl Fn(&str) -> io::Result<Zeroizing<String>>, confirm: bool) -> Result<Zeroizing<String>, Failure> {
    let passphrase = ask("Passphrase: ").map_err(|error| not_asked(&error))?;
    let passphrase = not_empty(passphrase, "the terminal")?;
    if confirm && ask("The same again: ").map_err(|error| not_asked(&error))? != passphrase {
        return Err(Failure::new("the two passphrases differ").advise("try again"));
    }
    Ok(passphrase)
}

fn not_asked(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::Interrupted => Failure::new("no passphrase was given"),
        _ => Failure::new(format!("there is no terminal to ask for the passphrase: {error}"))
            .advise(format!("give it by --passphrase-file FILE or by {VARIABLE}, or run this at a terminal")),
    }
}

fn not_empty(passphrase: Zeroizing<String>, source: impl std::fmt::Display) -> Result<Zeroizing<String>, Failure> {
    if passphrase.is_empty() {
        return Err(Failure::new(format!("the passphrase from {source} is empty")).advise("give one that is not"));
    }
    Ok(passphrase)
}

fn not_text(source: impl std::fmt::Display) -> Failure {
    Failure::new(format!("the passphrase from {source} is not text in UTF-8"))
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        os::unix::{ffi::OsStringExt, fs::PermissionsExt},
    };

    use super::*;

    fn arguments(path: Option<&Path>) -> PassphraseArguments {
        PassphraseArguments { passphrase_file: path.map(Path::to_owned) }
    }

    /// A terminal where somebody answers.
    fn answering(given: &[&str]) -> impl FnOnce(bool) -> Result<Zeroizing<String>, Failure> {
        let asked = Cell::new(0);
        let ask = move |_: &str| {
            let answer = given.get(asked.replace(asked.get() + 1));
            answer.map(|answer| Zeroizing::new((*answer).to_owned())).ok_or_else(|| io::Error::from_raw_os_error(6))
        };
        move |confirm| answers(ask, confirm)
    }

    fn read(file: Option<&Path>, variable: Option<&str>, given: &[&str], confirm: bool) -> Result<String, String> {
        let passphrase = arguments(file).read_with(variable.map(OsString::from), answering(given), confirm);
        passphrase.map(|passphrase| passphrase.to_string()).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn the_file_comes_first_then_the_environment_then_the_terminal() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("passphrase");
        std::fs::write(&path, "from the file\nand more").expect("written");
        let path = Some(path.as_path());
        assert_eq!(read(path, Some("from the variable"), &["from the terminal"], false), Ok("from the file".into()));
        assert_eq!(
            read(None, Some("from the variable"), &["from the terminal"], false),
            Ok("from the variable".into())
        );
        assert_eq!(read(None, None, &["from the terminal"], false), Ok("from the terminal".into()));
        assert_eq!(read(None, None, &["from the terminal"; 2], true), Ok("from the terminal".into()));
    }

    #[test]
    fn what_is_wrong_is_said_with_where_it_came_from() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its owner's");
            path
        };
        let missing = folder.path().join("missing");
        for (path, says) in [
            (missing.as_path(), "missing: No such file"),
            (folder.path(), "directory"),
            (&file("empty", b""), "empty is empty"),
            (&file("line", b"\r\nsecond"), "line is empty"),
            (&file("latin", b"\xE4\xF6\xFC\n"), "latin is not text"),
            (&file("long", &[b'a'; LINE_LEN_MAX]), "longer than 4096 bytes"),
        ] {
            let error = read(Some(path), Some("never used"), &["never used"], false).expect_err("refused");
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("never used"), "{error}");
        }
        for (variable, given, confirm, says) in [
            (Some(""), &["never used"][..], false, "SEALTAPE_PASSPHRASE is empty"),
            (None, &[""], false, "from the terminal is empty"),
            (None, &["one", "two"], true, "differ"),
        ] {
            let error = read(None, variable, given, confirm).expect_err("refused");
            assert!(error.contains(says), "{error}");
        }
        let latin = Some(OsString::from_vec(vec![0xE4]));
        let error = arguments(None).read_with(latin, answering(&[]), false).expect_err("refused");
        assert!(format!("{error:?}").contains("SEALTAPE_PASSPHRASE is not text"), "{error:?}");
    }

    #[test]
    fn without_a_terminal_all_ways_are_named() {
        let error = read(None, None, &[], true).expect_err("refused");
        for way in ["--passphrase-file", "SEALTAPE_PASSPHRASE", "terminal"] {
            assert!(error.contains(way), "{error}");
        }
    }

    #[test]
    fn a_line_ends_where_it_ends() {
        for (text, line) in [("a b ", "a b "), ("a\n", "a"), ("a\r\nb\n", "a"), ("\n", ""), ("", ""), (" \t\r", " \t")]
        {
            let longest = "c".repeat(LINE_LEN_MAX - 1) + "\n";
            assert_eq!(first_line(text.as_bytes()).expect("read").as_slice(), line.as_bytes(), "{text:?}");
            assert_eq!(first_line(longest.as_bytes()).expect("read").len(), LINE_LEN_MAX - 1);
        }
    }
}
