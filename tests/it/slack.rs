//! What people read and type.

mod conditions;
mod endings;
mod everything;
mod facts;
mod forms;
mod limits;
mod payloads;
mod samples;
mod typed;
mod verify;
