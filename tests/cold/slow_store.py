"""A file system over a folder that holds operations back for as long as it is told to.

    slow_store.py FOLDER [DELAY] [keep]

What lies in FOLDER is seen through the file system that is mounted over it. Nothing of that is kept by the system, so
that each look and each read comes here; with `keep`, what was read is. Commands on standard input, an answer each on standard output:

    hold OPERATION   look, open, read or close: from now on these wait
    held             how many wait now
    go               none waits any more
    furthest         the end of the furthest read so far
    stop             the same, for ever: it unmounts and ends, as it does at the end of standard input

DELAY is how many seconds each name, each opening and each read takes at least.
"""

import os
import stat
import sys

import pyfuse3
import trio

FOLDER = sys.argv[1]
DELAY = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
KEEP = sys.argv[3:] == ["keep"]
# Opened before anything lies over it.
BELOW = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY)


class Gate:
    def __init__(self):
        self.closed = set()
        self.waiting = 0
        self.opened = trio.Event()

    async def pass_through(self, operation, delay=0.0):
        if delay:
            await trio.sleep(delay)
        if operation not in self.closed:
            return
        self.waiting += 1
        try:
            await self.opened.wait()
        finally:
            self.waiting -= 1

    def open(self):
        self.closed.clear()
        self.opened.set()
        self.opened = trio.Event()


class SlowStore(pyfuse3.Operations):
    def __init__(self, gate):
        super().__init__()
        self.gate = gate
        self.furthest = 0
        self.names = {pyfuse3.ROOT_INODE: b"."}

    def attributes(self, inode):
        found = os.lstat(self.names[inode], dir_fd=BELOW)
        entry = pyfuse3.EntryAttributes()
        for name in ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_mtime_ns", "st_ctime_ns", "st_atime_ns"):
            setattr(entry, name, getattr(found, name))
        entry.st_ino = inode
        entry.entry_timeout = entry.attr_timeout = 0
        return entry

    async def getattr(self, inode, ctx=None):
        if inode != pyfuse3.ROOT_INODE:
            await self.gate.pass_through("look")
        return self.attributes(inode)

    async def lookup(self, parent, name, ctx=None):
        await self.gate.pass_through("look", DELAY)
        try:
            inode = os.lstat(name, dir_fd=BELOW).st_ino
        except OSError as error:
            raise pyfuse3.FUSEError(error.errno) from None
        self.names[inode] = name
        return self.attributes(inode)

    async def open(self, inode, flags, ctx):
        await self.gate.pass_through("open", DELAY)
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise pyfuse3.FUSEError(30)
        file = os.open(self.names[inode], os.O_RDONLY, dir_fd=BELOW)
        return pyfuse3.FileInfo(fh=file, keep_cache=KEEP, direct_io=not KEEP)

    async def read(self, file, offset, length):
        self.furthest = max(self.furthest, offset + length)
        await self.gate.pass_through("read", DELAY)
        return os.pread(file, length, offset)

    async def flush(self, file):
        await self.gate.pass_through("close")

    async def release(self, file):
        os.close(file)


async def obey(store, gate, nursery):
    commands = trio.lowlevel.FdStream(os.dup(0))
    rest = b""
    async for piece in commands:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            match line.decode().split():
                case ["hold", operation]:
                    gate.closed.add(operation)
                    print("ok", flush=True)
                case ["held"]:
                    print(gate.waiting, flush=True)
                case ["furthest"]:
                    print(store.furthest, flush=True)
                case ["go"]:
                    gate.open()
                    print("ok", flush=True)
                case ["stop"]:
                    gate.open()
                    nursery.cancel_scope.cancel()
                    return
                case other:
                    sys.exit(f"not a command: {other}")
    gate.open()
    nursery.cancel_scope.cancel()


async def serve():
    gate = Gate()
    options = set(pyfuse3.default_options) | {"fsname=slow_store"}
    store = SlowStore(gate)
    pyfuse3.init(store, FOLDER, options)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(obey, store, gate, nursery)
            # As many at a time as may ever wait here.
            nursery.start_soon(lambda: pyfuse3.main(min_tasks=1, max_tasks=2000))
            print("mounted", flush=True)
    finally:
        pyfuse3.close(unmount=True)


assert stat.S_ISDIR(os.fstat(BELOW).st_mode)
trio.run(serve)
