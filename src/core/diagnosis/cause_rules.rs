//! Cause rules: words and the one cause each means, as data. `causes.toml` says how they are written and which of
//! several counts; operators add theirs.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::OnceLock;

use toml::Spanned;

use crate::core::config::settings::{self, Mistake, section};
use crate::core::diagnosis::phrases::{Phrases, SHORTEST};
use crate::core::model::cause::Cause;
use crate::core::model::class::Class;
use crate::core::model::hint::Hint;
use crate::core::model::named::named;
use crate::core::model::packed::{Packed, packed};

const BUILTIN: Packed = packed!("causes.toml");
const BUILTIN_NAME: &str = "causes.toml";

/// A rule of ours for last runs below it only guesses, in percent.
const GUESS: u8 = 65;

named! {
    /// Whose words a line is.
    Context "context" {
        /// The kernel's own line.
        Kernel = "kernel",
        /// Of the last run of a unit that is down.
        UnitLog = "unit_log",
        /// Any other line.
        Application = "application",
    }
}

section! {
    File {
        rule: Vec<Spanned<Written>> = Vec::new(),
    }
}

section! {
    /// A rule as written in a file.
    Written {
        cause: Option<Spanned<String>> = None,
        /// In percent.
        confidence: Option<Spanned<u8>> = None,
        context: Vec<Spanned<String>> = Vec::new(),
        class: Vec<Spanned<String>> = Vec::new(),
        words: Vec<Spanned<String>> = Vec::new(),
        unless: Vec<Spanned<String>> = Vec::new(),
        must: Vec<String> = Vec::new(),
        must_not: Vec<String> = Vec::new(),
    }
}

/// A rule without its words.
#[derive(Debug)]
struct Rule {
    cause: Cause,
    /// In percent.
    confidence: u8,
    /// Empty: of any.
    contexts: Vec<Context>,
    /// Empty: of any.
    classes: Vec<Class>,
    /// The operator's.
    own: bool,
}

/// Where a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose words it is.
    pub context: Context,
    /// Of the finding that the line belongs to.
    pub class: Class,
}

/// What a line names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit<'a> {
    /// Never a guess: each rule means one.
    pub cause: Cause,
    /// 0 to 1.
    pub confidence: f64,
    /// It counts only where the program itself states that the line is an error.
    pub guess: bool,
    /// Those of the rule that occur in the line.
    pub words: &'a str,
}

/// All rules, ready to be asked.
#[derive(Debug, Default)]
pub struct CauseRules {
    rules: Vec<Rule>,
    /// The owner is twice the number of the rule; one more for what it does not count with.
    phrases: Phrases,
}

/// A file of cause rules that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseRuleError {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub what: Mistake,
}

impl fmt::Display for CauseRuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what } = self;
        write!(f, "{file}:{line}: {what}")
    }
}

impl Error for CauseRuleError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.what)
    }
}

impl Hint for CauseRuleError {
    fn hint(&self) -> Cow<'static, str> {
        "correct it, or move the file out of causes.d".into()
    }
}

impl CauseRules {
    /// The rules that ship inside the binary.
    pub fn builtin() -> &'static Self {
        static RULES: OnceLock<CauseRules> = OnceLock::new();
        // A test parses the embedded text; at run time an unreadable one would name nothing, the safe side.
        RULES.get_or_init(|| Self::load(&[]).unwrap_or_default())
    }

    /// The operator's files as `(name, text)`, before the built-in rules.
    pub fn load(texts: &[(String, String)]) -> Result<Self, CauseRuleError> {
        let mut rules = Vec::new();
        let mut words = Vec::new();
        for (file, text, own) in files(texts, &BUILTIN.text()) {
            for written in parse(file, text)? {
                let start = written.span().start;
                let written = written.into_inner();
                let rule = written
                    .rule(start, own)
                    .map_err(|what| placed(file, text, what))?;
                let number = u32::try_from(rules.len()).unwrap_or(u32::MAX / 2);
                let owned = |owner| move |text: Spanned<String>| (text.into_inner(), owner);
                words.extend(written.words.into_iter().map(owned(2 * number)));
                words.extend(written.unless.into_iter().map(owned(2 * number + 1)));
                rules.push(rule);
            }
        }
        let texts = words.iter().map(|(text, owner)| (text.as_str(), *owner));
        Ok(Self {
            phrases: Phrases::new(texts),
            rules,
        })
    }

    /// What `line` names, if anything. One pass over it, whatever the number of rules.
    pub fn name(&self, place: Place, line: &str) -> Option<Hit<'_>> {
        let mut hits: Vec<(&Rule, u32, &str)> = Vec::new();
        let mut barred: Vec<u32> = Vec::new();
        self.phrases.find(line, &mut |owner, words| {
            let number = owner / 2;
            let rule = usize::try_from(number)
                .ok()
                .and_then(|at| self.rules.get(at));
            match rule.filter(|rule| rule.counts(place)) {
                Some(_) if owner % 2 == 1 => barred.push(number),
                Some(rule) => hits.push((rule, number, words)),
                None => {}
            }
        });
        let (rule, _, words) = hits
            .into_iter()
            .filter(|(_, number, _)| !barred.contains(number))
            .max_by_key(|(rule, _, words)| {
                (rule.own, rule.is_for(place), rule.confidence, words.len())
            })?;
        Some(Hit {
            cause: rule.cause,
            confidence: f64::from(rule.confidence) / 100.0,
            guess: rule.is_guess(),
            words,
        })
    }
}

impl Rule {
    fn counts(&self, place: Place) -> bool {
        (self.contexts.is_empty() || self.contexts.contains(&place.context))
            && (self.classes.is_empty() || self.classes.contains(&place.class))
    }

    /// It was written for this class, or for this context and no other; a guess never outdoes what is surer.
    fn is_for(&self, place: Place) -> bool {
        !self.is_guess() && (!self.classes.is_empty() || self.contexts == [place.context])
    }

    /// One of ours for last runs alone, and not sure.
    fn is_guess(&self) -> bool {
        !self.own && self.confidence < GUESS && self.contexts == [Context::UnitLog]
    }
}

impl Written {
    /// `start` is where the rule begins.
    fn rule(&self, start: usize, own: bool) -> Result<Rule, Mistake> {
        let (Some(cause), Some(confidence)) = (&self.cause, &self.confidence) else {
            return Err(Mistake::new(start, "a rule needs cause and confidence"));
        };
        if *confidence.get_ref() > 100 {
            let at = confidence.span().start;
            return Err(Mistake::new(at, "confidence: write 0 to 100"));
        }
        if self.words.is_empty() {
            let what = "words is empty: the rule would never count";
            return Err(Mistake::new(start, what));
        }
        if self.must.is_empty() {
            let what = "must is empty: a rule needs a line that it has to name";
            return Err(Mistake::new(start, what));
        }
        let all = self.words.iter().chain(&self.unless);
        all.clone().try_for_each(is_usable)?;
        Ok(Rule {
            cause: parsed(cause)?,
            confidence: *confidence.get_ref(),
            contexts: self.context.iter().map(parsed).collect::<Result<_, _>>()?,
            classes: self.class.iter().map(parsed).collect::<Result<_, _>>()?,
            own,
        })
    }
}

/// Words that can be found at all.
fn is_usable(words: &Spanned<String>) -> Result<(), Mistake> {
    let text = words.get_ref();
    let first = text.split('&').next().unwrap_or("");
    let what = if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        "write the words in lower case: lines are read so"
    } else if first.len() < SHORTEST {
        "the first part needs three letters or more"
    } else {
        return Ok(());
    };
    Err(Mistake::new(
        words.span().start,
        format!("'{text}': {what}"),
    ))
}

fn parsed<T: std::str::FromStr<Err: fmt::Display>>(name: &Spanned<String>) -> Result<T, Mistake> {
    name.get_ref()
        .parse()
        .map_err(|why: T::Err| Mistake::new(name.span().start, why.to_string()))
}

/// The operator's files, then the built-in one; each with its name, its text and whether it is the operator's.
fn files<'a>(
    texts: &'a [(String, String)],
    builtin: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str, bool)> {
    let own = texts
        .iter()
        .map(|(file, text)| (file.as_str(), text.as_str(), true));
    own.chain([(BUILTIN_NAME, builtin, false)])
}

fn parse(file: &str, text: &str) -> Result<Vec<Spanned<Written>>, CauseRuleError> {
    let read: Result<File, Mistake> = settings::read(text);
    Ok(read.map_err(|what| placed(file, text, what))?.rule)
}

fn placed(file: &str, text: &str, what: Mistake) -> CauseRuleError {
    CauseRuleError {
        file: file.to_owned(),
        line: what.line(text),
        what,
    }
}

/// All that is wrong in the operator's files, or else with their samples among all rules, the built-in ones included.
pub fn check(texts: &[(String, String)]) -> Vec<CauseRuleError> {
    let rules = match CauseRules::load(texts) {
        Ok(rules) => rules,
        Err(why) => return vec![why],
    };
    let files = texts.iter();
    files
        .flat_map(|(file, text)| misnamed(&rules, file, text))
        .collect()
}

/// The samples of a file that `rules` do not name as the file wants.
fn misnamed(rules: &CauseRules, file: &str, text: &str) -> Vec<CauseRuleError> {
    let mut wrong = Vec::new();
    for written in parse(file, text).unwrap_or_default() {
        let start = written.span().start;
        let mistakes = written.into_inner().tried(rules, start);
        wrong.extend(mistakes.into_iter().map(|what| placed(file, text, what)));
    }
    wrong
}

impl Written {
    /// The samples that are not named as the rule wants.
    fn tried(&self, rules: &CauseRules, start: usize) -> Vec<Mistake> {
        let Ok(rule) = self.rule(start, false) else {
            return Vec::new();
        };
        let place = Place {
            context: rule
                .contexts
                .first()
                .copied()
                .unwrap_or(Context::Application),
            class: rule.classes.first().copied().unwrap_or(Class::LogError),
        };
        let must = self.must.iter().map(|text| (text, true));
        let all = must.chain(self.must_not.iter().map(|text| (text, false)));
        all.filter_map(|(text, wanted)| {
            let named = rules.name(place, text);
            let cause = named.map_or(Cause::Unknown, |hit| hit.cause);
            let what = match ((cause == rule.cause) == wanted, named) {
                (true, _) => return None,
                (false, Some(hit)) => format!("{text:?} is named {cause} ('{}')", hit.words),
                (false, None) => format!("{text:?} is not named"),
            };
            Some(Mistake::new(start, format!("{}: {what}", rule.cause)))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn named(rules: &CauseRules, context: Context, line: &str) -> Option<Cause> {
        let class = Class::LogError;
        rules
            .name(Place { context, class }, line)
            .map(|hit| hit.cause)
    }

    fn own(text: &str) -> Vec<(String, String)> {
        vec![("own.toml".to_owned(), text.to_owned())]
    }

    #[test]
    fn the_built_in_rules_name_their_samples() {
        let wrong = misnamed(CauseRules::builtin(), BUILTIN_NAME, &BUILTIN.text());
        let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_same_words_mean_another_thing_on_a_line_of_the_kernel() {
        let rules = CauseRules::builtin();
        let line = "NETDEV WATCHDOG: eth0: transmit queue 0 timed out";
        assert_eq!(named(rules, Context::Kernel, line), Some(Cause::DeviceHung));
        for (context, cause) in [
            (Context::Kernel, None),
            (Context::Application, Some(Cause::ConnectionTimeout)),
        ] {
            assert_eq!(named(rules, context, "read timed out"), cause, "{context}");
        }
    }

    #[test]
    fn of_several_rules_the_operators_counts_then_the_narrower_then_the_surer_then_the_longer() {
        let text = "[[rule]]\ncause = 'lock_held'\nconfidence = 50\nwords = ['pump is busy']\nmust = ['pump is busy']\n\
             [[rule]]\ncause = 'device_hung'\nconfidence = 40\ncontext = ['unit_log']\nwords = ['pump is']\nmust = ['pump is']\n\
             [[rule]]\ncause = 'program_error'\nconfidence = 50\nwords = ['pump is busy again']\nmust = ['pump is busy again']\n";
        let rules = CauseRules::load(&own(text)).unwrap();
        for (context, line, cause) in [
            (
                Context::Application,
                "pump is busy: No space left on device",
                Cause::LockHeld,
            ),
            (Context::UnitLog, "pump is busy", Cause::DeviceHung),
            (
                Context::Application,
                "pump is busy again",
                Cause::ProgramError,
            ),
            (
                Context::Application,
                "No space left on device",
                Cause::DiskFull,
            ),
        ] {
            assert_eq!(named(&rules, context, line), Some(cause), "{line}");
        }
        assert!(check(&own(text)).is_empty());
    }

    #[test]
    fn mistakes_name_file_and_line() {
        let rule = "[[rule]]\ncause = 'power'\nconfidence = 50\n";
        for (text, line, what) in [
            (
                "[[rule]]\ncause = 'nope'\nconfidence = 100\nwords = ['abc']\nmust = ['abc']",
                2,
                "is no cause",
            ),
            ("[[rule]]\nwords = ['abc']", 1, "needs cause"),
            (&format!("{rule}must = ['x']"), 1, "words is empty"),
            (&format!("{rule}words = ['abc']"), 1, "must is empty"),
            (
                &format!("{rule}words = ['Abc']\nmust = ['x']"),
                4,
                "lower case",
            ),
            (
                &format!("{rule}words = ['ab&cde']\nmust = ['x']"),
                4,
                "three letters",
            ),
            (
                &format!("{rule}words = ['abc']\nmust = ['abd']"),
                1,
                "is not named",
            ),
            (
                &format!("{rule}words = ['abc']\nmust = ['abc']\nmust_not = ['abc d']"),
                1,
                "is named power",
            ),
            (
                &format!("{rule}context = ['nowhere']\nwords = ['abc']\nmust = ['abc']"),
                4,
                "no context",
            ),
            ("[[rule]]\ncolour = 1", 2, "unknown key"),
        ] {
            let wrong = check(&own(text));
            let first = wrong.first().unwrap();
            assert_eq!(
                (first.file.as_str(), first.line),
                ("own.toml", line),
                "{first}"
            );
            assert!(first.to_string().contains(what), "{first}");
        }
    }
}
