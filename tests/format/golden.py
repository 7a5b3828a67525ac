#!/usr/bin/python3
"""Golden files for the sealed file format: a second, independent writer and reader.

What it is for: the Rust implementation must read every file made here exactly as `manifest.json` says, and must
reproduce every good, complete one byte for byte from its keys, salt and media. A mistake then has to be made twice, in
two languages and on two cryptographic libraries, before it goes unnoticed. This program is written from the format
chapter of the manual (src/manual/format.md) and shares no code with the Rust implementation. The section names below
are those of the chapter.

    golden.py write DIR    write all golden files and manifest.json into DIR
    golden.py check DIR    make them again in memory; name each file in DIR that differs, is missing or is superfluous,
                           and exit 1 if there is one

Both first judge every file with the reader in here and stop if a manifest entry disagrees with it. What is asked decides,
not the file's name in this folder: some files have more entries than one. So each unfinished file is asked for once as the
growing file that it is, and once as if it stood under a final name.

Everything is fixed: keys and salts are hashes of names. For that reason, and because some of the damage needs one key used
twice, this is no example of how to seal a recording. Needs Python 3.11 and the `cryptography` package.
"""

import hashlib
import hmac
import json
import re
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

MAGIC = bytes.fromhex("89 53 54 50 0D 0A 1A 0A")
ROLES = ("media", "metadata", "sidecar")
LATEST = 253402300799999  # the last millisecond of the year 9999
MEDIA_RULE = ('SHA-256("sealtape golden media" || seed (8 bytes big-endian) || j (8 bytes big-endian)) for j = 0, 1, 2, '
              "..., concatenated and cut to media_len")


# ---- Keys ------------------------------------------------------------------------------------------------------------

def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def hmac256(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def derive(file_key: bytes, salt: bytes, label: str, length: int = 32) -> bytes:
    """HKDF-SHA-256 (RFC 5869). One block of Expand is enough for 32 bytes or fewer."""
    prk = hmac256(salt, file_key)
    return hmac256(prk, b"sealtape/v1/" + label.encode() + b"\x01")[:length]


def fingerprint(database_key: bytes) -> bytes:
    return sha256(b"sealtape/v1/database-key", database_key)


DATABASE_KEYS = {name: sha256(b"sealtape golden database key ", name.encode()) for name in ("first", "second", "absent")}
LOADED = {fingerprint(DATABASE_KEYS[name]): DATABASE_KEYS[name] for name in ("first", "second")}


# ---- Media and tags --------------------------------------------------------------------------------------------------

def ctr(media_key: bytes, offset: int, data: bytes) -> bytes:
    """Encrypts or decrypts `data`, which starts at media byte `offset`, a multiple of 16."""
    block = Cipher(algorithms.AES(media_key), modes.CTR(struct.pack(">QQ", 0, offset // 16))).encryptor()
    return block.update(data) + block.finalize()


def chunk_tag(tag_key: bytes, kind: int, index: int, ciphertext: bytes) -> bytes:
    """GMAC: AES-256-GCM of no plaintext, with the ciphertext as its additional data."""
    return AESGCM(tag_key).encrypt(struct.pack(">B3xQ", kind, index), b"", ciphertext)


def golden_media(seed: int, length: int) -> bytes:
    blocks = (sha256(b"sealtape golden media", struct.pack(">QQ", seed, j)) for j in range(length // 32 + 1))
    return b"".join(blocks)[:length]


# ---- Writer ----------------------------------------------------------------------------------------------------------

@dataclass
class Sealing:
    """One sealing: all of it follows from these fields. `name` chooses the file key, the salt and the media."""
    name: str
    length: int = 1
    chunk_log2: int = 12
    mended: bool = False
    role: int = 0
    id: str = "golden.0001"
    media_type: str = "audio/wav"
    sidecar: str | None = None
    sealed_at: int = 1_700_000_000_123
    database_key: str = "first"

    def __post_init__(self):
        self.file_key = sha256(b"sealtape golden file key ", self.name.encode())
        self.salt = sha256(b"sealtape golden salt ", self.name.encode())[:16]
        self.seed = int.from_bytes(sha256(b"sealtape golden seed ", self.name.encode())[:4], "big")
        self.seal_id = derive(self.file_key, self.salt, "seal-id", 16)
        self.tag_key = derive(self.file_key, self.salt, "tag")
        self.ciphertext = ctr(derive(self.file_key, self.salt, "media"), 0, golden_media(self.seed, self.length))

    def header(self, patches: dict[int, bytes] = {}) -> bytes:
        """`patches` (offset: bytes) are made before the tag, so that only the check of that field can reject them."""
        key = DATABASE_KEYS[self.database_key]
        name = (self.sidecar or "").encode()
        fields = bytearray(struct.pack(  # "s" pads with zeros
            ">8s5B3x16s32s40sQB79sB128sB63s95x", MAGIC, 1, 1, self.chunk_log2, int(self.mended), self.role,
            self.salt, fingerprint(key), aes_key_wrap(key, self.file_key), self.sealed_at,
            len(self.media_type), self.media_type.encode(), len(self.id), self.id.encode(), len(name), name))
        for offset, data in patches.items():
            fields[offset:offset + len(data)] = data
        require(len(fields) == 480, f"{self.name}: header fields take {len(fields)} bytes")
        return bytes(fields) + hmac256(derive(self.file_key, self.salt, "header"), bytes(fields))

    def record(self, index: int, kind: int, cut: int | None = None) -> bytes:
        """Record `index`; `cut` ends its chunk early."""
        start = index << self.chunk_log2
        chunk = self.ciphertext[start:start + (1 << self.chunk_log2)][:cut]
        return chunk + chunk_tag(self.tag_key, kind, index, chunk)

    def records(self, kinds: str | None = None) -> list[bytes]:
        """The records with these kinds ("112"), by default those of a complete file."""
        chunks = max(1, -(-self.length >> self.chunk_log2))
        return [self.record(i, int(kind)) for i, kind in enumerate(kinds or "1" * (chunks - 1) + "2")]

    def file(self, kinds: str | None = None, patches: dict[int, bytes] = {}) -> bytes:
        return self.header(patches) + b"".join(self.records(kinds))


# ---- Reader ----------------------------------------------------------------------------------------------------------

class Refused(Exception):
    """Arguments: what the manifest calls `expect`, and the reason word or None."""


def corrupt_unless(condition: bool, reason: str):
    if not condition:
        raise Refused("recording-corrupt", reason)


TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
QUOTED = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
MEDIA_TYPE = re.compile(rf"{TOKEN}/{TOKEN}(?: *; *(?:{TOKEN}=(?:{TOKEN}|{QUOTED}))?)*".encode())  # RFC 9110, 8.3.1
RECORDING_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._@+-]*")
SIDECAR_NAME = re.compile(rb"[A-Za-z0-9._@+-]+")


def text_field(header: bytes, offset: int, room: int, pattern: re.Pattern, reason: str) -> str:
    """A length byte and `room` bytes: as many bytes of text, then zeros."""
    length, field = header[offset], header[offset + 1:offset + 1 + room]
    corrupt_unless(1 <= length <= room and not any(field[length:]), reason)
    corrupt_unless(pattern.fullmatch(field[:length]) is not None, reason)
    return field[:length].decode("ascii")


def read(file: bytes, ask: dict) -> dict:
    """Judges a whole file as a reader that was asked for `ask`, with no live writer and no catalogue."""
    # What is used before the header tag has verified, in this order.
    corrupt_unless(len(file) >= 512, "short-header")
    header = file[:512]
    corrupt_unless(header[:8] == MAGIC, "magic")
    if header[8] != 1 or header[9] != 1:
        raise Refused("unsupported-format", None)
    if header[32:64] not in LOADED:
        raise Refused("key-missing", None)
    try:
        file_key = aes_key_unwrap(LOADED[header[32:64]], header[64:104])
    except InvalidUnwrap:
        raise Refused("recording-corrupt", "unwrap") from None
    salt = header[16:32]
    expected = hmac256(derive(file_key, salt, "header"), header[:480])
    corrupt_unless(hmac.compare_digest(expected, header[480:]), "header-tag")

    # Each field, in the order of the header; then what was asked for.
    corrupt_unless(12 <= header[10] <= 20, "chunk-len")
    corrupt_unless(header[11] & 0xFE == 0, "flags")
    corrupt_unless(header[12] <= 2, "role")
    corrupt_unless(header[13:16] == bytes(3), "reserved")
    sealed_at = int.from_bytes(header[104:112], "big")
    corrupt_unless(sealed_at <= LATEST, "sealed-at")
    media_type = text_field(header, 112, 79, MEDIA_TYPE, "media-type")
    recording_id = text_field(header, 192, 128, RECORDING_ID, "recording-id")
    if header[12] == 2:
        sidecar = text_field(header, 321, 63, SIDECAR_NAME, "sidecar-name")
    else:
        sidecar = None
        corrupt_unless(not any(header[321:385]), "sidecar-name")
    corrupt_unless(header[385:480] == bytes(95), "reserved")
    corrupt_unless(recording_id == ask["id"], "other-id")
    corrupt_unless(ROLES[header[12]] == ask["role"], "other-role")
    corrupt_unless(sidecar == ask["sidecar"], "other-sidecar")

    # The state, by rules 1 to 4.
    tag_key, media_key = derive(file_key, salt, "tag"), derive(file_key, salt, "media")
    chunk_len = 1 << header[10]
    record_len = chunk_len + 16
    full, rest = divmod(len(file) - 512, record_len)

    def opened(index: int, kind: int) -> bytes | None:
        """The media of a record, or None if it does not verify."""
        record = file[512 + index * record_len:][:record_len]
        ciphertext, tag = record[:-16], record[-16:]
        if not hmac.compare_digest(chunk_tag(tag_key, kind, index, ciphertext), tag):
            return None
        return ctr(media_key, index * chunk_len, ciphertext)

    if (rest > 16 or (rest == 16 and full == 0)) and opened(full, 2) is not None:
        state, count, media_len = "complete", full + 1, full * chunk_len + rest - 16
    elif rest == 0 and full > 0 and opened(full - 1, 2) is not None:
        state, count, media_len = "complete", full, full * chunk_len
    elif full == 0 or opened(full - 1, 1) is not None:
        state, count, media_len = "unfinished", full, full * chunk_len
    else:
        raise Refused("recording-corrupt", "tail")
    corrupt_unless(state == "complete" or ask["name"] == "part", "not-complete")

    final = count - 1 if state == "complete" else None
    return {
        "state": state, "seal_id": derive(file_key, salt, "seal-id", 16).hex(), "media_len": media_len,
        "chunk_log2": header[10], "mended": header[11] == 1, "media_type": media_type, "sealed_at": sealed_at,
        "chunks": [opened(i, 2 if i == final else 1) for i in range(count)],
    }


# ---- The golden set --------------------------------------------------------------------------------------------------

class GoldenSet:
    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.entries: list[dict] = []

    def opens(self, file: str, why: str, s: Sealing, data: bytes, expect="complete", media_len=None, bad=()):
        """A file that opens, with chunks `bad` that do not verify when they are read."""
        self.add(file, why, s, data, expect, None, {
            "seal_id": s.seal_id.hex(), "media_len": s.length if media_len is None else media_len,
            "chunk_log2": s.chunk_log2, "mended": s.mended, "media_type": s.media_type, "sealed_at": s.sealed_at,
            "media_seed": s.seed, "bad_chunks": list(bad)})

    def good(self, why: str, s: Sealing, file: str | None = None):
        """A complete file without fault, which the other implementation can make from its entry."""
        self.opens(file or s.name + ".sealed", why, s, s.file())
        self.entries[-1]["sealing"] = {
            "database_key": s.database_key, "file_key": s.file_key.hex(), "salt": s.salt.hex()}

    def refused(self, file: str, why: str, s: Sealing, data: bytes, reason: str | None, expect="recording-corrupt"):
        self.add(file, why, s, data, expect, reason, {})

    def add(self, file, why, s, data, expect, reason, facts):
        require(file not in self.files, f"{file}: made twice")
        self.files[file] = data
        name = "part" if file.endswith(".part") else "final"
        ask = {"id": s.id, "role": ROLES[s.role], "sidecar": s.sidecar, "name": name}
        self.entries.append({"file": file, "why": why, "ask": ask, "expect": expect, "reason": reason} | facts)

    def refused_if_asked(self, file: str, reason: str, why: str, **ask):
        """A second entry for a file that opens as what it is: it does not when `ask` is asked for instead."""
        first = next(entry for entry in self.entries if entry["file"] == file)
        self.entries.append({"file": file, "why": why, "ask": first["ask"] | ask,
                             "expect": "recording-corrupt", "reason": reason})

    def manifest(self) -> bytes:
        """One line an entry, so that a difference shows the file that it is about."""
        keys = [{"name": name, "key": key.hex(), "fingerprint": fingerprint(key).hex(),
                 "loaded": fingerprint(key) in LOADED} for name, key in DATABASE_KEYS.items()]
        lines = [",\n".join(json.dumps(entry) for entry in entries) for entries in (keys, self.entries)]
        rule = json.dumps(MEDIA_RULE)
        return f'{{"database_keys":[\n{lines[0]}\n],\n"media_rule":{rule},\n"files":[\n{lines[1]}\n]}}\n'.encode()

    def judge(self):
        """Every entry of the manifest, as it is written, against the reader."""
        for entry in json.loads(self.manifest())["files"]:
            file = entry["file"]
            try:
                found = read(self.files[file], entry["ask"])
            except Refused as refusal:
                require(refusal.args == (entry["expect"], entry["reason"]), f"{file}: reader says {refusal.args}")
                continue
            require((found.pop("state"), None) == (entry["expect"], entry["reason"]), f"{file}: reader opens it")
            chunks, chunk_len = found.pop("chunks"), 1 << found["chunk_log2"]
            media = golden_media(entry["media_seed"], entry["media_len"])
            for i, chunk in enumerate(chunks):
                require(chunk in (None, media[i * chunk_len:][:chunk_len]), f"{file}: chunk {i} has other media")
            found["bad_chunks"] = [i for i, chunk in enumerate(chunks) if chunk is None]
            require(found == {k: entry[k] for k in found}, f"{file}: reader finds {found}")


C = 4096  # the chunk length of nearly all golden files
R = C + 16


def flip(data: bytes, *offsets: int) -> bytes:
    out = bytearray(data)
    for offset in offsets:
        out[offset] ^= 1
    return bytes(out)


def add_good(g: GoldenSet):
    for name, length in (("0", 0), ("1", 1), ("c-minus-1", C - 1), ("c", C), ("c-plus-1", C + 1), ("2c-minus-1", 2 * C - 1),
                         ("2c", 2 * C), ("3c", 3 * C), ("3c-plus-16", 3 * C + 16), ("3c-plus-17", 3 * C + 17)):
        g.good(f"A complete file of {length} media bytes.", Sealing(f"complete-{name}", length))
    g.good("Chunks of 16 KiB, the second of one byte.", Sealing("complete-16k-c-plus-1", 4 * C + 1, chunk_log2=14))
    for log2 in (13, 15, 16, 17, 18, 19, 20):
        g.good(f"Chunks of {1 << log2 - 10} KiB.", Sealing(f"complete-chunk-log2-{log2}", 40, chunk_log2=log2))
    g.good("Chunks of 8 KiB, the second of one byte.", Sealing("complete-8k-c-plus-1", 2 * C + 1, chunk_log2=13))
    for name, why, fields in (
        ("mended", "The flag that says the end is missing.", dict(mended=True)),
        ("metadata", "Role 1.", dict(role=1, media_type="application/json")),
        ("sidecar", "Role 2, with a name.", dict(role=2, sidecar="waveform.bin", media_type="application/octet-stream")),
        ("shortest-id", "An ID of one character.", dict(id="7")),
        ("longest-id", "An ID of 128 characters, all of the alphabet among them.",
         dict(id="0aZ._-@+bcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXY123456789".ljust(128, "@"))),
        ("longest-media-type", "A media type of 79 bytes.", dict(media_type="audio/" + "x" * 73)),
        ("media-type-quoted", "A media type with spaces, a quoted string and quoted pairs in it.",
         dict(media_type='audio/ogg ; codecs="opus, \\"\\\\";Rate=48000')),
        ("media-type-no-parameter", "RFC 9110 allows a semicolon with no parameter after it.", dict(media_type="audio/wav; ")),
        ("longest-sidecar-name", "A sidecar name of 63 characters.", dict(role=2, sidecar="s.-_@+".ljust(63, "9"))),
        ("sealed-at-0", "Sealed at the start of 1970.", dict(sealed_at=0)),
        ("sealed-at-max", "Sealed in the last millisecond of 9999.", dict(sealed_at=LATEST)),
    ):
        g.good(why, Sealing(f"complete-{name}", 40, **fields))
    g.good("Its final record is there, only the renaming is missing.", Sealing("complete-not-renamed", 40),
           "complete-not-renamed.sealed.part")
    g.good("complete-1 wrapped again: only bytes 32-103 and 480-511 differ.", Sealing("complete-1", 1, database_key="second"),
           "complete-rewrapped.sealed")
    old, new = g.files["complete-1.sealed"], g.files["complete-rewrapped.sealed"]
    require((old[:32], old[104:480], old[512:]) == (new[:32], new[104:480], new[512:]), "re-wrapping changed too much")

    # Nothing is wrong with these files, but they are not what was asked for.
    one, sidecar = "complete-1.sealed", "complete-sidecar.sealed"
    g.refused_if_asked(one, "other-id", "Another ID is asked for.", id="golden.0002")
    g.refused_if_asked(one, "other-id", "The ID that is asked for differs in case.", id="Golden.0001")
    g.refused_if_asked(one, "other-id", "The ID that is asked for is longer.", id="golden.00011")
    g.refused_if_asked(one, "other-role", "Metadata is asked for.", role="metadata")
    g.refused_if_asked(one, "other-role", "A sidecar is asked for.", role="sidecar", sidecar="waveform.bin")
    g.refused_if_asked(sidecar, "other-role", "The media is asked for.", role="media", sidecar=None)
    g.refused_if_asked(sidecar, "other-sidecar", "Another sidecar is asked for.", sidecar="waveform.txt")
    g.refused_if_asked(sidecar, "other-sidecar", "The sidecar name that is asked for is shorter.", sidecar="waveform")


def add_unfinished(g: GoldenSet):
    """Each is unfinished under the name of a growing file, and corrupt when it stands under a final name."""
    s, short = Sealing("unfinished", 2 * C + 100), Sealing("damaged-short", 100)
    one, two = s.file("1"), s.file("11")
    final = s.record(1, 2, cut=100)  # as if the recording had ended 100 bytes after its first chunk
    for name, why, s, data, media_len in (
        ("header", "A header and nothing else.", s, one[:512], 0),
        ("header-plus-1", "A header and 1 byte.", s, one[:513], 0),
        ("header-plus-15", "A header and 15 bytes.", s, one[:527], 0),
        ("header-plus-16", "A header and 16 bytes that are no empty final record.", s, one[:528], 0),
        ("header-plus-100", "A header and the start of record 0.", s, one[:612], 0),
        ("one-record", "One whole record of kind 1.", s, one, C),
        ("two-records", "Two whole records of kind 1.", s, two, 2 * C),
        ("two-records-and-cut", "Two whole records of kind 1 and the final record without its tag.", s, s.file()[:-16], 2 * C),
        ("one-record-and-rest-16", "A record of kind 1 and the first 16 bytes of the next.", s, two[:512 + R + 16], C),
        ("one-record-and-bad-rest", "A record of kind 1 and a final record with a flipped bit.", s, one + flip(final, 50), C),
        ("short-of-kind-1", "A short record of kind 1 is not media.", short, short.file("1"), 0),
    ):
        file = f"unfinished-{name}.sealed.part"
        g.opens(file, why, s, data, "unfinished", media_len)
        g.refused_if_asked(file, "not-complete", f"Under a final name: {why}", name="final")


def add_damaged(g: GoldenSet):
    s = Sealing("damaged", C + 100)  # one whole record, then a final one of 116 bytes
    whole = Sealing("damaged-whole", C)  # its only record is whole, so it is the tail by rule 2
    short = Sealing("damaged-short", 100)  # its only record is short
    three = Sealing("damaged-three", 2 * C + 100)
    other = Sealing("damaged-other", C + 100)  # another sealing under the same ID
    file, whole_file, short_file, three_file = s.file(), whole.file(), short.file(), three.file()

    for length in (0, 1, 511):
        g.refused(f"short-{length}.sealed", f"Only {length} bytes.", s, file[:length], "short-header")
    g.refused("short-511.sealed.part", "A growing file has its whole header too.", s, file[:511], "short-header")

    # Cut and grown. What is left of a file whose tail is a short record looks unfinished; what is left of one that is cut
    # between two records is an unfinished file (add_unfinished).
    g.refused("cut-1.sealed", "The last byte is missing.", s, file[:-1], "not-complete")
    g.refused("cut-rest-1.sealed", "Cut 1 byte after its header.", short, short_file[:513], "not-complete")
    g.refused("cut-rest-16.sealed", "Cut 16 bytes after its header.", short, short_file[:528], "not-complete")
    g.refused("grown-1.sealed", "1 byte more after a short final record.", short, short_file + b"\0", "not-complete")
    g.refused("grown-1-of-whole.sealed", "1 byte more after a whole final record.", whole, whole_file + b"\0", "tail")
    g.refused("grown-16-of-whole.sealed", "16 bytes more after a whole final record.", whole, whole_file + bytes(16), "tail")
    g.refused("grown-record.sealed", "A whole record of another file more.", short, short_file + other.record(0, 1), "tail")

    # A flipped bit. In a record before the tail it shows only when that record is read.
    for name, why, at, reason in (("header-tag", "the header tag", 500, "header-tag"), ("wrap", "the wrapped key", 80, "unwrap"),
                                  ("salt", "the salt", 20, "header-tag"), ("flags", "the flags", 11, "header-tag")):
        g.refused(f"flip-{name}.sealed", f"A bit of {why} is flipped.", short, flip(short_file, at), reason)
    g.opens("flip-first-chunk-middle-tag.sealed", "A bit of the first ciphertext and one of the middle tag are flipped.",
            three, flip(three_file, 512, 512 + 2 * R - 16), bad=[0, 1])
    g.opens("flip-first-tag-middle-chunk.sealed", "A bit of the first tag and one of the middle ciphertext are flipped.",
            three, flip(three_file, 512 + R - 1, 512 + R), bad=[0, 1])
    g.refused("flip-final-chunk.sealed", "A bit of a short final ciphertext is flipped.",
              s, flip(file, 512 + R + 99), "not-complete")
    g.refused("flip-final-tag.sealed", "A bit of a short and only tag is flipped.", short, flip(short_file, -1), "not-complete")
    g.refused("flip-final-tag-of-whole.sealed", "A bit of a whole final tag is flipped.", whole, flip(whole_file, -1), "tail")
    g.refused("flip-last-record.sealed.part", "The last whole record of a growing file does not verify.",
              s, flip(s.file("1"), 600), "tail")

    # Records in the wrong place, and of the wrong kind.
    a, b, c = three.records()
    g.opens("swapped.sealed", "Records 0 and 1 have changed places.", three, three.header() + b + a + c, bad=[0, 1])
    g.opens("spliced.sealed", "Record 0 is from another sealing of the same ID.", s,
            s.header() + other.record(0, 1) + s.record(1, 2), bad=[0])
    g.refused("header-of-other.sealed", "The header is from another sealing of the same ID.", other,
              other.header() + file[512:], "tail")
    g.refused("header-of-other-short.sealed", "The same, with one short record.", other,
              other.header() + short_file[512:], "not-complete")
    g.opens("kind-22.sealed", "Record 0 is of kind 2 although a final record follows.", s, s.file("22"), bad=[0])
    g.opens("kind-21.sealed.part", "Record 0 is of kind 2 although a record of kind 1 follows.", three, three.file("21"),
            "unfinished", 2 * C, bad=[0])
    g.refused("kind-12-empty.sealed", "An empty final record after a record of kind 1.", whole, whole.file("12"), "not-complete")


def add_fields(g: GoldenSet):
    """A rejected value in each field. The header tag is valid, so nothing but the check of that field can tell."""
    def text(offset: int, value: bytes, length: int | None = None) -> dict[int, bytes]:
        return {offset: bytes([len(value) if length is None else length]) + value}

    absent, sidecar = dict(database_key="absent"), dict(role=2, sidecar="waveform.bin")
    other_key = fingerprint(DATABASE_KEYS["second"])
    for name, why, reason, patches, fields in (
        ("magic", "Another magic.", "magic", {0: b"\x88"}, {}),
        *((f"version-{v}", f"Version {v}.", "unsupported-format", {8: bytes([v])}, {}) for v in (0, 2)),
        ("version-2-all-else-too", "Nothing after version 2 means anything.", "unsupported-format",
         {8: b"\2" + b"\xff" * 471}, {}),
        *((f"suite-{v}", f"Suite {v}.", "unsupported-format", {9: bytes([v])}, {}) for v in (0, 2)),
        ("fingerprint-unknown", "Wrapped under a key that is not loaded.", "key-missing", {}, absent),
        ("fingerprint-of-other", "The fingerprint of a loaded key, but wrapped under another.", "unwrap", {32: other_key}, {}),
        *((f"chunk-log2-{v}", f"chunk_log2 is {v}.", "chunk-len", {10: bytes([v])}, {}) for v in (11, 21, 255)),
        *((f"flag-bit-{bit}", f"Flag bit {bit} is set.", "flags", {11: bytes([1 << bit])}, {}) for bit in range(1, 8)),
        ("role-3", "Role 3.", "role", {12: b"\3"}, {}),
        *((f"reserved-{at}", f"Byte {at} is not zero.", "reserved", {at: b"\1"}, {}) for at in (13, 15, 385, 479)),
        ("sealed-at-over", "Sealed one millisecond too late.", "sealed-at", {104: struct.pack(">Q", LATEST + 1)}, {}),
        ("sealed-at-all-ones", "Sealed at 2^64 - 1.", "sealed-at", {104: b"\xff" * 8}, {}),
        ("media-type-len-0", "No media type.", "media-type", text(112, bytes(79), 0), {}),
        ("media-type-len-80", "A media type of 80 bytes.", "media-type", text(112, b"audio/".ljust(79, b"x"), 80), {}),
        ("media-type-padding", "The last byte of the media type's padding is not zero.", "media-type", {191: b"x"}, {}),
        *((f"media-type-byte-{v:02x}", f"Byte {v:02X} hex in a quoted string of the media type.", "media-type",
           text(112, b'audio/ogg;a="' + bytes([v]) + b'"'), {}) for v in (0x09, 0x1F, 0x7F, 0x80)),
        *((f"media-type-{name}", f"The media type {value!r}.", "media-type", text(112, value.encode()), {}) for name, value in (
            ("no-slash", "audio-wav"), ("no-subtype", "audio/;a=1"), ("space-after", "audio/wav "),
            ("bad-parameter", "audio/ogg; codecs"), ("spaced-parameter", "audio/ogg; codecs = opus"),
            ("open-quote", 'audio/ogg; codecs="opus'))),
        ("id-len-0", "No ID.", "recording-id", text(192, bytes(128), 0), {}),
        ("id-len-129", "An ID of 129 bytes.", "recording-id", text(192, b"g" * 128, 129), {}),
        *((f"id-{name}", f"The ID {value!r}.", "recording-id", text(192, value.encode()), {}) for name, value in (
            ("slash", "golden/0001"), ("leading-dot", ".golden0001"), ("nul", "golden\x000001"), ("utf-8", "golden\u00e90001"))),
        ("id-padding", "The last byte of the ID's padding is not zero.", "recording-id", {320: b"x"}, {}),
        ("sidecar-of-media", "A sidecar name, but role 0.", "sidecar-name", text(321, b"waveform.bin"), {}),
        ("sidecar-padding-of-media", "The sidecar name's last byte is not zero, but role 0.", "sidecar-name", {384: b"x"}, {}),
        ("sidecar-len-0", "No sidecar name, but role 2.", "sidecar-name", text(321, bytes(63), 0), sidecar),
        ("sidecar-len-64", "A sidecar name of 64 bytes.", "sidecar-name", text(321, b"w" * 63, 64), sidecar),
        ("sidecar-slash", "A sidecar name with a slash.", "sidecar-name", text(321, b"wave/orm.bin"), sidecar),
        ("sidecar-padding", "The last byte of the sidecar name's padding is not zero.", "sidecar-name", {384: b"x"}, sidecar),
    ):
        s = Sealing(f"field-{name}", **fields)
        corrupt = reason not in ("unsupported-format", "key-missing")
        g.refused(f"{s.name}.sealed", why, s, s.file(patches=patches), *((reason,) if corrupt else (None, reason)))


# ---- Commands --------------------------------------------------------------------------------------------------------

def require(condition: bool, message: str):
    if not condition:
        sys.exit(f"golden.py: {message}")


def golden_files() -> dict[str, bytes]:
    g = GoldenSet()
    for add in (add_good, add_unfinished, add_damaged, add_fields):
        add(g)
    g.judge()
    return g.files | {"manifest.json": g.manifest()}


def main(args: list[str]):
    require(len(args) == 2 and args[0] in ("write", "check"), "usage: golden.py write DIR | golden.py check DIR")
    folder, files = Path(args[1]), golden_files()
    if args[0] == "write":
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
    present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    faults = [f"{name}: missing" for name in sorted(files.keys() - present)]
    faults += [f"{name}: superfluous" for name in sorted(present - files.keys())]
    faults += [f"{name}: differs" for name in sorted(files.keys() & present) if (folder / name).read_bytes() != files[name]]
    require(not faults, "\n".join([f"{folder} is not the golden set", *faults]))
    print(f"{len(files)} files, {sum(map(len, files.values()))} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
