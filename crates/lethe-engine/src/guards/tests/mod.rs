//! The guards: each rule at its edge, their order, the policies' meeting, every state and wish.

mod cascade;
mod edges;
mod order;
mod policy;
mod states;
mod support;
mod texts;
