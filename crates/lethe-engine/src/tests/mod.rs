mod access;
mod batch;
mod crash;
mod events;
mod life;
mod lists;
pub(crate) mod support;
