//! The commands.

pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod events;
pub(crate) mod key;
pub(crate) mod principal;
pub(crate) mod receipt;
pub(crate) mod serve;
pub(crate) mod vault;
