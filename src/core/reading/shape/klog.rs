//! klog and glog: `E0502 10:11:19.000001       7 file.go:88] message`.

use super::scan::{clock, digits, word};
use super::{Layer, Shape};
use crate::core::reading::level::Level;

pub(super) fn read(text: &str) -> Option<Layer<'_>> {
    let letter = *text.as_bytes().first()?;
    let level = Level::of_letter(letter).filter(|_| matches!(letter, b'E' | b'W' | b'I' | b'F'))?;
    let (_, rest) = digits(text.get(1..)?, 4, 8)?;
    let (_thread, rest) = word(
        clock(rest.strip_prefix(' ')?)?
            .strip_prefix(' ')?
            .trim_start(),
    );
    let (place, message) = rest.split_once("] ")?;
    if place.contains(' ') {
        return None;
    }
    Some(Layer {
        level: Some(level),
        ..Layer::new(Shape::Klog, message)
    })
}
