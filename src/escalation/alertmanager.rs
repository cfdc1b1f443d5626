//! Prometheus Alertmanager, the engine for fleets: every alert to every peer, again and again until it is over.
//!
//! Posting is idempotent by label set and a peer forgets all when it restarts, so there is no queue: what is true
//! now is sent now, and one peer's trouble never delays another's.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::http::{Request, SendError, Transport, Verb};
use crate::core::human::alert::Alert;
use crate::core::human::delivery::{backoff, spread};
use crate::core::human::reply::ReplyJudgement;
use crate::core::model::time::Timestamp;

/// Alerts per request.
const BATCH: usize = 64;
const RETRY_BASE: Duration = Duration::from_secs(5);
const RETRY_MOST: Duration = Duration::from_secs(300);
/// Least time between two rounds to one peer, however much changes.
const ROUND_GAP: Duration = Duration::from_secs(1);

/// One peer and how it fares.
#[derive(Clone, Debug)]
struct Peer {
    url: String,
    next_at: Timestamp,
    asked_at: Option<Timestamp>,
    failures: u32,
}

/// What one round came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Alerts taken, counted once for each peer.
    pub accepted: usize,
    /// Alerts that a peer refused even alone.
    pub refused: usize,
    /// Peers that were not reached or not ready.
    pub peers_down: usize,
}

/// Sends to all peers.
#[derive(Debug)]
pub struct Alertmanager {
    transport: Box<dyn Transport + Send>,
    peers: Vec<Peer>,
    resend: Duration,
    gateway_id: String,
}

impl Alertmanager {
    /// `peers` are base URLs, as in `https://alerts.plant:9093`.
    pub fn new(
        transport: Box<dyn Transport + Send>,
        peers: &[String],
        resend: Duration,
        gateway_id: &str,
    ) -> Self {
        let peers = peers.iter().map(|url| Peer {
            url: format!("{}/api/v2/alerts", url.trim_end_matches('/')),
            next_at: Timestamp::from_millis(i64::MIN),
            asked_at: None,
            failures: 0,
        });
        Self {
            transport,
            peers: peers.collect(),
            resend,
            gateway_id: gateway_id.to_owned(),
        }
    }

    /// When the next peer is due.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.peers.iter().map(|peer| peer.next_at).min()
    }

    /// All peers are due at once: something changed.
    pub fn hurry(&mut self, now: Timestamp) {
        for peer in self.peers.iter_mut().filter(|peer| peer.failures == 0) {
            let gap = peer.asked_at.map_or(now, |at| at.min(now).plus(ROUND_GAP));
            peer.next_at = peer.next_at.min(gap.max(now));
        }
    }

    /// Peers by address, and whether the last round reached them.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (&str, bool)> {
        self.peers
            .iter()
            .map(|peer| (peer.url.as_str(), peer.failures == 0))
    }

    /// Sends what is true now to the peers that are due.
    pub fn tick(&mut self, alerts: &[Alert], now: Timestamp) -> Round {
        let mut round = Round::default();
        while let Some(one) = self.tick_one(alerts, now) {
            round.accepted += one.accepted;
            round.refused += one.refused;
            round.peers_down += one.peers_down;
        }
        round
    }

    /// Serves one peer that is due, for at most `ATTEMPT_MOST`: one that does not
    /// answer is left for later at once. `None` = nobody is due.
    pub(crate) fn tick_one(&mut self, alerts: &[Alert], now: Timestamp) -> Option<Round> {
        let (transport, resend) = (&self.transport, self.resend);
        // A clock that was set back must not silence a peer.
        let due = |peer: &&mut Peer| peer.next_at <= now || peer.next_at > now.plus(resend * 8);
        let peer = self.peers.iter_mut().find(due)?;
        transport.begin_attempt();
        let mut round = Round::default();
        let sent = alerts
            .chunks(BATCH)
            .try_for_each(|batch| post(transport.as_ref(), &peer.url, batch, now, &mut round));
        let share = spread(&self.gateway_id, &peer.url);
        let wait = match sent {
            Ok(()) => {
                if peer.failures > 0 {
                    log::info!("alertmanager {}: reachable again", peer.url);
                }
                peer.failures = 0;
                // Up to a tenth earlier: a thousand gateways started together drift apart.
                resend.saturating_sub(resend.saturating_mul(share) / 10_000)
            }
            Err(why) => {
                if peer.failures == 0 {
                    log::warn!("alertmanager {}: {why}: trying again", peer.url);
                }
                round.peers_down += 1;
                // Not beyond the time at which an alert would end for want of a repeat.
                let most = RETRY_MOST.min(resend);
                let wait = backoff(RETRY_BASE, most, peer.failures, share);
                peer.failures = peer.failures.saturating_add(1);
                wait
            }
        };
        peer.asked_at = Some(now);
        peer.next_at = now.plus(wait);
        Some(round)
    }
}

/// Why a peer was not told.
#[derive(Debug)]
enum PostError {
    Body(serde_json::Error),
    Send(SendError),
    /// It is not ready to take anything; status and words of its answer.
    Answer(String),
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(why) => write!(f, "{why}"),
            Self::Send(why) => write!(f, "{why}"),
            Self::Answer(answer) => f.write_str(answer),
        }
    }
}

impl Error for PostError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Body(why) => Some(why),
            Self::Send(why) => Some(why),
            Self::Answer(_) => None,
        }
    }
}

/// Posts a batch; one that is refused is halved until the bad alert stands alone. The valid ones in a refused
/// batch are stored all the same, and storing them twice does no harm.
fn post(
    transport: &dyn Transport,
    url: &str,
    batch: &[Alert],
    now: Timestamp,
    round: &mut Round,
) -> Result<(), PostError> {
    if batch.is_empty() {
        return Ok(());
    }
    let request = Request {
        method: Verb::Post,
        url: url.to_owned(),
        token: None,
        headers: Vec::new(),
        body: Some(serde_json::to_string(batch).map_err(PostError::Body)?),
    };
    let reply = transport.send(&request).map_err(PostError::Send)?.reply();
    match reply.judgement(now) {
        ReplyJudgement::Done => {
            round.accepted += batch.len();
            Ok(())
        }
        ReplyJudgement::Refused if batch.len() > 1 => {
            let (left, right) = batch.split_at(batch.len() / 2);
            post(transport, url, left, now, round)?;
            post(transport, url, right, now, round)
        }
        ReplyJudgement::Refused => {
            round.refused += 1;
            let labels = batch.first().map(|alert| &alert.labels);
            log::error!(
                "alertmanager {url}: an alert is refused: {}: {labels:?}",
                reply.describe()
            );
            Ok(())
        }
        ReplyJudgement::Limited(_)
        | ReplyJudgement::Forbidden
        | ReplyJudgement::Missing
        | ReplyJudgement::Gone
        | ReplyJudgement::Unclear => Err(PostError::Answer(reply.describe())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::core::model::sorted::SortedMap;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::escalation::http::Response;

    const NOW: Timestamp = Timestamp::from_millis(1_763_878_648_000);

    /// Refuses any batch with the alert `poison`; the peer `down` is down.
    #[derive(Debug, Default)]
    struct Fake(Arc<Mutex<SortedMap<String, Vec<String>>>>);

    impl Transport for Fake {
        fn send(&self, request: &Request) -> Result<Response, SendError> {
            if request.url.contains("down") {
                return Err(SendError::NotSent("refused".to_owned()));
            }
            let batch: serde_json::Value =
                serde_json::from_str(request.body.as_deref().unwrap()).unwrap();
            let names: Vec<String> = batch
                .as_array()
                .unwrap()
                .iter()
                .map(|alert| {
                    alert
                        .pointer("/labels/alertname")
                        .unwrap()
                        .as_str()
                        .unwrap()
                        .to_owned()
                })
                .collect();
            let poisoned = names.iter().any(|name| name == "poison");
            if !poisoned {
                self.0
                    .lock()
                    .unwrap()
                    .entry(request.url.clone())
                    .or_default()
                    .extend(names);
            }
            Ok(Response {
                status: if poisoned { 400 } else { 200 },
                ..Response::default()
            })
        }
    }

    fn alert(name: &str) -> Alert {
        Alert {
            labels: SortedMap::from([("alertname".to_owned(), name.to_owned())]),
            ..Alert::default()
        }
    }

    #[test]
    fn every_peer_gets_all_but_the_poison_and_a_dead_peer_delays_nobody() {
        let seen = Arc::new(Mutex::new(SortedMap::new()));
        let peers = ["https://a", "https://down", "https://b/"].map(str::to_owned);
        let resend = Duration::from_secs(60);
        let mut sender = Alertmanager::new(Box::new(Fake(Arc::clone(&seen))), &peers, resend, "gw");
        let mut alerts: Vec<Alert> = (0..100).map(|n| alert(&format!("a{n}"))).collect();
        alerts.insert(37, alert("poison"));
        let round = sender.tick(&alerts, NOW);
        assert_eq!(
            round,
            Round {
                accepted: 200,
                refused: 2,
                peers_down: 1
            }
        );
        for url in ["https://a/api/v2/alerts", "https://b/api/v2/alerts"] {
            assert_eq!(seen.lock().unwrap().get(url).unwrap().len(), 100);
        }
        let next = sender.next_at().unwrap();
        assert!(
            next > NOW && next.since(NOW) < Duration::from_secs(10),
            "the dead peer is tried again soon"
        );
        assert_eq!(
            sender.tick(&alerts, NOW.plus(Duration::from_secs(1))),
            Round::default()
        );
        sender.hurry(NOW);
        assert_eq!(sender.tick(&alerts, NOW), Round::default(), "a gap is kept");
        sender.hurry(NOW.plus(Duration::from_secs(1)));
        assert_eq!(
            sender
                .tick(&alerts, NOW.plus(Duration::from_secs(1)))
                .accepted,
            200
        );
    }
}
