"""Media of which any stretch can be checked without keeping it: blocks of noise, each with its place in front."""

import os
import subprocess
import threading

import processes
from processes import Failed

BLOCK = 4096
NOISE = os.urandom(BLOCK - 8)


def stretch(recording, first, length):
    """What stands at these bytes of a recording."""
    begin = first // BLOCK
    end = (first + length - 1) // BLOCK + 1
    blocks = b"".join((recording << 48 | number).to_bytes(8, "big") + NOISE for number in range(begin, end))
    return blocks[first - begin * BLOCK:first - begin * BLOCK + length]


def path(recording):
    return f"/recordings/call-{recording}/media"


def seal(data, recordings, size):
    """Makes a system of that many recordings of that many bytes, without a plain copy anywhere."""
    processes.run([processes.PROGRAM, "--data-dir", data, "keys", "generate"], env=processes.environment())
    for recording in range(recordings):
        command = [processes.PROGRAM, "--data-dir", data, "import", "-", "--id", f"call-{recording}"]
        child = subprocess.Popen([str(part) for part in command], env=processes.environment(), stdin=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
        end = threading.Timer(300, child.kill)
        end.start()
        try:
            for first in range(0, size, 1 << 20):
                child.stdin.write(stretch(recording, first, min(1 << 20, size - first)))
            _, error = child.communicate()
        except BrokenPipeError:
            error = child.stderr.read()
        finally:
            child.kill()
            end.cancel()
        if child.wait():
            raise Failed(f"import: {error.decode(errors='replace').strip()}")
