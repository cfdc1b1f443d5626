#![allow(clippy::unwrap_used)]
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use proptest::prelude::*;

use super::*;

#[test]
fn packets_of_a_broker_are_read() {
    for (bytes, wanted) in [
        (&[0x20, 2, 0, 0][..], Packet::Connack(0)),
        (&[0x20, 2, 1, 5], Packet::Connack(5)),
        (&[0x40, 2, 1, 2], Packet::Puback(258)),
        (&[0xd0, 0], Packet::Pingresp),
        (&[0xd0, 0x80, 0], Packet::Pingresp),
        (&[0x90, 3, 0, 1, 1], Packet::Other),
        (&[0x31, 5, 0, 1, b'a', 1, 2], Packet::Other),
    ] {
        let mut stream = bytes.to_vec();
        stream.extend([0xd0, 0]);
        assert_eq!(read_packet(&stream), Ok(Some((wanted, bytes.len()))));
        for end in 0..bytes.len() {
            assert_eq!(
                read_packet(stream.get(..end).unwrap()),
                Ok(None),
                "{bytes:?} {end}"
            );
        }
    }
    for malformed in [
        &[0x20, 1, 0][..],
        &[0x40, 3, 0, 0, 0],
        &[0xd0, 1, 0],
        &[0x21, 2, 0, 0],
        b"HTTP/1.1",
        &[0x10, 0],
        &[0],
        &[0xe0],
    ] {
        assert_eq!(
            read_packet(malformed),
            Err(PacketError::Malformed),
            "{malformed:?}"
        );
    }
    for long in [
        &[0x30, 0x80, 0x80, 0x80, 0x80][..],
        &[0x30, 0xff, 0xff, 0xff, 0x7f],
        &[0x30, 0x81, 0x20],
    ] {
        assert_eq!(read_packet(long), Err(PacketError::TooLong), "{long:?}");
    }
}

proptest! {
    #[test]
    fn a_length_is_read_as_it_was_written(length in 0..3_000_000_usize) {
        let written = packet(0x30, &vec![0; length]);
        let (read, behind) = read_length(written.get(1..).unwrap()).unwrap().unwrap();
        prop_assert_eq!((read, behind.len()), (length, length));
    }

    #[test]
    fn whatever_comes_is_bounded(bytes in prop::collection::vec(any::<u8>(), 0..64), cut in any::<prop::sample::Index>()) {
        let whole = read_packet(&bytes);
        if let Ok(Some((_, length))) = whole {
            prop_assert!(length > 0 && length <= bytes.len());
        }
        match read_packet(bytes.split_at(cut.index(bytes.len() + 1)).0) {
            Ok(None) => {}
            other => prop_assert_eq!(other, whole),
        }
    }
}

fn broker(address: &str) -> Broker {
    Broker {
        address: address.to_owned(),
        tls: None,
        user: String::new(),
        password: None,
        client_id: "gw".to_owned(),
        will: None,
        keep_alive: Duration::from_secs(60),
        timeout: Duration::from_secs(20),
        stop: Arc::default(),
    }
}

#[test]
fn the_greeting_is_that_of_the_specification() {
    let mut all = broker("");
    assert_eq!(
        all.hello().unwrap(),
        b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02gw"
    );
    all.will = Some(Will {
        topic: "t".to_owned(),
        payload: b"off".to_vec(),
    });
    all.user = "u".to_owned();
    all.password = Some(Secret::new("p"));
    all.keep_alive = Duration::from_secs(1 << 20);
    assert_eq!(
        all.hello().unwrap(),
        b"\x10\x1c\0\x04MQTT\x04\xee\xff\xff\0\x02gw\0\x01t\0\x03off\0\x01u\0\x01p"
    );
    all.keep_alive = Duration::ZERO;
    assert_eq!(all.hello().unwrap().get(10..12).unwrap(), [0, 1]);
    all.will.as_mut().unwrap().payload = vec![0; TEXT_MOST + 1];
    assert!(matches!(all.hello(), Err(MqttError::Refused(_))));
    all.will = None;
    all.client_id = "a\0".to_owned();
    assert!(matches!(all.hello(), Err(MqttError::Refused(_))));
}

#[test]
fn what_is_no_topic_or_too_large_is_refused_before_anybody_is_asked() {
    let mut client = Client::new(broker("no port"));
    let long = "x".repeat(TEXT_MOST + 1);
    for topic in ["", "a/+", "#", "a\0", &long] {
        let error = client
            .publish(topic, b"", true, Instant::now())
            .unwrap_err();
        assert!(matches!(error, MqttError::Refused(_)), "{topic}: {error}");
    }
    let large = vec![0; PAYLOAD_MOST + 1];
    let error = client
        .publish("a", &large, true, Instant::now())
        .unwrap_err();
    assert!(matches!(error, MqttError::Refused(_)));
    let error = client.publish("a", b"", true, Instant::now()).unwrap_err();
    assert!(matches!(error, MqttError::NotSent(_)));
    let mut open = broker("127.0.0.1:9");
    open.user = "u".to_owned();
    open.password = Some(Secret::new("p"));
    let error = Client::new(open).keep(Instant::now()).unwrap_err();
    assert!(matches!(error, MqttError::Denied(_)));
}

/// A broker that does for each connection what `each` says, given the packets as they come: what it returns is
/// answered, an empty answer being none and `None` the end.
fn peer(
    connections: usize,
    each: impl Fn(usize, &[u8]) -> Option<Vec<u8>> + Send + 'static,
) -> (Broker, JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let broker = broker(&listener.local_addr().unwrap().to_string());
    let thread = std::thread::spawn(move || {
        let mut said = Vec::new();
        for number in 0..connections {
            let (mut socket, _) = listener.accept().unwrap();
            while let Some(packet) = next(&mut socket) {
                let answer = each(number, &packet);
                said.push(packet);
                let Some(answer) = answer else {
                    break;
                };
                socket.write_all(&answer).unwrap();
            }
        }
        said
    });
    (broker, thread)
}

/// A client's packet, short enough for a length of one byte.
fn next(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut packet = vec![0; 2];
    socket.read_exact(&mut packet).ok()?;
    let mut body = vec![0; usize::from(*packet.get(1)?)];
    socket.read_exact(&mut body).ok()?;
    packet.extend(body);
    Some(packet)
}

/// Acknowledges what a message of a topic of one character is numbered.
fn good(packet: &[u8]) -> Option<Vec<u8>> {
    match packet {
        [0x10, ..] => Some(vec![0x20, 2, 0, 0]),
        [0x32 | 0x33, _, _, _, _, high, low, ..] => Some(vec![0x40, 2, *high, *low]),
        [0xc0, ..] => Some(vec![0xd0, 0]),
        _ => None,
    }
}

#[test]
fn a_message_is_acknowledged_whatever_comes_between() {
    let (broker, thread) = peer(1, |_, packet| {
        let mut answer = good(packet)?;
        if matches!(packet, [0x33, ..]) {
            let between = [0xd0, 0, 0x40, 2, 0xff, 0xff, 0x30, 3, 0, 1, b'x'];
            answer.splice(..0, between);
        }
        Some(answer)
    });
    let mut client = Client::new(broker);
    let now = Instant::now();
    assert!(client.keep(now).unwrap(), "it is new");
    client.publish("t", b"on", true, now).unwrap();
    client.publish("t", b"", false, now).unwrap();
    assert!(!client.keep(now).unwrap());
    client.close();
    assert!(client.session.is_none());
    let said = thread.join().unwrap();
    assert_eq!(
        said.get(1..).unwrap(),
        [
            b"\x33\x07\0\x01t\0\x01on".to_vec(),
            b"\x32\x05\0\x01t\0\x02".to_vec(),
            vec![0xe0, 0],
        ]
    );
    assert_eq!(client.bytes(), (16 + 9 + 7 + 2, 4 + 11 + 4 + 4));
}

#[test]
fn each_refusal_of_a_broker_has_its_meaning() {
    for (code, wanted) in [
        (1, "refused: "),
        (2, "refused: "),
        (3, "not sent: "),
        (4, "denied: "),
        (5, "denied: "),
        (6, "refused: "),
    ] {
        let (broker, thread) = peer(1, move |_, _| Some(vec![0x20, 2, 0, code]));
        let error = Client::new(broker)
            .keep(Instant::now())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(wanted), "{code}: {error}");
        thread.join().unwrap();
    }
    for (answer, wanted) in [
        (Some(b"HTTP/1.1 400 \r\n".to_vec()), "refused: "),
        (Some(vec![0x40, 2, 0, 1]), "refused: "),
        (None, "not sent: "),
    ] {
        let (broker, thread) = peer(1, move |_, _| answer.clone());
        let error = Client::new(broker)
            .keep(Instant::now())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(wanted), "{error}");
        thread.join().unwrap();
    }
}

#[test]
fn a_message_without_acknowledgement_is_unknown_and_the_next_one_connects_anew() {
    let (broker, thread) = peer(2, |number, packet| match packet {
        [0x33, ..] if number == 0 => None,
        packet => good(packet),
    });
    let mut client = Client::new(broker);
    let now = Instant::now();
    let error = client.publish("t", b"on", true, now).unwrap_err();
    assert!(matches!(error, MqttError::Unknown(_)), "{error}");
    client.publish("t", b"on", true, now).unwrap();
    assert!(client.keep(now).unwrap(), "nobody was told of it yet");
    client.close();
    thread.join().unwrap();
}

/// The broker ends the connection between two messages: the second one never gets on it.
#[test]
fn a_connection_that_is_gone_is_noticed_before_a_message_is_given_to_it() {
    let (broker, thread) = peer(3, |number, packet| match packet {
        // Answered, and then gone.
        [0x33, ..] if number < 2 => None,
        packet => good(packet),
    });
    let mut client = Client::new(broker);
    let now = Instant::now();
    assert!(client.keep(now).unwrap());
    client.publish("t", b"1", true, now).unwrap_err();
    assert!(client.keep(now).unwrap());
    // What `keep` finds.
    let session = client.session.as_mut().unwrap();
    session.link.say(b"\x33\x05\0\x01t\0\x09").unwrap();
    let error = loop {
        if let Err(error) = client.keep(now) {
            break error;
        }
    };
    assert!(matches!(error, MqttError::NotSent(_)), "{error}");
    client.publish("t", b"2", true, now).unwrap();
    client.close();
    thread.join().unwrap();
}

#[test]
fn a_ping_is_sent_after_half_the_time_and_missed_when_nobody_answers() {
    let (mut broker, thread) = peer(2, |number, packet| match packet {
        [0xc0, ..] if number == 1 => Some(Vec::new()),
        packet => good(packet),
    });
    broker.timeout = Duration::from_secs(10);
    let mut client = Client::new(broker);
    let now = Instant::now();
    let at = |seconds| now + Duration::from_secs(seconds);
    client.keep(at(0)).unwrap();
    client.keep(at(29)).unwrap();
    assert_eq!(client.asked_at, None);
    client.keep(at(30)).unwrap();
    assert_eq!(client.asked_at, Some(at(30)));
    // The answer is on its way.
    while client.asked_at.is_some() {
        client.keep(at(31)).unwrap();
    }
    client.close();
    assert!(client.keep(at(100)).unwrap());
    client.keep(at(130)).unwrap();
    client.keep(at(139)).unwrap();
    let error = client.keep(at(140)).unwrap_err();
    assert!(matches!(error, MqttError::NotSent(_)), "{error}");
    assert!(client.session.is_none());
    let said = thread.join().unwrap();
    let pings = said.iter().filter(|packet| **packet == PINGREQ).count();
    assert_eq!(pings, 2);
}

#[test]
fn while_the_daemon_stops_a_last_word_gets_out_and_nothing_is_connected() {
    let stop: Arc<AtomicBool> = Arc::default();
    let told = Arc::clone(&stop);
    let (mut broker, thread) = peer(1, move |_, packet| match packet {
        [0x33, _, _, _, _, 0, 1, ..] => {
            told.store(true, Ordering::Relaxed);
            Some(Vec::new())
        }
        packet => good(packet),
    });
    broker.stop = Arc::clone(&stop);
    let mut client = Client::new(broker.clone());
    let now = Instant::now();
    let error = client.publish("t", b"busy", true, now).unwrap_err();
    assert_eq!(error, MqttError::Unknown("the daemon stops".to_owned()));
    assert!(!client.keep(now).unwrap());
    client.publish("t", b"offline", true, now).unwrap();
    client.close();
    let said = thread.join().unwrap();
    assert_eq!(said.last().unwrap(), &DISCONNECT);
    let error = Client::new(broker)
        .publish("t", b"", true, now)
        .unwrap_err();
    assert_eq!(error, MqttError::NotSent("the daemon stops".to_owned()));
}

#[test]
fn a_broker_that_trickles_or_says_nothing_is_left_in_time() {
    let (mut broker, thread) = peer(2, |number, packet| match (number, packet) {
        // An answer without an end; the connection ends with the client.
        (0, _) => Some(vec![0x20]),
        (_, [0x33, ..]) => Some(vec![0xd0, 0, 0x40]),
        (_, packet) => good(packet),
    });
    broker.timeout = Duration::from_millis(200);
    let begun = Instant::now();
    let mut client = Client::new(broker);
    let error = client.publish("t", b"", true, begun).unwrap_err();
    assert!(matches!(error, MqttError::NotSent(_)), "{error}");
    let error = client.publish("t", b"", true, begun).unwrap_err();
    assert!(matches!(error, MqttError::Unknown(_)), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    drop(client);
    thread.join().unwrap();
}

#[test]
fn an_attempt_ends_in_time_however_many_messages_the_broker_does_not_acknowledge() {
    let (broker, thread) = peer(1, |_, packet| match packet {
        [0x10, ..] => good(packet),
        _ => Some(Vec::new()),
    });
    let mut client = Client::new(broker);
    let began = Instant::now();
    client.begin_attempt();
    assert!(client.keep(began).unwrap());
    client.most = Some(began + Duration::from_millis(300));
    let came = client.publish("a", b"1", true, began);
    assert!(matches!(came, Err(MqttError::Unknown(_))), "{came:?}");
    let came = client.publish("a", b"2", true, began);
    assert!(matches!(came, Err(MqttError::NotSent(_))), "{came:?}");
    // Far less than what one acknowledgement may take.
    assert!(began.elapsed() < Duration::from_secs(10));
    thread.join().unwrap();
}
