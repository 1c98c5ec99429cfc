//! The flags of compression: which of them go together, and the library's settings that they are.
//! How messages are compressed is the library's to know.

use crate::values::bytes;
use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use newswire::{Compression, DeflateConfig};

/// DEFLATE looks back no further.
const MAX_HISTORY: ByteSize = ByteSize::kib(32);

/// What is said of compression on the command line. The defaults are in `config`, so that a flag
/// that was not given is told from one that means nothing in this mode.
#[derive(Debug, Args)]
pub(crate) struct CompressionOptions {
    /// How messages are compressed for clients that offer permessage-deflate
    #[arg(long, value_enum, default_value_t = Mode::Shared, value_name = "MODE")]
    compression: Mode,

    /// shared: how much a connection keeps of the messages in each direction, up to 32KiB; with 0
    /// each message is compressed for itself [default: 2KiB]
    #[arg(long, value_parser = history, value_name = "SIZE")]
    compression_history: Option<ByteSize>,

    /// From 1, fast, to 9, small [default: 6]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=9), value_name = "1-9")]
    compression_level: Option<u8>,

    /// dedicated: how far a compressor looks back, as a power of two in bytes [default: 15]
    #[arg(long, value_parser = clap::value_parser!(u8).range(9..=15), value_name = "9-15")]
    compression_window_bits: Option<u8>,

    /// dedicated: the memory that a compressor has beside its window, from 1 KiB for 1 to 224 KiB
    /// for 9 [default: 8]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=9), value_name = "1-9")]
    compression_mem_level: Option<u8>,

    /// The size under which a message is not compressed [default: 64B]
    #[arg(long, value_name = "SIZE")]
    compression_min_size: Option<ByteSize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// The connections of a thread share a compressor; each keeps a little of its last messages
    Shared,
    /// Each connection has a compressor of its own, of 371 KiB unless that is set: the best ratio
    Dedicated,
    /// Messages travel as they are
    Off,
}

impl CompressionOptions {
    /// The settings.
    ///
    /// # Errors
    /// One line on a flag that means nothing in this mode.
    pub(super) fn config(&self) -> Result<DeflateConfig, String> {
        self.check()?;
        let level = self.compression_level.unwrap_or(6);
        let config = DeflateConfig::new().compression(match self.compression {
            Mode::Shared => Compression::Shared {
                history: self.compression_history.map_or(2048, bytes),
                level,
            },
            Mode::Dedicated => Compression::Dedicated {
                window_bits: self.compression_window_bits.unwrap_or(15),
                mem_level: self.compression_mem_level.unwrap_or(8),
                level,
            },
            Mode::Off => Compression::Off,
        });
        Ok(match self.compression_min_size {
            Some(size) => config.min_size(bytes(size)),
            None => config,
        })
    }

    /// Refuses what would have to be ignored.
    fn check(&self) -> Result<(), String> {
        use Mode::{Dedicated, Shared};
        let on = &[Shared, Dedicated][..];
        for (flag, given, modes) in [
            ("history", self.compression_history.is_some(), &[Shared][..]),
            (
                "window-bits",
                self.compression_window_bits.is_some(),
                &[Dedicated],
            ),
            (
                "mem-level",
                self.compression_mem_level.is_some(),
                &[Dedicated],
            ),
            ("level", self.compression_level.is_some(), on),
            ("min-size", self.compression_min_size.is_some(), on),
        ] {
            if given && !modes.contains(&self.compression) {
                let names: Vec<String> = modes.iter().map(|mode| mode.name()).collect();
                return Err(format!(
                    "--compression-{flag} means nothing with --compression {}: leave it out, or use --compression {}",
                    self.compression.name(),
                    names.join(" or ")
                ));
            }
        }
        Ok(())
    }
}

impl Mode {
    /// As it is written on the command line.
    fn name(self) -> String {
        let value = self.to_possible_value();
        let value = value.expect("no mode is hidden");
        value.get_name().to_owned()
    }
}

/// A history that DEFLATE can make use of.
fn history(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse()?;
    if size > MAX_HISTORY {
        return Err("at most 32KiB: compression looks back no further".to_owned());
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        options: CompressionOptions,
    }

    fn config(flags: &[&str]) -> Result<DeflateConfig, String> {
        let arguments = ["serve"].iter().chain(flags);
        let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
        cli.options.config()
    }

    #[test]
    fn without_flags_the_settings_are_those_of_the_library() {
        assert_eq!(config(&[]), Ok(DeflateConfig::default()));
        let dedicated = DeflateConfig::new().compression(Compression::dedicated());
        assert_eq!(config(&["--compression", "dedicated"]), Ok(dedicated));
        let off = DeflateConfig::new().compression(Compression::Off);
        assert_eq!(config(&["--compression", "off"]), Ok(off));
    }

    #[test]
    fn each_flag_is_a_setting() {
        let flags = "--compression-history 0 --compression-level 1 --compression-min-size 1KiB";
        let flags: Vec<&str> = flags.split(' ').collect();
        let shared = Compression::Shared {
            history: 0,
            level: 1,
        };
        let expected = DeflateConfig::new().compression(shared).min_size(1024);
        assert_eq!(config(&flags), Ok(expected));

        let flags = "--compression dedicated --compression-window-bits 9 \
                     --compression-mem-level 2 --compression-level 9";
        let flags: Vec<&str> = flags.split_whitespace().collect();
        let dedicated = Compression::Dedicated {
            window_bits: 9,
            mem_level: 2,
            level: 9,
        };
        assert_eq!(
            config(&flags),
            Ok(DeflateConfig::new().compression(dedicated))
        );
    }
}
