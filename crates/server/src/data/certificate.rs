//! The certificate: our own, made once and kept, or the operator's files.

use super::{DataFolder, unusable, write_private};
use crate::config::{Acme, Config, KeyKind, TlsMode};
use crate::error::StartError;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256,
};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use undertone_wire::invite::{CertificatePin, Host, Origin};
use zeroize::Zeroizing;

/// Largest certificate or key file: a chain of ten with 8 KiB each is unusual already.
const MAX_PEM: u64 = 256 << 10;

/// A certificate chain, its key, and the pin that clients compare, if the certificate is our own.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    /// Of our own certificate.
    pub(crate) pin: Option<CertificatePin>,
    /// Where the certificate is, for error texts.
    pub(crate) path: PathBuf,
}

/// Reads or makes what the configuration asks for.
pub(crate) fn load_identity(config: &Config, folder: &DataFolder) -> Result<Identity, StartError> {
    match &config.tls {
        TlsMode::Files { certificate, key } => from_files(certificate, key),
        TlsMode::SelfSigned(kind) => self_signed(*kind, config.url.as_ref(), folder),
        TlsMode::Acme(acme) => of_acme(acme, folder),
    }
}

/// The one that was issued last; before the first one, one that nobody trusts.
fn of_acme(acme: &Acme, folder: &DataFolder) -> Result<Identity, StartError> {
    let [certificate, key] = acme_files(acme, folder);
    if certificate.exists() {
        return from_files(&certificate, &key);
    }
    let failed = |error: rcgen::Error| StartError::Certificate(error.to_string());
    let pair = KeyPair::generate().map_err(failed)?;
    let signed = parameters(None).and_then(|p| p.self_signed(&pair)).map_err(failed)?;
    let key = PrivateKeyDer::Pkcs8(pair.serialize_der().into());
    Ok(Identity { chain: vec![signed.into()], key, pin: None, path: certificate })
}

/// Where an issued certificate and its key are kept.
pub(crate) fn acme_files(acme: &Acme, folder: &DataFolder) -> [PathBuf; 2] {
    let domain = &acme.domain;
    [
        folder.key_file(&format!("acme-{domain}.pem")),
        folder.key_file(&format!("acme-{domain}.key.pem")),
    ]
}

/// What the operator's commands on this computer show to a relay that asks for certificates.
pub(crate) fn operators(folder: &DataFolder) -> Result<CertificateDer<'static>, StartError> {
    let certificate = folder.key_file("operator-tls.pem");
    let key = folder.key_file("operator-tls.key.pem");
    if !certificate.exists() {
        make(KeyKind::Ecdsa, None, &certificate, &key)?;
    }
    let identity = from_files(&certificate, &key)?;
    identity.chain.into_iter().next().ok_or_else(|| StartError::Certificate("none".to_owned()))
}

/// Says which certificate is shown now, for commands on this computer: it is valid for another
/// name than the one they reach it by.
pub(crate) fn say_shown(file: &Path, certificate: &CertificateDer<'_>) -> io::Result<()> {
    write_private(file, &pin(certificate).0)
}

fn pin(certificate: &CertificateDer<'_>) -> CertificatePin {
    CertificatePin(Sha256::digest(certificate).into())
}

/// The certificate is kept whatever happens to the names in it: links carry its pin.
fn self_signed(
    kind: KeyKind,
    url: Option<&Origin>,
    folder: &DataFolder,
) -> Result<Identity, StartError> {
    let stem = match kind {
        KeyKind::Ecdsa => "certificate-ecdsa",
        KeyKind::Rsa => "certificate-rsa",
    };
    let certificate = folder.key_file(&format!("{stem}.pem"));
    let key = folder.key_file(&format!("{stem}.key.pem"));
    // The certificate is written last, so where it is, its key is too.
    if !certificate.exists() {
        make(kind, url, &certificate, &key)?;
    }
    let mut identity = from_files(&certificate, &key)?;
    identity.pin = identity.chain.first().map(pin);
    Ok(identity)
}

fn make(
    kind: KeyKind,
    url: Option<&Origin>,
    certificate: &Path,
    key: &Path,
) -> Result<(), StartError> {
    let failed = |error: rcgen::Error| StartError::Certificate(error.to_string());
    let pair = KeyPair::generate_for(match kind {
        KeyKind::Ecdsa => &PKCS_ECDSA_P256_SHA256,
        KeyKind::Rsa => &PKCS_RSA_SHA256,
    })
    .map_err(failed)?;
    let signed = parameters(url).and_then(|p| p.self_signed(&pair)).map_err(failed)?;
    let pem = Zeroizing::new(pair.serialize_pem());
    write_private(key, pem.as_bytes()).map_err(unusable(key))?;
    write_private(certificate, signed.pem().as_bytes()).map_err(unusable(certificate))
}

/// Valid without end: what a client trusts is the pin, and a certificate that runs out would only
/// end every link.
fn parameters(url: Option<&Origin>) -> Result<CertificateParams, rcgen::Error> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if let Some(url) = url {
        let host = match url.host() {
            Host::V6(address) => address.to_string(),
            other => other.to_string(),
        };
        if !names.contains(&host) {
            names.push(host);
        }
    }
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "Undertone relay");
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(parameters)
}

pub(crate) fn from_files(certificate: &Path, key: &Path) -> Result<Identity, StartError> {
    let chain_pem = read("certificate", certificate)?;
    let key_pem = read("private key", key)?;
    let chain = CertificateDer::pem_slice_iter(&chain_pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(not_pem("certificate", certificate))?;
    if chain.is_empty() {
        return Err(unusable_pem("certificate", certificate, "it holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(not_pem("private key", key))?;
    Ok(Identity { chain, key, pin: None, path: certificate.to_path_buf() })
}

/// Reads a file of certificates or keys.
pub(crate) fn read(what: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, StartError> {
    let contents = std::fs::File::open(path).and_then(|file| {
        let mut bytes = Zeroizing::new(Vec::new());
        io::Read::read_to_end(&mut io::Read::take(file, MAX_PEM), &mut bytes)?;
        Ok(bytes)
    });
    contents.map_err(|source| StartError::Unreadable { what, path: path.to_path_buf(), source })
}

fn not_pem(what: &'static str, path: &Path) -> impl FnOnce(pem::Error) -> StartError {
    let path = path.to_path_buf();
    move |error| StartError::Unusable { what, path, why: error.to_string() }
}

fn unusable_pem(what: &'static str, path: &Path, why: &str) -> StartError {
    StartError::Unusable { what, path: path.to_path_buf(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;
    use std::net::{Ipv4Addr, SocketAddr};

    fn config(scratch: &Scratch, tls: TlsMode) -> Config {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Config { tls, ..Config::new(listen, scratch.path().to_path_buf()) }
    }

    fn load(scratch: &Scratch, tls: TlsMode) -> Result<Identity, StartError> {
        let folder = DataFolder::open(scratch.path())?;
        load_identity(&config(scratch, tls), &folder)
    }

    #[test]
    fn a_certificate_is_kept_across_starts() {
        let scratch = Scratch::new();
        for kind in [KeyKind::Ecdsa, KeyKind::Rsa] {
            let first = load(&scratch, TlsMode::SelfSigned(kind)).unwrap();
            let second = load(&scratch, TlsMode::SelfSigned(kind)).unwrap();
            assert!(first.pin.is_some());
            assert_eq!(first.pin, second.pin);
            assert_eq!(first.key, second.key);
        }
    }

    #[test]
    fn files_of_the_operator_have_no_pin() {
        let scratch = Scratch::new();
        load(&scratch, TlsMode::SelfSigned(KeyKind::Ecdsa)).unwrap();
        let files = TlsMode::Files {
            certificate: scratch.path().join("keys/certificate-ecdsa.pem"),
            key: scratch.path().join("keys/certificate-ecdsa.key.pem"),
        };
        assert_eq!(load(&scratch, files).unwrap().pin, None);
    }

    #[test]
    fn a_missing_certificate_file_is_named() {
        let scratch = Scratch::new();
        let missing = scratch.path().join("missing.pem");
        let files = TlsMode::Files { certificate: missing.clone(), key: missing.clone() };
        let error = load(&scratch, files).unwrap_err();
        assert!(error.to_string().contains("missing.pem"), "{error}");
        assert!(matches!(error, StartError::Unreadable { .. }));
    }

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let scratch = Scratch::new();
        let path = scratch.path().join("empty.pem");
        std::fs::write(&path, "nothing here").unwrap();
        let files = TlsMode::Files { certificate: path.clone(), key: path };
        let error = load(&scratch, files).unwrap_err();
        assert!(matches!(error, StartError::Unusable { what: "certificate", .. }), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn the_private_key_can_be_read_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new();
        load(&scratch, TlsMode::SelfSigned(KeyKind::Ecdsa)).unwrap();
        for name in ["certificate-ecdsa.pem", "certificate-ecdsa.key.pem"] {
            let meta = scratch.path().join("keys").join(name).metadata().unwrap();
            assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }
}
