mod access;
mod batch;
mod crash;
mod events;
mod life;
mod lists;
mod support;
