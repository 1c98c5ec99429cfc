//! Where settings come from: flags, the environment, a file; which of them wins; and one line for
//! each thing that is wrong.

use crate::support::{folder, newswire, output, serve_by, within};
use newswire::CloseCode;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The exit code, standard output and standard error of a command.
fn end(command: Command) -> (i32, String, String) {
    let output = output(command);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

/// Each setting of `--print-config`: its value, and where that comes from; nothing of what is not
/// set.
fn printed(command: Command) -> BTreeMap<String, (String, String)> {
    let (code, said, errors) = end(command);
    assert_eq!((code, &*errors), (0, ""), "{said}");
    let lines = said.lines().filter(|line| !line.starts_with('#'));
    let settings = lines.filter_map(|line| line.split_once(" = "));
    settings
        .map(|(name, rest)| {
            let (value, source) = rest.rsplit_once("  # ").expect(rest);
            (name.to_owned(), (value.to_owned(), source.to_owned()))
        })
        .collect()
}

fn print_config(flags: &[&str]) -> Command {
    newswire(&[&["serve", "--print-config"], flags].concat())
}

/// A configuration file of this content.
fn file(test: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder(test).join("newswire.toml");
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn flags_win_over_variables_over_the_file_over_defaults() {
    let path = file(
        "precedence",
        "port = 1\nmax_headers = 2\nmax_buffered = '3KiB'\n",
    );
    let mut command = print_config(&["--config", &path, "--port", "7"]);
    command
        .env("NEWSWIRE_PORT", "6")
        .env("NEWSWIRE_MAX_HEADERS", "5")
        // As good as not set.
        .env("NEWSWIRE_MAX_BUFFERED", "");
    let found = printed(command);
    for (name, value, source) in [
        ("port", "7", "--port"),
        ("max_headers", "5", "NEWSWIRE_MAX_HEADERS"),
        ("max_buffered", "\"3KiB\"", &format!("{path}:3")),
        ("max_head_size", "\"16KiB\"", "default"),
    ] {
        assert_eq!(found[name], (value.to_owned(), source.to_owned()), "{name}");
    }
    // The file may be named by a variable too.
    let mut command = print_config(&[]);
    command.env("NEWSWIRE_CONFIG", &path);
    assert_eq!(printed(command)["port"].1, format!("{path}:1"));
}

/// The settings that have no default, with values that they may have.
const SAMPLES: &[(&str, &str)] = &[
    ("compression_history", "\"1KiB\""),
    ("compression_level", "9"),
    ("compression_mem_level", "7"),
    ("compression_min_size", "\"32B\""),
    ("compression_window_bits", "12"),
    ("metrics", "\"127.0.0.1:0\""),
    ("root", "\"/a\""),
    ("tls_cert", "\"/a\""),
    ("tls_client_ca", "\"/a\""),
    ("tls_key", "\"/a\""),
    ("token_file", "\"/a\""),
    ("trusted_proxy", "[\"10.0.0.0/8\", \"unix\"]"),
    ("unix", "\"/a\""),
    ("workers", "3"),
    ("write_timeout", "\"off\""),
];

/// The names of all settings, those that are not set among them.
fn names() -> Vec<String> {
    let (_, said, _) = end(print_config(&[]));
    let lines = said.lines().map(|line| line.trim_start_matches('#'));
    let names = lines.filter_map(|line| line.split_once(" = ").map(|(name, _)| name.to_owned()));
    names.collect()
}

#[test]
fn every_setting_has_its_flag_its_variable_and_its_key() {
    let (_, help, _) = end(newswire(&["serve", "--help"]));
    let defaults = printed(print_config(&[]));
    let names = names();
    assert!(names.len() > 15, "{names:?}");
    let mut content = String::new();
    let mut by_variable = print_config(&[]);
    for name in &names {
        let flag = format!("--{}", name.replace('_', "-"));
        assert!(help.contains(&flag), "no {flag} in the help");
        let sample = SAMPLES.iter().find(|(known, _)| known == name);
        let value = match (sample, defaults.get(name)) {
            (Some((_, value)), None) => (*value).to_owned(),
            (None, Some((value, _))) => value.clone(),
            _ => panic!("{name}: either a default or a sample"),
        };
        content += &format!("{name} = {value}\n");
        let plain = value.trim_matches(['[', ']']).replace('"', "");
        by_variable.env(format!("NEWSWIRE_{}", name.to_uppercase()), plain);
    }
    let path = file("every_setting", &content);
    let by_key = printed(print_config(&["--config", &path]));
    let by_variable = printed(by_variable);
    for name in &names {
        assert!(by_key[name].1.starts_with(&path), "{name}: {by_key:?}");
        let variable = format!("NEWSWIRE_{}", name.to_uppercase());
        assert_eq!(by_variable[name].1, variable);
        assert_eq!(by_key[name].0, by_variable[name].0, "{name}");
    }
}

#[test]
fn what_is_printed_is_a_file_that_says_the_same() {
    let flags = [
        "--host=a \"b\" \\c",
        "--port=0",
        "--idle-timeout=off",
        "--verbose",
        "--compression=off",
        "--workers=2",
    ];
    let (_, said, _) = end(print_config(&flags));
    let path = file("printed_again", &said);
    let values = |settings: BTreeMap<String, (String, String)>| -> Vec<_> {
        let values = settings.into_iter();
        values.map(|(name, (value, _))| (name, value)).collect()
    };
    let before = values(printed(print_config(&flags)));
    assert_eq!(values(printed(print_config(&["--config", &path]))), before);
    assert!(before.contains(&("verbose".to_owned(), "true".to_owned())));
    for line in said.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn a_switch_of_the_file_can_be_switched_off() {
    let path = file("switch", "verbose = true\n");
    assert_eq!(
        printed(print_config(&["--config", &path]))["verbose"].0,
        "true"
    );
    let off = print_config(&["--config", &path, "--verbose=false"]);
    assert_eq!(printed(off)["verbose"].0, "false");
    let mut off = print_config(&["--config", &path]);
    off.env("NEWSWIRE_VERBOSE", "false");
    assert_eq!(printed(off)["verbose"].0, "false");
}

#[test]
fn a_path_in_the_file_is_meant_from_where_the_file_is() {
    let path = file("relative", "root = 'pages'\n");
    let folder = Path::new(&path).parent().unwrap().join("pages");
    fs::create_dir(&folder).unwrap();
    let root = &printed(print_config(&["--config", &path]))["root"];
    assert_eq!(root.0, format!("\"{}\"", folder.display()));
    // What is printed may be put anywhere.
    let mut command = print_config(&["--root", "pages"]);
    command.current_dir(Path::new(&path).parent().unwrap());
    assert_eq!(printed(command)["root"].0, root.0);
}

/// That what is wrong is said, a line for each part, and the exit code is 2.
#[track_caller]
fn assert_refused(command: Command, lines: &[&[&str]]) {
    let (code, said, errors) = end(command);
    assert_eq!((code, &*said), (2, ""), "{errors}");
    assert_eq!(errors.lines().count(), lines.len(), "{errors}");
    for (line, parts) in errors.lines().zip(lines) {
        assert!(line.starts_with("newswire: "), "{line}");
        for part in *parts {
            assert!(line.contains(part), "no {part:?} in {line}");
        }
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_one_that_may_be_meant() {
    let path = file(
        "unknown_key",
        "# mine\nport = 0\nmax_mesage_size = '1MiB'\n",
    );
    let place = format!("{path}:3: ");
    for more in [&["--check"][..], &["--print-config"], &[]] {
        let command = newswire(&[&["serve", "--config", &path], more].concat());
        assert_refused(command, &[&[&place, "max_mesage_size", "max_message_size"]]);
    }
}

#[test]
fn a_wrong_value_is_refused_with_its_place_and_what_to_write() {
    for (content, parts) in [
        ("port = 70000", &[":1: port = 70000: ", "65535"][..]),
        ("port = 'http'", &["port = http"]),
        ("port = 1.5", &["port = 1.5"]),
        ("port = true", &["port takes a number", "boolean"]),
        ("verbose = 'yes'", &["verbose takes true or false"]),
        ("idle_timeout = 60", &["idle_timeout = 60: ", "unit", "off"]),
        ("idle_timeout = '0s'", &["longer than nothing"]),
        ("max_message_size = 'lots'", &["max_message_size = lots"]),
        ("workers = 0", &["workers = 0: ", "from 1"]),
        ("compression = 'zip'", &["shared, dedicated, off"]),
        ("compression_level = 10", &["1..=9"]),
        ("port = 1\n[limits]\n", &[":2: limits", "not grouped"]),
        ("port = 1\nport = 2", &[":2: ", "duplicate"]),
        ("port: 1", &[":1: "]),
        ("config = 'other.toml'", &["config is no setting"]),
        ("host = '\u{1b}[31m'", &[":1: "]),
        (
            "host = \"\\u001b[31m\"\nworkers = \"\\u001b[31m\"",
            &[":2: ", "from 1"],
        ),
    ] {
        let path = file("wrong_value", content);
        let command = newswire(&["serve", "--check", "--config", &path]);
        let (_, _, errors) = end(newswire(&["serve", "--check", "--config", &path]));
        assert!(!errors.trim_end().contains(char::is_control), "{errors:?}");
        assert_refused(command, &[parts]);
    }
    let mut command = newswire(&["serve", "--check"]);
    command.env("NEWSWIRE_PORT", "tcp://10.0.0.1:80");
    assert_refused(command, &[&["NEWSWIRE_PORT=tcp://10.0.0.1:80: "]]);
    let mut command = newswire(&["serve", "--check"]);
    command
        .env("NEWSWIRE_MAX_MESAGE_SIZE", "1KiB")
        // Somebody else's.
        .env("NEWSWIRE_SERVICE_HOST", "10.0.0.1");
    assert_refused(
        command,
        &[&["NEWSWIRE_MAX_MESAGE_SIZE", "NEWSWIRE_MAX_MESSAGE_SIZE is"]],
    );
}

#[test]
fn check_says_all_that_is_wrong_or_that_nothing_is() {
    let path = file("check_all", "prot = 1\nworkers = 0\nroot = 'nowhere'\n");
    let mut command = newswire(&["serve", "--check", "--config", &path]);
    command.env("NEWSWIRE_MAX_HEADERS", "many");
    let (code, _, errors) = end(command);
    assert_eq!(code, 2);
    assert!(
        errors.contains(":1: prot") && errors.contains("NEWSWIRE_MAX_HEADERS"),
        "{errors}"
    );

    fs::write(
        &path,
        "root = 'nowhere'\ncompression = 'off'\ncompression_level = 1",
    )
    .unwrap();
    let command = newswire(&["serve", "--check", "--config", &path]);
    let parts: [&[&str]; 2] = [
        &["--compression-level means nothing"],
        &["nowhere", "--root"],
    ];
    assert_refused(command, &parts);

    fs::write(&path, "workers = 2").unwrap();
    let (code, said, errors) = end(newswire(&["serve", "--check", "--config", &path]));
    assert_eq!(
        (code, &*said, &*errors),
        (0, "the settings are right\n", "")
    );
}

#[test]
fn what_is_wrong_in_a_place_that_does_not_win_is_wrong_too() {
    let path = file("overridden", "workers = 0");
    let flags = ["serve", "--check", "--config", &path, "--workers", "1"];
    assert_refused(newswire(&flags), &[&["workers = 0"]]);
}

#[test]
fn a_file_that_cannot_be_read_is_said_to_be_so() {
    let folder = folder("unreadable");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    fs::write(path("long"), vec![b'#'; 1024 * 1024 + 1]).unwrap();
    fs::write(path("latin"), b"port = 1\nhost = '\xe9'\n").unwrap();
    for (name, part) in [
        ("none", "No such file"),
        ("", "directory"),
        ("long", "larger than 1MiB"),
        ("latin", "line 2 is not UTF-8"),
    ] {
        let path = path(name);
        let command = newswire(&["serve", "--config", &path]);
        assert_refused(command, &[&["cannot read", &path, part, "--config"]]);
    }
}

#[tokio::test]
async fn a_server_does_what_its_file_says() {
    let path = file(
        "in_force",
        "port = 0\nmax_message_size = '1KiB'\nworkers = 1\n",
    );
    let server = serve_by(newswire(&["serve", "--config", &path]));
    assert!(server.greeting[0].ends_with(", 1 worker"));
    let mut ws = within(newswire::connect(&server.url("/echo")))
        .await
        .unwrap();
    within(ws.send("x".repeat(1024))).await.unwrap();
    assert_eq!(within(ws.recv()).await.unwrap().unwrap().len(), 1024);
    within(ws.send("x".repeat(1025))).await.unwrap();
    while let Ok(Some(_)) = within(ws.recv()).await {}
    assert_eq!(ws.close_frame().unwrap().code, CloseCode::TOO_BIG);
}

#[test]
fn the_configuration_of_the_guide_is_one() {
    let guide = include_str!("../../../../docs/guide/newswire-serve.md");
    let (_, rest) = guide.split_once("```toml\n").unwrap();
    let (content, _) = rest.split_once("```").unwrap();
    let path = file("guide", content);
    let found = printed(print_config(&["--config", &path]));
    let from_file = found
        .values()
        .filter(|(_, source)| source.starts_with(&path));
    let written = content.lines().filter(|line| line.contains(" = "));
    assert_eq!(from_file.count(), written.count());
}
