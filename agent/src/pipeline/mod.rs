//! (being built)

pub(crate) mod deliver;
mod lane;
mod lane_attempt;
mod lane_door;
mod lane_guard;
mod lane_landing;
mod lane_lookup;
mod lane_sink;
mod lane_status;
#[cfg(test)]
mod lane_tests;
mod lane_work;
