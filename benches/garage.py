"""Garage, an S3-compatible object store: three nodes on loopback that keep everything three times.

`tests/run` puts the program into ${XDG_CACHE_HOME:-~/.cache}. What is started ends with `processes.Process.stop`.
"""

import http.client
import json
import os
from pathlib import Path

from processes import Failed, Process, free_port, listens, wait_for

PROGRAM = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sealtape" / "tools" / "bin" / "garage"
REGION, TOKEN = "garage", "only-for-this"


def start_store(folder, running, bucket):
    """Three nodes, with a bucket; the first one's port for S3, and the variables that hold our key."""
    ports = [{name: free_port() for name in ("s3", "rpc", "admin")} for _ in range(3)]
    for number, its in enumerate(ports):
        place = folder / str(number)
        place.mkdir()
        settings = folder / f"{number}.toml"
        settings.write_text(f"""
metadata_dir = "{place}/meta"
data_dir = "{place}/data"
db_engine = "sqlite"
replication_factor = 3
rpc_bind_addr = "127.0.0.1:{its['rpc']}"
rpc_public_addr = "127.0.0.1:{its['rpc']}"
rpc_secret = "{'0123456789abcdef' * 4}"
[s3_api]
s3_region = "{REGION}"
api_bind_addr = "127.0.0.1:{its['s3']}"
[admin]
api_bind_addr = "127.0.0.1:{its['admin']}"
admin_token = "{TOKEN}"
""")
        environment = {**os.environ, "RUST_LOG": "garage=warn"}
        running.append(Process("garage", [PROGRAM, "-c", settings, "server"], folder / f"{number}.log", environment))
    for its in ports:
        wait_for(lambda: listens(its["admin"]), "garage answers")
    nodes = [admin(its["admin"], "GET", "GetClusterStatus")["nodes"][0]["id"] for its in ports]
    first = ports[0]["admin"]
    admin(first, "POST", "ConnectClusterNodes", [f"{node}@127.0.0.1:{its['rpc']}" for node, its in zip(nodes[1:], ports[1:])])
    roles = [{"id": node, "zone": node, "tags": [], "capacity": 100 << 30} for node in nodes]
    admin(first, "POST", "UpdateClusterLayout", {"roles": roles})
    admin(first, "POST", "ApplyClusterLayout", {"version": 1})
    wait_for(lambda: admin(first, "GET", "GetClusterHealth")["status"] == "healthy", "garage is healthy", 60)
    key = admin(first, "POST", "CreateKey", {"name": "sealtape"})
    made = admin(first, "POST", "CreateBucket", {"globalAlias": bucket})
    admin(first, "POST", "AllowBucketKey", {"bucketId": made["id"], "accessKeyId": key["accessKeyId"],
                                            "permissions": {"read": True, "write": True, "owner": True}})
    return ports[0]["s3"], {"AWS_ACCESS_KEY_ID": key["accessKeyId"], "AWS_SECRET_ACCESS_KEY": key["secretAccessKey"]}


def admin(port, method, operation, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, f"/v2/{operation}", None if body is None else json.dumps(body),
                       {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise Failed(f"garage {operation}: {answer.status}: {text[:300]}")
    return json.loads(text) if text else None
