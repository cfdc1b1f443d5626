#![allow(clippy::unwrap_used)]
use super::*;

fn way(device: &str, change: impl FnOnce(&mut Way)) -> Way {
    let interface = Interface {
        name: device.to_owned(),
        is_gone: false,
        is_on: true,
        state: "up".to_owned(),
        carrier: Some(true),
        hardware: "02:00:00:00:00:01".to_owned(),
        has_address: Some(true),
    };
    let mut way = Way {
        interface,
        gateway: Some("10.0.0.1".to_owned()),
        is_v6: false,
        reach: Reach::Answers,
    };
    change(&mut way);
    way
}

fn good(_: &mut Way) {}

fn known() -> Vec<KnownWay> {
    vec![KnownWay {
        device: "eth0".to_owned(),
        hardware: "02:00:00:00:00:01".to_owned(),
        gateway: "10.0.0.1".to_owned(),
    }]
}

/// Stage, cause and words; empty for a whole way.
fn told(broken: Option<Broken>) -> String {
    broken.map_or(String::new(), |one| {
        format!("{} {} {}: {}", one.stage, one.cause, one.device, one.says)
    })
}

#[test]
fn the_first_broken_stage_of_a_way_speaks() {
    for (change, want) in [
        (good as fn(&mut Way), ""),
        (
            |way| way.interface.is_gone = true,
            "link link_down eth0: eth0 does not exist",
        ),
        (
            |way| (way.interface.is_on, way.interface.carrier) = (false, None),
            "link interface_off eth0: eth0 is switched off",
        ),
        (
            |way| {
                (way.interface.state, way.interface.carrier) = ("down".to_owned(), Some(false));
                way.interface.has_address = Some(false);
            },
            "link link_down eth0: eth0 has no carrier",
        ),
        (
            |way| way.interface.state = "dormant".to_owned(),
            "link link_down eth0: eth0 is dormant",
        ),
        // Tunnels, modems and PPP work while they say so, and tell no carrier.
        (
            |way| {
                (way.interface.state, way.interface.carrier) = ("unknown".to_owned(), None);
                (way.gateway, way.reach) = (Some(String::new()), Reach::Unknown);
            },
            "",
        ),
        (
            |way| way.interface.has_address = Some(false),
            "address no_address eth0: eth0 has no address",
        ),
        (|way| way.interface.has_address = None, ""),
        (
            |way| (way.gateway, way.reach) = (None, Reach::Unknown),
            "route no_route eth0: there is no default route; eth0 had one",
        ),
        (|way| way.reach = Reach::Unknown, ""),
        (
            |way| way.reach = Reach::Silent,
            "gateway gateway_silent eth0: the gateway 10.0.0.1 does not answer on eth0",
        ),
        (
            |way| {
                way.gateway = Some("10.0.0.77".to_owned());
                way.reach = Reach::Silent;
            },
            "route no_route eth0: the default route leads over 10.0.0.77 on eth0; while it worked it was 10.0.0.1 on eth0",
        ),
    ] {
        assert_eq!(
            told(first_broken(&[way("eth0", change)], &known(), None)),
            want
        );
    }
}

#[test]
fn one_way_that_works_is_enough_and_else_the_furthest_speaks() {
    let cut = |way: &mut Way| way.interface.carrier = Some(false);
    let lost = |way: &mut Way| way.interface.has_address = Some(false);
    let judge = |ways: &[Way]| told(first_broken(ways, &known(), None));
    assert_eq!(judge(&[way("eth0", cut), way("wwan0", good)]), "");
    let both = judge(&[way("eth0", cut), way("wwan0", lost)]);
    assert_eq!(both, "address no_address wwan0: wwan0 has no address");
    let both = judge(&[way("eth0", lost), way("wwan0", lost)]);
    assert_eq!(both, "address no_address eth0: eth0 has no address");
    assert_eq!(judge(&[]), "");
}

fn peers(answers: &[(&str, bool, PeerAnswer)]) -> Beyond {
    let peers = answers.iter();
    Beyond {
        peers: peers
            .map(|(name, tls, answer)| ((*name).to_owned(), *tls, answer.clone()))
            .collect(),
        ..Beyond::default()
    }
}

fn resolvers(replies: &[(&str, Resolved)], answer: PeerAnswer) -> Beyond {
    let replies = replies.iter();
    Beyond {
        resolvers: replies
            .map(|(address, reply)| ((*address).to_owned(), reply.clone()))
            .collect(),
        ..peers(&[("hub.plant:443", true, answer)])
    }
}

#[test]
fn beyond_the_gateway_names_come_before_time_and_time_before_destinations() {
    let (hub, log) = ("hub.plant:443", "log.plant:443");
    let silent = ("10.0.0.2", Resolved::Silent);
    let fails = ("127.0.0.53", Resolved::Fails(2));
    let answers = ("10.0.0.3", Resolved::Answers);
    let early = |beyond: Beyond| Beyond {
        clock_is_early: true,
        ..beyond
    };
    let unsynced = |beyond: Beyond| Beyond {
        is_unsynced: true,
        ..beyond
    };
    for (beyond, want) in [
        (Beyond::default(), ""),
        (
            peers(&[(hub, true, PeerAnswer::Up), (log, true, PeerAnswer::Silent)]),
            "",
        ),
        (
            resolvers(&[silent.clone(), fails.clone()], PeerAnswer::NoAddress),
            "resolver dns_failed : no resolver answers: 10.0.0.2 is silent, 127.0.0.53 fails (code 2)",
        ),
        (resolvers(std::slice::from_ref(&silent), PeerAnswer::Up), ""),
        (
            resolvers(&[silent, answers], PeerAnswer::Silent),
            "peer peer_silent : no destination answers: hub.plant:443 is silent",
        ),
        (
            peers(&[(hub, true, PeerAnswer::NotYetValid)]),
            "clock clock_wrong : the clock is behind: certificates are not yet valid",
        ),
        (
            early(peers(&[(hub, true, PeerAnswer::Silent)])),
            "clock clock_wrong : the clock stands before the program was made",
        ),
        (
            early(peers(&[(hub, false, PeerAnswer::Silent)])),
            "peer peer_silent : no destination answers: hub.plant:443 is silent",
        ),
        (
            peers(&[(hub, true, PeerAnswer::Expired)]),
            "peer peer_certificate : no destination answers: hub.plant:443 shows a certificate that has expired",
        ),
        (
            unsynced(peers(&[(hub, true, PeerAnswer::Expired)])),
            "clock clock_wrong : the clock is ahead: certificates have expired",
        ),
        (
            peers(&[
                (hub, true, PeerAnswer::Expired),
                (log, true, PeerAnswer::Expired),
            ]),
            "clock clock_wrong : the clock is ahead: certificates have expired",
        ),
        (
            peers(&[
                (hub, true, PeerAnswer::NotTrusted),
                ("plc:502", false, PeerAnswer::Refused),
            ]),
            "peer captive_portal : no destination answers: hub.plant:443 shows a certificate that is not its own, \
             plc:502 refuses the connection",
        ),
        (
            peers(&[
                (hub, true, PeerAnswer::NotTrusted),
                (log, true, PeerAnswer::Silent),
            ]),
            "peer peer_silent : no destination answers: hub.plant:443 shows a certificate that is not its own, \
             log.plant:443 is silent",
        ),
    ] {
        let ways = [way("eth0", good)];
        assert_eq!(told(first_broken(&ways, &known(), Some(&beyond))), want);
    }
}

#[test]
fn a_way_that_changed_is_the_nearer_stage_where_nothing_beyond_answers() {
    let silent = peers(&[("hub.plant:443", true, PeerAnswer::Silent)]);
    let over_lan = |way: &mut Way| (way.gateway, way.reach) = (Some(String::new()), Reach::Unknown);
    let judge = |ways: &[Way], beyond: &Beyond| told(first_broken(ways, &known(), Some(beyond)));
    assert_eq!(
        judge(&[way("lan0", over_lan)], &silent),
        "route no_route lan0: the default route leads over lan0; while it worked it was 10.0.0.1 on eth0"
    );
    let up = peers(&[("hub.plant:443", true, PeerAnswer::Up)]);
    assert_eq!(judge(&[way("lan0", over_lan)], &up), "");
    // An IPv6 router that nobody can ask does not hide the way that is known to be broken.
    let v6 = |way: &mut Way| (way.is_v6, way.reach) = (true, Reach::Unknown);
    let cut = |way: &mut Way| way.reach = Reach::Silent;
    let both = [way("eth0", cut), way("eth0", v6)];
    assert!(judge(&both, &silent).starts_with("gateway gateway_silent eth0"));
    assert_eq!(judge(&both, &up), "");
    // The kernel takes the first way, whatever the second is like.
    let wrong =
        |way: &mut Way| (way.gateway, way.reach) = (Some("10.7.0.9".to_owned()), Reach::Silent);
    let both = [way("lan0", wrong), way("eth0", good)];
    assert!(judge(&both, &silent).starts_with("route no_route lan0"));
    assert_eq!(judge(&both, &up), "");
    // Nothing is known of an earlier way: what lies beyond it speaks.
    let new = first_broken(&[way("lan0", over_lan)], &[], Some(&silent)).unwrap();
    assert_eq!(new.stage, Stage::Peer);
}
