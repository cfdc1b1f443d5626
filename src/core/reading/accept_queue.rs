//! Connections that a program has not taken yet, as the kernel's tables of TCP sockets tell them. Pure.
//!
//! Until its program accepts it, a connection has no file: its inode is 0. One whose program has closed it has none
//! either, but is never in the two states asked for here (proc_net(5), include/net/tcp_states.h).

use crate::core::model::sorted::SortedSet;

const LISTEN: &str = "0A";
/// ESTABLISHED, and CLOSE_WAIT: the other side has given up meanwhile.
const UNTAKEN: [&str; 2] = ["01", "08"];

/// A listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listening {
    pub port: u16,
    pub inode: u64,
}

/// A connection to a listening port that nobody has taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Untaken {
    pub port: u16,
    /// Address and port of the other side, as the kernel writes them: with the port, its name.
    pub peer: String,
}

/// What the tables say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    pub listening: SortedSet<Listening>,
    pub untaken: SortedSet<Untaken>,
}

impl Queues {
    /// Reads tables of /proc/net/tcp and tcp6.
    pub fn read(tables: &[String]) -> Self {
        let mut queues = Self::default();
        for row in tables.iter().flat_map(|table| table.lines().skip(1)) {
            queues.add(row);
        }
        let ports: SortedSet<u16> = queues.listening.iter().map(|one| one.port).collect();
        queues.untaken.retain(|one| ports.contains(&one.port));
        queues
    }

    /// Column 2 is the local address, 3 the other side's, 4 the state, 10 the inode.
    fn add(&mut self, row: &str) -> Option<()> {
        let mut fields = row.split_ascii_whitespace().skip(1);
        let (local, peer, state) = (fields.next()?, fields.next()?, fields.next()?);
        let inode: u64 = fields.nth(5)?.parse().ok()?;
        let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
        match state {
            LISTEN => {
                self.listening.insert(Listening { port, inode });
            }
            _ if inode == 0 && UNTAKEN.contains(&state) => {
                let peer = peer.to_owned();
                self.untaken.insert(Untaken { port, peer });
            }
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a real host: a listener on 9305 whose program stands still, with one client that waits and one that gave up;
    /// one connection that was taken, one that its program has closed, one to somebody else's port.
    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        0: 00000000:2459 00000000:0000 0A 00000000:00000002 00:00000000 00000000     0        0 41206 1 0 100 0 0 10 0\n\
        1: 0100007F:2459 0100007F:B0A2 01 00000000:00000012 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1\n\
        2: 0100007F:2459 0100007F:B0A4 08 00000000:00000013 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1\n\
        3: 0100007F:2459 0100007F:B0A6 01 00000000:00000000 00:00000000 00000000     0        0 41300 1 0 20 4 30 10 -1\n\
        4: 0100007F:2459 0100007F:B0A8 05 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1\n\
        5: 0100007F:B0AA 0100007F:01BB 01 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1\n";

    #[test]
    fn what_nobody_took_is_told_from_what_was_taken_or_closed() {
        let queues = Queues::read(&[TCP.to_owned()]);
        let ports: Vec<(u16, u64)> = queues
            .listening
            .iter()
            .map(|one| (one.port, one.inode))
            .collect();
        assert_eq!(ports, [(9305, 41206)]);
        let peers: Vec<&str> = queues.untaken.iter().map(|one| one.peer.as_str()).collect();
        assert_eq!(peers, ["0100007F:B0A2", "0100007F:B0A4"]);
    }

    #[test]
    fn garbage_is_no_queue() {
        for table in [
            "",
            "header",
            "header\n1: x y 01 a b c d e f\n",
            "h\n0: :ZZ : 0A 0 0 0 0 0 1\n",
        ] {
            assert_eq!(
                Queues::read(&[table.to_owned()]),
                Queues::default(),
                "{table}"
            );
        }
    }
}
