//! What an open tenant promises, on a disk that forgets and fails where it is told to.

mod crash_points;
mod damage;
mod ownership;
mod random_histories;
mod segments_ahead;
mod threads;
mod upkeep;
mod world;
