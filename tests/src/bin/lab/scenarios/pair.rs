//! Two devices that send numbered messages and a stream to each other, whatever happens to their networks.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Outcome;
use crate::agent::Command;
use crate::flow::unix_micros;
use crate::nat::Carrier;
use crate::process::Peer;
use crate::world::World;

/// Messages each way, a second: fewer than a path at 30 % loss carries.
const EVERY_MS: u64 = 40;

pub(crate) struct Pair {
    pub(crate) a: Peer,
    pub(crate) b: Peer,
}

impl Pair {
    /// Connected over the best there is, and sending.
    pub(crate) async fn begin(world: &World, over: Carrier) -> Outcome<Self> {
        let mut pair = Self::connect(world, over).await?;
        pair.send().await?;
        Ok(pair)
    }

    pub(crate) async fn connect(world: &World, over: Carrier) -> Outcome<Self> {
        let mut pair = Self::strangers(world).await?;
        pair.a.dial(pair.b.id).await?;
        pair.a.settle(pair.b.id, over, Duration::from_secs(25)).await?;
        pair.b.settle(pair.a.id, over, Duration::from_secs(5)).await?;
        Ok(pair)
    }

    /// Online, and no more.
    pub(crate) async fn strangers(world: &World) -> Outcome<Self> {
        let b = Peer::new(world.device("b", &[])?).await?;
        Ok(Self { a: Peer::new(world.device("a", &[])?).await?, b })
    }

    async fn send(&mut self) -> Outcome<()> {
        let (to_a, to_b) = (
            Command::Flow { with: self.a.id, every_ms: EVERY_MS },
            Command::Flow { with: self.b.id, every_ms: EVERY_MS },
        );
        self.a.order(&to_b, Duration::from_secs(5)).await?;
        self.b.order(&to_a, Duration::from_secs(5)).await?;
        self.flows_since(unix_micros(), Duration::from_secs(10)).await?;
        Ok(())
    }

    /// Milliseconds from then until both have received what was sent after then.
    pub(crate) async fn flows_since(&mut self, at_us: u64, within: Duration) -> Outcome<u64> {
        let since = Command::Since { at_us };
        let (a, b) =
            tokio::join!(self.a.ask(&since, "arrived_us", within), self.b.ask(&since, "arrived_us", within));
        Ok(a?.max(b?).saturating_sub(at_us) / 1000)
    }

    /// Stops sending and compares: nothing lost, repeated or out of order. The longest silence too.
    pub(crate) async fn finish(&mut self) -> Outcome<Value> {
        let patience = Duration::from_secs(60);
        let stop = Command::Stop;
        let (a, b) = tokio::join!(self.a.order(&stop, patience), self.b.order(&stop, patience));
        let (a, b) = (a?, b?);
        let received_a = self.a.order(&Command::Received, patience).await?;
        let received_b = self.b.order(&Command::Received, patience).await?;
        for (sent, received) in [(&a, &received_b), (&b, &received_a)] {
            let whole = ["messages", "stream"].iter().all(|what| sent[what] == received[what]);
            if !whole || received["faults"] != json!([]) {
                return Err(format!("sent {sent}, received {received}").into());
            }
        }
        let gaps = [&received_a, &received_b].map(|received| received["longest_gap_ms"].as_u64());
        let messages = [&a, &b].map(|sent| sent["messages"].as_u64().unwrap_or_default());
        Ok(json!({ "messages": messages.iter().sum::<u64>(), "longest_gap_ms": gaps.iter().max() }))
    }
}
