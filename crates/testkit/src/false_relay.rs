//! A relay that is not the one that its link names.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Message, WebSocket};
use undertone_wire::link::{LinkSecret, Psk, Responder, SUBPROTOCOL, Transport, prologue};

pub type Tls = StreamOwned<ServerConnection, TcpStream>;

/// A certificate with its key.
#[derive(Debug)]
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Certificate {
    /// A new one for this computer, that nobody trusts.
    pub fn foreign() -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        Self { chain: vec![made.cert.der().clone()], key }
    }

    /// The one that a relay keeps in this data folder.
    pub fn of(data: &Path) -> Self {
        let file = |name: &str| data.join("keys").join(name);
        let chain = CertificateDer::from_pem_file(file("certificate-ecdsa.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(file("certificate-ecdsa.key.pem")).unwrap();
        Self { chain: vec![chain], key }
    }
}

/// Serves connections one after another, until the test ends.
#[derive(Debug)]
pub struct FalseRelay {
    pub address: SocketAddr,
}

impl FalseRelay {
    /// Each connection is given to `serve`, before its first byte is read.
    pub fn start(mut serve: impl FnMut(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                serve(socket);
            }
        });
        Self { address }
    }

    /// Each connection is given to `serve` after TLS with this certificate; a client that does not
    /// take it is let go.
    pub fn with_tls(certificate: Certificate, mut serve: impl FnMut(Tls) + Send + 'static) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificate.chain, certificate.key)
            .unwrap();
        let config = Arc::new(config);
        Self::start(move |mut socket| {
            let mut tls = ServerConnection::new(config.clone()).unwrap();
            if tls.complete_io(&mut socket).is_ok() {
                serve(StreamOwned::new(tls, socket));
            }
        })
    }
}

/// The WebSocket that a client asks for, with a subprotocol of the test's choice.
pub fn accept<S: Read + Write>(socket: S, chosen: &'static str) -> Option<WebSocket<S>> {
    #[allow(clippy::result_large_err, reason = "the library's own type")]
    let choose = |_: &Request, mut answer: Response| {
        answer.headers_mut().insert("Sec-WebSocket-Protocol", chosen.parse().unwrap());
        Ok(answer)
    };
    tungstenite::accept_hdr(socket, choose).ok()
}

/// Noise as a relay with this key, and this pre-shared key whatever the client names.
pub fn respond<S: Read + Write>(
    socket: &mut WebSocket<S>,
    own: &LinkSecret,
    psk: &Psk,
) -> Option<Transport> {
    let prologue = prologue(&[SUBPROTOCOL], SUBPROTOCOL);
    let responder = Responder::new(&prologue, own, &crate::peer::fresh()).unwrap();
    let Ok(Message::Binary(hello)) = socket.read() else { return None };
    let (next, answer) = responder.hello(&hello).ok()?.answer(psk).ok()?;
    socket.send(Message::Binary(answer.into())).ok()?;
    let Ok(Message::Binary(proof)) = socket.read() else { return None };
    next.finish(&proof).ok()
}
