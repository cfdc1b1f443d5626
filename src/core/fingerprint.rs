//! One stable name for a fault.
