//! Prometheus text. The recorder is the relay's own: several relays in one process, as in tests, keep apart.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use crate::broker::Stats;

pub(super) struct ServerMetrics {
    recorder: PrometheusRecorder,
}

impl std::fmt::Debug for ServerMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerMetrics").finish_non_exhaustive()
    }
}

impl ServerMetrics {
    pub(super) fn new() -> Self {
        Self { recorder: PrometheusBuilder::new().build_recorder() }
    }

    pub(super) fn render(&self, stats: &Stats) -> String {
        with_local_recorder(&self.recorder, || publish(stats));
        self.recorder.handle().render()
    }
}

macro_rules! publish {
    ($stats:expr; $($kind:ident $field:ident $name:literal $unit:ident $help:literal;)*) => {
        $(publish!(@$kind $name, $stats.$field, Unit::$unit, $help);)*
    };
    (@gauge $name:literal, $value:expr, $unit:expr, $help:literal) => {
        describe_gauge!($name, $unit, $help);
        gauge!($name).set($value as f64);
    };
    (@counter $name:literal, $value:expr, $unit:expr, $help:literal) => {
        describe_counter!($name, $unit, $help);
        counter!($name).absolute($value);
    };
}

fn publish(stats: &Stats) {
    publish! { stats;
        gauge sockets "peers_relay_sockets" Count "Open sockets.";
        gauge half_open "peers_relay_half_open" Count "Connections that are no sockets yet.";
        gauge devices "peers_relay_devices" Count "Registered devices.";
        gauge queued_messages "peers_relay_queued_messages" Count "Messages waiting for devices that are away or slow.";
        gauge queued_bytes "peers_relay_queued_bytes" Bytes "Bytes of them.";
        gauge message_bytes "peers_relay_message_bytes" Bytes "Bytes of all messages held, the relay's own included.";
        gauge relay_queued_bytes "peers_relay_relay_queued_bytes" Bytes "Relayed bytes waiting for slow devices.";
        gauge relay_connections "peers_relay_relay_connections" Count "Relayed connections.";
        counter registrations "peers_relay_registrations_total" Count "Proven registrations.";
        counter registrations_denied "peers_relay_registrations_denied_total" Count "Registrations not proven.";
        counter wrong_name "peers_relay_wrong_name_total" Count "Registrations for a name the relay does not have.";
        counter not_admitted "peers_relay_not_admitted_total" Count "Registrations the access rule did not admit.";
        counter superseded "peers_relay_superseded_total" Count "Registrations replaced by a newer one.";
        counter relayed_messages "peers_relay_messages_total" Count "Offers, answers and candidates delivered at once.";
        counter enqueued "peers_relay_enqueued_total" Count "Messages put into the offline queue.";
        counter dequeued "peers_relay_dequeued_total" Count "Messages delivered from the offline queue.";
        counter queue_dropped "peers_relay_queue_dropped_total" Count "Messages dropped while they waited.";
        counter share_dropped "peers_relay_share_dropped_total" Count "Of those, dropped because their sender held most.";
        counter unconsented "peers_relay_unconsented_total" Count "Messages between devices that do not accept each other.";
        counter knocks "peers_relay_knocks_total" Count "Knocks taken.";
        counter knocks_dropped "peers_relay_knocks_dropped_total" Count "Knocks beyond their sender's rate.";
        counter relay_frames "peers_relay_relay_frames_total" Count "Relayed frames.";
        counter relay_bytes "peers_relay_relay_bytes_total" Bytes "Relayed bytes.";
        counter relay_overflows "peers_relay_relay_overflows_total" Count "Relayed connections closed at a full queue.";
        counter refused "peers_relay_refused_total" Count "Sockets refused.";
        counter half_open_dropped "peers_relay_half_open_dropped_total" Count "Connections cut before they became sockets.";
        counter violations "peers_relay_violations_total" Count "Sockets closed for breaking a rule.";
        counter too_slow "peers_relay_too_slow_total" Count "Sockets closed for not reading.";
        counter idle "peers_relay_idle_total" Count "Sockets closed for silence.";
    }
}
