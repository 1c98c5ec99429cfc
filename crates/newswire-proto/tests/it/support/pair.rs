//! A client and a server that are connected by two byte pipes and a clock that only moves
//! when a test moves it.

use super::{connection, events, written};
use bytes::BytesMut;
use newswire_proto::{Config, Connection, Event, Role, State};
use std::time::Duration;

/// One end: the connection, what happened to it, and its deadline on the pair's clock.
pub struct End {
    pub connection: Connection,
    pub events: Vec<Event>,
    pub deadline: Option<Duration>,
    /// Bytes from this end vanish, as when a cable is cut.
    pub silent: bool,
}

impl End {
    fn new(role: Role, config: Config) -> Self {
        Self {
            connection: connection(role, config),
            events: Vec::new(),
            deadline: None,
            silent: false,
        }
    }

    fn poll(&mut self, now: Duration) -> Vec<u8> {
        self.events.extend(events(&mut self.connection));
        let bytes = written(&mut self.connection);
        // Writing may have been what the end was waiting for.
        self.events.extend(events(&mut self.connection));
        if let Some(wait) = self.connection.poll_timeout() {
            self.deadline = Some(now + wait);
        }
        if self.silent { Vec::new() } else { bytes }
    }
}

pub struct Pair {
    pub client: End,
    pub server: End,
    pub now: Duration,
}

impl Pair {
    pub fn new(config: Config) -> Self {
        Self {
            client: End::new(Role::Client, config.clone()),
            server: End::new(Role::Server, config),
            now: Duration::ZERO,
        }
    }

    /// Lets both ends talk until neither has anything to say. A closed end's transport is
    /// dropped, which the other sees as its end.
    pub fn talk(&mut self) {
        for _ in 0..100 {
            let to_server = self.client.poll(self.now);
            let to_client = self.server.poll(self.now);
            if to_server.is_empty() && to_client.is_empty() && !self.hang_up() {
                return;
            }
            if !to_server.is_empty() {
                self.server
                    .connection
                    .handle_data(BytesMut::from(&to_server[..]));
            }
            if !to_client.is_empty() {
                self.client
                    .connection
                    .handle_data(BytesMut::from(&to_client[..]));
            }
        }
        panic!("the ends never stop talking");
    }

    /// Tells an end that the other's transport is gone; whether that was news.
    fn hang_up(&mut self) -> bool {
        let client = self.client.connection.state() == State::Closed;
        let server = self.server.connection.state() == State::Closed;
        if server && !client && !self.server.silent {
            self.client.connection.handle_eof();
        } else if client && !server && !self.client.silent {
            self.server.connection.handle_eof();
        } else {
            return false;
        }
        true
    }

    /// Moves the clock, stopping at every deadline on the way.
    pub fn sleep(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.talk();
            let next = [self.client.deadline, self.server.deadline]
                .into_iter()
                .flatten()
                .min();
            let Some(next) = next.filter(|next| *next <= until) else {
                self.now = until;
                return;
            };
            self.now = next;
            for end in [&mut self.client, &mut self.server] {
                if end.deadline == Some(next) {
                    end.deadline = None;
                    end.connection.handle_timeout(true);
                }
            }
        }
    }
}
