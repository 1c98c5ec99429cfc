"""Text is UTF-8 (RFC 6455 §5.6 and §8.1; RFC 3629): what is not fails the connection with 1007, wherever
it is cut, and what is comes back."""

from cases import add, case
from expect import closes, echoes, pongs, returns
from frames import fails, fragments
from wire import BINARY, CONTINUATION, PING, TEXT, Fault, frame, text

NOT_TEXT = (1007,)
RULE = "RFC 6455 §8.1: bytes that are not UTF-8 MUST fail the connection; §7.4.1: with 1007"

INVALID = {
    "a-lone-continuation": b"\x80",
    "the-last-continuation": b"\xbf",
    "two-continuations": b"\x80\xbf",
    "c0-overlong-slash": b"\xc0\xaf",
    "c1-overlong": b"\xc1\xbf",
    "e0-overlong-slash": b"\xe0\x80\xaf",
    "e0-overlong-most": b"\xe0\x9f\xbf",
    "f0-overlong-slash": b"\xf0\x80\x80\xaf",
    "f0-overlong-most": b"\xf0\x8f\xbf\xbf",
    "overlong-nul": b"\xc0\x80",
    "five-bytes": b"\xf8\x88\x80\x80\x80",
    "six-bytes": b"\xfc\x84\x80\x80\x80\x80",
    "fe": b"\xfe",
    "ff": b"\xff",
    "fe-fe-ff-ff": b"\xfe\xfe\xff\xff",
    "first-high-surrogate": b"\xed\xa0\x80",
    "last-high-surrogate": b"\xed\xaf\xbf",
    "first-low-surrogate": b"\xed\xb0\x80",
    "last-low-surrogate": b"\xed\xbf\xbf",
    "a-pair-of-surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "above-10ffff": b"\xf4\x90\x80\x80",
    "f5": b"\xf5\x80\x80\x80",
    "two-bytes-cut": b"\xc3",
    "three-bytes-cut-to-one": b"\xe2",
    "three-bytes-cut-to-two": b"\xe2\x82",
    "four-bytes-cut-to-three": b"\xf0\x9f\x98",
    "two-bytes-and-a-letter": b"\xc3A",
    "three-bytes-and-a-letter": b"\xe2\x82A",
    "four-bytes-and-a-letter": b"\xf0\x9f\x98A",
    "latin-1": b"caf\xe9 au lait",
}
for name, payload in INVALID.items():
    fails(name, RULE, text(payload), NOT_TEXT, group="text")

# Wherever a loop over blocks could begin, end or look away.
for place in (15, 16, 31, 32, 63, 64, 127, 128, 1023, 4096, 65535):
    bad = b"x" * place + b"\xff" + b"y" * 40
    fails(f"ff-behind-{place}-letters", RULE, text(bad), NOT_TEXT, group="text")
fails("cut-behind-65535-letters", RULE, text(b"x" * 65535 + b"\xe2\x82"), NOT_TEXT, group="text")
fails("ff-behind-a-good-message", RULE, text("good") + text(b"\xff"), NOT_TEXT, before=(b"good",), group="text")

SPLIT = "RFC 6455 §5.6: a fragment may end inside a character, the message as a whole MUST be UTF-8"
for name, parts in {
    "bad-in-the-first-fragment": [b"\xff", b"good"],
    "bad-in-the-last-fragment": [b"good", b"\xff"],
    "bad-across-fragments": [b"\xf4", b"\x90", b"\x80\x80"],
    "surrogate-across-fragments": [b"\xed", b"\xa0", b"\x80"],
    "overlong-across-fragments": [b"\xc0", b"\xaf"],
    "cut-at-the-end-of-fragments": ["κόσ".encode(), "μ".encode()[:1]],
    "cut-before-an-empty-fragment": [b"\xe2\x82", b""],
    "a-character-that-a-fragment-does-not-end": [b"\xe2\x82", b"A"],
}.items():
    fails(name, SPLIT, fragments(TEXT, *parts), NOT_TEXT, group="text")
    if name == "bad-across-fragments":
        between = fragments(TEXT, *parts, between=frame(PING, b"p"))
        fails(f"{name}-and-pings", SPLIT, between, NOT_TEXT, before=(b"p",), group="text")

VALID = {
    "every-length": "$¢€𐍈",
    "the-last-of-each-length": "\x7f\u07ff\uffff\U0010ffff",
    "the-first-of-each-length": "\x80\u0800\U00010000",
    "around-the-surrogates": "\ud7ff\ue000",
    "nul": "a\0b",
    "non-characters": "\ufffe\uffff\U0001fffe\ufdd0",
    "a-byte-order-mark": "\ufeffmark",
    "the-replacement-character": "\ufffd",
    "greek": "κόσμε",
    "emoji-with-joiners": "👩‍👩‍👧‍👦🏳️‍🌈",
}
for name, content in VALID.items():

    async def comes_back(trial, payload=content.encode()):
        peer = await trial.open()
        await echoes(peer, payload)
        await peer.send(text(payload), step=1)
        await returns(peer, payload)
        for cut in range(len(payload) + 1):
            await peer.send(fragments(TEXT, payload[:cut], payload[cut:]))
            await returns(peer, payload)
        await peer.send(fragments(TEXT, *(payload[n : n + 1] for n in range(len(payload)))))
        await returns(peer, payload)

    add(f"text/{name}", SPLIT, comes_back)


@case("text/binary-is-not-judged", "RFC 6455 §5.6: binary is the application's alone")
async def binary_is_not_judged(trial):
    peer = await trial.open()
    for payload in INVALID.values():
        await echoes(peer, payload, BINARY)


@case("text/pings-are-not-judged", "RFC 6455 §5.5.2: a ping's payload is application data")
async def pings_are_not_judged(trial):
    peer = await trial.open()
    for payload in INVALID.values():
        await peer.send(frame(PING, payload))
        await pongs(peer, payload)


@case("text/bad-text-is-noticed-before-a-large-message-ends", "RFC 6455 §8.1: fails when it finds that it is not UTF-8; a server may wait for the end")
async def bad_text_in_a_large_message(trial):
    peer = await trial.open()
    await peer.send(text(b"\xff" + b"x" * 1000, fin=False), frame(CONTINUATION, b"x" * 100_000))
    await closes(peer, NOT_TEXT)


@case("text/a-megabyte-of-four-byte-characters-in-pieces", SPLIT, memory=16 << 20)
async def a_megabyte_in_pieces(trial):
    peer, payload = await trial.open(), "😀".encode() * (1 << 18)
    before = trial.server.cpu()
    sent = fragments(TEXT, *(payload[n : n + 61] for n in range(0, len(payload), 61)))
    for start in range(0, len(sent), 1399):
        await peer.send(sent[start : start + 1399])
    await returns(peer, payload, patience=10)
    spent = trial.server.cpu() - before
    if spent > 3.0:
        raise Fault(f"the server spent {spent:.1f} s of CPU on a message of 1 MiB")
