//! How a replica takes commits that others made.
//!
//! Promises: a commit is applied only if the sums it says it began from are the replica's own, and if
//! what it changes, read from the replica, leads to the sums it says it ends in; at the primary's head the
//! whole digest is the primary's. Damage of an entry is found when it is next changed.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use nimbus_namespace::{Commit, CommitGroup, Namespace, Snapshot, Space, StateDigest};
use nimbus_types::Sequence;

use super::{Live, Obstacle, Replica};
use crate::primary::{News, Primary};

/// An empty replica follows this many commits; for more than come with a head, a copy is quicker.
const MOST_FROM_EMPTY: u64 = 64;

impl Replica {
    /// Brings `live` forward to the head of `news`. Whoever calls holds the turn.
    pub(super) async fn follow(&self, primary: &Primary, live: &Live, news: News) -> Result<(), Obstacle> {
        let News { head, commits } = news;
        let at = live.head.sequence;
        if at < head.sequence {
            let is_worth_a_copy = at == Sequence::ZERO && head.sequence.0 > MOST_FROM_EMPTY;
            if is_worth_a_copy || at.next() < head.log_start {
                return Err(Obstacle::Unfit(format!("the log does not lead from {at} to {}", head.sequence)));
            }
            let next = commits.into_iter().filter(|commit| commit.record.sequence <= head.sequence);
            self.apply(next.collect()).await?;
            if self.sequence() < head.sequence {
                let mut commits = primary.commits(self.sequence(), head.sequence).await?;
                loop {
                    let page = commits.next_page().await?;
                    if page.is_empty() {
                        break;
                    }
                    self.apply(page).await?;
                }
            }
        }
        let now = self.live().map(|live| live.head);
        let fits = now.is_some_and(|now| {
            now.sequence > head.sequence
                || (now.sequence, now.time_ms, &now.digest) == (head.sequence, head.time_ms, &head.digest)
        });
        if fits {
            Ok(self.trim(head.log_start).await?)
        } else {
            Err(Obstacle::Unfit(format!("at {} it is not what the primary holds", head.sequence)))
        }
    }

    /// Applies those of `commits` that the replica does not hold yet.
    async fn apply(&self, mut commits: Vec<Commit>) -> Result<(), Obstacle> {
        let Some(live) = self.live() else { return Err(Obstacle::Unfit("it is damaged".into())) };
        commits.retain(|commit| commit.record.sequence > live.head.sequence);
        if commits.is_empty() {
            return Ok(());
        }
        let digest = digest_after(&live, &commits).await?;
        self.write(&live, Arc::new(CommitGroup { commits, digest })).await?;
        Ok(())
    }
}

/// The digest that `commits` lead to from where the replica stands.
async fn digest_after(live: &Live, commits: &[Commit]) -> Result<StateDigest, Obstacle> {
    let snapshot = live.file.snapshot().await?;
    let mut state = Advance {
        digest: live.head.digest.clone(),
        at: live.head.sequence,
        snapshot: &*snapshot,
        changed: HashMap::new(),
    };
    for commit in commits {
        state.take(commit).await?;
    }
    Ok(state.digest)
}

/// A state that is moved on by one commit after the other without being written.
struct Advance<'a> {
    digest: StateDigest,
    at: Sequence,
    snapshot: &'a dyn Snapshot,
    changed: HashMap<(Space, Bytes), Option<Bytes>>,
}

impl Advance<'_> {
    async fn take(&mut self, commit: &Commit) -> Result<(), Obstacle> {
        let record = &commit.record;
        if record.sequence != self.at.next() {
            return Err(Obstacle::Unfit(format!("the log has no record {}", self.at.next())));
        }
        if record.previous_sums != self.digest.sums() {
            return Err(Obstacle::Unfit(format!("commit {} does not follow from it", record.sequence)));
        }
        for change in commit.all_changes() {
            let place = (change.space, change.key.clone());
            let before = match self.changed.get(&place) {
                Some(before) => before.clone(),
                None => self.snapshot.get(change.space, &change.key).await?,
            };
            if let Some(before) = before {
                self.digest.remove(change.space, &change.key, &before);
            }
            if let Some(after) = &change.value {
                self.digest.add(change.space, &change.key, after);
            }
            self.changed.insert(place, change.value.clone());
        }
        if record.sums != self.digest.sums() {
            return Err(Obstacle::Unfit(format!("commit {} does not lead to its own sums", record.sequence)));
        }
        self.at = record.sequence;
        Ok(())
    }
}
