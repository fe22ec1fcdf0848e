//! The values that a transaction has looked up last.
//!
//! A write looks its document up again that was read to decide what to write, and a look-up may cost a round
//! trip. Promises: few values are held, and no large ones. Deliberately unknown: what the transaction has
//! written; this is about its snapshot, which never changes.

use std::collections::VecDeque;

use bytes::Bytes;
use nimbus_namespace::Space;

/// Most values held.
const VALUES: usize = 4;
/// Longest value held.
const VALUE_BYTES: usize = 64 * 1024;

/// See the module's text.
#[derive(Default)]
pub(super) struct Recent(VecDeque<(Space, Bytes, Option<Bytes>)>);

impl Recent {
    /// What the snapshot has under a key, if that is known.
    pub(super) fn value(&self, space: Space, key: &Bytes) -> Option<Option<Bytes>> {
        let same = |(found, found_key, _): &&(Space, Bytes, _)| *found == space && found_key == key;
        self.0.iter().find(same).map(|(.., value)| value.clone())
    }

    /// Notes what the snapshot has under a key.
    pub(super) fn note(&mut self, space: Space, key: &Bytes, value: Option<&Bytes>) {
        if value.is_some_and(|value| value.len() > VALUE_BYTES) {
            return;
        }
        if self.0.len() == VALUES {
            self.0.pop_front();
        }
        self.0.push_back((space, key.clone(), value.cloned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_few_values_are_known_and_large_ones_are_not() {
        let mut recent = Recent::default();
        let key = |n: usize| Bytes::from(format!("key {n}"));
        recent.note(Space::Documents, &key(0), None);
        assert_eq!(recent.value(Space::Documents, &key(0)), Some(None), "that there is none is known too");
        assert_eq!(recent.value(Space::Meta, &key(0)), None);
        for n in 1..=VALUES {
            recent.note(Space::Documents, &key(n), Some(&key(n)));
        }
        assert_eq!(recent.value(Space::Documents, &key(0)), None);
        assert_eq!(recent.value(Space::Documents, &key(VALUES)), Some(Some(key(VALUES))));
        recent.note(Space::Documents, &key(9), Some(&Bytes::from(vec![0; VALUE_BYTES + 1])));
        assert_eq!(recent.value(Space::Documents, &key(9)), None);
    }
}
