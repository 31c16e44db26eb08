mod access;
mod batch;
mod crash;
mod life;
mod races;
mod races_cast;
mod rig;
mod support;
