mod access;
mod batch;
mod crash;
mod life;
mod support;
