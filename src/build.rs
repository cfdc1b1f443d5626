//! Packs what the binary carries and reads seldom, texts and trust anchors: `core::model::packed` unpacks them.

use std::env;
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// Each with the name by which it is unpacked.
const TEXTS: &[(&str, &str)] = &[
    ("src/cli/example.toml", "example.toml"),
    ("src/core/diagnosis/causes.toml", "causes.toml"),
    ("src/core/diagnosis/knowledge/errno.md", "errno.md"),
    ("src/core/diagnosis/knowledge/kernel.md", "kernel.md"),
    ("src/core/diagnosis/knowledge/network.md", "network.md"),
    ("src/core/diagnosis/knowledge/programs.md", "programs.md"),
    ("src/core/diagnosis/knowledge/services.md", "services.md"),
    ("src/core/diagnosis/knowledge/storage.md", "storage.md"),
    ("src/core/human/guidance.md", "guidance.md"),
    ("src/core/reading/log_rules/builtin.toml", "log_rules.toml"),
    ("src/core/remedy/runbooks/builtin.toml", "runbooks.toml"),
    ("schema.sql", "schema.sql"),
    ("scripts/init/autonomous-orchestrator.service", "service"),
    ("scripts/init/autonomous-orchestrator.tmpfiles", "tmpfiles"),
    ("scripts/init/autonomous-orchestrator.openrc", "openrc"),
    (
        "scripts/init/autonomous-orchestrator.logrotate",
        "logrotate",
    ),
    ("scripts/init/autonomous-orchestrator.sysv", "sysv"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var("OUT_DIR")?;
    println!("cargo::rerun-if-changed=src/build.rs");
    for (text, name) in TEXTS {
        let path = Path::new(text);
        println!("cargo::rerun-if-changed={}", path.display());
        pack(&out, name, &fs::read(path)?)?;
    }
    pack(&out, "roots", &roots()?)
}

fn pack(out: &str, name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let packed = Path::new(out).join(format!("{name}.deflate"));
    let mut encoder = DeflateEncoder::new(fs::File::create(packed)?, Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()?;
    Ok(())
}

/// Of each anchor: subject, public key, name constraints (empty where it has none), each after its length in two bytes,
/// big endian.
fn roots() -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = Vec::new();
    for anchor in webpki_roots::TLS_SERVER_ROOTS {
        let constraints = anchor.name_constraints.as_ref();
        for field in [
            anchor.subject.as_ref(),
            anchor.subject_public_key_info.as_ref(),
            constraints.map_or(&[][..], AsRef::as_ref),
        ] {
            bytes.extend_from_slice(&u16::try_from(field.len())?.to_be_bytes());
            bytes.extend_from_slice(field);
        }
    }
    Ok(bytes)
}
