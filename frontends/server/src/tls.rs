//! Certificate and key for listeners that encrypt.
//!
//! Promises: what can be found wrong with the files is found at start, and told by the flag that names them.
//! Deliberately unknown: who connects.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use crate::exit::CannotRun;

const CERTIFICATE_FLAG: &str = "--mongodb-tls-cert";
const KEY_FLAG: &str = "--mongodb-tls-key";

/// TLS 1.2 and 1.3 with this certificate chain and key, both PEM files.
pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, CannotRun> {
    let of_certificate = |reason: String| unusable(CERTIFICATE_FLAG, certificate, reason);
    let of_key = |reason: String| unusable(KEY_FLAG, key, reason);
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| of_certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(of_certificate("there is no certificate in it".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| of_key(error.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
    config.map(Arc::new).map_err(|error| match error {
        rustls::Error::InvalidCertificate(_) => of_certificate(error.to_string()),
        _ => of_key(error.to_string()),
    })
}

fn unusable(flag: &'static str, path: &Path, reason: String) -> CannotRun {
    CannotRun::Tls { flag, path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Files with a certificate and its key.
    fn pair(directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = ["cert", "key"].map(|kind| directory.join(format!("{name}.{kind}")));
        std::fs::write(&files[0], made.cert.pem()).unwrap();
        std::fs::write(&files[1], made.signing_key.serialize_pem()).unwrap();
        let [certificate, key] = files;
        (certificate, key)
    }

    #[test]
    fn what_is_wrong_is_told_by_the_flag() {
        let root = tempfile::tempdir().unwrap();
        let (empty, missing) = (root.path().join("empty"), root.path().join("missing"));
        std::fs::write(&empty, "").unwrap();
        let [one, other] = ["one", "other"].map(|name| pair(root.path(), name));
        load(&one.0, &one.1).unwrap();
        for (certificate, key, flag) in [
            (&empty, &one.1, CERTIFICATE_FLAG),
            (&missing, &one.1, CERTIFICATE_FLAG),
            (&one.1, &one.1, CERTIFICATE_FLAG),
            (&one.0, &empty, KEY_FLAG),
            (&one.0, &missing, KEY_FLAG),
            (&one.0, &one.0, KEY_FLAG),
            (&one.0, &other.1, KEY_FLAG),
        ] {
            let error = load(certificate, key).unwrap_err().to_string();
            assert!(error.starts_with(flag), "{error}");
        }
    }
}
