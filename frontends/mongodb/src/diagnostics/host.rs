//! The machine and the process, from where the operating system tells it.
//!
//! Linux tells by files under `/proc`; elsewhere those figures are left out.

use bson::{Document, doc};

use crate::door::Door;

/// The answer to `hostInfo`.
pub(super) fn host_info(door: &Door) -> Document {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut system = doc! {
        "currentTime": door.now(),
        "cpuAddrSize": i32::try_from(usize::BITS).unwrap_or_default(),
        "numCores": i32::try_from(cores).unwrap_or(i32::MAX),
        "cpuArch": std::env::consts::ARCH,
        "numaEnabled": false,
    };
    if let Some(name) = read("/proc/sys/kernel/hostname") {
        system.insert("hostname", name.trim());
    }
    if let Some(kib) = read("/proc/meminfo").as_deref().and_then(total_memory_kib) {
        system.insert("memSizeMB", kib / 1024);
    }
    let release = read("/proc/sys/kernel/osrelease");
    let mut os = doc! { "type": std::env::consts::OS, "name": std::env::consts::OS };
    if let Some(release) = &release {
        os.insert("version", format!("Kernel {}", release.trim()));
    }
    doc! { "system": system, "os": os, "extra": {} }
}

/// `mem` of `serverStatus`: MiB that the process holds, and MiB of its address space.
pub(super) fn memory() -> Document {
    let status = read("/proc/self/status");
    let mib = |field: &str| status.as_deref().and_then(|text| kib_of(text, field)).map(|kib| kib / 1024);
    if let (Some(resident), Some(size)) = (mib("VmRSS:"), mib("VmSize:")) {
        doc! { "bits": 64, "resident": resident, "virtual": size, "supported": true }
    } else {
        doc! { "bits": 64, "supported": false }
    }
}

fn total_memory_kib(text: &str) -> Option<i64> {
    kib_of(text, "MemTotal:")
}

/// The number of a line like `VmRSS:   1234 kB`.
fn kib_of(text: &str, field: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// These files are made by the kernel as they are read, so that reading them waits for no disk.
fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_by_their_field() {
        let text = "Name:\tnimbus\nVmSize:\t  2048 kB\nVmRSS:\t    1024 kB\nThreads:\t4\n";
        assert_eq!(kib_of(text, "VmRSS:"), Some(1024));
        assert_eq!(kib_of(text, "Threads:"), None);
        assert_eq!(kib_of(text, "VmSwap:"), None);
    }
}
