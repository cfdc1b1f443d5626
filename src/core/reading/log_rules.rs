//! Log rules: the built-in set and the operator's, one linear-time pass over all patterns per line.

mod mistake;
mod needed;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use toml::Spanned;

use crate::core::config::settings::{self, section};
use crate::core::model::class::Class;
use crate::core::model::finding::Severity;
use crate::core::model::packed::{Packed, packed};
use crate::core::reading::errno;
use crate::core::reading::level::Level;
use crate::core::reading::logline::{LogLine, Origin};
use crate::core::reading::words::{Lexicon, Trouble};

pub use self::mistake::RuleError;
use self::mistake::{RuleFault, RuleMistake};

const BUILTIN: Packed = packed!("log_rules.toml");

const BUILTIN_NAME: &str = "built-in rules";

/// Compiled size of all patterns together, bytes. The daemon's whole budget is 5 MB.
const SIZE_LIMIT: usize = 2 << 20;
/// Lazy automaton cache of one thread, bytes: it refills when too small, which costs time, not truth.
const CACHE_LIMIT: usize = 192 << 10;

section! {
    RuleFile {
        rule: Vec<Spanned<Written>> = Vec::new(),
    }
}

section! {
    /// A rule as written in a file.
    Written {
        name: Option<Spanned<String>> = None,
        /// Any of these; the capture group `subject` names what the finding is about.
        r#match: Vec<String> = Vec::new(),
        /// None of these.
        ignore: Vec<String> = Vec::new(),
        /// An ordinary line: no finding, and no later rule is asked.
        drop: bool = false,
        /// Makes no finding, but one that the line makes by its level or words is at most of this severity.
        at_most: bool = false,
        /// Makes at least this severity of a line, however low the level that it states; debug stays debug.
        at_least: bool = false,
        class: Option<String> = None,
        subject: Option<String> = None,
        severity: Option<String> = None,
        /// Only lines of these programs or units.
        identifier: Vec<String> = Vec::new(),
        source: Option<String> = None,
        must: Vec<String> = Vec::new(),
        must_not: Vec<String> = Vec::new(),
    }
}

/// What a rule that fits does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Drops,
    AtMost,
    AtLeast,
    Finds,
}

/// A rule with its meaning resolved.
#[derive(Debug)]
struct Rule {
    name: String,
    file: String,
    /// Pattern numbers in the set: first, one past the last match, one past the last ignore.
    patterns: (usize, usize, usize),
    kind: Kind,
    class: Class,
    severity: Severity,
    subject: Option<String>,
    captures: Vec<Regex>,
    identifier: Vec<String>,
    source: Option<Origin>,
    must: Vec<String>,
    must_not: Vec<String>,
}

/// What a line means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    pub class: Class,
    pub subject: String,
    pub severity: Severity,
    /// The line states neither a level nor an errno: only its words tell.
    pub only_words: bool,
}

/// All rules, compiled.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    set: RegexSet,
    /// The patterns of rules that can make a finding of an ordinary line.
    makers: RegexSet,
    /// An operator's rule is among them: it may look for anything.
    has_own_makers: bool,
    lexicon: Lexicon,
}

impl RuleSet {
    /// The built-in rules alone.
    #[cfg(test)]
    pub fn builtin() -> Result<Self, RuleError> {
        Self::load(&[])
    }

    /// The operator's files as `(name, text)`, in order, before the built-in rules: the first rule that
    /// fits decides.
    pub fn load(texts: &[(String, String)]) -> Result<Self, RuleError> {
        let mut rules = Vec::new();
        let mut patterns = Vec::new();
        let builtin = BUILTIN.text();
        let builtin = [(BUILTIN_NAME, builtin.as_str())];
        let own = texts
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()));
        for (file, text) in own.chain(builtin) {
            let parsed: RuleFile = settings::read(text).map_err(|mistake| RuleError {
                file: file.to_owned(),
                line: mistake.line(text),
                what: RuleMistake::Form(mistake),
            })?;
            for written in parsed.rule {
                let start = written.span().start;
                let written = written.into_inner();
                let named = written
                    .name
                    .as_ref()
                    .map_or(start, |name| name.span().start);
                let line = settings::line_of(text, named);
                let rule = resolve(written, file, &mut patterns).map_err(|what| RuleError {
                    file: file.to_owned(),
                    line,
                    what,
                })?;
                rules.push(rule);
            }
        }
        let makes = |rule: &&Rule| matches!(rule.kind, Kind::AtLeast | Kind::Finds);
        let mut who = rules.iter().filter(makes);
        let has_own_makers = who.any(|rule| rule.file != BUILTIN_NAME);
        let makers: Vec<&String> = rules
            .iter()
            .filter(makes)
            .filter_map(|rule| patterns.get(rule.patterns.0..rule.patterns.1))
            .flatten()
            .collect();
        Ok(Self {
            makers: together(&makers)?,
            has_own_makers,
            set: together(&patterns)?,
            rules,
            lexicon: Lexicon::default(),
        })
    }

    /// What the line means; `None` for an ordinary one. The first rule that fits decides, then the level that the
    /// line states, and only where it states none its words.
    pub fn classify(&self, line: &LogLine<'_>) -> Option<Match> {
        let own = self.own_severity(line);
        // Other rules only drop or lessen what a line is by itself.
        if own.is_none() && !self.may_make(line.text.as_bytes()) {
            return None;
        }
        let hits = self.set.matches(line.text.as_bytes());
        let mut most = Severity::Critical;
        let mut least = None;
        if hits.matched_any() {
            for rule in self.rules.iter().filter(|rule| rule.fits(line, &hits)) {
                match rule.kind {
                    Kind::Drops => return None,
                    Kind::AtMost => most = most.min(rule.severity),
                    Kind::AtLeast => least = least.max(Some(rule.severity)),
                    Kind::Finds => return Some(rule.found(line)),
                }
            }
        }
        let tells = line.level != Some(Level::Debug) && !line.continues;
        let severity = own.max(least.filter(|_| tells))?;
        Some(Match {
            class: Class::LogError,
            subject: line.subject().to_owned(),
            severity: severity.min(most),
            only_words: line.level.is_none() && least.is_none() && !errno::tells(line.message),
        })
    }

    /// The rules that fit the line, each with what it does, in the order in which they are asked.
    pub fn fitting(&self, line: &LogLine<'_>) -> Vec<String> {
        let hits = self.set.matches(line.text.as_bytes());
        let fit = self.rules.iter().filter(|rule| rule.fits(line, &hits));
        fit.map(|rule| {
            let does = match rule.kind {
                Kind::Drops => "drops it".to_owned(),
                Kind::AtMost => format!("at most {}", rule.severity),
                Kind::AtLeast => format!("at least {}", rule.severity),
                Kind::Finds => format!("finds {}", rule.class),
            };
            format!("{} ({does})", rule.name)
        })
        .collect()
    }

    fn may_make(&self, text: &[u8]) -> bool {
        (self.has_own_makers || needed::is_in(text)) && self.makers.is_match(text)
    }

    /// By the level that the line states, else by its words.
    fn own_severity(&self, line: &LogLine<'_>) -> Option<Severity> {
        match line.level {
            Some(Level::Critical) => Some(Severity::Critical),
            Some(Level::Error) => Some(Severity::Error),
            Some(Level::Warning | Level::Notice | Level::Info | Level::Debug) => None,
            // The line before it told of the fault: this is where it happened.
            None if line.continues => None,
            None => match self.lexicon.judge(line.message)? {
                Trouble::Sure => Some(Severity::Error),
                Trouble::Likely => Some(Severity::Warning),
            },
        }
    }

    /// Runs every rule's samples. All failures are returned, not only the first.
    pub fn check_samples(&self) -> Vec<RuleError> {
        let mut wrong = Vec::new();
        for rule in &self.rules {
            let origin = rule.source.unwrap_or(Origin::Text);
            let unit = rule.identifier.first().map_or("", String::as_str);
            let samples = rule.must.iter().map(|text| (text, true));
            for (text, want) in samples.chain(rule.must_not.iter().map(|text| (text, false))) {
                let line = LogLine {
                    text,
                    message: text,
                    unit: "",
                    identifier: unit,
                    level: None,
                    continues: false,
                    origin,
                };
                if rule.fits(&line, &self.set.matches(text.as_bytes())) != want {
                    wrong.push(RuleError {
                        file: rule.file.clone(),
                        line: 0,
                        what: RuleMistake::Sample {
                            rule: rule.name.clone(),
                            text: text.clone(),
                            wanted: want,
                        },
                    });
                }
            }
        }
        wrong
    }
}

impl Rule {
    fn fits(&self, line: &LogLine<'_>, hits: &regex::bytes::SetMatches) -> bool {
        let (first, ignores, end) = self.patterns;
        let any = |range: std::ops::Range<usize>| range.into_iter().any(|at| hits.matched(at));
        let program = self.identifier.is_empty()
            || self.identifier.iter().any(|name| {
                name == line.identifier
                    || name == line.unit
                    || line.unit.strip_suffix(".service") == Some(name)
            });
        let source = self.source.is_none_or(|source| source == line.origin);
        source && program && any(first..ignores) && !any(ignores..end)
    }

    fn found(&self, line: &LogLine<'_>) -> Match {
        let captured = self.captures.iter().find_map(|regex| {
            let captures = regex.captures(line.text.as_bytes())?;
            let text = captures.name("subject")?.as_bytes();
            Some(String::from_utf8_lossy(text).into_owned())
        });
        let subject = captured
            .or_else(|| self.subject.clone())
            .unwrap_or_else(|| line.subject().to_owned());
        Match {
            class: self.class,
            subject,
            severity: self.severity,
            only_words: false,
        }
    }
}

fn together<P: AsRef<str>>(patterns: &[P]) -> Result<RegexSet, RuleError> {
    RegexSetBuilder::new(patterns)
        .unicode(false)
        .size_limit(SIZE_LIMIT)
        .dfa_size_limit(CACHE_LIMIT)
        .build()
        .map_err(|why| RuleError {
            file: "all rules".to_owned(),
            line: 0,
            what: RuleMistake::Together(why),
        })
}

const fn kind_of(written: &Written) -> Kind {
    match (written.drop, written.at_most, written.at_least) {
        (true, _, _) => Kind::Drops,
        (false, true, _) => Kind::AtMost,
        (false, false, true) => Kind::AtLeast,
        (false, false, false) => Kind::Finds,
    }
}

fn resolve(written: Written, file: &str, patterns: &mut Vec<String>) -> Result<Rule, RuleMistake> {
    let kind = kind_of(&written);
    let Some(name) = written.name.map(Spanned::into_inner) else {
        return Err(RuleMistake::NoName);
    };
    let wrong = |fault| RuleMistake::Rule(name.clone(), fault);
    if written.r#match.is_empty() {
        return Err(wrong(RuleFault::NoMatch));
    }
    let class = match written.class.as_deref() {
        None => Class::LogError,
        Some(text) => text.parse().map_err(|why| wrong(RuleFault::Class(why)))?,
    };
    let severity = match written.severity.as_deref() {
        None => Severity::Error,
        Some(text) => text
            .parse()
            .map_err(|why| wrong(RuleFault::Severity(why)))?,
    };
    let source = match written.source.as_deref() {
        None => None,
        Some("text") => Some(Origin::Text),
        Some("leveled") => Some(Origin::Leveled),
        Some(other) => return Err(wrong(RuleFault::Source(other.to_owned()))),
    };
    let mut captures = Vec::new();
    // The built-in patterns are checked by a test; compiling each once more at every start costs memory.
    let unchecked = |pattern: &str| file == BUILTIN_NAME && !pattern.contains("(?P<subject>");
    for pattern in written
        .r#match
        .iter()
        .chain(&written.ignore)
        .filter(|pattern| !unchecked(pattern))
    {
        // Each pattern by itself first, so that the error names the rule.
        let regex = RegexBuilder::new(pattern)
            .unicode(false)
            .size_limit(SIZE_LIMIT)
            .dfa_size_limit(CACHE_LIMIT)
            .build()
            .map_err(|why| wrong(RuleFault::Pattern(why)))?;
        if regex.is_match(b"") {
            return Err(wrong(RuleFault::FitsAll(pattern.clone())));
        }
        if regex
            .capture_names()
            .flatten()
            .any(|group| group == "subject")
        {
            captures.push(regex);
        }
    }
    let first = patterns.len();
    patterns.extend(written.r#match);
    let ignores = patterns.len();
    patterns.extend(written.ignore);
    Ok(Rule {
        name,
        file: file.to_owned(),
        patterns: (first, ignores, patterns.len()),
        kind,
        class,
        severity,
        subject: written.subject,
        captures,
        identifier: written.identifier,
        source,
        must: written.must,
        must_not: written.must_not,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::reading::shape;

    fn leveled(message: &'static str, priority: u8) -> LogLine<'static> {
        LogLine {
            text: message,
            message,
            unit: "app.service",
            identifier: "app",
            level: Some(Level::of_syslog(priority)),
            continues: false,
            origin: Origin::Leveled,
        }
    }

    fn text(rules: &RuleSet, line: &str) -> Option<Match> {
        rules.classify(&LogLine::spoken(&shape::read(line), "f"))
    }

    /// Texts that fit each pattern, made from the pattern.
    #[test]
    fn what_fits_a_built_in_rule_that_makes_a_finding_has_what_is_needed() {
        let text = BUILTIN.text();
        let file: RuleFile = settings::read(&text).unwrap();
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let mut patterns = 0;
        for rule in file.rule.into_iter().map(Spanned::into_inner) {
            if !matches!(kind_of(&rule), Kind::AtLeast | Kind::Finds) {
                continue;
            }
            for pattern in &rule.r#match {
                let bare = pattern.replace("\\b", "").replace('^', "");
                let made = proptest::string::bytes_regex(&format!("(?-u){bare}")).unwrap();
                let holds = |text: Vec<u8>| {
                    proptest::prop_assert!(needed::is_in(&text), "{}", text.escape_ascii());
                    Ok(())
                };
                runner.run(&made, holds).unwrap();
                patterns += 1;
            }
        }
        assert!(patterns > 8);
    }

    #[test]
    fn built_in_patterns_hold_as_an_operators_would() {
        let own = [("copy.toml".to_owned(), BUILTIN.text())];
        assert!(RuleSet::load(&own).is_ok());
    }

    #[test]
    fn what_a_host_runs_out_of_is_told_at_any_level_but_debug() {
        let rules = RuleSet::builtin().unwrap();
        let severity = |line| text(&rules, line).map(|hit| hit.severity);
        let warning = Some(Severity::Warning);
        for (line, want) in [
            ("level=warn msg=x error=\"cannot allocate memory\"", warning),
            (
                "level=info msg=\"fork/exec /bin/a: cannot allocate memory\"",
                warning,
            ),
            (
                "level=error msg=\"x error: cannot allocate memory\"",
                Some(Severity::Error),
            ),
            ("level=debug msg=x error=\"cannot allocate memory\"", None),
            ("level=warn msg=\"option is deprecated\"", None),
            ("    error: cannot allocate memory", None),
        ] {
            assert_eq!(severity(line), want, "{line}");
        }
    }

    #[test]
    fn built_in_samples_hold() {
        assert_eq!(RuleSet::builtin().unwrap().check_samples(), []);
    }

    #[test]
    fn only_a_line_without_level_rule_and_errno_rests_on_its_words() {
        let rules = RuleSet::builtin().unwrap();
        for (line, want) in [
            ("cannot open the pump's port", true),
            ("Error: cannot open the pump's port", false),
            ("cannot write: No space left on device", false),
            ("database space exceeded", false),
        ] {
            let hit = text(&rules, line).unwrap();
            assert_eq!(hit.only_words, want, "{line}");
        }
    }

    #[test]
    fn priority_decides_where_the_writer_chose_one() {
        let rules = RuleSet::builtin().unwrap();
        let hit = rules.classify(&leveled("cannot read sensor", 3)).unwrap();
        assert_eq!(
            (hit.class, hit.subject.as_str()),
            (Class::LogError, "app.service")
        );
        assert_eq!(rules.classify(&leveled("an error was avoided", 4)), None);
        let client =
            "recv() failed (104: Connection reset by peer) while reading client request line";
        let hit = rules.classify(&leveled(client, 3)).unwrap();
        assert_eq!(hit.severity, Severity::Warning);
    }

    #[test]
    fn text_is_judged_by_its_level_then_by_its_words() {
        let rules = RuleSet::builtin().unwrap();
        for (line, found) in [
            ("INFO retry after error", false),
            ("2024-01-01 ERROR boom", true),
            ("Error: cannot open error.log", true),
            ("error: 0", false),
            ("read failed: 3 errors", true),
            ("all good", false),
            ("no errors", false),
            ("ValueError: x", true),
        ] {
            assert_eq!(text(&rules, line).is_some(), found, "{line}");
        }
    }

    #[test]
    fn the_operator_comes_first() {
        let own = "[[rule]]\nname='own'\nmatch=['sensor (?P<subject>[a-z0-9]+) lost']\nclass='io_error'\nseverity='warning'\nmust=['sensor a1 lost']\n[[rule]]\nname='quiet'\nmatch=['chatter']\ndrop=true\n";
        let rules = RuleSet::load(&[("own.toml".to_owned(), own.to_owned())]).unwrap();
        assert_eq!(rules.check_samples(), []);
        let hit = text(&rules, "INFO sensor a1 lost").unwrap();
        assert_eq!((hit.class, hit.subject.as_str()), (Class::IoError, "a1"));
        assert_eq!(rules.classify(&leveled("chatter", 2)), None);
    }

    #[test]
    fn bad_rules_say_where() {
        for (text, line, what) in [
            ("[[rule]]\nname='a'\nmatch=['(']\n", 2, "rule 'a'"),
            ("[[rule]]\nname='a'\nmatch=['x*']\n", 2, "fits every line"),
            ("[[rule]]\nname='a'\nmach=['x']\n", 3, "unknown key"),
            (
                "[[rule]]\nname='a'\nmatch=['x']\nclass='nope'\n",
                2,
                "is no class",
            ),
        ] {
            let why = RuleSet::load(&[("r.toml".to_owned(), text.to_owned())]).unwrap_err();
            assert_eq!(why.line, line, "{why}");
            assert!(why.to_string().contains(what), "{why}");
        }
    }
}
