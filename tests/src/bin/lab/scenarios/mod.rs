//! The scenarios. Each has a world of its own: what one leaves behind cannot help another.

mod addresses;
mod bulk;
mod clocks;
mod crowd;
mod documented;
mod interruptions;
mod large;
mod matrix;
mod pair;
mod rest;
mod servers;
mod turn;

use crate::runner::Scenario;

pub(crate) fn all(quick: bool) -> Vec<Scenario> {
    let groups = [
        matrix::all(quick),
        interruptions::all(quick),
        large::all(quick),
        clocks::all(quick),
        servers::all(quick),
        crowd::all(quick),
        documented::all(quick),
        rest::all(quick),
        bulk::all(quick),
        addresses::all(quick),
        turn::all(quick),
    ];
    groups.into_iter().flatten().collect()
}
