"""The checks of this folder can fail: each is given something wrong, and something right."""

import unittest
from pathlib import Path

import dependencies
import feature_sets
import file_sizes
import rfc_map

CRATE = {
    Path("crates/newswire-proto/tests/it/close.rs"): (
        "/// Why.\n#[test]\nfn a_close_is_echoed() {}\n"
        "mod codes {\n    #[tokio::test(start_paused = true)]\n    async fn code_1005_is_refused() {}\n}\n"
        "#[test]\n#[ignore]\nfn a_slow_one() {}\n"
        "fn a_helper() {}\n"
    )
}


def table(cell):
    return f"| rule | test |\n|---|---|\n| §7.1.1 MUST | {cell} |\n"


class RfcMap(unittest.TestCase):
    def problems(self, cell):
        return rfc_map.problems_in(table(cell), CRATE)[0]

    def test_a_test_that_exists_passes(self):
        self.assertEqual(self.problems("`it::close::a_close_is_echoed`"), [])
        self.assertEqual(self.problems("`newswire_proto::it::close::codes::code_1005_is_refused`"), [])

    def test_a_name_that_is_gone_fails(self):
        self.assertIn("no test `it::close::renamed`", self.problems("`it::close::renamed`")[0])

    def test_a_path_that_leads_elsewhere_fails(self):
        self.assertIn("no test", self.problems("`it::frame::a_close_is_echoed`")[0])

    def test_a_helper_is_no_test(self):
        self.assertIn("no test", self.problems("`it::close::a_helper`")[0])

    def test_an_ignored_test_fails(self):
        self.assertIn("is ignored", self.problems("`it::close::a_slow_one`")[0])

    def test_an_empty_cell_fails_and_a_reason_passes(self):
        self.assertIn("neither a test nor a reason", self.problems("")[0])
        both = table("`it::close::a_close_is_echoed`") + "| §7.1.1 MUST | for applications |\n"
        self.assertEqual(rfc_map.problems_in(both, CRATE), ([], 1))

    def test_a_map_without_tests_fails(self):
        self.assertEqual(rfc_map.problems_in("# To do\n", CRATE)[0], ["it names no test at all"])


class Dependencies(unittest.TestCase):
    def package(self, names, kind=None):
        return {"dependencies": [{"name": name, "kind": kind} for name in names]}

    def test_the_promised_list_passes(self):
        self.assertEqual(dependencies.protocol_dependencies(self.package(dependencies.ALLOWED)), [])

    def test_one_more_and_one_less_fail(self):
        names = dependencies.ALLOWED - {"bytes"} | {"tokio"}
        first, second = dependencies.protocol_dependencies(self.package(names))
        self.assertIn("`tokio` is not one of", first)
        self.assertIn("`bytes` is allowed but not used", second)

    def workspace(self, theirs, kind=None):
        packages = [("ours", "1.89"), ("theirs", theirs)]
        edge = {"pkg": "theirs", "dep_kinds": [{"kind": kind}]}
        return {
            "workspace_members": ["ours"],
            "packages": [{"id": n, "name": n, "version": "1.0.0", "rust_version": v} for n, v in packages],
            "resolve": {"nodes": [{"id": "ours", "deps": [edge]}, {"id": "theirs", "deps": []}]},
        }

    def test_a_dependency_may_ask_for_our_rust_or_an_older_one(self):
        for theirs in (None, "1.56", "1.89", "1.89.0"):
            self.assertEqual(dependencies.rust_versions(self.workspace(theirs)), [])

    def test_a_dependency_that_asks_for_a_newer_rust_fails(self):
        for theirs in ("1.89.1", "1.100"):
            self.assertIn("theirs 1.0.0", dependencies.rust_versions(self.workspace(theirs))[0])
        self.assertNotEqual(dependencies.rust_versions(self.workspace("1.90", "build")), [])
        self.assertEqual(dependencies.rust_versions(self.workspace("1.90", "dev")), [])


class FeatureSets(unittest.TestCase):
    def arguments(self, features):
        package = {"name": "crate", "features": features}
        return [" ".join(arguments[2:]) for _, arguments in feature_sets.feature_sets(package)]

    def test_each_feature_is_tried_alone(self):
        tried = self.arguments({"default": ["a"], "a": [], "b": ["dep:b"]})
        alone = ["--no-default-features --features a", "--no-default-features --features b"]
        self.assertEqual(tried, ["--no-default-features", *alone])

    def test_what_comes_to_the_same_is_tried_once(self):
        self.assertEqual(self.arguments({}), ["--no-default-features"])
        implied = self.arguments({"default": ["a", "b"], "a": ["b"], "b": []})
        self.assertEqual(len(implied), 3)

    def test_the_defaults_are_tried_as_a_user_gets_them(self):
        tried = self.arguments({"default": ["a", "b"], "a": [], "b": [], "c": []})
        self.assertEqual([len(tried), tried[-1]], [5, ""])


class FileSizes(unittest.TestCase):
    def test_the_ceiling_holds(self):
        lengths = [("short", 500), ("long", 501), ("last", 800), ("over", 801)]
        notes, problems = file_sizes.judge(lengths)
        self.assertEqual([len(notes), len(problems)], [2, 1])
        self.assertTrue(problems[0].startswith("over: 801 lines"))

    def test_tests_and_data_are_not_counted(self):
        counted = ["test", "crates/a/src/lib.rs", "page/page.css", "conformance/lint/rfc_map.py"]
        not_counted = ["crates/a/tests/it/main.rs", "lint_test.py", "README.md", "docs/test"]
        self.assertTrue(all(file_sizes.is_counted(Path(path)) for path in counted))
        self.assertFalse(any(file_sizes.is_counted(Path(path)) for path in not_counted))


if __name__ == "__main__":
    unittest.main()
