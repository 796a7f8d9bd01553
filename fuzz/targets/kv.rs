//! The key-value server's protocol: however a client's bytes are cut, the replies are the same, and none is the server's end.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../examples/kv_server/mod.rs"]
#[allow(dead_code, reason = "the command line is the example's")]
mod engine;

use engine::{Session, Store};

/// What a server with an empty store answers to `bytes` that come in pieces of `size`.
fn replies(bytes: &[u8], size: usize) -> Vec<u8> {
    let store = Store::new(1 << 20);
    let mut session = Session::new();
    let mut replies = Vec::new();
    for mut piece in bytes.chunks(size) {
        while !piece.is_empty() && !session.is_over {
            let space = session.space();
            let count = space.len().min(piece.len());
            space[..count].copy_from_slice(&piece[..count]);
            session.filled(count);
            piece = &piece[count..];
            while session.advance(&store) {
                replies.extend_from_slice(&session.output);
            }
        }
    }
    replies
}

fuzz_target!(|bytes: &[u8]| {
    let whole = replies(bytes, usize::MAX);
    for size in [1, 3, 100] {
        assert_eq!(replies(bytes, size), whole, "in pieces of {size}");
    }
});
