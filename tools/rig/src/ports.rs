//! Ports of 127.0.0.1.
//!
//! Invariant: a port is only ever taken on the loopback address.

use std::net::{Ipv4Addr, TcpListener};

use crate::{Error, Result};

/// A port that nobody uses now. Another process may take it first: be ready to try again.
///
/// # Errors
/// When there is none.
pub fn free() -> Result<u16> {
    let address =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|_| Error::PortInUse { port: 0 })
}

/// Makes sure that nobody listens at a port.
///
/// # Errors
/// [`Error::PortInUse`].
pub fn check_free(port: u16) -> Result<()> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop).map_err(|_| Error::PortInUse { port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_listened_at_is_in_use() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = check_free(port).unwrap_err().to_string();
        assert!(error.contains(&port.to_string()) && error.contains("--port"), "{error}");
        assert!(free().is_ok_and(|other| other != port));
    }
}
