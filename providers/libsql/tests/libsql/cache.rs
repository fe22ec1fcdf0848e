//! A cache folder is never trusted: whatever lies in it, what is read is what the primary holds.

use std::fs;
use std::path::Path;

use nimbus_namespace::conformance::{CommitBuilder, put, remove};
use nimbus_namespace::{Direction, KeyRange, NamespaceProvider, Space, StorageError};
use nimbus_types::Sequence;

use crate::world::{World, assert_shows, commit, counter, create_and_open, get, tenant};

/// A tenant of which 40 commits are on the primary and in the replica of the cache "own", which is closed.
async fn filled(world: &World, id: &str) -> CommitBuilder {
    let provider = world.connect("own").await;
    let namespace = create_and_open(&provider, id).await;
    let mut builder = CommitBuilder::new();
    for n in 0..40 {
        commit(&*namespace, &mut builder, &format!("key {}", n % 25), &format!("{n} {}", "x".repeat(300)))
            .await;
    }
    builder
}

/// Opens the tenant in the cache "own" and answers how often its replica was copied from the primary.
async fn rebuilds_at_open(world: &World, id: &str, builder: &CommitBuilder) -> u64 {
    let provider = world.connect("own").await;
    let namespace = provider.open(&tenant(id)).await.unwrap();
    assert_shows(&*namespace, builder).await;
    counter(&*namespace, "replica_rebuilds_total")
}

#[tokio::test]
async fn a_sound_replica_is_used_again_and_a_deleted_one_is_copied() {
    let Some(world) = World::shared("a sound libSQL replica") else { return };
    let builder = filled(&world, "acme").await;
    assert_eq!(rebuilds_at_open(&world, "acme", &builder).await, 0);
    fs::remove_dir_all(world.cache("own")).unwrap();
    assert_eq!(rebuilds_at_open(&world, "acme", &builder).await, 1);
    assert_eq!(rebuilds_at_open(&world, "acme", &builder).await, 0);
}

#[tokio::test]
async fn a_replica_that_lags_follows_the_log_and_one_behind_a_trim_is_copied() {
    let Some(world) = World::shared("a lagging libSQL replica") else { return };
    let mut builder = filled(&world, "acme").await;
    let other = world.connect("other").await;
    let namespace = other.open(&tenant("acme")).await.unwrap();
    // More than come with a head: 200 commits, then some that are large, one of them beyond sqld's answers.
    for n in 0..200 {
        commit(&*namespace, &mut builder, &format!("key {}", n % 25), "follows").await;
    }
    for bytes in [1 << 20, 12 << 20] {
        commit(&*namespace, &mut builder, "large", &"y".repeat(bytes)).await;
        let removal = builder.clone().sequence();
        let group = builder.group([vec![remove(Space::Documents, "large"), put(Space::Meta, "large", "no")]]);
        namespace.commit(removal, group).await.unwrap();
    }
    assert_eq!(rebuilds_at_open(&world, "acme", &builder).await, 0);

    commit(&*namespace, &mut builder, "key", "before the trim").await;
    commit(&*namespace, &mut builder, "key", "after").await;
    namespace.trim_log(builder.sequence()).await.unwrap();
    builder.trim(builder.sequence());
    assert_eq!(rebuilds_at_open(&world, "acme", &builder).await, 1);
}

#[tokio::test]
async fn a_replica_of_another_tenant_or_program_is_replaced() {
    let Some(world) = World::shared("a foreign libSQL replica") else { return };
    let builder = filled(&world, "acme").await;
    let theirs = filled(&world, "other").await;
    let (own, other) = (world.replica("own", "acme"), world.replica("own", "other"));
    fs::copy(&other, &own).unwrap();
    assert_eq!(rebuilds_at_open(&world, "acme", &builder).await, 1);
    fs::write(&own, "no database, and not even a long one").unwrap();
    assert_eq!(rebuilds_at_open(&world, "acme", &builder).await, 1);
    fs::write(&own, "").unwrap();
    assert_eq!(rebuilds_at_open(&world, "acme", &builder).await, 1);
    // Another tenant's content under this tenant's name, as a replica that took a wrong turn would be.
    fs::copy(&other, &own).unwrap();
    let raw = rusqlite::Connection::open(&own).unwrap();
    raw.execute("UPDATE head SET tenant = ?1", [own.file_stem().unwrap().to_str().unwrap()]).unwrap();
    drop(raw);
    assert_eq!(theirs.sequence(), builder.sequence());
    assert_shows_after(&world, &own, &builder, "UPDATE head SET digest = x'00'").await;
}

/// Damages the file with SQL, opens it, and expects one copy.
async fn assert_shows_after(world: &World, file: &Path, builder: &CommitBuilder, damage: &str) {
    let raw = rusqlite::Connection::open(file).unwrap();
    raw.execute_batch(damage).unwrap();
    drop(raw);
    assert_eq!(rebuilds_at_open(world, "acme", builder).await, 1, "{damage}");
}

#[tokio::test]
async fn a_replica_ahead_of_the_primary_or_beside_it_is_replaced() {
    let Some(world) = World::shared("a wrong libSQL replica") else { return };
    let builder = filled(&world, "acme").await;
    let file = world.replica("own", "acme");
    for damage in [
        "UPDATE head SET sequence = sequence + 5",
        "UPDATE head SET time_ms = time_ms + 1",
        "UPDATE head SET sequence = 0",
        "DROP TABLE meta",
        "UPDATE head SET format_version = 9",
        "UPDATE documents SET document = x'00' WHERE key = CAST('key 3' AS BLOB)",
        "DELETE FROM index_entries WHERE key = CAST('key 4' AS BLOB)",
    ] {
        assert_shows_after(&world, &file, &builder, damage).await;
    }
}

#[tokio::test]
async fn damage_is_found_by_the_commit_that_changes_it_and_mended() {
    let Some(world) = World::shared("a damaged libSQL replica") else { return };
    let mut builder = filled(&world, "acme").await;
    let (own, other) = (world.connect("own").await, world.connect("other").await);
    let namespace = own.open(&tenant("acme")).await.unwrap();
    let raw = rusqlite::Connection::open(world.replica("own", "acme")).unwrap();
    raw.execute("UPDATE documents SET document = x'00' WHERE key = CAST('key 3' AS BLOB)", []).unwrap();
    commit(&*other.open(&tenant("acme")).await.unwrap(), &mut builder, "key 3", "mended").await;
    assert_shows(&*namespace, &builder).await;
    assert_eq!(counter(&*namespace, "replica_rebuilds_total"), 1);
}

#[tokio::test]
async fn flipped_bytes_and_a_cut_file_never_show_as_data() {
    let Some(world) = World::shared("broken bytes in a libSQL replica") else { return };
    let builder = filled(&world, "acme").await;
    let file = world.replica("own", "acme");
    let sound = fs::read(&file).unwrap();
    let places = (0..24).map(|n| n * sound.len() / 24 + n % 7);
    for at in places {
        let mut bytes = sound.clone();
        bytes[at..].iter_mut().take(64).for_each(|byte| *byte ^= 0x5A);
        fs::write(&file, bytes).unwrap();
        assert_damage_is_mended(&world, &builder).await;
    }
    for pages in [1, 3, sound.len() / 4096 / 2] {
        fs::write(&file, &sound[..pages * 4096]).unwrap();
        assert_damage_is_mended(&world, &builder).await;
    }
}

/// Whatever is in the file, what is read is right; damage of what no read meets is found by the check, after
/// which the replica is copied anew.
async fn assert_damage_is_mended(world: &World, builder: &CommitBuilder) {
    let provider = world.connect("own").await;
    let namespace = provider.open(&tenant("acme")).await.unwrap();
    let snapshot = namespace.snapshot().await.unwrap();
    for space in Space::ALL {
        let page = snapshot.scan(space, &KeyRange::all(), Direction::Forward, usize::MAX).await.unwrap();
        assert_eq!(page.entries, builder.entries(space));
    }
    drop(snapshot);
    namespace.check().await.unwrap();
    assert_shows(&*namespace, builder).await;
}

#[tokio::test]
async fn a_second_process_on_the_cache_folder_is_busy() {
    let Some(world) = World::shared("two processes on a libSQL cache") else { return };
    let _first = world.connect("own").await;
    let cache = world.cache("own");
    let second = nimbus_libsql::LibsqlProvider::connect(world.options(&cache)).await;
    assert!(matches!(second.err(), Some(StorageError::Busy(_))));
}

#[tokio::test]
async fn a_process_killed_between_the_primary_and_the_replica_finds_its_commit() {
    let Some(world) = World::shared("a libSQL replica behind its own commit") else { return };
    let mut builder = filled(&world, "acme").await;
    // The replica as it was before a commit that the primary took.
    let file = world.replica("own", "acme");
    let before = fs::read(&file).unwrap();
    let provider = world.connect("own").await;
    commit(&*provider.open(&tenant("acme")).await.unwrap(), &mut builder, "key", "acknowledged").await;
    drop(provider);
    fs::write(&file, before).unwrap();

    let provider = world.connect("own").await;
    let namespace = provider.open(&tenant("acme")).await.unwrap();
    assert_eq!(get(&*namespace, "key").await.unwrap().unwrap(), "acknowledged");
    assert_shows(&*namespace, &builder).await;
    assert_eq!(counter(&*namespace, "replica_rebuilds_total"), 0);
    assert!(namespace.read_log(Sequence::ZERO, 9).await.is_ok());
}
