//! The counts that are kept in the project, and how others compare to them.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::Case;

const RENEW: &str = "cargo bench --locked --bench counts -- --renew";

/// Counts, and what made and counted the instructions.
pub struct Baseline {
    tools: String,
    counts: Vec<(String, u64)>,
}

impl Baseline {
    /// Of counts that were made here and now.
    pub fn here(counts: Vec<(String, u64)>) -> Self {
        // The C library chooses its ways of copying by processor, as do the ciphers.
        let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let flags = ["aes", "avx2", "bmi2", "erms", "pclmulqdq"];
        let flags = flags.into_iter().filter(|flag| processor.split_whitespace().any(|word| word == *flag));
        let tools = ["rustc", "valgrind", "ldd"].map(version).join(", ");
        Self { tools: format!("{tools}, {}", flags.collect::<Vec<_>>().join(" ")), counts }
    }

    /// The one for this kind of processor, if there is one. For CI's it is never missing.
    pub fn read() -> Option<Self> {
        let path = path();
        if cfg!(not(target_arch = "x86_64")) && !path.exists() {
            return None;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let tools = lines.next().expect("what made it").to_owned();
        let count = |line: &str| {
            let (name, count) = line.split_once(' ').expect("a name and a count");
            (name.to_owned(), count.trim().parse().expect("a number"))
        };
        Some(Self { tools, counts: lines.map(count).collect() })
    }

    /// Keeps it in the project; what was written.
    pub fn write(&self) -> String {
        let mut text = format!("# Instructions of each case of benches/counts. Made by\n#   {RENEW}\n{}\n", self.tools);
        for (name, count) in &self.counts {
            writeln!(text, "{name:16} {count:>8}").expect("written");
        }
        std::fs::write(path(), &text).expect("written");
        text
    }

    /// Whether what was `found` is as this says, and what there is to say of each case.
    ///
    /// More than is allowed fails. Less than is allowed fails too, for what was won could be lost again unseen; whoever
    /// won it renews the baseline with the same change. With another compiler or counter it does not: nobody's change
    /// has brought it.
    pub fn compare(&self, found: &Self, cases: impl Iterator<Item = &'static Case>) -> (bool, String) {
        let (mut is_good, mut text) = (true, String::new());
        let mut say = |line: &str| writeln!(text, "{line}").expect("written");
        let is_same = self.tools == found.tools;
        if !is_same {
            say(&format!(
                "NOT JUDGED: the baseline was made with\n  {}\nand this is\n  {}\nso differences may be theirs. {RENEW}",
                self.tools, found.tools
            ));
        }
        for Case { name, tolerance_percent, .. } in cases {
            let Some((before, now)) = self.count(name).zip(found.count(name)) else {
                is_good = false;
                say(&format!("{name:16} FAILS: the baseline does not have it"));
                continue;
            };
            let verdict = match (100 * now, (100 - tolerance_percent) * before, (100 + tolerance_percent) * before) {
                (now, _, most) if now > most && is_same => "FAILS: slower",
                (now, least, _) if now < least && is_same => "FAILS: faster, which the baseline has to know",
                (now, least, most) if now < least || now > most => "differs",
                _ => "good",
            };
            is_good &= !verdict.starts_with("FAILS");
            let percent = 100.0 * (now as f64 / before as f64 - 1.0);
            say(&format!(
                "{name:16} {now:>8}   baseline {before:>8}   {percent:+6.2} % (±{tolerance_percent} %)   {verdict}"
            ));
        }
        for (name, _) in self.counts.iter().filter(|(name, _)| found.count(name).is_none()) {
            is_good = false;
            say(&format!("{name:16} FAILS: only the baseline has it"));
        }
        if !is_good {
            let profiles = concat!(env!("CARGO_TARGET_TMPDIR"), "/counts/CASE.callgrind");
            say(&format!("Which functions take them: callgrind_annotate --inclusive=yes {profiles}"));
            say(&format!("Where it has to be so, say why in the commit, and renew the baseline: {RENEW}"));
        }
        (is_good, text)
    }

    fn count(&self, name: &str) -> Option<u64> {
        self.counts.iter().find(|(there, _)| there == name).map(|(_, count)| *count)
    }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("benches/counts/{}.txt", std::env::consts::ARCH))
}

fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().unwrap_or_default().trim().to_owned()
}
