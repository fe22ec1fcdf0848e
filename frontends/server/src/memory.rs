//! How much memory the store may take when nobody has said so.
//!
//! Promises: a quarter of what the machine has, or the container if it was given less, within bounds; where
//! that cannot be found out, the lower bound. Deliberately unknown: what the memory is used for.

/// Which part of the memory is taken.
const PART: u64 = 4;
const LEAST_MB: u64 = 64;
const MOST_MB: u64 = 4096;

/// The budget in MiB for the machine that this runs on.
pub(crate) fn fitting_budget_mb() -> u64 {
    budget_mb([machine_bytes(), container_bytes()].into_iter().flatten().min())
}

fn budget_mb(memory_bytes: Option<u64>) -> u64 {
    memory_bytes.map_or(LEAST_MB, |bytes| ((bytes / PART) >> 20).clamp(LEAST_MB, MOST_MB))
}

#[cfg(target_os = "linux")]
fn machine_bytes() -> Option<u64> {
    let told = rustix::system::sysinfo();
    (told.totalram as u64).checked_mul(u64::from(told.mem_unit))
}

#[cfg(not(target_os = "linux"))]
fn machine_bytes() -> Option<u64> {
    None
}

/// The limit of the control group (version 2) that a container sees as its root; `max` is none.
fn container_bytes() -> Option<u64> {
    std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_taken_within_bounds() {
        for (memory_bytes, expected_mb) in
            [(None, 64), (Some(0), 64), (Some(1 << 30), 256), (Some(16 << 30), 4096), (Some(u64::MAX), 4096)]
        {
            assert_eq!(budget_mb(memory_bytes), expected_mb, "{memory_bytes:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_machine_says_what_it_has() {
        assert!(machine_bytes().is_some_and(|bytes| bytes > 64 << 20));
        assert!((LEAST_MB..=MOST_MB).contains(&fitting_budget_mb()));
    }
}
