//! Somebody between a client and its relay who holds the relay's TLS key: sees every record of the
//! link, and can change it.

use crate::false_relay::{self, Certificate, FalseRelay, accept};
use crate::peer;
use crate::proxy::Way;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tungstenite::{Error, Message, WebSocket};
use undertone_wire::link::SUBPROTOCOL;

/// How long one side is listened to before the other has its turn.
const TURN: Duration = Duration::from_millis(5);

/// Looks at, and may change, each record.
type Hook = Box<dyn FnMut(Way, &mut Vec<u8>) + Send>;

pub struct Middle(FalseRelay);

impl Middle {
    pub fn start(
        certificate: Certificate,
        relay: SocketAddr,
        hook: impl FnMut(Way, &mut Vec<u8>) + Send + 'static,
    ) -> Self {
        let hook: Arc<Mutex<Hook>> = Arc::new(Mutex::new(Box::new(hook)));
        Self(FalseRelay::with_tls(certificate, move |tls| {
            let hook = hook.clone();
            std::thread::spawn(move || {
                let Some(client) = accept(tls, SUBPROTOCOL) else { return };
                let Ok(relay) = peer::websocket(peer::tls(relay), relay, SUBPROTOCOL) else {
                    return;
                };
                carry(client, relay, &hook);
            });
        }))
    }

    pub fn port(&self) -> u16 {
        self.0.address.port()
    }
}

fn carry(
    mut client: WebSocket<false_relay::Tls>,
    mut relay: WebSocket<peer::Tls>,
    hook: &Mutex<Hook>,
) {
    client.get_ref().sock.set_read_timeout(Some(TURN)).unwrap();
    relay.get_ref().sock.set_read_timeout(Some(TURN)).unwrap();
    while pass(&mut client, &mut relay, Way::ToRelay, hook)
        && pass(&mut relay, &mut client, Way::ToClient, hook)
    {}
}

/// False: one side has ended.
fn pass<A, B>(from: &mut WebSocket<A>, to: &mut WebSocket<B>, way: Way, hook: &Mutex<Hook>) -> bool
where
    A: std::io::Read + std::io::Write,
    B: std::io::Read + std::io::Write,
{
    match from.read() {
        Ok(Message::Binary(record)) => {
            let mut record = record.to_vec();
            (hook.lock().unwrap())(way, &mut record);
            to.send(Message::Binary(record.into())).is_ok()
        }
        Ok(Message::Close(frame)) => {
            let _gone = to.close(frame);
            let _gone = to.flush();
            false
        }
        Ok(_) => true,
        Err(Error::Io(error)) => {
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
        }
        Err(_) => false,
    }
}
