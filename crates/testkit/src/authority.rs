//! Who signs certificates: a public authority that a client trusts, or one that an operator keeps.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// An authority whose own certificate is in a file.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Its certificate, in PEM.
    pub file: PathBuf,
    folder: PathBuf,
}

/// A certificate with its key, in PEM files.
#[derive(Debug, Clone)]
pub struct Issued {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub fingerprint: String,
}

impl Issued {
    /// As `--tls` and `--client-cert` take it.
    pub fn pair(&self) -> String {
        format!("{},{}", self.certificate.display(), self.key.display())
    }

    /// Puts another one into the same files.
    pub fn replace_by(&self, other: &Self) {
        std::fs::copy(&other.key, &self.key).unwrap();
        std::fs::copy(&other.certificate, &self.certificate).unwrap();
    }
}

impl Authority {
    /// One with files in this folder.
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name = called(name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer =
            CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file, folder: folder.to_path_buf() }
    }

    /// For a name or an address, valid now.
    pub fn issue(&self, name: &str) -> Issued {
        self.issue_until(name, 2070)
    }

    /// For a name or an address, valid until the first day of that year.
    pub fn issue_until(&self, name: &str, year: i32) -> Issued {
        self.issue_to(name, date_time_ymd(year, 1, 1).into())
    }

    /// For a name or an address, valid so many days from now.
    pub fn issue_for_days(&self, name: &str, days: u64) -> Issued {
        self.issue_to(name, SystemTime::now() + Duration::from_secs(days * 24 * 60 * 60))
    }

    fn issue_to(&self, name: &str, end: SystemTime) -> Issued {
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters.distinguished_name = called(name);
        parameters.not_before = date_time_ymd(2000, 1, 1);
        parameters.not_after = end.into();
        let key = KeyPair::generate().unwrap();
        let signed = parameters.signed_by(&key, &self.issuer).unwrap();
        let file = |kind: &str| {
            let issued = std::fs::read_dir(&self.folder).unwrap().count();
            self.folder.join(format!("{issued}-{kind}.pem"))
        };
        let certificate = file("certificate");
        std::fs::write(&certificate, signed.pem()).unwrap();
        let key_file = file("key");
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        let digest = Sha256::digest(signed.der());
        let fingerprint = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Issued { certificate, key: key_file, fingerprint }
    }
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}
