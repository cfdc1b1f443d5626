//! One clock: wall time that never runs backwards within a process, and a monotonic reading for windows.

use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::libc;

use crate::core::model::time::Timestamp;

/// A wall clock before this is wrong: boards without a battery start in 1970. 2025-01-01 UTC, in ms.
pub const CLOCK_FLOOR: Timestamp = Timestamp::from_millis(1_735_689_600_000);

/// Source of `now`. Tests move a manual clock; nothing else differs.
#[derive(Debug)]
pub enum Clock {
    /// The running machine's.
    System {
        /// Monotonic reading at the anchor.
        started: Instant,
        /// Wall time at the anchor, in ms since the Unix epoch.
        anchor_millis: i64,
    },
    /// Of a test, in ms since the Unix epoch: moves by [`Clock::advance`] alone.
    Manual(AtomicI64),
}

impl Clock {
    /// Anchored at the wall time of the call and driven by the monotonic clock from then on, so that a
    /// jump of the wall clock moves no window.
    pub fn system() -> Self {
        Self::System {
            started: Instant::now(),
            anchor_millis: wall_millis(),
        }
    }

    /// Stands at `at` until it is moved.
    pub fn manual(at: Timestamp) -> Self {
        Self::Manual(AtomicI64::new(at.as_millis()))
    }

    pub(crate) fn now(&self) -> Timestamp {
        match self {
            Self::System {
                started,
                anchor_millis,
            } => Timestamp::from_millis(*anchor_millis).plus(started.elapsed()),
            Self::Manual(millis) => Timestamp::from_millis(millis.load(Ordering::Relaxed)),
        }
    }

    /// What the wall clock says now, to compare with `now`.
    pub fn wall(&self) -> Timestamp {
        match self {
            Self::System { .. } => Timestamp::from_millis(wall_millis()),
            Self::Manual(_) => self.now(),
        }
    }

    /// Moves a manual clock forward; a system clock moves by itself.
    pub fn advance(&self, span: Duration) {
        if let Self::Manual(millis) = self {
            let by = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
            millis.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Lets `span` pass by `sleep`; a manual clock moves instead.
    pub fn pass(&self, span: Duration, sleep: impl FnOnce(Duration)) {
        match self {
            Self::System { .. } => sleep(span),
            Self::Manual(_) => self.advance(span),
        }
    }

    /// The kernel's own view: false until a time daemon has told it that the clock is right.
    pub fn is_synced(&self) -> io::Result<bool> {
        if let Self::Manual(_) = self {
            return Ok(true);
        }
        // SAFETY: timex is a plain C struct of integers, for which all zeroes is a valid value.
        let mut state: libc::timex = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is valid for the call; `modes` is 0, so the kernel only fills the struct in.
        let answer = unsafe { libc::adjtimex(&raw mut state) };
        if answer < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(state.status & libc::STA_UNSYNC == 0)
    }

    /// How far the clock on the wall is ahead of UTC now, in seconds; a manual clock's wall is in UTC.
    pub fn ahead_s(&self) -> i64 {
        self.ahead_at_s(self.now())
    }

    /// How far it is ahead at another time, in seconds: the summer has another hour.
    pub fn ahead_at_s(&self, at: Timestamp) -> i64 {
        match self {
            Self::System { .. } => zone(at).map_or(0, |(ahead, _)| ahead),
            Self::Manual(_) => 0,
        }
    }

    /// False while the wall clock is before the build's floor.
    pub fn is_sane(&self) -> bool {
        self.wall() >= CLOCK_FLOOR
    }
}

/// The time at which something that may take `span` must be over.
pub fn end_after(span: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(span).unwrap_or(now)
}

/// How far this host's zone is east of UTC at `at`, in seconds, and its name then.
pub fn zone(at: Timestamp) -> Option<(i64, String)> {
    let seconds = at.as_millis().div_euclid(1000);
    let mut local = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call; `tm` is plain data, for which zeros are a value. The name that it
    // points to lives as long as the zone is not changed, and nothing here changes it.
    let name = unsafe {
        if libc::localtime_r(&raw const seconds, local.as_mut_ptr()).is_null() {
            return None;
        }
        let local = local.assume_init_ref();
        if local.tm_zone.is_null() {
            return None;
        }
        std::ffi::CStr::from_ptr(local.tm_zone)
            .to_string_lossy()
            .into_owned()
    };
    // SAFETY: written in full above.
    let offset = unsafe { local.assume_init() }.tm_gmtoff;
    Some((offset, name))
}

fn wall_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}
