//! Published vectors, cross-checks against other implementations, refused cases, properties.

mod backup_note;
mod checkpoint;
mod entry;
mod erasure_note;
mod evidence;
mod fixture;
mod json;
mod note;
mod proof;
mod receipt;
mod tile;
mod tree;
mod vector;
