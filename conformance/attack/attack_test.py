"""The suite can fail: a server with each of these faults is found out, by the cases that are there for it,
and the same server without the fault passes them."""

import asyncio
import os
import tempfile
import unittest
from pathlib import Path

import process
import run
import runner
import wire
from cases import CASES, MIB, Case

TOY = Path(__file__).with_name("toy_server.py")

# What the toy is wrong about, and the cases that must find it.
FOUND_BY = {
    "opens-anything": ["handshake/no-key", "handshake/two-keys-in-a-list", "handshake/version-8", "smuggling/two-hosts"],
    "wrong-accept": ["handshake/the-rfcs-own"],
    "content-for-head": ["handshake/head"],
    "blank-before-colon": ["smuggling/blank-before-a-colon"],
    "ignores-rsv": ["frames/rsv1-on-text", "frames/rsv3-on-ping"],
    "takes-unmasked": ["frames/unmasked-text"],
    "masks": ["frames/text-of-125"],
    "text-as-binary": ["frames/text-of-1", "text/greek"],
    "takes-any-text": ["text/ff", "text/a-pair-of-surrogates", "text/cut-before-an-empty-fragment"],
    "fails-silently": ["frames/opcode-3", "text/fe"],
    "talks-after-close": ["frames/opcode-3"],
    "keeps-tcp-open": ["closing/the-server-ends-tcp-first"],
    "crashes": ["text/ff"],
    "makes-others-wait": ["frames/binary-of-1"],
    "reserves-what-is-declared": ["endurance/declared-sixty-times-60-mib"],
    "leaks-connections": ["afterwards/main-nothing-is-left"],
    "bad-exit": ["afterwards/main-clean-end"],
}


def verdicts(faults, names, cases=None):
    """{name: verdict} of a run of these cases against the toy."""
    os.environ["TOY_FAULTS"] = faults
    cases = cases or [case for case in CASES if case.name in names]
    with tempfile.TemporaryDirectory() as logs:
        try:
            found, _ = asyncio.run(runner.run(cases, str(TOY), Path(logs), lambda verdict: None))
        finally:
            process.kill_all()
    return {verdict.name: verdict for verdict in found}


class TheSuite(unittest.TestCase):
    def test_each_fault_is_found_by_its_cases(self):
        for fault, names in FOUND_BY.items():
            with self.subTest(fault):
                cases = [name for name in names if not name.startswith("afterwards/")]
                found = verdicts(fault, cases or ["frames/text-of-1", "text/greek"])
                for name in names:
                    self.assertFalse(found[name].passed, f"{name} did not notice {fault}")

    def test_a_server_without_a_fault_passes_the_same_cases(self):
        names = {name for names in FOUND_BY.values() for name in names}
        names -= {"endurance/declared-sixty-times-60-mib"}
        found = verdicts("", names)
        self.assertEqual({name for name in names if name not in found}, set())
        for verdict in found.values():
            self.assertTrue(verdict.passed, run.describe(verdict))

    def test_a_server_that_dies_is_started_again_and_only_that_case_fails(self):
        found = verdicts("crashes", ["text/ff", "text/greek", "text/nul"])
        self.assertIn("exit code 3", found["text/ff"].faults[-1])
        self.assertTrue(found["text/greek"].passed)
        self.assertTrue(found["text/nul"].passed)

    def test_a_case_that_does_not_end_fails(self):
        async def for_ever(trial):
            await asyncio.sleep(60)

        found = verdicts("", [], [Case("own/for-ever", "", for_ever, limit=0.2)])
        self.assertEqual(found["own/for-ever"].faults, ["it was not over after 0.2 s"])

    def test_memory_is_measured_at_its_peak(self):
        async def declare(trial):
            peer = await trial.open()
            await peer.send(wire.header(wire.BINARY, 48 * MIB))
            await asyncio.sleep(0.5)

        found = verdicts("reserves-what-is-declared", [], [Case("own/declare", "", declare, memory=32 * MIB)])
        self.assertRegex(found["own/declare"].faults[0], r"the server grew by (4|5)[0-9]\.[0-9] MiB, and 32 MiB is the most")

    def test_a_failure_says_what_was_demanded_sent_and_received(self):
        found = verdicts("takes-unmasked", ["frames/unmasked-text"])
        report = run.describe(found["frames/unmasked-text"])
        for part in ("frames/unmasked-text", "RFC 6455 §5.1", "expected a Close frame with 1002", "sent", "came", r"\x81\x05hello"):
            self.assertIn(part, report)


class TheReader(unittest.TestCase):
    """What the server sends is judged frame by frame."""

    def fault(self, *frames, compression=False):
        reader = wire.FrameReader(compression=compression)
        reader.feed(b"".join(frames))
        try:
            while reader.next():
                pass
        except wire.Fault as fault:
            return str(fault)
        return None

    def test_right_frames_pass(self):
        frames = [wire.text("a", key=None, fin=False), wire.frame(wire.PING, key=None)]
        frames += [wire.frame(wire.CONTINUATION, b"b" * 70_000, key=None), wire.close(1000, key=None)]
        self.assertIsNone(self.fault(*frames))
        self.assertIsNone(self.fault(wire.text("a", key=None, rsv=4), compression=True))

    def test_wrong_frames_do_not(self):
        own = dict(key=None)
        for part, *frames in [
            ("opcode", wire.frame(3, **own)),
            ("masked", wire.text("a")),
            ("reserved bits", wire.text("a", rsv=4, **own)),
            ("shortest", wire.text("a", form=16, **own)),
            ("125", wire.frame(wire.PONG, bytes(126), **own)),
            ("fragmented", wire.frame(wire.PONG, fin=False, **own)),
            ("no place", wire.frame(wire.CONTINUATION, **own)),
            ("no place", wire.text("a", fin=False, **own), wire.text("a", **own)),
            ("close code 1005", wire.close(1005, **own)),
            ("one byte", wire.frame(wire.CLOSE, b"a", **own)),
            ("not UTF-8", wire.close(1000, b"\xff", **own)),
            ("after its Close", wire.close(1000, **own), wire.text("a", **own)),
        ]:
            self.assertIn(part, self.fault(*frames) or "", frames)
        self.assertIn("reserved bits", self.fault(wire.frame(wire.PING, rsv=4, **own), compression=True))


class TheCases(unittest.TestCase):
    def test_there_are_many_and_each_names_its_rule(self):
        self.assertGreater(len(CASES), 600)
        for case in CASES:
            self.assertRegex(case.rule, r"(RFC [0-9]{4} §|The PROXY protocol, §|newswire's own|a connection that is gone)", case.name)
            self.assertIn(case.lane, runner.LANES, case.name)

    def test_a_pattern_chooses_by_part_or_by_wildcards(self):
        self.assertEqual([case.name for case in run.chosen("text/ff")][0], "text/ff")
        self.assertTrue(all(case.name.endswith("-1009") for case in run.chosen("closing/*-1009")))
        self.assertEqual(run.chosen("there is no such case"), [])


if __name__ == "__main__":
    unittest.main()
