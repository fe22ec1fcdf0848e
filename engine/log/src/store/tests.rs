//! What an open tenant promises, on a disk that forgets and fails where it is told to.

mod arbitrary_bytes;
mod crash_points;
mod damage;
mod golden;
mod ownership;
mod random_histories;
mod rest;
mod segments_ahead;
mod threads;
mod upkeep;
mod world;
