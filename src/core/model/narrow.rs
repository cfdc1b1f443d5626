//! Fractions into smaller types, which have no `TryFrom`: what does not fit becomes the nearest that does, and what
//! is no number becomes 0 in a whole one.

pub const fn single(value: f64) -> f32 {
    value as f32
}

pub const fn byte(value: f32) -> u8 {
    value as u8
}

pub const fn signed_byte(value: f32) -> i8 {
    value as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_becomes_the_nearest_that_does() {
        assert_eq!([byte(-1.0), byte(7.9), byte(1e9)], [0, 7, u8::MAX]);
        assert_eq!([signed_byte(-1e9), signed_byte(-7.9)], [i8::MIN, -7]);
        assert_eq!([byte(f32::NAN), byte(f32::INFINITY)], [0, u8::MAX]);
        assert!(single(1e300).is_infinite() && single(f64::NAN).is_nan());
    }
}
