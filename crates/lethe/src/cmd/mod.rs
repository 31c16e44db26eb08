//! The commands.

pub(crate) mod apikey;
pub(crate) mod approval;
pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod destroy;
pub(crate) mod events;
pub(crate) mod key;
pub(crate) mod policy;
pub(crate) mod principal;
pub(crate) mod realm;
pub(crate) mod receipt;
pub(crate) mod serve;
pub(crate) mod vault;
