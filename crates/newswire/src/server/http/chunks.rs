//! Where a chunked body ends, found beside hyper, which reads it and judges its syntax. Nothing
//! hangs on it but how long is waited.

/// A place in a chunked body (RFC 9112 §7.1).
pub(super) enum Chunks {
    /// In the line with a chunk's size, up to its extensions.
    Size(u64),
    /// In the extensions behind a size.
    Extensions(u64),
    /// So many bytes of a chunk are left, the end of line behind them among them.
    Data(u64),
    /// In the trailers, in a line that has so far been empty or has not.
    Trailers { empty: bool },
    /// Behind the body.
    End,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self::Size(0)
    }

    /// Goes on over `bytes`; whether the body has ended.
    pub(super) fn skip(&mut self, mut bytes: &[u8]) -> bool {
        while let Some((&byte, rest)) = bytes.split_first() {
            if let Self::Data(left) = self {
                let len = bytes
                    .len()
                    .min(usize::try_from(*left).unwrap_or(usize::MAX));
                bytes = &bytes[len..];
                *left -= len as u64;
                if *left == 0 {
                    *self = Self::new();
                }
                continue;
            }
            bytes = rest;
            *self = match (&*self, byte) {
                (Self::Size(0) | Self::Extensions(0), b'\n') => Self::Trailers { empty: true },
                (Self::Size(len) | Self::Extensions(len), b'\n') => {
                    Self::Data(len.saturating_add(2))
                }
                (Self::Size(len), digit) => match char::from(digit).to_digit(16) {
                    Some(digit) => Self::Size(len.saturating_mul(16).saturating_add(digit.into())),
                    None => Self::Extensions(*len),
                },
                (Self::Extensions(len), _) => Self::Extensions(*len),
                (Self::Trailers { empty: true }, b'\n') | (Self::End, _) => Self::End,
                (Self::Trailers { empty }, b'\r') => Self::Trailers { empty: *empty },
                (Self::Trailers { .. }, byte) => Self::Trailers {
                    empty: byte == b'\n',
                },
                // That was above.
                (Self::Data(left), _) => Self::Data(*left),
            };
        }
        matches!(self, Self::End)
    }
}

#[cfg(test)]
mod tests {
    use super::Chunks;

    #[test]
    fn the_end_is_behind_the_trailers_however_the_bytes_come() {
        for body in [
            "0\r\n\r\n",
            "4\r\nbody\r\n0\r\n\r\n",
            "A;name=value\r\n0123456789\r\n1\r\n\n\r\n00\r\n\r\n",
            "0;last\r\nTrailer: value\r\nOther: 0\r\n\r\n",
            "5\r\n0\r\n\r\n\r\n0\r\n\r\n",
        ] {
            let bytes = body.as_bytes();
            for piece in 1..=bytes.len() {
                let mut chunks = Chunks::new();
                let mut read = 0;
                let ended = bytes.chunks(piece).position(|piece| {
                    read += piece.len();
                    chunks.skip(piece)
                });
                assert!(ended.is_some(), "{body:?} in {piece}");
                assert_eq!(read, bytes.len(), "{body:?} in {piece}");
            }
        }
    }

    #[test]
    fn what_is_no_size_is_no_end_and_no_panic() {
        for body in [
            "ffffffffffffffffffff\r\n0\r\n\r\n",
            "8\r\n0\r\n\r\n",
            "-\r\n",
        ] {
            assert!(!Chunks::new().skip(body.as_bytes()), "{body:?}");
        }
    }
}
