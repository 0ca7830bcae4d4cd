//! Relays that are not reached: the reason in words, and the flag or setting that helps.

use peers::{Client, Disconnect, RelayState, RelayStatus};

use crate::error::Error;
use crate::print;

/// Shows each relay's problem, for ever. A relay is tried again and again: a reason is shown when it is another one.
pub(crate) async fn show(client: &Client) {
    let mut relays = client.watch_relays();
    let mut shown: Vec<Option<Disconnect>> = vec![None; relays.borrow().len()];
    loop {
        for (relay, shown) in relays.borrow_and_update().iter().zip(&mut shown) {
            if relay.problem.is_some() && relay.problem != *shown {
                print::note(explain(relay));
            }
            shown.clone_from(&relay.problem);
        }
        if relays.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Waits until no relay is worth waiting for: each has given an answer that will be the same in a moment.
pub(crate) async fn none_left(client: &Client) -> Error {
    let answered = |relays: &Vec<RelayStatus>| {
        relays.iter().all(|relay| match &relay.state {
            RelayState::Waiting { reason, .. } => is_answer(reason),
            _ => false,
        })
    };
    match client.watch_relays().wait_for(answered).await {
        Ok(relays) => unreachable(&relays),
        Err(_) => std::future::pending().await,
    }
}

/// The reason of each relay.
pub(crate) fn unreachable(relays: &[RelayStatus]) -> Error {
    let reasons: Vec<_> = relays.iter().map(explain).collect();
    Error::Failed(format!("no relay is reachable: {}", reasons.join("; ")))
}

/// True if the relay's host has decided, and not the network or the load of the moment.
fn is_answer(reason: &Disconnect) -> bool {
    !matches!(reason.code(), "silent" | "broken" | "closed" | "network-changed" | "refused")
}

fn explain(relay: &RelayStatus) -> String {
    let RelayStatus { url, problem, .. } = relay;
    let Some(problem) = problem else { return format!("{url}: no answer yet") };
    let help = match problem.code() {
        "wrong-name" => {
            let name = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or(url);
            format!(". Dial a name that it has, or add {name:?} there")
        }
        "not-admitted" => ": see --relay-token".into(),
        // Not for a host that has no TLS at all.
        "tls" if problem.to_string().contains("certificate") => ": see --relay-ca and --relay-pin".into(),
        _ => String::new(),
    };
    format!("{url}: {problem}{help}")
}
