//! How good a path is: what its pings and bytes say, and what people are shown of it.

mod metrics;
mod quality;

pub use metrics::Metrics;
pub use quality::{Level, Quality};
