//! Fingerprint filter with some rules left out: `fingerprint --without path,quoted < messages`.
//! `scripts/bench-fingerprint.sh` drives it; without `--without` it is the product's key.

use std::io::{self, BufRead, Write};

use autonomous_orchestrator::{MaskRule, Only, lossy_line, template_with};

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|a| a == "--list") {
        for (_, name) in MaskRule::TABLE {
            println!("{name}");
        }
        return Ok(());
    }
    let left_out = args
        .iter()
        .skip_while(|a| *a != "--without")
        .nth(1)
        .cloned()
        .unwrap_or_default();
    let typed = args.iter().any(|a| a == "--typed");
    let mut mask = u32::MAX;
    for name in left_out.split(',').filter(|n| !n.is_empty()) {
        match MaskRule::TABLE.iter().find(|(_, n)| *n == name) {
            Some((rule, _)) => mask &= !(*rule as u32),
            None => return Err(io::Error::other(format!("no such rule: {name}"))),
        }
    }
    let mut key = String::new();
    let mut output = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().split(b'\n') {
        template_with(&lossy_line(&line?), typed, Only(mask), &mut key);
        writeln!(output, "{key}")?;
    }
    output.flush()
}
