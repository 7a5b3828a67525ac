//! Garage, an S3-compatible object store: three nodes on loopback that keep everything three times.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, OnceLock, Weak},
    thread,
    time::{Duration, Instant},
};

use sealtape::storage::BucketAddress;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    background::{free_port, stop_at_exit},
    request,
};

const NODES: usize = 3;
const REGION: &str = "garage";
/// Of these clusters alone, which nobody else reaches.
const TOKEN: &str = "only-for-tests";
const RPC_SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A cluster that runs for as long as it is held.
pub struct Garage {
    nodes: Mutex<Vec<Node>>,
    ports: Vec<Ports>,
    folder: TempDir,
    key_id: String,
    secret: String,
}

struct Node {
    child: Child,
}

#[derive(Clone, Copy)]
struct Ports {
    s3: u16,
    rpc: u16,
    admin: u16,
}

static SHARED: Mutex<Weak<Garage>> = Mutex::new(Weak::new());

impl Garage {
    /// The one that other tests use, too; whoever stops nodes has one of their own.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().expect("whole");
        shared.upgrade().unwrap_or_else(|| {
            let garage = Arc::new(Self::start());
            *shared = Arc::downgrade(&garage);
            garage
        })
    }

    /// The same, to the end of this program, also when nobody holds it for a moment.
    pub fn kept() -> Arc<Self> {
        static KEPT: OnceLock<Arc<Garage>> = OnceLock::new();
        let garage = Arc::clone(KEPT.get_or_init(Self::shared));
        garage.stop_at_exit();
        garage
    }

    fn stop_at_exit(&self) {
        static STARTED: OnceLock<()> = OnceLock::new();
        STARTED.get_or_init(|| {
            let nodes = self.nodes.lock().expect("whole");
            let pids: Vec<String> = nodes.iter().map(|node| node.child.id().to_string()).collect();
            stop_at_exit(&format!("kill -KILL {}", pids.join(" ")), self.folder.path());
        });
    }

    /// Starts a cluster and waits until all of it is up.
    pub fn start() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let ports: Vec<Ports> =
            (0..NODES).map(|_| Ports { s3: free_port(), rpc: free_port(), admin: free_port() }).collect();
        for (number, Ports { s3, rpc, admin }) in ports.iter().enumerate() {
            let place = folder.path().join(number.to_string());
            fs::create_dir(&place).expect("made");
            let place = place.display();
            let settings = format!(
                "metadata_dir = \"{place}/meta\"\ndata_dir = \"{place}/data\"\ndb_engine = \"sqlite\"\n\
                 replication_factor = 3\nrpc_timeout_msec = 5000\nrpc_ping_timeout_msec = 2000\n\
                 rpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\n\
                 rpc_secret = \"{RPC_SECRET}\"\n\
                 [s3_api]\ns3_region = \"{REGION}\"\napi_bind_addr = \"127.0.0.1:{s3}\"\n\
                 [admin]\napi_bind_addr = \"127.0.0.1:{admin}\"\nadmin_token = \"{TOKEN}\"\n"
            );
            fs::write(folder.path().join(format!("{number}.toml")), settings).expect("written");
        }
        let nodes = (0..NODES).map(|number| Node::start(&folder, number)).collect();
        let mut garage = Self { nodes: Mutex::new(nodes), ports, folder, key_id: String::new(), secret: String::new() };
        garage.join();
        let key = garage.admin(0, "POST", "CreateKey", &json!({ "name": "sealtape" }));
        let text = |name: &str| key[name].as_str().expect("text").to_owned();
        (garage.key_id, garage.secret) = (text("accessKeyId"), text("secretAccessKey"));
        garage
    }

    /// Makes one cluster of the nodes.
    fn join(&self) {
        let ids: Vec<String> = (0..NODES)
            .map(|number| {
                let status = self.wait_for(number, |status| status["nodes"][0]["id"].is_string());
                status["nodes"][0]["id"].as_str().expect("an ID").to_owned()
            })
            .collect();
        let others: Vec<String> =
            ids.iter().zip(&self.ports).skip(1).map(|(id, ports)| format!("{id}@127.0.0.1:{}", ports.rpc)).collect();
        self.admin(0, "POST", "ConnectClusterNodes", &json!(others));
        let roles: Vec<Value> =
            ids.iter().map(|id| json!({ "id": id, "zone": id, "tags": [], "capacity": 100_000_000_000_u64 })).collect();
        self.admin(0, "POST", "UpdateClusterLayout", &json!({ "roles": roles }));
        self.admin(0, "POST", "ApplyClusterLayout", &json!({ "version": 1 }));
        self.wait_until_healthy();
    }

    /// Waits until every node knows every other one and holds its part.
    pub fn wait_until_healthy(&self) {
        let begun = Instant::now();
        loop {
            let health = |node| self.try_admin(node, "GET", "GetClusterHealth", &Value::Null);
            let is_up = |node| health(node).is_some_and(|health| health["status"] == "healthy");
            if (0..NODES).all(is_up) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", health(0));
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// A bucket of that name, which our key may read and write.
    pub fn bucket(&self, name: &str) -> String {
        let made = self.admin(0, "POST", "CreateBucket", &json!({ "globalAlias": name }));
        let allowed = json!({
            "bucketId": made["id"], "accessKeyId": self.key_id,
            "permissions": { "read": true, "write": true, "owner": false },
        });
        self.admin(0, "POST", "AllowBucketKey", &allowed);
        name.to_owned()
    }

    /// `127.0.0.1:PORT` of a node.
    pub fn node(&self, number: usize) -> String {
        format!("127.0.0.1:{}", self.ports[number].s3)
    }

    /// A part of a bucket, by the first node.
    pub fn address(&self, bucket: &str, prefix: &str) -> BucketAddress {
        BucketAddress {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: Some(format!("http://{}", self.node(0))),
            region: Some(REGION.to_owned()),
            allow_http: true,
        }
    }

    /// What programs find in their environment.
    pub fn variables(&self) -> [(&'static str, String); 3] {
        [
            ("AWS_ACCESS_KEY_ID", self.key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret.clone()),
            ("AWS_REGION", REGION.to_owned()),
        ]
    }

    /// One of them.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.variables().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Kills a node, as a machine dies.
    pub fn kill(&self, number: usize) {
        let node = &mut self.nodes.lock().expect("whole")[number];
        node.child.kill().expect("killed");
        node.child.wait().expect("ended");
    }

    /// Starts a node again that was killed.
    pub fn restart(&self, number: usize) {
        self.nodes.lock().expect("whole")[number] = Node::start(&self.folder, number);
    }

    fn wait_for(&self, node: usize, is_so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            match self.try_admin(node, "GET", "GetClusterStatus", &Value::Null) {
                Some(status) if is_so(&status) => return status,
                found => assert!(begun.elapsed() < Duration::from_secs(60), "{found:?}"),
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn admin(&self, node: usize, method: &str, operation: &str, body: &Value) -> Value {
        let answer = self.try_admin(node, method, operation, body);
        answer.unwrap_or_else(|| panic!("{operation} is refused: {}", self.folder.path().display()))
    }

    fn try_admin(&self, node: usize, method: &str, operation: &str, body: &Value) -> Option<Value> {
        let address = format!("127.0.0.1:{}", self.ports[node].admin);
        std::net::TcpStream::connect(&address).ok()?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let token = format!("Bearer {TOKEN}");
        let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
        let reply = request(&address, method, &format!("/v2/{operation}"), &headers, body.as_bytes());
        (reply.status == 200).then(|| serde_json::from_slice(&reply.body).unwrap_or(Value::Null))
    }
}

impl Node {
    fn start(folder: &TempDir, number: usize) -> Self {
        let log = fs::File::options().create(true).append(true).open(folder.path().join(format!("{number}.log")));
        let child = Command::new(program())
            .arg("-c")
            .arg(folder.path().join(format!("{number}.toml")))
            .arg("server")
            .env("RUST_LOG", "garage=warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log"))
            .spawn();
        Self { child: child.expect("garage runs") }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

/// Where `tests/run` puts it.
fn program() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("HOME")).join(".cache"));
    let program = cache.join("sealtape/tools/bin/garage");
    assert!(program.exists(), "garage is missing: `tests/run` installs what the tests need");
    program
}
