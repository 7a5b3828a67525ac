//! In the mode `encrypt` the definition key never is in this program's memory, nor where a token wraps. In the mode `get`
//! it is: so the search finds what is there.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
};

use crate::support::{
    Server, SoftHsm, System, media,
    pykmip::{PyKmip, key_name},
};

#[test]
fn only_a_key_that_is_fetched_is_in_memory() {
    let key: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).expect("small").wrapping_mul(73) ^ 0xC3);
    let (kmip, name) = (PyKmip::shared(), key_name());
    kmip.register(&name, &key);
    for (mode, is_there) in [("encrypt", false), ("get", true)] {
        let mut system = System::in_folder();
        for (setting, value) in kmip.settings(mode, &name) {
            system.set(&setting, &value);
        }
        assert_eq!(found_after_use(&system, &key), is_there, "{mode}");
    }
    // A token in this very process would hold it in its own library's memory: SoftHSM does, hardware does not.
    let mut system = System::in_folder();
    let hsm = SoftHsm::in_folder(&system.path("hsm"));
    hsm.import(&key);
    for (setting, value) in hsm.settings() {
        system.set(&setting, &value);
    }
    println!("SoftHSM keeps the key within the process: {}", found_after_use(&system, &key));
}

/// Whether the key is found in a server that has used it for everything that it is used for.
fn found_after_use(system: &System, key: &[u8; 32]) -> bool {
    system.ok(&["keys", "generate"]);
    let bytes = media(300_000);
    system.import("call", &bytes);
    let server = system.serve();
    assert!(server.get("/recordings/call/media").body == bytes);
    system.ok(&["keys", "generate"]);
    system.import("after", &bytes);
    assert!(server.get("/recordings/after/media").body == bytes, "it has unwrapped a key since it began");
    let (searched, found) = search(&server, key);
    assert!(searched > 10 << 20, "{searched} bytes are no process");
    // That the search reads what is there: a name that the server surely holds.
    let (_, there) = search(&server, server.address.as_bytes());
    assert!(there, "not even its address was found");
    found
}

/// Looks for bytes, and for them in hexadecimal, in every page that can be read: how many bytes there were.
fn search(server: &Server, wanted: &[u8]) -> (u64, bool) {
    let (pid, digits) = (server.pid(), hex::encode(wanted));
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("read, as root");
    let mut memory = File::open(format!("/proc/{pid}/mem")).expect("opened, as root");
    let (mut searched, mut found) = (0, false);
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().expect("a range"), words.next().expect("rights"));
        // What the kernel keeps for itself within a process cannot be read.
        if !rights.starts_with('r') || line.ends_with("[vvar]") || line.ends_with("[vsyscall]") {
            continue;
        }
        let (from, to) = range.split_once('-').expect("two ends");
        let at = |digits: &str| u64::from_str_radix(digits, 16).expect("hexadecimal");
        let mut bytes = vec![0; usize::try_from(at(to) - at(from)).expect("fits")];
        memory.seek(SeekFrom::Start(at(from))).expect("there");
        if memory.read_exact(&mut bytes).is_err() {
            continue;
        }
        searched += bytes.len() as u64;
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        found = found || has(wanted) || has(digits.as_bytes());
    }
    (searched, found)
}
