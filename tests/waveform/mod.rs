//! What a recording's sound looks like, as the server tells it: right in every format that it decodes, once for all who
//! ask, for nobody who may not hear the recording, and within bounds whatever a file says of itself.

mod asked;
mod formats;
mod hostile;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Server, System, text, tool};

/// Half of full scale on the left in the second of three seconds, and nothing on the right.
const HALF_ON_THE_LEFT: &str = "aevalsrc=0.5*sin(2*PI*440*t)*between(t\\,1\\,2)|0:d=3";

/// Makes a file of `source`, a filter of ffmpeg's, beside the data.
fn made(system: &System, name: &str, source: &str, arguments: &[&str]) -> PathBuf {
    let path = system.path(name);
    let mut command = tool("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source]).args(arguments);
    let output = command.arg(&path).output().expect("ffmpeg runs");
    assert!(output.status.success(), "{name}: {}", text(&output.stderr));
    path
}

fn import(system: &System, file: &Path, id: &str) {
    system.ok(&["import", file.to_str().expect("UTF-8"), "--id", id]);
}

/// The waveform of a recording, which it must have or not have in order.
fn waveform(server: &Server, id: &str, points: usize) -> Value {
    let reply = server.get(&format!("/recordings/{id}/waveform?points={points}"));
    assert_eq!(reply.status, 200, "{id}: {}", text(&reply.body));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let document = reply.json();
    for channel in document["channels"].as_array().expect("channels") {
        let parts = channel.as_array().expect("parts");
        assert_eq!(parts.len(), points, "{id}");
        for part in parts {
            let (low, high) = pair(part);
            assert!((-1.0..=1.0).contains(&low) && low <= high && high <= 1.0, "{id}: {part}");
        }
    }
    document
}

fn pair(part: &Value) -> (f64, f64) {
    (part[0].as_f64().expect("a number"), part[1].as_f64().expect("a number"))
}

/// The parts of a channel.
fn channel(document: &Value, number: usize) -> Vec<(f64, f64)> {
    document["channels"][number].as_array().expect("a channel").iter().map(pair).collect()
}

/// A value of the server's metrics; 0 when it is not there.
fn metric(server: &Server, key: &str) -> f64 {
    let metrics = text(&server.get("/metrics").body);
    let line = metrics.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}

fn outcomes(server: &Server, outcome: &str) -> f64 {
    metric(server, &format!("sealtape_waveforms_total{{outcome=\"{outcome}\"}}"))
}
