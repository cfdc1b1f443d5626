//! The one table of commands, in the order in which `help` shows them.

use crate::cli::command::{CommandRow, Flag, array, lines, object, option, switch, text};
use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::typed::Typed;
use crate::cli::{
    approve, config, doctor, escalations, explain, fingerprint, help, history, import, init,
    install, knowledge, learn, notify, outbox, replay, report, silence, stats, status, tasks,
    tryout, undo, watch, wire,
};

pub(super) const COMMANDS: &[CommandRow] = &[
    CommandRow {
        name: "run",
        forms: &[text("[--once] [--dry-run]")],
        brief: "watch, repair, prove, escalate: the daemon",
        long: "Runs in the foreground until SIGTERM; a service manager starts it (see `install`).\n\
               SIGHUP reads the configuration again; a bad file leaves the old one in force.\n\
               With --once: one sweep, then work until nothing is due. With --dry-run: findings are\n\
               recorded and every decision is logged, but nothing is touched and nothing is sent.",
        example: "autonomous-orchestrator run --once --dry-run",
        flags: &[switch("once", "one sweep, work until nothing is due, end")],
        run: wire::run,
    },
    CommandRow {
        name: "scan",
        forms: &[object("")],
        brief: "look at this host once; change and store nothing",
        long: "Runs every detector once and lists what it finds, the worst first. Needs no daemon, no\n\
               state directory and no root, though root sees more. Exit code 7 when something was found.",
        example: "autonomous-orchestrator scan --json",
        flags: &[switch(
            "verbose",
            "also list every detector with its outcome and time",
        )],
        run: wire::scan,
    },
    CommandRow {
        name: "status",
        forms: &[object("")],
        brief: "one page: what needs a human, daemon, tasks, deliveries, detectors",
        long: "Begins with what needs a human and the command that answers it, why repairs are paused and until\n\
               when, and what could not be delivered. Works without a running daemon. With --check it is a\n\
               Nagios plugin: one line with figures, exit code 0 ok, 1 warning, 2 critical, 3 unknown.",
        example: "autonomous-orchestrator status --check",
        flags: &[switch("check", "answer as a Nagios plugin does")],
        run: status::run,
    },
    CommandRow {
        name: "watch",
        forms: &[text("")],
        brief: "the page of status and the newest events, live",
        long: "Draws anew every two seconds what changed, and nothing else: fit for a slow line. Ctrl-C ends it.",
        example: "autonomous-orchestrator watch",
        flags: &[],
        run: watch::run,
    },
    CommandRow {
        name: "tasks",
        forms: &[
            array("[list]"),
            object("show ID"),
            object("close ID"),
            object("ack ID"),
            object("snooze ID UNTIL"),
        ],
        brief: "the open tasks; show, close, acknowledge or snooze one",
        long: "Without a word: the open tasks, the newest first. `show` prints everything known about one.\n\
               `close` ends it (as human; --as not_a_fault when it never was a fault, which counts as a false\n\
               escalation). `ack` stops repairs until it is closed or approved. `snooze` leaves it alone until\n\
               a time: 30m, 8h, 2d, HH:MM by this host's clock, or YYYY-MM-DD HH:MM in UTC.",
        example: "autonomous-orchestrator tasks --class service_failed\nautonomous-orchestrator tasks snooze 12 8h",
        flags: &[
            switch("all", "closed ones too"),
            option("status", "STATUS", "only this status"),
            option("class", "CLASS", "only this class"),
            option("subject", "SUBJECT", "only this subject"),
            option("limit", "N", "at most this many (default 1000)"),
            option(
                "as",
                "RESOLUTION",
                "for close: human, not_a_fault or superseded",
            ),
            option("by", "NAME", "who does it (default: the user)"),
        ],
        run: tasks::run,
    },
    CommandRow {
        name: "approve",
        forms: &[object("ID [--digest DIGEST | --yes] [--for MINUTES]")],
        brief: "allow the one action that a task proposes",
        long: "In mode suggest a task waits until a human allows its action. All of it is printed first. What is\n\
               allowed is this one action on this one target, for one attempt: the daemon looks again right before\n\
               it acts, and proposes anew what became another one. The approval ends after the given time\n\
               (default: fix.approval_s); every other gate counts all the same.\n\
               --digest allows what you have read (`tasks show`, the issue), and refuses when something else is\n\
               proposed by now. Without it you are asked; --yes takes whatever stands there.",
        example: "autonomous-orchestrator approve 12 --digest 3fa94c12d0e1 --for 30",
        flags: &[
            option(
                "digest",
                "DIGEST",
                "the digest of the action, its first 12 digits or more",
            ),
            switch("yes", "do not ask"),
            option("action", "ACTION", "refuse any other kind of action"),
            option("for", "MINUTES", "how long the approval holds"),
            option("by", "NAME", "who approves (default: the user)"),
        ],
        run: approve::run,
    },
    CommandRow {
        name: "undo",
        forms: &[array("[list]"), text("ID [--yes]")],
        brief: "what actions changed and can be taken back; takes back that of one task",
        long: "Puts back what was there before the last action that held: a drop-in, a mount, a stopped unit. What left\n\
               nothing behind, as a restart, cannot be taken back. Refused while the kill switch is on or another action\n\
               runs. The task is closed; when the fault returns, that action is proposed and no longer done unasked.",
        example: "sudo autonomous-orchestrator undo 12",
        flags: &[
            switch("yes", "do not ask"),
            option("by", "NAME", "who does it (default: the user)"),
        ],
        run: undo::run,
    },
    CommandRow {
        name: "history",
        forms: &[array("[ID]")],
        brief: "what happened, why and by whom; of one task or of all",
        long: "The audit events, the newest last. Each carries the hash of the one before (see `audit`).",
        example: "autonomous-orchestrator history 12",
        flags: &[option("limit", "N", "at most the newest N (default 200)")],
        run: history::run,
    },
    CommandRow {
        name: "events",
        forms: &[lines("[--follow]")],
        brief: "the newest events a line each, and those that come",
        long: "The history of all tasks, for reading along or for a filter: with --json one object a line.",
        example: "autonomous-orchestrator events --follow",
        flags: &[
            switch("follow", "go on with what comes, until Ctrl-C"),
            option("limit", "N", "begin with the newest N (default 20)"),
        ],
        run: history::events,
    },
    CommandRow {
        name: "audit",
        forms: &[object("verify")],
        brief: "check that the history was not changed",
        long: "Walks the hash chain from its start. Compare the printed head with the one in the log or in\n\
               an escalation: a cut tail shows there. Exit code 1 when the chain is broken.",
        example: "autonomous-orchestrator audit verify",
        flags: &[],
        run: history::audit,
    },
    CommandRow {
        name: "escalations",
        forms: &[
            array("[list]"),
            object("show ID"),
            object("resolve ID"),
            object("snooze ID UNTIL"),
        ],
        brief: "what needs a human",
        long: "Lists the open escalations; they are here even when nothing could be delivered. ID is the\n\
               task's. `resolve` closes the task as done by a human (--as not_a_fault: there was no fault),\n\
               which closes its issue too. `snooze` leaves the task alone until a time.",
        example: "autonomous-orchestrator escalations show 12",
        flags: &[
            switch("all", "resolved ones too"),
            option(
                "as",
                "RESOLUTION",
                "for resolve: human, not_a_fault or superseded",
            ),
            option("by", "NAME", "who does it (default: the user)"),
        ],
        run: escalations::run,
    },
    CommandRow {
        name: "silence",
        forms: &[
            array("[list]"),
            object("WHAT TIME [REASON]"),
            text("end WHAT"),
        ],
        brief: "leave a unit, a class or a task alone for a while",
        long: "WHAT is a unit (or another subject: a mount, an interface), a class, or a task's number. What it covers\n\
               is seen and recorded, and neither repaired nor told until TIME (30m, 2h, 1d, HH:MM by this host's\n\
               clock, or YYYY-MM-DD HH:MM in UTC); then all goes on by itself. A class never covers what is critical.",
        example: "autonomous-orchestrator silence web.service 2h new cable\nautonomous-orchestrator silence end web.service",
        flags: &[option("by", "NAME", "who does it (default: the user)")],
        run: silence::run,
    },
    CommandRow {
        name: "maintenance",
        forms: &[object("TIME [REASON]"), text("end")],
        brief: "repair nothing on this host for a while",
        long: "As a [[maintenance]] window of the configuration, from now on: all is seen, recorded and told, and nothing\n\
               is repaired until TIME (as in `silence`). It ends by itself.",
        example: "autonomous-orchestrator maintenance 2h new cables",
        flags: &[option("by", "NAME", "who does it (default: the user)")],
        run: silence::maintenance,
    },
    CommandRow {
        name: "outbox",
        forms: &[array("[list]"), text("retry [ID]"), text("drop ID")],
        brief: "deliveries that wait, and those that failed",
        long: "`retry` makes a delivery due now (without an ID: all that wait or are dead). `drop` gives one\n\
               up; the escalation itself stays.",
        example: "autonomous-orchestrator outbox retry",
        flags: &[
            switch("all", "confirmed ones too"),
            option("by", "NAME", "who does it (default: the user)"),
        ],
        run: outbox::run,
    },
    CommandRow {
        name: "stats",
        forms: &[object("")],
        brief: "auto-fix rate, false escalations, time to repair, against the targets",
        long: "Auto-fix rate: verified stable / settled tasks with an allowed action (target 70 %).\n\
               False escalations: closed as no fault, or cleared untouched / escalations (target: a fifth of\n\
               the 84.4 % of the system this one replaces). MTTR: from detection to first green, median and\n\
               95th percentile (target: below 5 minutes). Per class and per week.",
        example: "autonomous-orchestrator stats --weeks 8",
        flags: &[option("weeks", "N", "the newest N weeks (default 12)")],
        run: stats::run,
    },
    CommandRow {
        name: "learn",
        forms: &[
            array("[show]"),
            array("habits"),
            lines("export"),
            text("import FILE"),
            text("forget CLASS [SUBJECT]"),
            text("forget --all"),
        ],
        brief: "what worked here, per class, subject and action; taken from and to other gateways",
        long: "Every verified attempt counts for or against its action; the lower 95 % bound of its success rate\n\
               decides which of two equally risky actions is tried first. export prints one JSON object a line;\n\
               import adds another gateway's counts at half, at most 4 of each, and each file once. habits lists\n\
               the lines that this box prints at every boot or for weeks with nothing following; forget --all\n\
               forgets them too.",
        example: "autonomous-orchestrator learn export > line-7.jsonl",
        flags: &[switch("all", "forget everything")],
        run: learn::run,
    },
    CommandRow {
        name: "explain",
        forms: &[object("ID"), object("UNIT")],
        brief: "why a task has its cause, and what would be done next; why nothing is told of a unit",
        long: "Of a task: cause, candidate actions with their gates, what was tried, and the cited passages. Of a unit (or\n\
               another subject): its open tasks, or else why there is none: it runs, somebody stopped it, it is masked,\n\
               disabled, silenced or ignored. Exit code 1 where nobody here knows it.",
        example: "autonomous-orchestrator explain 12\nautonomous-orchestrator explain web.service",
        flags: &[],
        run: explain::run,
    },
    CommandRow {
        name: "notify",
        forms: &[array("[test [NAME]]")],
        brief: "the channels of [[notify]]: what each is told, when, and what waits",
        long: "`test` sends a marked test to NAME, or to each, and prints what came back; quiet hours do not count for it.\n\
               A tracker, Alertmanager and [ping] are looked at by `doctor`. Exit code 1 when one fails.",
        example: "autonomous-orchestrator notify test shift",
        flags: &[],
        run: notify::run,
    },
    CommandRow {
        name: "probe",
        forms: &[array("test [NAME]")],
        brief: "ask the probes of the configuration once, now",
        long: "Each with its answer, how long it took, how many failures in a row count, and the unit that would be\n\
               repaired. Needs no daemon and changes nothing. Exit code 7 when one fails.",
        example: "autonomous-orchestrator probe test shop",
        flags: &[],
        run: tryout::probe,
    },
    CommandRow {
        name: "rule",
        forms: &[array("test LINE | FILE")],
        brief: "what the log rules make of a line, or of each line of a file",
        long: "Which rules fit, the operator's own first, what comes of the line by all of them, and when a human\n\
               would hear of it. A line by itself: what only many lines show, `replay` tells. A rule of your own, in a file\n\
               *.toml of daemon.rules_dir:\n\
               [[rule]]\n\
               name = \"valve\"                       # of yours\n\
               match = ['valve (?P<subject>[0-9]+) stuck']  # regular expressions, any of them; all of one: a.*b\n\
               ignore = ['valve 9']                 # none of these\n\
               severity = \"error\"                  # or critical, warning, info\n\
               must = [\"valve 3 stuck\"]             # samples that `config check` tries; must_not as well\n\
               With drop = true its lines are ordinary; at_most and at_least = true bound the severity by its own.",
        example: "autonomous-orchestrator rule test 'Jan  2 03:04:05 gw app[7]: valve 3 stuck'",
        flags: &[],
        run: tryout::rule,
    },
    CommandRow {
        name: "runbook",
        forms: &[object("test ID [FILE]")],
        brief: "what would be done about a task, with the runbooks of a file before the others",
        long: "`explain` as it would be if FILE lay in daemon.runbooks_dir: which of its runbooks fit, and why the others\n\
               do not. Changes nothing.",
        example: "autonomous-orchestrator runbook test 12 ./press.toml",
        flags: &[],
        run: tryout::runbook,
    },
    CommandRow {
        name: "bundle",
        forms: &[
            object("build SOURCE… -o FILE"),
            array("query TEXT"),
            object("info"),
            object("verify"),
            array("diff NEWER"),
        ],
        brief: "build and ask the knowledge bundle",
        long: "`build` reads runbooks, READMEs, unit files and configurations, redacts secrets and writes one\n\
               read-only file. `query` prints the best passages with file and lines; with --batch it reads\n\
               `id TAB text` lines and prints `id TAB passage TAB score`. `diff` compares with a newer bundle.",
        example: "autonomous-orchestrator bundle build /etc/runbooks -o knowledge.bundle\n\
                  autonomous-orchestrator bundle query --bundle knowledge.bundle \"mosquitto address already in use\"",
        flags: &[
            Flag {
                long: "out",
                short: Some('o'),
                value: Some("FILE"),
                help: "for build: the bundle to write (default: daemon.bundle)",
            },
            option(
                "snippets",
                "FILE",
                "for build: ready-made passages, one JSON object a line",
            ),
            option(
                "repository",
                "DIR",
                "for build: a git repository whose history is read",
            ),
            option(
                "path-map",
                "FILE",
                "for build: `old -> new` paths, one a line",
            ),
            option("scope", "FILE", "for build: which files may go in"),
            switch(
                "without-knowledge",
                "for build: leave out what ships with the program",
            ),
            option(
                "bundle",
                "FILE",
                "the bundle to ask (default: daemon.bundle)",
            ),
            Flag {
                long: "limit",
                short: Some('k'),
                value: Some("N"),
                help: "for query: at most this many passages (default 5)",
            },
            switch("batch", "for query: `id TAB text` lines on standard input"),
            switch(
                "tsv",
                "for query --batch: tab-separated lines (the only form)",
            ),
        ],
        run: knowledge::run,
    },
    CommandRow {
        name: "fingerprint",
        forms: &[text("[--template] [--class CLASS] [--subject SUBJECT]")],
        brief: "filter: one message a line in, one fingerprint a line out",
        long: "Reads standard input. Order is kept and nothing else is printed; an empty line gives a line.\n\
               With --template: the message with its variable parts replaced, in place of the hash.",
        example: "journalctl -o cat -n 100 | autonomous-orchestrator fingerprint --template | sort | uniq -c",
        flags: &[
            switch("template", "print the template in place of the fingerprint"),
            option(
                "class",
                "CLASS",
                "class of the findings (default log_error)",
            ),
            option(
                "subject",
                "SUBJECT",
                "subject of the findings (default empty)",
            ),
        ],
        run: fingerprint::run,
    },
    CommandRow {
        name: "replay",
        forms: &[array("FILE…")],
        brief: "run recorded logs through rules, identity and causes; change nothing",
        long: "Reads log files (`-` is standard input) and shows which tasks they would have made, by the\nbuilt-in rules and those of the configuration (daemon.rules_dir, daemon.causes_dir): the cause with\nits confidence, what it means, and when a human would hear of it (at once, if it lasts, never).\nStandard error says how the lines were read.\nWith --json: file, class, subject, severity, message, fingerprint, cause, confidence, title, told, shape,\nrule, advice, count, first_line, last_line, lines (the first twenty).",
        example: "autonomous-orchestrator replay /var/log/syslog.1",
        flags: &[],
        run: replay::run,
    },
    CommandRow {
        name: "report",
        forms: &[text("FILE.html")],
        brief: "write one self-contained HTML page, of this gateway or of many",
        long: "Open escalations, tasks over time, auto-fix rate, time to repair, detector health, budgets. No\n\
               script, nothing from elsewhere: it can be mailed and opened offline. `-` is standard output.\n\
               --fleet makes one page of many gateways, those that need somebody first.",
        example: "autonomous-orchestrator report /tmp/gateway.html",
        flags: &[option(
            "fleet",
            "DIR",
            "of a folder with one NAME.json a gateway: its `status --json`",
        )],
        run: report::run,
    },
    CommandRow {
        name: "doctor",
        forms: &[array("")],
        brief: "check configuration, rights, store, sources, clock, network",
        long: "One line a check: ok, warn or FAIL, with what to do. Exit code 1 when something FAILs.",
        example: "sudo autonomous-orchestrator doctor",
        flags: &[switch("offline", "leave the network alone")],
        run: doctor::run,
    },
    CommandRow {
        name: "config",
        forms: &[object("[show]"), object("check"), text("default")],
        brief: "check the configuration, show what is in force, print an example",
        long: "`check` reads the configuration, the rules and the runbooks and prints `file:line: what:\n\
               suggestion` for each mistake (exit code 3). `show` prints every value in force. `default`\n\
               prints an example with all keys, their defaults and what they mean.",
        example: "autonomous-orchestrator config default > config.toml\n\
                  autonomous-orchestrator --config config.toml config check",
        flags: &[],
        run: config::run,
    },
    CommandRow {
        name: "import",
        forms: &[object("FILE")],
        brief: "adopt the tasks.db of the Python daemon",
        long: "Takes every row in, and counts what is open and what is old: closed tasks are kept for\n\
               store.retain_days (365), as all are. The file stays as it is; one at the store's own place is kept\n\
               beside. Twice is the same as once. Stop the Python daemon first: a file in use is refused.",
        example: "autonomous-orchestrator import /var/lib/autonomous-orchestrator/tasks.db",
        flags: &[],
        run: import::run,
    },
    CommandRow {
        name: "init",
        forms: &[text("[--yes]")],
        brief: "propose a first configuration from what runs here",
        long: "Looks at the services that run, what they listen on, the devices and log files that they hold open, the\n\
               interfaces, and a monitrc where there is one, and prints a short configuration with comments: a trial that\n\
               only observes. On a terminal it asks whether to write it; --yes does so unasked. A configuration of yours is\n\
               never replaced. Root sees more.",
        example: "sudo autonomous-orchestrator init",
        flags: &[switch("yes", "write it, unless a configuration is there")],
        run: init::run,
    },
    CommandRow {
        name: "install",
        forms: &[text("[--init INIT] [--start]")],
        brief: "install this program as a service of the init that runs here",
        long: "Copies itself to /usr/local/bin, writes the systemd unit, the OpenRC or the SysV script, an\n\
               example configuration (an existing one is kept) and the tmpfiles, and enables the service.\n\
               Where man, bash-completion or fish is there, what they read is written below /usr/local/share\n\
               and /etc/fish. Twice is the same as once.",
        example: "sudo ./autonomous-orchestrator install --start",
        flags: &[
            option(
                "init",
                "INIT",
                "systemd, openrc or sysv, in place of the one found",
            ),
            switch("start", "start it, or restart it when it runs"),
            option(
                "prefix",
                "DIR",
                "install below DIR; nothing is enabled or started",
            ),
        ],
        run: install_all,
    },
    CommandRow {
        name: "uninstall",
        forms: &[text("[--init INIT] [--purge]")],
        brief: "stop and remove what `install` wrote",
        long: "The state and the configuration are kept unless --purge is given.",
        example: "sudo autonomous-orchestrator uninstall",
        flags: &[
            option(
                "init",
                "INIT",
                "systemd, openrc or sysv, in place of the one found",
            ),
            switch("purge", "remove the state and the configuration too"),
            option("prefix", "DIR", "remove below DIR"),
        ],
        run: install::uninstall,
    },
    CommandRow {
        name: "demo",
        forms: &[text("")],
        brief: "see it find, fix, verify and audit, in a sandbox of its own",
        long: "Starts a small service in a temporary directory, breaks it in three ways and repairs it. Needs\n\
               no root and no init; the stability window is shortened and the output says so.",
        example: "autonomous-orchestrator demo",
        flags: &[option("serve", "DIR", "")],
        run: wire::demo,
    },
    CommandRow {
        name: "help",
        forms: &[text("[COMMAND]"), text("--as FORM")],
        brief: "this overview, or one command with an example",
        long: "`COMMAND --help` does the same. --as prints all of it as a manual page, or what a shell completes.",
        example: "autonomous-orchestrator help tasks\n\
                  autonomous-orchestrator help --as man | man -l -\n\
                  autonomous-orchestrator help --as bash >/etc/bash_completion.d/autonomous-orchestrator",
        flags: &[option("as", "FORM", "man, bash, zsh or fish")],
        run: help_page,
    },
];

/// What `install` writes for man and shells is made of the table that it stands in.
fn install_all(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    install::install(COMMANDS, typed, globals)
}

/// `help` prints the table that it stands in.
fn help_page(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    help::run(COMMANDS, typed, globals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::GLOBAL_FLAGS;
    use crate::core::model::sorted::SortedSet;

    #[test]
    fn names_are_unique_and_no_flag_hides_a_global_one() {
        let names: SortedSet<_> = COMMANDS.iter().map(|command| command.name).collect();
        assert_eq!(names.len(), COMMANDS.len());
        for command in COMMANDS {
            for flag in command.flags {
                assert!(
                    GLOBAL_FLAGS.iter().all(|global| global.long != flag.long),
                    "{} --{}",
                    command.name,
                    flag.long
                );
            }
        }
    }
}
