//! The other end of TLS, for tests: a server's side of a connection.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use sha2::{Digest, Sha256};

pub(crate) type TlsStream = StreamOwned<ServerConnection, TcpStream>;

#[derive(Clone)]
pub(crate) struct TlsAcceptor(Arc<ServerConfig>);

impl TlsAcceptor {
    /// Shows the certificates of `chain` (PEM files); asks for a client's by `clients`.
    pub(crate) fn new(chain: &[&Path], key: &Path, clients: Option<&Path>) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(certificate(authority)).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let chain = chain.iter().map(|file| certificate(file)).collect();
        TlsAcceptor(Arc::new(builder.with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()))
    }

    pub(crate) fn accept(&self, stream: TcpStream) -> TlsStream {
        StreamOwned::new(ServerConnection::new(self.0.clone()).unwrap(), stream)
    }
}

fn certificate(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).unwrap()
}

/// SHA-256 of the certificate in a PEM file, in hex.
pub(crate) fn fingerprint(file: &Path) -> String {
    Sha256::digest(certificate(file).as_ref()).iter().map(|byte| format!("{byte:02x}")).collect()
}
