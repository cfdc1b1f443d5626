//! Texts that the binary carries packed (DEFLATE, RFC 1951): read seldom, and two thirds of their bytes are
//! repetition. `src/build.rs` packs them.

use std::io::Read;

use flate2::read::DeflateDecoder;

/// A text, or what else is packed, as it lies in the binary.
#[derive(Clone, Copy, Debug)]
pub struct Packed(pub &'static [u8]);

impl Packed {
    /// The text itself, made anew at each call.
    pub fn text(self) -> String {
        // Tests read every one of them. A text that is none would name nothing, the safe side.
        String::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// What was packed, made anew at each call.
    pub fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match DeflateDecoder::new(self.0).read_to_end(&mut bytes) {
            Ok(_) => bytes,
            Err(_) => Vec::new(),
        }
    }
}

/// The packed text of that name.
macro_rules! packed {
    ($name:literal) => {
        $crate::core::model::packed::Packed(include_bytes!(concat!(
            env!("OUT_DIR"),
            "/",
            $name,
            ".deflate"
        )))
    };
}

pub(crate) use packed;
