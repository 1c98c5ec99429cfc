"""check.py can fail: each kind of wrong report, and the right one."""

import json
import tempfile
import unittest
from pathlib import Path

import check


class Check(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.results = {
            case: {"behavior": "OK", "behaviorClose": "OK", "reportfile": "case.json"}
            for case in check.expected_cases()
        }
        for case in check.INFORMATIONAL:
            self.results[case].update(behavior="INFORMATIONAL", behaviorClose="INFORMATIONAL")
        details = {"expectation": "<b>The echo</b> &amp; a pong", "result": "nothing", "resultClose": "clean"}
        Path(self.folder.name, "case.json").write_text(json.dumps(details))

    def check(self, agents=None):
        index = agents if agents is not None else {"newswire": self.results}
        Path(self.folder.name, "index.json").write_text(json.dumps(index))
        return check.check("server", self.folder.name)

    def test_the_right_report_passes(self):
        n = len(self.results)
        self.assertEqual(self.check(), (True, [f"server: {n} cases: {n - 3} OK, 3 informational"]))

    def test_a_case_that_is_not_ok_fails_and_says_what_was_expected(self):
        for mark in ("FAILED", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "WRONG CODE"):
            for key in ("behavior", "behaviorClose"):
                self.results["6.4.1"].update(behavior="OK", behaviorClose="OK")
                self.results["6.4.1"][key] = mark
                passed, lines = self.check()
                self.assertFalse(passed, mark)
                self.assertTrue(lines[0].endswith(" 3 informational, 1 failed"))
                self.assertIn(mark, lines[1])
                self.assertIn("    expected: The echo & a pong", lines)

    def test_an_informational_case_may_be_ok_but_not_fail(self):
        self.results["7.1.6"].update(behavior="OK", behaviorClose="OK")
        self.assertTrue(self.check()[0])
        self.results["7.1.6"].update(behavior="FAILED")
        self.assertFalse(self.check()[0])

    def test_a_missing_case_fails(self):
        del self.results["9.1.6"]
        passed, lines = self.check()
        self.assertFalse(passed)
        self.assertIn("1 missing", lines[0])
        self.assertTrue(lines[1].startswith("  9.1.6: missing"))

    def test_a_case_nobody_named_fails(self):
        self.results["14.1.1"] = dict(self.results["1.1.1"])
        self.assertFalse(self.check()[0])

    def test_no_report_and_an_empty_one_fail(self):
        self.assertFalse(check.check("client", Path(self.folder.name, "nowhere"))[0])
        self.assertFalse(self.check({})[0])
        self.assertFalse(self.check({"newswire": {}})[0])
        self.assertFalse(self.check({"newswire": self.results, "other": self.results})[0])


if __name__ == "__main__":
    unittest.main()
