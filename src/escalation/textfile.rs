//! Metrics for node_exporter's textfile collector: one file, replaced whole, so that no reader sees half of it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Name of the file within the collector's directory.
const NAME: &str = "autonomous_orchestrator.prom";

/// Replaces the file. Not synced to the medium: after a power cut the next round writes it anew.
pub fn write(directory: &Path, text: &str) -> io::Result<()> {
    let target = directory.join(NAME);
    // The collector reads `*.prom` only.
    let new = directory.join(format!("{NAME}.new"));
    let mut file = fs::File::create(&new)?;
    file.write_all(text.as_bytes())?;
    drop(file);
    fs::rename(&new, &target)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_file_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["a 1\n", "a 2\n"] {
            write(directory.path(), text).unwrap();
            assert_eq!(
                fs::read_to_string(directory.path().join(NAME)).unwrap(),
                text
            );
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(write(Path::new("/nonexistent"), "").is_err());
    }
}
