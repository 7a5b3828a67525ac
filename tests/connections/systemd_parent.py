"""Starts a server as systemd does: a socket that listens is number 3, states come as datagrams.

usage: systemd_parent.py FOLDER PROGRAM [ARGUMENT…]     Prints one JSON document.
"""
import json, os, signal, socket, sys, time, urllib.request

folder, command = sys.argv[1], sys.argv[2:]
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind(os.path.join(folder, "notify"))
notify.settimeout(20)
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
port = listener.getsockname()[1]
child = os.fork()
if child == 0:
    os.dup2(listener.fileno(), 3)
    os.set_inheritable(3, True)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), NOTIFY_SOCKET=os.path.join(folder, "notify"),
                      WATCHDOG_USEC="200000", WATCHDOG_PID=str(os.getpid()))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(command[0], command)
seen = []


def wait_for(state):
    while state not in seen:
        seen.extend(line for line in notify.recv(4096).decode().splitlines() if not line.startswith("MONOTONIC"))


wait_for("READY=1")
status = urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz").status
wait_for("WATCHDOG=1")
os.kill(child, signal.SIGHUP)
wait_for("RELOADING=1")
seen[:] = [state for state in seen if state != "READY=1"]
wait_for("READY=1")
os.kill(child, signal.SIGTERM)
wait_for("STOPPING=1")
_, code = os.waitpid(child, 0)
print(json.dumps({"status": status, "seen": sorted(set(seen)), "code": os.waitstatus_to_exitcode(code)}))
