"""HTTP/2 by hand, for what well-behaved clients do not do. Prints one JSON document.

usage: h2_frames.py CASE HOST PORT PATH [PID]
"""
import hashlib, json, os, signal, socket, sys, time
import h2.config, h2.connection, h2.events, h2.settings


class Client:
    def __init__(self, host, port, window=None, max_list=None):
        self.socket = socket.create_connection((host, port))
        self.socket.settimeout(30)
        config = h2.config.H2Configuration(client_side=True, validate_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        self.authority = f"{host}:{port}"
        self.h2.initiate_connection()
        if window is not None:
            self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.streams, self.order, self.goaway, self.closed = {}, [], False, False
        self.pending = b""
        self.send()

    def send(self):
        try:
            self.socket.sendall(self.h2.data_to_send())
        except OSError:
            self.closed = True

    def request(self, path, method="GET", headers=()):
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":authority", self.authority), (":path", path)]
        self.h2.send_headers(stream, head + list(headers), end_stream=True)
        self.streams[stream] = {"status": 0, "headers": {}, "body": b"", "ended": False, "reset": None}
        self.send()
        return stream

    def pump(self, until, limit=120.0, acknowledge=True):
        end = time.monotonic() + limit
        while not self.closed and not until() and time.monotonic() < end:
            self.socket.settimeout(0.2)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                data = b""
            if not data:
                self.closed = True
                break
            self.pending += data
            for frame in self.frames():
                # After a GOAWAY the streams that are open go on (section 6.8 of RFC 9113); this library would not.
                if self.goaway:
                    self.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
                for event in self.h2.receive_data(frame):
                    self.see(event, acknowledge)
                # At once: the library drops what is not sent yet when a GOAWAY comes, window updates with it.
                self.send()
            if self.goaway:
                self.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
            self.send()

    def frames(self):
        while len(self.pending) >= 9 and len(self.pending) >= (end := 9 + int.from_bytes(self.pending[:3], "big")):
            frame, self.pending = self.pending[:end], self.pending[end:]
            yield frame

    def see(self, event, acknowledge):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = True
        elif stream is None:
            return
        elif isinstance(event, h2.events.ResponseReceived):
            headers = {(n.decode() if isinstance(n, bytes) else n): (v.decode() if isinstance(v, bytes) else v)
                       for n, v in event.headers}
            stream["status"], stream["headers"] = int(headers[":status"]), headers
        elif isinstance(event, h2.events.DataReceived):
            stream["body"] += event.data
            self.order.append(event.stream_id)
            if acknowledge:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream["ended"] = True
        elif isinstance(event, h2.events.StreamReset):
            stream["reset"] = int(event.error_code)

    def done(self, *streams):
        return lambda: all(self.streams[s]["ended"] or self.streams[s]["reset"] is not None for s in streams)

    def shown(self, stream):
        shown = dict(self.streams[stream])
        body = shown.pop("body")
        shown["len"], shown["sha256"] = len(body), hashlib.sha256(body).hexdigest()
        shown["text"] = body.decode() if len(body) < 2000 and body.isascii() else None
        return shown


def main():
    case, host, port, path = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    if case == "range":
        client = Client(host, port)
        a = client.request(path, headers=[("range", "bytes=1000-1999")])
        b = client.request(path, "HEAD")
        c = client.request("/recordings/call", "HEAD")
        d = client.request("/recordings/none/media", "HEAD")
        client.pump(client.done(a, b, c, d))
        return [client.shown(stream) for stream in (a, b, c, d)]
    if case == "cancel":
        client = Client(host, port)
        a = client.request(path)
        client.pump(lambda: len(client.streams[a]["body"]) > 100_000)
        client.h2.reset_stream(a, 8)
        client.send()
        client.streams[a]["reset"] = 8
        b = client.request(path, headers=[("range", "bytes=1000-1999")])
        client.pump(client.done(b))
        return client.shown(b)
    if case == "interleaved":
        client = Client(host, port)
        a, b = client.request(path), client.request(path)
        client.pump(client.done(a, b))
        switches = sum(1 for x, y in zip(client.order, client.order[1:]) if x != y)
        return {"a": client.shown(a), "b": client.shown(b), "switches": switches}
    if case == "closed-window":
        client = Client(host, port, window=0)
        streams = [client.request(path) for _ in range(20)]
        client.pump(client.done(*streams), acknowledge=False)
        # The connection itself is good for others.
        live = client.request("/livez", "HEAD")
        client.pump(client.done(live))
        return {"streams": [client.shown(s) for s in streams], "live": client.shown(live)}
    if case == "long":
        client = Client(host, port)
        url = client.request("/livez?" + "a" * 9000)
        head = client.request("/livez", headers=[(f"x-{n}", "v" * 1000) for n in range(20)])
        small = client.request("/livez", headers=[(f"x{n}", "") for n in range(2000)])
        client.pump(client.done(url, head, small))
        return [client.shown(s) for s in (url, head, small)]
    if case == "idle":
        begun = time.monotonic()
        client = Client(host, port)
        a = client.request("/livez")
        client.pump(lambda: client.closed)
        return {"status": client.streams[a]["status"], "goaway": client.goaway, "closed": client.closed,
                "seconds": time.monotonic() - begun}
    if case == "drain":
        client = Client(host, port)
        a = client.request(path)
        client.pump(lambda: len(client.streams[a]["body"]) > 100_000)
        os.kill(int(sys.argv[5]), signal.SIGTERM)
        client.pump(lambda: client.goaway and client.done(a)())
        return {"a": client.shown(a), "goaway": client.goaway, "closed": client.closed}
    raise SystemExit(f"no such case: {case}")


print(json.dumps(main()))
