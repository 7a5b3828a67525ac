"""sealtape and its peers, each set up over the same media in a folder that is thrown away."""

import os
import shutil
import sys
from pathlib import Path

import processes
from processes import Failed, Process, free_port, listens, run, wait_for

# By the length of a range, 0 for whole files: where nginx is asked at its location with `tcp_nopush`.
NOPUSH = (0, 4 << 10)
AT_NOPUSH = "tcp_nopush at /nopush/"

# How nginx is set: for each row what serves it best, and its defaults where nothing was gained. `run --tune` measures each
# choice; the figures below are of two cores, where two turns of the same setting are up to 15 % apart.
NGINX = {
    # One worker a core: the default is one.
    "worker_processes": "auto",
    # From the page cache into the socket without a copy.
    "sendfile": "on",
    # No one setting serves all rows, so that nginx has a location of each. On, it holds the end of a 64 KiB range back until
    # the client has acknowledged what came before, which takes 40 ms: 770 ranges a second where there are 68 thousand
    # without. Off, the head travels alone: a sixth less of whole files and of 4 KiB ranges.
    "tcp_nopush": "off",
    AT_NOPUSH: "on",
    "tcp_nodelay": "on",
    # Looks a file up once a minute rather than once a request: a sixth to a fifth more ranges of 4 and 64 KiB. (Its p99 of
    # 64 KiB is lower without, 2 ms rather than 8; throughput and CPU decide.)
    "open_file_cache": "max=16 inactive=60s",
    # nginx writes down nothing of who played what, while sealtape keeps its playback record.
    "access_log": "off",
    # Connections last for a whole turn.
    "keepalive_requests": "1000000000",
    # How much of one response is sent before other connections have their turn: nginx's own default.
    "sendfile_max_chunk": "2m",
    # Debian's setting. Without it this version speaks no TLS 1.3, and the two would not do the same work.
    "ssl_protocols": "TLSv1.2 TLSv1.3",
    "ssl_buffer_size": "16k",
    # A listening socket shared by the workers, or one each.
    "listen": "",
}

# What `run --tune` sets beside each other: the above, and each of these in its stead.
TUNED = [{}, {"tcp_nopush": "on"}, {AT_NOPUSH: "off"}, {"open_file_cache": "off"}, {"sendfile_max_chunk": "512k"},
         {"sendfile_max_chunk": "0"}, {"listen": "reuseport"}, {"ssl_buffer_size": "64k"},
         {"ssl_protocols": "TLSv1.2"}, {"ssl_conf_command": "Options KTLS"}]

# An open file keeps its pages. Behind gocryptfs they hold plaintext, so that a kept file is decrypted once and then
# served as fast as any plain one for as long as it fits into memory, which is what the peer on plain files shows. Opened
# for each request, as nginx does by default, it is decrypted for each.
NGINX_ON_GOCRYPTFS = {"open_file_cache": "off"}


class Server:
    """Where it is asked, over TLS or not, what works for it, and the files behind it."""

    def __init__(self, name, version, files):
        self.name, self.version, self.files = name, version, files
        self.faces = {}

    def face(self, is_tls, url, works, nopush_url=None):
        """What works is the processes whose time and memory count."""
        self.faces[is_tls] = (url, works, nopush_url or url)

    def url(self, is_tls, length):
        """Where ranges of that length are asked for."""
        return self.faces[is_tls][2 if length in NOPUSH else 0]

    def works(self, is_tls):
        return self.faces[is_tls][1]

    def check(self):
        for _, works, _ in self.faces.values():
            for process in works:
                process.check()

    def chill(self):
        """Takes the files out of the page cache, and sees that they are out."""
        for path in self.files:
            with open(path, "rb") as file:
                os.fdatasync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            held = int(run(["fincore", "--bytes", "--noheadings", "--output", "RES", path]).strip())
            if held > os.stat(path).st_size // 50:
                raise Failed(f"{self.name}: {held >> 20} MiB of {path.name} stay in the page cache")


class Setup:
    """Everything that must be undone, in the order in which it was done."""

    def __init__(self, folder, media, certificate):
        self.folder, self.media, self.certificate = folder, media, certificate
        self.undo = []

    def process(self, name, command, environment=None):
        process = Process(name, command, self.folder / f"{name.replace(' ', '-')}.log", environment)
        self.undo.append(process.stop)
        return process

    def close(self):
        """Undoes it all, whatever fails."""
        while self.undo:
            try:
                self.undo.pop()()
            except (Failed, OSError) as error:
                print(f"compare: while ending: {error}", file=sys.stderr)

    def sealtape(self):
        data = self.folder / "sealed"
        processes.sealed(data, [self.media])
        server = Server("sealtape", run([processes.PROGRAM, "--version"]).split()[-1],
                        list((data / "media").rglob("*.sealed")))
        if len(server.files) != 1:
            raise Failed(f"sealtape: one sealed file is expected below {data / 'media'}")
        cert, key = self.certificate
        tls = {"SEALTAPE_SERVER__TLS__CERT": str(cert), "SEALTAPE_SERVER__TLS__KEY": str(key)}
        for is_tls, settings in ((False, {}), (True, tls)):
            process, port = processes.serve(data, self.folder / f"sealtape-{is_tls}.log", settings)
            self.undo.append(process.stop)
            server.face(is_tls, f"{scheme(is_tls)}://127.0.0.1:{port}/recordings/{self.media.stem}/media", [process])
        return server

    def nginx(self, choices=None, name="nginx", media=None, files=None, beside=()):
        media = media or self.media
        server = Server(name, version_of(["nginx", "-v"], "nginx/"), files or [media])
        for is_tls in (False, True):
            port = free_port()
            label = f"{name}-{is_tls}".replace(" ", "-")
            config = self.folder / f"{label}.conf"
            config.write_text(nginx_config(self.folder, label, media.parent, port, is_tls and self.certificate,
                                           NGINX | (choices or {})))
            process = self.process(label, ["nginx", "-c", config, "-e", self.folder / f"{label}.log"])
            wait_for(lambda process=process, port=port: process.check() or listens(port), f"{name} answers")
            url = f"{scheme(is_tls)}://127.0.0.1:{port}"
            server.face(is_tls, f"{url}/{media.name}", [process, *beside], f"{url}/nopush/{media.name}")
        return server

    def gocryptfs(self):
        cipher, clear = self.folder / "cipher", self.folder / "clear"
        cipher.mkdir()
        clear.mkdir()
        # The passphrase protects nothing here, so that it may be cheap.
        run(["gocryptfs", "-q", "-init", "-scryptn", "10", "-extpass", "echo pass", cipher])
        mount = self.process("gocryptfs", ["gocryptfs", "-q", "-fg", "-extpass", "echo pass", cipher, clear])
        # Undone before the process is stopped, which ends by itself then.
        self.undo.append(lambda: unmount(clear))
        wait_for(lambda: mount.check() or os.path.ismount(clear), "gocryptfs mounts")
        run(["cp", self.media, clear / self.media.name], limit=300)
        stored = [path for path in cipher.iterdir() if path.stat().st_size >= self.media.stat().st_size]
        # Both sides have pages: what is decrypted, and what lies on the disk.
        files = [clear / self.media.name, *stored]
        server = self.nginx(NGINX_ON_GOCRYPTFS, "gocryptfs + nginx", clear / self.media.name, files, [mount])
        server.version = f"{version_of(['gocryptfs', '-version'], 'gocryptfs ')} + {server.version}"
        return server

    def rclone(self):
        store, config = self.folder / "rclone", self.folder / "rclone.conf"
        secret = run(["rclone", "obscure", "pass"]).strip()
        config.write_text(f"[crypt]\ntype = crypt\nremote = {store}\npassword = {secret}\nfilename_encryption = off\n")
        command = ["rclone", "--config", config]
        run([*command, "copy", self.media, "crypt:"], limit=300)
        server = Server("rclone crypt", run(["rclone", "version"]).split()[1], list(store.iterdir()))
        port = free_port()
        process = self.process("rclone", [*command, "serve", "http", "--addr", f"127.0.0.1:{port}", "crypt:"])
        wait_for(lambda: process.check() or listens(port), "rclone answers")
        server.face(False, f"http://127.0.0.1:{port}/{self.media.name}", [process])
        return server


def scheme(is_tls):
    return "https" if is_tls else "http"


def nginx_config(folder, label, root, port, certificate, choices):
    workers, listen, nopush = (choices.pop(name) for name in ("worker_processes", "listen", AT_NOPUSH))
    lines = "\n  ".join(f"{name} {value};" for name, value in choices.items())
    places = " ".join(f"{name}_temp_path {folder}/{label}.tmp;" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    tls = certificate and f"ssl_certificate {certificate[0]}; ssl_certificate_key {certificate[1]};"
    # The media lie in a folder of whoever runs this.
    user = "user root;" if os.getuid() == 0 else ""
    return f"""daemon off; worker_processes {workers}; pid {folder}/{label}.pid; {user}
events {{ worker_connections 4096; }}
http {{
  {lines}
  {places}
  server {{ listen 127.0.0.1:{port}{" ssl" if tls else ""} {listen}; root {root}; {tls or ""}
    location /nopush/ {{ alias {root}/; tcp_nopush {nopush}; }}
  }}
}}
"""


def unmount(clear):
    for how in (["-u"], ["-u", "-z"]):
        if os.path.ismount(clear):
            try:
                run(["fusermount3", *how, clear], limit=10)
            except Failed:
                continue


def version_of(command, before):
    """The word after `before` in what a program says of itself; nginx says it on standard error."""
    said = run(["sh", "-c", " ".join(command) + " 2>&1"])
    return said.split(before, 1)[1].split()[0].rstrip(";")


def missing(without):
    """What cannot be found, with the Debian package that holds it."""
    packages = {"nginx": "nginx-light", "openssl": "openssl", "fincore": "util-linux", "git": "git", "cargo": "cargo"}
    if "gocryptfs" not in without:
        packages |= {"gocryptfs": "gocryptfs", "fusermount3": "fuse3"}
    if "rclone" not in without:
        packages["rclone"] = "rclone"
    return {program: package for program, package in packages.items() if not shutil.which(program)}
