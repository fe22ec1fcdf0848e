//! Where the server may listen.
//!
//! Promises: an address beyond loopback is refused unless the operator asked for it and has rotated the
//! admin token within the last 30 days; a host name is held to that by every address it resolves to. Deliberately unknown: what is served there.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

/// How long a rotation counts as recent: 30 days.
const RECENT_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// Why the server may not listen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// The host has no address.
    #[error("cannot resolve --host {host}: {error}")]
    Unresolved {
        /// The host as it was set.
        host: String,
        /// Why.
        error: io::Error,
    },
    /// Beyond loopback without the operator's word.
    #[error(
        "{address} is reachable from other machines, which --host {host} alone does not permit: \
         add --allow-network, or listen on 127.0.0.1"
    )]
    NetworkNotAllowed {
        /// The host as it was set.
        host: String,
        /// The first address beyond loopback.
        address: IpAddr,
    },
    /// Beyond loopback with a token that is too old.
    #[error(
        "{address} is reachable from other machines, which needs an admin token rotated within the last 30 days \
         ({state}): run `nimbus auth rotate-admin`, then start again"
    )]
    TokenNotRotated {
        /// The first address beyond loopback.
        address: IpAddr,
        /// What is known of the last rotation.
        state: &'static str,
    },
    /// The port is taken, or the address is not ours.
    #[error("cannot listen on {addresses}: {error}")]
    Bind {
        /// The addresses that were tried.
        addresses: String,
        /// Why the last one failed.
        error: io::Error,
    },
}

/// Every address of `host`, which may be an IP address (an IPv6 one with or without brackets) or a
/// name.
pub(crate) fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ListenError> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let unresolved = |error| ListenError::Unresolved { host: host.to_owned(), error };
    let addresses: Vec<_> = (bare, port).to_socket_addrs().map_err(unresolved)?.collect();
    if addresses.is_empty() {
        return Err(unresolved(io::Error::from(io::ErrorKind::AddrNotAvailable)));
    }
    Ok(addresses)
}

/// Holds `addresses` to the rule. `rotated_ms` is the token's last rotation, in epoch milliseconds as
/// `now_ms` is.
pub(crate) fn permit(
    host: &str,
    addresses: &[SocketAddr],
    allow_network: bool,
    rotated_ms: Option<u64>,
    now_ms: u64,
) -> Result<(), ListenError> {
    let beyond = addresses.iter().map(|address| address.ip().to_canonical()).find(|ip| !ip.is_loopback());
    let Some(address) = beyond else { return Ok(()) };
    if !allow_network {
        return Err(ListenError::NetworkNotAllowed { host: host.to_owned(), address });
    }
    let state = match rotated_ms.map(|rotated_ms| now_ms.checked_sub(rotated_ms)) {
        Some(Some(age_ms)) if age_ms <= RECENT_MS => return Ok(()),
        Some(Some(_)) => "the last rotation is older",
        Some(None) => "the last rotation lies in the future, so the clock has been wrong",
        None => "it was never rotated",
    };
    Err(ListenError::TokenNotRotated { address, state })
}

/// Listens on the first of `addresses` that can be had.
pub(crate) async fn bind(addresses: &[SocketAddr]) -> Result<tokio::net::TcpListener, ListenError> {
    tokio::net::TcpListener::bind(addresses).await.map_err(|error| ListenError::Bind {
        addresses: addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        error,
    })
}

#[cfg(test)]
mod tests {
    use nimbus_io::{Clock as _, SimulatedClock};

    use super::*;

    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 8080)).collect()
    }

    #[test]
    fn loopback_needs_nothing() {
        for text in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            permit("x", &addresses(&[text]), false, None, 0).unwrap();
        }
    }

    #[test]
    fn beyond_loopback_needs_the_flag_and_a_recent_rotation() {
        let clock = SimulatedClock::new(100 * DAY_MS);
        let now_ms = clock.now_ms();
        let beyond =
            [&["0.0.0.0"][..], &["::"], &["10.0.0.1"], &["::ffff:10.0.0.1"], &["127.0.0.1", "10.0.0.1"]];
        for texts in beyond {
            for (allow_network, rotated_ms, refusal) in [
                (true, Some(now_ms), None),
                (true, Some(now_ms - 30 * DAY_MS), None),
                (true, Some(now_ms - 30 * DAY_MS - 1), Some("is older")),
                (true, Some(now_ms + 1), Some("in the future")),
                (true, None, Some("never rotated")),
                (false, Some(now_ms), Some("--allow-network")),
                (false, None, Some("--allow-network")),
            ] {
                let answer = permit("x", &addresses(texts), allow_network, rotated_ms, now_ms);
                match (answer, refusal) {
                    (Ok(()), None) => {}
                    (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
                    (answer, _) => panic!("{texts:?} {allow_network} {rotated_ms:?}: {answer:?}"),
                }
            }
        }
        clock.advance_ms(31 * DAY_MS);
        assert!(permit("x", &addresses(&["::"]), true, Some(now_ms), clock.now_ms()).is_err());
    }

    #[test]
    fn hosts_are_resolved() {
        assert_eq!(resolve("[::1]", 1).unwrap(), resolve("::1", 1).unwrap());
        assert!(resolve("localhost", 1).unwrap().iter().all(|address| address.ip().is_loopback()));
        assert!(resolve("no such host", 1).unwrap_err().to_string().contains("no such host"));
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let first = bind(&addresses_with_any_port()).await.unwrap();
        let taken = first.local_addr().unwrap();
        let error = bind(&[taken]).await.unwrap_err().to_string();
        assert!(error.contains(&taken.to_string()), "{error}");
    }

    fn addresses_with_any_port() -> Vec<SocketAddr> {
        resolve("127.0.0.1", 0).unwrap()
    }
}
