//! The report knows which days were watched.

use std::time::Duration;

use super::gateway::{Gateway, START};
use crate::daemon::days::{day_of, watched};

#[test]
fn a_day_is_watched_once_something_looked() {
    let mut gateway = Gateway::with(|_| {});
    let known = |gateway: &Gateway| {
        let days = watched(&gateway.runtime.store.reader().unwrap()).unwrap();
        days.iter()
            .map(|day| day - day_of(START))
            .collect::<Vec<_>>()
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
    assert_eq!((days.len(), days.last()), (31, Some(&46)));
}
