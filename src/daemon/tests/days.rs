//! The report knows which days were watched.

use std::time::Duration;

use super::gateway::{Gateway, START};
use crate::daemon::days::{Days, day_of};

#[test]
fn a_day_is_watched_once_something_looked() {
    let mut gateway = Gateway::with(|_| {});
    let known = |gateway: &Gateway| {
        let days = Days::of(&gateway.runtime.store.reader().unwrap()).unwrap();
        let known = (-9..99).filter(|day| days.has(day_of(START) + day));
        known.collect::<Vec<i64>>()
    };
    let day = Duration::from_secs(86_400);
    for skipped in [0, 0, 3] {
        gateway.pass();
        gateway.pass();
        gateway.advance(day * (1 + skipped));
    }
    assert_eq!(known(&gateway), [0, 1, 2]);
    gateway.pass();
    assert_eq!(known(&gateway), [0, 1, 2, 6]);
    for _ in 0..40 {
        gateway.advance(day);
        gateway.pass();
    }
    let days = known(&gateway);
    assert_eq!((days.len(), days.last()), (44, Some(&46)));
}
