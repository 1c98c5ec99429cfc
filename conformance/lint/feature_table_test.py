"""The comparison of the table of features with the features can fail."""

import unittest

import feature_table

FEATURES = {"default": ["client"], "client": ["dep:rand"], "proxy": ["client"]}
PAGE = """\
//! | feature | default | gives |
//! |---|---|---|
//! | `client` | yes | `connect` |
//! | `proxy` | no | `Proxy` |
"""


class FeatureTable(unittest.TestCase):
    def problems(self, page):
        return feature_table.problems_in(page, FEATURES)

    def test_a_table_that_has_all_passes(self):
        self.assertEqual(self.problems(PAGE), [])

    def test_a_feature_without_a_row_and_a_row_without_a_feature_fail(self):
        wrong = self.problems(PAGE.replace("`proxy`", "`proxies`"))
        self.assertEqual(wrong, ["no row for the feature `proxy`", "there is no feature `proxies`"])
        self.assertEqual(len(self.problems("")), 2)

    def test_a_wrong_default_fails(self):
        self.assertEqual(self.problems(PAGE.replace("no |", "yes |")), ["`proxy` on by default: no, not yes"])

    def test_a_row_that_says_nothing_is_none(self):
        self.assertEqual(self.problems(PAGE.replace("`Proxy` |", "|")), ["no row for the feature `proxy`"])


if __name__ == "__main__":
    unittest.main()
