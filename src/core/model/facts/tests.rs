#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

impl Facts {
    /// As the store reads them: any name, any text.
    pub(crate) fn stored(pairs: &[(&str, &str)]) -> Self {
        let mut facts = Self::default();
        for (name, value) in pairs {
            facts.set(name, *value);
        }
        facts
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

/// Each fact once.
fn all(text: &str, number: u64) -> Vec<Fact<'_>> {
    let small = u32::try_from(number & 0xffff_ffff).unwrap_or(0);
    vec![
        Fact::Broken {
            stage: text,
            cause: text,
            says: text,
        },
        Fact::Networks(text),
        Fact::Unit(text),
        Fact::Result(text),
        Fact::Exit {
            code: text,
            status: small.cast_signed(),
        },
        Fact::Restarts(small),
        Fact::Crashing {
            times: small,
            span: Duration::from_secs(number),
        },
        Fact::Requires(text),
        Fact::StartLimit,
        Fact::Setting(text),
        Fact::Path(text),
        Fact::Moved {
            to: text,
            how: MovedHow::Bundle(text),
        },
        Fact::Moved {
            to: text,
            how: MovedHow::Map(text),
        },
        Fact::Moved {
            to: text,
            how: MovedHow::SameFile,
        },
        Fact::Port(Port::udp(u16::try_from(number & 0xffff).unwrap_or(0))),
        Fact::Holder(Holder {
            pid: small,
            start_ticks: number,
            command: text,
            exe: text,
        }),
        Fact::HolderUnit(text),
        Fact::Namesake(text),
        Fact::HolderUser(5),
        Fact::Leftover(Proof::Ran),
        Fact::LeftAlone(text),
        Fact::NotExecutable,
        Fact::Zombies(3),
        Fact::Mount(text),
        Fact::Device(text),
        Fact::UsedPercent(u8::try_from(number & 0xff).unwrap_or(0)),
        Fact::AvailableBytes(number),
        Fact::FullIn(Duration::from_secs(number)),
        Fact::DeletedOpen(text),
        Fact::Probe(text),
        Fact::WasGreen(number.is_multiple_of(2)),
        Fact::StartingUntil(Timestamp::from_millis(i64::from(small))),
        Fact::FailedWith(text),
        Fact::Detectors(text),
        Fact::Needs(text),
        Fact::Sandbox(text),
        Fact::Run(text),
        Fact::ShortRun,
        Fact::Log(text),
        Fact::Container(text),
        Fact::Project(text),
        Fact::Answered(404),
        Fact::Proven(match number % 3 {
            0 => Ok(()),
            _ => Err(text),
        }),
        Fact::OnlyWords,
    ]
}

/// What is read is what was written.
fn is_read_back(facts: &Facts, fact: Fact<'_>) -> bool {
    let number = |key| facts.parsed::<u64>(key);
    match fact {
        Fact::Unit(text) => facts.text(Key::Unit) == Some(text),
        Fact::Result(text) => facts.text(Key::Result) == Some(text),
        Fact::Exit { code, status } => {
            facts.text(Key::ExitCode) == Some(code) && facts.exit_status() == Some(status)
        }
        Fact::Restarts(times) => number(Key::Restarts) == Some(times.into()),
        Fact::Crashing { times, span } => {
            number(Key::Crashes) == Some(times.into())
                && facts.crashing_for().map(|span| span.as_secs()) == Some(span.as_secs())
        }
        Fact::Requires(units) => facts.text(Key::Requires) == Some(units),
        Fact::StartLimit => facts.start_limit(),
        Fact::Setting(text) => facts.text(Key::Setting) == Some(text),
        Fact::Path(text) => facts.text(Key::Path) == Some(text),
        Fact::Moved { to, how } => {
            facts.text(Key::MovedTo) == Some(to)
                && facts.text(Key::MovedHow) == Some(&how.to_string())
                && facts.moved_is_told() == matches!(how, MovedHow::Bundle(_))
        }
        Fact::Port(port) => facts.port() == Some(port),
        Fact::Holder(holder) => facts.holder() == Some(holder),
        Fact::HolderUnit(text) => facts.text(Key::HolderUnit) == Some(text),
        Fact::Namesake(text) => facts.text(Key::Namesake) == Some(text),
        Fact::HolderUser(user) => facts.text(Key::HolderUser) == Some(&user.to_string()),
        Fact::Leftover(_) => facts.text(Key::Leftover).is_some(),
        Fact::LeftAlone(text) => facts.text(Key::LeftAlone) == Some(text),
        Fact::NotExecutable => facts.text(Key::NotExecutable) == Some(YES),
        Fact::Zombies(count) => number(Key::Zombies) == u64::try_from(count).ok(),
        Fact::Mount(text) => facts.text(Key::Mount) == Some(text),
        Fact::Device(text) => facts.text(Key::Device) == Some(text),
        Fact::UsedPercent(percent) => number(Key::UsedPercent) == Some(percent.into()),
        Fact::AvailableBytes(bytes) => number(Key::AvailableBytes) == Some(bytes),
        Fact::FullIn(span) => number(Key::FullIn) == Some(span.as_secs()),
        Fact::DeletedOpen(text) => facts.text(Key::DeletedOpen) == Some(text),
        Fact::WasGreen(was) => facts.was_never_green() != was,
        Fact::StartingUntil(at) => facts.starting_until() == Some(at),
        Fact::FailedWith(text) => facts.text(Key::FailedWith) == Some(text),
        Fact::Probe(text) => facts.text(Key::Probe) == Some(text),
        Fact::Detectors(text) => facts.text(Key::Detectors) == Some(text),
        Fact::Needs(text) => facts.text(Key::Needs) == Some(text),
        Fact::Sandbox(text) => facts.text(Key::Sandbox) == Some(text),
        Fact::Run(text) => facts.text(Key::Run) == Some(text),
        Fact::ShortRun => facts.text(Key::ShortRun) == Some(YES),
        Fact::Log(text) => facts.log().eq(text.lines()),
        Fact::Container(id) => facts.text(Key::Container) == Some(id),
        Fact::Project(text) => facts.text(Key::Project) == Some(text),
        Fact::Answered(status) => facts.text(Key::Answered) == Some(&status.to_string()),
        Fact::Proven(Ok(())) => facts.is_proven(),
        Fact::Proven(Err(why)) => facts.text(Key::Proven) == Some(why),
        Fact::OnlyWords => facts.only_words(),
        Fact::Broken { stage, cause, says } => {
            facts.text(Key::Stage) == Some(stage)
                && facts.text(Key::StageCause) == Some(cause)
                && facts.text(Key::StageSays) == Some(says)
        }
        Fact::Networks(text) => facts.text(Key::Networks) == Some(text),
    }
}

proptest! {
    #[test]
    fn facts_are_read_as_they_were_written_and_survive_the_store(text in "\\PC{1,40}", number in any::<u64>()) {
        let mut together = Facts::default();
        for fact in all(&text, number) {
            let mut facts = Facts::default();
            facts.add(fact);
            prop_assert!(is_read_back(&facts, fact), "{facts:?}");
            together.add(fact);
        }
        prop_assert_eq!(together.iter().count(), Key::ALL.len());
        let json = serde_json::to_string(&together).unwrap();
        let map: SortedMap<String, String> = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(serde_json::to_string(&map).unwrap(), json.as_str());
        prop_assert!(map.keys().all(|name| name.parse::<Key>().is_ok()));
        prop_assert_eq!(serde_json::from_str::<Facts>(&json).unwrap(), together);
    }
}

/// As a row of an older version holds it, with what this one does not know.
const ROW: &str = r#"{"exit_code":"exited","exit_status":"203","holder_pid":"many","legacy_status":"","log":"b\na","port":"tcp/80","requires":"db.service","unit":"a.service"}"#;

#[test]
fn a_stored_row_is_kept_to_the_byte_with_what_is_not_known() {
    let facts: Facts = serde_json::from_str(ROW).unwrap();
    assert_eq!(serde_json::to_string(&facts).unwrap(), ROW);
    assert_eq!(facts.text(Key::Unit), Some("a.service"));
    assert_eq!(facts.exit_status(), Some(203));
    assert_eq!(facts.port(), Some(Port::tcp(80)));
    assert_eq!(facts.holder(), None, "a number that is none");
    assert_eq!(facts.text(Key::HolderPid), Some("many"), "is still shown");
    assert_eq!(facts.log().collect::<Vec<_>>(), ["b", "a"]);
    assert!(facts.iter().any(|(name, _)| name == "legacy_status"));
}

#[test]
fn an_empty_text_is_no_fact_and_what_is_known_stays() {
    let mut facts = Facts::default();
    facts.add(Fact::Unit(""));
    assert!(facts.is_empty());
    facts.add(Fact::Unit("new.service"));
    facts.complete(&serde_json::from_str(ROW).unwrap());
    assert_eq!(facts.text(Key::Unit), Some("new.service"));
    assert_eq!(facts.text(Key::ExitCode), Some("exited"));
}
