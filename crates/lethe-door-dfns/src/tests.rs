//! The door in one process, over an engine in memory.
