//! Compression's memory that the connections of a thread share. What is compressed, and how, is the
//! protocol's to know.

use newswire_proto::deflate::SharedCodec;
use std::cell::RefCell;

thread_local! {
    /// Made when the first message of the thread is compressed.
    static CODEC: RefCell<Option<SharedCodec>> = const { RefCell::new(None) };
}

/// Lends the thread's codec.
pub(crate) fn with_codec(work: &mut dyn FnMut(&mut SharedCodec)) {
    CODEC.with(|codec| match codec.try_borrow_mut() {
        Ok(mut codec) => work(codec.get_or_insert_default()),
        // Within the work of another connection, which never happens today.
        Err(_) => work(&mut SharedCodec::new()),
    });
}
