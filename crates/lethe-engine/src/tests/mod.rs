mod access;
mod crash;
mod life;
mod support;
