"""Many players that read at the pace of their media, from random places: do they get it in time, and all of it right?"""

import gc
import multiprocessing
import random
import resource
import time

from player import Player
from processes import Failed

# A player looks for its media that often; behind by that many seconds of media, it has run dry.
EVERY, BEHIND = 0.25, 2.0


def measure(server, port, options):
    """The figures of one run."""
    share = [options.paced // options.processes + (number < options.paced % options.processes)
             for number in range(options.processes)]
    ours, cpu, begun = [], server.cpu_seconds(), time.monotonic()
    server.forget_peak()
    for number, players in enumerate(share):
        receiver, sender = multiprocessing.Pipe(duplex=False)
        child = multiprocessing.Process(target=group, args=(sender, number, players, port, options), daemon=True)
        child.start()
        ours.append((child, receiver))
    figures = []
    try:
        for child, receiver in ours:
            if not receiver.poll(options.seconds + options.ramp + 120):
                raise Failed("players did not end in time")
            figures.append(receiver.recv())
    except EOFError:
        raise Failed("a group of players ended early") from None
    finally:
        for child, _ in ours:
            child.kill()
            child.join(10)
    server.check()
    wall, resident = time.monotonic() - begun, server.memory()
    total = lambda name: sum(it[name] for it in figures)  # noqa: E731
    cpu = server.cpu_seconds() - cpu
    return {
        "players": options.paced, "over": options.over, "rate_mbit_s": options.rate, "seconds": options.seconds,
        "wall_s": wall, "bytes": total("bytes"), "bytes_per_s": total("bytes") / wall, "ran_dry": total("ran_dry"),
        "errors": [error for it in figures for error in it["errors"]], "requests": total("requests"),
        "most_behind_s": max(it["most_behind_s"] for it in figures), "server_cpu_s": cpu,
        "server_cpu_s_per_gb": cpu / (total("bytes") / 1e9), "server_cores": cpu / wall, "resident": resident[0], "resident_peak": resident[1],
        "client_processes": options.processes, "client_cpu_share": max(it["cpu_share"] for it in figures),
        "client_latest_look_s": max(it["latest_look_s"] for it in figures),
    }


def group(sender, number, count, port, options):
    """Some of the players, in a process of their own."""
    gc.disable()
    chance = random.Random(number)
    bytes_per_s, players, errors = options.rate * 125_000, [], []
    begun = time.monotonic()
    try:
        for index in range(count):
            # They begin one after another, as players do.
            wait = begun + options.ramp * index / count - time.monotonic()
            if wait > 0:
                look(players, errors, time.monotonic() + wait)
            players.append(Paced(port, options, bytes_per_s, chance))
        end = time.monotonic() + options.seconds
        look(players, errors, end)
    except (OSError, Failed) as error:
        errors.append(str(error))
    used = resource.getrusage(resource.RUSAGE_SELF)
    sender.send({
        "bytes": sum(it.had for it in players), "ran_dry": sum(it.behind > BEHIND for it in players), "errors": errors,
        "requests": sum(it.requests for it in players), "most_behind_s": max((it.behind for it in players), default=0),
        "latest_look_s": max((it.latest for it in players), default=0),
        "cpu_share": (used.ru_utime + used.ru_stime) / (time.monotonic() - begun),
    })
    sender.close()


def look(players, errors, end):
    """Lets each player that is due take what it should have by now, until `end`."""
    while (now := time.monotonic()) < end:
        nearest = end
        for it in players:
            if it.is_over:
                continue
            if it.due <= now:
                try:
                    it.look(now)
                except (OSError, Failed) as error:
                    errors.append(str(error))
                    it.is_over = True
                now = time.monotonic()
            nearest = min(nearest, it.due)
        time.sleep(max(0.0, min(nearest, end) - time.monotonic()))


class Paced:
    """Plays pieces from random places, one after another on a connection that is kept, as people do who seek."""

    def __init__(self, port, options, bytes_per_s, chance):
        # Room for what comes between two looks, and not much more: what lies there already hides the server.
        room = max(64 << 10, int(2 * bytes_per_s * EVERY))
        self.options, self.bytes_per_s, self.chance = options, bytes_per_s, chance
        self.player = Player(port, is_tls=options.over == "tls", receive_buffer=room)
        self.had = self.requests = 0
        self.behind = self.latest = 0.0
        self.is_over = False
        self.player.socket.settimeout(0)
        self.ask()
        self.begun = time.monotonic()
        self.due = self.begun + EVERY

    def ask(self):
        """From a random place on, for some seconds."""
        length = int(self.bytes_per_s * self.chance.uniform(5, 20))
        first = self.chance.randrange((self.options.size << 20) - length)
        self.player.ask(self.chance.randrange(self.options.recordings), first, first + length - 1)
        self.requests += 1

    def look(self, now):
        self.latest = max(self.latest, now - self.due)
        missing = int((now - self.begun) * self.bytes_per_s) - self.had
        while missing > 0:
            if self.player.at == self.player.end:
                self.ask()
            took = self.player.take(min(missing, 256 << 10))
            if not took and not self.player.rest:
                break
            missing -= took
            self.had += took
        self.behind = max(self.behind, missing / self.bytes_per_s)
        # What was missing is looked for sooner.
        self.due = max(self.due + EVERY, now) if missing <= 0 else now + EVERY / 5


def text(it):
    lines = [f"\n{it['players']} players at {it['rate_mbit_s']} Mbit/s over {it['over']}, {it['seconds']} s with all of them there",
             f"  ran dry (over {BEHIND:.0f} s behind)        {it['ran_dry']} of {it['players']}; the most behind: {it['most_behind_s']:.2f} s",
             f"  errors                        {len(it['errors'])} {'; '.join(it['errors'][:3])}",
             f"  checked, every byte right     {it['bytes'] / 1e9:.2f} GB in {it['requests']} ranges, {it['bytes_per_s'] / 1e6:.0f} MB/s",
             f"  the server                    {it['server_cores']:.2f} of a core, {it['server_cpu_s_per_gb']:.2f} CPU s/GB, "
             f"{it['resident'] >> 20} MiB resident at the end, {it['resident_peak'] >> 20} MiB at most",
             f"  the players themselves        {it['client_processes']} processes, the busier {it['client_cpu_share']:.2f} of a core, "
             f"at most {it['client_latest_look_s']:.2f} s late in looking"]
    return "\n".join(lines)
