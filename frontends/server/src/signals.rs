//! SIGTERM and SIGINT: the first asks for a graceful shutdown, the second ends the process at once.
//!
//! Deliberately unknown: what has to be shut down.

use std::future::Future;
use std::io;

use tokio::sync::oneshot;

use crate::exit::Exit;

/// Takes the signals over from now on. The answer resolves at the first one.
pub(crate) fn shutdown_requested() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut signals = Signals::listen()?;
    let (first, requested) = oneshot::channel();
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("shutting down; a second signal ends the process at once");
        // Nobody waits any more when serving has ended by itself.
        let _ = first.send(());
        let signal = signals.next().await;
        std::process::exit(Exit::Interrupted { signal }.code().into());
    });
    Ok(async move {
        let _ = requested.await;
    })
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for one of them; its number as POSIX fixes it.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }
}

#[cfg(windows)]
struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
}

#[cfg(windows)]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    async fn next(&mut self) -> u8 {
        self.interrupt.recv().await;
        2
    }
}
