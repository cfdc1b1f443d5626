//! What the program may do without a human.

use crate::core::config::settings::{self, Reading, Setting, Shown, Written};
use crate::core::model::named::named;

named! {
    /// What the program may do without a human.
    Mode "mode" {
        Observe = "observe",
        /// A human runs `approve`.
        Suggest = "suggest",
        Auto = "auto",
    }
}

impl Setting for Mode {
    fn read(written: &Written<'_>, reading: &mut Reading) -> Option<Self> {
        settings::word(written, reading, "observe, suggest or auto", |text| {
            [Self::Observe, Self::Suggest, Self::Auto]
                .into_iter()
                .find(|mode| mode.as_str() == text)
        })
    }

    fn shown(&self) -> Shown {
        Shown::Scalar(self.as_str().into())
    }
}
