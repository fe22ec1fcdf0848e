//! Memory: the server-wide budget, and the blocks of files that are kept in it.
