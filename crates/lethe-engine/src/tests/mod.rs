mod access;
mod batch;
mod crash;
mod life;
pub(crate) mod support;
