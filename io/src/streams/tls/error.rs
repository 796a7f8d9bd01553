//! What goes wrong with TLS, in words that name the peer and what to change.
//!
//! Made by `session.rs`, `handshake.rs` and `config.rs`; goes to users inside an [`io::Error`].

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error};

/// Why a connection has no TLS, or has none any more; inside the [`io::Error`] of whatever was asked of it.
///
/// Its text names the peer and what to change. What rustls said, if it was rustls, is its
/// [`source`](std::error::Error::source).
///
/// # Examples
///
/// ```
/// use loxley_io::tls::{TlsClient, TlsError};
///
/// let error = TlsClient::trusting("no certificate").unwrap_err();
/// let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
/// assert!(inner.unwrap().to_string().contains("BEGIN CERTIFICATE"), "it says what it looked for");
/// ```
#[derive(Clone, Debug)]
pub struct TlsError {
    text: String,
    kind: io::ErrorKind,
    source: Option<Arc<Error>>,
    /// The peer has left without a word, or we have closed the connection ourselves.
    is_silent: bool,
}

impl TlsError {
    fn new(kind: io::ErrorKind, text: String) -> Self {
        Self {
            text,
            kind,
            source: None,
            is_silent: false,
        }
    }

    /// Whether `error` says no more than that somebody looked if there is a server: not worth a report.
    pub(super) fn is_silent(error: &io::Error) -> bool {
        let inner = error.get_ref();
        inner
            .and_then(|error| error.downcast_ref::<Self>())
            .is_some_and(|error| error.is_silent)
    }

    /// The same error, not worth a report.
    pub(super) fn silenced(self) -> Self {
        Self {
            is_silent: true,
            ..self
        }
    }

    /// An error of the handshake with `peer`, naming it if it does not do so by itself.
    pub(super) fn with(error: &io::Error, peer: &str) -> Self {
        let own = error.get_ref().and_then(|own| own.downcast_ref::<Self>());
        let Some(own) = own else {
            let text = format!("the TLS handshake with {peer} failed: {error}");
            return Self::new(error.kind(), text);
        };
        own.clone()
    }

    pub(super) fn input(text: impl Into<String>) -> Self {
        Self::new(io::ErrorKind::InvalidInput, text.into())
    }

    pub(super) fn unsupported(text: impl Into<String>) -> Self {
        Self::new(io::ErrorKind::Unsupported, text.into())
    }

    /// A configuration that rustls refuses.
    pub(super) fn config(what: &str, error: Error) -> Self {
        let text = format!("{what}: {error}");
        Self {
            source: Some(Arc::new(error)),
            ..Self::input(text)
        }
    }

    pub(super) fn truncated(peer: &str) -> Self {
        let text = format!(
            "the connection with {peer} ended without the end of its TLS session (close_notify): what came may be cut short"
        );
        Self::new(io::ErrorKind::UnexpectedEof, text)
    }

    pub(super) fn left(peer: &str, has_begun: bool) -> Self {
        let text = format!("{peer} has closed the connection in the middle of the TLS handshake");
        Self {
            is_silent: !has_begun,
            ..Self::new(io::ErrorKind::UnexpectedEof, text)
        }
    }

    pub(super) fn slow(peer: &str, limit: Duration) -> Self {
        let text = format!(
            "the TLS handshake with {peer} was not done within {limit:?} (see `handshake_timeout`)"
        );
        Self::new(io::ErrorKind::TimedOut, text)
    }

    pub(super) fn unanswered(peer: &str, limit: Duration) -> Self {
        let text = format!(
            "{peer} has not answered the end of the TLS session within {limit:?} (see `shutdown_timeout`)"
        );
        Self::new(io::ErrorKind::TimedOut, text)
    }

    pub(super) fn injected(count: usize) -> Self {
        let text = format!(
            "{count} bytes came before TLS began; anybody on the way can have put them there, so the connection is closed: \
             read everything that the peer sends in plain text before `start_tls`"
        );
        Self::new(io::ErrorKind::InvalidData, text)
    }

    pub(super) fn given_up() -> Self {
        let text = "the TLS handshake was given up before it was done, and with it the connection";
        Self::new(io::ErrorKind::ConnectionAborted, text.to_owned())
    }

    /// What rustls says of `peer`.
    pub(super) fn of(error: Error, peer: &str, is_handshake: bool) -> Self {
        let text = match &error {
            Error::InvalidCertificate(why) => certificate(why, peer),
            Error::NoCertificatesPresented => {
                format!("{peer} has shown no certificate, and one is asked for")
            }
            Error::AlertReceived(alert) => alerted(*alert, peer),
            Error::InvalidMessage(_) if is_handshake => format!(
                "{peer} does not speak TLS ({error}): is the port right, and is `start_tls` due first?"
            ),
            Error::NoApplicationProtocol => {
                format!("{peer} asks for none of the application protocols given to `alpn`")
            }
            Error::DecryptError => {
                format!("what came from {peer} was changed on the way, or is not from it")
            }
            _ => format!("TLS with {peer} failed: {error}"),
        };
        Self {
            source: Some(Arc::new(error)),
            ..Self::new(io::ErrorKind::InvalidData, text)
        }
    }
}

fn certificate(why: &CertificateError, peer: &str) -> String {
    match why {
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "the certificate of {peer} is not valid for that name but for {}: connect to one of these, or say with \
             `server_name` which one to expect",
            presented.join(", ")
        ),
        CertificateError::NotValidForName => format!(
            "the certificate of {peer} is not valid for that name: say with `server_name` which one to expect"
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!(
            "the certificate of {peer} has expired: it has to be renewed there, or the clock here to be set"
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the certificate of {peer} is not valid yet: is the clock here right?")
        }
        CertificateError::UnknownIssuer => format!(
            "the certificate of {peer} is issued by nobody who is trusted here: if that is as it should be, give the \
             issuer's certificate to `TlsClient::trusting`"
        ),
        CertificateError::Revoked => format!("the certificate of {peer} has been revoked"),
        why => format!("the certificate of {peer} is not accepted: {why}"),
    }
}

fn alerted(alert: AlertDescription, peer: &str) -> String {
    let why = match alert {
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA => "it does not accept our certificate",
        AlertDescription::CertificateRequired => "it asks for a certificate of ours",
        AlertDescription::HandshakeFailure
        | AlertDescription::ProtocolVersion
        | AlertDescription::InsufficientSecurity => {
            "it takes no version of TLS and no cipher that we offer"
        }
        AlertDescription::UnrecognisedName => "it does not know the name that we asked for",
        AlertDescription::NoApplicationProtocol => {
            "it speaks none of the application protocols given to `alpn`"
        }
        _ => return format!("{peer} has broken off TLS with the alert {alert:?}"),
    };
    format!("{peer} has broken off TLS: {why} (alert {alert:?})")
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(error.kind, error)
    }
}
