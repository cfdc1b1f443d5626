//! The manual page and what a shell completes, from the one table of commands.

use std::fmt::Write as _;

use crate::cli::command::{CommandRow, Flag, GLOBAL_FLAGS};
use crate::cli::error::Exit;

const NAME: &str = env!("CARGO_PKG_NAME");
/// What `help --as` knows.
pub(super) const FORMS: [&str; 4] = ["man", "bash", "zsh", "fish"];

/// The table in one of these forms.
pub(super) fn of(table: &[CommandRow], form: &str) -> Option<String> {
    Some(match form {
        "man" => man(table),
        "bash" => bash(table),
        "zsh" => format!(
            "autoload -U +X bashcompinit && bashcompinit\n{}",
            bash(table)
        ),
        "fish" => fish(table),
        _ => return None,
    })
}

fn shown(flags: &[Flag]) -> impl Iterator<Item = &Flag> {
    flags.iter().filter(|flag| !flag.help.is_empty())
}

/// The words that may stand behind a command's name.
fn words(command: &CommandRow) -> Vec<&'static str> {
    let first = command.forms.iter().filter_map(|form| {
        let word = form.words.split(' ').next()?;
        Some(word.trim_matches(['[', ']']))
    });
    let is_word = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
    first.filter(is_word).collect()
}

/// Text as troff takes it.
fn roff(text: &str) -> String {
    let plain = text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('…', "...");
    let lines = plain
        .lines()
        .map(|line| match line.starts_with(['.', '\'']) {
            true => format!("\\&{line}"),
            false => line.to_owned(),
        });
    lines.collect::<Vec<_>>().join("\n")
}

fn man_options(page: &mut String, flags: &[Flag]) {
    for flag in shown(flags) {
        let value = flag.value.unwrap_or("");
        let option = roff(&format!("--{} {value}", flag.long));
        let _ = writeln!(page, ".TP\n.B {option}\n{}", roff(flag.help));
    }
}

fn man(table: &[CommandRow]) -> String {
    let mut page = format!(
        ".TH {} 8 \"\" \"{}\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n.B {}\n[OPTIONS] COMMAND [ARGUMENTS]\n.SH COMMANDS\n",
        roff(&NAME.to_uppercase()),
        env!("CARGO_PKG_VERSION"),
        roff(NAME),
        roff(env!("CARGO_PKG_DESCRIPTION")),
        roff(NAME),
    );
    for command in table {
        let name = command.name;
        for form in command.forms {
            let _ = writeln!(page, ".TP\n.B {}", roff(&format!("{name} {}", form.words)));
        }
        let (brief, long) = (roff(command.brief), roff(command.long));
        let _ = writeln!(page, "{brief}\n.RS\n.P\n{long}");
        man_options(&mut page, command.flags);
        let _ = writeln!(page, ".P\n.nf\n{}\n.fi\n.RE", roff(command.example));
    }
    page.push_str(".SH OPTIONS\n");
    man_options(&mut page, GLOBAL_FLAGS);
    page.push_str(".SH EXIT STATUS\n");
    for (exit, means) in Exit::ALL {
        let _ = writeln!(page, ".TP\n.B {}\n{}", exit.code(), roff(means));
    }
    page
}

fn bash(table: &[CommandRow]) -> String {
    let function = format!("_{}", NAME.replace('-', "_"));
    let mut text = format!("{function}() {{\n  local words\n  case ${{COMP_WORDS[1]}} in\n");
    let listed = |flags: &[Flag]| -> String {
        shown(flags)
            .map(|flag| format!(" --{}", flag.long))
            .collect()
    };
    for command in table {
        let words = words(command).join(" ");
        let own = listed(command.flags);
        let _ = writeln!(text, "    {}) words='{words}{own}' ;;", command.name);
    }
    let names: Vec<_> = table.iter().map(|command| command.name).collect();
    let all = listed(GLOBAL_FLAGS);
    let _ = write!(
        text,
        "    *) words='{}' ;;\n  esac\n  mapfile -t COMPREPLY < <(compgen -W \"$words{all}\" -- \"${{COMP_WORDS[COMP_CWORD]}}\")\n}}\ncomplete -o default -F {function} {NAME}\n",
        names.join(" "),
    );
    text
}

fn fish(table: &[CommandRow]) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    let mut text = String::new();
    for command in table {
        let (name, brief) = (command.name, quoted(command.brief));
        let _ = writeln!(
            text,
            "complete -c {NAME} -n __fish_use_subcommand -a {name} -d '{brief}'"
        );
        let words = words(command).join(" ");
        let here = format!("complete -c {NAME} -n '__fish_seen_subcommand_from {name}'");
        if !words.is_empty() {
            let _ = writeln!(text, "{here} -a '{words}'");
        }
        for flag in shown(command.flags) {
            let takes = if flag.value.is_some() { " -r" } else { "" };
            let _ = writeln!(
                text,
                "{here} -l {}{takes} -d '{}'",
                flag.long,
                quoted(flag.help)
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::COMMANDS;

    #[test]
    fn each_form_knows_every_command_and_option() {
        for form in FORMS {
            let text = of(COMMANDS, form).unwrap_or_default().replace("\\-", "-");
            for command in COMMANDS {
                assert!(text.contains(command.name), "{form}: {}", command.name);
                for flag in shown(command.flags) {
                    assert!(text.contains(flag.long), "{form}: --{}", flag.long);
                }
            }
        }
        assert_eq!(of(COMMANDS, "csh"), None);
    }

    #[test]
    fn a_line_of_text_is_no_request_to_troff() {
        assert_eq!(
            roff(".so /etc/passwd\n'x \\n -y"),
            "\\&.so /etc/passwd\n\\&'x \\en \\-y"
        );
    }
}
