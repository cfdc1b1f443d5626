//! What package managers say about where a file went: diversions, and the file list of the package that ships a unit.

use crate::host::{Host, READ_CAP, files};

/// Three lines each: from, to, package (dpkg-divert(1)).
const DIVERSIONS: &str = "/var/lib/dpkg/diversions";
/// One path a line: dpkg and opkg.
const LISTS: &[&str] = &[
    "/var/lib/dpkg/info/*.list",
    "/usr/lib/opkg/info/*.list",
    "/var/lib/opkg/info/*.list",
];
/// Records of apk: `P:` a package, `F:` a folder, `R:` a file in it.
const APK: &str = "/lib/apk/db/installed";
/// Most read of it; a full Alpine gateway has 2 MB.
const APK_CAP: u64 = 16 << 20;

/// Where `lost` is now by a record, and whose: it was diverted, or the package that ships `unit_file` has exactly one
/// file of its name.
pub fn moved(host: &Host, unit_file: &str, lost: &str) -> Option<(String, String)> {
    diverted(host, lost).or_else(|| {
        let (package, paths) = listed(host, unit_file).or_else(|| in_apk(host, unit_file))?;
        let name = lost.rsplit('/').next()?;
        let mut same = paths
            .iter()
            .filter(|path| path.rsplit('/').next() == Some(name) && merged(path) != merged(lost));
        let place = same.next()?;
        let is_there = host.of_init().path(place).is_file();
        (same.next().is_none() && is_there).then(|| (place.clone(), format!("package {package}")))
    })
}

fn diverted(host: &Host, lost: &str) -> Option<(String, String)> {
    let text = host.read(DIVERSIONS, READ_CAP).ok()?;
    let lines: Vec<&str> = text.lines().collect();
    lines.chunks(3).find_map(|entry| match entry {
        [from, to, package] if merged(from) == merged(lost) => {
            Some(((*to).to_owned(), format!("diversion by {package}")))
        }
        _ => None,
    })
}

/// The package whose list has `unit_file`, with all its paths.
fn listed(host: &Host, unit_file: &str) -> Option<(String, Vec<String>)> {
    let lists = LISTS.iter().flat_map(|lists| files::glob(host, lists));
    lists.into_iter().find_map(|list| {
        let text = host.read(&list.path, READ_CAP).ok()?;
        let has = text.lines().any(|line| merged(line) == merged(unit_file));
        let name = list.path.rsplit('/').next()?.strip_suffix(".list")?;
        has.then(|| (name.to_owned(), text.lines().map(str::to_owned).collect()))
    })
}

fn in_apk(host: &Host, unit_file: &str) -> Option<(String, Vec<String>)> {
    let text = host.read(APK, APK_CAP).ok()?;
    text.split("\n\n").find_map(|record| {
        let (mut package, mut folder, mut paths) = ("", "", Vec::new());
        for line in record.lines() {
            match line.split_once(':') {
                Some(("P", name)) => package = name,
                Some(("F", name)) => folder = name,
                Some(("R", name)) => paths.push(format!("/{folder}/{name}")),
                _ => {}
            }
        }
        let has = paths.iter().any(|path| merged(path) == merged(unit_file));
        has.then(|| (package.to_owned(), paths))
    })
}

/// `/usr/lib/x` and `/lib/x` are one file where `/usr` is merged.
fn merged(path: &str) -> &str {
    path.strip_prefix("/usr").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::core::model::time::Timestamp;
    use crate::host::clock::Clock;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn ask(root: &Path, lost: &str) -> Option<(String, String)> {
        let host = Host::at(root, Clock::manual(Timestamp::default()));
        moved(&host, "/usr/lib/systemd/system/meter.service", lost)
    }

    #[test]
    fn the_package_that_ships_the_unit_says_where_its_program_is() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let list =
            "/.\n/lib/systemd/system/meter.service\n/usr/libexec/meterd\n/usr/share/doc/meter\n";
        put(root, "var/lib/dpkg/info/meter:arm64.list", list);
        put(root, "var/lib/dpkg/info/other.list", "/usr/bin/meterd\n");
        let there = Some((
            "/usr/libexec/meterd".to_owned(),
            "package meter:arm64".to_owned(),
        ));
        assert_eq!(ask(root, "/usr/sbin/meterd"), None, "listed, and not there");
        put(root, "usr/libexec/meterd", "x");
        assert_eq!(ask(root, "/usr/sbin/meterd"), there);
        assert_eq!(ask(root, "/usr/sbin/other"), None);
        assert_eq!(ask(root, "/libexec/meterd"), None, "the very place");
        put(
            root,
            "var/lib/dpkg/info/meter:arm64.list",
            &format!("{list}/usr/share/meter/meterd\n"),
        );
        assert_eq!(ask(root, "/usr/sbin/meterd"), None, "two of the name");
    }

    #[test]
    fn a_diversion_and_the_records_of_apk_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        put(
            root,
            "var/lib/dpkg/diversions",
            "/usr/bin/a\n/usr/bin/a.real\nwrapper\n/x\n",
        );
        let there = ask(root, "/bin/a").unwrap();
        assert_eq!(
            there,
            (
                "/usr/bin/a.real".to_owned(),
                "diversion by wrapper".to_owned()
            )
        );
        let installed = "P:other\nF:usr/bin\nR:meterd\n\nP:meter\nV:1\nF:usr/lib/systemd/system\nR:meter.service\n\
                         F:usr/libexec\nR:meterd\n\n";
        put(root, "lib/apk/db/installed", installed);
        put(root, "usr/libexec/meterd", "x");
        let there = ask(root, "/usr/sbin/meterd").unwrap();
        assert_eq!(
            there,
            ("/usr/libexec/meterd".to_owned(), "package meter".to_owned())
        );
    }
}
