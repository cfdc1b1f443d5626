//! Why an action was not done, or failed.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;

use crate::core::model::hint::Hint;
use crate::core::model::unit::BadUnitName;
use crate::host::exec::ExecError;
use crate::host::signals::SignalError;
use crate::host::trusted::Untrusted;
use crate::services::ServiceError;
use crate::services::standing::Unfit;

/// Why an action was not done, or failed.
#[derive(Debug)]
pub enum ActionError {
    /// The host changed since the decision; nothing was touched.
    PreconditionGone(Why),
    /// Safety: nothing was touched.
    Refused(Why),
    /// It was tried and failed.
    Failed(Why),
}

impl ActionError {
    pub(super) fn gone(why: impl Into<Why>) -> Self {
        Self::PreconditionGone(why.into())
    }

    pub(super) fn refused(why: impl Into<Why>) -> Self {
        Self::Refused(why.into())
    }

    pub(super) fn failed(why: impl Into<Why>) -> Self {
        Self::Failed(why.into())
    }

    const fn why(&self) -> &Why {
        match self {
            Self::PreconditionGone(why) | Self::Refused(why) | Self::Failed(why) => why,
        }
    }

    /// What the service manager answered, in its own words, where it refused an order.
    pub fn answer(&self) -> Option<&str> {
        let Some(ServiceError::Refused(words)) = self.source()?.downcast_ref() else {
            return None;
        };
        Some(words)
    }
}

impl fmt::Display for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::PreconditionGone(_) => "precondition no longer true",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        };
        write!(f, "{what}: {}", self.why().text)
    }
}

impl Error for ActionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.why().source.as_ref()?;
        Some(source.as_ref())
    }
}

impl Hint for ActionError {
    fn hint(&self) -> Cow<'static, str> {
        self.why().hint.clone()
    }
}

/// What stood in the way, the error that said so, and what to do about it.
#[derive(Debug)]
pub struct Why {
    /// Says what `source` says, too.
    text: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hint: Cow<'static, str>,
}

impl Why {
    /// Behind the name of what it happened to.
    pub(super) fn at(self, what: &str) -> Self {
        let text = format!("{what}: {}", self.text);
        Self { text, ..self }
    }
}

impl From<String> for Why {
    fn from(text: String) -> Self {
        Self {
            text,
            source: None,
            hint: Cow::Borrowed(""),
        }
    }
}

impl From<&str> for Why {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// Another error, which says it all.
impl From<Box<dyn Error + Send + Sync>> for Why {
    fn from(source: Box<dyn Error + Send + Sync>) -> Self {
        let told = Self::from(source.to_string());
        Self {
            source: Some(source),
            ..told
        }
    }
}

/// Errors that say what to do, and those whose text says it all.
macro_rules! reasons {
    (hinted $($hinted:ty),+; plain $($plain:ty),+) => {
        $(impl From<$hinted> for Why {
            fn from(why: $hinted) -> Self {
                let hint = why.hint();
                let source: Box<dyn Error + Send + Sync> = why.into();
                Self { hint, ..source.into() }
            }
        })+
        $(impl From<$plain> for Why {
            fn from(why: $plain) -> Self {
                let source: Box<dyn Error + Send + Sync> = why.into();
                source.into()
            }
        })+
    };
}

reasons!(hinted Untrusted, Unfit; plain io::Error, BadUnitName, ExecError, ServiceError, SignalError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_what_it_came_of_and_says_apart_what_to_do() {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let of_file = ActionError::failed(Why::from(gone()).at("/etc/x"));
        assert_eq!(of_file.with_hint(), format!("failed: /etc/x: {}", gone()));
        let source = of_file.source().and_then(|why| why.downcast_ref());
        assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::NotFound));
        let unfit = || Unfit::NotExecutable("/opt/x".to_owned());
        let hinted = ActionError::refused(Why::from(unfit()).at("mend"));
        assert_eq!(hinted.to_string(), format!("refused: mend: {}", unfit()));
        assert_eq!(
            hinted.with_hint(),
            "refused: mend: /opt/x is not executable: chmod +x /opt/x"
        );
        let mere = ActionError::gone("it is there again");
        assert!(mere.source().is_none() && mere.hint().is_empty());
    }
}
