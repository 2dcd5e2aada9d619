//! A running relay for those who look at its TLS.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Running, folder, write};
use crate::cargo;
use crate::failure::Failure;
use crate::repository;
use crate::tools;

/// What the relay is called.
pub(super) const NAME: &str = "relay.example";

/// A relay with a certificate that an authority made for this run signed, as a public one would.
pub(super) struct Relay {
    _program: Running,
    pub(super) address: SocketAddr,
    /// The authority's certificate, which the suites are told to trust.
    pub(super) authority: PathBuf,
}

impl Relay {
    pub(super) fn start() -> Result<Self, Failure> {
        let build = ["build", "--package", "undertone", "--locked"];
        cargo::run(&mut cargo::cargo(build), "mend what does not build")?;
        let here = folder().join("relay");
        let _none = std::fs::remove_dir_all(&here);
        std::fs::create_dir_all(&here).map_err(|error| {
            Failure::new(format!("cannot make a folder: {error}"), "is it full?")
        })?;
        certificates(&here)?;
        let mut command = Command::new(repository::target().join("debug/undertone"));
        command.args(["server", "--listen", "127.0.0.1:0", "--no-console"]);
        command.args(["--url", &format!("https://{NAME}"), "--data"]);
        command.arg(here.join("data")).arg("--tls");
        let pair = ["relay.pem", "relay.key"].map(|name| here.join(name).display().to_string());
        command.arg(pair.join(",")).env("UNDERTONE_HOME", &here);
        let (program, address) = Running::start(&mut command, |line| {
            line.strip_prefix("Server listening on: ")?.parse().ok()
        })?;
        Ok(Self { _program: program, address, authority: here.join("authority.pem") })
    }
}

/// Two certificates by openssl: an authority's, and one for the relay's name.
fn certificates(here: &Path) -> Result<(), Failure> {
    tools::ensure_program("openssl", "openssl");
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(here);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        cargo::run(&mut command, "install openssl")
    };
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256";
    openssl(&format!(
        "req -x509 {new} -addext keyUsage=critical,keyCertSign,cRLSign -days 300 \
         -subj /CN=authority -keyout authority.key -out authority.pem"
    ))?;
    openssl(&format!("req {new} -subj /CN={NAME} -keyout relay.key -out relay.csr"))?;
    let extensions = format!(
        "subjectAltName=DNS:{NAME}\nextendedKeyUsage=serverAuth\nkeyUsage=critical,digitalSignature\n\
         authorityKeyIdentifier=keyid\ncrlDistributionPoints=URI:http://authority.example/revoked.crl\n"
    );
    write(&here.join("extensions"), &extensions)?;
    openssl(
        "x509 -req -sha256 -in relay.csr -CA authority.pem -CAkey authority.key -CAcreateserial \
         -days 89 -extfile extensions -out relay.pem",
    )
}
