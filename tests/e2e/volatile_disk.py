#!/usr/bin/env python3
"""A disk with a write cache that forgets: an NBD server for the power cuts of an emulated machine.

    volatile_disk.py IMAGE SOCKET drop|torn|lies SEED

What is written stays in memory until the machine asks for a flush or writes with FUA; only then it reaches IMAGE.
SIGUSR1 is the power cut: with `drop` all that was not flushed is gone, with `torn` each sector of it survives or not,
by SEED. With `lies` a flush is acknowledged and not done, to see that the test can fail. Prints "ready", and at the
cut what was lost. The protocol: fixed newstyle handshake and simple replies of
https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
"""
import os
import random
import signal
import socket
import struct
import sys
import time

SECTOR = 512
FLAGS = 1 | 1 << 2 | 1 << 3  # has flags, takes flush, takes FUA
OPT_EXPORT_NAME, OPT_ABORT, OPT_INFO, OPT_GO = 1, 2, 6, 7
REPLY_MAGIC = 0x3E889045565A9
REP_ACK, REP_INFO, REP_UNSUPPORTED = 1, 3, 1 << 31 | 1
READ, WRITE, DISCONNECT, FLUSH = range(4)
FUA = 1
EINVAL = 22
FLUSH_TAKES = 0.03  # seconds, a busy eMMC's: many cuts come while one is under way


class Disk:
    def __init__(self, path, lies):
        self.lies = lies
        self.file = os.open(path, os.O_RDWR)
        self.size = os.lseek(self.file, 0, os.SEEK_END)
        self.cache = {}
        self.flushes = 0

    def read(self, offset, length):
        data = bytearray(os.pread(self.file, length, offset))
        for at in range(0, length, SECTOR):
            kept = self.cache.get((offset + at) // SECTOR)
            if kept is not None:
                data[at : at + SECTOR] = kept
        return bytes(data)

    def write(self, offset, data):
        for at in range(0, len(data), SECTOR):
            self.cache[(offset + at) // SECTOR] = data[at : at + SECTOR]

    def write_through(self, offset, data):
        os.pwrite(self.file, data, offset)
        for sector in range(offset // SECTOR, (offset + len(data)) // SECTOR):
            self.cache.pop(sector, None)

    def flush(self):
        time.sleep(FLUSH_TAKES)
        self.flushes += 1
        if self.lies:
            return
        for sector, data in self.cache.items():
            os.pwrite(self.file, data, sector * SECTOR)
        self.cache.clear()

    def power_cut(self, torn):
        waiting = len(self.cache)
        if torn is not None:
            for sector in [one for one in self.cache if torn.random() < 0.5]:
                os.pwrite(self.file, self.cache.pop(sector), sector * SECTOR)
        print(f"lost {len(self.cache)} of {waiting} sectors in the cache, {self.flushes} flushes before", flush=True)
        os._exit(0)


def exactly(link, length):
    data = bytearray()
    while len(data) < length:
        piece = link.recv(length - len(data))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def handshake(link, disk):
    link.sendall(b"NBDMAGIC" + b"IHAVEOPT" + struct.pack(">H", 1))
    exactly(link, 4)
    while True:
        _, option, length = struct.unpack(">8sII", exactly(link, 16))
        exactly(link, length)

        def reply(kind, data=b"", option=option):
            link.sendall(struct.pack(">QIII", REPLY_MAGIC, option, kind, len(data)) + data)

        if option == OPT_EXPORT_NAME:
            link.sendall(struct.pack(">QH", disk.size, FLAGS) + bytes(124))
            return
        if option in (OPT_INFO, OPT_GO):
            reply(REP_INFO, struct.pack(">HQH", 0, disk.size, FLAGS))
            reply(REP_INFO, struct.pack(">HIII", 3, SECTOR, 4096, 1 << 25))
            reply(REP_ACK)
            if option == OPT_GO:
                return
        elif option == OPT_ABORT:
            reply(REP_ACK)
            raise EOFError
        else:
            reply(REP_UNSUPPORTED)


def serve(link, disk):
    handshake(link, disk)
    while True:
        _, flags, kind, handle, offset, length = struct.unpack(">IHH8sQI", exactly(link, 28))
        error, out = 0, b""
        if kind == READ:
            out = disk.read(offset, length)
        elif kind == WRITE:
            data = exactly(link, length)
            (disk.write_through if flags & FUA else disk.write)(offset, data)
        elif kind == FLUSH:
            disk.flush()
        elif kind == DISCONNECT:
            return
        else:
            error = EINVAL
        link.sendall(struct.pack(">II8s", 0x67446698, error, handle) + out)


def main():
    path, address, mode, seed = sys.argv[1:5]
    disk = Disk(path, mode == "lies")
    torn = random.Random(int(seed)) if mode == "torn" else None
    signal.signal(signal.SIGUSR1, lambda *_: disk.power_cut(torn))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen(4)
        print("ready", flush=True)
        while True:
            link, _ = server.accept()
            with link:
                try:
                    serve(link, disk)
                except (EOFError, ConnectionError):
                    pass  # the machine died: what it wrote stays in the cache until the cut


if __name__ == "__main__":
    main()
