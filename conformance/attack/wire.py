"""What travels, as bytes: requests and frames as a client may write them and as it may not, and
what a server answers, read as strictly as the RFCs allow. No sockets here, and no cases."""

import base64
import hashlib
import os
import re
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NAMES = {CONTINUATION: "continuation", TEXT: "text", BINARY: "binary"}
NAMES |= {CLOSE: "close", PING: "ping", PONG: "pong"}

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
KEY = b"\x37\xfa\x21\x3d"  # RFC 6455 §5.7
NO_KEY = b"\0\0\0\0"  # masked, and what is masked stays as it is


class Fault(Exception):
    """The server did what it must not, or did not do what it must."""


# --- frames ------------------------------------------------------------------------------------


def masked(payload, key):
    """RFC 6455 §5.3: octet i with octet i modulo 4 of the key."""
    if key == NO_KEY:
        return bytes(payload)
    size = len(payload)
    mask = (key * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")
    return mixed.to_bytes(size, "little")


def header(opcode, length, *, fin=True, rsv=0, key=KEY, form=None):
    """A frame's header. `rsv` is 4 for RSV1, 2 for RSV2, 1 for RSV3; without a `key` the frame is not
    masked; `form` is the form of the length, 7, 16 or 64 bits, where it is not to be the shortest."""
    form = form or (7 if length < 126 else 16 if length < 1 << 16 else 64)
    bit = 0x80 if key is not None else 0
    start = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    match form:
        case 7:
            start += bytes([bit | length])
        case 16:
            start += bytes([bit | 126]) + length.to_bytes(2, "big")
        case 64:
            start += bytes([bit | 127]) + length.to_bytes(8, "big")
    return start + (key or b"")


def frame(opcode, payload=b"", *, key=KEY, **options):
    """A whole frame, right unless the options say otherwise."""
    start = header(opcode, len(payload), key=key, **options)
    return start + (payload if key is None else masked(payload, key))


def text(payload, **options):
    return frame(TEXT, payload.encode() if isinstance(payload, str) else payload, **options)


def close(code=None, reason=b"", **options):
    payload = b"" if code is None else code.to_bytes(2, "big") + reason
    return frame(CLOSE, payload, **options)


class Frame(NamedTuple):
    """A frame of the server's."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv1: bool = False

    @property
    def code(self):
        """The close code, None for a Close frame without one."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else None

    def __str__(self):
        name = NAMES[self.opcode] + (" with RSV1" if self.rsv1 else "") + ("" if self.fin else " without FIN")
        if self.opcode == CLOSE:
            reason = self.payload[2:].decode(errors="replace")
            return f"{name} {self.code}" + (f" {reason!r}" if reason else "")
        return f"{name} {shown(self.payload)}"


class FrameReader:
    """Reads a server's frames, and finds fault with all that it must not send."""

    def __init__(self, *, compression=False):
        self.buffer = bytearray()
        self.compression = compression
        self.inside_message = False
        self.closed = False

    def feed(self, data):
        self.buffer += data

    def next(self):
        """The next whole frame, or None."""
        data = self.buffer
        if len(data) < 2:
            return None
        first, second = data[0], data[1]
        opcode, fin = first & 0x0F, bool(first & 0x80)
        control = opcode >= 8
        if opcode not in NAMES:
            raise Fault(f"the server sent the reserved opcode {opcode:#x} (RFC 6455 §5.2)")
        if second & 0x80:
            raise Fault("the server masked a frame (RFC 6455 §5.1)")
        allowed = 0x40 if self.compression and opcode in (TEXT, BINARY) else 0
        if first & 0x70 & ~allowed:
            raise Fault(f"the server set reserved bits, {first:#04x}, that nothing gave a meaning (RFC 6455 §5.2)")
        length, start = second & 0x7F, 2
        if length > 125:
            if control:
                raise Fault("the server sent a control frame of more than 125 bytes (RFC 6455 §5.5)")
            wide, least = (2, 126) if length == 126 else (8, 1 << 16)
            if len(data) < 2 + wide:
                return None
            length, start = int.from_bytes(data[2 : 2 + wide], "big"), 2 + wide
            if length < least:
                raise Fault("the server sent a length that is not in its shortest form (RFC 6455 §5.2)")
        if control and not fin:
            raise Fault("the server fragmented a control frame (RFC 6455 §5.5)")
        if len(data) < start + length:
            return None
        payload = bytes(data[start : start + length])
        del data[: start + length]
        self._follows(opcode, fin, payload)
        return Frame(opcode, payload, fin, bool(first & 0x40))

    def _follows(self, opcode, fin, payload):
        """Whether this frame may come where it came."""
        if self.closed:
            raise Fault(f"the server sent {NAMES[opcode]} {shown(payload)} after its Close frame (RFC 6455 §5.5.1)")
        if opcode == CLOSE:
            self.closed = True
            if len(payload) == 1:
                raise Fault("the server sent a Close frame of one byte (RFC 6455 §5.5.1)")
            code = int.from_bytes(payload[:2], "big")
            if payload and not (1000 <= code <= 1014 and code not in (1004, 1005, 1006) or 3000 <= code <= 4999):
                raise Fault(f"the server sent the close code {code} (RFC 6455 §7.4)")
            if not is_utf8(payload[2:]):
                raise Fault("the server sent a close reason that is not UTF-8 (RFC 6455 §5.5.1)")
        elif opcode < 8:
            if (opcode == CONTINUATION) != self.inside_message:
                raise Fault(f"the server sent {NAMES[opcode]} where it has no place (RFC 6455 §5.4)")
            self.inside_message = not fin


def is_utf8(data):
    try:
        data.decode()
        return True
    except UnicodeDecodeError:
        return False


# --- the handshake -----------------------------------------------------------------------------


def new_key():
    return base64.b64encode(os.urandom(16)).decode()


def accept_value(key):
    """RFC 6455 §4.2.2: what answers a key."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


STANDARD = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def request(line="GET /echo HTTP/1.1", add=(), **changes):
    """A handshake's head. `changes` are headers by their names with _ for -: another value, a list of
    values for as many lines, or None to leave it out. `add` are lines that come last, as they are."""
    headers = dict(STANDARD)
    for name, value in changes.items():
        headers[name.replace("_", "-")] = value
    lines = [_bytes(line)]
    for name, value in headers.items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        lines += [_bytes(name) + b": " + _bytes(one) for one in values]
    lines += [_bytes(one) for one in add]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _bytes(value):
    return value if isinstance(value, bytes) else value.encode()


class Response(NamedTuple):
    """An answer's head."""

    status: int
    headers: list

    def all(self, name):
        return [value for found, value in self.headers if found == name]

    def one(self, name):
        """A header that may come once at most."""
        values = self.all(name)
        if len(values) > 1:
            raise Fault(f"the answer has {len(values)} lines of {name}: {values}")
        return values[0] if values else None

    def tokens(self, name):
        return [part.strip().lower() for value in self.all(name) for part in value.split(",")]


STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [\t\x20-\x7e\x80-\xff]*")
HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")


def read_response(head):
    """The head of an answer, its empty line included. RFC 9112 §4 and §5."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    status = STATUS_LINE.fullmatch(first)
    if not status:
        raise Fault(f"the answer begins with {shown(first)}, which is no status line (RFC 9112 §4)")
    headers = []
    for line in lines:
        field = HEADER_LINE.fullmatch(line)
        if not field:
            raise Fault(f"the answer has the line {shown(line)}, which is no header (RFC 9112 §5)")
        headers.append((field[1].decode().lower(), field[2].decode("latin-1")))
    return Response(int(status[1]), headers)


def shown(data, most=72):
    """Bytes for people: printable ones as they are, and not many."""
    quoted = ascii(bytes(data[:most]))[1:]
    return quoted if len(data) <= most else f"{quoted}… ({len(data)} bytes)"
