//! What an open tenant promises, on a disk that forgets and fails where it is told to.

mod crash_points;
mod damage;
mod random_histories;
mod upkeep;
mod world;
