"""Requests over HTTP/2 that say in two ways where they end or what they are, each on a connection of its own and with a
good one behind it. Prints one JSON document: for each what became of it, the status of an answer, "reset N" of its stream or
"goaway N" of the connection, and of the one behind it.

usage: h2_shapes.py HOST PORT
"""
import sys

sys.dont_write_bytecode = True

import hpack, json
from h2_floods import Attacker, DATA, END_HEADERS, END_STREAM, HEADERS, frame

# What a request says of itself; the target is put in.
GET = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost")]
PUT = [(":method", "PUT"), (":scheme", "http"), (":authority", "localhost")]
LIVEZ = (":path", "/livez")


def to(name):
    return ":path", f"/recordings/{name}/media"


def block(fields):
    """A field block without the table and without Huffman's code, so that whatever is to be said can be."""
    text = b""
    for name, value in fields:
        parts = [part if isinstance(part, bytes) else part.encode() for part in (name, value)]
        assert all(len(part) < 127 for part in parts)
        text += b"\x00" + b"".join(bytes([len(part)]) + part for part in parts)
    return text


# Name, fields, and the pieces of a body; none where the request ends with its head.
SHAPES = [
    ("good", [*GET, LIVEZ], None),
    ("chunked", [*GET, LIVEZ, ("transfer-encoding", "chunked")], [b"0\r\n\r\n"]),
    ("connection", [*GET, LIVEZ, ("connection", "close")], None),
    ("keep-alive", [*GET, LIVEZ, ("keep-alive", "timeout=5")], None),
    ("proxy-connection", [*GET, LIVEZ, ("proxy-connection", "keep-alive")], None),
    ("upgrade", [*GET, LIVEZ, ("upgrade", "h2c")], None),
    ("te", [*GET, LIVEZ, ("te", "chunked")], None),
    ("trailers", [*GET, LIVEZ, ("te", "trailers")], None),
    ("return in a value", [*GET, LIVEZ, ("x", b"a\rb")], None),
    ("line feed in a value", [*GET, LIVEZ, ("x", b"a\nb")], None),
    ("line in a value", [*GET, LIVEZ, ("x", b"a\r\nhost: other")], None),
    ("zero in a value", [*GET, LIVEZ, ("x", b"a\0b")], None),
    ("line in a path", [*GET, (":path", b"/livez HTTP/1.1\r\nx: y")], None),
    ("space in a path", [*GET, (":path", "/livez HTTP/1.1")], None),
    ("line in a method", [(":method", b"GET / HTTP/1.1\r\nx: y"), *GET[1:], LIVEZ], None),
    ("line in a name", [*GET, LIVEZ, (b"x: y\r\nz", "v")], None),
    ("colon in a name", [*GET, LIVEZ, (b"x:y", "v")], None),
    ("space in a name", [*GET, LIVEZ, (b"content-length ", "5")], None),
    ("capital in a name", [*GET, LIVEZ, (b"X", "y")], None),
    ("empty name", [*GET, LIVEZ, (b"", "y")], None),
    ("two methods", [(":method", "PUT"), *GET, LIVEZ], None),
    ("two schemes", [*GET, (":scheme", "https"), LIVEZ], None),
    ("two authorities", [*GET, (":authority", "other"), LIVEZ], None),
    ("two paths", [*GET, LIVEZ, (":path", "/hidden")], None),
    ("no method", [*GET[1:], LIVEZ], None),
    ("no scheme", [GET[0], GET[2], LIVEZ], None),
    ("no path", GET, None),
    ("empty path", [*GET, (":path", "")], None),
    ("late path", [*GET, ("x", "y"), LIVEZ], None),
    ("status", [*GET, LIVEZ, (":status", "200")], None),
    ("unknown pseudo-field", [*GET, LIVEZ, (":x", "y")], None),
    ("another host", [*GET, LIVEZ, ("host", "other")], None),
    ("two lengths", [*PUT, to("two-lengths"), ("content-length", "5"), ("content-length", "6")], [b"hello"]),
    ("signed length", [*PUT, to("signed"), ("content-length", "+5")], [b"hello"]),
    ("lengths in one", [*PUT, to("in-one"), ("content-length", "5, 5")], [b"hello"]),
    ("shorter", [*PUT, to("shorter"), ("content-length", "6")], [b"hello"]),
    ("longer", [*PUT, to("longer"), ("content-length", "4")], [b"hello"]),
    ("longer in two", [*PUT, to("longer-in-two"), ("content-length", "5")], [b"hello", b", world"]),
    ("none of its length", [*PUT, to("none-of-it"), ("content-length", "5")], None),
    ("of its length", [*PUT, to("of-its-length"), ("content-length", "5")], [b"hel", b"lo"]),
    ("chunks", [*PUT, to("chunks"), ("transfer-encoding", "chunked")], [b"5\r\nhello\r\n0\r\n\r\n"]),
]


def became(it, stream, statuses):
    if stream in statuses:
        return statuses[stream]
    if stream in it.reset:
        return f"reset {min(it.reset[stream])}"
    return "nothing" if it.goaway is None else f"goaway {it.goaway}"


def ask(address, fields, pieces):
    it = Attacker(*address)
    it.send(frame(HEADERS, END_HEADERS | (END_STREAM if pieces is None else 0), 1, block(fields)))
    for number, piece in enumerate(pieces or [], 1):
        it.send(frame(DATA, END_STREAM if number == len(pieces) else 0, 1, piece))
    it.wait(lambda: 1 in it.heads or 1 in it.reset)
    it.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, block([*GET, (":path", "/behind")])))
    it.wait(lambda: 3 in it.heads or 3 in it.reset)
    # One table for all heads of a connection, in the order in which they came.
    decoder = hpack.Decoder()
    statuses = {stream: decoder.decode(head)[0][1] for stream, head in it.heads.items()}
    return became(it, 1, statuses), became(it, 3, statuses)


host, port = sys.argv[1:]
print(json.dumps({name: ask((host, int(port)), fields, pieces) for name, fields, pieces in SHAPES}))
