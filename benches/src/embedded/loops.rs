//! The work on an embedded store, until a moment; each loop answers how many operations it did. Every
//! thread has a session of its own.

use std::time::Instant;

use super::{Session, Store};
use crate::Outcome;
use crate::measure::on_threads;
use crate::work::{BATCH_DOCUMENTS, Work, Write};
use crate::zipfian::Zipfian;

/// Opens a session; what tells a store from the same store behind a batcher.
pub(crate) type Sessions<'a> = &'a (dyn Fn() -> Outcome<Box<dyn Session>> + Sync);

/// Writes the documents to start from.
pub(crate) fn load(store: &dyn Store, documents: u64) -> Outcome<()> {
    let mut session = store.session()?;
    for numbers in Work::batches(documents) {
        session.write(numbers.map(Write::insert).collect())?;
    }
    Ok(())
}

/// Inserts, one durable commit each.
pub(crate) fn inserts(sessions: Sessions<'_>, work: &Work, writers: u64, until: Instant) -> Outcome<u64> {
    on_threads(writers, |_| {
        let mut session = sessions()?;
        let mut done = 0;
        for n in work.fresh() {
            if Instant::now() >= until {
                break;
            }
            session.write(vec![Write::insert(n)])?;
            done += 1;
        }
        Ok(done)
    })
}

/// Inserts by one writer, [`BATCH_DOCUMENTS`] in each durable commit; answers how many documents.
pub(crate) fn batch_load(sessions: Sessions<'_>, work: &Work, until: Instant) -> Outcome<u64> {
    let mut session = sessions()?;
    let mut numbers = work.fresh();
    let mut done = 0;
    while Instant::now() < until {
        session.write(numbers.by_ref().take(BATCH_DOCUMENTS).map(Write::insert).collect())?;
        done += BATCH_DOCUMENTS as u64;
    }
    Ok(done)
}

/// Reads single documents by their `_id`.
pub(crate) fn point_reads(sessions: Sessions<'_>, work: &Work, threads: u64, until: Instant) -> Outcome<u64> {
    on_threads(threads, |thread| {
        let mut session = sessions()?;
        let mut done = 0;
        for n in work.scattered(thread) {
            if Instant::now() >= until {
                break;
            }
            read(&mut *session, n)?;
            done += 1;
        }
        Ok(done)
    })
}

/// Reads all documents of one value of the indexed field.
pub(crate) fn index_scans(sessions: Sessions<'_>, work: &Work, until: Instant) -> Outcome<u64> {
    let mut session = sessions()?;
    let mut done = 0;
    for n in work.scattered(0) {
        if Instant::now() >= until {
            break;
        }
        if session.scan(Work::group(n))? == 0 {
            return Err("an index scan found nothing".into());
        }
        done += 1;
    }
    Ok(done)
}

/// Reads and durable updates by turns, of documents of which few are asked for often.
pub(crate) fn mix(
    sessions: Sessions<'_>,
    work: &Work,
    zipfian: &Zipfian,
    threads: u64,
    until: Instant,
) -> Outcome<u64> {
    on_threads(threads, |thread| {
        let mut session = sessions()?;
        let mut done = 0;
        for (n, revision) in zipfian.numbers(thread).zip(work.fresh()) {
            if Instant::now() >= until {
                break;
            }
            if done % 2 == 0 {
                read(&mut *session, n)?;
            } else {
                session.write(vec![Write::update(n, revision)])?;
            }
            done += 1;
        }
        Ok(done)
    })
}

fn read(session: &mut dyn Session, n: u64) -> Outcome<()> {
    if session.read(&Work::id(n))? { Ok(()) } else { Err("a document is missing".into()) }
}
