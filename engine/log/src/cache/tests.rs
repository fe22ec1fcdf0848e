//! The cache against a model that keeps everything it may, and the promises to other stores.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::budget::common_level;
use super::shard::ENTRY_BYTES;
use super::{Budget, Charge, Share};

const MIB: u64 = 1024 * 1024;

/// The content that a block of these numbers always has.
fn content(file: u32, block: u32, bytes: usize) -> Bytes {
    vec![file.wrapping_mul(31).wrapping_add(block) as u8; bytes].into()
}

/// A length between 0 and 3,000 that such a block always has in the model's test.
fn length(file: u32, block: u32) -> usize {
    (file as usize * 12 + block as usize) * 797 % 3_000
}

/// Bytes of the blocks 0..`blocks` of a file that are still kept, as they count.
fn kept_bytes(share: &Share, file: u32, blocks: u32) -> u64 {
    let kept = (0..blocks).filter_map(|block| share.block(file, block));
    kept.map(|content| content.len() as u64 + ENTRY_BYTES).sum()
}

#[derive(Debug, Clone)]
enum Step {
    Keep { share: usize, file: u32, block: u32 },
    Forget { share: usize, file: u32 },
    Charge { share: usize, bytes: u64 },
    Grow { charge: usize, bytes: u64 },
    Discharge { charge: usize },
    Open,
    Close { share: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..4_usize, 0..3_u32, 0..12_u32)
            .prop_map(|(share, file, block)| Step::Keep { share, file, block }),
        1 => (0..4_usize, 0..3_u32).prop_map(|(share, file)| Step::Forget { share, file }),
        2 => (0..4_usize, 0..9_000_u64).prop_map(|(share, bytes)| Step::Charge { share, bytes }),
        2 => (0..8_usize, 0..4_000_u64).prop_map(|(charge, bytes)| Step::Grow { charge, bytes }),
        2 => (0..8_usize).prop_map(|charge| Step::Discharge { charge }),
        1 => Just(Step::Open),
        1 => (0..4_usize).prop_map(|share| Step::Close { share }),
    ]
}

/// An open share, and what its charges sum up to.
struct Opened {
    share: Arc<Share>,
    pinned: u64,
}

impl Opened {
    fn new(budget: &Arc<Budget>) -> Self {
        Self { share: Share::new(budget), pinned: 0 }
    }

    /// Bytes this share holds, counted by asking for every block it may hold.
    fn count(&self) -> u64 {
        let mut bytes = self.pinned;
        for file in 0..3 {
            for block in 0..12 {
                let Some(found) = self.share.block(file, block) else { continue };
                assert!(found == content(file, block, length(file, block)), "block {block} of file {file}");
                bytes += found.len() as u64 + ENTRY_BYTES;
            }
        }
        bytes
    }
}

fn apply(
    budget: &Arc<Budget>,
    opened: &mut Vec<Opened>,
    charges: &mut Vec<(usize, u64, Charge)>,
    step: &Step,
) {
    let at = |share: usize| share % opened.len();
    match *step {
        Step::Keep { share, file, block } => {
            opened[at(share)].share.keep(file, block, content(file, block, length(file, block)));
        }
        Step::Forget { share, file } => {
            let share = &opened[at(share)].share;
            share.forget(file);
            assert!((0..12).all(|block| share.block(file, block).is_none()));
        }
        Step::Charge { share, bytes } => {
            let at = at(share);
            charges.push((at, bytes, opened[at].share.charge(bytes)));
            opened[at].pinned += bytes;
        }
        Step::Grow { charge, bytes } if !charges.is_empty() => {
            let at = charge % charges.len();
            charges[at].2.grow(bytes);
            charges[at].1 += bytes;
            opened[charges[at].0].pinned += bytes;
        }
        Step::Discharge { charge } if !charges.is_empty() => {
            let (share, bytes, _) = charges.swap_remove(charge % charges.len());
            opened[share].pinned -= bytes;
        }
        Step::Open if opened.len() < 8 => opened.push(Opened::new(budget)),
        Step::Close { share } => {
            let at = at(share);
            charges.retain(|(holder, _, _)| *holder != at);
            opened[at] = Opened::new(budget);
        }
        Step::Grow { .. } | Step::Discharge { .. } | Step::Open => {}
    }
}

proptest! {
    #[test]
    fn what_is_counted_is_what_is_held(steps in prop::collection::vec(step(), 1..200)) {
        let budget = Budget::new(30_000);
        let mut opened = vec![Opened::new(&budget)];
        let mut charges = Vec::new();
        for step in &steps {
            apply(&budget, &mut opened, &mut charges, step);
            let mut sum = 0;
            for one in &opened {
                prop_assert_eq!(one.share.pinned(), one.pinned);
                prop_assert_eq!(one.share.used(), one.count());
                sum += one.share.used();
            }
            prop_assert_eq!(budget.used(), sum);
            let pinned = opened.iter().map(|one| one.pinned).sum::<u64>();
            prop_assert!(budget.used() <= pinned.max(budget.bytes()), "{step:?}");
        }
        drop(charges);
        drop(opened);
        prop_assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_common_level_frees_what_is_asked(mut sizes in prop::collection::vec(0..1_000_u64, 0..50), excess in 1..20_000_u64) {
        sizes.sort_unstable_by(|left, right| right.cmp(left));
        let freed_by = |level: u64| sizes.iter().map(|size| size.saturating_sub(level)).sum::<u64>();
        let level = common_level(sizes.iter().copied(), excess);
        prop_assert!(freed_by(level) >= excess.min(sizes.iter().sum()));
        // One more would not do, so nobody gives up more than needed.
        prop_assert!(level == 0 || freed_by(level + 1) < excess);
    }
}

#[test]
fn a_scan_leaves_the_fair_part_of_others_alone() {
    let budget = Budget::new(8 * MIB);
    let quiet = Share::new(&budget);
    let scanning = Share::new(&budget);
    for block in 0..700 {
        quiet.keep(1, block, content(1, block, 4096));
    }
    let quiet_bytes = quiet.used();
    for block in 0..20_000 {
        scanning.keep(1, block, content(1, block, 4096));
    }
    assert_eq!(quiet.used(), quiet_bytes);
    assert_eq!(kept_bytes(&quiet, 1, 700), quiet_bytes);
    assert!(scanning.used() > 4 * MIB, "the rest is for the scan");
}

#[test]
fn many_that_want_more_than_there_is_hold_about_the_same() {
    let budget = Budget::new(16 * MIB);
    let shares: Vec<_> = (0..16).map(|_| Share::new(&budget)).collect();
    for round in 0..40 {
        for (at, share) in shares.iter().enumerate() {
            // The first want as much as ten of the last.
            for block in 0..(40 / (at as u32 / 4 * 4 + 4)) {
                share.keep(round, block, content(round, block, 4096));
            }
        }
    }
    for (at, share) in shares.iter().enumerate() {
        let wanted = u64::from(40 / (at as u32 / 4 * 4 + 4)) * 40 * (4096 + ENTRY_BYTES);
        assert!(share.used() >= wanted.min(MIB * 95 / 100), "share {at} holds {}", share.used());
    }
}

#[test]
fn what_is_read_again_outlives_a_scan() {
    let budget = Budget::new(4 * MIB);
    let share = Share::new(&budget);
    for block in 0..200 {
        share.keep(1, block, content(1, block, 4096));
    }
    for block in 0..4_000 {
        share.keep(2, block, content(2, block, 4096));
        let again = block % 200;
        assert!(share.block(1, again).is_some(), "block {again} went at {block}");
    }
}

#[test]
fn a_block_too_large_for_the_budget_is_not_kept() {
    let budget = Budget::new(8 * MIB);
    let share = Share::new(&budget);
    share.keep(1, 0, content(1, 0, MIB as usize));
    assert!(share.block(1, 0).is_none());
    share.keep(1, 0, content(1, 0, (MIB - ENTRY_BYTES) as usize));
    assert!(share.block(1, 0).is_some());
}

#[test]
fn pinned_memory_pushes_out_the_blocks_of_the_largest() {
    let budget = Budget::new(8 * MIB);
    let large = Share::new(&budget);
    let small = Share::new(&budget);
    for block in 0..100 {
        small.keep(1, block, content(1, block, 4096));
    }
    for block in 0..2_000 {
        large.keep(1, block, content(1, block, 4096));
    }
    let small_bytes = small.used();
    let mut charge = small.charge(MIB);
    charge.grow(3 * MIB);
    assert!(budget.used() <= budget.bytes());
    assert_eq!(small.used(), small_bytes + 4 * MIB);
    charge.grow(40 * MIB);
    assert_eq!(budget.used(), 44 * MIB, "pinned memory goes beyond the limit, cached blocks do not");
    small.keep(2, 0, content(2, 0, 100));
    assert!(small.block(2, 0).is_none());
    drop(charge);
    small.keep(2, 0, content(2, 0, 100));
    assert!(small.block(2, 0).is_some());
}

#[test]
fn a_single_store_is_pressed_only_by_three_quarters_of_the_budget() {
    let budget = Budget::new(64 * MIB);
    let share = Share::new(&budget);
    let mut charge = share.charge(8 * MIB);
    assert!(!share.is_pressed());
    charge.grow(40 * MIB);
    assert!(!share.is_pressed());
    charge.grow(1);
    assert!(share.is_pressed());
}

#[test]
fn of_many_stores_those_above_the_fair_part_are_pressed() {
    let budget = Budget::new(64 * MIB);
    let idle: Vec<_> = (0..1_000).map(|_| Share::new(&budget)).collect();
    let busy: Vec<_> = (0..1_000).map(|_| Share::new(&budget)).collect();
    let charges: Vec<_> = busy.iter().map(|share| share.charge(100 * 1024)).collect();
    assert!(busy.iter().all(|share| share.is_pressed()));
    assert!(!idle.iter().any(|share| share.is_pressed()));
    drop(charges);
    assert!(!busy.iter().any(|share| share.is_pressed()));
}

#[test]
fn a_forgotten_file_is_gone_and_others_stay() {
    let budget = Budget::new(8 * MIB);
    let share = Share::new(&budget);
    for block in 0..300 {
        share.keep(1, block, content(1, block, 1000));
        share.keep(2, block, content(2, block, 1000));
    }
    share.forget(1);
    assert_eq!(kept_bytes(&share, 1, 300), 0);
    assert_eq!(kept_bytes(&share, 2, 300), 300 * (1000 + ENTRY_BYTES));
    assert_eq!(share.used(), 300 * (1000 + ENTRY_BYTES));
}

#[test]
fn hits_and_misses_are_told() {
    let share = Share::new(&Budget::new(MIB));
    share.keep(1, 1, content(1, 1, 10));
    assert!(share.block(1, 1).is_some());
    assert!(share.block(1, 1).is_some());
    assert!(share.block(1, 2).is_none());
    assert_eq!((share.hits(), share.misses()), (2, 1));
}

#[test]
fn threads_that_use_one_share_leave_the_accounts_right() {
    let budget = Budget::new(2 * MIB);
    let share = Share::new(&budget);
    let other = Share::new(&budget);
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (share, other, budget) = (&share, &other, &budget);
            scope.spawn(move || {
                for round in 0..20_000_u32 {
                    let block = round.wrapping_mul(2_654_435_761).wrapping_add(thread) % 1_500;
                    let length = 500 + (block as usize % 7) * 300;
                    match share.block(1, block) {
                        Some(found) => assert!(found == content(1, block, length)),
                        None => share.keep(1, block, content(1, block, length)),
                    }
                    match round % 1_000 {
                        0 => share.forget(1),
                        1 => drop(other.charge(MIB / 2)),
                        2 => drop(Share::new(budget)),
                        _ => {}
                    }
                }
            });
        }
    });
    assert_eq!(share.used(), kept_bytes(&share, 1, 1_500));
    assert!(budget.used() <= budget.bytes());
    drop(share);
    assert_eq!(budget.used(), 0);
}
