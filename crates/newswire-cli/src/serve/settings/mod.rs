//! A setting has one name in four places: `max_message_size` in the configuration file,
//! `NEWSWIRE_MAX_MESSAGE_SIZE` in the environment, `--max-message-size` on the command line, and a
//! default. All four come from the definitions of the flags; which place wins is decided here.
//! What a setting means is not: each value is read by its flag's own parser.

mod file;
mod print;

use super::options::{AboutOptions, ServeOptions};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use file::{Entry, Kind, nearest, printable};
use std::any::TypeId;
use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Flags that are no settings: they are about the settings.
const ABOUT: [&str; 3] = ["config", "check", "print_config"];

/// No configuration is longer.
const LONGEST_FILE: u64 = 1024 * 1024;

/// The flags of the command line as they were given, before the other places are asked.
#[derive(Clone, Debug)]
pub(crate) struct ServeFlags(ArgMatches);

impl FromArgMatches for ServeFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(matches.clone()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = matches.clone();
        Ok(())
    }
}

impl Args for ServeFlags {
    fn augment_args(command: Command) -> Command {
        with_switches(ServeOptions::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        with_switches(ServeOptions::augment_args_for_update(command))
    }
}

/// A switch can also be given a value, so that a flag can switch off what the file switches on.
fn with_switches(command: Command) -> Command {
    command.mut_args(|arg| {
        if !matches!(arg.get_action(), ArgAction::SetTrue) || ABOUT.contains(&arg.get_id().as_str())
        {
            return arg;
        }
        arg.action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .default_value("false")
            .hide_default_value(true)
            .hide_possible_values(true)
            .value_parser(clap::value_parser!(bool))
            .value_name("true|false")
    })
}

/// Where the value of a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Default,
    /// The file, in this line.
    File(usize),
    Environment,
    Flag,
}

/// A setting with its values, which are none when it is not set and has no default.
#[derive(Debug)]
struct Setting {
    /// The definition.
    arg: Arg,
    name: String,
    kind: Kind,
    source: Source,
    values: Vec<OsString>,
}

/// All settings, in the order of their definitions.
#[derive(Debug)]
pub(crate) struct Settings {
    settings: Vec<Setting>,
    /// The file, if there is one.
    file: Option<PathBuf>,
}

/// The variables of the environment that may be settings, and their values.
pub(crate) type Variables = BTreeMap<String, OsString>;

/// What the names of variables begin with.
const PREFIX: &str = "NEWSWIRE_";

/// Reads the environment. A variable that is set to nothing is as good as one that is not set.
pub(crate) fn variables() -> Variables {
    std::env::vars_os()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect()
}

/// Brings the settings together: flags win over the environment, that over the file, that over
/// the defaults.
///
/// # Errors
/// Everything that is wrong, a line each. What is wrong in a place that does not win is wrong too.
pub(crate) fn resolve(
    ServeFlags(flags): &ServeFlags,
    variables: &Variables,
) -> Result<(ServeOptions, Settings), Vec<String>> {
    let variable = |name: &str| variables.get(&variable_name(name)).cloned();
    let command = ServeFlags::augment_args(Command::new("serve"));
    let command = command.no_binary_name(true);
    let mut settings: Vec<Setting> = command
        .get_arguments()
        .filter(|arg| !ABOUT.contains(&arg.get_id().as_str()))
        .map(Setting::of)
        .collect();

    let mut problems = Vec::new();
    let path = flags.get_one::<PathBuf>("config").cloned();
    let path = path.or_else(|| variable("config").map(PathBuf::from));
    let mut entries = match &path {
        Some(path) => read_file(path, &settings).unwrap_or_else(|wrong| {
            problems = wrong;
            Vec::new()
        }),
        None => Vec::new(),
    };
    let mut named = settings
        .iter()
        .map(|setting| &*setting.name)
        .collect::<Vec<_>>();
    named.push("config");
    problems.extend(variables.keys().filter_map(|name| misnamed(name, &named)));
    for setting in &mut settings {
        let at = entries.iter().position(|entry| entry.name == setting.name);
        if let Some(entry) = at.map(|at| entries.swap_remove(at)) {
            let path = path.as_deref().unwrap_or(Path::new(""));
            setting.values = setting.of_file(entry.values, path);
            setting.source = Source::File(entry.line);
            setting.check(&command, &mut problems, &|value| {
                format!(
                    "{}:{}: {} = {value}",
                    shown(path.as_os_str()),
                    entry.line,
                    setting.name
                )
            });
        }
        if let Some(value) = variable(&setting.name) {
            setting.values = setting.of_variable(value);
            setting.source = Source::Environment;
            setting.check(&command, &mut problems, &|value| {
                format!("{}={value}", variable_name(&setting.name))
            });
        }
        let id = setting.arg.get_id().as_str();
        if flags.value_source(id) == Some(ValueSource::CommandLine) {
            let values = flags.get_raw(id).into_iter().flatten();
            setting.values = values.map(OsStr::to_owned).collect();
            setting.source = Source::Flag;
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let chosen = settings.iter().flat_map(Setting::arguments);
    let options = command
        .try_get_matches_from(chosen)
        .and_then(|matches| {
            let mut options = ServeOptions::from_arg_matches(&matches)?;
            options.about = AboutOptions::from_arg_matches(flags)?;
            Ok(options)
        })
        .map_err(|error| vec![reason(&error)])?;
    let file = path;
    Ok((options, Settings { settings, file }))
}

/// What is wrong with a variable that is none of ours, when it is written like one. Others are
/// somebody else's.
fn misnamed(variable: &str, settings: &[&str]) -> Option<String> {
    if settings.iter().any(|name| variable_name(name) == variable) {
        return None;
    }
    let nearest = nearest(&variable[PREFIX.len()..], settings.iter().copied())?;
    let (shown, meant) = (printable(variable), variable_name(nearest));
    Some(format!(
        "{shown} is no setting: {meant} is, if that is meant"
    ))
}

/// `NEWSWIRE_MAX_MESSAGE_SIZE` for `max_message_size`.
fn variable_name(setting: &str) -> String {
    format!("{PREFIX}{}", setting.to_uppercase())
}

/// Reads the file of this path, in which there may be what is in `settings`.
fn read_file(path: &Path, settings: &[Setting]) -> Result<Vec<Entry>, Vec<String>> {
    let shown = shown(path.as_os_str());
    let text = read_text(path)
        .map_err(|error| vec![format!("cannot read {shown}: {error}; see --config")])?;
    let keys: Vec<_> = settings
        .iter()
        .map(|setting| (&*setting.name, setting.kind))
        .collect();
    file::read(&text, &keys).map_err(|problems| {
        problems
            .into_iter()
            .map(|problem| format!("{shown}:{}: {}", problem.line, problem.what))
            .collect()
    })
}

/// The text of a file that is not too long to be a configuration.
fn read_text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err("it is larger than 1MiB, which no configuration is".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        let right = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = right.iter().filter(|&&byte| byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8")
    })
}

/// Of what the user wrote, what can stand in a line.
fn shown(text: &OsStr) -> String {
    printable(&text.to_string_lossy())
}

impl Setting {
    fn of(arg: &Arg) -> Self {
        let parser = arg.get_value_parser().type_id();
        let numbers = [
            TypeId::of::<u8>(),
            TypeId::of::<u16>(),
            TypeId::of::<usize>(),
            TypeId::of::<std::num::NonZeroUsize>(),
        ];
        let kind = if parser == TypeId::of::<bool>() {
            Kind::Switch
        } else if matches!(arg.get_action(), ArgAction::Append) {
            Kind::List
        } else if numbers.iter().any(|number| parser == *number) {
            Kind::Number
        } else {
            Kind::Text
        };
        let defaults = arg.get_default_values().iter();
        Self {
            name: arg.get_id().as_str().to_owned(),
            kind,
            source: Source::Default,
            values: defaults.map(|value| OsStr::to_owned(value)).collect(),
            arg: arg.clone(),
        }
    }

    /// The flag without its dashes.
    fn flag(&self) -> &str {
        self.arg.get_long().unwrap_or_default()
    }

    fn is_path(&self) -> bool {
        self.arg.get_value_parser().type_id() == TypeId::of::<PathBuf>()
    }

    /// Paths in a file are meant from where the file is.
    fn of_file(&self, values: Vec<String>, file: &Path) -> Vec<OsString> {
        let folder = file.parent().filter(|_| self.is_path());
        let values = values.into_iter();
        match folder {
            Some(folder) => values.map(|value| folder.join(value).into()).collect(),
            None => values.map(OsString::from).collect(),
        }
    }

    /// A list is written with commas.
    fn of_variable(&self, value: OsString) -> Vec<OsString> {
        match (self.kind, value.to_str()) {
            (Kind::List, Some(text)) => {
                let values = text.split(',').map(str::trim);
                let values = values.filter(|value| !value.is_empty());
                values.map(OsString::from).collect()
            }
            _ => vec![value],
        }
    }

    /// Whether the flag takes the values; `place` says where one of them was found.
    fn check(&self, command: &Command, problems: &mut Vec<String>, place: &dyn Fn(&str) -> String) {
        for value in &self.values {
            let argument = self.argument(value);
            if let Err(error) = command.clone().try_get_matches_from([argument]) {
                let place = place(&shown(value));
                problems.push(format!("{place}: {}", reason(&error)));
            }
        }
    }

    /// The setting as flags, if a flag, a variable or the file has set it.
    fn arguments(&self) -> impl Iterator<Item = OsString> + '_ {
        let set = self.source != Source::Default;
        let values = self.values.iter().filter(move |_| set);
        values.map(|value| self.argument(value))
    }

    fn argument(&self, value: &OsStr) -> OsString {
        let mut argument = OsString::from(format!("--{}=", self.flag()));
        argument.push(value);
        argument
    }
}

/// Why a value is not taken, and what would be, without the flag's name.
fn reason(error: &clap::Error) -> String {
    let texts = |kind| match error.get(kind) {
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::String(text)) => vec![text.clone()],
        _ => Vec::new(),
    };
    match (error.kind(), error.source()) {
        (ErrorKind::InvalidValue, _) => {
            format!("write one of {}", texts(ContextKind::ValidValue).join(", "))
        }
        (_, Some(source)) => source.to_string(),
        (ErrorKind::InvalidUtf8, _) => "it is not UTF-8".to_owned(),
        _ => {
            let rendered = error.render().to_string();
            let first = rendered.lines().next().unwrap_or_default();
            first.trim_start_matches("error: ").to_owned()
        }
    }
}
