//! What can be an address or a name of one: asked where the settings are checked.

/// True for one part of the path of a repository.
pub(super) fn is_name(part: &str) -> bool {
    let of_name = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    !matches!(part, "" | "." | "..") && part.bytes().all(of_name)
}

/// True for `host:port` with a port that can be dialled.
pub(super) fn has_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// True for a URL with a host, and with a port that can be dialled where it names one.
pub(super) fn can_be_asked(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    match authority.contains(':') && !authority.ends_with(']') {
        true => has_port(authority),
        false => !authority.is_empty(),
    }
}
