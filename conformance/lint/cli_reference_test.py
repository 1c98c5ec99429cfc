"""The comparison of the command line's reference with the help can fail."""

import unittest

import cli_reference

HELP = """\
A program

Usage: newswire <COMMAND>

Commands:
  serve    Serve
  connect  Connect, and more words that are so
           long that they take two lines
  help     Print this message

Options:
  -h, --help  Print help

Exit codes: 0 success, 2 wrong
arguments, 3 cannot listen."""


def help_of(command):
    return HELP if command == () else f"Help of {command[-1]}"


class CliReference(unittest.TestCase):
    def test_every_command_has_its_help(self):
        text = cli_reference.document(help_of)
        self.assertIn("## newswire serve\n\n```text\nHelp of serve\n```\n", text)
        self.assertIn("## newswire connect\n", text)
        self.assertNotIn("newswire help", text)
        self.assertIn("| 2 | wrong arguments |\n| 3 | cannot listen |\n", text)

    def test_what_is_the_same_passes_and_any_change_fails(self):
        text = cli_reference.document(help_of)
        other = text.replace("Help of serve", "New help")
        self.assertEqual(cli_reference.differences("cli.md", text, text), [])
        self.assertIn("-Help of serve", cli_reference.differences("cli.md", text, other))
        self.assertNotEqual(cli_reference.differences("cli.md", "", text), [])

    def test_a_help_without_exit_codes_fails(self):
        with self.assertRaises(SystemExit):
            cli_reference.exit_codes("Options:\n")


if __name__ == "__main__":
    unittest.main()
