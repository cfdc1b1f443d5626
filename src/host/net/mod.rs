//! The network as this program uses it: the only place that looks names up, connects and speaks TLS. Every
//! wait has an end.

pub mod account;
pub mod addresses;
mod dial;
mod link;
pub mod listeners;
pub mod logins;
mod tls;
mod until;
pub mod walk;
pub mod ways;

pub use dial::{Waited, apart, connect, dial, resolve};
pub use link::Link;
pub use tls::{Tls, TlsError, TlsStream};
pub use until::{Connection, Local, Until, local};
