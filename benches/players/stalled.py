"""Many players that ask for all of a recording and stop reading: what each costs, and whether a new one still starts."""

import random
import re
import socket
import statistics
import time

import media
from player import Player, start_of
from processes import Failed, run, wait_for

# How many new players are started before and while the others stall, and how many stalled ones read on at last.
STARTS, RESUMED = 20, 4


def measure(server, port, options):
    """The figures of one run over `options.over`."""
    is_tls = options.over == "tls"
    chance = random.Random(5)
    size, second = options.size << 20, options.rate * 125_000

    def starts():
        each = [start_of(port, is_tls, number % options.recordings, chance.randrange(size - second), second)
                for number in range(STARTS)]
        return {"first_byte_ms": spread([a * 1e3 for a, _ in each]), "second_of_media_ms": spread([b * 1e3 for _, b in each])}

    starts()  # what is made once is made now
    before = {"starts": starts(), **look(server, port)}
    begun = time.monotonic()
    stalled = over_http2(port, options) if options.over == "h2" else over_http1(port, options, is_tls)
    setting_up = time.monotonic() - begun
    try:
        settle(server)
        cpu = server.cpu_seconds()
        time.sleep(5)
        cpu = (server.cpu_seconds() - cpu) / 5
        while_stalled = {"starts": starts(), **look(server, port)}
        server.check()
        resumed = 0
        if options.over != "h2":
            for player in chance.sample(stalled, min(RESUMED, len(stalled))):
                player.read(player.end - player.at)
                resumed += 1
    finally:
        for player in stalled:
            player.close()
    wait_for(lambda: not sockets(f"sport = :{port}"), "the server lets go of the players", 60)
    settle(server)
    players, grown = options.stalled, while_stalled["resident"] - before["resident"]
    return {
        "players": players, "over": options.over, "recordings": options.recordings, "setting_up_s": setting_up,
        "resident_per_player": grown / players, "cpu_cores_while_stalled": cpu,
        "resumed_to_the_end_and_right": resumed, "before": before, "while_stalled": while_stalled,
        "after": look(server, port),
    }


def over_http1(port, options, is_tls):
    players = []
    try:
        for number in range(options.stalled):
            player = Player(port, number, is_tls)
            players.append(player)
            player.ask(number % options.recordings, 0)
            while not player.is_head_read:
                player.take(0)
            player.read(options.read)
    except BaseException as error:
        for player in players:
            player.close()
        if isinstance(error, OSError):
            raise Failed(f"after {len(players)} players: {error}") from error
        raise
    return players


class Streams:
    """A connection of HTTP/2 with many streams, none of which opens its window."""

    def __init__(self, port, number, streams, recordings):
        try:
            import h2.connection
        except ImportError:
            raise Failed("h2 is missing: apt-get install python3-h2, and run this with Debian's /usr/bin/python3") from None
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        it = h2.connection.H2Connection()
        it.initiate_connection()
        for stream in range(streams):
            it.send_headers(1 + 2 * stream, [(":method", "GET"), (":scheme", "http"), (":authority", "127.0.0.1"),
                                             (":path", media.path((number + stream) % recordings))], end_stream=True)
        self.socket.sendall(it.data_to_send())
        # Every head comes, for heads need no window.
        heads = 0
        while heads < streams:
            came = self.socket.recv(65536)
            if not came:
                raise Failed(f"a connection was cut after {heads} heads")
            for event in it.receive_data(came):
                if type(event).__name__ == "ResponseReceived":
                    heads += 1
                    if dict(event.headers)[b":status"] != b"200":
                        raise Failed(f"a stream was answered {event.headers}")
            self.socket.sendall(it.data_to_send())

    close = Player.close


def over_http2(port, options):
    return [Streams(port, first, min(options.streams, options.stalled - first), options.recordings)
            for first in range(0, options.stalled, options.streams)]


def settle(server, limit=30):
    """Waits until the memory stands still."""
    end, last = time.monotonic() + limit, -1
    while time.monotonic() < end and last != (last := server.memory()[0]):
        time.sleep(1)


def look(server, port):
    """What the server and the kernel hold now."""
    kinds, links = {"sockets": 0, "of recordings": 0, "others": 0}, server.descriptors()
    for link in links or []:
        kinds["sockets" if link.startswith("socket:") else "of recordings" if link.endswith(".sealed") else "others"] += 1
    resident, peak = server.memory()
    with open("/proc/net/sockstat") as file:
        pages = int(re.search(r"TCP: .* mem (\d+)", file.read())[1])
    return {"resident": resident, "resident_peak": peak, "descriptors": links and kinds, "tcp_memory": pages * 4096,
            "server_socket": sockets(f"sport = :{port}"), "player_socket": sockets(f"dport = :{port}")}


def sockets(which):
    """Kernel memory of the connections at one end: what waits to be sent or read, and what it may grow to."""
    said = run(["ss", "-tmnHO", "state", "established", which])
    each = [{name: int(value) for name, value in re.findall(r"(\b[a-z]+)(\d+)", found)}
            for found in re.findall(r"skmem:\(([^)]*)\)", said)]
    return each and {"sockets": len(each), "unsent": spread([it["w"] for it in each]), "unread": spread([it["r"] for it in each]),
                     "may_hold_unsent": spread([it["tb"] for it in each])}


def held(then):
    kinds = then["descriptors"]
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items()) if kinds else "for root alone to see"


def spread(values):
    return {"median": statistics.median(values), "most": max(values)}


def text(it):
    kib = lambda size: f"{size / 1024:.1f} KiB"  # noqa: E731
    before, now, after = it["before"], it["while_stalled"], it["after"]
    lines = [f"\n{it['players']} stalled players of {it['recordings']} recordings over {it['over']}, all there after {it['setting_up_s']:.0f} s",
             f"  resident memory of the server     {before['resident'] >> 20} MiB before, {now['resident'] >> 20} MiB while they stall, "
             f"{after['resident'] >> 20} MiB after: {kib(it['resident_per_player'])} a player",
             f"  its CPU while they stall          {it['cpu_cores_while_stalled']:.3f} of a core",
             f"  its descriptors                   {held(now)} (before: {held(before)})",
             f"  TCP memory of the system          {before['tcp_memory'] >> 20} MiB before, {now['tcp_memory'] >> 20} MiB while they stall, "
             "of both ends"]
    for end in ("server", "player"):
        if sizes := now[f"{end}_socket"]:
            lines.append(f"  a {end}'s socket holds            " + ", ".join(
                f"{what.replace('_', ' ')} {kib(sizes[what]['median'])} (most {kib(sizes[what]['most'])})"
                for what in ("unsent", "unread", "may_hold_unsent")))
    for when, name in ((before, "before"), (now, "while they stall")):
        first, whole = when["starts"]["first_byte_ms"], when["starts"]["second_of_media_ms"]
        lines.append(f"  a new player {name:20} first byte {first['median']:.2f} ms (most {first['most']:.2f}), "
                     f"a second of media {whole['median']:.2f} ms (most {whole['most']:.2f})")
    if it["over"] != "h2":
        lines.append(f"  read on to the end, every byte right: {it['resumed_to_the_end_and_right']} of them")
    return "\n".join(lines)
