//! permessage-deflate (RFC 7692): its negotiation as values, and its codec, one direction a file.
//! Frames, handshakes and sockets do not come here; nor does UTF-8, which is checked in what
//! comes out.
//!
//! ```
//! use newswire_proto::Role;
//! use newswire_proto::deflate::{
//!     Compressor, Decompressor, DeflateConfig, DeflateOffer, SharedCodec,
//! };
//!
//! // The client offers, the server accepts, the client checks the answer.
//! let config = DeflateConfig::new();
//! let offer = config.offer().expect("compression is on");
//! let offers = DeflateOffer::read([&offer]);
//! let params = config.accept(&offers).expect("there is an offer");
//! assert_eq!(config.check([&params.to_header_value()])?, Some(params));
//!
//! // One for each thread, one for each connection and direction.
//! let mut codec = SharedCodec::new();
//! let mut server = Compressor::new(&config, params, Role::Server);
//! let mut client = Decompressor::new(&config, params, Role::Client);
//!
//! let mut compressed = Vec::new();
//! server.compress(&mut codec, b"Hello", &mut compressed);
//! assert_eq!(compressed, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
//! let mut message = Vec::new();
//! client.decompress(&mut codec, &compressed, 1 << 20, &mut message)?;
//! assert_eq!(message, b"Hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A message at a time
//!
//! Both directions take a whole message. A compressed message whose pieces arrive one by one is
//! gathered as it travels, up to [`max_compressed_size`], and inflated when it is complete: so
//! an unfinished message costs what was received of it and no inflater, the shared inflater is
//! never held by one connection, and both modes are one path. The price is that the compressed
//! form of a fragmented message is in memory while it is inflated.
//!
//! # How one compressor serves many connections
//!
//! What context takeover means for the other end is only that references may reach into the
//! messages before. So the shared compressor is reset, told the connection's last bytes as its
//! dictionary, and compresses the message with a sync flush: any peer's inflater reads that. When
//! the same connection comes again before any other, all of that is left out, since the compressor
//! still stands where the connection does: so a burst costs what it would with a compressor of its
//! own, and so does a client that is alone. In the other direction the shared inflater is reset and told the last bytes that the peer may
//! refer to. Both histories are of what was sent and received compressed; what travels
//! uncompressed is not part of the peer's window.

mod codec;
mod compressor;
mod config;
mod decompressor;
mod history;
mod params;

pub use codec::SharedCodec;
pub use compressor::{Compressor, DeflateForm};
pub use config::{Compression, DeflateConfig};
pub use decompressor::{DecompressError, Decompressor, max_compressed_size};
pub use params::{DeflateOffer, DeflateParams, ExtensionError};

/// What ends every sync flush, and never travels.
///
/// RFC 7692 §7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
