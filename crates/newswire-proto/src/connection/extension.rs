//! permessage-deflate (RFC 7692) as an open connection uses it: when a message is compressed, and
//! what a compressed one becomes. Without the feature `deflate` there is nothing of it.

#[cfg(feature = "deflate")]
use crate::deflate::{
    Compressor, DecompressError, Decompressor, DeflateConfig, DeflateForm, DeflateParams,
    SharedCodec, max_compressed_size,
};
use crate::error::{Failure, ProtocolError};
#[cfg(feature = "deflate")]
use crate::role::Role;

/// How a connection gets at its thread's codec: the function lends one to the closure that it is
/// given, and calls it once.
#[cfg(feature = "deflate")]
pub type WithCodec = fn(&mut dyn FnMut(&mut SharedCodec));

/// The reserved bit of a compressed message's first frame.
///
/// RFC 7692 §6: "This document allocates the RSV1 bit of the WebSocket header for PMCEs and calls
/// the bit the "Per-Message Compressed" bit."
pub(crate) const RSV1: u8 = 0b100;

/// The extension, if it was negotiated.
#[derive(Debug, Default)]
pub(crate) struct Extension {
    #[cfg(feature = "deflate")]
    deflate: Option<Box<Deflate>>,
}

#[cfg(feature = "deflate")]
#[derive(Debug)]
struct Deflate {
    params: DeflateParams,
    compressor: Compressor,
    decompressor: Decompressor,
    with_codec: WithCodec,
}

#[cfg(feature = "deflate")]
impl Extension {
    pub(super) fn deflate(
        config: &DeflateConfig,
        params: DeflateParams,
        role: Role,
        with_codec: WithCodec,
    ) -> Self {
        Self {
            deflate: Some(Box::new(Deflate {
                params,
                compressor: Compressor::new(config, params, role),
                decompressor: Decompressor::new(config, params, role),
                with_codec,
            })),
        }
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.deflate.is_some()
    }

    pub(super) fn params(&self) -> Option<DeflateParams> {
        self.deflate.as_deref().map(|deflate| deflate.params)
    }

    /// How many bytes it keeps between messages.
    pub(super) fn memory(&self) -> usize {
        self.deflate.as_deref().map_or(0, |deflate| {
            size_of::<Deflate>() + deflate.compressor.memory() + deflate.decompressor.memory()
        })
    }

    /// The most bytes that a message may have on the wire.
    pub(crate) fn limit(limit: usize) -> usize {
        max_compressed_size(limit)
    }

    /// The message that this payload stands for.
    pub(crate) fn inflate(&mut self, payload: &[u8], limit: usize) -> Result<Vec<u8>, Failure> {
        let Some(deflate) = self.deflate.as_deref_mut() else {
            return Err(ProtocolError::ReservedBits.into());
        };
        let mut message = Vec::new();
        let mut result = Ok(());
        (deflate.with_codec)(&mut |codec| {
            let decompressor = &mut deflate.decompressor;
            result = decompressor.decompress(codec, payload, limit, &mut message);
        });
        match result {
            Ok(()) => Ok(message),
            Err(DecompressError::TooBig { .. }) => Err(Failure::MessageTooBig { limit }),
            Err(_) => Err(ProtocolError::CorruptCompression.into()),
        }
    }

    /// What travels for this message, `None` when it travels as it is. It must be sent.
    pub(super) fn compress(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let deflate = self.deflate.as_deref_mut()?;
        if !deflate.compressor.wants(message.len()) {
            return None;
        }
        let mut payload = Vec::new();
        (deflate.with_codec)(&mut |codec| {
            deflate.compressor.compress(codec, message, &mut payload);
        });
        Some(payload)
    }

    /// The form in which a message that is made for many travels here, `None` when it travels as
    /// it is, and the way to a codec. The message is taken as sent.
    pub(super) fn form_of(&mut self, message: &[u8]) -> Option<(DeflateForm, WithCodec)> {
        let deflate = self.deflate.as_deref_mut()?;
        if !deflate.compressor.wants(message.len()) {
            return None;
        }
        deflate.compressor.note_sent(message);
        Some((deflate.compressor.form(), deflate.with_codec))
    }
}

#[cfg(not(feature = "deflate"))]
impl Extension {
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        false
    }

    pub(crate) fn limit(limit: usize) -> usize {
        limit
    }

    pub(crate) fn inflate(&mut self, _payload: &[u8], _limit: usize) -> Result<Vec<u8>, Failure> {
        Err(ProtocolError::ReservedBits.into())
    }

    pub(super) fn compress(&mut self, _message: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
