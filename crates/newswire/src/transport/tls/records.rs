//! What a TLS session makes of records, whichever end it is: bytes in, bytes out. No stream is
//! known here.

use crate::tls::TlsError;
use bytes::BytesMut;
use rustls::CommonState;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use std::io;

/// Either end's way to look at records.
pub(super) trait Records {
    type Data;

    fn state(&self) -> &CommonState;

    /// Looks at `records`, of which the session wants to see again what it has not used up.
    fn process<'c, 'i>(&'c mut self, records: &'i mut [u8])
    -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn state(&self) -> &CommonState {
        self
    }

    fn process<'c, 'i>(
        &'c mut self,
        records: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(records)
    }
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn state(&self) -> &CommonState {
        self
    }

    fn process<'c, 'i>(
        &'c mut self,
        records: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(records)
    }
}

/// What has come of records.
pub(super) struct Taken {
    /// How many bytes of them are used up.
    pub(super) used: usize,
    /// The peer has ended its half.
    pub(super) is_over: bool,
    /// An error is the end. What is to be said to the peer about it is in `outgoing`.
    pub(super) result: Result<(), rustls::Error>,
}

/// Has `session` look at `records`: what they carry goes to `plain`, what is to be answered to
/// `outgoing`.
pub(super) fn take<S: Records>(
    session: &mut S,
    records: &mut [u8],
    outgoing: &mut BytesMut,
    mut plain: impl FnMut(&[u8]),
) -> Taken {
    let mut taken = Taken {
        used: 0,
        is_over: false,
        result: Ok(()),
    };
    loop {
        let status = session.process(&mut records[taken.used..]);
        let mut used = status.discard;
        let mut goes_on = match status.state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => {
                            used += record.discard;
                            plain(record.payload);
                        }
                        Err(error) => taken.result = Err(error),
                    }
                }
                true
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                append(&mut data, outgoing);
                true
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                // It is in `outgoing`, which goes before anything else.
                data.done();
                true
            }
            Ok(ConnectionState::PeerClosed) => {
                taken.is_over = true;
                true
            }
            // Data that comes before the handshake is done is not agreed to.
            Ok(_) => false,
            Err(error) => {
                taken.result = Err(error);
                false
            }
        };
        taken.used += used;
        if taken.result.is_err() {
            // Only for the alert: these records must not be looked at again.
            goes_on = session.state().wants_write();
        }
        if !goes_on {
            return taken;
        }
    }
}

fn append<D>(data: &mut EncodeTlsData<'_, D>, outgoing: &mut BytesMut) {
    let Err(EncodeError::InsufficientSize(needed)) = data.encode(&mut []) else {
        return;
    };
    let at = outgoing.len();
    outgoing.resize(at + needed.required_size, 0);
    let len = data.encode(&mut outgoing[at..]);
    outgoing.truncate(at + len.unwrap_or(0));
}

/// Encrypts `plain` to the beginning of `output`, which grows to what is needed; how much of it is
/// to be written. What is in `outgoing` after that goes before it.
pub(super) fn encrypt<S: Records>(
    session: &mut S,
    incoming: &mut Vec<u8>,
    outgoing: &mut BytesMut,
    plain: &[u8],
    output: &mut Vec<u8>,
) -> io::Result<usize> {
    with_traffic(session, incoming, outgoing, |traffic| {
        fit(output, |room| traffic.encrypt(plain, room))
    })
}

/// The same for the announcement that nothing more comes.
pub(super) fn close<S: Records>(
    session: &mut S,
    incoming: &mut Vec<u8>,
    outgoing: &mut BytesMut,
    output: &mut Vec<u8>,
) -> io::Result<usize> {
    with_traffic(session, incoming, outgoing, |traffic| {
        fit(output, |room| traffic.queue_close_notify(room))
    })
}

/// Brings the session to where it encrypts. It is shown `incoming`, parts of which it may count on.
fn with_traffic<S: Records, R>(
    session: &mut S,
    incoming: &mut Vec<u8>,
    outgoing: &mut BytesMut,
    act: impl FnOnce(&mut WriteTraffic<'_, S::Data>) -> io::Result<R>,
) -> io::Result<R> {
    loop {
        let UnbufferedStatus { discard, state } = session.process(incoming);
        match state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                let result = act(&mut traffic);
                incoming.drain(..discard);
                return result;
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => append(&mut data, outgoing),
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(_) => return Err(io::ErrorKind::BrokenPipe.into()),
            Err(error) => return Err(TlsError::Peer(error).into()),
        }
        incoming.drain(..discard);
    }
}

/// Has `put` write to `output`, with as much room as it says that it needs.
fn fit(
    output: &mut Vec<u8>,
    mut put: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> io::Result<usize> {
    loop {
        match put(output) {
            Ok(len) => return Ok(len),
            Err(EncryptError::InsufficientSize(needed)) => output.resize(needed.required_size, 0),
            // Not before some 2^24 records with the same keys, which TLS 1.3 has changed by then.
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}
