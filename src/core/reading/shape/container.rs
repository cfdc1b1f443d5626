//! Envelopes of container engines that are no JSON.

use super::scan::{after, digits, word};
use super::stamp::Stamp;
use super::{Layer, Shape};

/// CRI (containerd, CRI-O): `TIME stdout F message`.
pub(super) fn cri(stamp: Stamp<'_>) -> Option<Layer<'_>> {
    let rest = after(stamp.rest, b' ')?;
    let rest = rest
        .strip_prefix("stdout ")
        .or_else(|| rest.strip_prefix("stderr "))?;
    let message = rest
        .strip_prefix("F ")
        .or_else(|| rest.strip_prefix("P "))?;
    Some(Layer::new(Shape::Cri, message))
}

/// `docker compose logs`: `historian-1  | message`.
pub(super) fn compose(text: &str) -> Option<Layer<'_>> {
    let (name, rest) = word(text);
    let message = after(after(rest, b'|')?, b' ')?;
    let (_, number) = name.rsplit_once(['-', '_'])?;
    let (_, behind) = digits(number, 1, 3)?;
    let sane = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    if !behind.is_empty() || !name.bytes().all(sane) {
        return None;
    }
    Some(Layer {
        program: name.into(),
        ..Layer::new(Shape::Compose, message)
    })
}
