//! TLS of the connection to the cluster: authorities, client certificate, fingerprint.
//!
//! A fingerprint names one certificate of the server's chain. If it is the server's own, that very certificate
//! is trusted; if it is an authority's, the server's certificate must be issued by it for the host's name
//! (what Elasticsearch calls `ca_fingerprint`). A server's own certificate may also stand in the file of
//! authorities, as self-signed ones do. The handshake's signature is always checked.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};

/// The files of a TLS plan, as read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TlsFiles {
    pub(crate) ca: Option<Vec<u8>>,
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) key: Option<Vec<u8>>,
}

/// ring becomes the process's provider of cryptography, once.
pub(crate) fn install_provider() {
    if CryptoProvider::get_default().is_none() {
        // Lost a race with another thread: then ring is installed as well.
        drop(ring::default_provider().install_default());
    }
}

/// For plain HTTP: trusts nobody, and reads no authorities from the system (which cost memory and may lack).
pub(crate) fn plain() -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// Whom to trust instead of the system's authorities.
#[derive(Debug)]
pub(crate) enum Trust {
    /// The certificate with this SHA-256 and what it has issued.
    Fingerprint(String),
    /// The certificates of this PEM text and what they have issued.
    Certificates(Vec<u8>),
}

/// TLS that trusts `trust` and shows the client certificate, if there is one.
pub(crate) fn trusting(trust: Trust, files: &TlsFiles) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new(trust, provider.clone())?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match (&files.certificate, &files.key) {
        (Some(certificate), Some(key)) => {
            let bad = |error| Error::General(format!("client certificate or key: {error}"));
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
            let key = PrivateKeyDer::from_pem_slice(key).map_err(bad)?;
            builder.with_client_auth_cert(chain.map_err(bad)?, key)?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Reads one PEM file, with its path in the error.
pub(crate) fn read(path: Option<&Path>) -> Result<Option<Vec<u8>>, String> {
    path.map(|path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))).transpose()
}

#[derive(Debug)]
struct Verifier {
    /// Lower-case hex.
    fingerprint: Option<String>,
    certificates: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(trust: Trust, provider: Arc<CryptoProvider>) -> Result<Verifier, Error> {
        let (fingerprint, certificates) = match trust {
            Trust::Fingerprint(text) => (Some(text.to_ascii_lowercase().replace(':', "")), Vec::new()),
            Trust::Certificates(pem) => {
                let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
                (None, certificates.map_err(|error| Error::General(format!("ca_file: {error}")))?)
            }
        };
        if fingerprint.is_none() && certificates.is_empty() {
            return Err(Error::General("ca_file: no certificate in it".to_owned()));
        }
        Ok(Verifier { fingerprint, certificates, provider })
    }

    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        let digest = Sha256::digest(certificate.as_ref());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.fingerprint.as_ref() == Some(&hex)
    }

    /// The server's certificate is issued by one of `authorities` for this name.
    fn issued_by(
        &self,
        authorities: &[CertificateDer<'static>],
        shown: &Shown<'_>,
    ) -> Result<ServerCertVerified, Error> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone())?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(shown.end_entity, shown.intermediates, shown.name, &[], shown.now)
    }
}

/// What a server has shown, under which name it was called, and when.
struct Shown<'a> {
    end_entity: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    name: &'a ServerName<'a>,
    now: UnixTime,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Shown { end_entity, intermediates, name, now };
        if self.fingerprint.is_some() {
            if self.is_pinned(end_entity) {
                return Ok(ServerCertVerified::assertion());
            }
            let Some(authority) = intermediates.iter().find(|certificate| self.is_pinned(certificate)) else {
                return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
            };
            return self.issued_by(&[authority.clone().into_owned()], &shown);
        }
        // A self-signed certificate is usually marked as an authority's, which webpki does not take from a server.
        // Named in the plan itself it is trusted, for the names in it.
        if self.certificates.iter().any(|certificate| certificate == end_entity) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        self.issued_by(&self.certificates, &shown)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
pub(crate) mod served;
