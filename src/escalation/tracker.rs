//! What the courier asks of a place where humans look.

use std::fmt;

use super::outbox::OutboxError;
use crate::core::human::delivery::{Delivery, DeliveryStep};
use crate::core::human::mqtt::Tally;
use crate::core::model::time::Timestamp;

/// One destination of deliveries.
pub trait Tracker: fmt::Debug {
    /// Name in the outbox, as in `github`.
    fn destination(&self) -> &str;

    /// Makes one attempt, at most one write. `begin` commits the row as `sending` and is called right before
    /// a write; when it fails, nothing may be written. Never blocks longer than the transport's time limits.
    fn deliver(
        &mut self,
        delivery: &Delivery,
        begin: &mut dyn FnMut() -> Result<(), OutboxError>,
        now: Timestamp,
    ) -> DeliveryStep;

    /// The same with one message that tells of all of these. A destination without a digest is never asked.
    fn deliver_together(
        &mut self,
        deliveries: &[Delivery],
        begin: &mut dyn FnMut() -> Result<(), OutboxError>,
        now: Timestamp,
    ) -> DeliveryStep {
        match deliveries.first() {
            Some(first) => self.deliver(first, begin, now),
            None => DeliveryStep::Dead {
                why: "there is nothing to tell".to_owned(),
            },
        }
    }

    /// Called every some seconds: for who keeps a connection. `standing` is asked where it is needed.
    fn keep(&mut self, _standing: &mut dyn FnMut() -> Option<Tally>) {}

    /// The daemon ends, or the configuration has changed.
    fn leave(&mut self) {}

    /// True when what a human had to change has changed since the last attempt (a new token).
    fn renewed(&mut self) -> bool;
}

/// Whichever it is: the courier is compiled once for all of them.
pub type AnyTracker = Box<dyn Tracker + Send>;

impl Tracker for AnyTracker {
    fn destination(&self) -> &str {
        (**self).destination()
    }

    fn deliver(
        &mut self,
        delivery: &Delivery,
        begin: &mut dyn FnMut() -> Result<(), OutboxError>,
        now: Timestamp,
    ) -> DeliveryStep {
        (**self).deliver(delivery, begin, now)
    }

    fn deliver_together(
        &mut self,
        deliveries: &[Delivery],
        begin: &mut dyn FnMut() -> Result<(), OutboxError>,
        now: Timestamp,
    ) -> DeliveryStep {
        (**self).deliver_together(deliveries, begin, now)
    }

    fn keep(&mut self, standing: &mut dyn FnMut() -> Option<Tally>) {
        (**self).keep(standing);
    }

    fn leave(&mut self) {
        (**self).leave();
    }

    fn renewed(&mut self) -> bool {
        (**self).renewed()
    }
}
