//! The conformance suite: what every provider must do, as cases that run against any of them.
//!
//! A provider's tests implement [`Fixture`] and hand it to
//! [`conformance_suite!`](crate::conformance_suite), which makes one test of each case. A case
//! reports a failure by panicking, as tests do; the panics and `expect`s in these modules are that
//! report. Deliberately unknown: which provider it is, and the async runtime.

pub mod builder;
pub mod commits;
pub mod crash;
pub mod generator;
pub mod isolation;
pub mod log;
pub mod model;
pub mod processes;
pub mod reads;
pub mod shared;
pub mod snapshots;
mod steps;
pub mod tenants;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use builder::{CommitBuilder, put, remove};
pub use processes::{Process, Processes};
pub use shared::SharedFixture;

use crate::contract::NamespaceProvider;

/// A piece of a case that runs beside the others.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a provider's tests give the suite. Each case gets a fixture of its own, without any tenant.
/// Cases hold up to five snapshots of one tenant at a time.
pub trait Fixture: Send {
    /// The provider under test, as it is open now.
    fn provider(&self) -> Arc<dyn NamespaceProvider>;

    /// Closes the provider and opens it anew on the same data, as a restart would. The case has
    /// dropped its own handles before it calls this.
    fn reopen(&mut self) -> impl Future<Output = ()> + Send;

    /// Starts `task` at once, beside the caller; what comes back ends with it and hands on its panic.
    /// With tokio: `let task = tokio::spawn(task); Box::pin(async move { task.await.unwrap() })`.
    fn spawn(&self, task: Task) -> Task;
}

/// Makes one `#[tokio::test]` of each case: `conformance_suite!(MyFixture::new());`. The expression
/// is evaluated once per case, and may `.await`. The calling crate depends on tokio with `macros` and
/// `rt-multi-thread`.
#[macro_export]
macro_rules! conformance_suite {
    ($fixture:expr) => {
        $crate::conformance_cases! { conformance_tests, $fixture }
    };
}

/// Runs every case, one after the other, each on a fixture that `make` makes.
pub async fn run_all<F: Fixture>(make: impl Fn() -> F) {
    crate::conformance_cases! { conformance_calls, make }
}

/// The one list of cases: hands it, with `$given`, to the macro `$then`.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($then:ident, $given:expr) => {
        $crate::$then! { $given;
            tenants::a_new_tenant_is_empty
            tenants::creating_opening_and_removing_answer_what_is_there
            tenants::ids_that_look_alike_are_different_tenants
            tenants::a_recreated_tenant_starts_empty
            tenants::a_recreated_tenant_is_out_of_reach_of_old_handles
            tenants::tenants_survive_a_reopen
            commits::a_commit_moves_the_head
            commits::a_group_is_one_step
            commits::changes_of_one_key_follow_each_other
            commits::removing_a_missing_key_is_harmless
            commits::a_wrong_head_is_refused_and_nothing_written
            commits::of_racing_commits_one_wins
            commits::a_commit_is_carried_out_though_nobody_waits
            commits::everything_is_there_after_a_reopen
            reads::get_many_answers_in_the_order_asked
            reads::one_key_in_three_spaces_is_three_entries
            reads::unusual_keys_and_values_come_back
            reads::large_keys_and_values_come_back
            reads::keys_of_every_length_order_together
            reads::scans_keep_to_bounds_and_limits_both_ways
            reads::keys_order_as_unsigned_bytes
            reads::scans_end_a_page_by_its_bytes
            reads::get_many_ends_by_the_bytes_of_its_values
            snapshots::a_snapshot_stays_still_under_writes
            snapshots::a_snapshot_outlives_its_namespace_handle
            snapshots::readers_beside_a_writer_see_whole_groups
            log::the_log_returns_what_was_committed
            log::pages_of_the_log_end_by_their_bytes
            log::trimming_forgets_records_and_nothing_else
            log::trimming_twice_or_beyond_the_head_is_harmless
            log::a_trim_survives_a_reopen
            isolation::tenants_with_the_same_keys_do_not_meet
            isolation::removing_a_tenant_leaves_the_others
            model::random_histories_match_the_reference_model
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:expr; $($module:ident :: $case:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                $crate::conformance::$module::$case(&mut $fixture).await;
            }
        )+
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_calls {
    ($make:expr; $($module:ident :: $case:ident)+) => {
        $( $module::$case(&mut $make()).await; )+
    };
}
