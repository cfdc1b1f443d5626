//! Packs the texts that the binary carries and reads seldom: `core::model::packed` unpacks them.

use std::env;
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// Below `src/core/diagnosis`.
const TEXTS: &[&str] = &[
    "causes.toml",
    "knowledge/errno.md",
    "knowledge/kernel.md",
    "knowledge/network.md",
    "knowledge/programs.md",
    "knowledge/services.md",
    "knowledge/storage.md",
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var("OUT_DIR")?;
    println!("cargo::rerun-if-changed=src/build.rs");
    for text in TEXTS {
        let path = Path::new("src/core/diagnosis").join(text);
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_name().ok_or("a text without a name")?;
        let packed = Path::new(&out).join(format!("{}.deflate", name.display()));
        let mut encoder = DeflateEncoder::new(fs::File::create(packed)?, Compression::best());
        encoder.write_all(&fs::read(&path)?)?;
        encoder.finish()?;
    }
    Ok(())
}
