//! The comparison of paths.

/// The rank of a path among others; less is better. The order of the fields is the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PathStanding {
    /// It does not answer, did not a moment ago, or is on trial.
    pub(super) unreliable: bool,
    /// It has to show that it carries full packets: until then it is the last resort.
    pub(super) on_trial: bool,
    /// It is hardly usable (S092).
    pub(super) bad: bool,
    /// The rank of its tier in the app's preference (S088–S093).
    pub(super) rank: u8,
}
