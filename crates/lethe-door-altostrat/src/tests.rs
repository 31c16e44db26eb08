//! The door over an engine in memory: what it answers, case by case.

mod create;
mod credentials;
mod delete;
mod identifiers;
mod limits;
mod oauth;
mod read;
mod rotate;
mod support;
mod tokens;
mod who;
