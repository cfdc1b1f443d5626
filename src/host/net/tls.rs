//! TLS by rustls: the bundled roots as trust anchors, and the operator's own.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, KeyProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, TrustAnchor};
use rustls::sign::SigningKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::core::model::hint::Hint;
use crate::core::model::packed::packed;
use crate::host::{Host, trusted};

/// Largest CA file read, in bytes.
const CA_FILE_CAP: u64 = 4 << 20;

/// A connection inside TLS.
pub type TlsStream<S> = StreamOwned<ClientConnection, S>;

/// Why the operator's roots cannot be used.
#[derive(Debug)]
pub enum TlsError {
    Read(PathBuf, io::Error),
    /// It is no PEM text.
    Pem(PathBuf, pem::Error),
    /// It holds what is no certificate of an authority.
    Root(PathBuf, rustls::Error),
    /// It holds no certificate.
    Empty(PathBuf),
    /// The cryptography that is built in lacks a version of TLS.
    Provider(rustls::Error),
}

impl Hint for TlsError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Read(..) | Self::Pem(..) | Self::Root(..) | Self::Empty(_) => {
                "give a PEM file with at least one certificate".into()
            }
            Self::Provider(_) => "use a build that has TLS 1.2 and 1.3".into(),
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, why): (_, &dyn fmt::Display) = match self {
            Self::Read(path, why) => (path, why),
            Self::Pem(path, why) => (path, why),
            Self::Root(path, why) => (path, why),
            Self::Empty(path) => (path, &"it holds no certificate"),
            Self::Provider(why) => return write!(f, "no TLS: {why}"),
        };
        write!(f, "cannot use ca_file {}: {why}", path.display())
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read(_, why) => Some(why),
            Self::Pem(_, why) => Some(why),
            Self::Root(_, why) | Self::Provider(why) => Some(why),
            Self::Empty(_) => None,
        }
    }
}

/// Wraps connections; certificates are always checked.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts the bundled roots and those in `ca_file` (PEM text with at least one certificate; empty = none).
    pub fn new(ca_file: &str) -> Result<Self, TlsError> {
        let mut roots = RootCertStore {
            roots: bundled_roots(),
        };
        if !ca_file.is_empty() {
            add_own(&mut roots, Path::new(ca_file))?;
        }
        let provider = CryptoProvider {
            key_provider: &NoKeys,
            ..ring::default_provider()
        };
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Provider)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    /// Makes the handshake over `socket` with `host` (a name or an address, as in a URL).
    pub fn wrap<S: Read + Write>(&self, host: &str, mut socket: S) -> io::Result<TlsStream<S>> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let mut connection =
            ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        connection.complete_io(&mut socket)?;
        Ok(StreamOwned::new(connection, socket))
    }
}

/// Mozilla's roots. What cannot be read of them is not trusted: then nothing is sent.
fn bundled_roots() -> Vec<TrustAnchor<'static>> {
    let bytes = packed!("roots").bytes();
    let mut rest = bytes.as_slice();
    std::iter::from_fn(|| anchor(&mut rest)).collect()
}

/// The next anchor of what `src/build.rs` packed.
fn anchor(rest: &mut &[u8]) -> Option<TrustAnchor<'static>> {
    let mut field = || {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (field, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        *rest = after;
        Some(field.to_vec())
    };
    let (subject, key, constraints) = (field()?, field()?, field()?);
    Some(TrustAnchor {
        subject: subject.into(),
        subject_public_key_info: key.into(),
        name_constraints: (!constraints.is_empty()).then(|| constraints.into()),
    })
}

fn add_own(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    // Whoever could write it would speak for every server.
    let text = trusted::settings_bytes(&Host::real(), path, CA_FILE_CAP)
        .map_err(|why| TlsError::Read(path.to_owned(), why))?;
    let bundled = roots.len();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|why| TlsError::Pem(path.to_owned(), why))?;
        roots
            .add(certificate)
            .map_err(|why| TlsError::Root(path.to_owned(), why))?;
    }
    if roots.len() == bundled {
        return Err(TlsError::Empty(path.to_owned()));
    }
    Ok(())
}

/// No client certificates are used: without a reader of private keys none is linked.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(
        &self,
        _: PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General(
            "client certificates are not supported".to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_roots_are_those_that_were_packed() {
        let roots = bundled_roots();
        assert!(roots.len() > 50, "{}", roots.len());
        assert_eq!(roots, webpki_roots::TLS_SERVER_ROOTS);
    }

    #[test]
    fn a_fifo_as_ca_file_holds_nobody_up() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("ca.pem");
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
        nix::unistd::mkfifo(&fifo, mode).unwrap();
        let refused = Tls::new(&fifo.display().to_string()).unwrap_err();
        assert!(matches!(refused, TlsError::Read(..)), "{refused}");
    }

    #[test]
    fn a_ca_file_that_others_can_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, "hello").unwrap();
        for (folder, file) in [(0o700, 0o666), (0o777, 0o600)] {
            let set = |path: &Path, mode| {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            };
            set(directory.path(), folder);
            set(&path, file);
            let error = Tls::new(path.to_str().unwrap()).unwrap_err();
            assert!(error.to_string().contains("written by others"), "{error}");
        }
    }

    #[test]
    fn a_ca_file_that_is_none_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, "hello").unwrap();
        let error = Tls::new(path.to_str().unwrap()).unwrap_err();
        assert!(matches!(error, TlsError::Empty(_)), "{error}");
        assert!(matches!(
            Tls::new("/nonexistent/ca.pem"),
            Err(TlsError::Read(..))
        ));
        assert!(Tls::new("").is_ok());
    }
}
