//! Why something is broken: the cause, the root among several faults, what the advisors say and what was learned.
pub mod advisors;
pub mod cause_rules;
pub mod consensus;
pub mod knowledge;
pub mod learning;
pub mod llm;
pub mod naming;
pub mod parts;
pub mod phrases;
pub mod remark;
pub mod retrieval;
pub mod root_cause;
pub mod sandbox;
pub mod shared_root;
pub mod stem;
mod way_out;
