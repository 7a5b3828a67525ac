"""Plays a URL by GStreamer's playbin, as desktop players do, into sinks that keep the time and show nothing.

Reads commands from standard input, a line each, and answers each with a line: `now`, `length`, `seek SECONDS`; ends with it.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

WAIT = 20 * Gst.SECOND


def main():
    Gst.init(None)
    player = Gst.ElementFactory.make("playbin", None)
    for kind in ("audio-sink", "video-sink"):
        sink = Gst.ElementFactory.make("fakesink", None)
        sink.set_property("sync", True)
        player.set_property(kind, sink)
    player.set_property("uri", sys.argv[1])
    play(player)
    print("playing", flush=True)
    for line in sys.stdin:
        command, *words = line.split()
        if command == "seek":
            flags = Gst.SeekFlags.FLUSH | Gst.SeekFlags.KEY_UNIT
            if not player.seek_simple(Gst.Format.TIME, flags, int(float(words[0]) * Gst.SECOND)):
                sys.exit("it cannot seek")
            settle(player)
            print("sought", flush=True)
        else:
            asked = player.query_position if command == "now" else player.query_duration
            known, value = asked(Gst.Format.TIME)
            print(value / Gst.SECOND if known else -1, flush=True)
    player.set_state(Gst.State.NULL)


def play(player):
    player.set_state(Gst.State.PLAYING)
    settle(player)


def settle(player):
    """Until it plays; what goes wrong on the way ends the program."""
    player.get_state(WAIT)
    message = player.get_bus().timed_pop_filtered(0, Gst.MessageType.ERROR)
    if message is not None:
        sys.exit(f"{message.parse_error()}")


if __name__ == "__main__":
    main()
