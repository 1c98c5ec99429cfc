"""The comparison of what is shown beside JavaScript with the example can fail."""

import unittest

import javascript_twin

EXAMPLE = """\
//! Head.
use newswire::event::WebSocket;

// function testWebSocket() {
fn test_web_socket() {
    let unseen = 1;
    // socket.onclose = a || b;
    socket.set_onclose(
        |_| unseen,
    );
}

/// Prose.
fn more() {}
"""
ROWS = [
    "| `function testWebSocket() {` | `fn test_web_socket() {` |",
    "| `socket.onclose = a \\|\\| b;` | `socket.set_onclose( \\|_\\| unseen, );` |",
]


class JavascriptTwin(unittest.TestCase):
    def test_each_line_of_javascript_is_a_row_with_the_statement_below_it(self):
        self.assertEqual(javascript_twin.rows(EXAMPLE), ROWS)

    def test_javascript_without_rust_fails(self):
        for source in ["", "// socket.send(1);\n", "// socket.send(1);\n// socket.close();\nclose();\n"]:
            with self.assertRaises(SystemExit):
                javascript_twin.rows(source)

    def test_the_table_is_found_and_a_page_without_it_fails(self):
        page = "\n".join(["# Title", *javascript_twin.HEAD, *ROWS, "", "more"])
        before, shown, behind = javascript_twin.split(page)
        self.assertEqual((before[0], shown, behind), ("# Title", ROWS, ["", "more"]))
        with self.assertRaises(SystemExit):
            javascript_twin.split("# Title\n")

    def test_some_rows_in_their_order_pass_and_others_fail(self):
        self.assertEqual(javascript_twin.strangers(ROWS, ROWS), [])
        self.assertEqual(javascript_twin.strangers(ROWS[1:], ROWS), [])
        self.assertEqual(javascript_twin.strangers(["| new |"], ROWS), ["| new |"])
        self.assertEqual(javascript_twin.strangers(ROWS[::-1], ROWS), [ROWS[0]])


if __name__ == "__main__":
    unittest.main()
