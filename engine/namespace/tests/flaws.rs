//! The conformance suite finds flaws: each test runs a case on the reference model with one flaw
//! built in, and the case must fail for that reason.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use nimbus_namespace::conformance::{
    Fixture, Task, commits, isolation, log, model, reads, snapshots, tenants,
};
use nimbus_namespace::reference::ReferenceProvider;
use nimbus_namespace::{
    Answer, CommitGroup, CommitRecord, Direction, EntryPage, Head, KeyRange, Namespace, NamespaceProvider,
    PhysicalReport, Result, Snapshot, Space, StorageError,
};
use nimbus_types::{Sequence, TenantId};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    NamesIgnoreCase,
    NamesForgottenAtReopen,
    RemovalOnlyHidesTheName,
    SnapshotsFollowTheHead,
    GetsFollowTheHead,
    GroupsAreSplit,
    FenceIsIgnored,
    CommitsStopWithTheirCaller,
    ScansIgnoreTheEnd,
    ScansIgnoreTheLimit,
    ScansStopAtAHundred,
    ScansOnlyGoForward,
    ScansIgnoreTheBytes,
    ScansDoNotSayThatThereIsMore,
    EmptyValuesAreMissing,
    GetManyLeavesOutWhatIsMissing,
    GetManyIgnoresTheBytes,
    LogIgnoresItsLimit,
    LogIgnoresTheBytes,
    LogBeginsAtItsOwnPosition,
    TrimsAreForgotten,
    TrimsBeyondTheHeadFail,
}

/// The reference model behind a flaw.
struct Flawed {
    inner: ReferenceProvider,
    flaw: Flaw,
    /// Tenants that `RemovalOnlyHidesTheName` has hidden.
    hidden: Mutex<Vec<TenantId>>,
}

struct FlawedNamespace {
    inner: Arc<dyn Namespace>,
    flaw: Flaw,
}

struct FlawedSnapshot {
    inner: Box<dyn Snapshot>,
    namespace: Arc<dyn Namespace>,
    flaw: Flaw,
}

/// What a reference answer holds; it is always ready.
fn now<T>(answer: Answer<'_, T>) -> Result<T> {
    match answer {
        Answer::Ready(result) => result.unwrap(),
        Answer::Waiting(_) => unreachable!("the reference model answers at once"),
    }
}

impl Flawed {
    fn spelled(&self, tenant: &TenantId) -> TenantId {
        match self.flaw {
            Flaw::NamesIgnoreCase => TenantId::parse(&tenant.as_str().to_lowercase()).unwrap(),
            _ => tenant.clone(),
        }
    }
}

impl NamespaceProvider for Flawed {
    fn name(&self) -> &'static str {
        "flawed"
    }

    fn create<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        let mut hidden = self.hidden.lock().unwrap();
        if let Some(at) = hidden.iter().position(|id| id == tenant) {
            hidden.remove(at);
            return Ok(()).into();
        }
        let created = now(self.inner.create(&self.spelled(tenant)));
        // With a flawed spelling the second of two names takes over what the first has made.
        if self.flaw == Flaw::NamesIgnoreCase { Ok(()).into() } else { created.into() }
    }

    fn open<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, Arc<dyn Namespace>> {
        if self.hidden.lock().unwrap().contains(tenant) {
            return Err(StorageError::NotFound).into();
        }
        let inner = now(self.inner.open(&self.spelled(tenant)));
        let flawed =
            inner.map(|inner| Arc::new(FlawedNamespace { inner, flaw: self.flaw }) as Arc<dyn Namespace>);
        flawed.into()
    }

    fn remove<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        if self.flaw == Flaw::RemovalOnlyHidesTheName {
            self.hidden.lock().unwrap().push(tenant.clone());
            return Ok(()).into();
        }
        now(self.inner.remove(&self.spelled(tenant))).into()
    }

    fn list(&self) -> Answer<'_, Vec<TenantId>> {
        self.inner.list()
    }
}

impl Namespace for FlawedNamespace {
    fn head(&self) -> Answer<'_, Head> {
        let head = now(self.inner.head());
        match self.flaw {
            Flaw::TrimsAreForgotten => head.map(|head| Head { log_start: Sequence(1), ..head }).into(),
            _ => head.into(),
        }
    }

    fn snapshot(&self) -> Answer<'_, Box<dyn Snapshot>> {
        let inner = now(self.inner.snapshot());
        let namespace = Arc::clone(&self.inner);
        let flaw = self.flaw;
        inner.map(|inner| Box::new(FlawedSnapshot { inner, namespace, flaw }) as Box<dyn Snapshot>).into()
    }

    fn commit(&self, expected: Sequence, group: Arc<CommitGroup>) -> Answer<'static, Head> {
        let inner = Arc::clone(&self.inner);
        match self.flaw {
            Flaw::GroupsAreSplit => Answer::waiting(async move {
                let mut head = inner.head().await?;
                let mut digest = head.digest.clone();
                for commit in &group.commits {
                    let expected = Sequence(commit.record.sequence.0 - 1);
                    let view = inner.snapshot().await?;
                    for change in commit.all_changes() {
                        if let Some(before) = view.get(change.space, &change.key).await? {
                            digest.remove(change.space, &change.key, &before);
                        }
                        if let Some(value) = &change.value {
                            digest.add(change.space, &change.key, value);
                        }
                    }
                    let alone =
                        Arc::new(CommitGroup { commits: vec![commit.clone()], digest: digest.clone() });
                    head = inner.commit(expected, alone).await?;
                    std::thread::yield_now();
                }
                Ok(head)
            }),
            Flaw::CommitsStopWithTheirCaller => Answer::waiting(async move {
                pending_once().await;
                inner.commit(expected, group).await
            }),
            Flaw::FenceIsIgnored => match now(inner.commit(expected, group)) {
                Err(StorageError::HeadMoved { .. }) => now(inner.head()).into(),
                answer => answer.into(),
            },
            _ => now(inner.commit(expected, group)).into(),
        }
    }

    fn read_log(&self, after: Sequence, limit: usize) -> Answer<'_, Vec<CommitRecord>> {
        match self.flaw {
            Flaw::LogIgnoresItsLimit => self.inner.read_log(after, usize::MAX),
            Flaw::LogIgnoresTheBytes => {
                let mut log = Vec::new();
                let mut from = after;
                while log.len() < limit
                    && let page = now(self.inner.read_log(from, limit - log.len())).unwrap()
                    && let Some(last) = page.last()
                {
                    from = last.sequence;
                    log.extend(page);
                }
                Ok(log).into()
            }
            Flaw::LogBeginsAtItsOwnPosition => {
                self.inner.read_log(Sequence(after.0.saturating_sub(1)), limit)
            }
            _ => self.inner.read_log(after, limit),
        }
    }

    fn trim_log(&self, before: Sequence) -> Answer<'_, ()> {
        if self.flaw == Flaw::TrimsBeyondTheHeadFail
            && before > now(self.inner.head()).unwrap().sequence.next()
        {
            return Err(StorageError::Io("there is nothing to trim".into())).into();
        }
        self.inner.trim_log(before)
    }

    fn check(&self) -> Answer<'_, PhysicalReport> {
        self.inner.check()
    }
}

async fn pending_once() {
    let mut polled = false;
    poll_fn(|context| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Snapshot for FlawedSnapshot {
    fn head(&self) -> &Head {
        self.inner.head()
    }

    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> Answer<'a, Option<Bytes>> {
        let value = now(self.inner.get(space, key));
        match self.flaw {
            Flaw::GetsFollowTheHead => now(now(self.namespace.snapshot()).unwrap().get(space, key)).into(),
            Flaw::EmptyValuesAreMissing => value.map(|value| value.filter(|v| !v.is_empty())).into(),
            _ => value.into(),
        }
    }

    fn get_many<'a>(&'a self, space: Space, keys: &'a [Bytes]) -> Answer<'a, Vec<Option<Bytes>>> {
        let values = now(self.inner.get_many(space, keys));
        match self.flaw {
            Flaw::GetManyLeavesOutWhatIsMissing => {
                values.map(|values| values.into_iter().flatten().map(Some).collect()).into()
            }
            Flaw::GetManyIgnoresTheBytes => {
                keys.iter().map(|key| now(self.inner.get(space, key))).collect::<Result<Vec<_>>>().into()
            }
            _ => values.into(),
        }
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        range: &'a KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Answer<'a, EntryPage> {
        let open_range = KeyRange { start: range.start.clone(), end: None };
        let page = match self.flaw {
            Flaw::SnapshotsFollowTheHead => {
                let newest = now(self.namespace.snapshot()).unwrap();
                now(newest.scan(space, range, direction, limit))
            }
            Flaw::ScansIgnoreTheEnd => now(self.inner.scan(space, &open_range, direction, limit)),
            Flaw::ScansIgnoreTheLimit => now(self.inner.scan(space, range, direction, usize::MAX)),
            Flaw::ScansStopAtAHundred => now(self.inner.scan(space, range, direction, limit.min(100))),
            Flaw::ScansOnlyGoForward => now(self.inner.scan(space, range, Direction::Forward, limit)),
            Flaw::ScansIgnoreTheBytes => {
                let mut all = now(self.inner.scan(space, range, direction, limit)).unwrap();
                while all.more && all.entries.len() < limit {
                    let rest = rest_of(range, &all, direction);
                    let next = now(self.inner.scan(space, &rest, direction, limit - all.entries.len()));
                    let EntryPage { entries, more } = next.unwrap();
                    all.entries.extend(entries);
                    all.more = more;
                }
                Ok(all)
            }
            Flaw::ScansDoNotSayThatThereIsMore => now(self.inner.scan(space, range, direction, limit))
                .map(|page| EntryPage { more: false, ..page }),
            _ => now(self.inner.scan(space, range, direction, limit)),
        };
        page.into()
    }
}

/// What of `range` lies beyond a page.
fn rest_of(range: &KeyRange, page: &EntryPage, direction: Direction) -> KeyRange {
    let last = page.entries.last().unwrap().key.clone();
    match direction {
        Direction::Forward => KeyRange { start: [&last, &[0][..]].concat().into(), end: range.end.clone() },
        Direction::Backward => KeyRange { start: range.start.clone(), end: Some(last) },
    }
}

struct FlawedFixture {
    provider: Arc<Flawed>,
}

impl FlawedFixture {
    fn new(flaw: Flaw) -> Self {
        Self {
            provider: Arc::new(Flawed {
                inner: ReferenceProvider::default(),
                flaw,
                hidden: Mutex::default(),
            }),
        }
    }
}

impl Fixture for FlawedFixture {
    fn provider(&self) -> Arc<dyn NamespaceProvider> {
        Arc::clone(&self.provider) as Arc<dyn NamespaceProvider>
    }

    async fn reopen(&mut self) {
        if self.provider.flaw == Flaw::NamesForgottenAtReopen {
            *self = Self::new(self.provider.flaw);
        }
    }

    fn spawn(&self, task: Task) -> Task {
        let task = tokio::spawn(task);
        Box::pin(async move { task.await.unwrap() })
    }
}

/// One test per line: a case fails on a flaw, saying what is expected of it.
macro_rules! found {
    ($($name:ident: $flaw:ident by $module:ident::$case:ident, $message:literal;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            #[should_panic(expected = $message)]
            async fn $name() {
                $module::$case(&mut FlawedFixture::new(Flaw::$flaw)).await;
            }
        )+
    };
}

found! {
    names_that_ignore_case: NamesIgnoreCase
        by tenants::ids_that_look_alike_are_different_tenants, "the group is committed: HeadMoved";
    tenants_that_share_a_namespace: NamesIgnoreCase
        by isolation::tenants_with_the_same_keys_do_not_meet, "the group is committed: HeadMoved";
    a_removal_of_the_wrong_tenant: NamesIgnoreCase
        by isolation::removing_a_tenant_leaves_the_others, "the group is committed: HeadMoved";
    forgotten_names: NamesForgottenAtReopen by tenants::tenants_survive_a_reopen, "left: []";
    lost_data: NamesForgottenAtReopen by commits::everything_is_there_after_a_reopen, "the tenant opens: NotFound";
    a_removal_that_removes_nothing: RemovalOnlyHidesTheName
        by tenants::a_recreated_tenant_starts_empty, "the head";
    a_removal_that_old_handles_survive: RemovalOnlyHidesTheName
        by tenants::a_recreated_tenant_is_out_of_reach_of_old_handles, "HeadMoved";
    moving_snapshots: SnapshotsFollowTheHead by snapshots::a_snapshot_stays_still_under_writes, "the entries of";
    moving_keys: GetsFollowTheHead by snapshots::a_snapshot_stays_still_under_writes, "b\"overwritten\" of Documents";
    visible_halves: GroupsAreSplit by snapshots::readers_beside_a_writer_see_whole_groups, "middle of a group";
    an_ignored_fence: FenceIsIgnored by commits::a_wrong_head_is_refused_and_nothing_written, "expected head 0: Ok";
    many_winners: FenceIsIgnored by commits::of_racing_commits_one_wins, "the winner's head";
    abandoned_commits: CommitsStopWithTheirCaller
        by commits::a_commit_is_carried_out_though_nobody_waits, "the commit was never carried out";
    an_ignored_end: ScansIgnoreTheEnd by reads::scans_keep_to_bounds_and_limits_both_ways, "forward, limit";
    an_ignored_limit: ScansIgnoreTheLimit by reads::scans_keep_to_bounds_and_limits_both_ways, "limit 0";
    a_scan_that_stops_early: ScansStopAtAHundred by reads::keys_order_as_unsigned_bytes, "left: [";
    a_page_of_any_size: ScansIgnoreTheBytes by reads::scans_end_a_page_by_its_bytes, "forward from 0";
    a_page_that_hides_the_rest: ScansDoNotSayThatThereIsMore
        by reads::scans_end_a_page_by_its_bytes, "more forward from 0";
    an_end_that_is_none: ScansDoNotSayThatThereIsMore
        by reads::scans_keep_to_bounds_and_limits_both_ways, "forward, limit 0";
    values_of_any_size: GetManyIgnoresTheBytes
        by reads::get_many_ends_by_the_bytes_of_its_values, "answers from 0";
    a_log_page_of_any_size: LogIgnoresTheBytes
        by log::pages_of_the_log_end_by_their_bytes, "records after 0";
    a_scan_of_one_direction: ScansOnlyGoForward
        by reads::scans_keep_to_bounds_and_limits_both_ways, "backward, limit 1";
    an_end_ignored_at_random: ScansIgnoreTheEnd
        by model::random_histories_match_the_reference_model, "Forward, limit";
    a_missing_empty_value: EmptyValuesAreMissing by reads::unusual_keys_and_values_come_back, "is there, and empty";
    a_missing_answer: GetManyLeavesOutWhatIsMissing by reads::get_many_answers_in_the_order_asked, "left: [Some";
    an_ignored_log_limit: LogIgnoresItsLimit by log::the_log_returns_what_was_committed, "after 0, limit 0";
    a_log_off_by_one: LogBeginsAtItsOwnPosition by log::the_log_returns_what_was_committed, "after 1, limit 1";
    forgotten_trims: TrimsAreForgotten by log::trimming_forgets_records_and_nothing_else, "the head";
    refused_trims: TrimsBeyondTheHeadFail
        by log::trimming_twice_or_beyond_the_head_is_harmless, "an empty log is trimmed";
}
