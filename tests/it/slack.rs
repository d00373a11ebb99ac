//! What people read and type.

mod conditions;
mod everything;
mod facts;
mod forms;
mod limits;
mod payloads;
mod samples;
mod typed;
mod verify;
