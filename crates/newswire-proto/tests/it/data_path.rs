//! The way of the bytes: a whole message is neither copied nor allocated for on its way in,
//! and copied once, into the output, on its way out.

use crate::support::{connection, frame};
use bytes::{Buf, BytesMut};
use newswire_proto::{Config, Event, OpCode, Role, Transmit};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counting what the current thread asks for.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

#[allow(unsafe_code)]
// SAFETY: everything is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        LIVE.with(|live| live.set(live.get() + layout.size() as isize));
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.with(|live| live.set(live.get() - layout.size() as isize));
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many bytes the current thread holds.
#[cfg(feature = "deflate")]
pub fn live() -> isize {
    LIVE.with(Cell::get)
}

fn allocations_in(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

/// One turn of an echo as a driver makes it: a read into a shared buffer, every message sent
/// back, one write, the buffer taken back.
fn turn(
    server: &mut newswire_proto::Connection,
    read_buffer: &mut BytesMut,
    output: &mut Option<Box<Transmit>>,
    wire: &[u8],
) -> usize {
    assert!(
        read_buffer.try_reclaim(60 * 1024),
        "no message points into it"
    );
    read_buffer.extend_from_slice(wire);
    server.handle_data(read_buffer.split());
    assert!(server.lend_transmit(output.take().unwrap()).is_none());
    let mut messages = 0;
    while let Some(event) = server.poll_event() {
        let Event::Message(message) = event else {
            panic!("{event:?}");
        };
        server.send(message).unwrap();
        messages += 1;
    }
    let transmit = server.poll_transmit().unwrap();
    transmit.advance(transmit.remaining());
    *output = server.take_transmit();
    messages
}

#[test]
fn an_echo_of_small_messages_allocates_nothing() {
    let mut server = connection(Role::Server, Config::new());
    let mut read_buffer = BytesMut::with_capacity(64 * 1024);
    let mut output = Some(Box::default());
    let one = frame(Role::Client, true, OpCode::Text, &[b'x'; 128]);
    let sixteen = one.repeat(16);
    // The first turn makes the buffers.
    turn(&mut server, &mut read_buffer, &mut output, &sixteen);
    let mut messages = 0;
    let allocations = allocations_in(|| {
        for _ in 0..1000 {
            messages += turn(&mut server, &mut read_buffer, &mut output, &one);
            messages += turn(&mut server, &mut read_buffer, &mut output, &sixteen);
        }
    });
    assert_eq!(messages, 17_000);
    assert_eq!(allocations, 0);
}

#[test]
fn a_whole_message_lies_where_it_was_read() {
    let mut server = connection(Role::Server, Config::new());
    let wire = frame(Role::Client, true, OpCode::Binary, &[1; 300]);
    let mut read_buffer = BytesMut::with_capacity(4096);
    read_buffer.extend_from_slice(&wire);
    let place = read_buffer.as_ptr() as usize;
    server.handle_data(read_buffer.split());
    let Some(Event::Message(message)) = server.poll_event() else {
        panic!("no message");
    };
    assert_eq!(message.as_bytes(), [1; 300]);
    assert_eq!(message.as_bytes().as_ptr() as usize, place + 8);
}

#[test]
fn after_the_last_event_the_read_buffer_is_free_again_even_inside_a_frame() {
    let wire = frame(Role::Client, true, OpCode::Binary, &[1; 300]);
    for cut in [1, 2, 5, 7, 8, 9, 200, 307, 308] {
        let mut server = connection(Role::Server, Config::new());
        let mut read_buffer = BytesMut::with_capacity(4096);
        read_buffer.extend_from_slice(&wire[..cut]);
        server.handle_data(read_buffer.split());
        while server.poll_event().is_some() {}
        assert!(read_buffer.try_reclaim(4096), "cut at {cut}");
    }
}

#[test]
fn a_begun_message_holds_at_most_twice_what_has_arrived() {
    let mut server = connection(Role::Server, Config::new());
    let wire = frame(Role::Client, true, OpCode::Binary, &vec![1; 60 << 20]);
    let before = LIVE.with(Cell::get);
    server.handle_data(BytesMut::from(&wire[..10_000]));
    assert_eq!(server.poll_event(), None);
    let held = LIVE.with(Cell::get) - before;
    assert!((9_900..21_000).contains(&held), "{held}");
}

#[test]
fn many_small_fragments_do_not_allocate_for_each() {
    let mut server = connection(Role::Server, Config::new());
    let first = frame(Role::Client, false, OpCode::Binary, b"0123456789");
    let next = frame(Role::Client, false, OpCode::Continuation, b"0123456789").repeat(10_000);
    server.handle_data(BytesMut::from(&first[..]));
    assert_eq!(server.poll_event(), None);
    let wire = BytesMut::from(&next[..]);
    let allocations = allocations_in(|| {
        server.handle_data(wire);
        assert_eq!(server.poll_event(), None);
    });
    assert!(allocations < 20, "{allocations}");
}
