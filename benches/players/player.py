"""One player: a connection that asks, reads as much as it is told to, and checks every byte."""

import socket
import ssl
import time

import media
from processes import Failed

# Of a player's own: else what lies unread with ten thousand players is more than the system gives to sockets.
RECEIVE_BUFFER = 16 << 10
# Ports of one address do not suffice for tens of thousands.
PLAYERS_PER_ADDRESS = 20_000


class Player:
    """Plays from a place in a recording on."""

    def __init__(self, port, number=0, is_tls=False, receive_buffer=RECEIVE_BUFFER, limit=60):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(limit)
        if number >= PLAYERS_PER_ADDRESS:
            self.socket.bind((f"127.0.0.{1 + number // PLAYERS_PER_ADDRESS}", 0))
        self.socket.connect(("127.0.0.1", port))
        if is_tls:
            self.socket = tls_context().wrap_socket(self.socket)
        self.rest, self.is_head_read = b"", False
        self.recording = self.at = self.end = 0

    def ask(self, recording, first, last=None):
        """Asks for a range."""
        self.recording, self.at, self.is_head_read = recording, first, False
        self.socket.sendall(f"GET {media.path(recording)} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                            f"Range: bytes={first}-{'' if last is None else last}\r\n\r\n".encode())

    def take(self, wanted):
        """At most that many bytes more, checked; how many. 0 when nothing is there, for a socket that does not block."""
        piece, self.rest = self.rest, b""
        if not piece:
            try:
                piece = self.socket.recv(min(wanted, self.end - self.at) if self.is_head_read else 4096)
            except (BlockingIOError, ssl.SSLWantReadError):
                return 0
            if not piece:
                raise Failed(f"a player was cut at {self.at} of {self.end}")
        if not self.is_head_read:
            return self.take_head(piece)
        piece, self.rest = piece[:wanted], piece[wanted:]
        if piece != media.stretch(self.recording, self.at, len(piece)):
            raise Failed(f"wrong bytes in recording {self.recording} at {self.at}")
        self.at += len(piece)
        return len(piece)

    def take_head(self, came):
        """Reads the head, which must promise what was asked for. No media yet: 0."""
        head, mark, rest = came.partition(b"\r\n\r\n")
        if not mark:
            raise Failed(f"a head came in pieces or is too long: {came[:200]!r}")
        lines = head.decode().lower().split("\r\n")
        length = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length:")), None)
        if lines[0].split()[1] != "206" or length is None:
            raise Failed(f"a player was answered {lines[0]}")
        self.end, self.rest, self.is_head_read = self.at + length, rest, True
        return 0

    def read(self, wanted):
        """Exactly that many bytes more, checked."""
        while wanted > 0:
            wanted -= self.take(min(wanted, 256 << 10))

    def close(self):
        """At once, so that its port is free again."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


def start_of(port, is_tls, recording, first, second):
    """A new player: seconds to the first byte, and until it has a second of media."""
    begun = time.monotonic()
    player = Player(port, is_tls=is_tls, receive_buffer=256 << 10)
    player.ask(recording, first)
    player.read(1)
    first_byte = time.monotonic() - begun
    player.read(second - 1)
    whole = time.monotonic() - begun
    player.close()
    return first_byte, whole


_CONTEXT = []


def tls_context():
    if not _CONTEXT:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _CONTEXT.append(context)
    return _CONTEXT[0]
