#!/usr/bin/env python3
"""A second verifier of Countersign's audit log: Python's standard library and nothing of the program itself.

    verify_audit.py EXPORT [--checkpoint FILE]... [--key PUBLIC_KEY]...

EXPORT is what `countersign audit export` writes; a checkpoint file holds one or more signed checkpoints, as they came to
the file, the Slack channel or by mail. Says the same as `countersign audit verify`, with the same exit codes: 0 the log is
intact, 2 it is broken, 1 it could not be read. docs/security.md says what that proves.
"""

import argparse
import base64
import binascii
import hashlib
import json
import re
import sys

FORMAT = 1
LINE_BYTES_MAX = 4 * 1024 * 1024
NESTED_MAX = 32
DEPTH_MAX = 127
INTEGER_MAX = 2**53 - 1
ORIGIN_PREFIX = "countersign/"
RESTORES = "log/restores"
DASH = "\N{EM DASH} "
SIGNATURES_MAX = 16

WORDS = {
    "edited": "edited: its bytes don't match its hash",
    "unreadable": "unreadable: its bytes are no entry of a known format",
    "not_canonical": "not canonical: its bytes were written by something else",
    "columns_differ": "edited: the columns beside its bytes say something else",
    "missing": "missing: the entry at this position was removed",
    "out_of_order": "out of order: the entry was inserted or swapped",
    "relinked": "relinked: it doesn't continue the entry before it",
    "foreign_log": "foreign: it belongs to another log",
    "clock_regressed": "out of order: its time is before the entry before it",
    "stream_gap": "stream gap: its stream's versions don't follow each other",
    "truncated": "truncated: the chain ends before its recorded head",
    "rewritten": "rewritten: it is not the entry that a checkpoint names",
}


class Broken(Exception):
    """The first broken place."""

    def __init__(self, position, kind):
        super().__init__(f"entry {position} is {WORDS[kind]}")
        self.position, self.kind = position, kind


# --- JSON, as strict as the program reads it


class Unreadable(ValueError):
    """No JSON, or not in the shape that is expected."""


class NotCanonical(ValueError):
    """JSON that the canonical form has no place for."""


class Float:
    """A number that is not an integer, or not written as one."""


class Doubled(dict):
    """An object with a member that comes twice: it hides one of the two from some readers."""


def members(pairs):
    found = dict(pairs)
    return found if len(found) == len(pairs) else Doubled(found)


def integer(text):
    # The longest that fits into 64 bits has 20 characters.
    return Float() if text == "-0" or len(text) > 20 else int(text)


def refuse(_):
    raise Unreadable


def parsed(text):
    hooks = {"parse_float": lambda _: Float(), "parse_int": integer, "parse_constant": refuse}
    try:
        value = json.loads(text, object_pairs_hook=members, **hooks)
        if "\\u" in text:
            # Half of a surrogate pair is no text.
            json.dumps(value, ensure_ascii=False, default=str).encode()
        if depth(value) > DEPTH_MAX:
            raise Unreadable
    except (ValueError, RecursionError) as error:
        raise Unreadable from error
    return value


def depth(value):
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def canonical(value, depth=0):
    """RFC 8785, without numbers that are not integers."""
    if depth > NESTED_MAX or isinstance(value, (Float, Doubled)):
        raise NotCanonical
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            raise NotCanonical
        return str(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return "[" + ",".join(canonical(item, depth + 1) for item in value) + "]"
    pairs = sorted(value.items(), key=lambda pair: pair[0].encode("utf-16-be"))
    return "{" + ",".join(quoted(key) + ":" + canonical(item, depth + 1) for key, item in pairs) + "}"


def quoted(text):
    # Exactly the escapes of RFC 8785; U+007F stays as it is.
    return json.dumps(text, ensure_ascii=False)


# --- Entries

IS_DIGEST = re.compile("[0-9a-f]{64}").fullmatch


def is_between(low, high):
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value < high


is_count, is_time, is_format = is_between(0, 2**64), is_between(-(2**63), 2**63), is_between(0, 2**32)


def is_text(value):
    return isinstance(value, str)


def is_digest(value):
    return isinstance(value, str) and IS_DIGEST(value) is not None


LINE = {
    "bytes": is_text,
    "hash": is_digest,
    "logged_ms": is_time,
    "position": is_count,
    "previous": is_digest,
    "stream": is_text,
    "version": is_count,
}
ENTRY = {
    "format": is_format,
    "log": is_text,
    "position": is_count,
    "stream": is_text,
    "version": is_count,
    "decided_ms": is_time,
    "logged_ms": is_time,
    "actor": is_text,
    "request": lambda value: value is None or is_text(value),
    "event": lambda value: True,
    "previous": is_digest,
}


def shaped(value, shape, may_lack=()):
    if type(value) is not dict or not value.keys() <= shape.keys():
        raise Unreadable
    for name, fits in shape.items():
        if name not in value and name in may_lack:
            value[name] = None
        elif name not in value or not fits(value[name]):
            raise Unreadable
    return value


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def read_line(line):
    try:
        return shaped(parsed(line.decode()), LINE)
    except ValueError as error:
        raise Unreadable from error


def open_entry(line):
    """The entry behind the bytes, or the kind of break."""
    text = line["bytes"]
    if sha256(text) != line["hash"]:
        return None, "edited"
    try:
        entry = shaped(parsed(text), ENTRY, may_lack=("request",))
        if entry["format"] != FORMAT:
            return None, "unreadable"
        if canonical(entry) != text:
            return None, "not_canonical"
    except NotCanonical:
        return None, "not_canonical"
    except Unreadable:
        return None, "unreadable"
    if any(entry[name] != line[name] for name in ("position", "stream", "version", "logged_ms", "previous")):
        return None, "columns_differ"
    return entry, None


class Verifier:
    """Takes lines one by one, as they stand in the file."""

    def __init__(self, checkpoints):
        self.checkpoints = sorted(checkpoints, reverse=True)
        self.log = checkpoints[0][1] if checkpoints else None
        self.position, self.hash, self.logged_ms, self.versions = 0, None, 0, {}

    def push(self, raw):
        position = self.position + 1
        try:
            if len(raw) > LINE_BYTES_MAX:
                raise Unreadable
            line = read_line(raw)
        except Unreadable:
            raise Broken(position, "unreadable") from None
        entry, kind = open_entry(line)
        if kind:
            raise Broken(position, kind)
        if self.log is None:
            self.log = entry["log"]
        if self.hash is None:
            self.hash = genesis(self.log)
        if entry["log"] != self.log:
            raise Broken(position, "foreign_log")
        if entry["position"] != position:
            raise Broken(position, "missing" if entry["position"] > position else "out_of_order")
        if entry["previous"] != self.hash:
            raise Broken(position, "relinked")
        if entry["logged_ms"] < self.logged_ms:
            raise Broken(position, "clock_regressed")
        if entry["version"] != self.versions.get(entry["stream"], 0) + 1:
            raise Broken(position, "stream_gap")
        self.versions[entry["stream"]] = entry["version"]
        self.position, self.hash, self.logged_ms = position, line["hash"], entry["logged_ms"]
        self.pass_checkpoints()

    def pass_checkpoints(self):
        while self.checkpoints and self.checkpoints[-1][0] <= self.position:
            _, log, digest = self.checkpoints.pop()
            if log != self.log:
                raise Broken(self.position, "foreign_log")
            if digest != self.hash:
                raise Broken(self.position, "rewritten")

    def finish(self):
        if self.hash is None:
            self.hash = genesis(self.log or "")
        self.pass_checkpoints()
        if self.checkpoints:
            foreign = self.checkpoints[0][1] != self.log
            raise Broken(self.position + 1, "foreign_log" if foreign else "truncated")


def named_as_lost(raw):
    """(position, hash) of the checkpoints that a line names as lost in a restore; that it is part of the log is judged later."""
    try:
        line = parsed(raw.decode())
        event = parsed(line["bytes"])["event"] if line["stream"] == RESTORES else None
        if event["name"] != "RestoreAcknowledged.v1":
            return set()
        lost = [(one["position"], one["hash"]) for one in event["data"]["checkpoints"]]
    except (ValueError, TypeError, KeyError):
        return set()
    return {(position, digest) for position, digest in lost if is_count(position) and is_digest(digest)}


def genesis(log):
    return sha256(f"countersign-log-v1\0{log}")


# --- Checkpoints: C2SP tlog-checkpoint in a C2SP signed-note


class BadCheckpoint(Exception):
    """Something that is not what it says."""


def b64(text):
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadCheckpoint(f"{text!r} is not base64") from error
    if base64.b64encode(found).decode() != text:
        raise BadCheckpoint(f"{text!r} is not base64")
    return found


def notes(text):
    """Every checkpoint in the text, as (position, log, hash, signed text, signatures)."""
    lines, found, at = [line.rstrip("\r") for line in text.split("\n")], [], 0
    while at < len(lines):
        if not lines[at].startswith(ORIGIN_PREFIX):
            at += 1
            continue
        if len(lines) < at + 5 or lines[at + 3] != "":
            raise BadCheckpoint(f"line {at + 1}: this begins like a checkpoint and is none")
        origin, size, root = lines[at : at + 3]
        log, digest = origin[len(ORIGIN_PREFIX) :], b64(root)
        if not re.fullmatch(r"[^\s+]+", log) or not re.fullmatch("0|[1-9][0-9]*", size) or len(digest) != 32:
            raise BadCheckpoint(f"line {at + 1}: this begins like a checkpoint and is none")
        signed, signatures, at = f"{origin}\n{size}\n{root}\n", [], at + 4
        while at < len(lines) and lines[at].startswith(DASH):
            name, _, encoded = lines[at][len(DASH) :].partition(" ")
            signature = b64(encoded)
            signatures.append((name, signature[:4], signature[4:]))
            at += 1
        if not 1 <= len(signatures) <= SIGNATURES_MAX:
            raise BadCheckpoint(f"line {at + 1}: this checkpoint has no signature, or too many")
        found.append((int(size), log, digest.hex(), signed, signatures))
    return found


def public_key(text):
    """`name+id+key` as (name, id, 32 bytes)."""
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    key = b64(encoded)
    if not name or len(key) != 33 or key[0] != 1:
        raise BadCheckpoint("this is no public key of a log: it must look like countersign/LOG+ID+KEY")
    made = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    if made.hex() != key_id:
        raise BadCheckpoint("this is no public key of a log: its id is not that of its name and key")
    return name, made, key[1:]


def check_signatures(note, keys):
    """At least one signature by a known key, and none by a known key that is wrong."""
    position, _, _, signed, signatures = note
    good = False
    for name, key_id, signature in signatures:
        for known_name, known_id, key in keys:
            if (name, key_id) == (known_name, known_id):
                if not ed25519_verify(key, signed.encode(), signature):
                    raise BadCheckpoint(f"the checkpoint at {position} is forged: its signature does not verify")
                good = True
    if not good:
        raise BadCheckpoint(f"the checkpoint at {position} is not signed by a given key")


# --- Ed25519 verification (RFC 8032, section 5.1.7), on extended coordinates

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def point_add(a, b):
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * D % P
    h = 2 * a[2] * b[2] % P
    x, y, z, t = f - e, h - g, h + g, f + e
    return x * y % P, z * t % P, y * z % P, x * t % P


def point_multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = point_add(result, point)
        point, scalar = point_add(point, point), scalar >> 1
    return result


def point_equal(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def point_decompress(encoded):
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = point_decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519_verify(key, message, signature):
    if len(signature) != 64:
        return False
    public, commitment = point_decompress(key), point_decompress(signature[:32])
    response = int.from_bytes(signature[32:], "little")
    if public is None or commitment is None or response >= ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    return point_equal(point_multiply(response, BASE), point_add(commitment, point_multiply(challenge, public)))


# --- The command


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("export")
    parser.add_argument("--checkpoint", action="append", default=[], metavar="FILE")
    parser.add_argument("--key", action="append", default=[], metavar="PUBLIC_KEY")
    arguments = parser.parse_args()
    if arguments.key and not arguments.checkpoint:
        parser.error("--key needs --checkpoint")
    try:
        keys = [public_key(key) for key in arguments.key]
        found = []
        for path in arguments.checkpoint:
            with open(path, encoding="utf-8", newline="") as file:
                in_file = notes(file.read())
            if not in_file:
                raise OSError(f"{path} holds no checkpoint")
            found += in_file
    except (OSError, UnicodeDecodeError, BadCheckpoint) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    try:
        for note in found if keys else []:
            check_signatures(note, keys)
        lost = set()
        with open(arguments.export, "rb") as file:
            for line in file if found else []:
                if RESTORES.encode() in line:
                    lost |= named_as_lost(line)
        # An acknowledged restore names them: it is an entry of the log like any other, and judged with it.
        passed = sorted({note[0] for note in found if (note[0], note[2]) in lost})
        found = [note for note in found if (note[0], note[2]) not in lost]
        verifier = Verifier([note[:3] for note in found])
        with open(arguments.export, "rb") as file:
            for line in file:
                verifier.push(line.rstrip(b"\n"))
        verifier.finish()
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (Broken, BadCheckpoint) as broken:
        print(f"BROKEN: {broken}")
        return 2
    print(f"intact: {verifier.position} entries, head {verifier.hash}")
    if passed:
        print(f"passed over, because the log says that a restore has lost them: checkpoints at {', '.join(map(str, passed))}")
    if not found:
        print("held against no checkpoint: a log that was cut off or wholly rewritten would look the same")
    else:
        how = "signatures checked" if keys else "signatures not checked: no --key"
        print(f"holds {len(found)} checkpoints, the last at {max(note[0] for note in found)}; {how}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
