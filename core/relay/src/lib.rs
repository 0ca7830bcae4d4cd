//! The self-hosted relay: signaling, offline queue, ICE server list, last-resort data path.
