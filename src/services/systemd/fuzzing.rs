//! What comes over the bus, read in every way that it is read in; for the fuzzer alone.

use crate::services::systemd::wire::{self, Message, ValueReader};
use crate::services::systemd::{events, known};

/// Reads `bytes` as they come from a socket, and as the body of a message that is one.
pub fn read_bus(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some(length)) = wire::length(rest) {
        assert!(length > 0, "a message without bytes would be read for ever");
        let Some((message, behind)) = rest.split_at_checked(length) else {
            break;
        };
        read(message);
        rest = behind;
    }
    read(&wire::change_with(bytes));
}

fn read(bytes: &[u8]) {
    let Ok(message) = wire::parse(bytes) else {
        return;
    };
    let _ = events::heard(&message);
    known::read_answer(&message);
    variants(&message);
}

/// A value that can be read can be passed over as well, and both end at the same byte.
fn variants(message: &Message<'_>) {
    let mut values: ValueReader<'_> = message.body();
    while !values.is_over() {
        let mut passed = values.clone();
        if values.variant().is_err() {
            return;
        }
        assert!(passed.skip_variant().is_ok());
        assert_eq!(passed.left(), values.left());
    }
}
