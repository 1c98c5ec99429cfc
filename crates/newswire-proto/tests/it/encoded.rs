//! Messages that are made into bytes once for many connections.

use crate::support::{connection, deliver, written};
use newswire_proto::{CloseCode, Config, EncodedMessage, Event, Message, Role};

#[test]
fn every_subscriber_gets_the_message_in_its_place() {
    for len in [0, 125, 126, 70_000] {
        let text = "x".repeat(len);
        let news = EncodedMessage::new(&text[..]);
        for role in [Role::Server, Role::Client] {
            let mut from = connection(role, Config::new());
            let mut to = connection(role.peer(), Config::new());
            from.send("before".into()).unwrap();
            from.send_encoded(&news).unwrap();
            from.send("after".into()).unwrap();
            let wire = written(&mut from);
            let expected = ["before", &text, "after"].map(|m| Event::Message(m.into()));
            assert_eq!(deliver(&mut to, &wire), expected);
        }
    }
}

#[test]
fn a_closing_connection_gives_the_message_back() {
    let mut server = connection(Role::Server, Config::new());
    server.close(CloseCode::NORMAL, "").unwrap();
    let news = EncodedMessage::new("late");
    let error = server.send_encoded(&news).unwrap_err();
    assert_eq!(error.0, Message::from("late"));
}
