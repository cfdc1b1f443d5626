//! Closed lists of names: an enum whose variants are stored, printed and read by one name each.

use std::fmt;

use crate::core::model::text::nearest;

/// Declares such an enum: `ALL`, `as_str`, `Display` and `FromStr`, whose error lists the names.
///
/// The literal after the type says what one of them is called in that error.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident $what:literal { $( $(#[$note:meta])* $variant:ident = $name:literal, )+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $( $(#[$note])* $variant, )+ }

        impl $type {
            /// All of them, in the order of declaration.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            /// The stored and printed name.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $name, )+ }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::core::model::named::UnknownName;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|one| one.as_str() == name).ok_or_else(|| {
                    $crate::core::model::named::UnknownName {
                        what: $what,
                        name: name.to_owned(),
                        known: &[ $( $name ),+ ],
                    }
                })
            }
        }
    };
}
pub(crate) use named;

/// The same, each with its row: `spec` answers it, so that all that hangs on a name stands beside it.
macro_rules! table {
    ($(#[$doc:meta])* $type:ident $what:literal $spec:ident {
        $( $(#[$note:meta])* $variant:ident = $name:literal { $( $field:ident: $value:expr ),+ $(,)? } )+
    }) => {
        $crate::core::model::named::named! {
            $(#[$doc])*
            $type $what { $( $(#[$note])* $variant = $name, )+ }
        }

        impl $type {
            const fn spec(self) -> &'static $spec {
                match self { $( Self::$variant => &$spec { $( $field: $value ),+ }, )+ }
            }
        }
    };
}
pub(crate) use table;

/// A name that its list does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// What it should have been: `status`, `action`, …
    pub what: &'static str,
    pub name: String,
    pub known: &'static [&'static str],
}

/// Of a list longer than this only the nearest name is told.
const LISTED_MOST: usize = 16;

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is no {}", self.name, self.what)?;
        if self.known.len() <= LISTED_MOST {
            return write!(f, ": {}", self.known.join(", "));
        }
        match nearest(&self.name, self.known.iter().copied()) {
            Some(name) => write!(f, "; did you mean '{name}'?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UnknownName {}

#[cfg(test)]
mod tests {
    named! {
        Colour "colour" { Red = "red", Blue = "light blue", }
    }

    #[test]
    fn names_round_trip_and_an_unknown_one_is_told_with_what_is_known() {
        for colour in Colour::ALL {
            assert_eq!(colour.to_string().parse(), Ok(*colour));
        }
        let told = "green".parse::<Colour>().map_err(|why| why.to_string());
        assert_eq!(
            told,
            Err("'green' is no colour: red, light blue".to_owned())
        );
    }
}
