"""What the programs beside it share: processes with an end, what they cost, the machine, and a server of sealtape.

Every process is started in a group of its own, is waited for with a time limit, and is ended with its whole group.
"""

import os
import platform
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "target" / "release" / "sealtape"


class Failed(Exception):
    """Something could not be set up or measured; the text says what, and what to do."""


def run(command, limit=120, **options):
    """Runs a program to its end; what it printed on standard output."""
    command = [str(part) for part in command]
    try:
        said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit,
                              start_new_session=True, **options)
    except FileNotFoundError:
        raise Failed(f"{command[0]} is missing") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(command[:6])} did not end within {limit} s") from None
    if said.returncode:
        raise Failed(f"{' '.join(command[:6])}: exit code {said.returncode}: {said.stderr.strip()[-600:]}")
    return said.stdout


class Process:
    """A program that runs until it is stopped, with all that it starts."""

    def __init__(self, name, command, log, environment=None):
        self.name, self.log = name, log
        with open(log, "ab") as file:
            self.child = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=file,
                                          stderr=file, env=environment, start_new_session=True)

    def pids(self):
        """Its own and those of every process below it."""
        found = [self.child.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found.extend(int(child) for child in children.read_text().split())
        return found

    def cpu_seconds(self):
        """What it used so far, of user and system time, and what those used that it has seen end."""
        ticks = 0
        for pid in self.pids():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except FileNotFoundError:  # ended in between
                continue
            ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Resident bytes now, and the most since `forget_peak`; of several processes, their sums."""
        now = peak = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(("VmRSS:", "VmHWM:")):
                    size = int(line.split()[1]) * 1024
                    now, peak = (now + size, peak) if line.startswith("VmRSS:") else (now, peak + size)
        return now, peak

    def forget_peak(self):
        """Lets the peak of memory begin anew, where the system lets us: sealtape lets only root near its memory."""
        for pid in self.pids():
            try:
                Path(f"/proc/{pid}/clear_refs").write_text("5")
            except PermissionError:
                continue

    def descriptors(self):
        """What it holds open; none if only root may see that, as with sealtape."""
        links = []
        if any(not os.access(f"/proc/{pid}/fd", os.R_OK | os.X_OK) for pid in self.pids()):
            return None
        for pid in self.pids():
            for entry in os.scandir(f"/proc/{pid}/fd"):
                try:
                    links.append(os.readlink(entry.path))
                except FileNotFoundError:  # closed in between
                    continue
        return links

    def check(self):
        """That it still runs."""
        if self.child.poll() is not None:
            raise Failed(f"{self.name} ended with {self.child.returncode}: {tail(self.log)}")

    def stop(self, limit=10):
        """Ends the whole group, in order if it can be."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.child.pid, number)
            except ProcessLookupError:
                pass
            try:
                self.child.wait(limit)
            except subprocess.TimeoutExpired:
                continue
            if not group_lives(self.child.pid):
                return


def group_lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def tail(path):
    try:
        return Path(path).read_text(errors="replace").strip()[-600:]
    except OSError:
        return ""


def wait_for(condition, what, limit=30):
    """Waits until something holds."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {limit} s")
        time.sleep(0.05)


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def end_in_order():
    """Makes signals run what stands in `finally`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    # Where Debian keeps servers, which not everybody's path names.
    os.environ["PATH"] += ":/usr/sbin"


def machine():
    """Where it ran, and of what: a line each."""
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    commit = run(["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"]).strip()
    if run(["git", "-C", ROOT, "status", "--porcelain", "--untracked-files=no"]).strip():
        commit += "-dirty"
    return {"machine": f"{os.cpu_count()} x {cpu}", "kernel": platform.release(), "commit": commit}


def build():
    """The program, built for release."""
    run(["cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", ROOT / "Cargo.toml"], limit=1200)


def environment(settings=()):
    """That of the caller without settings of sealtape, and these."""
    bare = {name: value for name, value in os.environ.items()
            if not name.startswith("SEALTAPE_") and name != "RUST_LOG"}
    # What is stopped here stops at once.
    return {**bare, "SEALTAPE_SERVER__DRAIN_DELAY": "0s", "SEALTAPE_SERVER__DRAIN_TIMEOUT": "1s", **dict(settings)}


def sealed(data, media):
    """Makes a system and imports media into it."""
    for arguments in (["keys", "generate"], ["import", *media]):
        run([PROGRAM, "--data-dir", data, *arguments], env=environment(), limit=600)


def serve(data, log, settings=()):
    """A server over a system, and its port."""
    port = free_port()
    command = [PROGRAM, "--data-dir", data, "serve", "--listen", f"127.0.0.1:{port}"]
    process = Process("sealtape", command, log, environment(settings))
    try:
        wait_for(lambda: process.check() or listens(port), "sealtape answers")
    except BaseException:
        process.stop()
        raise
    return process, port


def make_certificate(folder):
    """A certificate and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-keyout", key, "-out", cert])
    return cert, key
