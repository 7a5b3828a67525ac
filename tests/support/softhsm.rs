//! A PKCS#11 token in software: SoftHSM 2 from Debian, with its tokens in a folder of its own.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::{text, tool};

pub const TOKEN: &str = "tape";
pub const LABEL: &str = "sealtape-definition-key";
const PIN: &str = "48151623";
const OFFICERS_PIN: &str = "42108108";

/// A folder with one token, with or without a key in it.
pub struct SoftHsm {
    folder: PathBuf,
}

impl SoftHsm {
    /// A token without keys, in a folder that is made.
    pub fn in_folder(folder: &Path) -> Self {
        fs::create_dir_all(folder.join("tokens")).expect("made");
        let hsm = Self { folder: folder.to_owned() };
        let settings = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            folder.join("tokens").display()
        );
        fs::write(hsm.configuration(), settings).expect("written");
        hsm.write_pin(PIN);
        hsm.util(&["--init-token", "--free"]);
        hsm
    }

    /// Makes it a new token of the same label: what was in it is gone.
    pub fn initialize_again(&self) {
        self.util(&["--init-token", "--token", TOKEN]);
    }

    /// Makes a key there, with the vendor-neutral tool.
    pub fn generate(&self) {
        self.pkcs11_tool(&["--keygen", "--key-type", "AES:32", "--label", LABEL, "--id", "01", "--sensitive"]);
    }

    /// Puts a key there that is known.
    pub fn import(&self, key: &[u8]) {
        let path = self.folder.join("known.key");
        fs::write(&path, key).expect("written");
        let path = path.to_str().expect("UTF-8").to_owned();
        let kind = format!("AES:{}", key.len());
        let what = ["--write-object", &path, "--type", "secrkey", "--key-type", &kind];
        self.pkcs11_tool(&[&what[..], &["--label", LABEL, "--id", "02", "--usage-decrypt"]].concat());
    }

    /// At once: a server looks at any time, and half a file is another mistake.
    pub fn write_pin(&self, pin: &str) {
        let aside = self.folder.join("pin.new");
        fs::write(&aside, format!("{pin}\n")).expect("written");
        fs::set_permissions(&aside, Permissions::from_mode(0o600)).expect("set");
        fs::rename(&aside, self.pin_file()).expect("renamed");
    }

    pub fn write_right_pin(&self) {
        self.write_pin(PIN);
    }

    pub fn pin_file(&self) -> PathBuf {
        self.folder.join("pin")
    }

    pub fn configuration(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    /// Settings of a system whose definition key lies here, and where SoftHSM finds its own.
    pub fn settings(&self) -> Vec<(String, String)> {
        let path = |path: PathBuf| path.display().to_string();
        [
            ("SEALTAPE_DEFINITION_KEY__KIND", "pkcs11".to_owned()),
            ("SEALTAPE_DEFINITION_KEY__PKCS11__MODULE", path(module())),
            ("SEALTAPE_DEFINITION_KEY__PKCS11__TOKEN", TOKEN.to_owned()),
            ("SEALTAPE_DEFINITION_KEY__PKCS11__LABEL", LABEL.to_owned()),
            ("SEALTAPE_DEFINITION_KEY__PKCS11__PIN_FILE", path(self.pin_file())),
            ("SOFTHSM2_CONF", path(self.configuration())),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    fn util(&self, arguments: &[&str]) {
        let mut command = tool("softhsm2-util");
        command.args(arguments).args(["--label", TOKEN, "--pin", PIN, "--so-pin", OFFICERS_PIN]);
        self.run(&mut command);
    }

    pub fn pkcs11_tool(&self, arguments: &[&str]) -> Output {
        let mut command = tool("pkcs11-tool");
        command.arg("--module").arg(module()).args(["--token-label", TOKEN, "--login", "--pin", PIN]);
        self.run(command.args(arguments))
    }

    fn run(&self, command: &mut Command) -> Output {
        let output = command.env("SOFTHSM2_CONF", self.configuration()).output().expect("runs");
        assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
        output
    }
}

/// The library.
pub fn module() -> PathBuf {
    let path = PathBuf::from("/usr/lib/softhsm/libsofthsm2.so");
    assert!(path.exists(), "SoftHSM is missing: `tests/run` installs what the tests need");
    path
}
