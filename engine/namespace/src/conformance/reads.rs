//! Cases about reads: single keys, several keys, ordered scans, and keys and values at the edges.

use bytes::Bytes;
use nimbus_types::limits::KEY_BYTES;

use super::steps::{assert_state, assert_view, commit, create_and_open, get, open, scan, scan_all, snapshot};
use super::{CommitBuilder, Fixture, put, remove};
use crate::change::{KeyChange, Space};
use crate::contract::{Direction, Entry, KeyRange};
use crate::page::{EntryPage, PAGE_BYTES};

/// `get_many` answers in the order asked, with `None` for a missing key and twice for a key asked twice.
pub async fn get_many_answers_in_the_order_asked(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let changes = (0..50_u8).map(|n| put(Space::Documents, [n], [n, n])).collect();
    commit(&*namespace, &mut CommitBuilder::new(), changes).await;
    let snapshot = snapshot(&*namespace).await;

    let asked: [&[u8]; 7] = [&[9], &[3], b"missing", &[9], &[49], &[], &[0]];
    let asked = asked.map(Bytes::from_static);
    let answers = snapshot.get_many(Space::Documents, &asked).await.expect("keys are read");
    let expected: [Option<&[u8]>; 7] =
        [Some(&[9, 9]), Some(&[3, 3]), None, Some(&[9, 9]), Some(&[49, 49]), None, Some(&[0, 0])];
    assert_eq!(answers, expected.map(|value| value.map(Bytes::from_static)));

    assert_eq!(snapshot.get_many(Space::Documents, &[]).await.expect("no keys are read"), []);
    assert_eq!(snapshot.get_many(Space::Meta, &asked[..2]).await.expect("keys are read"), [None, None]);
    for (key, answer) in asked.iter().zip(answers) {
        assert_eq!(get(&*snapshot, Space::Documents, key).await, answer, "get agrees with get_many");
    }
}

/// The same key lives in every space by itself.
pub async fn one_key_in_three_spaces_is_three_entries(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    commit(&*namespace, &mut builder, Space::ALL.map(|space| put(space, "key", space.name())).to_vec()).await;
    let snapshot = snapshot(&*namespace).await;
    for space in Space::ALL {
        assert_eq!(get(&*snapshot, space, "key").await.as_deref(), Some(space.name().as_bytes()));
    }
    assert_view(&*snapshot, &builder).await;
}

/// Empty keys and values, and keys of 0x00 and 0xFF bytes, are keys and values like any other.
pub async fn unusual_keys_and_values_come_back(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    let keys: [&[u8]; 12] = [
        b"",
        &[0],
        &[0, 0],
        &[0, 0, 0],
        &[0, 1],
        &[0xFF],
        &[0xFF, 0xFF],
        &[0xFF, 0xFF, 0xFF],
        &[0xFF, 0],
        b"'; DROP TABLE documents; --",
        b"%_\\",
        "größe".as_bytes(),
    ];
    for space in Space::ALL {
        let with_values = keys.iter().map(|key| put(space, key, key)).collect();
        commit(&*namespace, &mut builder, with_values).await;
        assert_state(&*namespace, &builder).await;
        let with_empty_values = keys.iter().map(|key| put(space, key, "")).collect();
        commit(&*namespace, &mut builder, with_empty_values).await;
        assert_state(&*namespace, &builder).await;
        let snapshot = snapshot(&*namespace).await;
        for key in keys {
            assert_eq!(get(&*snapshot, space, key).await, Some(Bytes::new()), "{key:?} is there, and empty");
        }
    }
}

/// Values of 1 MiB and keys of several KiB, in one group, also after a restart.
pub async fn large_keys_and_values_come_back(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    let value = |salt: usize| (0..1 << 20).map(|at| (at * 31 + at / 251 + salt) as u8).collect::<Vec<u8>>();
    let mut changes = Vec::new();
    for (salt, space) in Space::ALL.into_iter().enumerate() {
        changes.push(put(space, "large value", value(salt)));
        // Two long keys that differ in their last byte only.
        changes.push(put(space, [vec![7; 4_095], vec![1]].concat(), "first"));
        changes.push(put(space, [vec![7; 4_095], vec![2]].concat(), "second"));
    }
    commit(&*namespace, &mut builder, changes).await;
    assert_state(&*namespace, &builder).await;
    drop(namespace);
    fixture.reopen().await;
    assert_state(&*open(fixture, "acme").await, &builder).await;
}

/// Lengths around those at which a store may begin to keep keys otherwise, up to the longest there are:
/// they order by their bytes with the short ones, by every door, and can be changed and removed.
pub async fn keys_of_every_length_order_together(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    let of_length = |length: usize, last: u8| [vec![b'k'; length - 1], vec![last]].concat();
    let mut keys = Vec::new();
    for length in [1, 1_000, 2_047, 2_048, 2_049, 2_704, 3_072, 3_073, 20_000, KEY_BYTES] {
        keys.extend([b'a', b'k', b'z'].map(|last| of_length(length, last)));
    }
    for (salt, space) in Space::ALL.into_iter().enumerate() {
        let kept = keys.iter().enumerate().filter(|(at, _)| at % 3 != salt || at % 2 == 0);
        commit(&*namespace, &mut builder, kept.map(|(at, key)| put(space, key, at.to_string())).collect())
            .await;
    }
    assert_state(&*namespace, &builder).await;
    let changed = Space::ALL.into_iter().flat_map(|space| {
        let (to_remove, to_change) = (keys.iter().skip(4).step_by(5), keys.iter().step_by(5));
        to_remove
            .map(move |key| remove(space, key))
            .chain(to_change.map(move |key| put(space, key, "changed")))
    });
    commit(&*namespace, &mut builder, changed.collect()).await;
    assert_state(&*namespace, &builder).await;

    let snapshot = snapshot(&*namespace).await;
    for space in Space::ALL {
        let asked: Vec<Bytes> = keys.iter().rev().map(|key| Bytes::copy_from_slice(key)).collect();
        let expected: Vec<_> = asked.iter().map(|key| builder.value(space, key)).collect();
        assert_eq!(snapshot.get_many(space, &asked).await.expect("keys are read"), expected);
        for start in keys.iter().step_by(4) {
            let end = Some(Bytes::from(of_length(3_072, b'l')));
            let range = KeyRange { start: Bytes::copy_from_slice(start), end };
            let mut inside: Vec<_> = builder.entries(space);
            inside.retain(|entry| range.contains(&entry.key));
            for limit in [1, 4, usize::MAX] {
                let page = scan(&*snapshot, space, &range, Direction::Forward, limit).await;
                let taken = limit.min(inside.len());
                assert_eq!((&page.entries[..], page.more), (&inside[..taken], taken < inside.len()));
                let page = scan(&*snapshot, space, &range, Direction::Backward, limit).await;
                assert!(
                    page.entries.iter().eq(inside.iter().rev().take(limit)),
                    "backward, {limit} of {space:?}"
                );
            }
        }
    }
}

/// Every pair of bounds, both directions, limits of 0, 1, some and all, in every space.
pub async fn scans_keep_to_bounds_and_limits_both_ways(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    let keys: [&[u8]; 10] = [b"", &[0], b"a", b"a\0", b"aa", b"ab", b"b", &[0xFF], &[0xFF, 0], &[0xFF, 0xFF]];
    for (salt, space) in Space::ALL.into_iter().enumerate() {
        // Each space lacks a key that the others have.
        let kept = keys.iter().enumerate().filter(|(at, _)| *at != 2 + salt);
        let changes = kept.map(|(_, key)| put(space, key, space.name())).collect();
        commit(&*namespace, &mut builder, changes).await;
    }
    let snapshot = snapshot(&*namespace).await;

    let ends = || keys.iter().map(|key| Some(Bytes::copy_from_slice(key))).chain([None]);
    let mut ranges: Vec<KeyRange> = keys
        .iter()
        .flat_map(|start| ends().map(|end| KeyRange { start: Bytes::copy_from_slice(start), end }))
        .collect();
    ranges.extend(keys.iter().map(|prefix| KeyRange::prefix(Bytes::copy_from_slice(prefix))));
    for space in Space::ALL {
        for range in &ranges {
            let inside: Vec<Entry> =
                builder.entries(space).into_iter().filter(|entry| range.contains(&entry.key)).collect();
            for limit in [0, 1, 3, 100, usize::MAX] {
                let more = inside.len() > limit;
                let forward = EntryPage { entries: inside.iter().take(limit).cloned().collect(), more };
                let backward =
                    EntryPage { entries: inside.iter().rev().take(limit).cloned().collect(), more };
                let scanned = scan(&*snapshot, space, range, Direction::Forward, limit).await;
                assert_eq!(scanned, forward, "{space:?} {range:?} forward, limit {limit}");
                let scanned = scan(&*snapshot, space, range, Direction::Backward, limit).await;
                assert_eq!(scanned, backward, "{space:?} {range:?} backward, limit {limit}");
            }
        }
    }
}

/// Keys order as unsigned bytes: neither as text, nor signed, nor by length.
pub async fn keys_order_as_unsigned_bytes(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    let mut keys: Vec<Vec<u8>> = (0..=255_u8).flat_map(|byte| [vec![byte], vec![byte, 0x80]]).collect();
    keys.extend([b"Z", b"a", b"B", b"z"].map(|key| [key.as_slice(), b"mixed case"].concat()));
    let changes = keys.iter().rev().map(|key| put(Space::Index, key, "")).collect();
    commit(&*namespace, &mut builder, changes).await;

    keys.sort();
    let snapshot = snapshot(&*namespace).await;
    let page = scan(&*snapshot, Space::Index, &KeyRange::all(), Direction::Forward, usize::MAX).await;
    assert_eq!(page.entries.iter().map(|entry| entry.key.to_vec()).collect::<Vec<_>>(), keys);
}

/// Sizes of values of which few make a page: several together, one that is a page alone, small ones.
const VALUE_SIZES: [usize; 8] =
    [1, PAGE_BYTES / 3, PAGE_BYTES / 3, PAGE_BYTES / 3, PAGE_BYTES / 2, PAGE_BYTES + 1, 10, PAGE_BYTES / 2];

fn sized_values(space: Space) -> Vec<KeyChange> {
    VALUE_SIZES.iter().enumerate().map(|(at, size)| put(space, [at as u8], vec![at as u8; *size])).collect()
}

/// How many of these sizes, one after the other, make a page.
fn page_length(sizes: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    let before = sizes.take_while(|size| {
        let takes_more = bytes < PAGE_BYTES;
        bytes += size;
        takes_more
    });
    before.count()
}

/// A scan's page ends with the entry that reaches the bytes of a page, and says that there is more.
pub async fn scans_end_a_page_by_its_bytes(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    for space in [Space::Documents, Space::Index] {
        commit(&*namespace, &mut builder, sized_values(space)).await;
    }
    let snapshot = snapshot(&*namespace).await;
    for space in [Space::Documents, Space::Index] {
        let all = builder.entries(space);
        for first in 0..all.len() {
            let range = KeyRange { start: all[first].key.clone(), end: None };
            let length = page_length(all[first..].iter().map(|entry| entry.key.len() + entry.value.len()));
            let page = scan(&*snapshot, space, &range, Direction::Forward, usize::MAX).await;
            assert_eq!(keys_of(&page.entries), keys_of(&all[first..first + length]), "forward from {first}");
            assert_eq!(page.more, first + length < all.len(), "more forward from {first}");
        }
        for end in 1..=all.len() {
            let range = KeyRange { start: Bytes::new(), end: Some(vec![end as u8].into()) };
            let length =
                page_length(all[..end].iter().rev().map(|entry| entry.key.len() + entry.value.len()));
            let page = scan(&*snapshot, space, &range, Direction::Backward, usize::MAX).await;
            let mut keys = keys_of(&page.entries);
            keys.reverse();
            assert_eq!(keys, keys_of(&all[end - length..end]), "backward from {end}");
            assert_eq!(page.more, end > length, "more backward from {end}");
        }
        assert_eq!(scan_all(&*snapshot, space).await, all, "all pages together");
    }
}

fn keys_of(entries: &[Entry]) -> Vec<Bytes> {
    entries.iter().map(|entry| entry.key.clone()).collect()
}

/// `get_many` answers for the first keys only, up to the one whose value reaches the bytes of a page.
pub async fn get_many_ends_by_the_bytes_of_its_values(fixture: &mut impl Fixture) {
    let namespace = create_and_open(fixture, "acme").await;
    let mut builder = CommitBuilder::new();
    commit(&*namespace, &mut builder, sized_values(Space::Documents)).await;
    let snapshot = snapshot(&*namespace).await;
    // A missing key between the others takes nothing of the page.
    let keys: Vec<Bytes> = (0..VALUE_SIZES.len() as u8)
        .flat_map(|at| [vec![at].into(), Bytes::from_static(b"missing")])
        .collect();
    let values: Vec<_> = keys.iter().map(|key| builder.value(Space::Documents, key)).collect();
    for first in 0..keys.len() {
        let sizes = values[first..].iter().map(|value| value.as_ref().map_or(0, Bytes::len));
        let expected = &values[first..first + page_length(sizes)];
        let answers = snapshot.get_many(Space::Documents, &keys[first..]).await.expect("keys are read");
        assert_eq!(answers.len(), expected.len(), "answers from {first}");
        assert!(answers == expected, "the values from {first}");
    }
}
