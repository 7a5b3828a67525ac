"""Runs a program at a terminal of its own, and types an answer at each prompt once the terminal echoes nothing.

    terminal.py ANSWERS PROGRAM ARGUMENT...

ANSWERS is a JSON list. Prints {"code", "shown", "answered"}: how it ended, what stood on the terminal, and how many
answers it asked for.
"""

import json
import os
import pty
import select
import signal
import sys
import termios
import time

PATIENCE_S = 120

answers = json.loads(sys.argv[1])
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])

shown, since, answered = b"", b"", 0
deadline = time.monotonic() + PATIENCE_S


def echoes():
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


while time.monotonic() < deadline:
    ready, _, _ = select.select([terminal], [], [], 0.02)
    if ready:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break  # how a terminal ends that nobody has open any more
        if not piece:
            break
        shown += piece
        since += piece
    elif answered < len(answers) and b":" in since and not echoes():
        os.write(terminal, answers[answered].encode() + b"\n")
        answered, since = answered + 1, b""
else:
    os.kill(child, signal.SIGKILL)

_, status = os.waitpid(child, 0)
print(json.dumps({
    "code": os.waitstatus_to_exitcode(status),
    "shown": shown.decode(errors="replace"),
    "answered": answered,
}))
