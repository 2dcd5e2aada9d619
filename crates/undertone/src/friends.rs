//! `undertone server --help friends`: how others reach a relay.

use std::ffi::OsString;

/// Three ways, the simplest first.
pub(crate) const PAGE: &str = "\
How friends reach your relay

A relay listens on 127.0.0.1 unless told otherwise: then only this computer can reach it.
What they need besides is the link that it prints (or: undertone invite new). Send it over a way
you trust: whoever has it can come in. It names the relay's key, so nobody in between can pose as
your relay.

In the same network (LAN)
  undertone server --listen 0.0.0.0:8080 --url https://192.168.1.5:8080
  with this computer's own address in --url. Allow the port in its firewall. The certificate is
  self-signed, and the link carries its pin.

Under a name of your own
  undertone server --listen 0.0.0.0:443 --url https://chat.example.org --tls CERT.pem,KEY.pem
  with a certificate for that name. Forward port 443 to this computer.

Through a tunnel
  Anything that carries TCP to 127.0.0.1:8080 will do, for example a reverse SSH tunnel:
  ssh -R 8443:127.0.0.1:8080 you@a-server-of-yours
  undertone server --url https://a-server-of-yours:8443
  TLS ends at your relay, so the tunnel sees nothing of it.";

/// Whether this page is wanted: an argument after `--help` is none that other pages have.
pub(crate) fn is_asked_for(arguments: &[OsString]) -> bool {
    let words: Vec<_> = arguments.iter().skip(1).filter_map(|word| word.to_str()).collect();
    matches!(
        words.as_slice(),
        ["server", "--help" | "-h", "friends"] | ["help", "server", "friends"]
    )
}
