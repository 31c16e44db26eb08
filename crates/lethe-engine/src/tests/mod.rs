mod access;
mod batch;
mod crash;
mod life;
mod lists;
mod support;
