//! What is deployed is what was tried: container, unit, manifests and the balancer's settings, from the manual itself.

mod nginx;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use serde_json::Value;

use crate::support::{Server, System, as_root, bare_command, get, media, text, tool};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/deploy").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(shipped(name)).expect("read")
}

fn done(mut command: Command) -> String {
    let output: Output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn the_unit_verifies_and_leaves_little_exposed() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join("sealtape.service");
    let program = env!("CARGO_BIN_EXE_sealtape");
    fs::write(&unit, read("sealtape.service").replace("/usr/bin/sealtape", program)).expect("written");
    let socket = folder.path().join("sealtape.socket");
    fs::copy(shipped("sealtape.socket"), &socket).expect("copied");
    let mut verify = tool("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]).args([&unit, &socket]);
    let output = verify.output().expect("runs");
    let said = text(&output.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("sealtape")).collect();
    assert!(ours.is_empty(), "{ours:?}");
    // 0 is nothing, 10 is everything. What is left is the network, which is its purpose.
    let mut security = tool("systemd-analyze");
    security.args(["security", "--offline=yes", "--threshold=15", "--no-pager"]).arg(&unit);
    println!("{}", done(security).lines().last().unwrap_or_default());

    let said = read("sealtape.service");
    let stop =
        said.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")?.strip_suffix('s')?.parse::<u64>().ok());
    let drains = drains();
    assert!(stop.is_some_and(|stop| stop > drains), "it has {drains} s to stop, and {stop:?}");
}

/// How long a server may take to stop with its default settings, in seconds.
fn drains() -> u64 {
    let manual = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/configuration.md"));
    let manual = manual.expect("read");
    let default = |key: &str| -> u64 {
        let row = manual.lines().find(|line| line.starts_with(&format!("| `{key}`"))).expect("a row");
        let value = row.split('"').nth(1).expect("a default");
        value.strip_suffix('s').and_then(|value| value.parse().ok()).expect("seconds")
    };
    default("server.drain_delay") + default("server.drain_timeout")
}

/// Every document of the manifests.
fn manifests() -> Vec<Value> {
    let mut python = tool("/usr/bin/python3");
    python.args(["-c", "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))"]);
    python.arg(shipped("kubernetes.yaml"));
    let documents: Value = serde_json::from_str(&done(python)).expect("JSON");
    documents.as_array().expect("documents").clone()
}

fn of_kind<'a>(manifests: &'a [Value], kind: &str) -> &'a Value {
    let mut found = manifests.iter().filter(|document| document["kind"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "one {kind}");
    first
}

#[test]
fn the_manifests_say_what_the_program_does() {
    let manifests = manifests();
    let (set, config) = (of_kind(&manifests, "StatefulSet"), of_kind(&manifests, "ConfigMap"));
    let (name, content) = config["data"].as_object().expect("files").iter().next().expect("one");
    let pod = &set["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let mounts = container["volumeMounts"].as_array().expect("mounts");
    let is_mounted =
        |path: &str| mounts.iter().any(|mount| path.starts_with(mount["mountPath"].as_str().expect("a path")));

    // The arguments are those of the program, and every setting is one that it takes.
    let arguments: Vec<&str> =
        container["args"].as_array().expect("arguments").iter().filter_map(Value::as_str).collect();
    assert_eq!((arguments[0], arguments[2]), ("--config", "serve"));
    assert!(arguments[1].ends_with(&format!("/{name}")) && is_mounted(arguments[1]), "{arguments:?}");
    let settings = checked(content.as_str().expect("TOML"), container);
    let server = &settings["server"];
    let seconds = |key: &str| server[key].as_str().and_then(|time| time.strip_suffix('s')?.parse::<u64>().ok());
    let drains = seconds("drain_delay").zip(seconds("drain_timeout")).map(|(delay, timeout)| delay + timeout);
    let grace = pod["terminationGracePeriodSeconds"].as_u64();
    assert!(drains.is_some() && grace > drains, "{grace:?} s to stop in, and it takes {drains:?}");
    for line in text_of(content).lines().filter_map(|line| line.split_once(" = \"/")) {
        assert!(is_mounted(&format!("/{}", line.1.trim_end_matches('"'))), "{line:?} is mounted");
    }

    // Ports and probes, asked of a server.
    let port = |name: &str| {
        let ports = container["ports"].as_array().expect("ports");
        ports.iter().find(|port| port["name"] == name).and_then(|port| port["containerPort"].as_u64()).expect("a port")
    };
    assert_eq!(server["listen"], format!("0.0.0.0:{}", port("http")));
    assert_eq!(server["admin_listen"], format!("0.0.0.0:{}", port("admin")));
    let system = System::with_key();
    let free = free_port();
    let mut command = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SEALTAPE_SERVER__ADMIN_LISTEN", format!("127.0.0.1:{free}"));
    let server = Server::start(command);
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let probe = &container[probe]["httpGet"];
        assert_eq!(probe["port"], "admin");
        let path = probe["path"].as_str().expect("a path");
        assert_eq!(get(&format!("127.0.0.1:{free}"), path, &[]).status, 200, "{path}");
    }
    drop(server);

    assert_hardened(pod, container);
    for document in &manifests {
        let selector = &document["spec"]["selector"];
        let labels = if selector["matchLabels"].is_null() { selector } else { &selector["matchLabels"] };
        let is_selected = labels.is_null() || labels["app"] == set["spec"]["template"]["metadata"]["labels"]["app"];
        assert!(is_selected, "{document}");
    }
    let (service, policy) = (of_kind(&manifests, "Service"), of_kind(&manifests, "NetworkPolicy"));
    assert_eq!(service["spec"]["ports"][0]["targetPort"], "http");
    assert_eq!(policy["spec"]["policyTypes"], serde_json::json!(["Ingress", "Egress"]));
    assert_eq!(of_kind(&manifests, "PodDisruptionBudget")["spec"]["maxUnavailable"], 1);
}

fn text_of(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn assert_hardened(pod: &Value, container: &Value) {
    let (of_pod, of_container) = (&pod["securityContext"], &container["securityContext"]);
    assert_eq!(of_pod["runAsNonRoot"], true);
    assert_eq!(of_pod["runAsUser"], 10001);
    assert!(read("Containerfile").contains("\nUSER 10001:10001\n"), "the same one as the container's");
    assert_eq!(of_container["readOnlyRootFilesystem"], true);
    assert_eq!(of_container["allowPrivilegeEscalation"], false);
    assert_eq!(of_container["capabilities"]["drop"][0], "ALL");
    assert_eq!(pod["automountServiceAccountToken"], false);
}

/// The settings as `config check` shows them.
fn checked(toml: &str, container: &Value) -> Value {
    // `config check` reads the definition key; its place is in a Secret.
    let system = System::with_key();
    let file = system.file("sealtape.toml", toml.as_bytes());
    let mut command = bare_command();
    command.arg("--config").arg(&file).args(["config", "check", "--json"]);
    command.env("SEALTAPE_DEFINITION_KEY__PATH", system.data_dir().join("definition.key"));
    // What tests set so that they need not wait.
    command.env_remove("SEALTAPE_SERVER__DRAIN_DELAY");
    for variable in container["env"].as_array().expect("variables") {
        let name = variable["name"].as_str().expect("a name");
        let value = match (name, variable["value"].as_str()) {
            ("SEALTAPE_DATABASE__URL", _) => "postgres://sealtape@db.internal/sealtape?sslmode=verify-full".to_owned(),
            (_, Some(value)) => value.replace("$(SEALTAPE_AUDIT__INSTANCE)", "sealtape-0"),
            (_, None) => "a-name".to_owned(),
        };
        command.env(name, value);
    }
    serde_json::from_str(&done(command)).expect("a document")
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address").port()
}

/// A folder that holds an image's storage, and what is put into it.
struct Images {
    folder: tempfile::TempDir,
}

impl Images {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = as_root("buildah");
        command.args(["--storage-driver", "vfs", "--root"]).arg(self.folder.path().join("root"));
        command.arg("--runroot").arg(self.folder.path().join("run"));
        command.args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        done(self.command(arguments)).trim().to_owned()
    }

    /// An image of these files and nothing else.
    fn of_folder(&self, folder: &Path, name: &str) {
        let container = self.run(&["from", "scratch"]);
        self.run(&["add", "--quiet", &container, folder.to_str().expect("UTF-8"), "/"]);
        self.run(&["commit", "--quiet", &container, name]);
    }
}

/// The libraries that the program needs, and nothing else: there is no shell in it, and no registry is asked.
fn base(folder: &Path) {
    let mut ldd = tool("ldd");
    ldd.arg(env!("CARGO_BIN_EXE_sealtape"));
    let said = done(ldd);
    let libraries: Vec<&str> = said.split_whitespace().filter(|word| word.starts_with('/')).collect();
    assert!(libraries.len() >= 3, "{said}");
    for library in libraries {
        let place = folder.join(library.trim_start_matches('/'));
        fs::create_dir_all(place.parent().expect("a folder")).expect("made");
        fs::copy(library, place).expect("copied");
    }
}

#[test]
fn the_container_is_built_and_runs_without_root_shell_or_a_place_to_write() {
    let images = Images { folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder") };
    let place = |name: &str| images.folder.path().join(name);
    base(&place("base"));
    fs::create_dir_all(place("binary/usr/bin")).expect("made");
    fs::create_dir(place("binary/data")).expect("made");
    let mut strip = tool("strip");
    strip.arg("-o").arg(place("binary/usr/bin/sealtape")).arg(env!("CARGO_BIN_EXE_sealtape"));
    done(strip);
    images.of_folder(&place("base"), "localhost/base");
    images.of_folder(&place("binary"), "localhost/binary");
    fs::create_dir(place("context")).expect("made");
    let (file, context) = (shipped("Containerfile"), place("context"));
    let (file, context) = (file.to_str().expect("UTF-8"), context.to_str().expect("UTF-8"));
    images.run(&[
        "build",
        "--quiet",
        "--isolation",
        "chroot",
        "--file",
        file,
        "--build-arg",
        "BASE=localhost/base",
        "--build-arg",
        "BINARY=localhost/binary",
        "--tag",
        "localhost/sealtape",
        context,
    ]);
    let inspected: Value =
        serde_json::from_str(&images.run(&["inspect", "--type", "image", "localhost/sealtape"])).expect("JSON");
    let config = &inspected["OCIv1"]["config"];
    assert_eq!(config["User"], "10001:10001");
    assert_eq!(config["Entrypoint"][0], "/usr/bin/sealtape");
    assert!(config["Volumes"]["/var/lib/sealtape"].is_object(), "{config}");

    let container = images.run(&["from", "localhost/sealtape"]);
    let root = PathBuf::from(images.run(&["mount", &container]));
    assert!(!root.join("bin/sh").exists() && !root.join("usr/bin/sh").exists(), "there is no shell");
    let size: u64 =
        crate::support::files_below(&root).iter().map(|file| fs::metadata(file).expect("there").len()).sum();
    println!("the image's files: {} MiB, of a build with debug assertions", size >> 20);
    use std::os::unix::fs::MetadataExt;
    let data = fs::metadata(root.join("var/lib/sealtape")).expect("there");
    assert_eq!((data.uid(), data.gid()), (10001, 10001), "whoever runs it may write there");

    run_image(&images, &root);
    images.run(&["umount", &container]);
}

/// As its user, with a root that cannot be written to; its definition key is root's, readable by one group, as
/// Kubernetes and systemd hand it out.
fn run_image(images: &Images, root: &Path) {
    let data = images.folder.path().join("data");
    fs::create_dir(&data).expect("made");
    std::os::unix::fs::chown(&data, Some(10001), Some(10001)).expect("chown");
    let keys = images.folder.path().join("keys");
    fs::create_dir(&keys).expect("made");
    let other = System::with_key();
    let key = keys.join("definition.key");
    fs::copy(other.data_dir().join("definition.key"), &key).expect("copied");
    std::os::unix::fs::chown(&key, Some(0), Some(10001)).expect("chown");
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o440)).expect("chmod");
    let script = "mount --bind \"$1\" \"$1\" && mount --bind \"$2\" \"$1/var/lib/sealtape\" && mount --bind \"$3\" \
                  \"$1/keys\" && mount -o remount,bind,ro \"$1\" && root=\"$1\" && shift 3 && \
                  exec chroot --userspec=10001:10001 \"$root\" /usr/bin/sealtape \"$@\"";
    fs::create_dir(root.join("keys")).expect("made");
    let inside = |arguments: &[&str]| {
        let mut command = as_root("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).args([root, &data, &keys]).args(arguments);
        command.env("SEALTAPE_SERVER__DRAIN_DELAY", "0s");
        command.env("SEALTAPE_DEFINITION_KEY__PATH", "/keys/definition.key");
        command
    };
    done(inside(&["--data-dir", "/var/lib/sealtape", "keys", "generate"]));
    let server = Server::start(inside(&["--data-dir", "/var/lib/sealtape", "serve", "--listen", "127.0.0.1:0"]));
    let bytes = media(300_000);
    let put = crate::support::put(&server.address, "call", &[("Content-Type", "audio/wav")], &bytes);
    assert_eq!(put.status, 201, "{put:?}");
    assert!(server.get("/recordings/call/media").body == bytes);
    assert!(server.wait_until(Duration::from_secs(1), |server| server.get("/livez").status == 200));
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    assert!(status.lines().any(|line| line.starts_with("Uid:\t10001\t10001")), "{status}");
}
