//! The event target: who is told of an event, in which order. What an event says is not known
//! here.

use super::WebSocket;
use super::events::{Event, EventType};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What is called for an event. It gets the socket, so it need not hold it.
type Callback = Rc<RefCell<dyn FnMut(&WebSocket, &Event)>>;

/// A listener that was added, to remove it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(u64);

struct Listener {
    id: ListenerId,
    kind: EventType,
    once: bool,
    /// Looked up when it is to be called: a handler may be replaced.
    callback: RefCell<Callback>,
    removed: Cell<bool>,
}

/// Handlers and listeners. Each may change them while it runs.
#[derive(Default)]
pub(super) struct EventTarget {
    listeners: RefCell<Vec<Rc<Listener>>>,
    /// Where the event handlers (`onopen` and its like) stand among the listeners.
    handlers: [RefCell<Option<Rc<Listener>>>; 4],
    last_id: Cell<u64>,
}

impl EventTarget {
    /// DOM §2.7 `addEventListener`: listeners are called in the order in which they were added.
    pub(super) fn add(
        &self,
        kind: EventType,
        once: bool,
        callback: impl FnMut(&WebSocket, &Event) + 'static,
    ) -> ListenerId {
        self.append(kind, once, Rc::new(RefCell::new(callback))).id
    }

    fn append(&self, kind: EventType, once: bool, callback: Callback) -> Rc<Listener> {
        self.last_id.set(self.last_id.get() + 1);
        let listener = Rc::new(Listener {
            id: ListenerId(self.last_id.get()),
            kind,
            once,
            callback: RefCell::new(callback),
            removed: Cell::new(false),
        });
        self.listeners.borrow_mut().push(Rc::clone(&listener));
        listener
    }

    /// Whether there was such a listener.
    pub(super) fn remove(&self, id: ListenerId) -> bool {
        let mut listeners = self.listeners.borrow_mut();
        let Some(at) = listeners.iter().position(|listener| listener.id == id) else {
            return false;
        };
        // A dispatch that is under way has a list of its own.
        let listener = listeners.remove(at);
        listener.removed.set(true);
        drop(listeners);
        true
    }

    /// HTML §8.1.8.1, event handlers: the handler stands where it was first set, a new one takes
    /// its predecessor's place, and `None` gives the place up.
    pub(super) fn set_handler(&self, kind: EventType, callback: Option<Callback>) {
        let slot = &self.handlers[kind as usize];
        let standing = slot.borrow().clone();
        let standing = match (standing, callback) {
            (None, None) => None,
            (None, Some(callback)) => Some(self.append(kind, false, callback)),
            (Some(listener), Some(callback)) => {
                // The old one may be running; whoever runs it holds it.
                let old = listener.callback.replace(callback);
                drop(old);
                Some(listener)
            }
            (Some(listener), None) => {
                self.remove(listener.id);
                None
            }
        };
        let old = slot.replace(standing);
        drop(old);
    }

    /// DOM §2.9 inner invoke: of those that listened when the event was fired, each that still
    /// does.
    pub(super) fn fire(&self, socket: &WebSocket, event: &Event) {
        let kind = event.event_type();
        let listening: Vec<_> = self
            .listeners
            .borrow()
            .iter()
            .filter(|listener| listener.kind == kind)
            .cloned()
            .collect();
        for listener in listening {
            if listener.removed.get() {
                continue;
            }
            // "If listener's once is true, then remove an event listener …" — before it is called.
            if listener.once {
                self.remove(listener.id);
            }
            let callback = Rc::clone(&listener.callback.borrow());
            // Nothing that a callback can do calls it again: a dispatch within one does nothing.
            (callback.borrow_mut())(socket, event);
        }
    }
}
