//! What an operator calls a device, made of what a kernel line calls it.

use crate::core::model::unit::unit_of_cgroup;

/// The operator's name: `mmcblk0p3` for `mmcblk0p3-8.`, `1-1.3` for `1-1.3:1.0`, `1-4` for `usb1-port4`.
pub fn plain(name: &str) -> String {
    if name.starts_with('/')
        && let Some(unit) = unit_of_cgroup(name)
    {
        return unit.to_owned();
    }
    let name = name.strip_prefix("/dev/").unwrap_or(name);
    let name = name.trim_matches(['.', ':', ',', '!', '#', '-']);
    if let Some(port) = usb_port(name) {
        return port;
    }
    let name = without_journal(name);
    let name = without_interface(name);
    let name = without_unit_number(name);
    if let Some(mapped) = mapped(name) {
        return mapped;
    }
    without_column(name).to_owned()
}

/// The device that a line speaks of in its first words: `mmc0: …`, `usb 1-1.3: …`, `r8169 0000:02:00.0 eno1: …`.
pub fn device_of_head(line: &str) -> Option<&str> {
    let (head, _) = line.split_once(": ")?;
    let words = head.split(' ').count();
    let name = head.rsplit(' ').next()?;
    let sane = words <= 3
        && (2..=40).contains(&name.len())
        && name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':' | b'/'));
    // One word without a digit is a module, several are a sentence.
    let device = name.bytes().any(|b| b.is_ascii_digit());
    let module = words == 1 && !name.bytes().any(|b| b.is_ascii_uppercase());
    (sane && (device || module)).then_some(name)
}

/// `usb1-port4`, `1-1-port2`: the port where a device would be.
fn usb_port(name: &str) -> Option<String> {
    let (hub, port) = name.rsplit_once("-port")?;
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match hub.strip_prefix("usb") {
        Some(bus) => Some(format!("{bus}-{port}")),
        None => Some(format!("{hub}.{port}")),
    }
}

/// The journal of a file system is called by its device and an inode.
fn without_journal(name: &str) -> &str {
    const DISKS: [&str; 12] = [
        "sd", "hd", "vd", "xvd", "nvme", "mmcblk", "dm-", "md", "loop", "nbd", "zram", "ram",
    ];
    let Some((device, inode)) = name.rsplit_once('-') else {
        return name;
    };
    let numbered = !inode.is_empty() && inode.bytes().all(|b| b.is_ascii_digit());
    let disk = DISKS.iter().any(|start| device.starts_with(start));
    match numbered && disk {
        true => device,
        false => name,
    }
}

/// `1-1.3:1.0` is an interface of the USB device `1-1.3`.
fn without_interface(name: &str) -> &str {
    let Some((device, interface)) = name.split_once(':') else {
        return name;
    };
    let numbers =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let usb = device
        .split_once('-')
        .is_some_and(|(bus, ports)| numbers(bus) && numbers(ports));
    match usb && numbers(interface) {
        true => device,
        false => name,
    }
}

/// `ata1.00` is what hangs on `ata1`.
fn without_unit_number(name: &str) -> &str {
    match name.split_once('.') {
        Some((port, _)) if port.strip_prefix("ata").is_some_and(is_number) => port,
        _ => name,
    }
}

/// The device mapper speaks of its devices by number.
fn mapped(name: &str) -> Option<String> {
    let (major, minor) = name.split_once(':')?;
    let dm = matches!(major, "252" | "253" | "254") && is_number(minor);
    dm.then(|| format!("dm-{minor}"))
}

/// `file.c:12:3` is the line `file.c:12`.
fn without_column(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((place, column)) if is_number(column) => match place.rsplit_once(':') {
            Some((file, line)) if is_number(line) && file.contains('.') => place,
            _ => name,
        },
        _ => name,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_an_operator() {
        for (written, want) in [
            ("mmcblk0p3-8.", "mmcblk0p3"),
            ("sda1-8", "sda1"),
            ("dm-0-8", "dm-0"),
            ("dm-0", "dm-0"),
            ("/dev/sdb2", "sdb2"),
            ("1-1.3:1.0", "1-1.3"),
            ("0000:02:00.0", "0000:02:00.0"),
            ("usb1-port4", "1-4"),
            ("1-1-port2", "1-1.2"),
            ("ata1.00", "ata1"),
            ("253:4", "dm-4"),
            ("drivers/a/b.c:12:3", "drivers/a/b.c:12"),
            ("fs/ext4/inode.c:2721", "fs/ext4/inode.c:2721"),
            ("/system.slice/app.service", "app.service"),
            ("eth0:", "eth0"),
            ("", ""),
        ] {
            assert_eq!(plain(written), want, "{written}");
        }
    }

    #[test]
    fn the_head_of_a_line_names_its_device() {
        for (line, want) in [
            ("r8169 0000:02:00.0 eno1: rtl_x == 0", Some("eno1")),
            ("usb 1-1.3: something", Some("1-1.3")),
            ("imx-sdma 20ec000.sdma: no event", Some("20ec000.sdma")),
            ("cfg80211: failed", Some("cfg80211")),
            ("overlayfs: failed", Some("overlayfs")),
            ("Something is wrong here: x", None),
            ("Error: x", None),
            ("no colon", None),
        ] {
            assert_eq!(device_of_head(line), want, "{line}");
        }
    }
}
