"""A PostgreSQL of one's own on loopback, from Debian's packages, as a user that is not root.

What is started ends with `stop`, at once, whoever is connected.
"""

import os
import secrets
import signal
from pathlib import Path

from processes import Failed, Process, free_port, listens, run, wait_for

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
# Whoever it runs as where the caller is root, which it refuses to be.
NOBODY = 65534


class Postgres:
    """A server whose data lies in a folder that its user can reach."""

    def __init__(self, place, is_durable=True):
        self.place, self.port, self.password = place, free_port(), secrets.token_hex(16)
        place.mkdir()
        file = place / "password"
        file.touch(mode=0o600)
        file.write_text(self.password)
        if os.geteuid() == 0:
            for path in (place, file):
                os.chown(path, NOBODY, NOBODY)
        run(as_user("initdb", "--pgdata", place / "data", "--username", "sealtape", "--auth", "scram-sha-256",
                    "--encoding", "UTF8", "--no-sync", "--pwfile", file), cwd=place)
        with open(place / "data" / "postgresql.conf", "a") as settings:
            settings.write(f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{place}'\n"
                           f"fsync = {'on' if is_durable else 'off'}\n")

    @property
    def url(self):
        return f"postgres://sealtape:{self.password}@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def start(self, log):
        """The server, which answers."""
        process = Process("postgres", as_user("postgres", "-D", self.place / "data"), log,
                          {**os.environ, "LC_ALL": "C.UTF-8"})
        try:
            wait_for(lambda: process.check() or listens(self.port), "PostgreSQL answers")
        except BaseException:
            process.stop()
            raise
        return process

    def ask(self, query):
        """One value."""
        environment = {**os.environ, "PGPASSWORD": self.password}
        command = ["psql", "-h", "127.0.0.1", "-p", self.port, "-U", "sealtape", "-d", "postgres", "-Atc", query]
        return run([PROGRAMS / command[0], *command[1:]], env=environment).strip()


def stop(process):
    """Ends it without waiting for whoever is connected."""
    process.child.send_signal(signal.SIGINT)
    process.child.wait(30)
    process.stop()


def as_user(program, *arguments):
    """The command, as somebody who is not root."""
    if not (PROGRAMS / program).exists():
        raise Failed(f"{PROGRAMS / program} is missing: tests/run installs it")
    other = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    return [*other, PROGRAMS / program, *arguments]
