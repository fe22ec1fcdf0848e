//! Crash safety: a process that commits in a loop is killed at a random moment, over and over.
//!
//! For providers that keep their data in a directory. The test starts its own program again as the
//! writer, which prints each sequence once its commit has been acknowledged. After SIGKILL everything
//! printed must be there, and head, log and live state agree. [`crash_suite!`](crate::crash_suite) makes
//! the tests.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use nimbus_types::{Sequence, TenantId};

use crate::{
    Commit, CommitGroup, CommitRecord, DigestSums, Direction, Head, KeyChange, KeyRange, Namespace,
    NamespaceProvider, Space, StateDigest,
};

const ROUNDS: u64 = 25;
/// Set for the process that writes; holds the data directory.
const WRITER_DIRECTORY: &str = "NIMBUS_CRASH_TEST_DIRECTORY";
/// Set to repeat a run.
const SEED: &str = "NIMBUS_CRASH_TEST_SEED";

/// A number that looks random (the `SplitMix64` generator).
fn scramble(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn tenant() -> TenantId {
    TenantId::parse("Crash").expect("an id")
}

/// The two tests of the suite: `crash_suite!(MyProvider::open);`, where the function takes a directory.
/// The calling crate depends on tokio with `macros` and on tempfile.
#[macro_export]
macro_rules! crash_suite {
    ($open:expr) => {
        #[tokio::test]
        async fn a_killed_process_loses_no_acknowledged_commit() {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let open = |directory: &::std::path::Path| $open(directory).expect("the provider opens");
            $crate::conformance::crash::a_killed_process_loses_no_acknowledged_commit(open, folder.path())
                .await;
        }

        /// Not a test: the writer that the test above starts and kills.
        #[tokio::test]
        #[ignore = "run by the crash test as a process of its own"]
        async fn writer_process() {
            let open = |directory: &::std::path::Path| $open(directory).expect("the provider opens");
            $crate::conformance::crash::writer_process(open).await;
        }
    };
}

/// Kills the writer in `directory` again and again.
pub async fn a_killed_process_loses_no_acknowledged_commit<P: NamespaceProvider>(
    open: impl Fn(&Path) -> P,
    directory: &Path,
) {
    let seed = env::var(SEED).map_or_else(
        |_| SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64),
        |seed| seed.parse().expect("the seed is a number"),
    );
    println!("{SEED}={seed}");
    open(directory).create(&tenant()).await.expect("the tenant is made");
    let mut before = Sequence::ZERO;
    for round in 0..ROUNDS {
        let acknowledged =
            write_until_killed(directory, Duration::from_micros(scramble(seed + round) % 60_000));
        let head = assert_sound(&open(directory)).await;
        assert!(head.sequence >= before.max(acknowledged), "round {round}: {head:?} lost {acknowledged}");
        before = head.sequence;
    }
    assert!(before > Sequence::ZERO, "nothing was ever committed");
}

/// Runs a writer, kills it `delay` after its first commit, and answers with the last sequence it printed.
fn write_until_killed(directory: &Path, delay: Duration) -> Sequence {
    let mut writer = Command::new(env::current_exe().expect("a test has a program"))
        .args(["--exact", "writer_process", "--nocapture", "--include-ignored"])
        .env(WRITER_DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the writer starts");
    let lines = BufReader::new(writer.stdout.take().expect("its output is piped")).lines();
    // A line cut short by the kill lacks its semicolon and does not count.
    let mut sequences = lines
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("ok ")?.strip_suffix(';')?.parse().ok());
    let first = sequences.next().expect("the writer commits");
    let killer = thread::spawn(move || kill_after(writer, delay));
    let last = sequences.last().unwrap_or(first);
    killer.join().expect("the writer is killed");
    Sequence(last)
}

fn kill_after(mut writer: Child, delay: Duration) {
    thread::sleep(delay);
    writer.kill().expect("the writer can be killed");
    writer.wait().expect("the writer ends");
}

/// Reopens the namespace and compares head, log and a full scan with each other.
async fn assert_sound(provider: &impl NamespaceProvider) -> Head {
    let namespace = provider.open(&tenant()).await.expect("the tenant opens after a kill");
    let report = namespace.check().await.expect("a check ends");
    assert!(report.faults.is_empty(), "{report:?}");
    let snapshot = namespace.snapshot().await.expect("a snapshot");
    let mut scanned = StateDigest::default();
    for space in Space::ALL {
        let page =
            snapshot.scan(space, &KeyRange::all(), Direction::Forward, usize::MAX).await.expect("a scan");
        assert!(!page.more, "50 documents of 9000 bytes are one page");
        for entry in page.entries {
            scanned.add(space, &entry.key, &entry.value);
        }
    }
    assert_eq!(scanned, snapshot.head().digest);
    assert_log_leads_to(&*namespace, snapshot.head()).await;
    snapshot.head().clone()
}

/// The log has every record up to the head, and their sums form a chain that ends in the head's.
async fn assert_log_leads_to(namespace: &dyn Namespace, head: &Head) {
    let (mut newest, mut sums, mut time_ms) = (Sequence::ZERO, DigestSums::default(), 0);
    while newest < head.sequence {
        let page = namespace.read_log(newest, usize::MAX).await.expect("the log is read");
        assert!(!page.is_empty(), "the log ends at {newest}");
        for record in page {
            assert_eq!((record.sequence, record.previous_sums), (newest.next(), sums));
            (newest, sums, time_ms) = (record.sequence, record.sums, record.time_ms);
        }
    }
    assert_eq!((newest, sums, time_ms), (head.sequence, head.digest.sums(), head.time_ms));
}

/// Commits until it is killed, in the directory that the environment names; where it names none, does
/// nothing.
pub async fn writer_process<P: NamespaceProvider>(open: impl Fn(&Path) -> P) {
    let Ok(directory) = env::var(WRITER_DIRECTORY) else { return };
    let provider = open(Path::new(&directory));
    let namespace = provider.open(&tenant()).await.expect("the writer opens the tenant");
    let mut head = namespace.head().await.expect("a head");
    loop {
        let group = next_group(&*namespace, &head).await;
        head = namespace.commit(head.sequence, group).await.expect("a commit");
        println!("ok {};", head.sequence);
        std::io::stdout().flush().expect("the output is read");
    }
}

/// One to four commits that each overwrite or remove one of 50 documents and its index entry.
async fn next_group(namespace: &dyn Namespace, head: &Head) -> Arc<CommitGroup> {
    let snapshot = namespace.snapshot().await.expect("a snapshot");
    let (mut digest, mut commits) = (head.digest.clone(), Vec::new());
    let first = head.sequence.0 + 1;
    for sequence in first..=first + scramble(first) % 4 {
        // Commits of one group touch different keys, so that before-images come from the snapshot.
        let key = vec![0, 0, 0, 1, ((sequence * 7) % 50) as u8];
        let size = (scramble(sequence) % 9000) as usize;
        let document = (!sequence.is_multiple_of(5)).then(|| vec![sequence as u8; size].into());
        let entry = document.is_some().then(|| key.clone().into());
        let changes = [(Space::Documents, document), (Space::Index, entry)].map(|(space, value)| KeyChange {
            space,
            key: key.clone().into(),
            value,
        });
        let previous_sums = digest.sums();
        for KeyChange { space, key, value } in &changes {
            if let Some(before) = snapshot.get(*space, key).await.expect("a read") {
                digest.remove(*space, key, &before);
            }
            if let Some(value) = value {
                digest.add(*space, key, value);
            }
        }
        let [document, entry] = changes;
        let record = CommitRecord {
            sequence: Sequence(sequence),
            time_ms: sequence,
            previous_sums,
            sums: digest.sums(),
            changes: vec![document],
        };
        commits.push(Commit { record, index_changes: vec![entry] });
    }
    Arc::new(CommitGroup { commits, digest })
}
