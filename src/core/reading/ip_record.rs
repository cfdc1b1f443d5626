//! What an interface was like, as `ip -o address` and `ip route` of iproute2 print it, written as lines that `ip -batch`
//! takes: all of it, to put it back, and what of it a human or a program set by hand. Pure.

/// Addresses and routes of one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceRecord {
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    /// Without what changes by itself: two records are compared by it.
    what: String,
    /// The time that a lease has left.
    lifetime: String,
    /// Neither a lease, nor a router, nor the kernel gave it.
    is_by_hand: bool,
}

impl InterfaceRecord {
    /// Reads the output of `ip -o address show dev NAME` and of `ip [-6] route show dev NAME`.
    pub fn of(device: &str, addresses: &str, routes: &str, routes6: &str) -> Self {
        let mut lines = Vec::new();
        for line in addresses.lines() {
            lines.extend(address(device, line));
        }
        for (routes, is_v6) in [(routes, false), (routes6, true)] {
            for line in routes.lines() {
                lines.extend(route(device, line, is_v6));
            }
        }
        Self { lines }
    }

    /// Puts the interface back: what came since is gone.
    pub fn whole(&self, device: &str, is_on: bool) -> String {
        let mut text =
            format!("link set dev {device} up\naddress flush dev {device} scope global\n");
        for line in &self.lines {
            text.push_str(&format!("{}{}\n", line.what, line.lifetime));
        }
        if !is_on {
            text.push_str(&format!("link set dev {device} down\n"));
        }
        text
    }

    /// What was set by hand and `after` lacks; empty where nothing is.
    pub fn lost(&self, after: &Self) -> String {
        let has = |what: &str| after.lines.iter().any(|line| line.what == what);
        let lost = self
            .lines
            .iter()
            .filter(|line| line.is_by_hand && !has(&line.what));
        lost.map(|line| format!("{}\n", line.what)).collect()
    }
}

/// `2: eth0    inet 10.0.0.5/24 brd 10.0.0.255 scope global dynamic eth0\       valid_lft 30sec preferred_lft 30sec`
fn address(device: &str, line: &str) -> Option<Line> {
    let mut words = line
        .split([' ', '\\', '\t'])
        .filter(|word| !word.is_empty());
    let family = words.find(|word| matches!(*word, "inet" | "inet6"))?;
    let mut what = format!("address replace {} dev {device}", words.next()?);
    let (mut is_dynamic, mut lifetime) = (false, String::new());
    while let Some(word) = words.next() {
        match word {
            "scope" => {
                let scope = words.next()?;
                if scope == "link" && family == "inet6" {
                    return None;
                }
                what.push_str(&format!(" scope {scope}"));
            }
            "peer" | "brd" | "metric" => what.push_str(&format!(" {word} {}", words.next()?)),
            "dynamic" => is_dynamic = true,
            "noprefixroute" => what.push_str(" noprefixroute"),
            // The kernel makes these itself.
            "temporary" | "mngtmpaddr" => return None,
            "valid_lft" | "preferred_lft" => {
                let left = words.next()?.trim_end_matches("sec");
                if is_dynamic {
                    lifetime.push_str(&format!(" {word} {left}"));
                }
            }
            _ => {}
        }
    }
    // A router announces it again.
    (family == "inet" || !is_dynamic).then_some(Line {
        what,
        lifetime,
        is_by_hand: !is_dynamic,
    })
}

/// `default via 10.0.0.1 proto dhcp src 10.0.0.5 metric 100`
fn route(device: &str, line: &str, is_v6: bool) -> Option<Line> {
    if line.starts_with([' ', '\t']) {
        return None;
    }
    let mut words = line.split_ascii_whitespace();
    let to = match words.next()? {
        "default" if is_v6 => "::/0",
        // What blocks has no interface, and `ip` would take a type for a name.
        "unreachable" | "blackhole" | "prohibit" | "broadcast" | "multicast" => return None,
        to => to,
    };
    let mut what = format!("route replace {to} dev {device}");
    let mut is_by_hand = true;
    while let Some(word) = words.next() {
        match word {
            "proto" => {
                let proto = words.next()?;
                // These come back by themselves.
                if matches!(proto, "kernel" | "ra" | "redirect") {
                    return None;
                }
                is_by_hand = proto == "static";
                what.push_str(&format!(" proto {proto}"));
            }
            "via" | "metric" | "src" | "scope" | "mtu" => {
                what.push_str(&format!(" {word} {}", words.next()?));
            }
            "onlink" => what.push_str(" onlink"),
            "dev" | "pref" | "expires" | "hoplimit" | "error" => drop(words.next()),
            _ => {}
        }
    }
    Some(Line {
        what,
        lifetime: String::new(),
        is_by_hand,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As iproute2 6.1 printed it.
    const ADDRESSES: &str = "2: eth0    inet 10.0.0.5/24 metric 1024 brd 10.0.0.255 scope global dynamic eth0\\       \
                             valid_lft 3000sec preferred_lft 3000sec\n\
                             2: eth0    inet 192.168.7.1/30 scope global eth0\\       valid_lft forever preferred_lft forever\n\
                             2: eth0    inet6 2001:db8::7/64 scope global \\       valid_lft forever preferred_lft forever\n\
                             2: eth0    inet6 2001:db8::8/64 scope global dynamic mngtmpaddr \\       valid_lft 86 preferred_lft 14\n\
                             2: eth0    inet6 fe80::1/64 scope link \\       valid_lft forever preferred_lft forever\n";
    const ROUTES: &str = "default via 10.0.0.1 proto dhcp src 10.0.0.5 metric 1024 linkdown \n\
                          10.0.0.0/24 proto kernel scope link src 10.0.0.5 metric 1024 \n\
                          172.16.0.0/12 via 10.0.0.9 \n\
                          172.31.0.0/24 via 10.0.0.9 proto static metric 5 \n";
    const ROUTES6: &str = "fe80::/64 proto kernel metric 256 pref medium\n\
                           default via fe80::9 metric 1024 pref medium\n\
                           default via fe80::1 proto ra metric 1024 expires 1700sec hoplimit 64 pref medium\n";

    #[test]
    fn what_was_there_is_put_back_and_what_comes_by_itself_is_not() {
        let record = InterfaceRecord::of("eth0", ADDRESSES, ROUTES, ROUTES6);
        let want = "link set dev eth0 up\naddress flush dev eth0 scope global\n\
                    address replace 10.0.0.5/24 dev eth0 metric 1024 brd 10.0.0.255 scope global valid_lft 3000 preferred_lft 3000\n\
                    address replace 192.168.7.1/30 dev eth0 scope global\n\
                    address replace 2001:db8::7/64 dev eth0 scope global\n\
                    route replace default dev eth0 via 10.0.0.1 proto dhcp src 10.0.0.5 metric 1024\n\
                    route replace 172.16.0.0/12 dev eth0 via 10.0.0.9\n\
                    route replace 172.31.0.0/24 dev eth0 via 10.0.0.9 proto static metric 5\n\
                    route replace ::/0 dev eth0 via fe80::9 metric 1024\n";
        assert_eq!(record.whole("eth0", true), want);
        let off = record.whole("eth0", false);
        assert!(off.ends_with("link set dev eth0 down\n"));
    }

    #[test]
    fn what_was_set_by_hand_and_is_lost_is_known() {
        let before = InterfaceRecord::of("eth0", ADDRESSES, ROUTES, ROUTES6);
        assert_eq!(before.lost(&before), "");
        let after = InterfaceRecord::of(
            "eth0",
            "",
            "default via 10.0.0.1\n\tnexthop x\nunreachable 10.0.0.0/8\n",
            "",
        );
        assert_eq!(
            before.lost(&after),
            "address replace 192.168.7.1/30 dev eth0 scope global\n\
             address replace 2001:db8::7/64 dev eth0 scope global\n\
             route replace 172.16.0.0/12 dev eth0 via 10.0.0.9\n\
             route replace 172.31.0.0/24 dev eth0 via 10.0.0.9 proto static metric 5\n\
             route replace ::/0 dev eth0 via fe80::9 metric 1024\n"
        );
        assert_eq!(
            InterfaceRecord::of("eth0", "garbage\n2: eth0 inet", "\n", "x"),
            InterfaceRecord::of("eth0", "", "", "x")
        );
    }
}
