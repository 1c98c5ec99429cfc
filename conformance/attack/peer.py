"""One connection to the server under attack, by raw socket: it sends any bytes, reads what comes
within a bound, and keeps a transcript for the report. What is right is judged in expect.py."""

import asyncio
import socket
import struct
import time
import zlib

from wire import CLOSE, PING, PONG, Fault, FrameReader, frame, read_response, shown

PATIENCE = 5.0  # seconds that the server has for whatever is asked of it, unless a case says more


class Peer:
    def __init__(self, sock):
        self.sock = sock
        self.loop = asyncio.get_running_loop()
        self.patience = PATIENCE
        self.reader = FrameReader()
        self.raw = bytearray()  # what came and is not yet known to be frames
        self.ended = self.was_reset = False
        self.pongs = []
        self.inflater = None
        self.transcript = []  # [direction, the first bytes, how many in all]

    @classmethod
    async def connect(cls, address, receive_buffer=None, patience=PATIENCE):
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = cls(sock)
        try:
            async with asyncio.timeout(patience):
                await peer.loop.sock_connect(sock, address)
        except TimeoutError:
            sock.close()
            raise Fault(f"the server took no connection within {patience:g} s") from None
        except OSError as error:
            sock.close()
            raise Fault(f"the server took no connection: {error}") from None
        return peer

    def _note(self, direction, data):
        last = self.transcript[-1] if self.transcript else None
        if last and last[0] == direction:
            last[1] += data[: max(0, 160 - len(last[1]))]
            last[2] += len(data)
        else:
            self.transcript.append([direction, bytes(data[:160]), len(data)])
            del self.transcript[1:-9]

    def lines(self):
        """The transcript for people."""
        for direction, start, total in self.transcript:
            yield f"{direction}  {shown(start, 160)}" + (f" ({total} bytes)" if total > len(start) else "")
        if self.ended:
            yield "came  a reset" if self.was_reset else "came  the end"

    # --- sending: a server that hangs up is noticed by reading --------------------------------

    async def send(self, *parts, step=None):
        """Sends, all at once or `step` bytes at a time. False when the server has hung up."""
        data = b"".join(parts)
        self._note("sent", data)
        try:
            async with asyncio.timeout(self.patience):
                for start in range(0, len(data), step or max(1, len(data))):
                    await self.loop.sock_sendall(self.sock, data[start : start + step] if step else data)
        except TimeoutError:
            raise Fault(f"the server took no more bytes for {self.patience:g} s") from None
        except OSError:
            return False
        return True

    async def push(self, data, seconds):
        """Sends `data` again and again, reading nothing, until that time is over or the server takes
        no more. Returns how many bytes it took."""
        taken, until = 0, self.loop.time() + seconds
        view = memoryview(data)
        offset = 0
        while self.loop.time() < until:
            try:
                sent = self.sock.send(view[offset:])
                taken += sent
                offset = (offset + sent) % len(data)
            except BlockingIOError:
                await asyncio.sleep(0.01)
                continue
            except OSError:
                break
            await asyncio.sleep(0)
        self._note("sent", bytes(data[:160]))
        self.transcript[-1][2] += max(0, taken - 160)
        self.unsent = bytes(view[offset:]) if offset else b""
        return taken

    def half_close(self):
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def reset(self):
        """Ends the connection without a word: TCP's RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.sock.close()

    # --- reading ------------------------------------------------------------------------------

    async def more(self, what, patience=None):
        """Reads a little; False when there is nothing more to come."""
        if self.ended:
            return False
        patience = patience or self.patience
        try:
            async with asyncio.timeout(patience):
                data = await self.loop.sock_recv(self.sock, 1 << 16)
        except TimeoutError:
            raise Fault(f"{what} did not come within {patience:g} s") from None
        except OSError:
            data, self.was_reset = b"", True
        if not data:
            self.ended = True
            return False
        self._note("came", data)
        self.raw += data
        return True

    async def response(self):
        """The head of an answer, None when the connection ended without one."""
        while (end := self.raw.find(b"\r\n\r\n")) < 0:
            if not await self.more("an answer"):
                if self.raw:
                    raise Fault(f"the connection ended inside the answer {shown(self.raw)}")
                return None
        head = bytes(self.raw[: end + 4])
        del self.raw[: end + 4]
        return read_response(head)

    async def rest(self):
        """All that still comes, up to the end."""
        while await self.more("the connection's end"):
            pass
        data = bytes(self.raw)
        self.raw.clear()
        return data

    async def frame(self, what="a frame", patience=None):
        """The next frame, None at the end."""
        deadline = time.monotonic() + (patience or self.patience)
        while True:
            self.reader.feed(self.raw)
            self.raw.clear()
            if found := self.reader.next():
                return found
            left = max(0.001, deadline - time.monotonic())
            try:
                if not await self.more(what, left):
                    if self.reader.buffer:
                        raise Fault(f"the connection ended inside a frame: {shown(self.reader.buffer)}")
                    return None
            except Fault:
                raise Fault(f"{what} did not come within {patience or self.patience:g} s") from None

    async def message(self, what="a message", patience=None):
        """The next message, (opcode, payload), whatever pongs come before it."""
        opcode, payload, compressed = None, bytearray(), False
        while True:
            found = await self.frame(what, patience)
            if found is None:
                raise Fault(f"{what} was expected, and the connection ended")
            if found.opcode == PONG:
                self.pongs.append(found.payload)
                continue
            if found.opcode == PING:
                await self.send(frame(PONG, found.payload))
                continue
            if found.opcode == CLOSE:
                raise Fault(f"{what} was expected, and {found} came")
            if opcode is None:
                opcode, compressed = found.opcode, found.rsv1
            payload += found.payload
            if found.fin:
                return opcode, self.inflated(payload) if compressed else bytes(payload)

    def inflated(self, payload):
        """RFC 7692 §7.2.2."""
        try:
            return self.inflater.decompress(bytes(payload) + b"\x00\x00\xff\xff")
        except zlib.error as error:
            raise Fault(f"the server compressed a message that cannot be inflated: {error}") from None
