//! Who takes part in the phases that share loaded stores, and how such a phase is run.

use std::path::Path;
use std::time::Instant;

use tokio::runtime::Runtime;

use super::Arguments;
use super::phases::Phase;
use super::report::Standing;
use crate::Outcome;
use crate::embedded::{Batched, Session, Sessions};
use crate::measure::{Measuring, Round};
use crate::nimbus::Nimbus;
use crate::work::Work;
use crate::zipfian::Zipfian;

/// Everybody, loaded with the same documents.
pub(super) struct Contest<'a> {
    pub(super) nimbus: Nimbus<'a>,
    /// Each peer as it is.
    pub(super) plain: Vec<Peer>,
    /// The same stores behind a batcher.
    pub(super) batched: Vec<Peer>,
    pub(super) work: &'a Work,
    pub(super) zipfian: Zipfian,
    pub(super) measuring: &'a Measuring,
}

/// A peer, of which a phase needs the name and sessions only.
pub(super) struct Peer {
    name: String,
    sessions: Box<dyn Fn() -> Outcome<Box<dyn Session>> + Sync>,
}

impl<'a> Contest<'a> {
    /// Loads everybody's store, each in a folder of its own.
    pub(super) fn load(
        arguments: &'a Arguments,
        runtime: &'a Runtime,
        folder: &Path,
        work: &'a Work,
    ) -> Outcome<Self> {
        eprintln!("Nimbus: loading …");
        let provider = arguments.nimbus_provider.open(&folder.join("nimbus"))?;
        let nimbus = Nimbus::open(runtime, provider, work)?;
        let (mut plain, mut batched) = (Vec::new(), Vec::new());
        for kind in arguments.peers() {
            eprintln!("{}: loading …", kind.name());
            let store = kind.open_loaded(&folder.join(kind.name()), work.documents)?;
            let (name, batcher) = (format!("{}, batched", kind.name()), Batched::new(store.clone()));
            batched.push(Peer { name, sessions: Box::new(move || batcher.session()) });
            plain.push(Peer { name: kind.name().into(), sessions: Box::new(move || store.session()) });
        }
        let zipfian = Zipfian::new(work.documents);
        Ok(Self { nimbus, plain, batched, work, zipfian, measuring: &arguments.measuring })
    }

    /// Rounds of Nimbus and of `peers` in turns; `None` when the phase is left out.
    pub(super) fn compare(
        &self,
        phase: &Phase,
        peers: &[&Peer],
        mut ours: impl FnMut(Instant) -> Outcome<u64>,
        theirs: impl Fn(Sessions<'_>, Instant) -> Outcome<u64>,
    ) -> Outcome<Option<Standing>> {
        let theirs = &theirs;
        let mut rounds: Vec<_> =
            peers.iter().map(|peer| move |until| theirs(&*peer.sessions, until)).collect();
        let mut sides: Vec<Round<'_>> = vec![&mut ours];
        sides.extend(rounds.iter_mut().map(|round| round as Round<'_>));
        let Some(rates) = self.measuring.compare(phase.name, &mut sides)? else { return Ok(None) };
        let peers = peers.iter().zip(&rates[1..]).map(|(peer, rate)| (peer.name.clone(), *rate)).collect();
        Ok(Some(Standing { nimbus: Some(rates[0]), peers }))
    }
}
