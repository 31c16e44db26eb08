//! What this crate promises, each promise a test; what must fail is a test too.

mod allocator;
mod crash;
mod disclosure;
mod erased;
mod image;
mod model;
mod node;
mod recovery;
mod seal;
mod slot;
mod stage;
mod support;
