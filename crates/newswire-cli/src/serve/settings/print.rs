//! `--print-config`: every setting with what it is for, its value, and where that comes from, as
//! a file that can be given to `--config`. `docs/reference/configuration.md` is made of it.

use super::file::{Kind, quoted};
use super::{Setting, Settings, Source, shown, variable_name};
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::path::Path;

const HEAD: &str = "\
# The settings of newswire serve: what each is for, its value, and behind it where the value comes
# from. A line that begins with a # is not set.
";

/// How wide comments are.
const WIDTH: usize = 100;

impl Display for Settings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        let mut heading = None;
        for setting in &self.settings {
            let its = setting.arg.get_help_heading();
            if its != heading {
                heading = its;
                write!(f, "\n# --- {} ---\n", its.unwrap_or("Other"))?;
            }
            writeln!(f)?;
            setting.explain(f)?;
            setting.assign(f, self.file.as_deref())?;
        }
        Ok(())
    }
}

impl Setting {
    /// The help, and the values to choose from, as comments.
    fn explain(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let help = self.arg.get_long_help().or(self.arg.get_help());
        let help = help.map(ToString::to_string).unwrap_or_default();
        for line in help.lines() {
            comment(f, "#", line)?;
        }
        if self.kind != Kind::Switch {
            for value in self.arg.get_possible_values() {
                let help = value.get_help().map(ToString::to_string);
                let line = format!("{}: {}", value.get_name(), help.unwrap_or_default());
                comment(f, "# -", &line)?;
            }
        }
        Ok(())
    }

    /// `name = value  # from where`.
    fn assign(&self, f: &mut Formatter<'_>, file: Option<&Path>) -> fmt::Result {
        // Where the file will be is not known here.
        let absolute = |value: &OsString| match std::path::absolute(value) {
            Ok(path) if self.is_path() => path.to_string_lossy().into_owned(),
            _ => value.to_string_lossy().into_owned(),
        };
        let values = self.values.iter().map(absolute);
        let mut values: Vec<String> = match self.kind {
            Kind::Switch => values.collect(),
            // A number may be written in ways that TOML does not know.
            Kind::Number => values
                .map(|value| match value.parse::<u64>() {
                    Ok(number) => number.to_string(),
                    Err(_) => quoted(&value),
                })
                .collect(),
            Kind::Text | Kind::List => values.map(|value| quoted(&value)).collect(),
        };
        if values.is_empty() {
            let names = self.arg.get_value_names().unwrap_or_default();
            let name = names.first().map_or("VALUE", |name| name.as_str());
            let (open, close) = if self.kind == Kind::List {
                ("[", "]")
            } else {
                ("", "")
            };
            return writeln!(f, "#{} = {open}{name}{close}", self.name);
        }
        let value = match self.kind {
            Kind::List => format!("[{}]", values.join(", ")),
            _ => values.swap_remove(0),
        };
        write!(f, "{} = {value}  # ", self.name)?;
        match (self.source, file) {
            (Source::Default, _) => f.write_str("default"),
            (Source::File(line), Some(file)) => write!(f, "{}:{line}", shown(file.as_os_str())),
            (Source::File(line), None) => write!(f, "line {line}"),
            (Source::Environment, _) => f.write_str(&variable_name(&self.name)),
            (Source::Flag, _) => write!(f, "--{}", self.flag()),
        }?;
        writeln!(f)
    }
}

/// A comment in as many lines as it takes.
fn comment(f: &mut Formatter<'_>, mark: &str, text: &str) -> fmt::Result {
    let mut mark = mark.to_owned();
    let mut line = mark.clone();
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(f, "{line}")?;
            // What goes on stands under what it belongs to.
            mark = mark.replace('-', " ");
            line = mark.clone();
        }
        line.push(' ');
        line.push_str(word);
    }
    writeln!(f, "{line}")
}
