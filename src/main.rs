//! Temporary: only the fingerprint filter.
use std::io::{BufReader, BufWriter, stdin, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(2).collect();
    let value = |name: &str| args.iter().skip_while(|a| *a != name).nth(1).cloned();
    let template = args.iter().any(|a| a == "--template");
    let mut input = BufReader::with_capacity(64 * 1024, stdin().lock());
    let mut output = BufWriter::with_capacity(64 * 1024, stdout().lock());
    let class = value("--class").unwrap_or_else(|| "log_error".to_owned());
    let subject = value("--subject").unwrap_or_default();
    match autonomous_orchestrator::cli::fingerprint::filter(
        &mut input,
        &mut output,
        &class,
        &subject,
        template,
    ) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
