//! One cryptography provider for every TLS connection of the process.

/// Makes *ring* the provider of rustls. Calling it again changes nothing.
pub fn install() {
    // The only error is that a provider is installed already, which is what we want.
    let _already_there = rustls::crypto::ring::default_provider().install_default();
}
