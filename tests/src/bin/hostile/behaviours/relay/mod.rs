//! A hostile relay: the victim's second one, beside the honest one that carries everything else.

mod made_up;
mod middleman;

use std::time::Duration;

use super::Behaviour;

/// At full speed, as long as a fault needs to show.
const FLOOD: Duration = Duration::from_millis(1200);
/// A dial through a relay that lies comes to an end within this.
const DIAL: Duration = Duration::from_secs(8);

pub(super) fn all() -> Vec<Behaviour> {
    middleman::all().into_iter().chain(made_up::all()).collect()
}
