//! Whose line it is where a container engine carries it: the container's own name, never its id, which is another
//! one with every new container.

use serde::Deserialize;

use crate::core::reading::writer::Writer;

/// Services that write the lines of their containers.
pub const ENGINES: [&str; 6] = [
    "docker.service",
    "snap.docker.dockerd.service",
    "containerd.service",
    "podman.service",
    "crio.service",
    "balena.service",
];
const NAME_CAP: usize = 128;
const ID: usize = 64;

/// The container whose line this is, by what its engine says of it (`CONTAINER_NAME=`); nobody else is believed.
pub fn carried<'a>(writer: Writer<'_>, unit: &str, named: &'a str) -> Option<&'a str> {
    let believed = match writer {
        Writer::Service(unit) => ENGINES.contains(&unit),
        Writer::Root => unit.starts_with("libpod-"),
        Writer::Kernel | Writer::Manager | Writer::Journal | Writer::Coredump | Writer::User(_) => {
            false
        }
    };
    (believed && is_name(named)).then_some(named)
}

/// The container in `/var/log/containers/POD_NAMESPACE_NAME-ID.log`.
pub fn of_path(path: &str) -> Option<&str> {
    let file = path.rsplit('/').next()?.strip_suffix(".log")?;
    let (whose, id) = file.rsplit_once('-')?;
    let name = whose.rsplit('_').next()?;
    (is_id(id) && is_name(name)).then_some(name)
}

/// The file that describes the container of `/var/lib/docker/containers/ID/ID-json.log`.
pub fn described_in(path: &str) -> Option<String> {
    let (folder, file) = path.rsplit_once('/')?;
    let id = folder.rsplit('/').next()?;
    (is_id(id) && file.starts_with(id)).then(|| format!("{folder}/config.v2.json"))
}

/// The name in such a description.
pub fn name_in(description: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Described {
        #[serde(rename = "Name")]
        name: String,
    }
    let described: Described = serde_json::from_str(description).ok()?;
    let name = described.name.trim_start_matches('/');
    is_name(name).then(|| name.to_owned())
}

/// A unit that Podman makes for each health check of a container, by its id: that it fails says that the container is
/// unhealthy, which is a finding of its own.
pub fn is_check(unit: &str) -> bool {
    let stem = unit
        .strip_suffix(".service")
        .or_else(|| unit.strip_suffix(".timer"));
    let stem = stem.unwrap_or("");
    // Since Podman 5 with a part of chance behind it.
    is_id(stem.split_once('-').map_or(stem, |(id, _)| id))
}

fn is_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    !name.is_empty() && name.len() <= NAME_CAP && name.bytes().all(legal) && !is_id(name)
}

fn is_id(text: &str) -> bool {
    text.len() == ID && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME_ID: &str = "7f399a191dea38b318f7e9419a85423dbde2229c5ef7cc972154f53a3b648b66";

    #[test]
    fn only_an_engine_says_which_container_speaks() {
        let docker = Writer::Service("docker.service");
        assert_eq!(carried(docker, "docker.service", "influx"), Some("influx"));
        assert_eq!(
            carried(Writer::Root, "libpod-conmon-7f.scope", "web"),
            Some("web")
        );
        for (writer, unit, name) in [
            (Writer::Service("app.service"), "app.service", "influx"),
            (Writer::User("1001"), "session-3.scope", "influx"),
            (Writer::Root, "session-3.scope", "influx"),
            (docker, "docker.service", SOME_ID),
            (docker, "docker.service", "a b"),
            (docker, "docker.service", ""),
        ] {
            assert_eq!(carried(writer, unit, name), None, "{unit} {name}");
        }
    }

    #[test]
    fn a_check_of_podmans_is_known_by_the_id_in_its_name() {
        for (unit, want) in [
            (format!("{SOME_ID}.service"), true),
            (format!("{SOME_ID}.timer"), true),
            (format!("{SOME_ID}-7f3a.service"), true),
            (format!("libpod-{SOME_ID}.scope"), false),
            (format!("web-{SOME_ID}.service"), false),
            ("web.service".to_owned(), false),
            (SOME_ID.to_owned(), false),
        ] {
            assert_eq!(is_check(&unit), want, "{unit}");
        }
    }

    #[test]
    fn files_of_containers_name_them() {
        let pod = format!("/var/log/containers/web-5d9_default_nginx-{SOME_ID}.log");
        assert_eq!(of_path(&pod), Some("nginx"));
        let docker = format!("/var/lib/docker/containers/{SOME_ID}/{SOME_ID}-json.log");
        assert_eq!(of_path(&docker), None);
        let folder = format!("/var/lib/docker/containers/{SOME_ID}/config.v2.json");
        assert_eq!(described_in(&docker), Some(folder));
        for path in ["/var/log/app-1.log", "/srv/x.log", "", "x"] {
            assert_eq!((of_path(path), described_in(path)), (None, None), "{path}");
        }
        assert_eq!(
            name_in("{\"ID\":\"7f\",\"Name\":\"/influx\"}"),
            Some("influx".to_owned())
        );
        for bad in ["", "{}", "{\"Name\":\"\"}", "{\"Name\":\"/a b\"}"] {
            assert_eq!(name_in(bad), None, "{bad}");
        }
    }
}
