//! Memory does not grow with a recording: 4 GiB in, 4 GiB out, under 64 MiB each.

use std::{
    fs::File,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    thread,
    time::Duration,
};

use crate::support::{System, peak_memory};

const LEN: u64 = 4 << 30;
const LIMIT: u64 = 64 << 20;

/// Several are under way at once, and no more of them however many there are.
#[test]
fn many_files_in() {
    let system = System::with_key();
    let sources: Vec<PathBuf> = (0..24).map(|i| system.path(&format!("long-{i:02}.bin"))).collect();
    for source in &sources {
        File::create(source).and_then(|file| file.set_len(32 << 20)).expect("a sparse file");
    }
    let peak = peak_of_import(&system, &sources);
    println!("peak memory: import of {} files {} MiB", sources.len(), peak >> 20);
}

fn peak_of_import(system: &System, sources: &[PathBuf]) -> u64 {
    let mut import = system.command(&["import"]).args(sources).spawn().expect("runs");
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_memory(import.id()).unwrap_or(0));
        if let Some(status) = import.try_wait().expect("waits") {
            break status;
        }
        thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success());
    assert!(peak > 0 && peak < LIMIT, "import: {} MiB", peak >> 20);
    peak
}

#[test]
fn four_gibibytes_in_and_out() {
    let system = System::with_key();
    let source = system.path("long.bin");
    File::create(&source).and_then(|file| file.set_len(LEN)).expect("a sparse file");
    let import_peak = peak_of_import(&system, &[source]);

    let server = system.serve();
    let mut stream = TcpStream::connect(&server.address).expect("connects");
    write!(stream, "GET /recordings/long/media HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let (mut came, mut piece, mut others) = (0, vec![0; 1 << 20], 0_u64);
    loop {
        let read = stream.read(&mut piece).expect("reads");
        if read == 0 {
            break;
        }
        came += read as u64;
        others += piece[..read].iter().filter(|byte| **byte != 0).count() as u64;
    }
    let head = came - LEN;
    assert!(head < 1024 && others <= head, "{LEN} zeros after the head: {head} more bytes, {others} not zero");
    let serve_peak = server.peak_memory();
    assert!(serve_peak < LIMIT, "serve: {} MiB", serve_peak >> 20);
    println!("peak memory: import {} MiB, serve {} MiB", import_peak >> 20, serve_peak >> 20);
}
