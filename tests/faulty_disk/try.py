"""Makes calls below a folder whose disk has one kind of fault after the other, each time, and sees that it shows.

    try.py FOLDER CONTROL
"""

import errno
import os
import struct
import sys

FOLDER, CONTROL = sys.argv[1:]
PIECE = b"0123456789abcdef" * 64
(
    READ_FAILS, READ_INTERRUPTED, READ_SHORT,
    WRITE_FAILS, WRITE_FULL, WRITE_INTERRUPTED, WRITE_SHORT, WRITE_TORN,
    SYNC_FAILS, SYNC_INTERRUPTED, SYNC_LOSES,
    OPEN_FAILS, OPEN_FULL, OPEN_INTERRUPTED,
    NAME_FAILS, NAME_FULL,
    LOOK_FAILS,
) = range(17)
control = os.open(CONTROL, os.O_RDWR)


def with_fault(kind, call, rate=1_000_000):
    """What the call gave, or the name of its error; and the fault came."""
    os.pwrite(control, struct.pack("=Q", rate), kind * 8)
    try:
        outcome = call()
    except OSError as error:
        outcome = errno.errorcode[error.errno]
    os.pwrite(control, struct.pack("=Q", 0), kind * 8)
    assert struct.unpack("=Q", os.pread(control, 8, (24 + kind) * 8))[0] > 0, f"kind {kind} did not come"
    return outcome


def content():
    with open(path, "rb") as file:
        return file.read()


path, other = f"{FOLDER}/a.sealed", f"{FOLDER}/b.sealed"
file = os.open(path, os.O_RDWR | os.O_CREAT)
assert with_fault(WRITE_FAILS, lambda: os.write(file, PIECE)) == "EIO" and content() == b""
assert with_fault(WRITE_FULL, lambda: os.write(file, PIECE)) == "ENOSPC" and content() == b""
# Python tries again what was interrupted.
assert with_fault(WRITE_INTERRUPTED, lambda: [os.write(file, b"i") for _ in range(64)], 500_000) == [1] * 64
assert content() == b"i" * 64
os.ftruncate(file, 0), os.lseek(file, 0, 0)
written = with_fault(WRITE_SHORT, lambda: os.write(file, PIECE))
assert 0 < written < len(PIECE) and content() == PIECE[:written]
os.ftruncate(file, 0), os.lseek(file, 0, 0)
assert with_fault(WRITE_TORN, lambda: os.write(file, PIECE)) == "EIO"
assert 0 < len(content()) < len(PIECE) and PIECE.startswith(content())
os.ftruncate(file, 0), os.lseek(file, 0, 0)
written = with_fault(WRITE_SHORT, lambda: os.writev(file, [PIECE, PIECE]))
assert 0 < written < len(PIECE) and content() == PIECE[:written]
os.ftruncate(file, 0), os.lseek(file, 0, 0)
assert with_fault(WRITE_FAILS, lambda: os.pwrite(file, PIECE, 5)) == "EIO" and content() == b""

assert os.write(file, PIECE) == len(PIECE)
assert with_fault(READ_FAILS, lambda: os.pread(file, 9, 0)) == "EIO"
assert with_fault(READ_INTERRUPTED, lambda: [os.pread(file, 9, 0) for _ in range(64)], 500_000) == [PIECE[:9]] * 64
came = with_fault(READ_SHORT, lambda: os.pread(file, 900, 10))
assert 0 < len(came) < 900 and PIECE[10:].startswith(came)
pieces = [bytearray(900)]
came = with_fault(READ_SHORT, lambda: os.preadv(file, pieces, 10, os.RWF_NOWAIT))
assert 0 < came < 900 and pieces[0][:came] == PIECE[10:10 + came] and not any(pieces[0][came:])

assert with_fault(SYNC_FAILS, lambda: os.fsync(file)) == "EIO" and content() == PIECE
assert with_fault(SYNC_INTERRUPTED, lambda: [os.fdatasync(file) for _ in range(64)], 500_000) == [None] * 64
# What was synced stays; what came since is gone: the end is zeros, the head is the old one.
os.write(file, PIECE), os.pwrite(file, b"new head", 0)
assert content() == b"new head" + PIECE[8:] + PIECE
assert with_fault(SYNC_LOSES, lambda: os.fdatasync(file)) == "EIO" and content() == PIECE + bytes(len(PIECE))

assert with_fault(OPEN_FAILS, lambda: os.open(path, os.O_RDONLY)) == "EIO"
assert with_fault(OPEN_FULL, lambda: os.open(other, os.O_WRONLY | os.O_CREAT)) == "ENOSPC"
assert isinstance(with_fault(OPEN_INTERRUPTED, lambda: [os.close(os.open(path, 0)) for _ in range(64)], 500_000), list)
assert with_fault(NAME_FAILS, lambda: os.rename(path, other)) == "EIO"
assert with_fault(NAME_FAILS, lambda: os.unlink(path)) == "EIO"
assert with_fault(NAME_FAILS, lambda: os.ftruncate(file, 0)) == "EIO" and len(content()) == 2 * len(PIECE)
assert with_fault(NAME_FULL, lambda: os.link(path, other)) == "ENOSPC"
assert with_fault(NAME_FULL, lambda: os.mkdir(other)) == "ENOSPC"
assert with_fault(LOOK_FAILS, lambda: os.stat(path)) == "EIO"
assert with_fault(LOOK_FAILS, lambda: os.fstat(file)) == "EIO"
assert os.listdir(FOLDER) == ["a.sealed"]

# And elsewhere all is well.
os.pwrite(control, struct.pack("=17Q", *[58_000] * 17), 0)
aside = os.open(f"{FOLDER}-aside", os.O_RDWR | os.O_CREAT)
for _ in range(200):
    assert os.pwrite(aside, PIECE, 0) == len(PIECE) and os.pread(aside, 2000, 0) == PIECE
    os.fsync(aside), os.stat(f"{FOLDER}-aside")
os.unlink(f"{FOLDER}-aside")
