fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    let _ = autonomous_orchestrator::cli::replay::replay(&a, true, &mut std::io::stdout());
}
