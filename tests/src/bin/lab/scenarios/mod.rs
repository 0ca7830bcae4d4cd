//! What has to work. Each scenario has a world of its own: what one leaves behind cannot help another.

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
    ];
    groups.into_iter().flatten().collect()
}
