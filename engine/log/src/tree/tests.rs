//! The tree against `BTreeMap`, and what its memory and its shape promise.

use std::collections::BTreeMap;

use nimbus_namespace::Direction;
use proptest::prelude::*;

use super::Tree;
use super::inner::Node;
use super::leaf::Leaf;
use crate::position::Position;
use crate::slot::{Cursor, OwnedSlot, Slot};

type Model = BTreeMap<Vec<u8>, OwnedSlot>;
type Entries = Vec<(Vec<u8>, OwnedSlot)>;

fn position(number: u32) -> Position {
    Position { file: number, block: number, offset: number, length: number, checksum: number }
}

fn at(number: u32) -> Slot<'static> {
    Slot::At(position(number))
}

fn owned(slot: Slot<'_>) -> OwnedSlot {
    match slot {
        Slot::Removed => OwnedSlot::Removed,
        Slot::At(position) => OwnedSlot::At(position),
        Slot::Inline(value) => OwnedSlot::Inline(value.to_vec().into()),
    }
}

/// A key like those of documents.
fn document_key(number: u32) -> Vec<u8> {
    [&[0, 0, 0, 0, 5, 2], format!("document-{number:010}").as_bytes()].concat()
}

fn collect(tree: &Tree, start: &[u8], end: Option<&[u8]>, direction: Direction) -> Entries {
    let mut cursor = tree.cursor(start, end, direction);
    let mut entries = Vec::new();
    while let Some((key, slot)) = cursor.entry() {
        entries.push((key.to_vec(), owned(slot)));
        cursor.advance().unwrap();
    }
    cursor.advance().unwrap();
    assert!(cursor.entry().is_none(), "a cursor at the end stays there");
    entries
}

fn expected(model: &Model, start: &[u8], end: Option<&[u8]>, direction: Direction) -> Entries {
    let within = |key: &[u8]| key >= start && end.is_none_or(|end| key < end);
    let mut entries: Entries =
        model.iter().filter(|(key, _)| within(key)).map(|(key, slot)| (key.clone(), slot.clone())).collect();
    if direction == Direction::Backward {
        entries.reverse();
    }
    entries
}

/// Puts the same into both and compares what each says was replaced.
fn put(tree: &mut Tree, model: &mut Model, key: &[u8], slot: Slot<'_>) {
    let replaced = match model.insert(key.to_vec(), owned(slot)) {
        Some(OwnedSlot::At(position)) => Some(position),
        _ => None,
    };
    assert_eq!(tree.insert(key, slot), replaced);
}

fn assert_equal(tree: &Tree, model: &Model) {
    assert_eq!(tree.len(), model.len());
    assert_eq!(tree.is_empty(), model.is_empty());
    for (key, slot) in model {
        assert_eq!(tree.get(key), Some(slot.borrow()));
    }
    for direction in [Direction::Forward, Direction::Backward] {
        assert!(collect(tree, b"", None, direction) == expected(model, b"", None, direction));
    }
    assert_eq!(tree.memory_bytes(), counted_memory_bytes(&tree.root));
}

fn counted_memory_bytes(node: &Node) -> usize {
    let beneath: usize = match node {
        Node::Leaf(_) => 0,
        Node::Inner(inner) => inner.children().iter().map(counted_memory_bytes).sum(),
    };
    node.memory_bytes() + beneath
}

fn leaves(node: &Node) -> Vec<&Leaf> {
    match node {
        Node::Leaf(leaf) => vec![leaf],
        Node::Inner(inner) => inner.children().iter().flat_map(leaves).collect(),
    }
}

fn entries_per_leaf(tree: &Tree) -> usize {
    tree.len() / leaves(&tree.root).len()
}

/// Nodes of one tree that are not nodes of the other.
fn unshared_nodes(node: &Node, other: &[usize]) -> usize {
    let beneath: usize = match node {
        Node::Leaf(_) => 0,
        Node::Inner(inner) => inner.children().iter().map(|child| unshared_nodes(child, other)).sum(),
    };
    beneath + usize::from(!other.contains(&address(node)))
}

fn addresses(node: &Node) -> Vec<usize> {
    let mut found = vec![address(node)];
    if let Node::Inner(inner) = node {
        found.extend(inner.children().iter().flat_map(addresses));
    }
    found
}

fn address(node: &Node) -> usize {
    match node {
        Node::Leaf(leaf) => std::ptr::from_ref(&**leaf).addr(),
        Node::Inner(inner) => std::ptr::from_ref(&**inner).addr(),
    }
}

/// The numbers below `count` in an order that looks random and is always the same.
fn shuffled(count: u32) -> Vec<u32> {
    let mut numbers: Vec<u32> = (0..count).collect();
    numbers.sort_by_key(|number| crc32fast::hash(&number.to_le_bytes()));
    numbers
}

/// Short keys of few letters meet often, long ones share long prefixes and differ behind their heads, or
/// only in the number of trailing zeros.
fn keys() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(prop::sample::select(vec![0_u8, 1, b'a', 255]), 0..6),
        (0_u32..2000).prop_map(document_key),
        (0_usize..3, 0_usize..12).prop_map(|(which, zeros)| {
            [b"index-".as_slice(), &[b'x'; 3][..which], &vec![0; zeros]].concat()
        }),
        (0_u8..20).prop_map(|last| [vec![7; 3000], vec![last]].concat()),
    ]
}

fn slots() -> impl Strategy<Value = OwnedSlot> {
    prop_oneof![
        1 => Just(OwnedSlot::Removed),
        4 => any::<u32>().prop_map(|number| OwnedSlot::At(position(number))),
        4 => prop::collection::vec(any::<u8>(), 0..100).prop_map(|value| OwnedSlot::Inline(value.into())),
        1 => (any::<u8>(), 0_usize..20_000)
            .prop_map(|(byte, length)| OwnedSlot::Inline(vec![byte; length].into())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn behaves_like_a_sorted_map_and_its_clones_never_change(
        operations in prop::collection::vec((keys(), slots(), prop::bool::weighted(0.02)), 0..1500),
    ) {
        let (mut tree, mut model) = (Tree::default(), Model::new());
        let mut snapshots = Vec::new();
        for (key, slot, is_snapshot_taken) in &operations {
            prop_assert_eq!(tree.get(key), model.get(key).map(OwnedSlot::borrow));
            put(&mut tree, &mut model, key, slot.borrow());
            if *is_snapshot_taken {
                snapshots.push((tree.clone(), model.clone()));
            }
        }
        assert_equal(&tree, &model);
        for (tree, model) in &snapshots {
            assert_equal(tree, model);
        }
    }

    #[test]
    fn cursors_keep_to_their_bounds(
        entries in prop::collection::vec((keys(), any::<u32>()), 0..600),
        bounds in prop::collection::vec((keys(), prop::option::of(keys())), 20),
    ) {
        let (mut tree, mut model) = (Tree::default(), Model::new());
        for (key, number) in &entries {
            put(&mut tree, &mut model, key, at(*number));
        }
        for (start, end) in &bounds {
            for direction in [Direction::Forward, Direction::Backward] {
                prop_assert_eq!(
                    collect(&tree, start, end.as_deref(), direction),
                    expected(&model, start, end.as_deref(), direction)
                );
            }
        }
    }
}

#[test]
fn holds_ascending_descending_and_random_loads() {
    let ascending: Vec<u32> = (0..20_000).collect();
    let descending = ascending.iter().rev().copied().collect();
    for numbers in [ascending, descending, shuffled(20_000)] {
        let (mut tree, mut model) = (Tree::default(), Model::new());
        for number in numbers {
            put(&mut tree, &mut model, &document_key(number), at(number));
        }
        assert_equal(&tree, &model);
        assert!(tree.get(&document_key(20_000)).is_none());
        assert!(tree.get(b"").is_none());
        assert!(entries_per_leaf(&tree) >= 31);
    }
}

#[test]
fn ascending_keys_fill_the_leaves_they_leave_behind() {
    let mut tree = Tree::default();
    for number in 0..10_000 {
        tree.insert(&document_key(number), at(number));
    }
    assert!(entries_per_leaf(&tree) >= 60, "{} entries a leaf", entries_per_leaf(&tree));
}

#[test]
fn ascending_keys_between_others_fill_leaves_too() {
    let mut tree = Tree::default();
    for table in [b"a", b"z"] {
        for number in 0..40_u32 {
            tree.insert(&[&table[..], &number.to_be_bytes()].concat(), at(number));
        }
    }
    for number in 0..10_000_u32 {
        tree.insert(&[b"m", &number.to_be_bytes()[..]].concat(), at(number));
    }
    assert!(entries_per_leaf(&tree) >= 55, "{} entries a leaf", entries_per_leaf(&tree));
}

#[test]
fn descending_keys_behind_a_full_leaf_do_not_stand_alone() {
    let mut tree = Tree::default();
    for number in 0..63 {
        tree.insert(&[1, number], at(0));
    }
    for number in (100..=255).rev() {
        tree.insert(&[1, number], at(0));
    }
    assert!(entries_per_leaf(&tree) >= 20, "{} entries a leaf", entries_per_leaf(&tree));
}

#[test]
fn a_change_beside_a_snapshot_copies_one_path_and_the_next_one_nothing() {
    let mut tree = Tree::default();
    for number in shuffled(20_000) {
        tree.insert(&document_key(number), at(number));
    }
    let snapshot = tree.clone();
    let of_snapshot = addresses(&snapshot.root);
    tree.insert(&document_key(77), at(0));
    let depth = {
        let (mut node, mut depth) = (&tree.root, 1);
        while let Node::Inner(inner) = node {
            (node, depth) = (&inner.children()[0], depth + 1);
        }
        depth
    };
    assert!(depth >= 3);
    assert_eq!(unshared_nodes(&tree.root, &of_snapshot), depth);
    let before = addresses(&tree.root);
    tree.insert(&document_key(77), at(1));
    assert_eq!(addresses(&tree.root), before, "unshared nodes are changed in place");
    assert_eq!(snapshot.get(&document_key(77)), Some(at(77)));
    assert_eq!(tree.get(&document_key(77)), Some(at(1)));
}

#[test]
fn a_cursor_keeps_the_tree_as_it_was() {
    let mut tree = Tree::default();
    for number in 0..1000 {
        tree.insert(&document_key(number), at(number));
    }
    let mut cursor = tree.cursor(b"", None, Direction::Forward);
    for number in 0..2000 {
        tree.insert(&document_key(number), Slot::Removed);
    }
    for number in 0..1000 {
        assert_eq!(cursor.entry(), Some((document_key(number).as_slice(), at(number))));
        cursor.advance().unwrap();
    }
    assert!(cursor.entry().is_none());
}

#[test]
fn huge_keys_and_values_are_held_between_small_ones() {
    let (mut tree, mut model) = (Tree::default(), Model::new());
    let longest = 64 * 1024 + 1;
    for number in 0..200_u32 {
        let mut key = vec![3; if number % 5 == 0 { longest - 4 } else { 10 }];
        key.extend_from_slice(&crc32fast::hash(&number.to_le_bytes()).to_be_bytes());
        let value = vec![number as u8; if number % 7 == 0 { 1_000_000 } else { 20 }];
        put(&mut tree, &mut model, &key, Slot::Inline(&value));
    }
    assert_equal(&tree, &model);
    let snapshot = (tree.clone(), model.clone());
    for (at, key) in snapshot.1.keys().enumerate() {
        let value = vec![1; if at % 9 == 0 { 300_000 } else { 3 }];
        put(&mut tree, &mut model, key, Slot::Inline(&value));
    }
    assert_equal(&tree, &model);
    assert_equal(&snapshot.0, &snapshot.1);
}

#[test]
fn replacing_values_does_not_pile_up_memory() {
    let mut tree = Tree::default();
    for round in 0..1000_usize {
        for number in 0..20 {
            tree.insert(&document_key(number), Slot::Inline(&vec![round as u8; 20 + round % 7]));
        }
    }
    assert!(tree.memory_bytes() < 8 * 1024, "{} bytes", tree.memory_bytes());
    tree.insert(&document_key(0), Slot::Inline(&vec![0; 1_000_000]));
    tree.insert(&document_key(0), Slot::Removed);
    assert!(tree.memory_bytes() < 8 * 1024, "{} bytes", tree.memory_bytes());
}

#[test]
fn values_that_grow_split_their_leaf() {
    let mut tree = Tree::default();
    for number in 0..60 {
        tree.insert(&document_key(number), Slot::Removed);
    }
    for number in 0..60 {
        tree.insert(&document_key(number), Slot::Inline(&[1; 1000]));
    }
    assert!(entries_per_leaf(&tree) <= 8, "{} entries a leaf", entries_per_leaf(&tree));
    assert_eq!(tree.len(), 60);
}

#[test]
fn an_empty_tree_has_nothing() {
    let tree = Tree::default();
    assert_equal(&tree, &Model::new());
    assert_eq!(collect(&tree, b"a", Some(b"b"), Direction::Forward), []);
    assert_eq!(collect(&tree, b"b", Some(b"a"), Direction::Backward), []);
}

#[test]
fn bounds_that_hold_nothing_give_nothing() {
    let mut tree = Tree::default();
    for number in 0..1000 {
        tree.insert(&document_key(number), at(number));
    }
    let (low, high) = (document_key(100), document_key(900));
    for direction in [Direction::Forward, Direction::Backward] {
        assert_eq!(collect(&tree, &low, Some(&low), direction), [], "an empty range");
        assert_eq!(collect(&tree, &high, Some(&low), direction), [], "an end before the start");
        assert_eq!(collect(&tree, &document_key(1000), None, direction), [], "a start beyond all");
        assert_eq!(collect(&tree, b"", Some(&document_key(0)), direction), [], "an end before all");
        assert_eq!(collect(&tree, b"", Some(b""), direction), [], "an end before any key");
    }
}

#[test]
fn the_empty_key_is_a_key() {
    let mut tree = Tree::default();
    tree.insert(b"a", at(1));
    assert_eq!(tree.insert(b"", at(2)), None);
    assert_eq!(tree.insert(b"", at(3)), Some(position(2)));
    assert_eq!(tree.get(b""), Some(at(3)));
    assert_eq!(collect(&tree, b"", Some(b"a"), Direction::Backward), [(vec![], owned(at(3)))]);
}
